"""Manifests as they are signed: to a bundle and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import InputError
from ..core.ports import Signer
from ._keys import PublicKey
from ._manifest import Manifest, decode_statement, encode_statement
from ._signing import sign, verify

__all__ = ["MAX_BUNDLE_BYTES", "Signed", "read_bundle", "sign_bundle"]

MAX_BUNDLE_BYTES = 1 << 29


@dataclass(frozen=True)
class Signed:
    """A manifest whose signature was checked."""

    manifest: Manifest
    signer: PublicKey
    digest: str
    """`sha256:…` of the signed statement."""


def read_bundle(bundle: bytes, trusted: Sequence[PublicKey], where: str) -> Signed:
    """The signature is checked, then the manifest is read. Raises RefusedError for a foreign signer, IntegrityError."""
    payload, signer = verify(bundle, trusted, where)
    return Signed(decode_statement(payload, where), signer, _digest(payload))


def sign_bundle(manifest: Manifest, signer: PublicKey, keys: Signer) -> tuple[Signed, bytes]:
    """A manifest as `signer` signs it, and the bundle to write. Raises InputError, and what signing raises."""
    payload = encode_statement(manifest)
    bundle = sign(payload, signer, keys)
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise InputError(f"the manifest has more than {MAX_BUNDLE_BYTES:,} bytes", next="seal parts of it")
    return Signed(manifest, signer, _digest(payload)), bundle


def _digest(payload: bytes) -> str:
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"
