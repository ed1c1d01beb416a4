"""A transformers model that is read through `SafeOpen` is the model that was saved: same bits, same logits.

In an environment of its own (`make model`). The models are small and made here; nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import UsageError
from strongroom.vault._safetensors import SafeOpen
from strongroom.vault._safetensors_header import BITS

from ..conftest import missing
from ..unit.vault.memory_file import MemoryFile, safetensors_file, theirs

pytestmark = pytest.mark.model

try:
    import torch
    import transformers
except ImportError:  # elsewhere these tests are collected and not run
    torch = transformers = None

SEED = 7
TOKENS = [[1, 5, 9, 200, 3, 77, 42, 0], [255, 254, 1, 1, 2, 3, 5, 8]]
INTEGERS = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}


def open_sealed(path: Path, framework: str, device: str | int = "cpu") -> SafeOpen:
    """What reads a shard instead of `safetensors.safe_open`; test_model_sealed.py does so with sealed ones."""
    return SafeOpen(MemoryFile(path.read_bytes(), path.name), framework, device)


@pytest.fixture(autouse=True)
def _torch_is_there() -> None:
    if torch is None:
        missing("torch and transformers are not installed (make model installs them in .venv-torch)")


def configuration(kind: str) -> Any:
    if kind == "llama":
        return transformers.LlamaConfig(
            vocab_size=256,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
    return transformers.GPT2Config(vocab_size=256, n_embd=64, n_layer=2, n_head=4, n_positions=64)


@pytest.fixture(scope="module", params=["llama", "llama-bf16", "gpt2"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `save_pretrained` leaves it, with several shards."""
    if torch is None:
        missing("torch and transformers are not installed (make model installs them in .venv-torch)")
    kind, _, dtype = request.param.partition("-")
    torch.manual_seed(SEED)
    model = transformers.AutoModelForCausalLM.from_config(configuration(kind)).eval()
    if dtype:
        model = model.to(torch.bfloat16)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="100KB")
    assert len(shards(folder)) > 2
    return folder


def shards(folder: Path) -> list[Path]:
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(torch.tensor(TOKENS)).logits


def plain(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True).eval()


def bits(tensor: Any) -> Any:
    # Of one element or none, contiguous() leaves steps that view() refuses.
    return tensor.contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def same(ours: Any, their: Any) -> None:
    assert (ours.dtype, ours.shape, ours.device) == (their.dtype, their.shape, their.device)
    assert torch.equal(bits(ours), bits(their))


def test_a_state_dict_has_the_same_bits_and_gives_the_same_logits(saved: Path) -> None:
    import safetensors.torch

    state: dict[str, Any] = {}
    for shard in shards(saved):
        with open_sealed(shard, "pt") as opened:
            state |= opened.get_tensors()
            assert opened.metadata() == {"format": "pt"}
        for name, tensor in safetensors.torch.load_file(shard).items():
            same(state[name], tensor)
    expected = plain(saved)
    model = transformers.AutoModelForCausalLM.from_config(expected.config, dtype=expected.dtype).eval()
    assert not torch.equal(logits(model), logits(expected))
    found = model.load_state_dict(state, strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) <= {"lm_head.weight"}  # GPT-2's is its embedding
    model.tie_weights()
    assert torch.equal(logits(model), logits(expected))


def test_from_pretrained_reads_through_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = logits(plain(saved))
    read: list[str] = []

    def safe_open(path: str, framework: str, device: str = "cpu", backend: str = "mmap") -> SafeOpen:
        read.append(Path(path).name)
        return open_sealed(Path(path), framework, device)

    monkeypatch.setattr(transformers.modeling_utils, "safe_open", safe_open)
    assert torch.equal(logits(plain(saved)), expected)
    assert sorted(read) == [shard.name for shard in shards(saved)]


