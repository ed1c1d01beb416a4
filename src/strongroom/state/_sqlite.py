"""SQLite behind the tables: how its file is made, opened, upgraded, and how its errors are told.

WAL, so that readers and a writer do not wait for each other; `synchronous=FULL`, so that what was committed
survives a power cut; `secure_delete`, so that what was deleted is overwritten. Transactions that write begin with
the execution option `immediate=True` and take the write lock at once, so none fails halfway for another's sake.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event

from ..core.errors import IntegrityError, StrongroomError
from ._schema import RESTORE, migrate_to_head, upgrade, version_of, writing
from ._tables import HEAD

__all__ = ["SqliteFile"]

BUSY_SECONDS = 10.0
"""How long a transaction waits for another process's."""
_SECRET_MODE = 0o600


class SqliteFile:
    """A `Database` in one file."""

    errors = sqlite3.Error

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path

    def open(self) -> Engine:
        """See `Database`. Makes the file where there is none."""
        self._make()
        if self._path.stat().st_mode & 0o077:
            self._path.chmod(_SECRET_MODE)
        engine = self.engine()
        try:
            with engine.connect() as connection:
                version = version_of(connection, self.where)
            if version is None:
                raise IntegrityError("the state database is empty", where=self.where, next=RESTORE)
            if version != HEAD:
                upgrade(engine, self.where)
            _pragma(engine, "PRAGMA journal_mode = WAL")  # already so, unless the file was put there from a dump
        except BaseException:
            engine.dispose()
            raise
        return engine

    def engine(self) -> Engine:
        """See `Database`. Never makes a file."""
        return _engine(self._path)

    def erase(self, engine: Engine) -> None:
        """See `Database`. Moves the write-ahead log into the database and cuts it to nothing."""
        if _pragma(engine, "PRAGMA wal_checkpoint(TRUNCATE)") != 0:
            raise StrongroomError(
                "the key is deleted, but its bytes are still in the write-ahead log: a reader holds it",
                where=f"{self.where}-wal",
                next="end whatever reads the state database and erase again",
            )

    def stamp(self) -> tuple[int, ...]:
        """See `Database`."""
        found: list[int] = []
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found += [status.st_ino, status.st_size, status.st_mtime_ns]
        return tuple(found)

    def told(self, error: BaseException | None) -> StrongroomError:
        """See `Database`."""
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StrongroomError("another process holds the state database", where=self.where, next="try again")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return IntegrityError("the state database is damaged", where=self.where, next=RESTORE)
        if name in ("SQLITE_ERROR", "SQLITE_SCHEMA", "SQLITE_MISMATCH"):
            return IntegrityError(f"the state database is not as it was made: {error}", where=self.where, next=RESTORE)
        return StrongroomError(
            f"the state database cannot be used: {error}", where=self.where, next="check space and permissions"
        )

    def _make(self) -> None:
        """Makes the file under another name and links it into place, so that a half-made one is never opened."""
        path = self._path
        log = path.with_name(path.name + "-wal").exists()  # looked for first: another process may be making both now
        if path.exists():
            return
        if log:
            raise IntegrityError(
                "the state database is gone, and its write-ahead log is not", where=self.where, next=RESTORE
            )
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE))
        try:
            engine = _engine(part)
            _pragma(engine, "PRAGMA journal_mode = WAL")
            with writing(engine) as connection:
                migrate_to_head(connection)
            engine.dispose()  # the last connection moves the log into the file and removes it
            with contextlib.suppress(FileExistsError):  # another process was first, and its file is as good
                os.link(part, path)
        finally:
            for name in (part.name, f"{part.name}-wal", f"{part.name}-shm"):
                part.with_name(name).unlink(missing_ok=True)
        _sync_folder(path.parent)


def _engine(path: Path) -> Engine:
    """Never makes a file (`mode=rw`), and never shows parameters, which are keys, in an error."""
    url = URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so, and hold changes of tables too
        for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _pragma(engine: Engine, statement: str) -> object:
    """Runs a PRAGMA outside of any transaction. Returns the first value of its answer."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        row = cursor.fetchone()
        cursor.close()
    finally:
        connection.close()
    return row[0] if row else None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
