"""Tensors of a safetensors file that is read through a `File`: what `safetensors.safe_open` is for a path.

    with SafeOpen(file, framework="np") as tensors:
        tensors.keys(), tensors.metadata()
        tensors.get_tensor("embedding")           # read straight into the array's own memory
        tensors.get_slice("embedding")[100:200]   # reads only these rows

Methods, order of names, results and what is refused are those of safetensors 0.8. What differs:

- Errors are Strongroom's: `UsageError` for an unknown tensor, index, framework or device, for a dtype that the
  framework lacks, and for use after `close`; `InputError` for a file that is not one; what the `File` raises.
- Results never share memory with the file. A slice object does not outlive `close`.
- For numpy, slices of a dimension of size 0 are taken; safetensors refuses even `[:]`.
- For torch, an index may hold integers, slices, an ellipsis, None and one ascending list of integers. Masks, several
  lists and further tensors as index, which safetensors leaves to torch, are refused: they would need the whole tensor.
- The header is checked more strictly (`_safetensors_header`).

Which bytes a slice reads, and in what pieces, is in `_safetensors_slices`. numpy is imported with this module, torch
only where it is asked for.
"""

from __future__ import annotations

import math
import sys
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UsageError
from ._parts import File
from ._safetensors_header import BITS, Tensor, quoted, read_header
from ._safetensors_slices import read_selection, select

__all__ = ["SafeOpen", "Slice"]

# Little-endian whatever the machine is: that is how the file has them.
_NUMPY = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "C64": "<c8",
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
}
_TORCH = {
    "BOOL": "bool",
    "F4": "float4_e2m1fn_x2",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}


