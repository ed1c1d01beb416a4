"""What would be decided: nothing is debited, recorded or released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..core.errors import RefusedError
from ..core.records import AccessEvent
from ..policy import ACTIONS, Decision, Policies
from ..state import Transaction
from ._facts import Approvals, Wanted, decide, unfit, wanted_asset

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
    """What the policies say of a request, on what the tables hold. Raises RefusedError for what cannot be asked."""
    principal = transaction.principals.get(event.principal)
    if principal is None:
        raise RefusedError(f"'{event.principal[:80]}' is not a principal of this site")
    lease = transaction.leases.get(event.lease) if event.lease else None
    if event.lease:
        why = unfit(lease, event, time)
        if why:
            raise RefusedError(why)
    asset = wanted_asset(transaction, event.asset)
    return decide(transaction, policies, Wanted(principal, event, asset, "", lease), approvals, time)


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
        for name in assets:
            asset = wanted_asset(transaction, name)
            for action in ACTIONS:
                event = AccessEvent(
                    id="", time="", principal=principal.name, action=action, asset=name, outcome="allowed",
                    purpose=purpose,
                )  # fmt: skip
                wanted = Wanted(principal, event, asset, "")
                old, new = (decide(transaction, one, wanted, approvals, time) for one in (before, after))
                changed = old.allowed is not new.allowed
                yield Difference(principal.name, action, name, old, new) if changed else None
