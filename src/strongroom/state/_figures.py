"""Figures over the tables, counted by the database, so that they cost the same with a hundred leases or a million."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select, union_all

from ._tables import api_keys, approvals, grants, leases, sealed_versions, ssh_keys

__all__ = ["Figures", "Released"]


@dataclass(frozen=True)
class Released:
    """Leases under which keys were released."""

    leases: int
    with_purpose: int
    exports: int


class Figures:
    """What is counted: inside one transaction. Times are microseconds since 1970."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def released(self, since: int) -> Released:
        """Leases that released something since then, and were not revoked."""
        asked = select(
            func.count(),
            func.coalesce(func.sum(case((leases.c.purpose != "", 1), else_=0)), 0),
            func.coalesce(func.sum(case((leases.c.action == "ExportWeights", 1), else_=0)), 0),
        ).where(leases.c.state.in_(("active", "used")), leases.c.changed >= since)
        count, with_purpose, exports = self._connection.execute(asked).one()
        return Released(int(count), int(with_purpose), int(exports))

    def busy_since(self, since: int) -> set[str]:
        """Whoever had a key released, approved, or was given a key or a grant since then."""
        asked = union_all(
            select(leases.c.principal).where(leases.c.entry >= 0, leases.c.changed >= since),
            select(approvals.c.principal).where(approvals.c.given >= since),
            select(api_keys.c.principal).where(api_keys.c.created >= since),
            select(ssh_keys.c.principal).where(ssh_keys.c.added >= since),
            select(grants.c.subject).where(grants.c.given >= since),
        )
        return set(self._connection.scalars(asked))

    def sealed(self) -> dict[str, str]:
        """Names under which something was sealed and seen, and the id of the key that signed its newest version."""
        asked = select(sealed_versions.c.line, sealed_versions.c.signer).where(sealed_versions.c.version > 0)
        return {row.line: row.signer for row in self._connection.execute(asked)}
