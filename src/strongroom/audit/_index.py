"""`ledger-index.db`: where in a log which access entries stand. Rebuilt from the log whenever it does not fit it.

Nothing in it is believed. It holds 64-bit digests of asset, principal and action, so that a hit is a place to look,
and no name is in it. It says of which log, size and root it was made; another log, a size above the reader's, a root
that the log does not have at that size, another schema or a damaged file, and it is emptied and made anew.

Whoever has it open holds flock on it, so that emptying it harms nobody; it is never held while answers are read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol

from ._body import access_body, text_of, time_of
from ._question import Question, name_of

__all__ = ["Index", "Indexed", "newest"]

FORMAT = 1
BATCH = 8192
"""Entries in one transaction: what an interrupted build loses, and what it holds in memory."""
PAGE = 4096
"""Hits that are read at a time."""
MAX_TIME = 2**63 - 1
_SCHEMA = [
    "CREATE TABLE about (format INTEGER, origin TEXT, generation TEXT, size INTEGER, root BLOB)",
    "CREATE TABLE access (entry INTEGER PRIMARY KEY, asset INTEGER, principal INTEGER, action INTEGER, time INTEGER)",
    "CREATE INDEX by_asset ON access (asset)",
    "CREATE INDEX by_principal ON access (principal)",
]


class Indexed(Protocol):
    """What an index needs of a log's reader."""

    @property
    def size(self) -> int: ...
    @property
    def origin(self) -> str: ...
    def entries(self, first: int, last: int) -> Iterator[tuple[int, bytes]]: ...
    def root_at(self, size: int) -> bytes: ...


class Index:
    """The index of one reader's log. Errors of the file are sqlite3.Error and OSError: then the log is read whole."""

    def __init__(self, path: Path, reader: Indexed) -> None:
        self._path = path.absolute()
        self._reader = reader
        self._generation = ""

    def hits(self, question: Question) -> Iterator[int]:
        """Entries that may answer, in the log's order."""
        after = -1
        while True:
            page = self._page(question, after)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1]

    def _page(self, question: Question, after: int) -> list[int]:
        with _locked(self._path) as descriptor:
            try:
                return self._read(question, after)
            except (_UnfitError, sqlite3.Error):
                for suffix in ("-journal", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                os.ftruncate(descriptor, 0)
                return self._read(question, after)

    def _read(self, question: Question, after: int) -> list[int]:
        with contextlib.closing(sqlite3.connect(self._path)) as database:
            size = self._size(database)
            if size < self._reader.size:
                self._extend(database, size)
            where, values = _condition(question, after, self._reader.size)
            statement = f"SELECT entry FROM access WHERE {where} ORDER BY entry LIMIT {PAGE}"  # noqa: S608
            return [number for (number,) in database.execute(statement, values)]

    def _size(self, database: sqlite3.Connection) -> int:
        """How many entries it covers; makes the tables in an empty file. Raises _UnfitError."""
        tables = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master ORDER BY rowid")]
        if not tables:
            self._create(database)
        return self.covers(database)

    def covers(self, database: sqlite3.Connection) -> int:
        """How many entries it covers. Raises _UnfitError."""
        if [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master ORDER BY rowid")] != _SCHEMA:
            raise _UnfitError
        rows = database.execute("SELECT format, origin, generation, size, root FROM about").fetchall()
        if len(rows) != 1:
            raise _UnfitError
        form, origin, generation, size, root = rows[0]
        if form != FORMAT or origin != self._reader.origin or not isinstance(size, int) or size < 0:
            raise _UnfitError
        if generation == self._generation and size >= self._reader.size:
            return size  # checked before; since then others may have extended it, and no more
        if size > self._reader.size or root != self._reader.root_at(size):
            raise _UnfitError
        self._generation = generation
        return size

    def _create(self, database: sqlite3.Connection) -> None:
        for statement in _SCHEMA:
            database.execute(statement)
        about = (FORMAT, self._reader.origin, secrets.token_hex(16), 0, self._reader.root_at(0))
        with database:
            database.execute("INSERT INTO about VALUES (?, ?, ?, ?, ?)", about)

    def _extend(self, database: sqlite3.Connection, size: int) -> None:
        entries = self._reader.entries(size, self._reader.size)
        while batch := list(islice(entries, BATCH)):
            end = batch[-1][0] + 1
            rows = [row for number, entry in batch if (row := _row(number, entry)) is not None]
            with database:
                database.executemany("INSERT INTO access VALUES (?, ?, ?, ?, ?)", rows)
                database.execute("UPDATE about SET size = ?, root = ?", (end, self._reader.root_at(end)))


def newest(path: Path, reader: Indexed, actions: Sequence[str], since: int, limit: int) -> tuple[int, list[int]]:
    """Up to which entry an index covers the log, and the newest entries of these actions, oldest first.

    It is read as it is, neither made nor extended: where it does not fit, it covers nothing.
    """
    index = Index(path, reader)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return 0, []
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            size = index.covers(database)
            marks = ", ".join("?" * len(actions))
            statement = (
                f"SELECT entry FROM access WHERE action IN ({marks}) AND (time IS NULL OR time >= ?)"  # noqa: S608
                f" AND entry < ? ORDER BY entry DESC LIMIT {limit}"
            )
            rows = database.execute(statement, [*map(_short, actions), since, size]).fetchall()
            return size, sorted(number for (number,) in rows)
    except (_UnfitError, sqlite3.Error, OSError):
        return 0, []
    finally:
        os.close(descriptor)


class _UnfitError(Exception):
    """The index is not of this log, or not an index."""


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _row(number: int, entry: bytes) -> tuple[int, int, int, int, int | None] | None:
    body = access_body(entry)
    if body is None:
        return None
    asset, time = _short(name_of(text_of(body, "asset"))), time_of(body)
    return number, asset, _short(text_of(body, "principal")), _short(text_of(body, "action")), time


@lru_cache(maxsize=4096)
def _short(text: str) -> int:
    """64 bits of a digest, as SQLite's integers are."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _condition(question: Question, after: int, size: int) -> tuple[str, list[int]]:
    parts, values = ["entry > ?", "entry < ?"], [after, size]
    asset = None if question.asset is None else name_of(question.asset)
    for column, name in (("asset", asset), ("principal", question.principal), ("action", question.action)):
        if name is not None:
            parts.append(f"{column} = ?")
            values.append(_short(name))
    for sign, time in ((">=", question.since), ("<", question.until)):
        if time is not None:
            parts.append(f"(time IS NULL OR time {sign} ?)")
            values.append(max(-MAX_TIME, min(MAX_TIME, time)))
    return " AND ".join(parts), values
