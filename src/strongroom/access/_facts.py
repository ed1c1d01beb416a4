"""What one request is decided on: the principal, the asset, the lease, grants, approvals, and today's releases."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..core.assets import CLASSIFICATIONS, Asset, Classification
from ..core.clock import format_time
from ..core.errors import InputError
from ..core.ids import check_asset_name, check_digest, check_id
from ..core.leases import MAX_PURPOSE_CHARACTERS, ONCE, Approval, Lease
from ..core.principals import Principal, check_principal_name
from ..core.records import AccessEvent
from ..policy import Asked, Decision, Policies, Request
from ..state import Transaction
from ._glass import budget_of, covering, why_not_by_glass

__all__ = [
    "CLOCK_SLACK_US",
    "PENDING_SECONDS",
    "RELEASES",
    "REQUEST_DAYS",
    "Approvals",
    "Wanted",
    "check_request",
    "is_debited",
    "is_repeat",
    "judge",
    "refused",
    "want",
    "why_over",
]

RELEASES = frozenset({"ReadDataset", "OpenWeights", "ExportWeights"})
"""Actions that release keys; a key that was released counts as the whole of what it opens."""
REQUEST_DAYS = 7
"""How long a request may wait for its approvals."""
PENDING_SECONDS = 120
"""After so long whoever took a lease and did not say that it was on record is taken for dead; nothing was released."""
REPEAT_SECONDS = 600
"""How long a request that was answered is answered again: its answer may have been lost on the way."""
CLOCK_SLACK_US = 60_000_000
"""How far the clock may go back: a later time was seen, and grants and leases would live longer than they were given
for."""
UNCLASSIFIED: Classification = "internal"
_DAY_US = 86_400_000_000
_LARGEST_SHARE = 1_000_000
_MAX_BYTES = (1 << 53) - 1


class Approvals(Protocol):
    """Checks who approved."""

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        """Whose signature over this very request holds, with a key that is theirs now; each once."""
        ...

    def signer(self, lease: Lease, signature: str, transaction: Transaction) -> str:
        """The principal with whose key a lease's request was signed. Raises RefusedError where nobody's was."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """What a door asks for, and what the tables hold of it."""

    principal: Principal | None
    event: AccessEvent
    asset: Asset
    """What it is called and classified as."""
    object: str
    """The sealed object's own id, where there is one."""
    lease: Lease | None
    unfit: str
    """Why the lease that was named does not cover this; empty when it does, or none was named."""


def check_request(event: AccessEvent) -> None:
    """Raises InputError or RefusedError for what no door asks: nothing of it may be debited or go on record."""
    check_principal_name(event.principal)
    check_asset_name(event.asset)
    if event.lease:
        check_id(event.lease)
    for digest in filter(None, (event.asset_digest, event.request_digest)):
        check_digest(digest)
    if not 0 <= event.bytes <= _MAX_BYTES:
        raise InputError(f"{event.bytes} is no number of bytes", next="write a whole number, 0 where it is not known")
    if len(event.purpose) > MAX_PURPOSE_CHARACTERS or not event.purpose.isprintable():
        raise InputError(f"a purpose is one line of at most {MAX_PURPOSE_CHARACTERS} characters", next="shorten it")


def want(transaction: Transaction, event: AccessEvent, object: str, time: int) -> Wanted:
    """What the tables hold of a request."""
    asset = _asset(transaction, event.asset)
    lease, unfit = None, ""
    if event.action == "OpenWeights" and asset.kind == "dataset":
        event = msgspec.structs.replace(event, action="ReadDataset")
    if event.action not in RELEASES:  # a lease is a right to a key
        event = msgspec.structs.replace(event, lease="")
    elif event.lease:
        lease = transaction.leases.get(event.lease)
        unfit = _unfit(lease, event, time) or (why_not_by_glass(transaction, lease, time) if lease else "")
        if unfit:
            lease = None  # another's, perhaps: nothing of it may colour the record
        elif lease is not None:
            event = msgspec.structs.replace(event, purpose=lease.purpose)
    else:
        lease = _own(transaction, event, time)
    if lease is not None and is_repeat(lease, event, time):
        event = msgspec.structs.replace(event, reason=f"{event.reason}; the same request again".removeprefix("; "))
    return Wanted(transaction.principals.get(event.principal), event, asset, object, lease, unfit)


