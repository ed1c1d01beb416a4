"""What people sign when they approve: the canonical form of a lease that was asked for."""

from __future__ import annotations

from typing import Any

import rfc8785

from ..core.clock import format_time
from ..core.leases import Lease

__all__ = ["LEASE_REQUEST", "lease_request", "signed_request"]

LEASE_REQUEST = "strongroom.lease-request/1"


def lease_request(lease: Lease, site: str) -> dict[str, Any]:
    """Who asks for what, for how long and what for; `site` is the site's own name for itself, its ledger's origin.

    A change of any of it is another request, and signatures over this one do not count for that.
    """
    return {
        "type": LEASE_REQUEST,
        "site": site,
        "lease": lease.id,
        "principal": lease.principal,
        "action": lease.action,
        "asset": lease.asset,
        "asset_digest": lease.asset_digest,
        "purpose": lease.purpose,
        "seconds": lease.seconds,
        "requested": format_time(lease.requested),
    }


def signed_request(lease: Lease, site: str) -> bytes:
    """The bytes that are signed (RFC 8785).

    >>> lease = Lease(
    ...     id="lse_0", principal="a", action="ExportWeights", asset="o/m", requested=0, seconds=60, state="requested"
    ... )
    >>> signed_request(lease, "site.example")[:44]
    b'{"action":"ExportWeights","asset":"o/m","ass'
    """
    return rfc8785.dumps(lease_request(lease, site))
