"""What one request is decided on: the principal, the asset, the lease, grants, approvals, and today's releases."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..core.assets import CLASSIFICATIONS, Asset, Classification
from ..core.clock import format_time
from ..core.leases import Approval, Lease
from ..core.principals import Principal
from ..core.records import AccessEvent
from ..policy import Asked, Decision, Policies, Request
from ..state import Transaction

__all__ = ["RELEASES", "REQUEST_DAYS", "Approvals", "Wanted", "decide", "unfit", "wanted_asset"]

RELEASES = frozenset({"ReadDataset", "OpenWeights", "ExportWeights"})
"""Actions that release keys; a key that was released counts as the whole of what it opens."""
REQUEST_DAYS = 7
"""How long a request may wait for its approvals."""
PENDING_SECONDS = 120
"""After so long whoever took a lease and did not say that it was on record is taken for dead; nothing was released."""
UNCLASSIFIED: Classification = "internal"
_DAY_US = 86_400_000_000
_LARGEST_SHARE = 1_000_000


class Approvals(Protocol):
    """Checks who approved."""

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        """Whose signature over this very request holds, with a key that is theirs now; each once."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """What a door asks for, and what the tables hold of it."""

    principal: Principal | None
    event: AccessEvent
    asset: Asset
    """What it is called and classified as."""
    object: str
    """The sealed object's own id, where there is one."""
    lease: Lease | None = None


def wanted_asset(transaction: Transaction, name: str) -> Asset:
    """The asset of a name: it is at least as dear as the one without its tag; what nobody classified is internal."""
    untagged = name.partition(":")[0]
    known = transaction.assets(name, untagged)
    listed = [known[one] for one in dict.fromkeys((name, untagged)) if one in known]
    classes: list[Classification] = [one.classification for one in listed] or [UNCLASSIFIED]
    return Asset(
        name=name,
        kind=listed[0].kind if listed else "model",
        classification=max(classes, key=CLASSIFICATIONS.index),
        size=listed[0].size if listed else -1,
        places=[],
    )


def unfit(lease: Lease | None, event: AccessEvent, time: int) -> str:
    """Why a lease that was named does not cover a request; empty when it does."""
    if lease is None or lease.principal != event.principal:  # one answer: nobody learns of others' leases
        return f"{event.lease[:40]} is not a lease of {event.principal}"
    if (lease.action, lease.asset) != (event.action, event.asset):
        return f"{lease.id} is for {lease.action} of {lease.asset}"
    if lease.asset_digest and lease.asset_digest != event.asset_digest:
        return f"{lease.id} is for another version of {lease.asset}"
    return _over(lease, time)


def _over(lease: Lease, time: int) -> str:
    """Why a lease opens nothing now; empty when it does."""
    if lease.state == "active":
        return f"{lease.id} expired at {format_time(lease.expires)}" if lease.expires <= time else ""
    if lease.state == "pending" and lease.changed + PENDING_SECONDS * 1_000_000 > time:
        return f"{lease.id} is being used at this moment"
    if lease.state not in ("requested", "pending"):
        return f"{lease.id} is {lease.state}"
    if lease.requested + REQUEST_DAYS * _DAY_US <= time:
        return f"{lease.id} was asked for more than {REQUEST_DAYS} days ago"
    return ""


def decide(transaction: Transaction, policies: Policies, wanted: Wanted, approvals: Approvals, time: int) -> Decision:
    """What the policies say of a request, on what the tables hold now. Raises RefusedError for what cannot be asked."""
    assert wanted.principal is not None
    event = wanted.event
    asked = Asked(
        time=time,
        purpose=event.purpose,
        granted=_granted(transaction, wanted.principal, event, time),
        sealer=bool(wanted.object) and transaction.leases.sealer(wanted.object) == event.principal,
        leased=bool(event.lease),
        approvals=_approvals(transaction, policies, wanted, approvals, time),
        share=_share(transaction, wanted, time),
        network=event.client_address,
    )
    return policies.decide(Request(principal=wanted.principal, action=event.action, asset=wanted.asset, asked=asked))


def _granted(transaction: Transaction, principal: Principal, event: AccessEvent, time: int) -> bool:
    subjects = [principal.name, *(f"group:{group}" for group in principal.groups)]
    covering = {event.asset, event.asset.partition(":")[0], f"{event.asset.partition('/')[0]}/*"}
    return any(
        grant.action == event.action and grant.asset in covering and grant.given <= time < grant.expires
        for grant in transaction.principals.grants(subjects)
    )


def _approvals(transaction: Transaction, policies: Policies, wanted: Wanted, approvals: Approvals, time: int) -> int:
    """How many people other than the asker said yes, of those who may for this asset."""
    lease = wanted.lease
    if lease is None or not wanted.event.lease:
        return 0
    given = transaction.leases.approvals(lease.id)
    people = approvals.approvers(lease, given, transaction) if given else []
    return sum(
        person.name != lease.principal
        and policies.decide(
            Request(principal=person, action="Approve", asset=wanted.asset, asked=Asked(time=time))
        ).allowed
        for person in people
    )


def _share(transaction: Transaction, wanted: Wanted, time: int) -> int:
    """Percent of the asset's size that the principal will have had today; what was debited for this counts once."""
    event = wanted.event
    if event.action not in RELEASES:
        return 0
    had = transaction.leases.released(wanted.asset.name, event.principal, time)
    again = wanted.lease is not None and wanted.lease.state in ("active", "pending")
    total = had if again else had + event.bytes
    size = wanted.asset.size if wanted.asset.size > 0 else event.bytes
    if size <= 0:  # nobody knows how large it is: what was had is taken for the whole
        return 100
    return min(-(-100 * total // size), _LARGEST_SHARE)
