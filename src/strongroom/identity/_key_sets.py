"""The keys of an issuer: a JWKS (RFC 7517) that was given, or one that OpenID Connect Discovery finds.

Invariants: a key is found by comparing the name in a token with those in the issuer's own set, as text, and by nothing
else: no file, query or URL is made of it. A key is used with the algorithms of its own type only. What strangers send
makes us fetch at most once in `min_refresh_seconds`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from ..core.errors import InputError, StrongroomError, UsageError
from ._identified import NotIdentified
from ._issuers import ALGORITHMS, Issuer, check_url
from ._jose import Token, read_json

__all__ = ["MAX_DOCUMENT_BYTES", "DiscoveredKeys", "Fetch", "KeySet", "KeySource", "StaticKeys"]

Fetch = Callable[[str], bytes]
"""Returns the body at a URL, of at most `MAX_DOCUMENT_BYTES`. Raises StrongroomError. Follows no redirects."""

MAX_DOCUMENT_BYTES = 262_144
MAX_KEYS = 100
MIN_RSA_BITS, MAX_RSA_BITS = 2_048, 8_192

_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True)
class _Key:
    id: str | None
    type: str
    curve: str
    algorithm: str | None
    """The only one, where its issuer says so."""
    key: Key = field(repr=False)

    def fits(self, algorithm: str) -> bool:
        return ALGORITHMS[algorithm] == (self.type, self.curve) and self.algorithm in (None, algorithm)


@dataclass(frozen=True)
class KeySet:
    """The keys of one issuer that can check signatures."""

    keys: tuple[_Key, ...]
    version: str
    """Another set has another."""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads a JWKS. Keys that are not for this are left out. Raises InputError for what is none."""
        try:
            listed = read_json(data, MAX_DOCUMENT_BYTES).get("keys")
        except ValueError:
            listed = None
        if not isinstance(listed, list) or len(listed) > MAX_KEYS:
            raise InputError("this is no JWKS", next='it has the form {"keys":[…]}')
        kept = [(key, jwk) for jwk in listed if (key := _read_key(jwk)) is not None]
        canonical = json.dumps([jwk for _, jwk in kept], sort_keys=True)
        return cls(tuple(key for key, _ in kept), hashlib.sha256(canonical.encode()).hexdigest())

    def find(self, key_id: str | None, algorithm: str) -> _Key | None:
        """The one key of this name that fits the algorithm; without a name, the only one. None where it is not one."""
        fitting = [key for key in self.keys if key.fits(algorithm) and key_id in (None, key.id)]
        return fitting[0] if len(fitting) == 1 else None

    def verify(self, token: Token) -> None:
        """Raises NotIdentified unless one of the keys made the token's signature."""
        key = self.find(token.key_id, token.algorithm)
        if key is None:
            raise NotIdentified("key-unknown", method="jwt")
        # joserfc's algorithms, without its reading of tokens: what is checked is what `Token.parse` took apart.
        algorithm = JWSRegistry.algorithms[token.algorithm]
        try:
            algorithm.check_key(key.key)
            verified = algorithm.verify(token.signed, token.signature, key.key)
        except (JoseError, ValueError, TypeError):
            verified = False
        if verified is not True:
            raise NotIdentified("signature", method="jwt")


class _Jwk(msgspec.Struct):
    """What is read of a JWK."""

    kty: str
    kid: str | None = None
    alg: str | None = None
    use: str = "sig"
    key_ops: tuple[str, ...] = ("verify",)
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


def _read_key(jwk: Any) -> _Key | None:
    """A public key for signatures, of a type and size that is accepted; None for any other."""
    try:
        read = msgspec.convert(jwk, _Jwk)
        if _SECRET & jwk.keys() or read.use != "sig" or "verify" not in read.key_ops:
            return None
        key = _IMPORT[read.kty](read)
    except (JoseError, ValueError, TypeError, KeyError):  # msgspec's errors are ValueErrors
        return None
    found = _Key(read.kid, read.kty, read.crv, read.alg, key)
    return found if any(found.fits(algorithm) for algorithm in ALGORITHMS) else None


def _rsa(jwk: _Jwk) -> Key:
    if not MIN_RSA_BITS <= len(jwk.n) * 6 <= MAX_RSA_BITS + 12:  # cheaply, before it is read
        raise ValueError("too short or too long")
    key = RSAKey.import_key({"kty": "RSA", "n": jwk.n, "e": jwk.e})
    if not MIN_RSA_BITS <= key.public_key.key_size <= MAX_RSA_BITS:
        raise ValueError("too short or too long")
    return key


