"""Break-glass credentials: what is kept of each, never a secret or a share."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select, update

from ..core.leases import BreakGlass
from ._rows import record_of
from ._tables import break_glass

__all__ = ["BreakGlasses"]


class BreakGlasses:
    """Break-glass credentials: inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, credential: BreakGlass) -> None:
        """Puts a credential on the list, or changes the one of this id."""
        columns = msgspec.structs.asdict(credential)
        changed = update(break_glass).where(break_glass.c.id == credential.id).values(columns)
        if self._connection.execute(changed).rowcount == 0:
            self._connection.execute(insert(break_glass).values(columns))

    def get(self, id: str) -> BreakGlass | None:
        """The credential of this id, in whatever state."""
        row = self._connection.execute(select(break_glass).where(break_glass.c.id == id)).one_or_none()
        return None if row is None else record_of(row, BreakGlass)

    def all(self) -> list[BreakGlass]:
        """All credentials, the newest first."""
        asked = select(break_glass).order_by(break_glass.c.issued.desc(), break_glass.c.id)
        return [record_of(row, BreakGlass) for row in self._connection.execute(asked)]
