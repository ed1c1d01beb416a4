"""Mutual TLS with SPIFFE: the workload that a client certificate (an X.509-SVID) names.

That the client has the certificate's private key is what the TLS handshake proved; a certificate alone proves nothing.
The chain is checked by `cryptography.x509.verification` (RFC 5280 in the profile of the Web PKI), with the bundle of
the very trust domain that the leaf names and no other. That profile wants a little more of authorities than SPIFFE
does: RSA from 2,048 bits or a NIST curve, and what the Web PKI wants to stand in their certificates. What SPIFFE wants
beside it stands here, with the sections of the X.509-SVID and SPIFFE-ID specifications. Nothing is asked about
revocation: such certificates are short-lived, and a trust bundle is how an authority is taken out.

>>> SpiffeId.parse("spiffe://acme.example/train/gpu-7").trust_domain
'acme.example'
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from ..core.errors import UsageError
from ._identified import Identified, NotIdentified, Reason, principal_name

__all__ = ["MAX_CHAIN", "MAX_CHAIN_BYTES", "SpiffeId", "TrustBundles", "verify_svid"]

MAX_ID_BYTES = 2_048
MAX_TRUST_DOMAIN_BYTES = 255
MAX_CHAIN = 6
"""Certificates that a client shows, with the leaf."""
MAX_CHAIN_BYTES = 65_536
MAX_ROOTS = 100
"""Of one trust domain."""
MIN_RSA_BITS = 2_048

_ID = re.compile(r"spiffe://([a-z0-9._-]+)((?:/[A-Za-z0-9._-]+)*)")
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for certificates that it cannot read."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SpiffeId:
    """A SPIFFE ID: a trust domain, and in it a path, which is empty for the trust domain itself."""

    trust_domain: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """SPIFFE-ID, section 2: no user, port, query, fragment, percent-encoding or empty segment. ValueError."""
        match = _ID.fullmatch(text)
        if match is None or len(text) > MAX_ID_BYTES or len(match[1]) > MAX_TRUST_DOMAIN_BYTES:
            raise ValueError("no SPIFFE ID")
        if any(segment in (".", "..") for segment in match[2].split("/")):
            raise ValueError("a segment of its path is . or ..")
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}{self.path}"


class TrustBundles:
    """Which certificate authorities may name workloads, for each trust domain."""

    def __init__(self, bundles: Mapping[str, bytes]) -> None:
        """From a trust domain's name to its certificates in PEM. Raises UsageError."""
        self._stores: dict[str, Store] = {}
        for name, pem in bundles.items():
            where = f"trust domain {name[:255]}"
            try:
                known = SpiffeId.parse(f"spiffe://{name}")
                roots = x509.load_pem_x509_certificates(pem)
                if known.path or not 0 < len(roots) <= MAX_ROOTS:
                    raise ValueError("a path, or no certificate, or too many")
                for root in roots:
                    _check_authority(root, name)
            except _UNREADABLE:
                raise UsageError(
                    "this is no trust bundle: PEM certificates of authorities, none of another trust domain",
                    where=where, next="write what 'spire-server bundle show' prints",
                ) from None  # fmt: skip
            self._stores[name] = Store(roots)

    def store(self, trust_domain: str) -> Store | None:
        """The bundle of this trust domain, and no other."""
        return self._stores.get(trust_domain)


def verify_svid(chain: Sequence[bytes], bundles: TrustBundles, *, now: int) -> Identified:
    """The workload that showed `chain` in a TLS handshake: DER certificates, its own first. Raises NotIdentified."""
    if len(chain) > MAX_CHAIN or sum(map(len, chain)) > MAX_CHAIN_BYTES:
        raise _refused("too-large")
    try:
        leaf, *between = [x509.load_der_x509_certificate(der) for der in chain]
        id = _leaf_id(leaf)
    except _UNREADABLE:
        raise _refused("malformed") from None
    store = bundles.store(id.trust_domain)
    if store is None:
        raise _refused("issuer")
    moment = _EPOCH + timedelta(microseconds=now)
    if moment >= leaf.not_valid_after_utc:
        raise _refused("expired")
    if moment < leaf.not_valid_before_utc:
        raise _refused("not-yet-valid")
    verifier = PolicyBuilder().store(store).time(moment).max_chain_depth(MAX_CHAIN).build_client_verifier()
    try:
        path = verifier.verify(leaf, between).chain
        for certificate in path:
            _check_key(certificate)
        for authority in path[1:]:
            _check_authority(authority, id.trust_domain)
    except (VerificationError, *_UNREADABLE):
        raise _refused("chain") from None
    return Identified(
        principal=principal_name(str(id), "mtls"),
        method="mtls",
        credential="sha256:" + hashlib.sha256(leaf.tbs_certificate_bytes).hexdigest(),
        expires=(min(certificate.not_valid_after_utc for certificate in path) - _EPOCH) // timedelta(microseconds=1),
        issuer=id.trust_domain,
    )


def _leaf_id(leaf: x509.Certificate) -> SpiffeId:
    """X.509-SVID, sections 2, 4 and 5.2. Raises NotIdentified, and ValueError for what cannot be read."""
    extensions = leaf.extensions
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise _refused("constraints") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:  # 2: exactly one
        raise _refused("constraints")
    if _is_authority(leaf):  # 4.1
        raise _refused("constraints")
    # 4.3: critical; to sign, and neither certificates nor lists of revoked ones
    if not usage.critical or not usage.value.digital_signature or usage.value.key_cert_sign or usage.value.crl_sign:
        raise _refused("constraints")
    try:
        id = SpiffeId.parse(uris[0])
    except ValueError:
        raise _refused("principal") from None
    if not id.path:  # 3.1: a trust domain is no workload
        raise _refused("principal")
    return id


def _check_key(certificate: x509.Certificate) -> None:
    """The verifier looks at how a certificate was signed, and not at the key in a leaf. Raises ValueError."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        sound = key.key_size >= MIN_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        sound = isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    else:
        sound = isinstance(key, ed25519.Ed25519PublicKey)
    if not sound:
        raise ValueError("too weak a key")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check_authority(authority: x509.Certificate, trust_domain: str) -> None:
    """X.509-SVID, section 3.2: where it has a SPIFFE ID, it is that of this trust domain. Raises ValueError."""
    if not _is_authority(authority):
        raise ValueError("no certificate authority")
    try:
        names = authority.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        if uri.startswith("spiffe:") and SpiffeId.parse(uri) != SpiffeId(trust_domain, ""):
            raise ValueError("an authority of another trust domain, or a workload")


def _refused(reason: Reason) -> NotIdentified:
    return NotIdentified(reason, method="mtls")
