"""The journal: what is durable and not yet in tiles.

Every commit is one record, and one fsync makes it durable; tiles are written later and less often. A sequencer
begins a journal of its own, whose number is its fencing token: it is made exclusively, one above the highest that
is there, and whoever finds a higher number than its own has been replaced and stops.

    append:  write the record; sync; only then ask whether a successor exists; only then acknowledge
    start:   make the next journal; only then read the older ones

So a record is either read by the successor, or its writer sees the successor and does not acknowledge it.

A journal begins with a record without entries: the tree that was published when it was begun. So a checkpoint that
went back in time (a restored disk; an object store where a paused predecessor wrote last) is found at the next start.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..core.errors import IntegrityError, StrongroomError
from ._disk import Appending
from ._record import Record, decode_records
from ._storage import DirectoryStorage, ObjectStorage, full_disk

__all__ = [
    "Journal",
    "NotWritten",
    "Replaced",
    "has_journal",
    "open_journal",
]

MAX_JOURNAL_BYTES = 2**31
"""No journal is longer: it is renewed long before."""
SETTLED_NANOSECONDS = 2_000_000_000
"""A change of the journal's folder that is as old as this has another time than any later one."""
WRITE_BYTES = 1 << 20
"""Of a large record so much is written at a time."""
_NUMBER_DIGITS = 12


class NotWritten(StrongroomError):
    """A record was not written and left nothing behind."""


class Replaced(StrongroomError):
    """Another sequencer has taken over this log: this one is to stop."""


class Journal(Protocol):
    """A sequencer's own journal."""

    token: int

    @property
    def size(self) -> int:
        """Bytes in it."""
        ...

    def append(self, record: Sequence[bytes]) -> None:
        """Durable when it returns. Raises NotWritten when nothing of the record remains, so that one may go on.

        After any other error nobody knows what is there: the sequencer stops, and the next start reads it.
        """
        ...

    def check(self) -> None:
        """Raises Replaced when another sequencer has taken over. To be asked after each append."""
        ...

    def renew(self, base: Sequence[bytes]) -> None:
        """Goes on in a new journal that begins with `base`; all of the old one must be published.

        Raises as `append` and `check` do.
        """
        ...

    def drop_older(self) -> None:
        """Removes the journals before this one."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...

    def abandon(self) -> None:
        """Lets go of it and removes it: nothing was written to it."""
        ...


def has_journal(storage: DirectoryStorage | ObjectStorage) -> bool:
    """Whether a sequencer has ever opened this log."""
    if isinstance(storage, DirectoryStorage):
        folder = storage.root / "journal"
        return folder.is_dir() and any(_is_number(path.name) for path in folder.iterdir())
    return bool(storage.list("journal"))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def open_journal(storage: DirectoryStorage | ObjectStorage) -> tuple[Journal, list[tuple[str, list[Record]]]]:
    """Begins the next journal, then reads the older ones: their names and records, oldest first.

    Raises IntegrityError for a damaged one, StrongroomError.
    """
    journal = _FileJournal(storage) if isinstance(storage, DirectoryStorage) else _ObjectJournal(storage)
    try:
        journal.check()
        return journal, journal.older()
    except BaseException:
        journal.abandon()
        raise


def _gathered(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer parts, each small enough for the processor's cache."""
    part: list[bytes] = []
    size = 0
    for piece in pieces:
        part.append(piece)
        size += len(piece)
        if size >= WRITE_BYTES:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)


