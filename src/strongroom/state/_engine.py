"""Which database is behind the tables, and how its errors are told; all else that differs is the database's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Engine, exc

from ..core.errors import IntegrityError, StrongroomError
from ._postgres import PostgresDatabase
from ._schema import RESTORE
from ._sqlite import SqliteFile

__all__ = ["Database", "database_of", "told"]


class Database(Protocol):
    """What differs between SQLite and PostgreSQL."""

    where: str
    """Its path, or its address without a password."""

    @property
    def errors(self) -> type[Exception]:
        """The root of its driver's errors."""
        ...

    def open(self) -> Engine:
        """Makes the tables where there are none, upgrades older ones. For use inside `told`."""
        ...

    def engine(self) -> Engine:
        """Whatever version its tables have."""
        ...

    def erase(self, engine: Engine) -> None:
        """Overwrites what was deleted, as far as it can. Raises StrongroomError when something prevents it."""
        ...

    def stamp(self) -> tuple[int, ...]:
        """See `State.stamp`."""
        ...

    def told(self, error: BaseException | None) -> StrongroomError:
        """A driver's error as ours. No value of a row stands in it: they may be keys."""
        ...


def database_of(place: Path | str, password: str) -> Database:
    """A path is a file of SQLite, a text the address of PostgreSQL. Raises UsageError for one that is none."""
    return PostgresDatabase(place, password) if isinstance(place, str) else SqliteFile(place)


@contextlib.contextmanager
def told(database: Database, *, own: bool = True) -> Iterator[None]:
    """Tells errors of the database and of the disk as ours. `own`: nothing but our reading and writing is inside.

    The driver's own errors are left out of what is raised: PostgreSQL's hold whole rows, and so keys.
    """
    where = database.where
    try:
        yield
    except exc.DBAPIError as error:
        raise database.told(error.orig) from None
    except (ValueError, msgspec.MsgspecError) as error:
        if not own and not isinstance(error, msgspec.MsgspecError):
            raise
        raise IntegrityError(
            "the state database holds a value that nothing of ours wrote", where=where, next=RESTORE
        ) from error
    except exc.SQLAlchemyError as error:
        raise StrongroomError(f"the state database cannot be used: {error}", where=where, next="try again") from error
    except OSError as error:
        if not own:
            raise
        raise StrongroomError(
            f"the state database cannot be used: {error.strerror}", where=where, next="check space and permissions"
        ) from error
    except Exception as error:
        if not isinstance(error, database.errors):
            raise
        raise database.told(error) from None
