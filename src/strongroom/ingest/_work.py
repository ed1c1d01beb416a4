"""What one process does with one chunk of records: decode, sketch, and give back rows. Holds no files."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange, LoggedAccess
from strongroom.sketch import Sketcher

from ._columns import access_batch, to_batch
from ._keys import text_key
from .reader import JoiningReader, Reader
from .readers._fields import CUT

Row = TypeVar("Row")

__all__ = ["Job", "Outcome", "Settings", "prepare", "work"]

MAX_ROWS = 10_000
"""From one record; an export request of a collector holds hundreds."""


@dataclass(frozen=True)
class Settings:
    """What is the same for every chunk of a run."""

    key: bytes = field(repr=False)
    keep_text: bool = False
    since: int | None = None
    until: int | None = None
    """Microseconds since 1970; `until` is the first instant that is left out."""


@dataclass(frozen=True)
class Job:
    """Records of one source that are not known yet."""

    source: str
    reader: Reader
    records: list[bytes]
    places: list[int]
    line_keys: list[int]
    before: list[bytes] = field(default_factory=list)
    """For a JoiningReader: records that stood before these. They give no rows."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    batch: pa.RecordBatch
    """Exchanges."""
    access: pa.RecordBatch
    """Access events."""
    rejects: list[tuple[int, str, str]]
    """(place, reason, detail)."""
    outside: int
    """Exchanges and access events before `since` or from `until` on."""
    not_exchanges: int
    """Records of another kind, which the format carries too."""
    cut: int
    """Access events whose record had more than is kept of it."""


class _Rows(Generic[Row]):
    """Rows of one kind with where they stood and how they are known again."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.places: list[int] = []
        self.line_keys: list[int] = []
        self.record_keys: list[int] = []

    def add(self, row: Row, place: int, line_key: int, record_key: int) -> None:
        self.rows.append(row)
        self.places.append(place)
        self.line_keys.append(line_key)
        self.record_keys.append(record_key)

    def columns(self) -> dict[str, Any]:
        return {
            "places": self.places,
            "line_keys": np.array(self.line_keys, dtype=np.int64),
            "record_keys": np.array(self.record_keys, dtype=np.int64),
        }


_settings: Settings
_sketcher: Sketcher


def prepare(settings: Settings, parent: int = 0) -> None:
    """Readies this process for `work`. `parent`: end when that process is gone; then Ctrl-C is its affair too."""
    global _settings, _sketcher  # noqa: PLW0603 # a pool's initializer has nowhere else to put it
    if globals().get("_settings") == settings:
        return
    _settings = settings
    _sketcher = Sketcher(settings.key)
    if parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    # A killed parent cannot tell its workers; without this they would wait for ever.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def work(job: Job) -> Outcome:
    """Decodes and sketches the records of a job. A bad record is an entry in `rejects`, never an exception."""
    exchanges: _Rows[Exchange] = _Rows()
    accesses: _Rows[LoggedAccess] = _Rows()
    rejects: list[tuple[int, str, str]] = []
    outside = not_exchanges = 0
    since = _settings.since if _settings.since is not None else -(1 << 62)
    until = _settings.until if _settings.until is not None else 1 << 62
    key, name = _settings.key, job.reader.name
    for raw, place, line_key in zip(job.records, job.places, job.line_keys, strict=True):
        found, wrong = _read(job.reader, raw)
        if wrong:
            rejects.append((place, *wrong))
        else:
            not_exchanges += not found
        inside = [since <= row.time < until for row in found]
        stored_key = line_key
        if not all(inside):
            outside += len(inside) - sum(inside)
            # The line is not known until all of it is stored, because the window may be widened.
            stored_key = text_key(f"{line_key}\0part", key)
        for ordinal, row in enumerate(found):
            if not inside[ordinal]:
                continue
            if isinstance(row, Exchange):
                exchanges.add(row, place, stored_key, _record_key(row.account, row.id, line_key, ordinal, key))
            else:
                # By the format, so that a record of another log cannot keep this one out.
                accesses.add(row, place, stored_key, _record_key(f"access\0{name}", row.id, line_key, ordinal, key))
    if isinstance(job.reader, JoiningReader):
        before = [row for raw in job.before for row in _read(job.reader, raw)[0] if isinstance(row, LoggedAccess)]
        job.reader.complete([*before, *accesses.rows])
    batch = to_batch(
        exchanges.rows,
        **exchanges.columns(),
        source=job.source,
        format=name,
        sketcher=_sketcher,
        keep_text=_settings.keep_text,
    )
    access = access_batch(accesses.rows, **accesses.columns(), source=job.source, format=name)
    cut = sum(CUT in row.fields for row in accesses.rows)
    return Outcome(batch, access, rejects, outside, not_exchanges, cut)


def _read(reader: Reader, raw: bytes) -> tuple[list[Exchange | LoggedAccess], tuple[str, str] | None]:
    """The rows of one record, and what was wrong with it: what came before that is good."""
    found: list[Exchange | LoggedAccess] = []
    try:
        for row in reader.read(raw):
            found.append(row)
            if len(found) > MAX_ROWS:
                raise RecordError("too many exchanges in one record", f"more than {MAX_ROWS}")
    except RecordError as error:
        return found, (error.reason, error.message[:200])
    except Exception as error:  # a fault of a reader, perhaps a plugin's; its message may quote the record
        return found, ("reader failed", type(error).__name__)
    return found, None


def _record_key(space: str, identifier: str, line_key: int, ordinal: int, key: bytes) -> int:
    if identifier:
        return text_key(f"{space}\0{identifier}", key)
    return line_key if ordinal == 0 else text_key(f"{line_key}\0{ordinal}", key)
