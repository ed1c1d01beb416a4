"""Logs that grow: each time only what was added since is read.

Plain JSON Lines are read on from where the last reading ended, by whole lines; a last line that is not ended waits
until it is, unless it is a whole JSON object already. A log is the one it was when its first bytes and those before
that place are the same, whatever it is called now (a rotated log is read on under its new name); otherwise it is read
from its beginning. What is compressed, CSV, Parquet, a JSON document or at an address is read anew as a whole when it
changed. In every case records that are known add nothing.

Places are kept in memory: the first reading goes through everything, and leaves out what the store holds.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import msgspec

from strongroom.core.errors import InputError
from strongroom.store import Store

from ._frames import MAX_RECORD, kind_of, lines, skip_mark
from ._ingest import SMALL_INPUT, Ingest, Log, Progress, SourceReport, check_usable, cores
from ._sources import Source, Unreadable, find_sources
from ._streams import Counted, decompress
from ._work import Job, Settings
from .reader import Reader

__all__ = ["Follower"]

REMEMBERED = 1024
"""Bytes at the beginning of a log, and before the place where reading ended, by which it is known again."""
BLOCK = 1 << 16


@dataclass
class _Followed:
    """A log, and how far it was read."""

    place: SourceReport
    state: object = None
    log: Log | None = None
    """None when it is read as a whole."""
    end: int = 0
    """Where reading ended."""
    ended: int = 0
    """Lines that ended before that."""
    first: bytes = b""
    last: bytes = b""
    digest: Any = field(default_factory=hashlib.sha256)
    """Of what was read."""

    def forget(self) -> None:
        self.log, self.end, self.ended, self.first, self.last, self.digest = None, 0, 0, b"", b"", hashlib.sha256()

    def goes_on(self, raw: BinaryIO) -> bool:
        """Whether `raw` begins with what was read."""
        raw.seek(0)
        if raw.read(len(self.first)) != self.first:
            return False
        raw.seek(self.end - len(self.last))
        return raw.read(len(self.last)) == self.last

    def remember(self, raw: BinaryIO) -> None:
        raw.seek(0)
        self.first = raw.read(min(REMEMBERED, self.end))
        raw.seek(max(self.end - REMEMBERED, 0))
        self.last = raw.read(min(REMEMBERED, self.end))


class Follower(Ingest):
    """Reads logs again and again. `report` is about all that was read so far."""

    def __init__(
        self,
        words: Sequence[str],
        store: Store,
        settings: Settings,
        *,
        reader: Reader | None = None,
        rejects: IO[str] | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
        workers: int | None = None,
    ) -> None:
        """As `ingest`. Nobody else may write exchanges to the store meanwhile."""
        super().__init__(store, settings, reader=reader, rejects=rejects, progress=progress)
        self._words, self._workers = words, workers
        self._logs: dict[object, _Followed] = {}
        self._told: set[str] = set()
        self._begun = False

    def read(self) -> int:
        """Reads what was added since the last call and returns how many exchanges that were.

        Raises InputError when the first call finds nothing usable; logs may be missing when a directory or a glob
        may still get some. Raises StrongroomError when rows cannot be written.
        """
        before = self.report.new
        sources = self._changed()
        if sources:
            left = sum(max(source.size - self._logs[_key(source)].end, 0) for source in sources)
            small = left < SMALL_INPUT and all(source.size >= 0 for source in sources)
            workers = self._workers if self._workers is not None else 0 if small else cores()
            self.run(sources, 0 if self._begun and small else workers)
        if not self._begun and self.report.records:
            check_usable(self.report)
        self._begun = True
        return self.report.new - before

    def _changed(self) -> list[Source]:
        try:
            sources, unreadable = find_sources(self._words)
        except InputError:
            if not self._begun and not all(_may_come(word) for word in self._words):
                raise
            sources, unreadable = [], []
        for found in unreadable:
            self._leave_out_once(found)
        keys = {_key(source) for source in sources}
        self._logs = {key: followed for key, followed in self._logs.items() if key in keys}
        changed = []
        for source in sources:
            followed = self._logs.setdefault(_key(source), _Followed(SourceReport(source.path, 0)))
            if source.state is None or followed.state != source.state:
                changed.append(source)
        return changed

    def _leave_out_once(self, found: Unreadable) -> None:
        if found.path not in self._told:
            self._told.add(found.path)
            self.leave_out(found)

    def _place(self, source: Source) -> SourceReport:
        place = self._logs[_key(source)].place
        if all(place is not other for other in self.report.sources):
            self.report.sources.append(place)
        place.path, place.bytes, place.reason = source.path, max(source.size, 0), ""
        return place

    def _read(self, place: SourceReport, source: Source, raw: BinaryIO) -> Iterator[tuple[SourceReport, Job]]:
        followed = self._logs[_key(source)]
        followed.state = source.state
        if followed.log is not None and not followed.goes_on(raw):
            followed.forget()
        if followed.log is None and source.identity and _is_plain_lines(raw):
            followed.log = Log(self._reader)
        if followed.log is None:
            if source.size:  # an empty log may get something
                yield from super()._read(place, source, raw)
            return
        try:
            yield from self._read_on(followed, followed.log, raw)
        except BaseException:
            followed.forget()
            raise

    def _read_on(self, followed: _Followed, log: Log, raw: BinaryIO) -> Iterator[tuple[SourceReport, Job]]:
        place, part = followed.place, _Part(raw, followed.end, _end_of_lines(raw, followed.end))
        counted = Counted(cast(BinaryIO, part), followed.digest)
        stream: io.BufferedReader[Any] = io.BufferedReader(counted, BLOCK)
        if not followed.end:
            skip_mark(stream)
        yield from self._chunks(place, lines(stream, followed.ended), counted, 0, log)
        followed.end, followed.ended = part.end, followed.ended + part.newlines
        place.bytes, place.digest = followed.end, counted.digest()
        followed.remember(raw)


class _Part(io.RawIOBase):
    """The bytes of a log from `start` to `end`, and how many lines end there."""

    def __init__(self, raw: BinaryIO, start: int, end: int) -> None:
        self._raw, self._at = raw, raw.seek(start)
        self.end = end
        self.newlines = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._raw.read(min(len(buffer), self.end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        self.newlines += data.count(b"\n")
        return len(data)


def _is_plain_lines(raw: BinaryIO) -> bool:
    """Whether a log is lines that are not compressed; `raw` stands at its beginning after that."""
    raw.seek(0)
    if not raw.read(1):
        return False
    raw.seek(0)
    stream, _ = decompress(raw)
    plain = isinstance(stream.raw, Counted) and kind_of(stream.peek(BLOCK)) == "lines"
    stream.detach()  # rather than have it close the log
    raw.seek(0)
    return plain


def _end_of_lines(raw: BinaryIO, start: int) -> int:
    """Where the last whole line ends, `start` if there is none after it."""
    size = at = raw.seek(0, io.SEEK_END)
    end = start
    while at > start:
        at, before = max(at - BLOCK, start), at
        raw.seek(at)
        if (found := raw.read(before - at).rfind(b"\n")) >= 0:
            end = at + found + 1
            break
    return size if _is_whole(raw, end, size) else end


def _is_whole(raw: BinaryIO, start: int, end: int) -> bool:
    """Whether a JSON object begins and ends there: nothing can be added to it."""
    if not 0 < end - start <= MAX_RECORD:
        return False
    raw.seek(start)
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return isinstance(msgspec.json.decode(raw.read(end - start)), dict)
    return False


def _key(source: Source) -> object:
    return source.identity or source.path


def _may_come(word: str) -> bool:
    """Whether what a word names may come to be: a directory's files, what a glob matches."""
    return "://" in word or glob.has_magic(word) or Path(word).is_dir()
