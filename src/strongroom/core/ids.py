"""Identifiers: `<kind>_<uuid7 hex>` (RFC 9562), asset names, and digests with their algorithm.

>>> make_id("fnd", time_us=1_000_000, random=bytes(10))
'fnd_0000000003e870008000000000000000'
"""

from __future__ import annotations

import hashlib
import re
import secrets

from .errors import RefusedError, StrongroomError

__all__ = ["KINDS", "check_asset_name", "check_digest", "check_id", "make_id", "new_id", "object_digest"]

KINDS = frozenset({"exc", "evt", "fnd", "cmp", "inc", "evi", "lse", "apr"})
_ID = re.compile(r"(?:" + "|".join(sorted(KINDS)) + r")_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
_ASSET = re.compile(r"(?!\.+/)[a-z0-9._-]+/(?!\.+(?::|\Z))[a-z0-9._-]+(?::[a-z0-9._-]+)?")
_DIGEST = re.compile(r"(?:sha256|blake3):[0-9a-f]{64}")


def make_id(kind: str, *, time_us: int, random: bytes) -> str:
    """A uuid7 id of `kind` from a time in microseconds and 10 random bytes (RFC 9562, section 5.7)."""
    if kind not in KINDS or len(random) != 10:
        raise ValueError(f"unknown id kind {kind!r}, or not 10 random bytes")
    value = (time_us // 1000 & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant 10
    return f"{kind}_{value:032x}"


def new_id(kind: str, time_us: int) -> str:
    """`make_id` with the system's randomness."""
    return make_id(kind, time_us=time_us, random=secrets.token_bytes(10))


def check_id(text: str) -> str:
    """Returns `text` if it is an id. Raises RefusedError."""
    if not _ID.fullmatch(text):
        raise RefusedError(f"'{text[:80]}' is not an id", next="ids read like cmp_ and 32 hexadecimal digits")
    return text


def check_asset_name(name: str) -> str:
    """Returns `name` if it is `org/name[:tag]`. Raises RefusedError."""
    if len(name) > 255 or ".." in name or not _ASSET.fullmatch(name):
        raise RefusedError(f"'{name[:80]}' is not an asset name", next="write org/name or org/name:tag")
    return name


def check_digest(text: str) -> str:
    """Returns `text` if it is `sha256:<64 hex>` or `blake3:<64 hex>`. Raises StrongroomError."""
    if not _DIGEST.fullmatch(text):
        raise StrongroomError(f"'{text[:80]}' is not a digest", next="write sha256: or blake3: and 64 hex digits")
    return text


def object_digest(object: str) -> str:
    """The digest of a sealed object's id, under which its sealing stands on record."""
    return f"sha256:{hashlib.sha256(object.encode()).hexdigest()}"