def test_slices_put_together_are_the_tensor(saved: Path) -> None:
    """As tensor parallelism reads: each rank its rows, its columns or its list of rows."""
    for shard in shards(saved):
        with open_sealed(shard, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                whole, part = opened.get_tensor(name), opened.get_slice(name)
                assert part.get_shape() == list(whole.shape)
                half = whole.shape[0] // 2
                same(torch.cat([part[:half], part[half:]]), whole)
                rows = [*range(3, half), half + 1]
                same(part[rows, ...], whole[rows, ...])
                if whole.ndim == 2:
                    same(torch.cat([part[:, :half], part[:, half:]], 1), whole)
                    same(part[..., [0, 5, 6]], whole[..., [0, 5, 6]])


# Against safetensors, dtype by dtype and index by index


def content_of(dtype: str, shape: tuple[int, ...]) -> bytes:
    size = math.prod(shape) * BITS[dtype] // 8
    content = random.Random(SEED).randbytes(size)
    if dtype == "BOOL":  # torch makes 1 of every other number when it copies
        content = bytes(byte & 1 for byte in content)
    return safetensors_file({"odd": ("U8", [3], b"abc"), "a": (dtype, shape, content)})


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("shape", [(2, 4), (8,), (0, 4), (1, 2, 2, 2)])
def test_a_tensor_of_any_dtype_is_what_it_is_for_safetensors(dtype: str, shape: tuple[int, ...]) -> None:
    content = content_of(dtype, shape)
    their = theirs(content, lambda opened: opened.get_tensor("a"), "pt")
    with SafeOpen(MemoryFile(content), "torch") as opened:
        if dtype.startswith("F6_"):
            assert their is None
            with pytest.raises(UsageError, match=f"torch .* has no type for {dtype}"):
                opened.get_tensor("a")
            return
        same(opened.get_tensor("a"), their)
        if dtype == "F4":  # safetensors: "shape is invalid for input"
            with pytest.raises(UsageError, match="F4 cannot be sliced"):
                opened.get_slice("a")[0]
            return
        same(opened.get_slice("a")[...], their)
        same(opened.get_slice("a")[:, ..., 1:3] if len(shape) > 1 else opened.get_slice("a")[1:3], their[..., 1:3])


def test_a_tensor_of_one_element_has_no_dimension() -> None:
    content = safetensors_file({"a": ("BF16", [], b"\x80\x3f")})
    with SafeOpen(MemoryFile(content), "pytorch") as opened:
        for one in (opened.get_tensor("a"), opened.get_slice("a")[...], opened.get_slice("a")[()]):
            same(one, torch.tensor(1.0, dtype=torch.bfloat16))


def test_f4_with_an_odd_last_dimension_is_refused_as_there() -> None:
    content = content_of("F4", (2, 3))
    assert theirs(content, lambda opened: opened.get_tensor("a"), "pt") is None
    with SafeOpen(MemoryFile(content), "pt") as opened, pytest.raises(UsageError, match="even last dimension"):
        opened.get_tensor("a")


def any_index(draw: random.Random, shape: tuple[int, ...]) -> Any:
    def near(size: int) -> int | None:
        return draw.choice([None, draw.randint(-size - 2, size + 2)])

    items: list[Any] = []
    for size in shape[: draw.randint(0, len(shape))]:
        choices = [slice(near(size), near(size), draw.choice([None, 1, 2, size + 1])), slice(None)]
        if size:
            choices.append(draw.randint(-size, size - 1))
        items.append(draw.choice(choices))
    if items and draw.random() < 0.3:
        at = draw.randrange(len(items))
        items[at] = sorted(draw.sample(range(shape[at]), draw.randint(0, shape[at])))
    return (*items, *draw.sample([None, ...], draw.randint(0, 2)))


def test_random_indices_are_what_they_are_for_torch() -> None:
    draw = random.Random(SEED)
    for _ in range(1500):
        shape = tuple(
            draw.randint(0, 5) if draw.random() < 0.2 else draw.randint(1, 5) for _ in range(draw.randint(0, 4))
        )
        dtype = draw.choice([name for name in BITS if BITS[name] >= 8])
        content, index = content_of(dtype, shape), any_index(draw, shape)
        with SafeOpen(MemoryFile(content), "pt") as opened:
            ours, whole = opened.get_slice("a")[index], opened.get_tensor("a")
        # As integers: torch cannot take a list from every dtype.
        their = whole.view(getattr(torch, INTEGERS[whole.element_size()]))[index]
        assert ours.shape == their.shape, (shape, index)
        assert torch.equal(bits(ours), bits(their)), (shape, index)


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(1, None), slice(-2, None), slice(2, 1), slice(None, 99), (..., 0), [0, 2], (slice(None), [1]), None],
)
def test_an_index_is_what_it_is_for_safetensors(index: Any) -> None:
    content = content_of("F16", (3, 4))
    with SafeOpen(MemoryFile(content), "pt") as opened:
        same(opened.get_slice("a")[index], theirs(content, lambda their: their.get_slice("a")[index], "pt"))
        if isinstance(index, list):
            same(opened.get_slice("a")[torch.tensor(index)], opened.get_slice("a")[index])


@pytest.mark.parametrize("index", [3, -4, (0, 0, 0), slice(None, None, 0), slice(None, None, -1), [5], 1.5, {0}])
def test_what_safetensors_refuses_for_torch_is_refused(index: Any) -> None:
    content = content_of("F16", (3, 4))
    assert theirs(content, lambda their: their.get_slice("a")[index], "pt") is None
    with SafeOpen(MemoryFile(content), "pt") as opened, pytest.raises(UsageError, match="tensor 'a'"):
        opened.get_slice("a")[index]


def test_a_tensor_can_be_written_to_and_outlives_the_file() -> None:
    content = content_of("F32", (4,))
    with SafeOpen(MemoryFile(content), "pt") as opened:
        one, other = opened.get_tensor("a"), opened.get_tensor("a")
    one.zero_()
    assert one.eq(0).all()
    assert not torch.equal(bits(one), bits(other))


@pytest.mark.parametrize(("device", "kind"), [("cpu", "cpu"), ("cpu:0", "cpu"), ("meta", "meta")])
def test_a_tensor_is_on_the_device_asked_for(device: str, kind: str) -> None:
    with SafeOpen(MemoryFile(content_of("F32", (4,))), "pt", device) as opened:
        placed: list[Callable[[], Any]] = [lambda: opened.get_tensor("a"), lambda: opened.get_slice("a")[1:]]
        assert [place().device.type for place in placed] == [kind, kind]


@pytest.mark.parametrize("device", ["nonsense", "cpu:x", 1.5])
def test_a_device_that_torch_does_not_know_is_refused(device: Any) -> None:
    file = MemoryFile(content_of("F32", (4,)))
    with pytest.raises(UsageError, match="not one of torch's"):
        SafeOpen(file, "pt", device)
    assert file.closed == 1
