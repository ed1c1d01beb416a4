"""Who it is, and the one error of what is not accepted.

>>> NotIdentified("expired", method="jwt")
NotIdentified('the credential is not accepted: expired', '', '')
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ..core.errors import RefusedError
from ..core.principals import check_principal_name

__all__ = ["REASONS", "Identified", "Method", "NotIdentified", "Reason", "principal_name"]

Method = Literal["api-key", "jwt", "mtls", "peer", "ssh"]
Reason = Literal[
    "algorithm",
    "audience",
    "bound",
    "chain",
    "checksum",
    "claims",
    "constraints",
    "expired",
    "header",
    "issuer",
    "key-unknown",
    "lifetime",
    "malformed",
    "missing",
    "namespace",
    "not-yet-valid",
    "principal",
    "revoked",
    "several",
    "signature",
    "suspended",
    "too-large",
    "touch",
    "unavailable",
    "unknown",
]

REASONS: dict[Reason, str] = {
    "algorithm": "it is signed in a way that is not allowed here",
    "audience": "it was made for somebody else",
    "bound": "it is bound to a key, and that its bearer has the key is not proved here",
    "chain": "its certificates do not lead to one that is trusted for its trust domain",
    "checksum": "it was mistyped, or only looks like one",
    "claims": "a claim that must be there is missing, or has a wrong type",
    "constraints": "its certificate may not be used like this, or names not exactly one identity",
    "expired": "its time is over",
    "header": "its header asks for what is not supported here",
    "issuer": "nobody here trusts its issuer",
    "key-unknown": "no key of its issuer is known by that name",
    "lifetime": "it lives longer than the site permits, or is older",
    "malformed": "it cannot be read",
    "missing": "none was shown",
    "namespace": "it was signed for another purpose",
    "not-yet-valid": "its time has not begun, by this machine's clock",
    "principal": "what it names cannot be a principal",
    "revoked": "it was taken back",
    "several": "more than one was shown",
    "signature": "its signature is wrong",
    "suspended": "whom it names was suspended",
    "too-large": "it is larger than any real one",
    "touch": "its hardware key was not touched",
    "unavailable": "the keys of its issuer cannot be had now; this is no fault of its bearer",
    "unknown": "nobody here has it",
}
"""Why a credential is not accepted, in words for those who run the site. Doors count them; strangers see the slug."""


class NotIdentified(RefusedError):
    """A credential is not accepted. `reason` is one of `REASONS`; nothing here quotes what was shown."""

    code = "not-identified"

    def __init__(self, reason: Reason, *, method: Method) -> None:
        super().__init__(f"the credential is not accepted: {reason}")
        self.reason: Reason = reason
        self.method: Method = method


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """Who a principal was proved to be, and by what."""

    principal: str
    method: Method
    credential: str
    """A key's id, or `sha256:` of what an issuer signed (claims, certificate). It may be logged: it opens nothing. Who
    shows the credential cannot change it, so it can be counted and refused by."""
    expires: int | None = None
    """Microseconds since 1970, after which it proves nothing; None where its kind does not expire."""
    issuer: str = ""
    """Who vouches: the URL of an OIDC issuer, a SPIFFE trust domain; empty where the site itself does."""


def principal_name(name: str, method: Method) -> str:
    """Returns `name` if it can name a principal. Raises NotIdentified, which does not quote it."""
    try:
        return check_principal_name(name)
    except RefusedError:
        raise NotIdentified("principal", method=method) from None
