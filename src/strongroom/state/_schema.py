"""Versions of the tables, on either database: read, upgraded, refused where they are newer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, inspect, text

from ..core.errors import IntegrityError, StrongroomError
from ._tables import HEAD, REVISIONS

__all__ = ["RESTORE", "migrate_to_head", "upgrade", "version_of", "writing"]

RESTORE = "restore it from a backup"


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock from its beginning."""
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        yield connection


def version_of(connection: Connection, where: str) -> str | None:
    """The version that the database says it has, None where nothing is in it.

    Raises IntegrityError, or StrongroomError for one unknown here.
    """
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = list(connection.scalars(text("SELECT version_num FROM alembic_version")))
    if len(found) != 1:
        raise IntegrityError("the state database names no version", where=where, next=RESTORE)
    version = str(found[0])
    if version not in REVISIONS:
        raise StrongroomError(
            f"the state database has version '{version[:40]}', this Strongroom knows up to {HEAD}",
            where=where,
            next="upgrade Strongroom",
        )
    return version


def upgrade(engine: Engine, where: str) -> None:
    """All of it or nothing; whoever waited for another's upgrade finds it done."""
    with writing(engine) as connection:
        if version_of(connection, where) != HEAD:
            migrate_to_head(connection)


def migrate_to_head(connection: Connection) -> None:
    """Alembic, inside the transaction that the connection is in."""
    from ._migrate import migrate

    migrate(connection, HEAD)
