"""Versions of sealed objects: functions over a connection; `State` gives each its transaction."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from ._tables import sealed_versions

__all__ = ["highest_version", "record_version"]


def highest_version(connection: Connection, line: str) -> tuple[int, str] | None:
    """The highest version of `line` that was seen, and its manifest's digest."""
    table = sealed_versions
    row = connection.execute(select(table.c.version, table.c.digest).where(table.c.line == line)).one_or_none()
    return None if row is None else (row.version, row.digest)


def record_version(connection: Connection, line: str, version: int, digest: str, seen: int) -> None:
    """Puts a version on record, unless a higher one, or this one, is there already."""
    table, row = sealed_versions, {"version": version, "digest": digest, "seen": seen}
    if highest_version(connection, line) is None:
        connection.execute(insert(table).values(line=line, **row))
    else:
        connection.execute(update(table).where(table.c.line == line, table.c.version < version).values(row))
