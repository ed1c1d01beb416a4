"""From log files to rows in the store: find, frame, leave out what is known, decode and sketch, commit.

One process reads, hashes and commits; the others decode and sketch. Results are taken in the order of the
input, a bounded number at a time, so memory does not grow with the log. What is committed stays; a run that
was ended continues where it was, because lines that the store holds are recognised before they are decoded.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import IO, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.errors import InputError, RecordError, StrongroomError
from strongroom.store import Store

from ._frames import Chunk, frames, sample
from ._keys import Known, Ordinals, digests
from ._sources import Source, Unreadable, find_sources
from ._streams import Counted, decompress
from ._work import Job, Outcome, Settings, prepare, work
from .reader import JoiningReader, Reader, decode
from .readers import recognise

__all__ = [
    "SMALL_INPUT",
    "Ingest",
    "IngestReport",
    "Log",
    "Progress",
    "SourceReport",
    "check_usable",
    "cores",
    "ingest",
]

COMMIT_ROWS = 1 << 17
"""Rows per commit: what a crash can cost, and about 80 MB of memory."""
SMALL_INPUT = 4 << 20
"""Below so many bytes, starting processes costs more than it saves."""
MAX_REJECTS = 100_000
"""Places written to the rejects file; all are counted."""

MAX_BEFORE = 64
"""Records before a chunk that a reader sees which joins them, each at most MAX_BEFORE_BYTES long."""
MAX_BEFORE_BYTES = 1 << 14

_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder()


@dataclass
class SourceReport:
    """What was read from one source."""

    path: str
    bytes: int
    format: str = ""
    digest: str = ""
    """`sha256:` of its bytes; empty where they could not all be read."""
    records: int = 0
    new: int = 0
    skipped: int = 0
    reason: str = ""
    """Why it could not be read, or not to its end."""


@dataclass
class IngestReport:
    """What was read from all sources."""

    sources: list[SourceReport] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Records (or whole sources) left out, by reason."""
    known: int = 0
    """Records that the store held before."""
    rejects_written: int = 0
    cut: int = 0
    """Access events that were read now and whose records had more, or longer, fields than are kept."""

    @property
    def records(self) -> int:
        return sum(source.records for source in self.sources)

    @property
    def new(self) -> int:
        return sum(source.new for source in self.sources)


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    bytes_done: int
    bytes_total: int
    """0 when unknown (a pipe)."""
    records: int
    source: str


@dataclass
class Log:
    """What must be known of a log to read on in it."""

    reader: Reader | None
    ordinals: Ordinals = field(default_factory=Ordinals)
    last: list[bytes] = field(default_factory=list)
    """The last records, where the reader joins them."""


