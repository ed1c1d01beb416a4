"""Leases, approvals, and what was released."""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError as TakenError

from ..core.errors import UsageError
from ..core.leases import Approval, Lease
from ._rows import record_of
from ._tables import approvals, leases, marks, releases, sealers

__all__ = ["Leases"]

_DAY_US = 86_400_000_000


class Leases:
    """Leases, approvals, and what was released: inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, lease: Lease) -> None:
        """Puts a lease on the list, or changes the one of this id."""
        columns = msgspec.structs.asdict(lease)
        if self._connection.execute(update(leases).where(leases.c.id == lease.id).values(columns)).rowcount == 0:
            self._connection.execute(insert(leases).values(columns))

    def get(self, id: str) -> Lease | None:
        """The lease of this id. In a transaction that writes it stays so until that ends: nobody else writes."""
        row = self._connection.execute(select(leases).where(leases.c.id == id)).one_or_none()
        return None if row is None else record_of(row, Lease)

    def all(self, *, principal: str = "", state: str = "", limit: int = 1000) -> list[Lease]:
        """The newest leases, those of a principal, or in a state."""
        asked = select(leases).order_by(leases.c.requested.desc(), leases.c.id.desc()).limit(limit)
        if principal:
            asked = asked.where(leases.c.principal == principal)
        if state:
            asked = asked.where(leases.c.state == state)
        return [record_of(row, Lease) for row in self._connection.execute(asked)]

    def active(
        self, principal: str, action: str, asset: str, asset_digest: str, purpose: str, time_us: int
    ) -> Lease | None:
        """A lease that covers this already, and has not expired."""
        asked = select(leases).where(
            leases.c.principal == principal,
            leases.c.action == action,
            leases.c.asset == asset,
            leases.c.asset_digest == asset_digest,
            leases.c.purpose == purpose,
            leases.c.state == "active",
            leases.c.expires > time_us,
        )
        row = self._connection.execute(asked.limit(1)).one_or_none()
        return None if row is None else record_of(row, Lease)

    def of_request(self, principal: str, request: str) -> Lease | None:
        """The newest lease that a request took."""
        asked = select(leases).where(leases.c.principal == principal, leases.c.request == request)
        row = self._connection.execute(asked.order_by(leases.c.changed.desc()).limit(1)).one_or_none()
        return None if row is None else record_of(row, Lease)

    def seen_time(self) -> int:
        """The latest time at which anything was decided, 0 before."""
        return self._connection.scalar(select(marks.c.value).where(marks.c.name == "time")) or 0

    def see_time(self, time_us: int, *, back: bool = False) -> None:
        """Notes a time; an earlier one only with `back`."""
        seen = self._connection.scalar(select(marks.c.value).where(marks.c.name == "time"))
        if seen is None:
            self._connection.execute(insert(marks).values(name="time", value=time_us))
        elif time_us > seen or back:
            self._connection.execute(update(marks).where(marks.c.name == "time").values(value=time_us))

    def put_sealer(self, object: str, principal: str) -> None:
        """Who sealed an object; the first one stays."""
        if self.sealer(object) is None:
            self._connection.execute(insert(sealers).values(object=object, principal=principal))

    def sealer(self, object: str) -> str | None:
        """Who sealed an object."""
        return self._connection.scalar(select(sealers.c.principal).where(sealers.c.object == object))

    def forget_sealer(self, object: str) -> None:
        """Nobody counts as who sealed an object."""
        self._connection.execute(delete(sealers).where(sealers.c.object == object))

    def approve(self, approval: Approval) -> None:
        """Adds one. Raises UsageError where the principal approved the lease already."""
        try:
            self._connection.execute(insert(approvals).values(msgspec.structs.asdict(approval)))
        except TakenError:
            raise UsageError(f"{approval.principal} has approved {approval.lease} already") from None

    def approvals(self, lease: str) -> list[Approval]:
        """The approvals of a lease, in their order."""
        rows = self._connection.execute(select(approvals).where(approvals.c.lease == lease).order_by(approvals.c.given))
        return [record_of(row, Approval) for row in rows]

    def released(self, asset: str, principal: str, time_us: int) -> int:
        """Bytes of an asset that were released to a principal on the day of a time."""
        which = _released(asset, principal, time_us // _DAY_US)
        return self._connection.scalar(select(releases.c.bytes).where(which)) or 0

    def release(self, asset: str, principal: str, time_us: int, bytes: int) -> None:
        """Debits what is about to be released."""
        day = time_us // _DAY_US
        changed = update(releases).where(_released(asset, principal, day)).values(bytes=releases.c.bytes + bytes)
        if self._connection.execute(changed).rowcount == 0:
            row = {"asset": asset, "principal": principal, "day": day, "bytes": bytes}
            self._connection.execute(insert(releases).values(row))


def _released(asset: str, principal: str, day: int) -> ColumnElement[bool]:
    return and_(releases.c.asset == asset, releases.c.principal == principal, releases.c.day == day)
