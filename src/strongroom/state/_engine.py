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
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, text

from ..core.errors import IntegrityError, StrongroomError
from ._tables import HEAD, REVISIONS

__all__ = ["open_engine", "told", "truncate_log", "writing"]

BUSY_SECONDS = 10.0
"""How long a transaction waits for another process's."""
_SECRET_MODE = 0o600


def open_engine(path: Path) -> Engine:
    """Makes the file where there is none, upgrades an older one. For use inside `told`."""
    _make(path)
    if path.stat().st_mode & 0o077:
        path.chmod(_SECRET_MODE)
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            version = _version(connection, path)
        if version != HEAD:
            _upgrade(engine, path)
        _pragma(engine, "PRAGMA journal_mode = WAL")  # already so, unless the file was put there from a dump
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock from its beginning."""
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        yield connection


def truncate_log(engine: Engine) -> bool:
    """Moves the write-ahead log into the database and cuts it to nothing; False when readers prevent it."""
    if engine.dialect.name != "sqlite":
        return True
    return _pragma(engine, "PRAGMA wal_checkpoint(TRUNCATE)") == 0


@contextlib.contextmanager
def told(path: Path, *, own: bool = True) -> Iterator[None]:
    """Tells errors of the database and of the disk as ours. `own`: nothing but our reading and writing is inside."""
    where = str(path)
    try:
        yield
    except exc.DBAPIError as error:
        raise _as_ours(error.orig, where) from error
    except sqlite3.Error as error:
        raise _as_ours(error, where) from error
    except (ValueError, msgspec.MsgspecError) as error:
        if not own and not isinstance(error, msgspec.MsgspecError):
            raise
        raise IntegrityError(
            "the state database holds a value that nothing of ours wrote", where=where, next=_RESTORE
        ) from error
    except exc.SQLAlchemyError as error:
        raise StrongroomError(f"the state database cannot be used: {error}", where=where, next="try again") from error
    except OSError as error:
        if not own:
            raise
        raise StrongroomError(
            f"the state database cannot be used: {error.strerror}", where=where, next="check space and permissions"
        ) from error


_RESTORE = "restore it from a backup"


def _as_ours(error: BaseException | None, where: str) -> StrongroomError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StrongroomError("another process holds the state database", where=where, next="try again")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return IntegrityError("the state database is damaged", where=where, next=_RESTORE)
    if name in ("SQLITE_ERROR", "SQLITE_SCHEMA", "SQLITE_MISMATCH"):
        return IntegrityError(f"the state database is not as it was made: {error}", where=where, next=_RESTORE)
    return StrongroomError(
        f"the state database cannot be used: {error}", where=where, next="check space and permissions"
    )


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


def _make(path: Path) -> None:
    """Makes the file under another name and links it into place, so that a half-made one is never opened."""
    log = path.with_name(path.name + "-wal").exists()  # looked for first: another process may be making both now
    if path.exists():
        return
    if log:
        raise IntegrityError(
            "the state database is gone, and its write-ahead log is not", where=str(path), next=_RESTORE
        )
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE))
    try:
        engine = _engine(part)
        _pragma(engine, "PRAGMA journal_mode = WAL")
        with writing(engine) as connection:
            _migrate(connection)
        engine.dispose()  # the last connection moves the log into the file and removes it
        with contextlib.suppress(FileExistsError):  # another process was first, and its file is as good
            os.link(part, path)
    finally:
        for name in (part.name, f"{part.name}-wal", f"{part.name}-shm"):
            part.with_name(name).unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(connection: Connection, path: Path) -> str:
    """The version that the file says it has. Raises IntegrityError, or StrongroomError for one unknown here."""
    found = []
    if inspect(connection).has_table("alembic_version"):
        found = list(connection.scalars(text("SELECT version_num FROM alembic_version")))
    if len(found) != 1:
        raise IntegrityError("the state database is empty or names no version", where=str(path), next=_RESTORE)
    version = str(found[0])
    if version not in REVISIONS:
        raise StrongroomError(
            f"the state database has version '{version[:40]}', this Strongroom knows up to {HEAD}",
            where=str(path),
            next="upgrade Strongroom",
        )
    return version


def _upgrade(engine: Engine, path: Path) -> None:
    """All of it or nothing; whoever waited for another's upgrade finds it done."""
    with writing(engine) as connection:
        if _version(connection, path) != HEAD:
            _migrate(connection)


def _migrate(connection: Connection) -> None:
    from ._migrate import migrate

    migrate(connection, HEAD)
