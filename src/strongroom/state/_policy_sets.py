"""Published sets of policies."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select

from ._rows import record_of
from ._tables import policy_sets

__all__ = ["PolicySet", "PolicySets"]

_NEWEST_VERSION = select(policy_sets.c.version).order_by(policy_sets.c.version.desc()).limit(1)


class PolicySet(msgspec.Struct, frozen=True, kw_only=True):
    """One published set; the highest version is in force."""

    version: int
    text: str
    signer: str
    """The id of the key that signed it."""
    signature: bytes
    by: str
    """Who published it."""
    published: int
    """Microseconds since 1970."""


class PolicySets:
    """Published sets of policies: inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, given: PolicySet) -> None:
        """Puts a set into force; its version is the next one."""
        self._connection.execute(insert(policy_sets).values(msgspec.structs.asdict(given)))

    def newest(self) -> PolicySet | None:
        """The set in force."""
        asked = select(policy_sets).order_by(policy_sets.c.version.desc()).limit(1)
        row = self._connection.execute(asked).one_or_none()
        return None if row is None else record_of(row, PolicySet)

    def newest_version(self) -> int:
        """The version in force, 0 where none is."""
        return self._connection.scalar(_NEWEST_VERSION) or 0