class _FileJournal:
    """One file, `journal/<token>`."""

    def __init__(self, storage: DirectoryStorage) -> None:
        self._folder = storage.root / "journal"
        self._quiet_since: int | None = None
        self._disk = storage.disk
        try:
            if not self._folder.is_dir():
                self._disk.make_directories(self._folder, 0o700)
            # Also when it was there: whoever made it may have been killed before its name was durable.
            self._disk.sync_directories([self._folder.parent])
            self.token = max((number for number, _ in self._files()), default=0) + 1
            self._file = self._create()
        except FileExistsError:
            raise _at_once(str(self._folder)) from None
        except OSError as error:
            raise full_disk(error, str(self._folder)) from error

    @property
    def size(self) -> int:
        return self._file.size

    def older(self) -> list[tuple[str, list[Record]]]:
        found = []
        for number, path in sorted(self._files()):
            if number < self.token:
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise full_disk(error, str(path)) from error
                found.append((str(path), decode_records(data, where=str(path))))
        return found

    def append(self, record: Sequence[bytes]) -> None:
        before = self._file.size
        try:
            for part in _gathered(record):
                self._file.write(part)
        except OSError as error:
            self._file.truncate(before)
            failed = full_disk(error, str(self._folder))
            raise NotWritten(failed.message, where=failed.where, next=failed.next) from error
        # After a failed sync the kernel may have thrown away what was written: not to be tried again.
        self._file.sync()

    def check(self) -> None:
        # A journal that is made or removed changes the folder's time. Once that is older than any clock's step, the
        # same time means that nothing happened: one call to the system in the place of a dozen.
        changed = self._folder.stat().st_mtime_ns
        if changed == self._quiet_since:
            return
        if self._file.unlinked() or max(number for number, _ in self._files()) > self.token:
            raise _replaced(str(self._folder))
        self._quiet_since = changed if time.time_ns() - changed > SETTLED_NANOSECONDS else None

    def renew(self, base: Sequence[bytes]) -> None:
        old, older, newer = self._file, self._path(self.token), self._path(self.token + 1)
        try:
            file = self._disk.create(newer)
        except FileExistsError:
            raise _replaced(str(self._folder)) from None
        except OSError as error:
            failed = full_disk(error, str(self._folder))
            raise NotWritten(failed.message, where=failed.where, next=failed.next) from error
        if old.unlinked():
            # A successor had this number, and has renewed its own journal since.
            file.close()
            self._disk.unlink(newer)
            raise _replaced(str(self._folder))
        self._disk.sync_directories([self._folder])
        self.token, self._file = self.token + 1, file
        try:
            self.append(base)
        except NotWritten:
            self.token, self._file = self.token - 1, old
            file.close()
            self._disk.unlink(newer)
            raise
        old.close()
        self._disk.unlink(older)

    def drop_older(self) -> None:
        # Oldest first: its writer, if it still lives, sees either that or a higher number.
        for number, path in sorted(self._files()):
            if number < self.token:
                try:
                    self._disk.unlink(path)
                except OSError as error:
                    raise full_disk(error, str(path)) from error

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            self._disk.unlink(self._path(self.token))

    def _create(self) -> Appending:
        file = self._disk.create(self._path(self.token))
        self._disk.sync_directories([self._folder])
        return file

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:0{_NUMBER_DIGITS}d}"

    def _files(self) -> list[tuple[int, Path]]:
        try:
            return [(int(path.name), path) for path in self._folder.iterdir() if _is_number(path.name)]
        except OSError as error:
            raise full_disk(error, str(self._folder)) from error


class _ObjectJournal:
    """One object a record, `journal/<token>/<number>`; number 0 is empty and made exclusively."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self.token = max(self._tokens(), default=0) + 1
        self.size = 0
        self._count = 0
        self._begin()

    def older(self) -> list[tuple[str, list[Record]]]:
        found: dict[str, list[Record]] = {}
        for path in self._paths():
            _, token, number = path.split("/")
            if int(token) < self.token and int(number) > 0:
                data, where = self._storage.read(path, MAX_JOURNAL_BYTES), f"{self._storage.name}/{path}"
                records = decode_records(data or b"", where=where)
                if data is not None and not records:  # objects are written whole or not at all
                    raise IntegrityError(
                        "a record of the journal is damaged", where=where, next="restore it from a copy"
                    )
                found.setdefault(where.rpartition("/")[0], []).extend(records)
        return list(found.items())

    def append(self, record: Sequence[bytes]) -> None:
        self._count += 1
        data = b"".join(record)
        self._storage.replace(self._path(self._count), data)
        self.size += len(data)

    def check(self) -> None:
        tokens = self._tokens()
        if self.token not in tokens or max(tokens) > self.token:
            raise _replaced(self._storage.name)

    def renew(self, base: Sequence[bytes]) -> None:
        self.token += 1
        self._begin()
        self.append(base)
        self.drop_older()

    def drop_older(self) -> None:
        old = [path for path in self._paths() if int(path.split("/")[1]) < self.token]
        if old:
            self._storage.remove(old)

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        with contextlib.suppress(StrongroomError):
            self._storage.remove([self._path(0)])

    def _begin(self) -> None:
        self.size = self._count = 0
        if not self._storage.create(self._path(0), b""):
            raise _at_once(self._storage.name)

    def _path(self, count: int) -> str:
        return f"journal/{self.token:0{_NUMBER_DIGITS}d}/{count:0{_NUMBER_DIGITS}d}"

    def _tokens(self) -> set[int]:
        return {int(path.split("/")[1]) for path in self._paths()}

    def _paths(self) -> list[str]:
        """Every record of every journal; what somebody else put there is left alone."""
        found = (path.split("/") for path in self._storage.list("journal"))
        return ["/".join(parts) for parts in found if len(parts) == 3 and all(map(_is_number, parts[1:]))]


def _replaced(where: str) -> Replaced:
    return Replaced("another sequencer has taken over this log", where=where, next="append through that one")


def _at_once(where: str) -> StrongroomError:
    return StrongroomError("another sequencer began at the same moment", where=where, next="use that one")
