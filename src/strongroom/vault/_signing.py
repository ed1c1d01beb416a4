"""Signatures over statements: DSSE 1.0 in a Sigstore bundle 0.3 with a bare key, as OpenSSF Model Signing 1.0 asks.

>>> from strongroom.vault._keys import KeyFiles, PrivateKey
>>> key = PrivateKey.generate("p256", "signer")
>>> bundle = sign(b"{}", key.public, KeyFiles(key))
>>> verify(bundle, [key.public], "model.sig") == (b"{}", key.public)
True
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from ..core.errors import IntegrityError, RefusedError
from ..core.ports import Signer
from ._keys import PublicKey

__all__ = ["sign", "verify"]

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


class _KeyHint(msgspec.Struct):
    hint: str = ""


class _Material(msgspec.Struct):
    public_key: _KeyHint = msgspec.field(name="publicKey")
    tlog_entries: msgspec.Raw = msgspec.field(name="tlogEntries", default=msgspec.Raw(b"[]"))
    """Not read: a bare key has no use for them, and nobody has signed them."""


class _Signature(msgspec.Struct):
    sig: str
    keyid: str | None = ""


class _Envelope(msgspec.Struct):
    payload: str
    payload_type: str = msgspec.field(name="payloadType")
    signatures: list[_Signature]


class _Bundle(msgspec.Struct):
    media_type: str = msgspec.field(name="mediaType")
    material: _Material = msgspec.field(name="verificationMaterial")
    envelope: _Envelope = msgspec.field(name="dsseEnvelope")


_decoder = msgspec.json.Decoder(_Bundle)


def sign(payload: bytes, key: PublicKey, signer: Signer) -> bytes:
    """The bundle. Raises what the signer raises."""
    signature = signer.sign(key.key, _encoded(payload))
    return msgspec.json.encode(
        _Bundle(
            MEDIA_TYPE,
            _Material(_KeyHint(key.hint)),
            _Envelope(_base64(payload), PAYLOAD_TYPE, [_Signature(_base64(signature))]),
        )
    )


def verify(bundle: bytes, trusted: Sequence[PublicKey], where: str) -> tuple[bytes, PublicKey]:
    """The payload and whose key signed it. Nothing of the payload was read before its signature was checked.

    Raises RefusedError for a signer that is not trusted, IntegrityError for a wrong signature and for no bundle.
    """
    try:
        read = _decoder.decode(bundle)
        payload = base64.b64decode(read.envelope.payload, validate=True)
        signatures = [base64.b64decode(one.sig, validate=True) for one in read.envelope.signatures]
    except (msgspec.MsgspecError, binascii.Error, RecursionError, UnicodeDecodeError, ValueError):
        raise IntegrityError("this is no signature bundle", where=where) from None
    # OMS 1.0, section 8.1: whoever parses a bundle without a Sigstore library checks its type.
    if read.media_type != MEDIA_TYPE or read.envelope.payload_type != PAYLOAD_TYPE or len(signatures) != 1:
        raise IntegrityError("this is a signature bundle of another type", where=where)
    key = next((one for one in trusted if one.kind == "p256" and one.hint == read.material.public_key.hint), None)
    if key is None:
        raise RefusedError(
            "it was signed by somebody who is not trusted here",
            where=f"{where}, key p256:{read.material.public_key.hint[:64]}",
            next="if it should be, get the signer's public key from its owner and give it with --signer FILE",
        )
    try:
        key.verify(signatures[0], _encoded(payload))
    except IntegrityError:
        raise IntegrityError(
            "the manifest's signature is wrong: it was changed, or made by somebody else",
            where=where,
            next="restore it from a copy",
        ) from None
    return payload, key


def _encoded(payload: bytes) -> bytes:
    """PAE of DSSE 1.0."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
