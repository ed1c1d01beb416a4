"""Certificates as SPIFFE's authorities make them, and wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = (START + timedelta(minutes=30)).timestamp()
NOW_US = int(NOW) * 1_000_000
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
BITS = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make(
    signer: Made | None = None,
    *,
    uris: Sequence[str] = (),
    names: Sequence[x509.GeneralName] = (),
    ca: bool | None = False,
    usage: Sequence[str] | None = ("digital_signature",),
    usage_critical: bool = True,
    purposes: Sequence[x509.ObjectIdentifier] | None = BOTH,
    path_length: int | None = None,
    subject: str = "SPIRE",
    begins: datetime = START,
    lasts: timedelta = timedelta(hours=1),
    key: Any = None,
    signing_key: Any = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Made:
    key = key or ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject)])
    by = signer.certificate if signer else None
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(by.subject if by else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if by:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length if ca else None), True)
    if usage is not None:
        builder = builder.add_extension(x509.KeyUsage(*(bit in usage for bit in BITS)), usage_critical)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
    if uris or names:
        all_names = [*map(x509.UniformResourceIdentifier, uris), *names]
        builder = builder.add_extension(x509.SubjectAlternativeName(all_names), False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return Made(builder.sign(signing_key or (signer.key if signer else key), hashes.SHA256()), key)


def authority(trust_domain: str = "acme.example", signer: Made | None = None, **changed: Any) -> Made:
    settings: dict[str, Any] = {
        "uris": [f"spiffe://{trust_domain}"],
        "ca": True,
        "usage": ("key_cert_sign", "crl_sign"),
        "purposes": None,
        "lasts": timedelta(days=30),
        "subject": f"{trust_domain} {'root' if signer is None else 'intermediate'}",
    }
    return make(signer, **{**settings, **changed})


def workload(signer: Made, id: str = "spiffe://acme.example/train", **changed: Any) -> Made:
    return make(signer, **{"uris": [id], **changed})