def judge(transaction: Transaction, policies: Policies, wanted: Wanted, approvals: Approvals, time: int) -> Decision:
    """What the policies say of a request, on what the tables hold now. Raises RefusedError for what cannot be asked."""
    event = wanted.event
    if wanted.principal is None:
        return refused("the principal is not known to this site")
    if wanted.unfit:
        return refused(wanted.unfit)
    if event.action != "Administer" and time < transaction.leases.seen_time() - CLOCK_SLACK_US:
        return refused("the clock of this machine is behind a time that was seen before")
    asked = Asked(
        time=time,
        purpose=event.purpose,
        granted=_granted(transaction, wanted.principal, event.action, event.asset, time),
        sealer=bool(wanted.object) and transaction.leases.sealer(wanted.object) == event.principal,
        leased=bool(event.lease),
        breakglass=bool(event.lease and wanted.lease and wanted.lease.breakglass),
        approvals=_approvals(transaction, policies, wanted, approvals, time),
        share=_share(transaction, wanted, time),
        network=event.client_address,
    )
    return policies.decide(Request(principal=wanted.principal, action=event.action, asset=wanted.asset, asked=asked))


def refused(why: str) -> Decision:
    """A refusal that no policy decided. No name stands in `why`: it goes on record in plain."""
    return Decision(False, (), f"refused: {why}")


def is_debited(lease: Lease | None, time: int) -> bool:
    """Whether what a lease releases was counted already, on the day of a time where it was not released yet."""
    if lease is None:
        return False
    if lease.state == "pending":
        return lease.changed // _DAY_US == time // _DAY_US
    return lease.state in ("active", "used")


def is_repeat(lease: Lease, event: AccessEvent, time: int) -> bool:
    """Whether this very request took the lease before: what it was answered then, it may be answered again."""
    if not event.request_digest or lease.request != event.request_digest:
        return False
    if lease.state == "pending":
        return True
    ends = lease.changed + REPEAT_SECONDS * 1_000_000
    if lease.state == "active":
        ends = min(ends, lease.expires)
    return lease.state in ("active", "used") and lease.changed <= time < ends


def why_over(lease: Lease, time: int) -> str:
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


def _unfit(lease: Lease | None, event: AccessEvent, time: int) -> str:
    """Why a lease that was named does not cover a request; empty when it does."""
    if lease is None or lease.principal != event.principal:  # one answer: nobody learns of others' leases
        return f"{event.lease} is not a lease of the principal"
    if (lease.action, lease.asset) != (event.action, event.asset):
        return f"{lease.id} is for {lease.action} of {lease.asset}"
    if lease.asset_digest and lease.asset_digest != event.asset_digest:
        return f"{lease.id} is for another version of {lease.asset}"
    if lease.opened and lease.opened != event.asset_digest:
        return f"{lease.id} is for the object of {lease.asset} that was opened with it first"
    return "" if is_repeat(lease, event, time) else why_over(lease, time)


def _own(transaction: Transaction, event: AccessEvent, time: int) -> Lease | None:
    """The lease of a request that names none: the one that it took before, or one that covers it already."""
    if event.request_digest:
        found = transaction.leases.of_request(event.principal, event.request_digest)
        if found is not None and is_repeat(found, event, time) and not _unfit(found, event, time):
            return found
    if event.action in ONCE:
        return None
    return transaction.leases.active(
        event.principal, event.action, event.asset, event.asset_digest, event.purpose, time
    )


def _asset(transaction: Transaction, name: str) -> Asset:
    """The asset of a name: at least as dear as the one without its tag, and as large; unclassified is internal."""
    known = transaction.assets(name, budget_of(name))
    listed = [known[one] for one in dict.fromkeys((name, budget_of(name))) if one in known]
    classes: list[Classification] = [one.classification for one in listed] or [UNCLASSIFIED]
    sizes = [one.size for one in reversed(listed) if one.size > 0]  # the untagged one's first: budgets are its
    return Asset(
        name=name,
        kind=listed[0].kind if listed else "model",
        classification=max(classes, key=CLASSIFICATIONS.index),
        size=sizes[0] if sizes else -1,
        places=[],
    )


def _granted(transaction: Transaction, principal: Principal, action: str, asset: str, time: int) -> bool:
    subjects = [principal.name, *(f"group:{group}" for group in principal.groups)]
    names = covering(asset)
    return any(
        grant.action == action and grant.asset in names and grant.given <= time < grant.expires
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
        person.name != lease.principal and _may_approve(transaction, policies, person, wanted.asset, time)
        for person in people
    )


def _may_approve(transaction: Transaction, policies: Policies, person: Principal, asset: Asset, time: int) -> bool:
    asked = Asked(time=time, granted=_granted(transaction, person, "Approve", asset.name, time))
    return policies.decide(Request(principal=person, action="Approve", asset=asset, asked=asked)).allowed


def _share(transaction: Transaction, wanted: Wanted, time: int) -> int:
    """Percent of the asset's size that the principal will have had today; what was debited for this counts once."""
    event = wanted.event
    if event.action not in RELEASES:
        return 0
    had = transaction.leases.released(budget_of(event.asset), event.principal, time)
    total = had if is_debited(wanted.lease, time) else had + event.bytes
    size = wanted.asset.size if wanted.asset.size > 0 else event.bytes
    if size <= 0:  # nobody knows how large it is: what was had is taken for the whole
        return 100
    return min(-(-100 * total // size), _LARGEST_SHARE)
