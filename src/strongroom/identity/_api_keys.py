"""API keys: `sr_<key id>_<secret><checksum>`, made here, shown once, and kept as a digest only.

Invariants: the secret has 256 random bits and is kept nowhere. What is kept is the SHA-256 of the whole text. A slow
hash (scrypt, Argon2) would add nothing: it makes guessing dear where secrets are few enough to be guessed, and 2^256
are not; it would only give strangers a way to have us compute. The checksum (CRC-32) tells a mistyped key, and a string
that only looks like one, from a wrong key without a look-up; it protects nothing, anybody can compute it. Whether a key
id is known, revoked or expired is said only to who has its secret.

All is base62, so that a double click takes the whole key and a scanner finds it by `API_KEY_PATTERN`. The digest can be
had without us, to find the owner of a key that leaked: `printf %s "$KEY" | sha256sum`.

>>> made = make_api_key("train@acme.example", random=bytes(40), now=0, expires=3_600_000_000)
>>> made.text
'sr_00000000000_000000000000000000000000000000000000000000048u5iX'
>>> made.record.id, made.record.digest[:14]
('00000000000', 'sha256:e1e0217')
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ..core.clock import format_time
from ..core.errors import UsageError
from ..core.principals import ApiKey, check_principal_name
from ._identified import Identified, NotIdentified, Reason

__all__ = [
    "API_KEY_PATTERN",
    "API_KEY_RANDOM_BYTES",
    "MAX_LIVE_KEYS",
    "ApiKeys",
    "NewApiKey",
    "make_api_key",
    "parse_api_key",
    "revoke_api_key",
    "rotate_api_key",
    "verify_api_key",
]

ID_BYTES, SECRET_BYTES = 8, 32
API_KEY_RANDOM_BYTES = ID_BYTES + SECRET_BYTES
MAX_LIVE_KEYS = 2
"""Of one principal: one in use, and one that replaces it."""
MAX_LABEL_CHARACTERS = 100
_ID_DIGITS, _SECRET_DIGITS, _SUM_DIGITS = 11, 43, 6
"""What 8 bytes, 32 bytes and a CRC-32 take in base62."""
API_KEY_PATTERN = rf"sr_[0-9A-Za-z]{{{_ID_DIGITS}}}_[0-9A-Za-z]{{{_SECRET_DIGITS + _SUM_DIGITS}}}"
"""For secret scanners."""

_KEY = re.compile(rf"(sr_([0-9A-Za-z]{{{_ID_DIGITS}}})_[0-9A-Za-z]{{{_SECRET_DIGITS}}})([0-9A-Za-z]{{{_SUM_DIGITS}}})")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class NewApiKey:
    """A key that was just made. `text` is the key itself: it is shown to its owner now, and never again."""

    text: str = field(repr=False)
    record: ApiKey


class ApiKeys(Protocol):
    """Where the records are."""

    def find(self, key_id: str) -> ApiKey | None:
        """The record of this id, also when it was revoked or has expired."""
        ...


def make_api_key(
    principal: str,
    *,
    random: bytes,
    now: int,
    expires: int | None,
    label: str = "",
    held: Iterable[ApiKey] = (),
) -> NewApiKey:
    """A new key of `principal`, from `API_KEY_RANDOM_BYTES` of the system's randomness. `held` are those it has.

    Raises UsageError, also where `held` has `MAX_LIVE_KEYS` that are live, and RefusedError for the principal's name.
    """
    if len(random) != API_KEY_RANDOM_BYTES:
        raise UsageError(f"a key is made from {API_KEY_RANDOM_BYTES} random bytes, not {len(random)}")
    if expires is not None and expires <= now:
        raise UsageError("the key would have expired already", next="give a later time")
    if len(label) > MAX_LABEL_CHARACTERS or not label.isprintable():
        raise UsageError(f"a label has at most {MAX_LABEL_CHARACTERS} characters that can be printed")
    if sum(key.live(now) for key in held if key.principal == principal) >= MAX_LIVE_KEYS:
        raise UsageError(
            f"{principal} has {MAX_LIVE_KEYS} API keys already", next="revoke one, or wait until the older one ends"
        )
    id = _base62(random[:ID_BYTES], _ID_DIGITS)
    body = f"sr_{id}_{_base62(random[ID_BYTES:], _SECRET_DIGITS)}"
    text = body + _checksum(body)
    record = ApiKey(
        id=id,
        principal=check_principal_name(principal),
        digest=_digest(text),
        label=label,
        created=now,
        expires=expires,
    )
    return NewApiKey(text, record)


def rotate_api_key(
    old: ApiKey, *, random: bytes, now: int, ends: int, expires: int | None, held: Iterable[ApiKey] = ()
) -> tuple[NewApiKey, ApiKey]:
    """A key that replaces `old`, and `old` as it is to be kept: it ends at `ends`, or before if it would have anyway.

    Until then both are accepted. Raises UsageError where `old` is not live, or its principal has another one already.
    """
    if not old.live(now):
        raise UsageError(f"the API key {old.id} is not in use any more", next="make a new one")
    if ends < now:
        raise UsageError(f"the old key cannot end at {format_time(ends)}, which is over", next="give now, or later")
    others = [key for key in held if key.id != old.id]
    made = make_api_key(old.principal, random=random, now=now, expires=expires, label=old.label, held=[old, *others])
    return made, msgspec.structs.replace(old, expires=ends if old.expires is None else min(ends, old.expires))


def revoke_api_key(key: ApiKey, *, now: int) -> ApiKey:
    """The key as it is to be kept: not accepted any more. One that was revoked stays so since when it was."""
    return key if key.revoked is not None else msgspec.structs.replace(key, revoked=now)


def parse_api_key(text: str) -> str:
    """The id of a key that has the right form and checksum; nothing is proved by it. Raises NotIdentified."""
    match = _KEY.fullmatch(text) if len(text) < 100 else None
    if match is None:
        raise _refused("malformed")
    if match[3] != _checksum(match[1]):
        raise _refused("checksum")
    return match[2]


def verify_api_key(text: str, keys: ApiKeys, *, now: int) -> Identified:
    """Whose key it is. Raises NotIdentified."""
    key_id = parse_api_key(text)
    found = keys.find(key_id)
    known = found is not None and found.id == key_id
    digest = found.digest if found is not None and known else _NO_DIGEST
    # The same work and the same answer whether the id is known or not, and before anything is said of the key.
    if not hmac.compare_digest(_digest(text).encode(), digest.encode()) or found is None or not known:
        raise _refused("unknown")
    if found.revoked is not None:
        raise _refused("revoked")
    if found.expires is not None and now >= found.expires:
        raise _refused("expired")
    return Identified(principal=found.principal, method="api-key", credential=found.id, expires=found.expires)


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4, "big"), _SUM_DIGITS)


def _base62(data: bytes, digits: int) -> str:
    value, text = int.from_bytes(data, "big"), ""
    for _ in range(digits):
        value, digit = divmod(value, 62)
        text = _DIGITS[digit] + text
    return text


def _refused(reason: Reason) -> NotIdentified:
    return NotIdentified(reason, method="api-key")
