"""A small transformers model that was sealed gives the same logits, read through `safe_open` and through the mount; a
checkpoint that was saved into the vault while training opens.

In an environment of its own (`make model`). The models are small and made here; nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest

from strongroom.site import Site
from strongroom.vault import Door, create, find_sources, open_file, open_object, safe_open, seal

from ..conftest import missing
from .test_model import logits, plain, saved, shards, torch, transformers  # noqa: F401 - `saved` is a fixture

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    if torch is None:
        missing("torch and transformers are not installed (make model installs them in .venv-torch)")
    return Site.create(tmp_path_factory.mktemp("home") / "site", origin="example.com/model")


@pytest.fixture(scope="module")
def door(site: Site) -> Door:
    return site.door()


@pytest.fixture(scope="module")
def sealed(saved: Path, door: Door, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    out = tmp_path_factory.mktemp("sealed") / "model.sealed"
    seal(find_sources([saved]), out, door.recipients, door)
    return out


def test_through_safe_open(saved: Path, sealed: Path, door: Door) -> None:  # noqa: F811
    expected = plain(saved)
    with open_file(sealed / "config.json", door=door) as file:
        assert file.read() == (saved / "config.json").read_bytes()
    state: dict[str, Any] = {}
    for shard in shards(saved):
        with safe_open(sealed / shard.name, "pt", door=door) as opened:
            state |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dictionary
    model = transformers.AutoModelForCausalLM.from_config(expected.config, dtype=expected.dtype).eval()
    assert not torch.equal(logits(model), logits(expected))
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    assert torch.equal(logits(model), logits(expected))


@contextmanager
def mounted(site: Site, sealed: Path, at: Path) -> Iterator[None]:
    if shutil.which("fusermount3") is None or not Path("/dev/fuse").exists():
        missing("FUSE is not there (scripts/system-deps installs fuse3)")
    at.mkdir()
    command = [sys.executable, "-c", "import sys; from strongroom.cli import main; sys.exit(main())"]
    words = ["vault", "mount", str(sealed), str(at), "--site", str(site.path)]
    process = subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("mounted" in line for line in process.stderr)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def test_through_the_mount(saved: Path, sealed: Path, site: Site, tmp_path: Path) -> None:  # noqa: F811
    with mounted(site, sealed, tmp_path / "model"):
        model = plain(tmp_path / "model")
        assert torch.equal(logits(model), logits(plain(saved)))
        del model
    assert list((tmp_path / "model").iterdir()) == []


def train(steps: int) -> tuple[Any, Any]:
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(32, 600), torch.nn.ReLU(), torch.nn.Linear(600, 1))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 32)).square().mean().backward()
        optimizer.step()
    return model, optimizer


def test_a_checkpoint_that_was_saved_while_training_opens(door: Door, tmp_path: Path) -> None:
    import safetensors.torch

    model, optimizer = train(3)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 3}
    path = tmp_path / "step-3.sealed"
    with create(path, door=door) as made:
        with made.open("training.pt") as file:
            torch.save(state, file)
        with made.open("model.safetensors") as file:
            file.write(safetensors.torch.save(model.state_dict()))
    with open_file(path / "training.pt", door=door) as file:
        again = torch.load(file)
    assert again["step"] == 3
    for name, tensor in model.state_dict().items():
        assert torch.equal(again["model"][name], tensor)
        with safe_open(path, "pt", door=door) as opened:
            assert torch.equal(opened.get_tensor(name), tensor)


def test_torch_saves_into_the_file_system(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a training script would, which knows nothing but an address: the site is named by the environment."""
    monkeypatch.setenv("STRONGROOM_SITE", str(site.path))
    model, _ = train(1)
    address = f"sealed://{tmp_path}/step-1.sealed/model.pt"
    with fsspec.open(address, "wb") as file:
        torch.save(model.state_dict(), file)
    with fsspec.open(address) as file:
        again = torch.load(file)
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    needle = model.state_dict()["0.weight"].numpy().tobytes()[:64]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and needle in path.read_bytes()]
    with open_object(tmp_path / "step-1.sealed", door=site.door()) as opened:
        assert list(opened.names()) == ["model.pt"]
    assert os.environ["STRONGROOM_SITE"] == str(site.path)
