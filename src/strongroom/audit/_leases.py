"""Leases, budgets and approvals beside the entries that say what was released. No IO but the tables'."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..core.clock import format_time
from ..core.leases import ONCE, Lease
from ..state import Survey
from ._difference import Difference
from ._own import Event
from ._rows import RowDigests

__all__ = ["MISSING", "OTHER_PRINCIPAL", "LeaseCheck"]

MISSING = "is on record as released, and not in the table"
OTHER_PRINCIPAL = "has another principal than its entry says"

TAKING_SECONDS = 120
"""A lease that was taken so recently may be between the ledger and the tables at this moment."""
RELEASE_SECONDS = 3600
"""From an entry's time until its lease is active: somebody may be asked for a passphrase in between."""
BUDGET_DAYS = 1
"""Budgets are of one day: beside today's, yesterday's are compared, and what is older holds nobody."""
WITHDRAWN = "withdrawn by whoever asked for it"
_APPROVES = re.compile(r"approves \w+ under (lse_[0-9a-f]{32})\b")
_US = 1_000_000
_DAY_US = 86_400 * _US
_LAST_MINUTE_US = _DAY_US - 60 * _US
_MENDS = "strongroom lease revoke "


class LeaseCheck:
    """Is shown the site's own events in their order, then asked what the tables have besides."""

    def __init__(self, survey: Survey, rows: RowDigests, time_us: int, size: int) -> None:
        self._survey = survey
        self._rows = rows
        self._time = time_us
        self._size = size
        self._borne_out = bytearray(size // 8 + 1)
        """A bit for each entry that says what the row of its lease says."""
        self._again: Counter[str] = Counter()
        """How often a lease for one release was let in beside the entry that its row names."""
        self._ended: dict[str, int] = {}
        self._approved: dict[tuple[str, str], int] = {}
        self._released: Counter[tuple[str, str, int]] = Counter()

    def see(self, batch: Sequence[tuple[int, Event]]) -> Iterator[Difference]:
        """Looks at some events, and at the leases that they name."""
        released = [(index, event) for index, event in batch if event.lease and event.outcome == "allowed"]
        for index, event in batch:
            if event.outcome == "failed" and event.lease and event.reason.startswith(WITHDRAWN):
                self._ended[event.lease] = index
            elif event.action == "Approve" and event.outcome == "allowed":
                found = _APPROVES.search(event.reason)
                if found:
                    self._approved[found[1], event.principal] = index
        leases = self._survey.leases_of(sorted({event.lease for _, event in released})) if released else {}
        for index, event in released:
            yield from self._compare(index, event, leases.get(event.lease))

    def finish(self, erased: int, revoked: dict[str, int]) -> Iterator[Difference]:
        """What the tables have that no entry bears out. `revoked`: digests of changes that ended a lease."""
        yield from self._active()
        yield from self._revived(revoked)
        yield from self._budgets()
        yield from self._approvals(erased)

    def _compare(self, index: int, event: Event, lease: Lease | None) -> Iterator[Difference]:
        """One release on record, and the row of its lease."""
        if lease is None:
            yield _about(event.lease, MISSING, index, "strongroom site accept")
            return
        if lease.state == "revoked":
            return
        if lease.state == "requested" or (lease.action in ONCE and lease.state == "active"):
            what = f"is {lease.state} again, and was released on {event.time} for {lease.action} of {lease.asset}"
            yield _about(lease.id, what, index)
        elif lease.state == "pending" and lease.changed + TAKING_SECONDS * _US < self._time:
            yield _about(lease.id, "is on record as released, and pending in the table", index, sure=False)
        if lease.entry != index:
            if lease.action in ONCE:
                self._again[lease.id] += 1
                if self._again[lease.id] + (lease.entry >= 0) > lease.attempt:
                    what = "was released more often than the table says"
                    yield _about(lease.id, what, index, _accepts(lease))
            return
        if wrong := self._wrong(event, lease):
            yield _about(lease.id, f"has {wrong} than its entry says", index, _accepts(lease))
        elif self._rows.principal(lease.principal) not in ("", event.principal):
            yield _about(lease.id, OTHER_PRINCIPAL, index, _accepts(lease))
        self._borne_out[index // 8] |= 1 << index % 8
        if event.at % _DAY_US < _LAST_MINUTE_US:  # later it may have been debited on the next day
            self._released[lease.asset.partition(":")[0], lease.principal, event.at // _DAY_US] += event.bytes

    def _wrong(self, event: Event, lease: Lease) -> str:
        """What of a lease's row is not as its entry says; empty when all is."""
        latest = event.at + (lease.seconds + RELEASE_SECONDS) * _US
        pairs = (
            ("another action", lease.action == event.action),
            ("another asset", lease.asset == event.asset),
            ("another object", lease.opened == event.asset_digest),
            ("another purpose", lease.purpose == event.purpose),
            ("other bytes", lease.bytes == event.bytes),
            ("another request", lease.request == event.request_digest),
            ("a later end", lease.state != "active" or lease.expires <= latest),
        )
        return ", ".join(name for name, right in pairs if not right)

    def _active(self) -> Iterator[Difference]:
        """Leases that say that they are on record."""
        before = -1
        for lease in self._survey.leases(states=("active", "used"), ending_after=self._time):
            index, twice = lease.entry, lease.entry == before
            before = index
            known = 0 <= index < self._size and self._borne_out[index // 8] >> index % 8 & 1
            if twice or not known:
                what = f"is {lease.state}, and no entry of the ledger says so"
                yield _about(lease.id, what, index, _accepts(lease))

    def _revived(self, revoked: dict[str, int]) -> Iterator[Difference]:
        """Leases that were ended, on record, and can be used."""
        if not revoked and not self._ended:
            return
        for lease in self._survey.leases(states=("requested", "pending", "active"), ending_after=self._time):
            index = self._ended.get(lease.id, -1)
            if revoked:
                index = max(index, revoked.get(self._rows.change({"change": "revokes a lease", "lease": lease.id}), -1))
            if index >= 0:
                yield _about(lease.id, f"is {lease.state} again, and was revoked", index)

    def _budgets(self) -> Iterator[Difference]:
        since = self._time // _DAY_US - BUDGET_DAYS
        found = {(asset, principal, day): count for asset, principal, day, count in self._survey.releases(since)}
        for key, least in self._released.items():
            asset, principal, day = key
            if day >= since and found.get(key, 0) < least:
                date = format_time(day * _DAY_US)[:10]
                yield Difference(
                    kind="budget",
                    row=f"{asset}, {principal}, {date}",
                    what=f"{found.get(key, 0):,} bytes were released, says the table; the ledger: at least {least:,}",
                    next=f"strongroom principal suspend {principal}, until the day is over",
                )

    def _approvals(self, erased: int) -> Iterator[Difference]:
        """Every approval that can still count has its entry, and every entry its approval."""
        for one in self._survey.approvals():
            digest = self._rows.principal(one.principal)
            if self._approved.pop((one.lease, digest), None) is None and erased < 0:
                what = f"the approval of {one.principal} is not on record"
                yield Difference(kind="approval", row=one.lease, what=what, next=_MENDS + one.lease)
        left = [(lease, index) for (lease, _), index in self._approved.items() if index > erased]
        waiting = self._survey.leases_of(sorted({lease for lease, _ in left}))
        for lease, index in left:
            if lease in waiting and waiting[lease].state in ("requested", "pending"):
                what = "an approval is on record, and not in the table"
                next = _MENDS + lease
                yield Difference(kind="approval", row=lease, what=what, entry=index, next=next, sure=False)


def _accepts(lease: Lease) -> str:
    """What ends a lease: whoever used one cannot revoke it."""
    return "strongroom site accept" if lease.state == "used" else _MENDS + lease.id


def _about(lease: str, what: str, entry: int, next: str = "", *, sure: bool = True) -> Difference:
    return Difference(kind="lease", row=lease, what=what, entry=entry, next=next or _MENDS + lease, sure=sure)
