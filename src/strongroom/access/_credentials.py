"""Break-glass credentials: made, examined, locked, unlocked, revoked.

The secret is 256 random bits and is kept nowhere; shares of it are with their holders (`identity.make_shares`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from ..core.clock import format_time
from ..core.errors import InputError, UsageError
from ..core.ids import check_asset_name
from ..core.leases import BreakGlass
from ..state import Transaction
from ._glass import permits

__all__ = ["find_break_glass", "make_break_glass", "revoke_break_glass", "unlock_break_glass", "why_not_with"]

MIN_DELAY_SECONDS, MAX_DELAY_SECONDS = 300, 86_400
"""Shorter than the first, and nobody has time to revoke."""
MAX_VALID_SECONDS = 366 * 86_400
MAX_HOLDERS = 32
MAX_ASSETS = 32
"""Of one credential."""
MAX_WRONG = 10
"""Wrong shares on one day (UTC), after which a credential is locked."""
WRONG = "break-glass: the shares are not those of a credential of this site"
"""Of an unknown credential too: only who has its secret learns of it."""
_DAY_US = 86_400_000_000


def make_break_glass(
    id: str,
    secret: bytes,
    *,
    assets: Sequence[str],
    shares: int,
    need: int,
    delay: int,
    seconds: int,
    unannounced: bool,
    by: str,
    time: int,
) -> BreakGlass:
    """What is kept of a new credential. Raises UsageError, RefusedError for what is no asset."""
    for asset in assets:
        check_asset_name(asset.removesuffix("*") + "all" if asset.endswith("/*") else asset)
    if not 0 < len(assets) <= MAX_ASSETS or len(set(assets)) < len(assets):
        raise UsageError(f"a credential is for 1 to {MAX_ASSETS} assets, each named once", where="--assets")
    if not 2 <= need <= shares <= MAX_HOLDERS:
        raise UsageError(
            f"of 2 to {MAX_HOLDERS} shares at least 2 are needed, and not more than there are",
            where="--shares, --need",
            next="what one person can open alone, grant to them",
        )
    if not MIN_DELAY_SECONDS <= delay <= MAX_DELAY_SECONDS:
        raise UsageError("the delay is 5 minutes to 24 hours", where="--delay")
    if not 0 < seconds <= MAX_VALID_SECONDS:
        raise UsageError(f"a credential is valid for at most {MAX_VALID_SECONDS // 86_400} days", where="--for")
    made = BreakGlass(
        id=id,
        digest="",
        assets=list(assets),
        shares=shares,
        need=need,
        delay=delay,
        unannounced=unannounced,
        issued=time,
        expires=time + seconds * 1_000_000,
        by=by,
    )
    return msgspec.structs.replace(made, digest=_digest(made, secret))


def unlock_break_glass(transaction: Transaction, id: str) -> BreakGlass:
    """Takes shares of a locked credential again. Raises InputError, UsageError for one that is not locked."""
    found = find_break_glass(transaction, id)
    if found.state != "locked":
        raise UsageError(f"{id} is not locked, it is {found.state}")
    unlocked = msgspec.structs.replace(found, state="issued", wrong=0)
    transaction.break_glass.put(unlocked)
    return unlocked


def revoke_break_glass(transaction: Transaction, id: str) -> BreakGlass:
    """Makes no lease with a credential any more. Raises InputError, UsageError for one that makes none already."""
    found = find_break_glass(transaction, id)
    if found.state in ("used", "revoked"):
        next = f"to end what was made with it: strongroom lease revoke {found.lease}" if found.lease else ""
        raise UsageError(f"{id} is {found.state} already", next=next)
    revoked = msgspec.structs.replace(found, state="revoked")
    transaction.break_glass.put(revoked)
    return revoked


def find_break_glass(transaction: Transaction, id: str) -> BreakGlass:
    """The credential of this id. Raises InputError."""
    found = transaction.break_glass.get(id)
    if found is None:
        raise InputError(f"there is no break-glass credential '{id[:20]}'", next="see: strongroom breakglass list")
    return found


def _digest(credential: BreakGlass, secret: bytes) -> str:
    """Over what a credential permits too: in an edited row it is another one's. A slow hash would add nothing: the
    secret has 256 random bits."""
    terms = {name: getattr(credential, name) for name in ("id", "assets", "need", "delay", "unannounced", "expires")}
    text = msgspec.json.encode({"type": "strongroom.break-glass/1", "secret": secret.hex(), **terms}, order="sorted")
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def why_not_with(
    transaction: Transaction, found: BreakGlass | None, asset: str, secret: bytes, *, told: bool, time: int
) -> str:
    """Why no lease is made with a credential; empty when one is. Wrong shares are counted."""
    if found is None:
        return WRONG
    if found.state == "locked":
        return "break-glass: the credential is locked, since wrong shares were given too often"
    if not hmac.compare_digest(_digest(found, secret).encode(), found.digest.encode()):
        transaction.break_glass.put(_counted(found, time // _DAY_US))
        return WRONG
    return _why_not(transaction, found, asset, told=told, time=time)


def _why_not(transaction: Transaction, found: BreakGlass, asset: str, *, told: bool, time: int) -> str:
    """The same of a credential whose shares were the right ones."""
    made = transaction.leases.by_break_glass(found.id)
    reasons = {
        f"break-glass: the credential is {found.state}": found.state != "issued",
        "break-glass: the credential is used": any(one.not_before for one in made),  # although its row says otherwise
        f"break-glass: the credential expired at {format_time(found.expires)}": time >= found.expires,
        "break-glass: the credential is for other assets": not permits(found, asset),
        "break-glass: nobody would be told, since breakglass.announce is not configured": not (
            told or found.unannounced
        ),
    }
    return next((text for text, holds in reasons.items() if holds), "")


def _counted(found: BreakGlass, day: int) -> BreakGlass:
    wrong = found.wrong + 1 if found.wrong_day == day else 1
    locked = wrong >= MAX_WRONG and found.state == "issued"
    return msgspec.structs.replace(found, wrong=wrong, wrong_day=day, state="locked" if locked else found.state)
