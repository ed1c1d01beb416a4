"""The form of a signed token: JWS compact serialization (RFC 7515), JWT claims (RFC 7519), read strictly (RFC 8725).

Nothing is believed here; a token is only taken apart, with every size and depth bounded, so that what is checked later
is what was signed. Two readers of a token must not see two tokens: a JSON name that stands twice, base64 with bits left
over, and text that is not UTF-8 are refused, whatever a library makes of them.

>>> Token.parse("a.b.c")
Traceback (most recent call last):
    ...
strongroom.identity._identified.NotIdentified: the credential is not accepted: malformed
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from ._identified import NotIdentified, Reason

__all__ = ["MAX_TOKEN_BYTES", "Token", "read_json"]

MAX_TOKEN_BYTES = 16_384
MAX_HEADER_BYTES = 4_096
MAX_KEY_ID_CHARACTERS = 256
MAX_OPENINGS = 300
"""Arrays and objects in one JSON text."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES = frozenset({"jwt", "at+jwt", "jose"})
"""RFC 8725, section 3.11: tokens made for something else (logout, DPoP proofs, events) say so in `typ`."""
_FORBIDDEN = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "cty", "epk", "p2s", "p2c"})
"""Header parameters that would have us take a key from the token, or read it otherwise than here: also nested tokens
(`cty`) and those that are encrypted. What else is not known is passed over, as RFC 7515, section 4 says."""


@dataclass(frozen=True)
class Token:
    """A token that was taken apart. Its claims are what somebody says, until its signature was checked."""

    algorithm: str
    key_id: str | None
    claims: dict[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    """What the signature is over."""
    signature: bytes = field(repr=False)
    digest: str
    """`sha256:<hex>` of what is signed, without the signature: who has one of ECDSA can write another."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises NotIdentified."""
        if len(text) > MAX_TOKEN_BYTES:
            raise _refused("too-large")
        match = _COMPACT.fullmatch(text)
        if match is None:
            raise _refused("malformed")
        try:
            header_bytes, payload, signature = (_decode(match[part]) for part in (1, 2, 3))
            header, claims = read_json(header_bytes, MAX_HEADER_BYTES), read_json(payload, MAX_TOKEN_BYTES)
        except ValueError:
            raise _refused("malformed") from None
        algorithm, key_id = _check_header(header)
        signed = text[: match.end(2)].encode()
        return cls(
            algorithm=algorithm,
            key_id=key_id,
            claims=claims,
            signed=signed,
            signature=signature,
            digest="sha256:" + hashlib.sha256(signed).hexdigest(),
        )


def _check_header(header: dict[str, Any]) -> tuple[str, str | None]:
    """Algorithm and key id. Raises NotIdentified."""
    if _FORBIDDEN & header.keys():
        raise _refused("header")
    type = header.get("typ", "JWT")
    if not isinstance(type, str) or type.lower().removeprefix("application/") not in _TYPES:
        raise _refused("header")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise _refused("algorithm")
    if key_id is not None and not (
        isinstance(key_id, str) and 0 < len(key_id) <= MAX_KEY_ID_CHARACTERS and key_id.isprintable()
    ):
        raise _refused("header")
    return algorithm, key_id


def read_json(data: bytes, limit: int) -> dict[str, Any]:
    """A JSON object in UTF-8, each of whose names stands once. Raises ValueError."""
    if len(data) > limit:
        raise ValueError("too large")
    text = data.decode("utf-8")
    if text.count("[") + text.count("{") > MAX_OPENINGS:  # so it cannot be nested deeper than the parser's stack
        raise ValueError("too many arrays and objects")
    found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _decode(text: str) -> bytes:
    """Base64url without padding, in its one form. Raises ValueError."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("bits are left over")
    return data


def _refused(reason: Reason) -> NotIdentified:
    return NotIdentified(reason, method="jwt")
