"""Versions of sealed objects: functions over a connection; `State` gives each its transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from ..core.errors import IntegrityError
from ._rows import equal
from ._tables import sealed_versions

__all__ = ["forget_versions", "highest_version", "record_version", "reserve_version"]

_all = sealed_versions.c
_HIGHEST = select(_all.version, _all.digest, _all.signer).where(equal(_all.line), _all.version > 0)


def highest_version(connection: Connection, line: str) -> tuple[int, str, str] | None:
    """The highest version of `line` that was seen, its manifest's digest, and its signer."""
    row = connection.execute(_HIGHEST, {"of_line": line}).one_or_none()
    return None if row is None else (row.version, row.digest, row.signer)


def reserve_version(connection: Connection, line: str, at_least: int, seen: int) -> int:
    """A version above all that were seen or reserved, which nobody else gets. What is seen stays the highest."""
    table = sealed_versions
    reserved = connection.scalar(select(table.c.reserved).where(table.c.line == line))
    version = max(at_least, (reserved or 0) + 1)
    if reserved is None:
        row = {"line": line, "version": 0, "digest": "", "signer": "", "reserved": version, "seen": seen}
        connection.execute(insert(table).values(row))
    else:
        connection.execute(update(table).where(table.c.line == line).values(reserved=version))
    return version


def record_version(connection: Connection, line: str, version: int, digest: str, signer: str, seen: int) -> None:
    """Puts a version on record. Raises IntegrityError for one below the highest, and for another manifest of it."""
    known = highest_version(connection, line)
    if known is not None and version < known[0]:
        raise IntegrityError(
            f"this is version {version} of {line}, and version {known[0]} was seen here before",
            next="somebody may have put an old copy in its place; find the newer one",
        )
    if known is not None and version == known[0]:
        if known[1] != digest:
            raise IntegrityError(
                f"version {version} of {line} was seen here with another manifest",
                next="compare with the copy that was opened before",
            )
        return
    table = sealed_versions
    row = {"version": version, "digest": digest, "signer": signer, "seen": seen}
    reserved = connection.scalar(select(table.c.reserved).where(table.c.line == line))
    if reserved is None:
        connection.execute(insert(table).values(line=line, reserved=version, **row))
    else:
        connection.execute(update(table).where(table.c.line == line).values(reserved=max(reserved, version), **row))


def forget_versions(connection: Connection, line: str) -> bool:
    """Takes a line off the record. Returns whether it was on it."""
    return connection.execute(delete(sealed_versions).where(sealed_versions.c.line == line)).rowcount > 0
