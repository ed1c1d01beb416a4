"""What would be decided: nothing is debited, recorded or released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ..core.records import AccessEvent
from ..policy import ACTIONS, Decision, Policies
from ..state import Transaction
from ._facts import Approvals, judge, want

__all__ = ["Difference", "differences", "preview"]


@dataclass(frozen=True)
class Difference:
    """What another set of policies changes for one principal."""

    principal: str
    action: str
    asset: str
    before: Decision
    after: Decision


def preview(
    transaction: Transaction, policies: Policies, event: AccessEvent, approvals: Approvals, time: int
) -> Decision:
    """What the policies say of a request, on what the tables hold. Raises RefusedError for what cannot be asked.

    Where the event says no bytes, it is asked for all of the asset; where it names a lease for one object, for that.
    """
    wanted = want(transaction, event, "", time)
    if not event.bytes and wanted.asset.size > 0:
        event = msgspec.structs.replace(event, bytes=wanted.asset.size)
    lease = transaction.leases.get(event.lease) if event.lease else None
    if lease is not None and not event.asset_digest:
        event = msgspec.structs.replace(event, asset_digest=lease.asset_digest or lease.opened)
    return judge(transaction, policies, want(transaction, event, "", time), approvals, time)


def differences(
    transaction: Transaction,
    before: Policies,
    after: Policies,
    assets: Sequence[str],
    approvals: Approvals,
    time: int,
    purpose: str,
) -> Iterator[Difference | None]:
    """What changes for whom, of every principal, action and asset; None for each that stays as it is."""
    for principal in transaction.principals.all():
        for asset in assets:
            for action in ACTIONS:
                event = AccessEvent(
                    id="",
                    time="",
                    principal=principal.name,
                    action=action,
                    asset=asset,
                    outcome="allowed",
                    purpose=purpose,
                )
                old, new = (preview(transaction, one, event, approvals, time) for one in (before, after))
                changed = old.allowed is not new.allowed
                yield Difference(principal.name, action, asset, old, new) if changed else None
