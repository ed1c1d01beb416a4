"""What a lease that was made by breaking glass must be like, beside what every lease must be."""

from __future__ import annotations

from ..core.clock import format_time
from ..core.leases import BreakGlass, Lease
from ..state import Transaction

__all__ = ["BREAK_GLASS_ACTIONS", "BREAK_GLASS_SECONDS", "budget_of", "covering", "permits", "why_not_by_glass"]

BREAK_GLASS_ACTIONS = frozenset({"OpenWeights", "ReadDataset"})
"""Never an export, whatever policies say."""
BREAK_GLASS_SECONDS = 3600
"""How long such a lease holds from its first use."""
WAITING_SECONDS = 86_400
"""How long it waits for its first use once it may be used."""


def budget_of(asset: str) -> str:
    """Under which name releases count: tags are of one asset."""
    return asset.partition(":")[0]


def covering(asset: str) -> set[str]:
    """Under which names a permission covers an asset: its own, without its tag, and all of its organization."""
    return {asset, budget_of(asset), f"{asset.partition('/')[0]}/*"}


def permits(credential: BreakGlass, asset: str) -> bool:
    """Whether a break-glass credential is for an asset."""
    return not covering(asset).isdisjoint(credential.assets)


def why_not_by_glass(transaction: Transaction, lease: Lease, time: int) -> str:
    """Why a lease that was made by breaking glass opens nothing now; empty when it does, or was made otherwise."""
    if not lease.breakglass:
        return ""
    if not lease.not_before:
        return f"{lease.id} is not announced, so nothing is opened under it"
    credential = transaction.break_glass.get(lease.breakglass)
    if credential is None or not _as_made(lease, credential):
        return f"{lease.id} is not as it was made"  # somebody edited it, or its credential
    if time < lease.not_before:
        return f"{lease.id} may be used from {format_time(lease.not_before)} on"
    if lease.state != "active" and lease.not_before + WAITING_SECONDS * 1_000_000 <= time:
        return f"{lease.id} was not used on the day on which it could be"
    return ""


def _as_made(lease: Lease, credential: BreakGlass) -> bool:
    waited = lease.not_before - lease.requested - credential.delay * 1_000_000
    return (
        (credential.state, credential.lease) == ("used", lease.id)
        and lease.action in BREAK_GLASS_ACTIONS
        and permits(credential, lease.asset)
        and lease.seconds <= BREAK_GLASS_SECONDS
        and 0 <= waited < WAITING_SECONDS * 1_000_000
    )
