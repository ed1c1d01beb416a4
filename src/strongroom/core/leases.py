"""The records of permission: a grant stands until it expires, a lease is for one purpose, an approval a signed yes."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "BREAK_GLASS_STATES",
    "LEASE_STATES",
    "MAX_PURPOSE_CHARACTERS",
    "ONCE",
    "Approval",
    "BreakGlass",
    "BreakGlassState",
    "Grant",
    "Lease",
    "LeaseState",
]

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
BreakGlassState = Literal["issued", "locked", "used", "revoked"]
BREAK_GLASS_STATES: dict[BreakGlassState, str] = {
    "issued": "whoever gathers enough shares can ask with it",
    "locked": "too many wrong shares in one day; an owner can unlock it",
    "used": "a lease was made with it; it makes no other",
    "revoked": "it makes no lease any more",
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
    breakglass: str = ""
    """The id of the break-glass credential that made it, where one did."""
    not_before: int = 0
    """Of such a lease: from when on it may be used; 0 until it is on record and announced."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One person's signed yes to one lease."""

    id: str
    lease: str
    principal: str
    signature: str
    """An armoured SSH signature over the lease's canonical request."""
    given: int


class BreakGlass(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a break-glass credential. Its secret is nowhere: shares of it are with their holders."""

    id: str
    digest: str
    """`sha256:<hex>` over the secret and all that the credential permits: an edited one is opened by no shares."""
    assets: list[str]
    """Names, or `org/*`."""
    shares: int
    need: int
    """How many shares give the secret back."""
    delay: int
    """Seconds from asking until the lease may be used."""
    unannounced: bool
    """Whether it may be used where nobody is told."""
    issued: int
    expires: int
    by: str
    state: BreakGlassState = "issued"
    lease: str = ""
    """The lease that was made with it last."""
    wrong: int = 0
    """How often wrong shares were given on `wrong_day`."""
    wrong_day: int = 0
    """In days since 1970, UTC."""
