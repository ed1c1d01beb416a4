"""Tokens of OIDC issuers (RFC 7519, with RFC 8725 in mind): who shows one, and is it one.

The order: size and form; issuer; algorithm, against the issuer's list; key, among the issuer's own; signature; claims;
name. Only what the signature covers is believed, and `iss` before that only to choose whose keys check it.

A token that was verified is remembered by its digest, so that its signature is not checked again: until it expires, and
only while its issuer's keys are the same. What was withdrawn otherwise (a suspended principal) is for policy to say.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import UsageError
from ._identified import Identified, NotIdentified
from ._issuers import Issuer, check_claims, check_issuer, principal_of
from ._jose import MAX_TOKEN_BYTES, Token
from ._key_sets import DiscoveredKeys, Fetch, KeySource, StaticKeys

__all__ = ["MAX_REMEMBERED", "Tokens"]

MAX_REMEMBERED = 10_000
"""Tokens; some 5 MB."""


class _Remembered(NamedTuple):
    who: Identified
    version: str
    at: int


class Tokens:
    """Checks tokens. Safe for threads."""

    def __init__(
        self, issuers: Sequence[Issuer], *, fetch: Fetch | None = None, remember: int = MAX_REMEMBERED
    ) -> None:
        """`fetch` is needed where an issuer's keys are to be discovered; nothing is fetched before a token is shown.

        Raises UsageError.
        """
        self._issuers: dict[str, tuple[Issuer, KeySource]] = {}
        for issuer in issuers:
            if issuer.issuer in self._issuers:
                raise UsageError("an issuer stands there twice", where=issuer.issuer[:200], next="keep one")
            self._issuers[issuer.issuer] = (check_issuer(issuer), _source(issuer, fetch))
        self._limit = remember
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, text: str, *, now: int) -> Identified:
        """Whose token it is. Raises NotIdentified."""
        if len(text) > MAX_TOKEN_BYTES:
            raise NotIdentified("too-large", method="jwt")
        shown = hashlib.sha256(text.encode(errors="replace")).digest()
        if (known := self._recall(shown, now)) is not None:
            return known
        token = Token.parse(text)
        named = token.claims.get("iss")
        found = self._issuers.get(named) if isinstance(named, str) else None
        if found is None:
            raise NotIdentified("issuer", method="jwt")
        issuer, source = found
        if token.algorithm not in issuer.algorithms:
            raise NotIdentified("algorithm", method="jwt")
        keys = source.keys(now, token)
        keys.verify(token)
        expires = check_claims(token.claims, issuer, now=now)
        who = Identified(
            principal=principal_of(token.claims, issuer),
            method="jwt",
            credential=token.digest,
            expires=expires,
            issuer=issuer.issuer,
        )
        self._remember(shown, _Remembered(who, keys.version, now))
        return who

    def failures(self) -> dict[str, str]:
        """Issuers whose keys could not be fetched when that was last tried, and why."""
        sources = ((url, source) for url, (_, source) in self._issuers.items())
        return {url: source.failure for url, source in sources if isinstance(source, DiscoveredKeys) and source.failure}

    def _recall(self, shown: bytes, now: int) -> Identified | None:
        with self._lock:
            found = self._remembered.get(shown)
        if found is None:
            return None
        who = found.who
        keys = self._issuers[who.issuer][1].keys(now)
        if found.version == keys.version and who.expires is not None and found.at <= now < who.expires:
            return who
        with self._lock:
            self._remembered.pop(shown, None)
        return None

    def _remember(self, shown: bytes, what: _Remembered) -> None:
        with self._lock:
            self._remembered[shown] = what
            while len(self._remembered) > self._limit:
                self._remembered.popitem(last=False)


def _source(issuer: Issuer, fetch: Fetch | None) -> KeySource:
    if issuer.keys:
        return StaticKeys(issuer)
    if fetch is None:
        raise UsageError(
            "the issuer has no keys, and fetching them is not permitted here", where=issuer.issuer[:200],
            next="give its JWKS",
        )  # fmt: skip
    return DiscoveredKeys(issuer, fetch)