class Ingest:
    """One run. Use `ingest`, or `Follower` for logs that grow."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        reader: Reader | None,
        rejects: IO[str] | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._reader = reader
        self._rejects = rejects
        self._progress = progress
        self.report = IngestReport()
        lines, records = store.keys()
        self._stored, self._lines, self._records = Known(lines), Known(), Known(records)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_access: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._bytes_done = 0
        self._bytes_total = 0

    def run(self, sources: Sequence[Source], workers: int) -> None:
        """Reads every source. What was taken in before an interruption is committed."""
        self._bytes_total = 0 if any(s.size < 0 for s in sources) else sum(s.size for s in sources)
        try:
            with contextlib.closing(_results(self._jobs(sources), workers, self._settings)) as results:
                for place, outcome in results:
                    self._take(place, outcome)
        finally:
            self._commit()

    def _jobs(self, sources: Sequence[Source]) -> Iterator[tuple[SourceReport, Job]]:
        before = 0
        for source in sources:
            self._bytes_done = before
            place = self._place(source)
            try:
                with source.open() as raw:
                    yield from self._read(place, source, raw)
            except InputError as error:
                self._leave(place, place.records + 1, error.message, error.next)
            except OSError as error:
                self._leave(place, 0, error.strerror or str(error), "")
            before += place.bytes
            self._bytes_done = before
        self._tell(place)

    def _place(self, source: Source) -> SourceReport:
        place = SourceReport(source.path, max(source.size, 0))
        self.report.sources.append(place)
        return place

    def _read(self, place: SourceReport, source: Source, raw: BinaryIO) -> Iterator[tuple[SourceReport, Job]]:
        """The jobs of one source."""
        stream, counted = decompress(raw)
        yield from self._chunks(place, frames(stream), counted, source.size, Log(self._reader))
        place.digest = counted.digest()
        if not place.records:
            self._leave(place, 0, "no records", "")

    def _chunks(
        self, place: SourceReport, chunks: Iterator[Chunk], counted: Counted, size: int, log: Log
    ) -> Iterator[tuple[SourceReport, Job]]:
        before = self._bytes_done
        for chunk in chunks:
            if size < 0:
                place.bytes = counted.taken
            self._bytes_done = before + min(counted.taken, place.bytes)
            for number, reason, detail in chunk.bad:
                self._skip(place, number, reason, detail)
            place.records += len(chunk.records) + len(chunk.bad)
            log.reader = reader = log.reader or recognise(sample(chunk))
            if reader is None:
                for number, raw in zip(chunk.places, chunk.records, strict=True):
                    self._skip(place, number, *_why_unrecognised(raw))
                continue
            place.format = reader.name
            stood_before = log.last
            if isinstance(reader, JoiningReader):
                short = [raw for raw in chunk.records[-MAX_BEFORE:] if len(raw) <= MAX_BEFORE_BYTES]
                log.last = [*stood_before, *short][-MAX_BEFORE:]
            keys = log.ordinals.keys(digests(chunk.records, self._settings.key))
            fresh = self._unknown(keys)
            if len(fresh):
                yield (
                    place,
                    Job(
                        place.path,
                        reader,
                        [chunk.records[i] for i in fresh],
                        [chunk.places[i] for i in fresh],
                        keys[fresh].tolist(),
                        stood_before,
                    ),
                )
            else:
                self._tell(place)

    def _unknown(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Indices of the keys that neither the store nor this run has seen."""
        unknown = np.flatnonzero(~self._stored.has(keys))
        self.report.known += len(keys) - len(unknown)
        return unknown[self._lines.add(keys[unknown])]

    def _take(self, place: SourceReport, outcome: Outcome) -> None:
        for number, reason, detail in outcome.rejects:
            self._skip(place, number, reason, detail)
        self.report.cut += outcome.cut
        if outcome.outside:
            self.report.skipped["outside the window"] += outcome.outside
        if outcome.not_exchanges:
            self.report.skipped["not an exchange"] += outcome.not_exchanges
        for batch, waiting in ((outcome.batch, self._waiting), (outcome.access, self._waiting_access)):
            if not batch.num_rows:
                continue
            fresh = self._records.add(batch["record_key"].to_numpy())
            if not fresh.all():
                self.report.skipped["same id again"] += int((~fresh).sum())
                batch = batch.filter(pa.array(fresh))  # noqa: PLW2901
            place.new += batch.num_rows
            waiting.append(batch)
            self._waiting_rows += batch.num_rows
        if self._waiting_rows >= COMMIT_ROWS:
            self._commit()
        self._tell(place)

    def _commit(self) -> None:
        # Forgotten before they are written: an interruption may come when the commit is made and has not returned,
        # and rows that were not written are read again by the next run.
        exchanges, access = self._waiting, self._waiting_access
        self._waiting, self._waiting_access, self._waiting_rows = [], [], 0
        if exchanges:
            self._store.append_exchanges(exchanges)
        if access:
            self._store.append_access_events(access)

    def leave_out(self, found: Unreadable) -> None:
        """Counts a source that was named and cannot be opened."""
        place = SourceReport(found.path, 0)
        self.report.sources.append(place)
        self._leave(place, 0, found.reason.partition(";")[0], found.reason)

    def _leave(self, place: SourceReport, number: int, reason: str, detail: str) -> None:
        place.reason = reason
        self._skip(place, number, reason, detail)

    def _skip(self, place: SourceReport, number: int, reason: str, detail: str) -> None:
        self.report.skipped[reason] += 1
        place.skipped += 1
        if self._rejects is not None and self.report.rejects_written < MAX_REJECTS:
            self.report.rejects_written += 1
            line = {"source": place.path, "place": number, "reason": reason, "detail": _tame(detail)}
            try:
                self._rejects.write(msgspec.json.encode(line).decode() + "\n")
            except OSError as error:
                raise StrongroomError(
                    f"the rejects file cannot be written: {error.strerror}",
                    next="free disk space, or move it: --rejects",
                ) from error

    def _tell(self, place: SourceReport) -> None:
        self._progress(Progress(self._bytes_done, self._bytes_total, self.report.records, place.path))


