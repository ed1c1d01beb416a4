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
from typing import Protocol

import msgspec

from ..core.clock import Clock, now
from ..core.errors import RefusedError, StrongroomError
from ..core.ids import new_id
from ..core.leases import Lease, LeaseState
from ..core.ports import Recorder
from ..core.records import AccessEvent, Entry
from ..policy import Decision, Policies
from ..state import State, Transaction
from ._facts import RELEASES, Approvals, Wanted, decide, unfit, wanted_asset

__all__ = ["OPENING_SECONDS", "Access", "PolicySource"]

OPENING_SECONDS = 8 * 3600
"""How long a lease holds that nobody asked for in advance."""
ONCE = frozenset({"ExportWeights"})
"""Actions whose leases are used up by one release."""
CLOCK_SLACK_US = 60_000_000
"""How far the clock may go back: a later time was seen, and leases would live longer than they were given for."""


class PolicySource(Protocol):
    """Where the policies in force come from."""

    def current(self, transaction: Transaction) -> Policies:
        """The set in force. Raises StrongroomError where there is none that can be believed."""
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
        time = self.clock()
        with self.state.transaction(write=True) as transaction:
            wanted = self._wanted(transaction, request, object, time)
            decision = self._decide(transaction, wanted, time)  # 2
            if self.shadow and not decision.allowed:  # a lease that was named may be another's
                wanted = msgspec.structs.replace(wanted, lease=None)
            if decision.allowed or self.shadow:
                wanted = self._take(transaction, wanted, time)  # 3
        if not decision.allowed and not self.shadow:
            self._refuse(wanted, decision)
        if not decision.allowed:
            decision = Decision(True, decision.policies, f"shadow mode: {decision.reason}")
            self.notify(decision.reason)
        event = self._event(wanted, decision)
        index = self.record(event)  # 4
        with self.state.transaction(write=True) as transaction:
            again = self._again(transaction, wanted)  # 5
            if again.allowed or self.shadow:
                self._release(transaction, wanted, index)  # 6
            else:
                self._drop(transaction, wanted)
        if not again.allowed and not self.shadow:
            self._refuse(wanted, again)
        return event

    def record(self, event: AccessEvent) -> int:
        """Puts an event on record as it is. Returns its index once it is durable. Raises StrongroomError."""
        body = msgspec.to_builtins(event)
        return self.recorder.append(Entry(type="strongroom.access/1", time=event.time, writer="strongroom", body=body))

    def _wanted(self, transaction: Transaction, event: AccessEvent, object: str, time: int) -> Wanted:
        asset = wanted_asset(transaction, event.asset)
        if event.action == "OpenWeights" and asset.kind == "dataset":
            event = msgspec.structs.replace(event, action="ReadDataset")
        lease = transaction.leases.get(event.lease) if event.lease else None
        if lease is not None:
            event = msgspec.structs.replace(event, purpose=lease.purpose)
        elif not event.lease and event.action in RELEASES - ONCE:
            lease = transaction.leases.active(event.principal, event.action, event.asset_digest, event.purpose, time)
        return Wanted(transaction.principals.get(event.principal), event, asset, object, lease)

    def _decide(self, transaction: Transaction, wanted: Wanted, time: int) -> Decision:
        event, policies = wanted.event, self.policies.current(transaction)
        if wanted.principal is None:
            return _refused(f"{event.principal[:80]} is not a principal of this site")
        if time < transaction.leases.newest_time() - CLOCK_SLACK_US:
            return _refused("the clock of this machine is behind a time that was seen before")
        if event.lease:
            why = unfit(wanted.lease, event, time)
            if why:
                return _refused(why)
        return decide(transaction, policies, wanted, self.approvals, time)

    def _take(self, transaction: Transaction, wanted: Wanted, time: int) -> Wanted:
        """Step 3. A lease that is active already released the same key, and is not debited again."""
        event, lease = wanted.event, wanted.lease
        if event.action not in RELEASES or (lease is not None and lease.state == "active"):
            return wanted
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
        lease = msgspec.structs.replace(
            lease, state="pending", changed=time, attempt=lease.attempt + 1, bytes=event.bytes
        )
        transaction.leases.put(lease)
        transaction.leases.release(wanted.asset.name, event.principal, time, event.bytes)
        return msgspec.structs.replace(wanted, lease=lease)

    def _again(self, transaction: Transaction, wanted: Wanted) -> Decision:
        """Step 5, with what the tables hold now."""
        time, lease = self.clock(), wanted.lease
        if lease is not None:
            found = transaction.leases.get(lease.id)
            if found is None or (found.state, found.attempt) != (lease.state, lease.attempt):
                return _refused(f"{lease.id} was revoked, or taken by another, meanwhile")
        fresh = msgspec.structs.replace(
            wanted,
            principal=transaction.principals.get(wanted.event.principal),
            asset=wanted_asset(transaction, wanted.event.asset),
        )
        if fresh.principal is None:
            return _refused(f"{wanted.event.principal[:80]} is not a principal of this site any more")
        return decide(transaction, self.policies.current(transaction), fresh, self.approvals, time)

    def _release(self, transaction: Transaction, wanted: Wanted, index: int) -> None:
        """Step 6."""
        lease, event = wanted.lease, wanted.event
        if event.action == "Seal" and wanted.object:
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

    def _event(self, wanted: Wanted, decision: Decision) -> AccessEvent:
        reason = "; ".join(part for part in (wanted.event.reason, decision.reason) if part)
        return msgspec.structs.replace(
            wanted.event,
            outcome="allowed" if decision.allowed else "refused",
            reason=reason[:MAX_REASON_CHARACTERS],
            policy_ids=list(decision.policies),
            lease=wanted.lease.id if wanted.lease else wanted.event.lease,
        )

    def _refuse(self, wanted: Wanted, decision: Decision) -> None:
        """Puts a refusal on record, and raises it. It is refused all the same where the ledger cannot write."""
        event = self._event(wanted, decision)
        try:
            self.record(msgspec.structs.replace(event, bytes=0))
        except StrongroomError as error:
            self.notify(f"not recorded: a refusal, because {error}")
        raise RefusedError(decision.reason, where=event.asset, next=_next(wanted, decision))


MAX_REASON_CHARACTERS = 1000


def _refused(why: str) -> Decision:
    return Decision(False, (), f"refused: {why}")


def _next(wanted: Wanted, decision: Decision) -> str:
    """What whoever was refused can do, where it is one of the default policies that refused."""
    event = wanted.event
    if "export-needs-approvals" in decision.policies and wanted.lease is not None:
        return f"have it approved by others: strongroom lease approve {wanted.lease.id}"
    if "export-needs-approvals" in decision.policies:
        return f"strongroom lease request {event.action} {event.asset} --purpose TEXT, and have it approved"
    if "dear-needs-purpose" in decision.policies:
        return "say what for: --purpose TEXT"
    return "ask an owner of the site for a grant: strongroom grant add"
