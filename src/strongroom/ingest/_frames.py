"""A stream of bytes to records: lines, the values of a JSON document, or the rows of a table.

The kind is recognised from the content. Whatever is wrong with one record is told beside its place, and the
next record is read.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgspec

from strongroom.core.errors import InputError

from .reader import MAX_DEPTH

__all__ = ["MAX_RECORD", "Chunk", "frames", "sample"]

MAX_RECORD = 32 << 20
"""Bytes of one record. Longer ones are passed over, not kept in memory."""
CHUNK_BYTES = 1 << 20
CHUNK_RECORDS = 4096
SNIFF = 1 << 16


@dataclass
class Chunk:
    """Records of one source, in order, with their places (line, element or row, from 1)."""

    records: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    """(place, reason, detail) of what could not be framed."""


def frames(stream: BinaryIO) -> Iterator[Chunk]:
    """All records of the stream, in chunks of bounded size. Raises InputError when the whole is no log."""
    head = stream.peek(SNIFF)[:SNIFF] if hasattr(stream, "peek") else b""
    if head[:4] == b"PAR1":
        yield from _gather(_parquet(stream))
        return
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("UTF-16 text", next="convert it to UTF-8")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text and not head:
        raise InputError("empty")
    # Logs hold no NUL outside of damage; binary files begin with some.
    if head[:512].count(0) > 8 or head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"PK\x03\x04", b"%PDF")):
        raise InputError("not a text log")
    if _is_csv(text):
        yield from _gather(_csv(stream))
    elif _is_document(text):
        yield from _gather(_values(stream))
    else:
        yield from _lines(stream)


def sample(chunk: Chunk, most: int = 50) -> list[dict[str, Any]]:
    """The first records of a chunk that decode to objects, for recognising the format."""
    found = []
    for raw in chunk.records[: most * 4]:
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
        if len(found) == most:
            break
    return found


def _is_document(text: bytes) -> bool:
    """True when `text` begins one large JSON value rather than a line of JSON Lines."""
    if text[:1] == b"[":
        return True
    if text[:1] != b"{":
        return False
    lines = text.split(b"\n")
    if len(lines) == 1:  # one line so far: a long first line, or a short file
        return False
    for line in itertools.islice(lines[:-1], 20):
        try:
            if isinstance(msgspec.json.decode(line), dict):
                return False
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    # No line stands alone. Pretty-printed JSON breaks lines inside an object; damaged lines begin with one.
    return sum(line[:1] == b"{" for line in lines) <= 1 + len(lines) // 2


_COLUMN = re.compile(rb'"?[\w .:/#()-]{1,80}"?')


def _is_csv(text: bytes) -> bool:
    """True when the first line names columns."""
    line, end, _ = text.partition(b"\n")
    cells = line.rstrip(b"\r").split(b",")
    return bool(end) and len(cells) > 1 and all(_COLUMN.fullmatch(cell) for cell in cells)


def _lines(stream: BinaryIO) -> Iterator[Chunk]:
    """Whole blocks at once: splitting a block costs less than asking for each line."""
    number, tail, too_long = 0, b"", False
    while True:
        block = stream.read(CHUNK_BYTES)
        if not block:
            break
        pieces = block.split(b"\n")
        chunk = Chunk()
        if too_long and len(pieces) > 1:  # the end of a line that was given up
            number, too_long = number + 1, False
            chunk.bad.append((number, "line too long", f"more than {MAX_RECORD} bytes"))
            pieces = pieces[1:]
            tail = b""
        elif too_long:
            continue
        pieces[0] = tail + pieces[0]
        tail = pieces.pop()
        for piece in pieces:
            number += 1
            if piece and not piece.isspace():
                chunk.records.append(piece)
                chunk.places.append(number)
        too_long = len(tail) > MAX_RECORD
        if too_long:
            tail = b""
        if number <= len(pieces) and chunk.records:
            chunk.records[0] = chunk.records[0].removeprefix(codecs.BOM_UTF8)
        if chunk.records or chunk.bad:
            yield chunk
    last = Chunk()
    if too_long:
        last.bad.append((number + 1, "line too long", f"more than {MAX_RECORD} bytes"))
    elif tail.strip():
        last.records.append(tail.removeprefix(codecs.BOM_UTF8) if number == 0 else tail)
        last.places.append(number + 1)
    if last.records or last.bad:
        yield last


Item = tuple[int, bytes | None, str, str]
"""(place, record or None, reason, detail)."""


def _gather(items: Iterator[Item]) -> Iterator[Chunk]:
    chunk, size = Chunk(), 0
    for place, record, reason, detail in items:
        if record is None:
            chunk.bad.append((place, reason, detail))
        else:
            chunk.records.append(record)
            chunk.places.append(place)
            size += len(record)
        if size >= CHUNK_BYTES or len(chunk.records) + len(chunk.bad) >= CHUNK_RECORDS:
            yield chunk
            chunk, size = Chunk(), 0
    if chunk.records or chunk.bad:
        yield chunk


# Outside strings only brackets matter; a string is skipped whole. A lone quote begins a string that goes on.
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}"]', re.DOTALL)


def _values(stream: BinaryIO) -> Iterator[Item]:
    splitter = _ValueSplitter()
    places = itertools.count(1)
    while block := stream.read(CHUNK_BYTES):
        for record in splitter.feed(block):
            yield next(places), record, "", ""
    if splitter.unfinished:
        yield next(places), None, "truncated JSON", "the document ends inside a record"


class _ValueSplitter:
    """Cuts the objects out of a JSON array, or out of values written one after the other.

    Holds one record at a time, never the document. Commas and numbers between objects are passed over.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._start = -1  # where the current record begins in the buffer; -1 between records
        self._depth = 0
        self._base = 0  # arrays around the records

    @property
    def unfinished(self) -> bool:
        """Whether the bytes so far end inside a record."""
        return self._start >= 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        """The records that end in this block. Raises InputError when the whole is no JSON."""
        self._buffer += block
        resume = len(self._buffer)
        for match in _TOKENS.finditer(self._buffer, self._scanned):
            token = match[0]
            if token == b'"':  # a string that goes on in the next block: look at it again then
                resume = match.start()
                break
            if token in (b"[", b"{"):
                self._open(token, match.start())
            elif token in (b"]", b"}") and self._close():
                yield self._buffer[self._start : match.end()]
                self._start = -1
        kept = self._start if self._start >= 0 else resume
        self._buffer, self._scanned = self._buffer[kept:], resume - kept
        self._start = min(self._start, 0)
        if len(self._buffer) > MAX_RECORD:
            raise InputError("record too long", next=f"more than {MAX_RECORD} bytes")

    def _open(self, token: bytes, at: int) -> None:
        if self._start < 0 and self._depth == self._base:
            if token == b"[":
                self._base += 1
            else:
                self._start = at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InputError("nested too deep", next=f"more than {MAX_DEPTH} levels")

    def _close(self) -> bool:
        self._depth -= 1
        if self._depth < 0:
            raise InputError("not JSON", next="a bracket closes that was never opened")
        if self._start >= 0:
            return self._depth == self._base
        self._base = min(self._base, self._depth)
        return False