_IMPORT: dict[str, Callable[[_Jwk], Key]] = {
    "RSA": _rsa,
    "EC": lambda jwk: ECKey.import_key({"kty": "EC", "crv": jwk.crv, "x": jwk.x, "y": jwk.y}),
    "OKP": lambda jwk: OKPKey.import_key({"kty": "OKP", "crv": jwk.crv, "x": jwk.x}),
}


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    def keys(self, now: int, token: Token | None = None) -> KeySet:
        """The keys as they are now; after a look for new ones, where those that are known have none for `token`.

        Raises NotIdentified where there are none that may be used.
        """
        ...


class StaticKeys:
    """Keys that were given."""

    def __init__(self, issuer: Issuer) -> None:
        """Raises UsageError."""
        where = f"issuer {issuer.issuer[:200]}"
        try:
            self._keys = KeySet.parse(issuer.keys.encode())
        except InputError as error:
            raise UsageError(error.message, where=where, next=error.next) from None
        if any(_SECRET & jwk.keys() for jwk in json.loads(issuer.keys)["keys"] if isinstance(jwk, dict)):
            raise UsageError(
                "the JWKS has a private key or a shared secret", where=where,
                next="take it out and make a new one: who reads this can sign tokens",
            )  # fmt: skip
        if not self._keys.keys:
            raise UsageError("the JWKS has no key that can be used", where=where)

    def keys(self, now: int, token: Token | None = None) -> KeySet:
        """See `KeySource`."""
        return self._keys


class DiscoveredKeys:
    """Keys that are fetched from the issuer, and fetched again as they age or as a token names an unknown one."""

    def __init__(self, issuer: Issuer, fetch: Fetch) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._known: KeySet | None = None
        self._fetched = 0
        self._tried: int | None = None
        self._fetching = threading.Lock()
        self.failure = ""
        """Why the last attempt to fetch failed, for those who run the site; empty where it did not."""

    def keys(self, now: int, token: Token | None = None) -> KeySet:
        """See `KeySource`."""
        known = self._usable(now)
        missing = known is None or (token is not None and known.find(token.key_id, token.algorithm) is None)
        if missing or not 0 <= now - self._fetched < self._issuer.refresh_seconds * 1_000_000:
            # While one thread fetches, others wait only if there are no keys at all: strangers cannot hold them up.
            if self._fetching.acquire(blocking=known is None):
                try:
                    self._refresh(now)
                finally:
                    self._fetching.release()
            known = self._usable(now)
        if known is None:
            raise NotIdentified("unavailable", method="jwt")
        return known

    def _usable(self, now: int) -> KeySet | None:
        fresh = now - self._fetched < self._issuer.max_stale_seconds * 1_000_000
        return self._known if fresh else None

    def _refresh(self, now: int) -> None:
        """Fetches, unless that was tried a moment ago. A failure is kept in `failure`, and the old keys with it."""
        # A clock that was set back must not stop it for as long as it was wrong.
        if self._tried is not None and 0 <= now - self._tried < self._issuer.min_refresh_seconds * 1_000_000:
            return
        self._tried = now
        try:
            found = KeySet.parse(self._document(self._jwks_url()))
        except StrongroomError as error:
            self.failure = str(error)
            return
        self._known, self._fetched, self.failure = found, now, ""

    def _jwks_url(self) -> str:
        """OpenID Connect Discovery 1.0, section 4. Raises StrongroomError."""
        url = self._issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            document = read_json(self._document(url), MAX_DOCUMENT_BYTES)
        except ValueError:
            raise InputError("the configuration is no JSON object", where=url) from None
        if document.get("issuer") != self._issuer.issuer:  # section 4.3
            raise InputError("the configuration is that of another issuer", where=url)
        jwks = document.get("jwks_uri")
        if not isinstance(jwks, str):
            raise InputError("the configuration names no jwks_uri", where=url)
        check_url(jwks, f"jwks_uri in {url}")
        if jwks.startswith("http:") and not self._issuer.issuer.startswith("http:"):
            raise InputError("an issuer elsewhere names a jwks_uri on this machine", where=url)
        return jwks

    def _document(self, url: str) -> bytes:
        data = self._fetch(url)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise InputError(f"the answer is larger than {MAX_DOCUMENT_BYTES:,} bytes", where=url)
        return data
