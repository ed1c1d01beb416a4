"""Whose tokens are accepted, for whom they must be made, and which principal one names.

>>> ci = Issuer(issuer="https://token.ci.example", audiences=["strongroom"], prefix="ci:", keys="{}")
>>> principal_of({"sub": "repo:acme/train:ref:main"}, check_issuer(ci))
'ci:repo:acme/train:ref:main'
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..core.errors import RefusedError, UsageError
from ..core.principals import check_principal_name
from ._identified import NotIdentified, Reason, principal_name

__all__ = ["ALGORITHMS", "Issuer", "check_claims", "check_issuer", "check_url", "principal_of"]

ALGORITHMS: dict[str, tuple[str, str]] = {
    **{f"{family}{bits}": ("RSA", "") for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""What may sign a token, and the type and curve of key that it takes. With HMAC, who checks could sign as well, and a
public key could be taken for the secret: it is not among them, and cannot be set."""
DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
MAX_URL_CHARACTERS = 2_048
MAX_LEEWAY_SECONDS = 300
MAX_AUDIENCES = 16
"""Of an issuer's settings, and of a token."""
MAX_SECONDS = 253_402_300_800
"""The year 10000: a later time in a token is none."""
_SECOND = 1_000_000


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one OIDC issuer."""

    issuer: str
    """The URL that its tokens have as `iss`, to the letter."""
    audiences: list[str]
    """A token must be made for one of them, to the letter."""
    keys: str = ""
    """Its JWKS, as JSON. Without, they are discovered at `<issuer>/.well-known/openid-configuration`."""
    algorithms: list[str] = msgspec.field(default_factory=lambda: list(DEFAULT_ALGORITHMS))
    claim: str = "sub"
    """Which claim names the principal. `email` counts only beside `email_verified: true`."""
    mapping: dict[str, str] = {}
    """From the claim's value to the principal's name. Where there is a mapping, no other value is accepted."""
    prefix: str = ""
    """Put before the claim's value, so that this issuer names no principal but its own."""
    begins: str = ""
    """What the claim's value must begin with, `spiffe://acme.example/` for instance."""
    ends: str = ""
    """What it must end with: `@acme.example`."""
    leeway_seconds: int = 30
    """How far clocks may be apart."""
    max_lifetime_seconds: int = 86_400
    """From `iat` (else `nbf`, else now) to `exp`."""
    max_age_seconds: int | None = None
    """Since `iat`, which must then be there."""
    refresh_seconds: int = 3_600
    """How old discovered keys may be before they are fetched again."""
    min_refresh_seconds: int = 30
    """And how long after one attempt to fetch them the next may follow, whatever strangers send."""
    max_stale_seconds: int = 86_400
    """How old they may be while the issuer does not answer: after it revoked a key, so long may that key count."""


def check_issuer(issuer: Issuer) -> Issuer:
    """Returns the settings if they can be used. Raises UsageError."""
    where = f"issuer {issuer.issuer[:200]}"
    check_url(issuer.issuer, where)
    if not 0 < len(issuer.audiences) <= MAX_AUDIENCES or not all(issuer.audiences):
        raise UsageError("a token must be made for somebody", where=where, next=f"name 1 to {MAX_AUDIENCES} audiences")
    unknown = [name for name in issuer.algorithms if name not in ALGORITHMS]
    if unknown or not issuer.algorithms:
        named = f"'{unknown[0][:20]}' is no algorithm that is accepted" if unknown else "no algorithm is accepted"
        raise UsageError(named, where=where, next=f"choose from: {', '.join(ALGORITHMS)}")
    if not (issuer.mapping or issuer.prefix or issuer.begins or issuer.ends):
        raise UsageError(
            "this issuer could name any principal, other people's too", where=where,
            next="set one of mapping, prefix, begins and ends",
        )  # fmt: skip
    if issuer.mapping and issuer.prefix:
        raise UsageError(
            "a mapping gives whole names, so no prefix is put before them", where=where, next="leave one out"
        )
    for name in (*issuer.mapping.values(), *([issuer.prefix + "x"] if issuer.prefix else [])):
        try:
            check_principal_name(name)
        except RefusedError as error:
            raise UsageError(error.message, where=where, next=error.next) from None
    _check_times(issuer, where)
    return issuer


