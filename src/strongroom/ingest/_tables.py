"""Rows of CSV and Parquet to records: one JSON object a row, its columns as keys."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from strongroom.core.errors import InputError

from ._documents import MAX_RECORD
from ._streams import FREE_EXPANSION, MAX_EXPANSION

__all__ = ["Item", "csv_rows", "parquet_rows"]

MAX_PIPED = 256 << 20
"""Bytes of a Parquet file that cannot be read from its place, because it comes through a pipe or is compressed."""
_BATCH_ROWS = 1024

Item = tuple[int, bytes | None, str, str]
"""(place, record or None, reason, detail)."""


def csv_rows(stream: BinaryIO) -> Iterator[Item]:
    """Rows under the names of the first. Text that is not UTF-8 spoils its row alone."""
    csv.field_size_limit(2 * MAX_RECORD)  # _CsvLines bounds the whole row
    lines = _CsvLines(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    rows = csv.reader(lines)
    header: list[str] | None = None
    for place in itertools.count(1):
        lines.begin_row()
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield place, None, "row too long" if lines.too_long else "not CSV", str(error)
            continue
        if row is None:
            return
        if header is None:
            header = _distinct(row)
        elif row and len(row) != len(header):
            yield place, None, "wrong number of columns", f"{len(row)} instead of {len(header)}"
        elif row:
            yield _record(place, dict(zip(header, row, strict=True)))


class _CsvLines:
    """Lines for csv.reader, which puts those of one row together; a row that is too long is passed over.

    Passed over to its true end: what stands behind a bound inside a quoted field is the field's, not a new row.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.begin_row()

    def begin_row(self) -> None:
        self._size = 0
        self._quoted = False
        self.too_long = False

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        line = self._line()
        if self._size > MAX_RECORD:
            self.too_long = True
            while line and (self._quoted or not line.endswith(("\n", "\r"))):
                line = self._line()
            raise csv.Error(f"more than {MAX_RECORD} characters")
        if not line:
            raise StopIteration
        return line

    def _line(self) -> str:
        line = self._text.readline(MAX_RECORD + 1)
        self._size += len(line)
        self._quoted ^= line.count('"') % 2 == 1
        return line


def _distinct(names: list[str]) -> list[str]:
    """The second column of a name becomes `name.2`, so that the first is the one that the name means."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return distinct


def parquet_rows(stream: io.BufferedReader) -> Iterator[Item]:
    """Rows of a Parquet file. Raises InputError when it is damaged, after the rows that could be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source: Any = stream
    if not stream.seekable():
        source = io.BytesIO(stream.read(MAX_PIPED))
        if stream.read(1):
            raise InputError("Parquet file too large for a pipe", next="decompress it and name the file itself")
    size = source.seek(0, io.SEEK_END)
    source.seek(0)
    place, given = 0, 0
    try:
        for batch in pq.ParquetFile(source, pre_buffer=False).iter_batches(batch_size=_BATCH_ROWS):
            for row in _rows(batch):
                place += 1
                item = row if isinstance(row, str) else _record(place, row)
                if isinstance(item, str):
                    yield place, None, item, ""
                    continue
                given += len(item[1] or b"")
                if given > FREE_EXPANSION and given > MAX_EXPANSION * size:
                    raise InputError("expands too much", next=f"more than {MAX_EXPANSION} times its size")
                yield item
    except (pa.ArrowException, OSError) as error:
        raise InputError("not a Parquet file" if not place else "damaged Parquet file", next=str(error)) from None


def _rows(batch: Any) -> Iterator[dict[str, Any] | str]:
    """Each row, or what is wrong with it."""
    batch = _in_microseconds(batch)
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):  # one of the rows is bad: which?
        for i in range(batch.num_rows):
            try:
                yield batch.slice(i, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield "invalid UTF-8"
            except (ValueError, OverflowError):
                yield "value out of range"


def _in_microseconds(batch: Any) -> Any:
    """Python's times have no nanoseconds."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.timestamp("us", field.type.tz))
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
        else field
        for field in batch.schema
    ]
    return batch.cast(pa.schema(fields), safe=False)


def _record(place: int, row: dict[str, Any]) -> Item:
    try:
        return place, msgspec.json.encode(row), "", ""
    except UnicodeEncodeError:
        return place, None, "invalid UTF-8", ""
    except (TypeError, ValueError, OverflowError, RecursionError):
        return place, json.dumps(row, default=str).encode(), "", ""
