"""The header of a safetensors file: which tensors there are, and where each one's bytes are. It trusts nothing in it.

    file = N (8 bytes, little-endian) | header (N bytes of JSON) | tensors, one behind the other without a gap

    {"__metadata__": {"format": "pt"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}

Source: the format's description in the README of huggingface/safetensors, and what safetensors 0.8 does where that is
silent. Stricter than safetensors, which takes these: a name that stands twice (the last one counts), a tensor as an
array instead of an object, more than 64 dimensions or sizes that no array can have.

>>> header = b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}'
>>> parse_header(header, data_begin=8 + len(header), length=8 + len(header) + 3, where="x").tensors["a"].begin
61
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..core.errors import InputError
from ._parts import File

__all__ = ["BITS", "MAX_HEADER_BYTES", "Header", "Tensor", "parse_header", "quoted", "read_header"]

MAX_HEADER_BYTES = 100_000_000
"""As in safetensors."""
MAX_DIMENSIONS = 64
"""More than numpy and torch can have."""
MAX_NUMBER = 2**63 - 1
"""Of a dimension, an offset, or a tensor's bytes."""
FIRST_READ = 64 * 1024
"""Bytes read at once for N and the header; most headers are shorter, so that one read is enough."""
SHOWN = 80
"""Characters of a name that stand in an error."""

BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Of one element, by dtype: every dtype that safetensors 0.8 knows."""


class Tensor(msgspec.Struct, frozen=True):
    """One tensor. `begin` and `end` count bytes from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(msgspec.Struct, frozen=True):
    """`tensors` by name, in the order of their bytes (tensors without bytes: by name); `metadata` None where absent."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str] | None


_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]


class _Info(msgspec.Struct, frozen=True, gc=False):
    dtype: str
    shape: Annotated[tuple[_Number, ...], msgspec.Meta(max_length=MAX_DIMENSIONS)]
    data_offsets: tuple[_Number, _Number]


class _Name:
    """A key of a JSON object. Two of them never compare equal, so that a key that stands twice is there twice."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _hook(kind: type, value: Any) -> Any:
    if kind is _Name:
        return _Name(value)
    raise NotImplementedError


_OBJECT = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=_hook)
_METADATA = msgspec.json.Decoder(dict[_Name, str] | None, dec_hook=_hook)
_INFO = msgspec.json.Decoder(_Info)
# A str with invalid UTF-8 and a number of very many digits are ValueErrors, deep nesting is a RecursionError.
_MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)


def quoted(name: str) -> str:
    """A tensor's name for an error: its beginning, with what would steer a terminal escaped."""
    return repr(name if len(name) <= SHOWN else name[:SHOWN] + "…")


def read_header(file: File) -> Header:
    """Reads and checks the header. Raises InputError where `file` is no safetensors file, and what `file` raises."""
    first = bytearray(min(file.length, FIRST_READ))
    if len(first) < 8:
        raise InputError("not a safetensors file: shorter than 8 bytes", where=file.name)
    file.read_into(0, memoryview(first))
    size = int.from_bytes(first[:8], "little")
    if size > MAX_HEADER_BYTES:
        raise InputError(
            f"not a safetensors file: its header would have {size:,} bytes, more than {MAX_HEADER_BYTES:,}",
            where=file.name,
        )
    if 8 + size > file.length:
        raise InputError(f"truncated: its header of {size:,} bytes goes past the end of the file", where=file.name)
    text = first[8 : 8 + size]
    if len(text) < size:
        rest = bytearray(size - len(text))
        file.read_into(len(first), memoryview(rest))
        text += rest
    return parse_header(text, data_begin=8 + size, length=file.length, where=file.name)


def parse_header(text: bytes | bytearray, *, data_begin: int, length: int, where: str) -> Header:
    """Checks a header of a file of `length` bytes whose tensors begin at `data_begin`.

    Raises InputError for what is not JSON of the format, a name that stands twice, an unknown dtype, and tensors that
    overlap, leave a gap, go past the end, stop short of it, or whose bytes are not what shape and dtype ask for.
    """
    where = f"{where}: header"
    try:
        entries = _unique(_OBJECT.decode(text), where)
        metadata = _metadata(entries.pop("__metadata__", None), where)
    except _MALFORMED as error:
        raise InputError(f"not a safetensors file: {error}", where=where) from error
    tensors = sorted(
        (_tensor(name, raw, data_begin, f"{where}, tensor {quoted(name)}") for name, raw in entries.items()),
        key=lambda tensor: (tensor.begin, tensor.end, tensor.name),
    )
    _check_cover(tensors, data_begin, length, where)
    return Header({tensor.name: tensor for tensor in tensors}, metadata)


def _unique(pairs: dict[_Name, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs.items():
        if name.text in found:
            raise InputError(f"{quoted(name.text)} stands twice", where=where)
        found[name.text] = value
    return found


def _metadata(raw: msgspec.Raw | None, where: str) -> dict[str, str] | None:
    if raw is None:
        return None
    pairs = _METADATA.decode(raw)
    return None if pairs is None else _unique(pairs, f"{where}, __metadata__")


def _tensor(name: str, raw: msgspec.Raw, data_begin: int, where: str) -> Tensor:
    try:
        _unique(_OBJECT.decode(raw), where)
        info = _INFO.decode(raw)
    except _MALFORMED as error:
        raise InputError(f"not a safetensors file: {error}", where=where) from error
    begin, end = info.data_offsets
    if end < begin:
        raise InputError(f"ends at {end}, before it begins, at {begin}", where=where)
    needed = _bytes_needed(info, where)
    if end - begin != needed:
        shape = list(info.shape)
        raise InputError(f"has {end - begin} bytes; {info.dtype} of shape {shape} has {needed}", where=where)
    return Tensor(name, info.dtype, info.shape, data_begin + begin, data_begin + end)


def _bytes_needed(info: _Info, where: str) -> int:
    bits = BITS.get(info.dtype)
    if bits is None:
        raise InputError(f"unknown dtype {quoted(info.dtype)}", where=where, next=f"known are {', '.join(BITS)}")
    # Python's integers do not overflow. What overflows an array's 63 bits is refused even where a dimension of 0 makes
    # the product 0: no array of either framework can have such strides.
    size = bits
    for dimension in info.shape:
        size *= dimension or 1
    if size > 8 * MAX_NUMBER:
        raise InputError(f"shape {list(info.shape)} is larger than any array", where=where)
    if 0 in info.shape:
        return 0
    if size % 8:
        raise InputError(f"{info.dtype} of shape {list(info.shape)} ends within a byte", where=where)
    return size // 8


def _check_cover(tensors: list[Tensor], data_begin: int, length: int, where: str) -> None:
    """Every byte behind the header belongs to exactly one tensor."""
    at = data_begin
    for tensor in tensors:
        if tensor.begin != at:
            wrong = "overlaps the tensor before it" if tensor.begin < at else "leaves a gap before it"
            raise InputError(
                f"{wrong}: it begins at {tensor.begin - data_begin}, not at {at - data_begin}",
                where=f"{where}, tensor {quoted(tensor.name)}",
            )
        at = tensor.end
    if at != length:
        wrong = "go past the end of" if at > length else "do not fill"
        raise InputError(
            f"its tensors of {at - data_begin:,} bytes {wrong} a file with {length - data_begin:,} behind the header",
            where=where,
            next="fetch the file again" if at > length else "",
        )