class _Framework(Protocol):
    """Makes a framework's arrays around memory that is filled in between."""

    strict: bool
    """Which indices are taken: see `select`."""

    def dtype(self, name: str, where: str) -> Any:
        """The framework's own. Raises UsageError where it has none."""
        ...

    def memory(self, length: int) -> tuple[Any, NDArray[np.uint8]]:
        """A one-dimensional array of `length` bytes, and the same memory for numpy."""
        ...

    def array(self, memory: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        """`memory` as an array of that dtype and shape, where the user wants it."""
        ...


class _Numpy:
    strict = True

    def __init__(self, device: str | int, where: str) -> None:
        if device != "cpu":
            raise UsageError(f"device {device!r} is not supported for numpy", where=where, next="take framework='pt'")

    def dtype(self, name: str, where: str) -> np.dtype[Any]:
        try:
            # numpy knows bfloat16 by name once the package ml_dtypes has been imported, as in safetensors.
            return np.dtype("bfloat16" if name == "BF16" else _NUMPY[name])
        except (KeyError, TypeError) as error:
            raise UsageError(f"numpy has no type for {name}", where=where, next="take framework='pt'") from error

    def memory(self, length: int) -> tuple[Any, NDArray[np.uint8]]:
        memory = np.empty(length, np.uint8)
        return memory, memory

    def array(self, memory: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        return memory.view(dtype).reshape(shape)


class _Torch:
    strict = False

    def __init__(self, device: str | int, where: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise UsageError(
                "torch is not installed", where=where, next="install it (pip install torch) or take framework='np'"
            ) from error
        if sys.byteorder != "little":
            raise UsageError("tensors for torch are read on little-endian machines only", where=where)
        try:
            self._device = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise UsageError(f"device {device!r} is not one of torch's: {error}", where=where) from error
        self._torch: Any = torch

    def dtype(self, name: str, where: str) -> Any:
        found = getattr(self._torch, _TORCH.get(name, ""), None)
        if found is None:
            raise UsageError(f"torch {self._torch.__version__} has no type for {name}", where=where)
        return found

    def memory(self, length: int) -> tuple[Any, NDArray[np.uint8]]:
        memory = self._torch.empty(length, dtype=self._torch.uint8)
        return memory, memory.numpy()

    def array(self, memory: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        return memory.view(dtype).reshape(shape).to(self._device)


_FRAMEWORKS: dict[str, type[_Numpy | _Torch]] = {
    "np": _Numpy,
    "numpy": _Numpy,
    "pt": _Torch,
    "torch": _Torch,
    "pytorch": _Torch,
}


class SafeOpen:
    """An open safetensors file. Closes `file` when it is closed, and when the file is refused.

    `framework` is `np`, `numpy`, `pt`, `torch` or `pytorch`; `device` is `cpu`, for torch any that it has. Threads may
    share it as far as they may share `file`. Raises UsageError for framework and device, InputError for the header.
    """

    def __init__(self, file: File, framework: str = "np", device: str | int = "cpu") -> None:
        self._file: File | None = file
        self._name = file.name
        try:
            kind = _FRAMEWORKS.get(framework)
            if kind is None:
                known = ", ".join(_FRAMEWORKS)
                raise UsageError(
                    f"framework {framework!r} is not supported", where=file.name, next=f"take one of {known}"
                )
            self._framework: _Framework = kind(device, file.name)
            self._header = read_header(file)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SafeOpen:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. A second time it does nothing; everything else then raises UsageError."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def keys(self) -> list[str]:
        """The tensors' names, sorted."""
        self._open()
        return sorted(self._header.tensors)

    def offset_keys(self) -> list[str]:
        """The tensors' names in the order of their bytes; those of tensors without bytes, where equal, sorted."""
        self._open()
        return list(self._header.tensors)

    def metadata(self) -> dict[str, str] | None:
        """What the header's `__metadata__` holds; None where there is none."""
        self._open()
        return None if self._header.metadata is None else dict(self._header.metadata)

    def get_tensor(self, name: str) -> Any:
        """The whole tensor. Raises UsageError for the name or a dtype that the framework lacks; what `file` raises."""
        file, tensor, where = self._find(name)
        dtype = self._framework.dtype(tensor.dtype, where)
        shape = _stored_shape(tensor, where)
        memory, view = self._framework.memory(tensor.end - tensor.begin)
        if len(view):
            file.read_into(tensor.begin, view.data)
        return self._framework.array(memory, dtype, shape)

    def get_tensors(self) -> dict[str, Any]:
        """Every tensor by name, in the order of their bytes. Raises what `get_tensor` raises."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> Slice:
        """A tensor that is read when it is indexed. Raises UsageError for the name."""
        self._find(name)
        return Slice(self, name)

    def _open(self) -> File:
        if self._file is None:
            raise UsageError("the file is closed", where=self._name)
        return self._file

    def _find(self, name: str) -> tuple[File, Tensor, str]:
        file = self._open()
        tensor = self._header.tensors.get(name)
        if tensor is None:
            message = f"the file has no tensor {quoted(str(name))}"
            raise UsageError(message, where=self._name, next="keys() lists them")
        return file, tensor, f"{self._name}: tensor {quoted(name)}"

    def _read(self, name: str, index: Any) -> Any:
        file, tensor, where = self._find(name)
        if BITS[tensor.dtype] < 8:
            raise UsageError(f"{tensor.dtype} cannot be sliced", where=where, next="take get_tensor")
        dtype = self._framework.dtype(tensor.dtype, where)
        selection = select(index, tensor.shape, strict=self._framework.strict, where=where)
        counts = [len(axis) for axis in selection.axes]
        width = BITS[tensor.dtype] // 8
        memory, view = self._framework.memory(math.prod(counts) * width)
        read_selection(file, tensor.begin, tensor.shape, selection.axes, view.view(f"u{width}").reshape(counts))
        return self._framework.array(memory, dtype, selection.shape)


class Slice:
    """A tensor of an open file. Indexing it reads the elements asked for; what an index may be, `select` says."""

    def __init__(self, opened: SafeOpen, name: str) -> None:
        self._opened, self._tensor_name = opened, name

    def get_shape(self) -> list[int]:
        """As the header has it."""
        return list(self._opened._find(self._tensor_name)[1].shape)

    def get_dtype(self) -> str:
        """As the header has it: `F32`, `BF16`, …"""
        return self._opened._find(self._tensor_name)[1].dtype

    def __getitem__(self, index: Any) -> Any:
        """The elements. Raises UsageError for an index that is not taken or out of range; what the file raises."""
        return self._opened._read(self._tensor_name, index)


def _stored_shape(tensor: Tensor, where: str) -> tuple[int, ...]:
    """The shape of the array. torch packs two elements of F4 into one, along the last dimension."""
    if tensor.dtype != "F4":
        return tensor.shape
    if tensor.shape[-1] % 2:
        raise UsageError(f"torch has F4 only with an even last dimension, not {list(tensor.shape)}", where=where)
    return (*tensor.shape[:-1], tensor.shape[-1] // 2)
