"""Records of the journal, to bytes and back. Pure.

A record: "SRJ1", length and CRC-32 of the rest (uint32), index of its first entry (uint64), root of the tree after
it (32 bytes), the entries as in a bundle. Only the last record of a journal can be torn, since each is synced
before the next is written; a bad one with a good one behind it is damage, not a crash.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.errors import IntegrityError
from ._merkle import HASH_BYTES

__all__ = ["Record", "decode_records", "encode_record"]

_MAGIC = b"SRJ1"
_HEAD = struct.Struct(">4sII")
_BODY = struct.Struct(f">Q{HASH_BYTES}s")


@dataclass(frozen=True)
class Record:
    """One commit: `entries` from index `first` on, and the tree's root after them."""

    first: int
    entries: tuple[bytes, ...]
    root: bytes


def encode_record(first: int, bundles: Iterable[bytes], root: bytes) -> list[bytes]:
    """A commit to bytes, in pieces that follow each other; its entries come encoded as in bundles."""
    pieces = [_BODY.pack(first, root), *bundles]
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return [_HEAD.pack(_MAGIC, sum(map(len, pieces)), checksum), *pieces]


def decode_records(data: bytes, *, where: str) -> list[Record]:
    """The records of a journal. A torn end is left out; IntegrityError for damage before a good record."""
    records: list[Record] = []
    at = 0
    while at < len(data):
        body = _body_at(data, at)
        if body is None:
            if _good_record_after(data, at):
                raise IntegrityError(
                    f"the journal is damaged at byte {at}",
                    where=where,
                    next="restore it from a copy; what follows the damage was acknowledged",
                )
            break
        records.append(_decode_body(body, where))
        at += _HEAD.size + len(body)
    return records


def _body_at(data: bytes, at: int) -> bytes | None:
    if at + _HEAD.size > len(data):
        return None
    magic, length, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    if magic != _MAGIC or length < _BODY.size or start + length > len(data):
        return None
    body = data[start : start + length]
    return body if zlib.crc32(body) == checksum else None


def _good_record_after(data: bytes, at: int) -> bool:
    """Entries are JSON without control characters, so none of them can hold what reads like a record's head."""
    at = data.find(_MAGIC, at + 1)
    while at >= 0:
        if _body_at(data, at) is not None:
            return True
        at = data.find(_MAGIC, at + 1)
    return False


def _decode_body(body: bytes, where: str) -> Record:
    first, root = _BODY.unpack_from(body)
    entries, at = [], _BODY.size
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        at += 2 + size
        if at > len(body):
            raise IntegrityError("a record of the journal does not hold what it says", where=where)
        entries.append(body[at - size : at])
    return Record(first, tuple(entries), root)
