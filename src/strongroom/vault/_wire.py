"""What a door and a key service say to each other: JSON over a Unix socket or TLS, version 1.

    GET  /v1/site            -> SiteAnswer       whose manifests are believed, for whom is sealed
    GET  /v1/places/<asset>  -> PlacesAnswer     where an asset's sealed objects lie
    POST /v1/release         -> ReleaseAnswer    the keys of an object, for one ephemeral key
    POST /v1/object          -> ObjectAnswer     the id of an object that is begun
    POST /v1/permit          -> {}               may this be sealed
    POST /v1/sign            -> SignAnswer       a manifest, signed as its next version
    POST /v1/note            -> {}               that version is in its place

Object keys travel wrapped (HPKE, as manifests' are) for a key that the asker made for this one request, bound to all
of it: whoever reads along, or ends TLS in between, has nothing, and a request that comes again under its id is answered
only to the same key.
"""

from __future__ import annotations

import hashlib

import msgspec

from ._keys import Kind

__all__ = [
    "EPHEMERAL_KIND",
    "RELEASE",
    "NoteRequest",
    "ObjectAnswer",
    "PermitRequest",
    "PlacesAnswer",
    "ReleaseAnswer",
    "ReleaseRequest",
    "SignAnswer",
    "SignRequest",
    "SiteAnswer",
    "release_context",
    "release_digest",
]

EPHEMERAL_KIND: Kind = "mlkem768-x25519"
RELEASE = b"strongroom.release/1"


class SiteAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a door has to know of the site behind a key service."""

    site: str
    principal: str
    """Who the service takes the asker for."""
    signer: str
    """The public key that signs here, as its file's line; empty where there is none. The same for the others."""
    signers: list[str]
    recipients: list[str]
    known: list[str]
    """Other recipients that are known."""


class PlacesAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an asset lies."""

    places: list[str]


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for the keys of one sealed object."""

    id: str
    """32 hexadecimal digits: 128 random bits."""
    key: bytes
    """The ephemeral public key, raw."""
    action: str
    bundle: bytes
    """The object's signed manifest, as it lies in `model.sig`."""
    purpose: str = ""
    lease: str = ""


class ReleaseAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The object keys, in the manifest's order, each wrapped for the ephemeral key (`release_context`)."""

    digest: str
    """Of the manifest that was decided upon."""
    keys: list[bytes]


class ObjectAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An id that nothing else has. The service makes it: whoever could choose it could choose another object's."""

    object: str


class PermitRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks whether something may be sealed, before it is."""

    asset: str
    object: str
    """The object's id, where it is new, as `/v1/object` gave it; empty where a file is added to one."""
    length: int
    digest: str = ""
    purpose: str = ""


class SignRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for a signature over a manifest; its version and time are the service's to set."""

    statement: bytes
    purpose: str = ""


class SignAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bundle to write as `model.sig`."""

    bundle: bytes


class NoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says that what was signed is in its place."""

    bundle: bytes


def release_digest(request: ReleaseRequest, manifest_digest: str) -> str:
    """Names a request with all that decides what it is answered; `sha256:…`."""
    parts = (
        RELEASE,
        request.id.encode(),
        request.key,
        request.action.encode(),
        request.purpose.encode(),
        request.lease.encode(),
        manifest_digest.encode(),
    )
    return f"sha256:{hashlib.sha256(b''.join(len(part).to_bytes(8, 'big') + part for part in parts)).hexdigest()}"


def release_context(digest: str, number: int) -> bytes:
    """HPKE's info of one key of an answer: of which request, and which key of it."""
    return b"%s\0%s\0%d" % (RELEASE, digest.encode(), number)
