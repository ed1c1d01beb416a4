"""Leases that are asked for in advance: requested, approved, revoked."""

from __future__ import annotations

import msgspec

from ..core.clock import format_time
from ..core.errors import InputError, RefusedError, UsageError
from ..core.ids import check_asset_name, check_id, new_id
from ..core.leases import Approval, Lease
from ..core.records import AccessEvent
from ..state import Transaction
from ._facts import RELEASES, refused, want, why_over
from ._opening import Access

__all__ = [
    "MAX_LEASE_SECONDS",
    "MAX_REQUESTS",
    "approve_lease",
    "find_lease",
    "request_lease",
    "revoke_lease",
    "withdraw_lease",
]

MAX_LEASE_SECONDS = 30 * 86_400
MAX_REQUESTS = 100
"""Of one principal, that wait."""
MAX_APPROVALS = 32
"""Of one lease."""


def request_lease(
    access: Access, principal: str, action: str, asset: str, *, digest: str, purpose: str, seconds: int
) -> Lease:
    """Asks for a lease. Nothing is permitted by it yet. Raises RefusedError, UsageError."""
    check_asset_name(asset)
    if action not in RELEASES:
        raise UsageError(f"{action[:80]} needs no lease", next=f"one is asked for to {', '.join(sorted(RELEASES))}")
    if not purpose:
        raise UsageError("a lease needs a purpose", where="--purpose", next="say what for, in one line")
    if not 0 < seconds <= MAX_LEASE_SECONDS:
        raise UsageError(f"a lease lasts at most {MAX_LEASE_SECONDS // 86_400} days", where="--for")
    time = access.clock()
    lease = Lease(
        id=new_id("lse", time),
        principal=principal,
        action=action,
        asset=asset,
        asset_digest=digest,
        purpose=purpose,
        requested=time,
        seconds=seconds,
        state="requested",
        changed=time,
    )
    with access.state.transaction(write=True) as transaction:
        asker = transaction.principals.get(principal)
        if asker is None or asker.suspended:
            why = "is suspended" if asker else "is not known to this site"
            raise RefusedError(f"{principal} {why}", next="ask an owner of the site")
        action = want(
            transaction,
            AccessEvent(id="", time="", principal=principal, action=action, asset=asset, outcome="allowed"),
            "",
            time,
        ).event.action  # a dataset's
        waiting = [
            one for one in transaction.leases.all(principal=principal, state="requested") if not why_over(one, time)
        ]
        if len(waiting) >= MAX_REQUESTS:
            raise RefusedError(f"{MAX_REQUESTS} requests of {principal} wait already", next="revoke some")
        lease = msgspec.structs.replace(lease, action=action)
        transaction.leases.put(lease)
    return lease


def find_lease(transaction: Transaction, id: str) -> Lease:
    """The lease of this id. Raises RefusedError for what is no id, InputError."""
    found = transaction.leases.get(check_id(id))
    if found is None:
        raise InputError(f"there is no lease {id}", next="see: strongroom lease list")
    return found


def approve_lease(access: Access, id: str, signature: str) -> tuple[Lease, str, int]:
    """Adds somebody's signed yes, on record. Returns the lease, who approved, and how many have by now.

    Raises RefusedError for a signature that no key of a person known here made, for the asker's own, and where policy
    lets the person approve nothing of this asset; UsageError for a second one.
    """
    time = access.clock()
    with access.state.transaction(write=False) as transaction:
        lease = find_lease(transaction, id)
        _check_waiting(lease, time)
        person = access.approvals.signer(lease, signature, transaction)
    event = AccessEvent(
        id=new_id("evt", time),
        time=format_time(time),
        principal=person,
        action="Approve",
        asset=lease.asset,
        asset_digest=lease.asset_digest,
        outcome="allowed",
        reason=f"approves {lease.action} under {lease.id}",
    )
    with access.state.transaction(write=False) as transaction:
        given = transaction.leases.approvals(id)
        own = want(transaction, event, "", time)
    if person == lease.principal:
        access.refuse(own, refused("whoever asked for it cannot approve it; another person has to"))
    if any(one.principal == person for one in given):
        raise UsageError(f"{person} has approved {id} already")
    if len(given) >= MAX_APPROVALS:
        raise RefusedError(f"{id} has {MAX_APPROVALS} approvals already")
    access.authorize(event)
    with access.state.transaction(write=True) as transaction:
        _check_waiting(find_lease(transaction, id), access.clock())
        approval = Approval(id=new_id("apr", time), lease=id, principal=person, signature=signature, given=time)
        transaction.leases.approve(approval)
        return lease, person, len(transaction.leases.approvals(id))


def revoke_lease(transaction: Transaction, id: str, time: int) -> Lease:
    """Ends a lease: nothing more is released under it. Raises InputError, UsageError for one that is over."""
    lease = find_lease(transaction, id)
    if lease.state in ("used", "revoked"):
        raise UsageError(f"{id} is {lease.state} already")
    revoked = msgspec.structs.replace(lease, state="revoked", changed=time)
    transaction.leases.put(revoked)
    return revoked


def withdraw_lease(access: Access, lease: Lease) -> Lease:
    """Ends a lease as whoever asked for it, on record. Raises UsageError for one that is over, StrongroomError."""
    if lease.state in ("used", "revoked"):
        raise UsageError(f"{lease.id} is {lease.state} already")
    time = access.clock()
    event = AccessEvent(
        id=new_id("evt", time),
        time=format_time(time),
        principal=lease.principal,
        action=lease.action,
        asset=lease.asset,
        outcome="failed",
        reason="withdrawn by whoever asked for it",
        lease=lease.id,
    )
    access.record(event)
    with access.state.transaction(write=True) as transaction:
        return revoke_lease(transaction, lease.id, time)


def _check_waiting(lease: Lease, time: int) -> None:
    why = why_over(lease, time) or ("" if lease.state == "requested" else f"{lease.id} is {lease.state}")
    if why:
        raise RefusedError(why, next="have a new one requested")
