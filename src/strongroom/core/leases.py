"""The records of permission: a grant stands until it expires, a lease is for one purpose, an approval a signed yes."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["LEASE_STATES", "MAX_PURPOSE_CHARACTERS", "ONCE", "Approval", "Grant", "Lease", "LeaseState"]

ONCE = frozenset({"ExportWeights"})
"""Actions whose leases are used up by one release."""
MAX_PURPOSE_CHARACTERS = 200
LeaseState = Literal["requested", "pending", "active", "used", "revoked"]
LEASE_STATES: dict[LeaseState, str] = {
    "requested": "somebody asked for it; approvals may be given, and nothing was released",
    "pending": "decided, and not on record yet; nothing was released",
    "active": "on record; keys may be released until it expires",
    "used": "on record; what it was for was released once, and is not again",
    "revoked": "nothing more is released",
}


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Standing permission for one action, on one asset or on all of an organization (`org/*`)."""

    subject: str
    """A principal's name, or `group:NAME`."""
    action: str
    """A Cedar action id."""
    asset: str
    expires: int
    """Microseconds since 1970. The same for the times below."""
    given: int
    by: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A short, purpose-bound right to use the keys of one asset."""

    id: str
    principal: str
    action: str
    asset: str
    asset_digest: str = ""
    """The sealed object it is for, where it was asked for one in particular; else whichever has the name."""
    purpose: str = ""
    requested: int
    seconds: int
    state: LeaseState
    expires: int = 0
    """0 until it is active."""
    changed: int = 0
    """When its state changed last."""
    attempt: int = 0
    """How often it was taken: who took it before and was slow finds that somebody else has it."""
    opened: str = ""
    """The digest of the object that it was used for first; it is for no other."""
    bytes: int = 0
    """What it released counts as so many."""
    entry: int = -1
    """The ledger's entry that says so, -1 before."""
    request: str = ""
    """The digest of the request that took it, if it came over a wire: when it comes again, it is answered again."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One person's signed yes to one lease."""

    id: str
    lease: str
    principal: str
    signature: str
    """An armoured SSH signature over the lease's canonical request."""
    given: int