def _check_times(issuer: Issuer, where: str) -> None:
    if not 0 <= issuer.leeway_seconds <= MAX_LEEWAY_SECONDS:
        raise UsageError(f"the leeway is 0 to {MAX_LEEWAY_SECONDS} seconds", where=where, next="set the clocks right")
    times = (issuer.max_lifetime_seconds, issuer.refresh_seconds, issuer.min_refresh_seconds, issuer.max_stale_seconds)
    if min(times) <= 0 or (issuer.max_age_seconds is not None and issuer.max_age_seconds <= 0):
        raise UsageError("a time must be longer than nothing", where=where)
    if not issuer.min_refresh_seconds <= issuer.refresh_seconds <= issuer.max_stale_seconds:
        raise UsageError("min_refresh, refresh and max_stale must follow each other in length", where=where)


def check_url(url: str, where: str) -> str:
    """Returns `url` if it is https, or http on this machine itself; with nothing beside host and path. UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("the URL cannot be read", where=where) from None
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    if (parts.scheme != "https" and not plain) or not parts.hostname or port == 0 or len(url) > MAX_URL_CHARACTERS:
        raise UsageError("this is no https URL", where=where, next="http is for this machine itself only")
    if (
        parts.username is not None
        or "?" in url
        or "#" in url
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise UsageError("the URL has more than host and path", where=where)
    return url


def check_claims(claims: dict[str, Any], issuer: Issuer, *, now: int) -> int:
    """Until when the token counts, in microseconds. `iss` was compared already. Raises NotIdentified.

    The numbers are the sections of RFC 7519.
    """
    if "cnf" in claims:  # RFC 7800: to accept it from any bearer would undo what its issuer did
        raise _refused("bound")
    audiences = claims.get("aud")  # 4.1.3
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if (
        not isinstance(audiences, list)
        or len(audiences) > MAX_AUDIENCES
        or not all(isinstance(a, str) for a in audiences)
    ):
        raise _refused("audience")
    if not set(issuer.audiences) & set(audiences):
        raise _refused("audience")
    leeway = issuer.leeway_seconds * _SECOND
    expires = _time(claims, "exp")  # 4.1.4
    begins, issued = _time(claims, "nbf"), _time(claims, "iat")  # 4.1.5, 4.1.6
    if expires is None:
        raise _refused("claims")
    if now >= expires + leeway:
        raise _refused("expired")
    if max(begins or 0, issued or 0) > now + leeway:
        raise _refused("not-yet-valid")
    since = issued if issued is not None else begins if begins is not None else now
    if expires - since > issuer.max_lifetime_seconds * _SECOND:
        raise _refused("lifetime")
    ends = expires + leeway
    if issuer.max_age_seconds is not None:
        if issued is None:
            raise _refused("claims")
        ends = min(ends, issued + issuer.max_age_seconds * _SECOND + leeway)
        if now >= ends:
            raise _refused("lifetime")
    return ends


def principal_of(claims: dict[str, Any], issuer: Issuer) -> str:
    """The principal that a token names. Raises NotIdentified."""
    value = claims.get(issuer.claim)
    if not isinstance(value, str) or not value:
        raise _refused("claims")
    if issuer.claim == "email" and claims.get("email_verified") is not True:
        raise _refused("claims")  # elsewhere anybody may write anybody's address into an account
    if not value.startswith(issuer.begins) or not value.endswith(issuer.ends):
        raise _refused("principal")
    if issuer.mapping:
        if value not in issuer.mapping:
            raise _refused("principal")
        return principal_name(issuer.mapping[value], "jwt")
    return principal_name(issuer.prefix + value, "jwt")


def _time(claims: dict[str, Any], name: str) -> int | None:
    """A NumericDate in microseconds. Raises NotIdentified for anything else."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused("claims")
    if not 0 <= value <= MAX_SECONDS:
        raise _refused("claims")
    return int(value * _SECOND)


def _refused(reason: Reason) -> NotIdentified:
    return NotIdentified(reason, method="jwt")
