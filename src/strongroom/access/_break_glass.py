"""Breaking glass: a lease for somebody whom no grant covers, with a credential whose shares others hold.

The order is that of opening (`_opening`):

1. the principal is identified: by whoever calls;
2. the request is decided: by policies as if under such a lease, then by the shares;
3. in the same transaction the lease is written, and bound to the credential; wrong shares are counted instead;
4. an entry is appended to the ledger, and waited for until it is durable; then those who must know are told;
5. the request is decided again: what was revoked meanwhile is refused, and so is what nobody could be told of;
6. in the same transaction the lease gets the time from which it may be used, and the credential is used up.

Until 6 the lease opens nothing, and whoever asks again with the same shares takes its place: a crash, or a notice that
could not be sent, costs no credential. What is opened under it afterwards passes `_opening` like everything else.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..core.clock import format_time
from ..core.errors import StrongroomError, UsageError
from ..core.ids import new_id
from ..core.leases import BreakGlass, Lease
from ..core.records import AccessEvent
from ..policy import Decision
from ..state import Transaction
from ._credentials import find_break_glass, why_not_with
from ._facts import Wanted, check_request, refused, want
from ._glass import BREAK_GLASS_SECONDS
from ._opening import Access

__all__ = ["use_break_glass"]


def use_break_glass(
    access: Access,
    principal: str,
    asset: str,
    *,
    purpose: str,
    credential: str,
    secret: bytes,
    announce: Callable[[Lease], None] | None,
) -> Lease:
    """Asks for a lease with what the shares of a credential gave. `announce` tells those who must know, and is None
    where nobody is configured. Raises RefusedError, which is on record; UsageError, StrongroomError.
    """
    time = access.clock()
    event = AccessEvent(
        id=new_id("evt", time),
        time=format_time(time),
        principal=principal,
        action="OpenWeights",
        asset=asset,
        outcome="refused",  # what is asked for is opened later, if at all
        purpose=purpose,
    )
    check_request(event)
    if not purpose:
        raise UsageError("breaking glass needs a purpose", where="--purpose", next="say what for, in one line")
    with access.state.transaction(write=True) as transaction:
        wanted = _wanted(transaction, event, _lease(event, credential, time), time)
        decision = access.decision(transaction, wanted, time)  # 2
        found = transaction.break_glass.get(credential)
        if decision.allowed:
            why = why_not_with(transaction, found, asset, secret, told=announce is not None, time=time)
            decision = refused(why) if why else decision
        transaction.leases.see_time(time)
        if decision.allowed and found is not None and wanted.lease is not None:
            _bind(transaction, found, wanted.lease)  # 3
    if not decision.allowed or found is None or wanted.lease is None:
        access.refuse(_unleased(wanted), decision)
    lease = msgspec.structs.replace(wanted.lease, not_before=access.clock() + found.delay * 1_000_000)
    index = access.record(_accepted(wanted, lease, decision))  # 4
    failed = _announce(access, announce, lease)
    with access.state.transaction(write=True) as transaction:
        time = access.clock()
        fresh = _wanted(transaction, event, lease, time)
        again = refused(failed) if failed else _again(access, transaction, fresh, lease, time)  # 5
        if again.allowed:
            lease = _finish(transaction, lease, index, time)  # 6
        else:
            _drop(transaction, lease.id, time)
    if not again.allowed:
        access.refuse(fresh, again)
    return lease


def _lease(event: AccessEvent, credential: str, time: int) -> Lease:
    return Lease(
        id=new_id("lse", time),
        principal=event.principal,
        action=event.action,
        asset=event.asset,
        purpose=event.purpose,
        requested=time,
        seconds=BREAK_GLASS_SECONDS,
        state="requested",
        changed=time,
        breakglass=credential,
    )


def _wanted(transaction: Transaction, event: AccessEvent, lease: Lease, time: int) -> Wanted:
    """The request as it will be under the lease, which is in no table yet; of a dataset it is for reading."""
    found = want(transaction, event, "", time)
    lease = msgspec.structs.replace(lease, action=found.event.action)
    event = msgspec.structs.replace(event, action=lease.action, lease=lease.id)
    return msgspec.structs.replace(found, event=event, lease=lease, unfit="")


def _bind(transaction: Transaction, found: BreakGlass, lease: Lease) -> None:
    """Step 3: the lease, in the place of one that came no further."""
    _drop(transaction, found.lease, lease.changed)
    transaction.leases.put(lease)
    transaction.break_glass.put(msgspec.structs.replace(found, lease=lease.id))


def _drop(transaction: Transaction, id: str, time: int) -> None:
    """Ends a lease that got no time from which it may be used."""
    old = transaction.leases.get(id) if id else None
    if old is not None and old.state == "requested" and not old.not_before:
        transaction.leases.put(msgspec.structs.replace(old, state="revoked", changed=time))


def _unleased(wanted: Wanted) -> Wanted:
    """Of a request whose lease was not made: it is not to stand on record."""
    return msgspec.structs.replace(wanted, lease=None, event=msgspec.structs.replace(wanted.event, lease=""))


def _accepted(wanted: Wanted, lease: Lease, decision: Decision) -> AccessEvent:
    """What goes on record of shares that were the right ones: nothing is opened by them yet."""
    when = format_time(lease.not_before)
    reason = f"break-glass: credential {lease.breakglass} was accepted; {lease.id} opens nothing before {when}"
    return msgspec.structs.replace(wanted.event, reason=reason, policy_ids=list(decision.policies))


def _announce(access: Access, announce: Callable[[Lease], None] | None, lease: Lease) -> str:
    """Why those who must know could not be told; empty when they were. No word of the program's goes on record."""
    try:
        if announce is not None:
            announce(lease)
    except StrongroomError as error:
        access.notify(f"not announced: {error}")
        return "break-glass: the announcement failed, and nothing is opened that nobody was told of"
    return ""


def _again(access: Access, transaction: Transaction, wanted: Wanted, lease: Lease, time: int) -> Decision:
    """Step 5, with what the tables hold now."""
    found, written = transaction.break_glass.get(lease.breakglass), transaction.leases.get(lease.id)
    if found is None or written is None:
        return refused("break-glass: the credential is gone")
    if (found.state, found.lease, written.state) != ("issued", lease.id, "requested"):
        return refused(f"break-glass: {lease.id} was revoked, or made anew, meanwhile")
    return access.decision(transaction, wanted, time)


def _finish(transaction: Transaction, lease: Lease, index: int, time: int) -> Lease:
    """Step 6. The delay begins now: recording and announcing took none of it."""
    found = find_break_glass(transaction, lease.breakglass)
    made = msgspec.structs.replace(lease, not_before=time + found.delay * 1_000_000, changed=time, entry=index)
    transaction.leases.put(made)
    transaction.break_glass.put(msgspec.structs.replace(found, state="used"))
    return made
