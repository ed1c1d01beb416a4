"""Opening, in this order; each step is a precondition of the next:

1. the principal is identified: by the door, before it asks;
2. the request is decided: by policies, grants, approvals, and what was released today;
3. in the same transaction the budget is debited and a pending lease is written, which consumes its approvals;
4. an entry is appended to the ledger, and waited for until it is durable;
5. the request is decided again: what was revoked meanwhile is refused;
6. in the same transaction the lease becomes active, or used; then the door may use the key.

What fails between 3 and 6 releases nothing. Its debit stays: a budget counts too much rather than too little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

import msgspec

from ..core.clock import Clock, now
from ..core.errors import RefusedError, StrongroomError
from ..core.ids import new_id, object_digest
from ..core.leases import ONCE, Lease, LeaseState
from ..core.ports import Recorder
from ..core.records import AccessEvent, Entry
from ..policy import Decision, Policies
from ..state import State, Transaction
from ._facts import RELEASES, Approvals, Wanted, check_request, is_debited, judge, refused, want
from ._glass import budget_of

__all__ = ["OPENING_SECONDS", "Access", "PolicySource"]

OPENING_SECONDS = 8 * 3600
"""How long a lease holds that nobody asked for in advance."""
ALWAYS = frozenset({"Administer", "Approve"})
"""Actions that shadow mode refuses too: what they change outlives it."""
MAX_REASON_CHARACTERS = 1000
MAX_RECORDED_POLICIES = 20


class PolicySource(Protocol):
    """Where the policies in force come from."""

    def current(self, transaction: Transaction) -> Policies:
        """The set in force. Raises RefusedError where there is none, IntegrityError where it cannot be believed."""
        ...


@dataclass(kw_only=True)
class Access:
    """An `Authorizer` that holds the order. Threads may share it."""

    state: State
    policies: PolicySource
    approvals: Approvals
    recorder: Recorder
    clock: Clock = now
    shadow: bool = False
    """Decide and record, refuse nothing; what would have been refused is told, and on record."""
    notify: Callable[[str], None] = lambda text: None

    def authorize(self, request: AccessEvent, *, object: str = "") -> AccessEvent:
        """See `Authorizer`. Raises RefusedError, which is on record; StrongroomError where nothing could be."""
        check_request(request)
        time = self.clock()
        with self.state.transaction(write=True) as transaction:
            wanted = want(transaction, request, object, time)
            decision = self.decision(transaction, wanted, time)  # 2
            lets_through = decision.allowed or (self.shadow and wanted.event.action not in ALWAYS)
            transaction.leases.see_time(time)
            if lets_through:
                wanted = self._take(transaction, wanted, time)  # 3
        if not lets_through:
            self.refuse(wanted, decision)
        if not decision.allowed:
            decision = Decision(True, decision.policies, f"shadow mode: {decision.reason}")
            self.notify(decision.reason)
        event = _told(wanted, decision)
        index = self.record(event)  # 4
        with self.state.transaction(write=True) as transaction:
            again = self._again(transaction, wanted)  # 5
            lets_through = again.allowed or (self.shadow and wanted.event.action not in ALWAYS)
            if lets_through:
                self._release(transaction, wanted, index)  # 6
            else:
                self._drop(transaction, wanted)
        if not lets_through:
            self.refuse(wanted, again)
        return event

    def decision(self, transaction: Transaction, wanted: Wanted, time: int) -> Decision:
        """What the policies in force say, if there are any. Raises IntegrityError where they cannot be believed."""
        try:
            policies = self.policies.current(transaction)
        except RefusedError as error:
            return refused(error.message)
        return judge(transaction, policies, wanted, self.approvals, time)

    def record(self, event: AccessEvent) -> int:
        """Puts an event on record as it is. Returns its index once it is durable. Raises StrongroomError."""
        body = msgspec.to_builtins(event)
        return self.recorder.append(Entry(type="strongroom.access/1", time=event.time, writer="strongroom", body=body))

    def refuse(self, wanted: Wanted, decision: Decision) -> NoReturn:
        """Puts a refusal on record, and raises it. It is refused all the same where the ledger cannot write."""
        event = msgspec.structs.replace(_told(wanted, decision), bytes=0)
        try:
            self.record(event)
        except StrongroomError as error:
            self.notify(f"not recorded: a refusal, because {error}")
        where = f"{event.action} of {event.asset} by {event.principal}"
        raise RefusedError(decision.reason, where=where, next=_next(wanted, decision))

    def _take(self, transaction: Transaction, wanted: Wanted, time: int) -> Wanted:
        """Step 3. A lease that is active already, or was used by this very request, released the same key, and is not
        debited again."""
        event, lease = wanted.event, wanted.lease
        if event.action not in RELEASES or (lease is not None and lease.state == "active"):
            return wanted
        if lease is not None and lease.state == "used":
            again = msgspec.structs.replace(lease, attempt=lease.attempt + 1)  # as often as it is on record
            transaction.leases.put(again)
            return msgspec.structs.replace(wanted, lease=again)
        if lease is None:
            lease = Lease(
                id=new_id("lse", time),
                principal=event.principal,
                action=event.action,
                asset=event.asset,
                asset_digest=event.asset_digest,
                purpose=event.purpose,
                requested=time,
                seconds=OPENING_SECONDS,
                state="requested",
            )
        taken = msgspec.structs.replace(
            lease,
            state="pending",
            changed=time,
            attempt=lease.attempt + 1,
            bytes=event.bytes,
            opened=event.asset_digest,
            request=event.request_digest,
        )
        transaction.leases.put(taken)
        if not is_debited(lease, time):  # by whoever took it before, and died
            transaction.leases.release(budget_of(event.asset), event.principal, time, event.bytes)
        return msgspec.structs.replace(wanted, lease=taken)

    def _again(self, transaction: Transaction, wanted: Wanted) -> Decision:
        """Step 5, with what the tables hold now."""
        time, lease = self.clock(), wanted.lease
        if lease is not None:
            found = transaction.leases.get(lease.id)
            if found is None or (found.state, found.attempt) != (lease.state, lease.attempt):
                return refused(f"{lease.id} was revoked, or taken by another, meanwhile")
        fresh = want(transaction, msgspec.structs.replace(wanted.event, lease=""), wanted.object, time)
        fresh = msgspec.structs.replace(fresh, event=wanted.event, lease=lease, unfit=wanted.unfit)
        return self.decision(transaction, fresh, time)

    def _release(self, transaction: Transaction, wanted: Wanted, index: int) -> None:
        """Step 6."""
        lease, event = wanted.lease, wanted.event
        if event.action == "Seal" and wanted.object and not event.asset_digest:  # it is being made
            transaction.leases.put_sealer(wanted.object, event.principal)
        if lease is None or lease.state != "pending":
            return
        time = self.clock()
        state: LeaseState = "used" if event.action in ONCE else "active"
        expires = time + lease.seconds * 1_000_000
        done = msgspec.structs.replace(lease, state=state, changed=time, expires=expires, entry=index)
        transaction.leases.put(done)

    def _drop(self, transaction: Transaction, wanted: Wanted) -> None:
        """Of a lease that was taken and may not be used after all; what another has taken since is theirs."""
        lease = wanted.lease
        found = transaction.leases.get(lease.id) if lease else None
        if lease and found and (found.state, found.attempt) == ("pending", lease.attempt):
            transaction.leases.put(msgspec.structs.replace(found, state="revoked", changed=self.clock()))


def _told(wanted: Wanted, decision: Decision) -> AccessEvent:
    """The event as it goes on record. Policies' ids are bounded: no set of them can make a record impossible."""
    left = MAX_REASON_CHARACTERS - len(decision.reason) - 2  # what was decided is never cut for what was asked
    reason = "; ".join(part for part in (wanted.event.reason[: max(left, 0)], decision.reason) if part)
    return msgspec.structs.replace(
        wanted.event,
        outcome="allowed" if decision.allowed else "refused",
        reason=reason[:MAX_REASON_CHARACTERS],
        policy_ids=list(decision.policies[:MAX_RECORDED_POLICIES]),
        lease=wanted.lease.id if wanted.lease else wanted.event.lease,
        # By it the sealer of an object can be compared with the ledger: its name is on record beside it.
        request_digest=object_digest(wanted.object)
        if wanted.event.action == "Seal" and wanted.object
        else wanted.event.request_digest,
    )


def _next(wanted: Wanted, decision: Decision) -> str:
    """What whoever was refused can do, where it is one of the default policies that refused."""
    event, lease = wanted.event, wanted.lease
    ask = f"strongroom lease request {event.action} {event.asset} --purpose TEXT, and have it approved"
    by_policy = {
        "export-needs-approvals": f"have it approved by others: strongroom lease approve {lease.id}" if lease else ask,
        "dear-needs-purpose": "say what for: --purpose TEXT",
    }
    by_reason = {
        "not known": f"an owner of the site can make you known: strongroom principal add {event.principal}",
        "the clock": "set it; if it is right, an owner says so: strongroom policy reset-clock",
        "no policy permits": "ask an owner of the site for a grant: strongroom grant add",
        "break-glass": "see: strongroom breakglass list",
        "no policies": "docs/policy.md says how a site that was made before gets them, under 'Changing policies'",
    }
    found = [text for id, text in by_policy.items() if id in decision.policies]
    found += [text for part, text in by_reason.items() if part in decision.reason]
    return next(iter(found), "see: strongroom lease list" if wanted.unfit else "see: strongroom policy show")
