"""PostgreSQL behind the tables, where several servers share them; what SQLite does by its file is done here by a lock.

Transactions that write take one advisory lock first, and so come one after the other, as on SQLite: a decision
and what it debits cannot interleave with another server's. They read with READ COMMITTED: each statement sees what
was committed before it, and after the lock that is all that any writer did. A stricter level would take its snapshot
with the first statement, which is the one that waits for the lock, and so see the tables as they were before the
wait. Transactions that only read have one snapshot (REPEATABLE READ) and wait for nobody.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, create_engine, event

from ..core.errors import IntegrityError, StrongroomError, UsageError
from ._schema import RESTORE, upgrade, version_of
from ._tables import HEAD, subject_keys

__all__ = ["PostgresDatabase", "check_url"]

LOCK = int.from_bytes(b"strongrm")
"""The advisory lock of a database's tables."""
POOL, POOL_OVERFLOW, POOL_SECONDS = 5, 15, 10.0
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WITH_PASSWORD = re.compile(r"postgresql://[^@/:]*:[^@/]*@")
_NO_RIGHT = "42501"
_AGAIN = "see whether PostgreSQL runs there, and try again"


def check_url(url: str) -> str:
    """Returns an address of PostgreSQL. Raises UsageError for what is none, and for one that holds a password.

    >>> check_url("postgresql://strongroom@db.example/state?sslmode=verify-full")
    'postgresql://strongroom@db.example/state?sslmode=verify-full'
    """
    if not url.startswith("postgresql://") or not url.isprintable() or " " in url:
        raise UsageError("this is no address of PostgreSQL", next="write postgresql://user@host:port/database")
    if _WITH_PASSWORD.match(url) or "password" in unquote(url.partition("?")[2]):
        raise UsageError("an address holds no password", next="write it into a file and name that: state.password_file")
    return url


class PostgresDatabase:
    """A `Database` that several servers share."""

    def __init__(self, url: str, password: str) -> None:
        self.where = check_url(url)
        self._password = password
        self._asked = itertools.count()

    @property
    def errors(self) -> type[Exception]:
        """See `Database`."""
        found: type[Exception] = _driver().Error
        return found

    def open(self) -> Engine:
        """See `Database`."""
        engine = self.engine()
        try:
            with engine.connect() as connection:
                version = version_of(connection, self.where)
            if version != HEAD:
                upgrade(engine, self.where)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def engine(self) -> Engine:
        """See `Database`. A connection is tried before it is used: PostgreSQL may have stopped and returned."""
        _driver()
        from ._psycopg import connect

        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(self.where, self._password),
            hide_parameters=True,
            use_native_hstore=False,
            pool_pre_ping=True,
            pool_size=POOL,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_SECONDS,
        )

        @event.listens_for(engine, "begin")
        def _(connection: Connection) -> None:
            options = connection.get_execution_options()
            if not options.get("outside"):
                connection.exec_driver_sql(_WRITE if options.get("immediate") else _READ)

        return engine

    def erase(self, engine: Engine) -> None:
        """See `Database`. Writes the table anew: what was deleted stays in the log, its archive and replicas."""
        with engine.connect().execution_options(outside=True) as connection:
            connection.exec_driver_sql(f"VACUUM (FULL) {subject_keys.name}")

    def stamp(self) -> tuple[int, ...]:
        """See `Database`. No two are equal: to ask whether anything changed costs as much as to read it."""
        return (next(self._asked),)

    def told(self, error: BaseException | None) -> StrongroomError:
        """See `Database`. Messages are shown where they name no values; details, which hold whole rows, never."""
        state = getattr(error, "sqlstate", None) or ""
        said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error).partition("\n")[0][:300]
        if state == "55P03":
            return StrongroomError("another process holds the state database", where=self.where, next="try again")
        if state.startswith("XX00"):
            return IntegrityError(f"the state database is damaged: {said}", where=self.where, next=RESTORE)
        if state.startswith("42") and state != _NO_RIGHT:
            why = f"the state database is not as it was made: {said}"
            return IntegrityError(why, where=self.where, next=RESTORE)
        if state != _NO_RIGHT and not isinstance(error, _driver().OperationalError):
            said = type(error).__name__  # a value that was refused may stand in the message
        return StrongroomError(f"the state database cannot be used: {said}", where=self.where, next=_AGAIN)


def _driver() -> Any:
    """psycopg. Raises UsageError where it is not installed."""
    try:
        import psycopg
    except ImportError:
        raise UsageError(
            "state in PostgreSQL needs the extra `postgres`", next="pip install 'strongroom[postgres]'"
        ) from None
    return psycopg
