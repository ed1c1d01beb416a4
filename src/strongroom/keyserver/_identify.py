"""Who asks: by one credential, which every request shows anew.

Over the Unix socket it is the user that the kernel names, unless the request shows a token or an API key; over TLS it
is the client's certificate, or a token or an API key. Who shows two is refused: that two agree could be wished for, and
that they differ could be overlooked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from ..core.clock import Clock
from ..core.principals import Principal
from ..identity import ApiKeys, Identified, NotIdentified, Tokens, TrustBundles, verify_api_key, verify_svid
from ..serving import client_chain, peer_uid

__all__ = ["Asker", "Identify"]


@dataclass(frozen=True)
class Asker:
    """A principal that is known, how that was proved, and from where it asks."""

    principal: str
    credential: str
    """The method, a colon, and the credential's id."""
    address: str
    """Empty on this machine."""


@dataclass(frozen=True, kw_only=True)
class Identify:
    """Says who asks. Threads may share it."""

    user: Callable[[int], str]
    """How the site names a user of this machine."""
    principal: Callable[[str], Principal | None]
    """Who of this name the site knows."""
    api_keys: ApiKeys
    tokens: Tokens
    bundles: Callable[[], TrustBundles | None]
    clock: Clock

    def __call__(self, request: Request) -> Asker:
        """Raises NotIdentified, also for somebody that the site does not know, or has suspended."""
        found = self._shown(request)
        known = self.principal(found.principal)
        if known is None:
            stranger = NotIdentified("unknown", method=found.method)
            stranger.next = f"an owner of the site can make it known: strongroom principal add {found.principal}"
            raise stranger
        if known.suspended:
            raise NotIdentified("suspended", method=found.method)
        host = request.client.host if request.client and peer_uid(request.scope) is None else ""
        return Asker(found.principal, f"{found.method}:{found.credential}", host)

    def _shown(self, request: Request) -> Identified:
        uid, chain, now = peer_uid(request.scope), client_chain(request.scope), self.clock()
        shown = request.headers.getlist("authorization")
        if len(shown) > 1 or (shown and chain):
            raise NotIdentified("several", method="mtls" if chain else "api-key")
        if shown:
            scheme, _, text = shown[0].partition(" ")
            if scheme.lower() != "bearer":
                raise NotIdentified("malformed", method="api-key")
            if text.startswith("sr_"):
                return verify_api_key(text, self.api_keys, now=now)
            return self.tokens.verify(text, now=now)
        if chain:
            bundles = self.bundles()
            if bundles is None:
                raise NotIdentified("issuer", method="mtls")
            return verify_svid(chain, bundles, now=now)
        if uid is None:
            raise NotIdentified("missing", method="mtls")
        return Identified(principal=self.user(uid), method="peer", credential=f"uid-{uid}")