def _csv(stream: BinaryIO) -> Iterator[Item]:
    csv.field_size_limit(MAX_RECORD)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    rows = csv.reader(text)
    header: list[str] | None = None
    for place in itertools.count(1):
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield place, None, "not CSV", str(error)
            continue
        if row is None:
            return
        if header is None:
            header = row
        elif len(row) != len(header):
            yield place, None, "wrong number of columns", f"{len(row)} instead of {len(header)}"
        else:
            yield _row(place, dict(zip(header, row, strict=True)))


def _parquet(stream: BinaryIO) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not stream.seekable():
            stream = io.BytesIO(stream.read(MAX_RECORD * 8))
        file = pq.ParquetFile(stream)
        place = 0
        for batch in file.iter_batches(batch_size=CHUNK_RECORDS):
            for row in batch.to_pylist():
                place += 1
                yield _row(place, row)
    except (pa.ArrowException, OSError) as error:
        raise InputError("not a Parquet file", next=str(error)) from None


def _row(place: int, row: dict[str, Any]) -> Item:
    try:
        return place, msgspec.json.encode(row), "", ""
    except UnicodeEncodeError:
        return place, None, "invalid UTF-8", ""
    except (TypeError, ValueError, RecursionError):
        return place, json.dumps(row, default=str).encode(), "", ""
