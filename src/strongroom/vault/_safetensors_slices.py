"""Part of a tensor: which elements an index means, and how few bytes of the file are read for them.

What is read for a selection, from the outermost dimension inwards:

1. What lies in one piece (a tensor, rows of a matrix) is read in one call, straight into the result.
2. Pieces less than `READ_THROUGH` apart are read together, with what lies between them, into a buffer of at most
   `WINDOW` bytes, and copied from there. A sealed file is opened by segments of 1 MiB, so the bytes between cost
   nothing that the pieces do not cost already; a call for each of a million pieces would open each segment many times.
3. Pieces further apart are read one by one; nothing between them is read.

So a selection of n elements takes at most one call for each piece, and beside the result at most one buffer of `WINDOW`
bytes, and where an index is a list, a copy of the part of that buffer that is wanted.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..core.errors import UsageError
from ._parts import File

__all__ = ["READ_THROUGH", "WINDOW", "Selection", "read_selection", "select"]

WINDOW = 4 << 20
"""Bytes of the buffer that pieces are read into when they do not lie in one piece."""
READ_THROUGH = 1 << 20
"""Bytes between two pieces from which on they are read apart: a segment of a sealed file, by default."""

Axis = range | list[int]
"""Which indices of one dimension, ascending, none twice."""


class Selection(msgspec.Struct, frozen=True):
    """`axes` has one entry for each dimension of the tensor; `shape` is the result's, without dimensions that an
    integer has taken away and with those that None has added."""

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]


def select(index: Any, shape: Sequence[int], *, strict: bool, where: str) -> Selection:
    """What `index` means for a tensor of `shape`. Raises UsageError for what is not taken or out of range.

    Both take integers (negative ones count from the end), slices with a step of 1 or more, and one ellipsis.

    `strict` is what safetensors 0.8 takes for numpy: a slice that begins or ends outside of the tensor, at a negative
    number, or before it begins, is refused; a bool is an integer; `[]` alone selects nothing of the first dimension.
    Unlike safetensors, slices of a dimension of size 0 are taken.

    Without `strict` (torch): slices are cut to the tensor as in Python; None adds a dimension; one list, range or
    one-dimensional array of ascending integers selects those. Bools and masks are refused.
    """
    items = _expand(index, len(shape), strict, where)
    axes: list[Axis] = []
    result: list[int] = []
    for item in items:
        if item is None:
            result.append(1)
            continue
        dimension = len(axes)
        if isinstance(item, slice):
            axis: Axis = _slice(item, dimension, shape[dimension], strict, where)
        elif isinstance(item, list):
            axis = _list(item, dimension, shape[dimension], where)
        else:
            at = _integer(item, dimension, shape[dimension], where)
            axes.append(range(at, at + 1))
            continue
        axes.append(axis)
        result.append(len(axis))
    return Selection(tuple(axes), tuple(result))


def _expand(index: Any, dimensions: int, strict: bool, where: str) -> list[Any]:
    """The index as integers, slices, lists and Nones, with what was left out filled in by full slices."""
    if strict and isinstance(index, list):
        if index:
            raise UsageError("lists of indices are not taken for numpy", where=where, next="give a slice")
        index = slice(0, 0)
    items = [_item(item, strict, where) for item in (index if isinstance(index, tuple) else (index,))]
    ellipses = sum(item is Ellipsis for item in items)
    if ellipses > 1:
        raise UsageError("only one ellipsis (...) is allowed in an index", where=where)
    if sum(isinstance(item, list) for item in items) > 1:
        raise UsageError("only one list is allowed in an index", where=where)
    used = sum(item is not None for item in items) - ellipses
    if used > dimensions:
        raise UsageError(f"the index has {used} dimensions, the tensor has {dimensions}", where=where)
    fill = [slice(None)] * (dimensions - used)
    if not ellipses:
        return items + fill
    at = next(position for position, item in enumerate(items) if item is Ellipsis)
    return items[:at] + fill + items[at + 1 :]


def _item(item: Any, strict: bool, where: str) -> Any:
    if item is Ellipsis or isinstance(item, slice) or (item is None and not strict):
        return item
    if not strict:
        if isinstance(item, list | tuple | range):
            return list(item)
        if getattr(item, "ndim", 0) == 1:
            return list(item.tolist())
        if isinstance(item, bool):
            raise UsageError("bools are not taken as an index", where=where, next="give a slice or a list of integers")
    try:
        return operator.index(item)
    except TypeError as error:
        taken = "an integer, a slice or an ellipsis" + ("" if strict else ", a list of integers or None")
        raise UsageError(f"{type(item).__name__} is not taken as an index: give {taken}", where=where) from error


def _integer(at: int, dimension: int, size: int, where: str) -> int:
    if not -size <= at < size:
        raise UsageError(f"index {at} is out of bounds for dimension {dimension} of size {size}", where=where)
    return at + size if at < 0 else at


def _slice(item: slice, dimension: int, size: int, strict: bool, where: str) -> range:
    try:
        start, stop, step = (
            None if each is None else operator.index(each) for each in (item.start, item.stop, item.step)
        )
    except TypeError as error:
        raise UsageError(f"a slice is made of integers: {error}", where=where) from error
    if step is not None and step < 1:
        raise UsageError(f"a slice's step must be 1 or more, not {step}", where=where)
    if strict:
        begin, end = 0 if start is None else start, size if stop is None else stop
        if not 0 <= begin <= end <= size or begin == size > 0:
            raise UsageError(
                f"slice {begin}:{end} is out of bounds for dimension {dimension} of size {size}",
                where=where,
                next="for numpy, as in safetensors, a slice lies within the tensor and has no negative numbers",
            )
    found = range(*slice(start, stop, step).indices(size))
    # Of a single index the step says nothing, and may be larger than an array's can be.
    return found if len(found) > 1 else range(found.start, found.start + len(found))


def _list(items: list[Any], dimension: int, size: int, where: str) -> list[int]:
    found: list[int] = []
    for item in items:
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise UsageError(f"a list of indices holds integers, not {type(item).__name__}", where=where)
        found.append(_integer(operator.index(item), dimension, size, where))
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise UsageError(
            "a list of indices must ascend, none twice", where=where, next="sort it here, and order the result"
        )
    return found


def read_selection(
    file: File,
    begin: int,
    shape: Sequence[int],
    axes: Sequence[Axis],
    out: NDArray[Any],
    *,
    window: int = WINDOW,
    read_through: int = READ_THROUGH,
) -> None:
    """Fills `out` with the selected elements of the tensor of `shape` whose bytes begin at `begin`.

    `out` is C-contiguous, one dimension for each axis, of unsigned integers as wide as an element. Raises what
    `file` raises; `out` then holds anything.
    """
    if out.size:
        _Reader(file, shape, axes, out.itemsize, window, read_through).read(0, begin, out)


class _Reader:
    """Steps and spans, in bytes, of one selection. Nothing in it is empty."""

    def __init__(
        self, file: File, shape: Sequence[int], axes: Sequence[Axis], width: int, window: int, read_through: int
    ) -> None:
        self._file, self._axes, self._window, self._read_through = file, axes, window, read_through
        count = len(shape)
        self._strides = [width] * count
        # Of what is selected of the dimensions from one on: where it begins within them, how many bytes from its first
        # to its last, how many of these are wanted, and the most that lie between two pieces. Behind the last
        # dimension stands a single element.
        self._first, self._gap = [0] * (count + 1), [0] * (count + 1)
        self._span, self._wanted = [width] * (count + 1), [width] * (count + 1)
        for d in reversed(range(count)):
            axis = axes[d]
            if d + 1 < count:
                self._strides[d] = self._strides[d + 1] * shape[d + 1]
            widest = axis.step if isinstance(axis, range) else max((b - a for a, b in pairwise(axis)), default=1)
            between = widest * self._strides[d] - self._span[d + 1] if len(axis) > 1 else 0
            self._first[d] = self._first[d + 1] + axis[0] * self._strides[d]
            self._gap[d] = max(self._gap[d + 1], between)
            self._span[d] = self._span[d + 1] + (axis[-1] - axis[0]) * self._strides[d]
            self._wanted[d] = self._wanted[d + 1] * len(axis)
        self._buffer = np.empty(0, np.uint8)

    def read(self, d: int, begin: int, out: NDArray[Any]) -> None:
        """Fills `out` from dimension `d` on; `begin` is where index 0 of these dimensions is in the file."""
        if self._span[d] == self._wanted[d]:
            self._file.read_into(begin + self._first[d], out.reshape(-1).view(np.uint8).data)
            return
        axis, stride = self._axes[d], self._strides[d]
        for start, stop in self._groups(d):
            if stop - start == 1:
                self.read(d + 1, begin + axis[start] * stride, out[start, ...])
            else:
                self._read_together(d, axis[start:stop], begin, out[start:stop])

    def _groups(self, d: int) -> Iterator[tuple[int, int]]:
        """Positions in the axis, from and to, of what is read together."""
        axis, stride, inner = self._axes[d], self._strides[d], self._span[d + 1]
        if self._gap[d + 1] >= self._read_through:
            yield from ((at, at + 1) for at in range(len(axis)))
        elif isinstance(axis, range):
            step = axis.step * stride
            together = step - inner < self._read_through and step + inner <= self._window
            size = (self._window - inner) // step + 1 if together else 1
            yield from ((at, min(at + size, len(axis))) for at in range(0, len(axis), size))
        else:
            start = 0
            for at in range(1, len(axis)):
                gap = (axis[at] - axis[at - 1]) * stride - inner
                if gap >= self._read_through or (axis[at] - axis[start]) * stride + inner > self._window:
                    yield start, at
                    start = at
            yield start, len(axis)

    def _read_together(self, d: int, part: Axis, begin: int, out: NDArray[Any]) -> None:
        length = (part[-1] - part[0]) * self._strides[d] + self._span[d + 1]
        if len(self._buffer) < length:
            self._buffer = np.empty(min(self._window, self._span[0]), np.uint8)
        view = self._buffer[:length]
        self._file.read_into(begin + part[0] * self._strides[d] + self._first[d + 1], view.data)
        axes = [part, *self._axes[d + 1 :]]
        # A list is first taken as everything from its first to its last index, then picked from.
        covers = [axis if isinstance(axis, range) else range(axis[0], axis[-1] + 1) for axis in axes]
        strides = [cover.step * stride for cover, stride in zip(covers, self._strides[d:], strict=True)]
        found: NDArray[Any] = np.ndarray([len(cover) for cover in covers], out.dtype, view, strides=strides)
        picks = tuple(slice(None) if isinstance(axis, range) else np.array(axis) - axis[0] for axis in axes)
        out[...] = found[picks] if any(not isinstance(axis, range) for axis in axes) else found
