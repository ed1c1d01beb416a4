"""What one process does with one chunk of records: decode, sketch, and give back rows. Holds no files."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.sketch import Sketcher

from ._columns import to_batch
from ._keys import text_key
from .reader import Reader

__all__ = ["Job", "Outcome", "Settings", "prepare", "work"]

MAX_EXCHANGES = 10_000
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


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    batch: pa.RecordBatch
    rejects: list[tuple[int, str, str]]
    """(place, reason, detail)."""
    outside: int
    """Exchanges before `since` or from `until` on."""
    not_exchanges: int
    """Records of another kind, which the format carries too."""


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
    exchanges: list[Exchange] = []
    places: list[int] = []
    line_keys: list[int] = []
    record_keys: list[int] = []
    rejects: list[tuple[int, str, str]] = []
    outside = not_exchanges = 0
    since = _settings.since if _settings.since is not None else -(1 << 62)
    until = _settings.until if _settings.until is not None else 1 << 62
    read, key = job.reader.read, _settings.key
    for raw, place, line_key in zip(job.records, job.places, job.line_keys, strict=True):
        found: list[Exchange] = []
        try:
            for exchange in read(raw):
                found.append(exchange)  # one by one: what came before an error is good
                if len(found) > MAX_EXCHANGES:
                    raise RecordError("too many exchanges in one record", f"more than {MAX_EXCHANGES}")
        except RecordError as error:
            rejects.append((place, error.reason, error.message[:200]))
        except Exception as error:  # a fault of a reader, perhaps a plugin's; its message may quote the record
            rejects.append((place, "reader failed", type(error).__name__))
        else:
            not_exchanges += not found
        inside = [since <= exchange.time < until for exchange in found]
        stored_key = line_key
        if not all(inside):
            outside += len(inside) - sum(inside)
            # The line is not known until all of it is stored, because the window may be widened.
            stored_key = text_key(f"{line_key}\0part", key)
        for ordinal, exchange in enumerate(found):
            if not inside[ordinal]:
                continue
            exchanges.append(exchange)
            places.append(place)
            line_keys.append(stored_key)
            record_keys.append(_record_key(exchange, line_key, ordinal, key))
    batch = to_batch(
        exchanges,
        places=places,
        line_keys=np.array(line_keys, dtype=np.int64),
        record_keys=np.array(record_keys, dtype=np.int64),
        source=job.source,
        format=job.reader.name,
        sketcher=_sketcher,
        keep_text=_settings.keep_text,
    )
    return Outcome(batch, rejects, outside, not_exchanges)


def _record_key(exchange: Exchange, line_key: int, ordinal: int, key: bytes) -> int:
    if exchange.id:
        return text_key(f"{exchange.account}\0{exchange.id}", key)
    return line_key if ordinal == 0 else text_key(f"{line_key}\0{ordinal}", key)
