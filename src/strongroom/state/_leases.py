"""Leases, approvals, and what was released."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError as TakenError

from ..core.errors import UsageError
from ..core.leases import Approval, Lease
from ._rows import equal, record_of
from ._tables import approvals, leases, marks, releases, sealers

__all__ = ["Leases"]

_DAY_US = 86_400_000_000
_all, _day = leases.c, (releases.c.asset, releases.c.principal, releases.c.day)
_GET = select(leases).where(equal(_all.id))
_CHANGE = update(leases).where(equal(_all.id))
_ACTIVE = (
    select(leases)
    .where(equal(_all.principal, _all.action, _all.asset, _all.asset_digest, _all.purpose))
    .where(_all.state == "active", _all.expires > bindparam("time"), _all.breakglass == "")
    .limit(1)
)
_OF_REQUEST = select(leases).where(equal(_all.principal, _all.request)).order_by(_all.changed.desc()).limit(1)
_TIME = select(marks.c.value).where(marks.c.name == "time")
_LATER = update(marks).where(marks.c.name == "time", marks.c.value < bindparam("time")).values(value=bindparam("time"))
_SEALER = select(sealers.c.principal).where(equal(sealers.c.object))
_APPROVALS = select(approvals).where(equal(approvals.c.lease)).order_by(approvals.c.given)
_RELEASED = select(releases.c.bytes).where(equal(*_day))
_RELEASE = update(releases).where(equal(*_day)).values(bytes=releases.c.bytes + bindparam("more"))


class Leases:
    """Leases, approvals, and what was released: inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, lease: Lease) -> None:
        """Puts a lease on the list, or changes the one of this id."""
        columns = msgspec.structs.asdict(lease)
        if self._connection.execute(_CHANGE, {"of_id": lease.id, **columns}).rowcount == 0:
            self._connection.execute(insert(leases), columns)

    def get(self, id: str) -> Lease | None:
        """The lease of this id. In a transaction that writes it stays so until that ends: nobody else writes."""
        row = self._connection.execute(_GET, {"of_id": id}).one_or_none()
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
        """A lease that covers this already, and has not expired. One made by breaking glass has to be named."""
        which = {
            "of_principal": principal,
            "of_action": action,
            "of_asset": asset,
            "of_asset_digest": asset_digest,
            "of_purpose": purpose,
            "time": time_us,
        }
        row = self._connection.execute(_ACTIVE, which).one_or_none()
        return None if row is None else record_of(row, Lease)

    def by_break_glass(self, credential: str) -> list[Lease]:
        """The leases that were made with a break-glass credential."""
        rows = self._connection.execute(select(leases).where(leases.c.breakglass == credential))
        return [record_of(row, Lease) for row in rows]

    def of_request(self, principal: str, request: str) -> Lease | None:
        """The newest lease that a request took."""
        row = self._connection.execute(_OF_REQUEST, {"of_principal": principal, "of_request": request}).one_or_none()
        return None if row is None else record_of(row, Lease)

    def seen_time(self) -> int:
        """The latest time at which anything was decided, 0 before."""
        return self._connection.scalar(_TIME) or 0

    def see_time(self, time_us: int, *, back: bool = False) -> None:
        """Notes a time; an earlier one only with `back`."""
        if self._connection.execute(_LATER, {"time": time_us}).rowcount:
            return
        if self._connection.scalar(_TIME) is None:
            self._connection.execute(insert(marks), {"name": "time", "value": time_us})
        elif back:
            self._connection.execute(update(marks).where(marks.c.name == "time").values(value=time_us))

    def put_sealer(self, object: str, principal: str) -> None:
        """Who sealed an object; the first one stays."""
        if self.sealer(object) is None:
            self._connection.execute(insert(sealers).values(object=object, principal=principal))

    def sealer(self, object: str) -> str | None:
        """Who sealed an object."""
        return self._connection.scalar(_SEALER, {"of_object": object})

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
        return [record_of(row, Approval) for row in self._connection.execute(_APPROVALS, {"of_lease": lease})]

    def released(self, asset: str, principal: str, time_us: int) -> int:
        """Bytes of an asset that were released to a principal on the day of a time."""
        which = {"of_asset": asset, "of_principal": principal, "of_day": time_us // _DAY_US}
        return self._connection.scalar(_RELEASED, which) or 0

    def release(self, asset: str, principal: str, time_us: int, bytes: int) -> None:
        """Debits what is about to be released."""
        day = time_us // _DAY_US
        which = {"of_asset": asset, "of_principal": principal, "of_day": day, "more": bytes}
        if self._connection.execute(_RELEASE, which).rowcount == 0:
            row = {"asset": asset, "principal": principal, "day": day, "bytes": bytes}
            self._connection.execute(insert(releases), row)