def ingest(
    words: Sequence[str],
    store: Store,
    settings: Settings,
    *,
    reader: Reader | None = None,
    rejects: IO[str] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    workers: int | None = None,
) -> IngestReport:
    """Reads the logs that `words` name into the store, and says what was read and what was left out.

    `reader` is forced on every source; otherwise each is recognised. `rejects` gets one JSON line for each bad
    record: its place and the reason, never its content. `workers`: processes, all cores by default, 0 for none.
    Raises InputError when nothing usable was found, StrongroomError when rows cannot be written.
    """
    sources, unreadable = find_sources(words)
    run = Ingest(store, settings, reader=reader, rejects=rejects, progress=progress)
    for found in unreadable:
        run.leave_out(found)
    if workers is None:
        known_small = all(s.size >= 0 for s in sources) and sum(s.size for s in sources) < SMALL_INPUT
        workers = 0 if known_small else cores()
    run.run(sources, workers)
    check_usable(run.report)
    return run.report


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _results(
    jobs: Iterator[tuple[SourceReport, Job]], workers: int, settings: Settings
) -> Generator[tuple[SourceReport, Outcome]]:
    """The outcome of each job, in order, with a bounded number under way."""
    if workers == 0:
        prepare(settings)
        for place, job in jobs:
            yield place, work(job)
        return
    # Not fork: threads of delta-rs and Arrow may hold locks that a forked child would wait for.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=prepare,
        initargs=(settings, os.getpid()),
    )
    under_way: deque[tuple[SourceReport, Future[Outcome]]] = deque()
    try:
        for place, job in jobs:
            under_way.append((place, _submit(pool, job)))
            if len(under_way) > 2 * workers:
                first, future = under_way.popleft()
                yield first, future.result()
        while under_way:
            first, future = under_way.popleft()
            yield first, future.result()
    except BrokenProcessPool:
        raise StrongroomError(
            "a process that decodes records was ended from outside",
            next="it may have run out of memory; run the same command again, it resumes",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, job: Job) -> Future[Outcome]:
    with _signals_later():  # this starts workers, as they are needed
        return pool.submit(work, job)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end; processes that are started meanwhile never see a Ctrl-C.

    A terminal sends it to all processes at once, and a half-started worker would die of it loudly.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    waiting = (signal.SIGINT, signal.SIGTERM)
    handlers = [(number, signal.signal(number, lambda got, _: came.append(got))) for number in waiting]
    # Children inherit what is blocked. Another thread may still take the signal, so the handlers above are needed.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers:
            signal.signal(number, handler)
        for sent in came:
            signal.raise_signal(sent)


def _why_unrecognised(raw: bytes) -> tuple[str, str]:
    try:
        decode(raw, _ANY)
    except RecordError as error:
        return error.reason, error.message
    return "format not recognised", "force one with --format, or name its fields with --map"


def _tame(detail: str) -> str:
    """Control characters of a log do not reach a terminal through the rejects file."""
    return "".join(c if c.isprintable() else " " for c in detail)[:200]


def check_usable(report: IngestReport) -> None:
    """Raises InputError when not one exchange or access event could be read, now or before."""
    if report.new or report.known or report.skipped["outside the window"] or report.skipped["same id again"]:
        return
    reasons = ", ".join(f"{reason}: {count}" for reason, count in report.skipped.most_common(5))
    tried = ", ".join(source.path for source in report.sources[:5])
    raise InputError(
        f"no exchange or access event could be read ({reasons or 'empty'})",
        where=tried + (f" and {len(report.sources) - 5} more" if len(report.sources) > 5 else ""),
        next="force a format with --format, or name the fields with --map account=FIELD --map time=FIELD",
    )
