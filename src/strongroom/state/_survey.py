"""The tables as whoever compares them with the ledger reads them: rows in streams, and rows that only a recorded
change may alter.

A `Rows` maps what names a row to what it holds. A name of a person in it is a `Personal`, so that it can be replaced by
its keyed digest before anything of the row goes on record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from ..core.leases import Approval, Lease
from ._assets import read_assets
from ._policy_sets import PolicySet
from ._principals import Principals
from ._rows import record_of
from ._tables import approvals, leases, marks, policy_sets, releases, sealers, ssh_keys

__all__ = ["Cell", "Personal", "Rows", "Survey"]

BATCH_ROWS = 4096
AT_ONCE = 512
"""Values in one statement."""


class Personal(str):
    """A principal's name."""

    __slots__ = ()


Cell = str | int | bool | tuple[str, ...]
Rows = dict[tuple[Cell, ...], tuple[Cell, ...]]


class Survey:
    """All of the tables, read: inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def guarded(self) -> Rows:
        """Every row that only `Administer` changes: principals, their keys, grants, assets, published policies."""
        found: Rows = {}
        for one in Principals(self._connection).all():
            found["principal", Personal(one.name)] = (one.kind, tuple(sorted(one.groups)), one.suspended)
        for key in self._connection.execute(select(ssh_keys)):
            found["SSH key", key.fingerprint] = (Personal(key.principal), key.public)
        for one_key in Principals(self._connection).api_keys():
            times = (one_key.created, one_key.expires or 0, one_key.revoked or 0)
            found["API key", one_key.id] = (Personal(one_key.principal), one_key.digest, one_key.label, *times)
        for grant in Principals(self._connection).grants():
            subject = grant.subject if grant.subject.startswith("group:") else Personal(grant.subject)
            by = Personal(grant.by)
            found["grant", subject, grant.action, grant.asset] = (grant.expires, grant.given, by)
        for asset in read_assets(self._connection):
            own = (asset.kind, asset.classification, str(asset.size), asset.digest, asset.note)
            found["asset", asset.name] = (*own, tuple(asset.places))
        for row in self._connection.execute(select(policy_sets.c.version, policy_sets.c.text, policy_sets.c.by)):
            text = hashlib.sha256(row.text.encode()).hexdigest()
            found["policies", f"version {row.version}"] = (text, Personal(row.by))
        return found

    def first_policies(self) -> PolicySet | None:
        """The set that was published first."""
        row = self._connection.execute(select(policy_sets).order_by(policy_sets.c.version).limit(1)).one_or_none()
        return None if row is None else record_of(row, PolicySet)

    def leases_of(self, ids: Sequence[str]) -> dict[str, Lease]:
        """The leases of these ids that there are."""
        found: dict[str, Lease] = {}
        for at in range(0, len(ids), AT_ONCE):
            rows = self._connection.execute(select(leases).where(leases.c.id.in_(ids[at : at + AT_ONCE])))
            found.update((row.id, record_of(row, Lease)) for row in rows)
        return found

    def leases(self, *, states: Sequence[str], ending_after: int) -> Iterator[Lease]:
        """Leases in these states, by the entry that they name; active ones that have not ended by then."""
        asked = select(leases).where(
            leases.c.state.in_(states), (leases.c.state != "active") | (leases.c.expires > ending_after)
        )
        asked = asked.order_by(leases.c.entry, leases.c.id)
        for row in self._connection.execution_options(yield_per=BATCH_ROWS).execute(asked):
            yield record_of(row, Lease)

    def approvals(self) -> Iterator[Approval]:
        """Every approval of a lease that waits; others count no more."""
        waits = leases.c.state.in_(("requested", "pending"))
        asked = select(approvals).join(leases, leases.c.id == approvals.c.lease).where(waits)
        for row in self._connection.execute(asked.order_by(approvals.c.id)):
            yield record_of(row, Approval)

    def releases(self, since_day: int) -> Iterator[tuple[str, str, int, int]]:
        """Asset, principal, day and bytes, from a day on."""
        for row in self._connection.execute(select(releases).where(releases.c.day >= since_day)):
            yield row.asset, row.principal, row.day, row.bytes

    def sealers(self) -> Iterator[tuple[str, str]]:
        """An object's id, and who sealed it."""
        for row in self._connection.execute(select(sealers).order_by(sealers.c.object)):
            yield row.object, row.principal

    def seen_time(self) -> int:
        """See `Leases.seen_time`."""
        return self._connection.scalar(select(marks.c.value).where(marks.c.name == "time")) or 0
