"""The parts of `strongroom.toml` that a key service reads: where it listens, and whose credentials it accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.errors import InputError, UsageError
from ._tables import check_keys, text_of

if TYPE_CHECKING:
    from ..identity import Issuer, TrustBundles

__all__ = ["KEYSERVER", "IdentitySettings", "KeyServerSettings", "read_identity", "read_keyserver"]

KEYSERVER = {
    "keyserver.socket": "where the key service listens on this machine; run/keys.sock without it",
    "keyserver.listen": "HOST:PORT where it listens for other machines, with TLS; nowhere without it",
    "keyserver.certificate": "its own certificates (PEM), its own first",
    "keyserver.private_key": "and their private key (PEM)",
    "keyserver.metrics": "HOST:PORT where it tells its health and its metrics, to anybody; nowhere without it",
    "identity.trust_domains": "a table from SPIFFE trust domains to the PEM file of each one's authorities",
    "identity.issuer.issuer": "an OIDC issuer's URL, as its tokens name it",
    "identity.issuer.audiences": "for whom a token must have been made: a list, of which one is enough",
    "identity.issuer.keys_file": "its keys (a JWKS file); without it, they are fetched from the issuer",
    "identity.issuer.algorithms": "how its tokens may be signed; RS256, PS256, ES256, ES384 and EdDSA without it",
    "identity.issuer.claim": "which claim names the principal; sub without it",
    "identity.issuer.mapping": "a table from the claim's values to principals; no other value is accepted then",
    "identity.issuer.prefix": "what stands before the claim's value in the principal's name",
    "identity.issuer.begins": "what the claim's value must begin with",
    "identity.issuer.ends": "what it must end with",
    "identity.issuer.leeway_seconds": "how far clocks may be apart; 30 without it",
    "identity.issuer.max_lifetime_seconds": "how long a token may live; a day without it",
    "identity.issuer.max_age_seconds": "how old a token may be; as old as it lives without it",
    "identity.issuer.refresh_seconds": "how old fetched keys may be before they are fetched again; an hour without it",
    "identity.issuer.min_refresh_seconds": "seconds between two attempts to fetch them; 30 without it",
    "identity.issuer.max_stale_seconds": "how old they may be while the issuer does not answer; a day without it",
}
MAX_ISSUERS = 32
MAX_TRUST_DOMAINS = 100
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class KeyServerSettings:
    """Where a key service listens."""

    socket: str = "run/keys.sock"
    listen: str = ""
    certificate: str = ""
    private_key: str = ""
    metrics: str = ""


@dataclass(frozen=True)
class IdentitySettings:
    """Whose credentials are accepted, beside the site's own API keys and this machine's users."""

    trust_domains: dict[str, str] = field(default_factory=dict)
    issuers: tuple[dict[str, Any], ...] = ()

    def bundles(self, root: Path) -> TrustBundles | None:
        """The authorities of each trust domain, None where none is named. Raises InputError, UsageError."""
        from ..identity import TrustBundles

        if not self.trust_domains:
            return None
        return TrustBundles({name: _file(root / file) for name, file in self.trust_domains.items()})

    def trusted(self, root: Path) -> list[Issuer]:
        """The issuers, with the keys that stand in files. Raises InputError, UsageError."""
        from ..identity import Issuer

        found = []
        for table in self.issuers:
            values = dict(table)
            file = values.pop("keys_file", "")
            if file:
                values["keys"] = _file(root / file).decode(errors="replace")
            try:
                found.append(msgspec.convert(values, Issuer))
            except msgspec.ValidationError as error:
                raise UsageError(f"identity.issuer: {error}", where=str(root / "strongroom.toml")) from None
        return found


def read_keyserver(values: Any, where: str) -> KeyServerSettings:
    """Raises UsageError."""
    check_keys(values, "keyserver.", KEYSERVER, where)
    known = KeyServerSettings()
    read = {name: text_of(values, name, getattr(known, name), "keyserver.", where) for name in known.__dict__}
    if read["listen"] and not read["certificate"]:
        raise UsageError("keyserver.listen needs keyserver.certificate", where=where, next="name its PEM file")
    return KeyServerSettings(**read)


def read_identity(values: Any, where: str) -> IdentitySettings:
    """Raises UsageError."""
    check_keys(values, "identity.", KEYSERVER, where)
    domains, issuers = values.get("trust_domains", {}), values.get("issuer", [])
    if not isinstance(domains, dict) or len(domains) > MAX_TRUST_DOMAINS:
        raise UsageError(f"identity.trust_domains is a table of at most {MAX_TRUST_DOMAINS} files", where=where)
    for name in domains:
        text_of(domains, name, "", "identity.trust_domains.", where)
    if not isinstance(issuers, list) or len(issuers) > MAX_ISSUERS:
        raise UsageError(f"identity.issuer is a list of at most {MAX_ISSUERS} tables", where=where)
    for issuer in issuers:
        check_keys(issuer, "identity.issuer.", KEYSERVER, where)
        text_of(issuer, "keys_file", "", "identity.issuer.", where)
    return IdentitySettings(domains, tuple(issuers))


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"the file has more than {MAX_FILE_BYTES:,} bytes", where=str(path))
    return data
