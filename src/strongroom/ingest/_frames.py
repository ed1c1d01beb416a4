"""A stream of bytes to records: lines, the values of a JSON document, or the rows of a table.

The kind is recognised from the content. Whatever is wrong with one record is told beside its place, and the
next record is read.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from strongroom.core.errors import InputError

from ._documents import MAX_RECORD, ValueSplitter
from ._tables import Item, csv_rows, parquet_rows

__all__ = ["MAX_RECORD", "Chunk", "Kind", "frames", "kind_of", "lines", "sample", "skip_mark"]

Kind = Literal["parquet", "csv", "document", "lines"]

CHUNK_BYTES = 1 << 20
CHUNK_RECORDS = 4096
SNIFF_LINES = 20


@dataclass
class Chunk:
    """Records of one source, in order, with their places (line, element or row, from 1)."""

    records: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    """(place, reason, detail) of what could not be framed."""


# Files in which one object holds all records in an array: CloudTrail's, Azure's and Google's exports.
_ENVELOPE = re.compile(rb'\s*\{\s*"(?:Records|records|value|entries|items)"\s*:\s*(?=\[)')


def frames(stream: io.BufferedReader) -> Iterator[Chunk]:
    """All records of the stream, in chunks of bounded size.

    Raises InputError when the whole is no log, or when it cannot be read on, after what could be read.
    """
    kind = kind_of(stream.peek(CHUNK_BYTES))
    if kind == "parquet":
        yield from _gather(parquet_rows(stream))
        return
    skip_mark(stream)
    if kind == "csv":
        yield from _gather(csv_rows(stream))
    elif kind == "document":
        yield from _gather(_values(stream))
    else:
        yield from lines(stream)


def kind_of(head: bytes) -> Kind:
    """What the first bytes of a log begin. Raises InputError when it is none."""
    if not head:
        raise InputError("empty")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("UTF-16 text", next="convert it to UTF-8")
    # Logs hold no NUL outside of damage; binary files begin with some.
    if head[:512].count(0) > 8 or head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"PK\x03\x04", b"%PDF")):
        raise InputError("not a text log")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if _ENVELOPE.match(text):
        return "document"
    if _is_csv(text):
        return "csv"
    return "document" if _is_document(text) else "lines"


def skip_mark(stream: io.BufferedReader) -> None:
    """Passes over a byte order mark."""
    if stream.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))


def sample(chunk: Chunk, most: int = 50) -> list[dict[str, Any] | bytes]:
    """The first records of a chunk, for recognising the format: objects, and as they are lines that begin none."""
    found: list[dict[str, Any] | bytes] = []
    for raw in chunk.records[: most * 4]:
        if raw[:1].isalpha():
            found.append(raw)
            continue
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
    """True when `text` begins a JSON array, or objects that do not stand one to a line."""
    if text[:1] not in (b"{", b"[", b"\x1e"):  # 0x1e begins each record of a JSON text sequence (RFC 7464)
        return False
    lines = text.split(b"\n", SNIFF_LINES)
    if len(lines) > 1:
        lines.pop()  # not at its end, or beyond the sample
    lines = [line for line in lines if line.strip()]
    alone = sum(_stands_alone(line) for line in lines)
    if text[:1] != b"{":
        # A truncated first line may begin with a bracket; then the lines after it stand alone.
        return 2 * alone <= len(lines) - 1 or not alone
    if 2 * alone >= len(lines):
        return False
    if any(_runs_on(line) for line in lines):
        return True
    # No line stands alone. Pretty-printed JSON breaks lines inside an object; damaged lines begin with one.
    return len(lines) > 1 and sum(line[:1] == b"{" for line in lines) <= 1 + len(lines) // 2


def _stands_alone(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _runs_on(line: bytes) -> bool:
    """True when another object begins where the line's first one ends."""
    splitter = ValueSplitter()
    whole = sum(record is not None for record, _ in splitter.feed(line))
    return whole > 1 or (whole == 1 and any(splitter.end()))


_COLUMN = re.compile(rb'"?[\w .:/#()-]{1,80}"?')


def _is_csv(text: bytes) -> bool:
    """True when the first line names columns."""
    line, end, _ = text.partition(b"\n")
    cells = line.rstrip(b"\r").split(b",")
    return bool(end) and len(cells) > 1 and all(_COLUMN.fullmatch(cell) for cell in cells)


def lines(stream: io.BufferedReader, number: int = 0) -> Iterator[Chunk]:
    """The lines after line `number`. Whole blocks at once: splitting a block costs less than asking for each line."""
    tail, too_long = b"", False
    while block := stream.read1(CHUNK_BYTES):
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
        if chunk.records or chunk.bad:
            yield chunk
    last = Chunk()
    if too_long:
        last.bad.append((number + 1, "line too long", f"more than {MAX_RECORD} bytes"))
    elif tail.strip():
        last.records.append(tail)
        last.places.append(number + 1)
    if last.records or last.bad:
        yield last


def _values(stream: io.BufferedReader) -> Iterator[Item]:
    envelope = _ENVELOPE.match(stream.peek(CHUNK_BYTES))
    if envelope:
        stream.read(envelope.end())
    splitter = ValueSplitter(inside=envelope is not None)
    places = itertools.count(1)
    while block := stream.read1(CHUNK_BYTES):
        for record, wrong in splitter.feed(block):
            yield next(places), record, wrong, ""
    for record, wrong in splitter.end():
        yield next(places), record, wrong, "the document ends inside a record"


def _gather(items: Iterator[Item]) -> Iterator[Chunk]:
    """Items in chunks. What comes before an error is given before the error is raised."""
    chunk, size = Chunk(), 0
    failed: InputError | OSError | None = None
    try:
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
    except (InputError, OSError) as error:
        failed = error
    if chunk.records or chunk.bad:
        yield chunk
    if failed is not None:
        raise failed
