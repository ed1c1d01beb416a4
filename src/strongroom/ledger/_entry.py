"""Entries: RFC 8785 canonical JSON of `{"type", "time", "writer", "body"}`, at most 65,535 bytes.

What is hashed is exactly these bytes, so one entry has one form and nobody can argue about another. Writers'
entries are made canonical once, where they come in; from there on everything refuses what is not canonical.

>>> encode_entry(Entry(type="strongroom.test/1", time="2026-11-01T09:30:00.123Z", writer="w", body={"n": 1}))
b'{"body":{"n":1},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"w"}'
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..core.errors import InputError
from ..core.records import Entry
from ._tiles import MAX_ENTRY_BYTES

__all__ = ["MAX_DEPTH", "RESERVED", "canonicalise", "check_entry", "decode_entry", "encode_entry"]

RESERVED = "strongroom.ledger."
"""Types that the ledger alone writes: key rotations and counted refusals."""
MAX_DEPTH = 32
"""How deep a body may be nested."""
MAX_INTEGER = 2**53 - 1
"""RFC 8785 knows no larger integers (I-JSON, RFC 7493, section 2.2)."""
MAX_INPUT_BYTES = 8 * MAX_ENTRY_BYTES
"""How long the text of one entry may be before it is made canonical: escapes shrink."""
_TYPE = re.compile(r"strongroom\.[a-z][a-z0-9_.-]*/[1-9][0-9]*")
_MILLISECONDS = re.compile(r"\.[0-9]{3}Z")
_Integer = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_Value: Any = _Integer | str | bool | None
for _ in range(4):
    _Value = _Integer | str | bool | None | list[_Value] | dict[str, _Value]


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An entry without fractions and not deeply nested: all but a few. msgspec then writes what RFC 8785 says."""

    body: dict[str, _Value]
    time: Annotated[str, Meta(min_length=24, max_length=24)]
    type: Annotated[str, Meta(max_length=100)]
    writer: Annotated[str, Meta(min_length=1, max_length=255)]


_decoder = msgspec.json.Decoder(_Plain)
_encoder = msgspec.json.Encoder(order="sorted")


def encode_entry(entry: Entry) -> bytes:
    """The canonical bytes of an entry. Raises InputError for one that cannot be on record."""
    try:
        data = _encoder.encode(entry)
        if b"null" in data:  # what msgspec makes of NaN too
            _check_finite(entry.body)
    except (TypeError, ValueError, RecursionError) as error:
        raise _bad(f"it is no JSON: {error}") from None
    return data if _is_plain(data) else canonicalise(data)


def canonicalise(text: bytes, *, where: str = "") -> bytes:
    """Any JSON text of an entry to its canonical bytes. Raises InputError."""
    if len(text) > MAX_INPUT_BYTES:
        raise _bad(f"it is longer than {MAX_INPUT_BYTES:,} bytes", where)
    return text if _is_plain(text) else _canonical(text, where)


def check_entry(data: bytes, *, where: str = "") -> None:
    """Raises InputError unless `data` is the canonical form of an entry."""
    if not _is_plain(data) and (len(data) > MAX_ENTRY_BYTES or _canonical(data, where) != data):
        raise _bad("it is not in canonical form (RFC 8785)", where, "'strongroom ledger append' makes it so")


def decode_entry(data: bytes, *, where: str = "") -> Entry:
    """Canonical bytes to an entry. Raises InputError."""
    check_entry(data, where=where)
    return msgspec.json.decode(data, type=Entry)


def _is_plain(data: bytes) -> bool:
    """Whether the bytes are canonical, told the fast way. False also means: not to be told this way.

    Beyond ASCII, msgspec orders keys by code point and RFC 8785 by UTF-16; fractions are written differently. The
    type above has no place for fractions, so neither gets past here.
    """
    if not data or len(data) > MAX_ENTRY_BYTES or not data.isascii():
        return False
    try:
        plain = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return bool(_encoder.encode(plain) == data) and _is_type(plain.type) and _is_time(plain.time)


def _canonical(text: bytes, where: str) -> bytes:
    import rfc8785

    try:
        value = json.loads(text.decode(), object_pairs_hook=_distinct, parse_float=_float, parse_constant=_no_constant)
        _check_depth(value, MAX_DEPTH)
        _check_shape(value)
        data: bytes = rfc8785.dumps(value)
    except RecursionError:
        raise _bad(f"it is nested deeper than {MAX_DEPTH}", where) from None
    except InputError as error:
        error.where = where
        raise
    except (ValueError, rfc8785.CanonicalizationError) as error:  # ValueError: JSON, UTF-8, digits without end
        raise _bad(f"it is no JSON: {str(error)[:200]}", where) from None
    if len(data) > MAX_ENTRY_BYTES:
        raise _bad(f"it has {len(data):,} bytes, more than {MAX_ENTRY_BYTES:,}", where)
    return data


def _check_shape(value: Any) -> None:
    if not isinstance(value, dict) or set(value) != {"type", "time", "writer", "body"}:
        raise _bad("it needs exactly the keys type, time, writer and body")
    kind, time, writer = value["type"], value["time"], value["writer"]
    if not isinstance(kind, str) or not _is_type(kind):
        raise _bad("its type does not read like strongroom.access/1")
    if not isinstance(time, str) or not _is_time(time):
        raise _bad("its time does not read like 2026-11-01T09:30:00.123Z")
    if not isinstance(writer, str) or not 0 < len(writer) <= 255:
        raise _bad("its writer is no name")
    if not isinstance(value["body"], dict):
        raise _bad("its body is no object")


@lru_cache(maxsize=1024)
def _is_type(text: str) -> bool:
    return len(text) <= 100 and _TYPE.fullmatch(text) is not None


def _is_time(text: str) -> bool:
    return _MILLISECONDS.fullmatch(text, 19) is not None and _is_second(text[:19])


@lru_cache(maxsize=1024)
def _is_second(text: str) -> bool:
    try:
        return text.isascii() and datetime.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _check_depth(value: Any, left: int) -> None:
    if not left:
        raise RecursionError
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return value


def _float(text: str) -> float:
    """RFC 8785 writes 1e16 without exponent, and then it would be too large an integer for everyone who reads it."""
    value = float(text)
    if MAX_INTEGER < abs(value) < 1e21:
        raise ValueError(f"{text[:40]} is larger than any integer that RFC 8785 knows")
    return value


def _check_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _check_finite(item)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _bad(what: str, where: str = "", next: str = "") -> InputError:
    return InputError(f"this cannot be an entry: {what}", where=where, next=next)
