"""`SafeOpen` gives what `safetensors.safe_open` gives, reads no more than it needs, and refuses what is no such file."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors
from hypothesis import given

from strongroom.core.errors import InputError, IntegrityError, UsageError
from strongroom.vault import _safetensors
from strongroom.vault._safetensors import SafeOpen
from strongroom.vault._safetensors_header import BITS
from strongroom.vault._safetensors_slices import WINDOW, read_selection, select

from .memory_file import MemoryFile, safetensors_file, theirs

NUMPY = [name for name in BITS if name in _safetensors._NUMPY]

# What the file holds


@st.composite
def shapes(draw: Any) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.one_of(st.integers(1, 6), st.integers(0, 6)), max_size=4)))


@st.composite
def files(draw: Any) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    found = {}
    for name in draw(
        st.lists(st.text(max_size=5).filter(lambda name: name != "__metadata__"), max_size=5, unique=True)
    ):
        dtype, shape = draw(st.sampled_from(NUMPY)), draw(shapes())
        size = math.prod(shape) * BITS[dtype] // 8
        found[name] = (dtype, shape, bytes(draw(st.integers(0, 255)) ^ (at * 37 % 256) for at in range(size)))
    return found


def same(ours: Any, their: Any) -> None:
    assert (ours.dtype, ours.shape) == (their.dtype, their.shape)
    assert ours.tobytes() == their.tobytes()
    assert ours.flags.writeable


@given(files(), st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3))
def test_a_file_holds_what_it_holds_for_safetensors(tensors: Any, metadata: Any) -> None:
    content = safetensors_file(tensors, metadata)

    def everything(opened: Any) -> Any:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        kinds = {name: (opened.get_slice(name).get_dtype(), opened.get_slice(name).get_shape()) for name in tensors}
        return opened.keys(), opened.metadata(), kinds, tensors, opened.offset_keys()

    with SafeOpen(MemoryFile(content)) as opened:
        ours, their = everything(opened), theirs(content, everything)
        assert ours[:3] == their[:3]
        for name in ours[0]:
            same(ours[3][name], their[3][name])
        # Where tensors have no bytes, safetensors' order among them changes from run to run.
        assert [name for name in ours[4] if tensors[name][2]] == [name for name in their[4] if tensors[name][2]]
        assert ours[4] == list(opened.get_tensors())


def test_a_tensor_is_read_in_one_call_into_its_own_memory() -> None:
    content = safetensors_file({"odd": ("U8", [3], b"abc"), "a": ("F64", [2, 2], np.arange(4.0).tobytes())})
    file = MemoryFile(content)
    with SafeOpen(file) as opened:
        file.reads.clear()
        tensor = opened.get_tensor("a")
        assert file.reads == [(len(content) - 32, 32)]
        assert (tensor == [[0, 1], [2, 3]]).all()


@pytest.mark.parametrize("dtype", sorted(set(BITS) - set(NUMPY)))
def test_a_dtype_that_numpy_lacks_is_refused_there_and_described(dtype: str) -> None:
    content = safetensors_file({"a": (dtype, [4], bytes(BITS[dtype] // 2)), "b": ("U8", [1], b"x")})
    assert theirs(content, lambda opened: opened.get_tensor("a")) is None
    with SafeOpen(MemoryFile(content)) as opened:
        assert opened.get_slice("a").get_dtype() == dtype
        assert opened.get_tensor("b")[0] == ord("x")
        for read in (lambda: opened.get_tensor("a"), lambda: opened.get_slice("a")[:]):
            with pytest.raises(UsageError, match=rf"{dtype}.*model\.safetensors: tensor 'a'"):
                read()


def test_every_dtype_of_safetensors_is_known() -> None:
    def known(dtype: str) -> bool:
        content = safetensors_file({"a": (dtype, [0], b"")})
        return theirs(content, lambda opened: opened.get_slice("a").get_dtype()) == dtype

    assert all(map(known, BITS))
    with pytest.raises(safetensors.SafetensorError) as raised:
        safetensors.deserialize(safetensors_file({"a": ("unknown", [0], b"")}))
    listed = str(raised.value).split("expected one of ")[1].split(" at line")[0]
    assert {name.strip("` ") for name in listed.split(",")} == set(BITS)


# Slices


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """Mostly such as are taken."""
    items: list[Any] = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        near = st.integers(0, size) | st.integers(-size - 1, size + 1)
        step = st.none() | st.integers(1, size + 2) | st.sampled_from([0, -1])
        items.append(draw(near | st.builds(slice, st.none() | near, st.none() | near, step) | st.just(slice(None))))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), ...)
    extra = st.sampled_from([..., None, [], [0], 1.5, "a", slice("a"), slice(0), np.int64(0), np.array(0)])
    if draw(st.integers(0, 9)) == 0:
        items.insert(draw(st.integers(0, len(items))), draw(extra))
    return items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)


@given(st.data())
def test_a_slice_is_what_it_is_for_safetensors_and_refused_where_it_is_there(data: Any) -> None:
    dtype, shape, odd = data.draw(st.sampled_from(NUMPY)), data.draw(shapes()), data.draw(st.integers(0, 7))
    size = math.prod(shape) * BITS[dtype] // 8
    content = safetensors_file(
        {"odd": ("U8", [odd], bytes(odd)), "a": (dtype, shape, np.arange(size).astype(np.uint8).tobytes())}
    )
    index = data.draw(indices(shape))
    their = theirs(content, lambda opened: opened.get_slice("a")[index])
    with SafeOpen(MemoryFile(content)) as opened:
        try:
            ours = opened.get_slice("a")[index]
        except UsageError:
            assert their is None
            return
    if their is None:
        assert 0 in shape  # sliced: the only ones that safetensors refuses and we take
        their = np.empty(shape, ours.dtype)[index]
    same(ours, their)


@pytest.mark.parametrize("index", [True, (True, False), np.int64(1), np.array(1), [], np.s_[:, :: 10**15]])
def test_what_safetensors_takes_beside_is_taken(index: Any) -> None:
    content = safetensors_file({"a": ("U8", [3, 2], b"abcdef")})
    with SafeOpen(MemoryFile(content)) as opened:
        same(opened.get_slice("a")[index], theirs(content, lambda their: their.get_slice("a")[index]))


BIG = np.arange(64 * 1000 * 100, dtype="<u2").reshape(64, 1000, 100)
"""12.8 MB; a row of 200,000 bytes, in it lines of 200."""
BIG_FILE = safetensors_file({"odd": ("U8", [1], b"x"), "big": ("U16", BIG.shape, BIG.tobytes())})
BIG_AT = len(BIG_FILE) - BIG.nbytes


@pytest.mark.parametrize(
    ("index", "reads"),
    [
        (np.s_[5], [(5 * 200_000, 200_000)]),
        (np.s_[-1], [(63 * 200_000, 200_000)]),
        (np.s_[10:50], [(10 * 200_000, 40 * 200_000)]),
        (np.s_[...], [(0, 12_800_000)]),
        (np.s_[7, 3], [(7 * 200_000 + 600, 200)]),
        (np.s_[7, 3, 2], [(7 * 200_000 + 604, 2)]),
        (np.s_[7, 10:20], [(7 * 200_000 + 2000, 2000)]),
        (np.s_[7, 10:10], []),
        # Further apart than a segment: nothing between is read.
        (np.s_[::10, 0], [(row * 200_000, 200) for row in range(0, 64, 10)]),
        # Closer: together, in windows of 4 MiB, from the first byte wanted to the last.
        (np.s_[7, :, 5], [(7 * 200_000 + 10, 999 * 200 + 2)]),
        (np.s_[0:30, 0], [(0, 20 * 200_000 + 200), (21 * 200_000, 8 * 200_000 + 200)]),
    ],
)
def test_a_slice_reads_the_bytes_it_needs(index: Any, reads: list[tuple[int, int]]) -> None:
    file = MemoryFile(BIG_FILE)
    with SafeOpen(file) as opened:
        file.reads.clear()
        assert (opened.get_slice("big")[index] == BIG[index]).all()
        assert [(at - BIG_AT, length) for at, length in file.reads] == reads


def test_a_column_takes_few_calls_and_a_small_buffer() -> None:
    file = MemoryFile(BIG_FILE)
    with SafeOpen(file) as opened:
        file.reads.clear()
        tracemalloc.start()
        column = opened.get_slice("big")[:, :, 1]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (column == BIG[:, :, 1]).all()  # 64,000 pieces of 2 bytes
    assert len(file.reads) == math.ceil(BIG.nbytes / (20 * 200_000))
    assert max(length for _, length in file.reads) <= WINDOW
    assert peak - column.nbytes < WINDOW + 100_000


@st.composite
def axes(draw: Any, size: int) -> Any:
    if draw(st.booleans()):
        start, stop = sorted((draw(st.integers(0, size - 1)), draw(st.integers(1, size))))
        return range(start, stop, draw(st.integers(1, size))) if start < stop else range(start, start + 1)
    return sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))


@given(st.data())
def test_any_selection_is_read_within_its_bounds_window_and_gaps(data: Any) -> None:
    shape = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple))
    lists, chosen = 0, []
    for size in shape:
        axis = data.draw(axes(size))
        lists += isinstance(axis, list)
        chosen.append(range(size) if lists > 1 and isinstance(axis, list) else axis)
    window, read_through, begin = (
        data.draw(st.integers(1, 200)),
        data.draw(st.integers(1, 60)),
        data.draw(st.integers(0, 9)),
    )
    tensor = np.arange(math.prod(shape), dtype="<u2").reshape(shape)
    file = MemoryFile(bytes(begin) + tensor.tobytes())
    out = np.zeros([len(axis) for axis in chosen], "<u2")
    read_selection(file, begin, shape, chosen, out, window=window, read_through=read_through)
    assert (out == tensor[np.ix_(*map(list, chosen))]).all()
    wanted = np.zeros(shape, bool)
    wanted[np.ix_(*map(list, chosen))] = True
    taken = np.flatnonzero(np.repeat(wanted.ravel(), 2)) + begin
    covered = np.zeros(len(file.content), int)
    for at, length in file.reads:
        covered[at : at + length] += 1
        pieces = taken[(taken >= at) & (taken < at + length)]
        assert (pieces[0], pieces[-1]) == (at, at + length - 1)
        assert len(pieces) == length or length <= window
        assert (np.diff(pieces) <= read_through).all()
    assert covered.max() == 1  # no byte twice
    assert (covered[taken] == 1).all()


def torch_like(index: Any, shape: tuple[int, ...]) -> Any:
    """The result of an index as torch takes it, read from memory."""
    tensor = np.arange(math.prod(shape), dtype="<u4").reshape(shape)
    selection = select(index, shape, strict=False, where="x")
    out = np.zeros([len(axis) for axis in selection.axes], "<u4")
    read_selection(MemoryFile(tensor.tobytes()), 0, shape, selection.axes, out, window=40, read_through=16)
    return tensor, out.reshape(selection.shape)


@given(st.data())
def test_without_strict_an_index_is_what_it_is_in_python(data: Any) -> None:
    shape = data.draw(shapes())
    near = st.none() | st.integers(-8, 8)
    items: list[Any] = [
        slice(data.draw(near), data.draw(near), data.draw(st.none() | st.integers(1, 9))) for _ in shape
    ]
    for at in range(data.draw(st.integers(0, 2))):
        items.insert(data.draw(st.integers(0, len(items))), None if at else ...)
    tensor, found = torch_like(tuple(items), shape)
    assert found.shape == tensor[tuple(items)].shape
    assert (found == tensor[tuple(items)]).all()


@pytest.mark.parametrize(
    "index", [[0, 2], (slice(None), [1, 3, -1]), (..., range(1, 3)), (0, np.array([0, 4])), [], ([],)]
)
def test_without_strict_a_list_selects(index: Any) -> None:
    tensor, found = torch_like(index, (4, 5))
    assert found.tolist() == tensor[np.array(index, int) if index == [] else index].tolist()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.s_[2], "index 2 is out of bounds for dimension 0 of size 2"),
        (np.s_[0, -4], "index -4 is out of bounds for dimension 1 of size 3"),
        (np.s_[0, 0, 0], "the index has 3 dimensions, the tensor has 2"),
        (np.s_[..., ...], "only one ellipsis"),
        (np.s_[::0], "step must be 1 or more, not 0"),
        (np.s_[::-1], "step must be 1 or more, not -1"),
        (np.s_[1.0:], "a slice is made of integers"),
        (np.s_[1.5], "float is not taken as an index"),
        (np.s_["a"], "str is not taken as an index"),
        (np.s_[[0, 0]], "must ascend, none twice"),
        (np.s_[[1, 0]], "must ascend, none twice"),
        (np.s_[[0, 5]], "index 5 is out of bounds"),
        (np.s_[[0.5]], "holds integers, not float"),
        (np.s_[[True, False]], "holds integers, not bool"),
        (np.s_[np.array([True, False])], "holds integers, not bool"),
        (np.s_[[[0, 1]]], "holds integers, not list"),
        (np.s_[[0], [0]], "only one list"),
        (np.s_[True], "bools are not taken"),
        (np.s_[np.zeros((2, 3), int)], "ndarray is not taken as an index"),
    ],
)
def test_what_no_index_is_says_so_and_where(index: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        select(index, (2, 3), strict=False, where="file: tensor 'a'")
    assert raised.value.where == "file: tensor 'a'"


@pytest.mark.parametrize(
    "index", [np.s_[:4], np.s_[3:], np.s_[-1:], np.s_[:-1], np.s_[2:1], np.s_[None], np.s_[[0]], np.s_[[0, 1]]]
)
def test_for_numpy_what_safetensors_refuses_is_refused(index: Any) -> None:
    content = safetensors_file({"a": ("U8", [3], b"abc")})
    assert theirs(content, lambda opened: opened.get_slice("a")[index]) is None
    with SafeOpen(MemoryFile(content)) as opened, pytest.raises(UsageError, match="tensor 'a'"):
        opened.get_slice("a")[index]


def test_a_dimension_of_size_0_can_be_sliced() -> None:
    content = safetensors_file({"a": ("F32", [0, 3], b"")})
    with SafeOpen(MemoryFile(content)) as opened:
        for index, shape in [(np.s_[:], (0, 3)), (np.s_[...], (0, 3)), (np.s_[0:0, 1], (0,)), (np.s_[()], (0, 3))]:
            assert opened.get_slice("a")[index].shape == shape


# Open and closed


def test_closed_is_closed() -> None:
    file = MemoryFile(safetensors_file({"a": ("U8", [1], b"x")}))
    opened = SafeOpen(file)
    part = opened.get_slice("a")
    with opened as same_one:
        assert same_one is opened
    opened.close()
    assert file.closed == 1
    uses: list[Callable[[], Any]] = [
        opened.keys,
        opened.offset_keys,
        opened.metadata,
        opened.get_tensors,
        opened.__enter__,
        part.get_shape,
        part.get_dtype,
        lambda: opened.get_tensor("a"),
        lambda: opened.get_slice("a"),
        lambda: part[0],
    ]
    for use in uses:
        with pytest.raises(UsageError, match=r"the file is closed \(model.safetensors\)"):
            use()


@pytest.mark.parametrize(
    ("content", "framework", "device", "message"),
    [
        (b"", "np", "cpu", "shorter than 8 bytes"),
        (None, "tf", "cpu", "framework 'tf' is not supported"),
        (None, "NP", "cpu", "framework 'NP' is not supported"),
        (None, "np", "cuda", "device 'cuda' is not supported for numpy"),
        (None, "np", 0, "device 0 is not supported for numpy"),
    ],
)
def test_what_is_refused_is_closed(content: bytes | None, framework: str, device: Any, message: str) -> None:
    file = MemoryFile(safetensors_file({}) if content is None else content)
    with pytest.raises((UsageError, InputError), match=message):
        SafeOpen(file, framework, device)
    assert file.closed == 1


def test_torch_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UsageError, match="torch is not installed"):
        SafeOpen(MemoryFile(safetensors_file({})), "pt")


@pytest.mark.parametrize("name", ["b", "", "a" * 1000, "\x1b[31m", 7])
def test_an_unknown_tensor_is_named(name: Any) -> None:
    with SafeOpen(MemoryFile(safetensors_file({"a": ("U8", [1], b"x")}))) as opened:
        for use in (opened.get_tensor, opened.get_slice):
            with pytest.raises(UsageError, match="the file has no tensor") as raised:
                use(name)
            assert len(str(raised.value)) < 200
            assert "\x1b" not in str(raised.value)


def test_what_the_file_raises_comes_through() -> None:
    class Changed(MemoryFile):
        def read_into(self, offset: int, buffer: memoryview) -> None:
            if offset:
                raise IntegrityError("segment 0 is not what was sealed", where=self.name)
            super().read_into(offset, buffer)

    with SafeOpen(Changed(safetensors_file({"a": ("U8", [3], b"abc")}))) as opened:
        for read in (lambda: opened.get_tensor("a"), lambda: opened.get_slice("a")[1:]):
            with pytest.raises(IntegrityError, match="segment 0"):
                read()
