"""What a key service does for somebody who is identified: each through the site's own door, in the asker's name."""

from __future__ import annotations

import dataclasses
import hmac
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from ..access import budget_of
from ..core.errors import InputError, IntegrityError, RefusedError
from ..core.ids import check_asset_name, check_id
from ..state import State
from ..vault import (
    EPHEMERAL_KIND,
    Door,
    KeyFolder,
    Manifest,
    NoteRequest,
    ObjectAnswer,
    PermitRequest,
    PlacesAnswer,
    PublicKey,
    ReleaseAnswer,
    ReleaseRequest,
    SignAnswer,
    SignRequest,
    SiteAnswer,
    decode_statement,
    read_bundle,
    reason_of,
    release_context,
    release_digest,
)
from ._identify import Asker

__all__ = ["RELEASED", "KeyService"]

RELEASED = ("OpenWeights", "ExportWeights")
"""What keys are released for; of a dataset, `OpenWeights` is `ReadDataset`. All else is done where the site is."""
MAX_CLAIMED_BYTES = (1 << 53) - 1
EPHEMERAL_BYTES = 1184 + 32
"""ML-KEM-768's public key and X25519's."""
_HEX = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HERE = "the request's manifest"


class KeyService:
    """One site's. Threads may share it."""

    def __init__(self, site: str, door: Door, folder: KeyFolder, state: State, secret: bytes) -> None:
        """`site` is its name; `door` is its own, of which every asker gets one in their name; `secret` vouches for ids
        that were given."""
        self._site, self._door, self._folder, self._state = site, door, folder, state
        self._secret = hmac.digest(secret, b"strongroom.object-id/1", "sha256")

    def describe(self, asker: Asker) -> SiteAnswer:
        """What a door has to know of the site."""
        own = self._folder.recipients
        known = [one for one in self._folder.public if one.kind != "p256" and one not in own]
        signer = self._signer()
        return SiteAnswer(
            site=self._site,
            principal=asker.principal,
            signer=signer.line() if signer else "",
            signers=_lines(self._folder.signers),
            recipients=_lines(own),
            known=_lines(known),
        )

    def places(self, asset: str) -> PlacesAnswer:
        """Where an asset lies. Raises RefusedError for no name of one."""
        check_asset_name(asset)
        with self._state.transaction(write=False) as transaction:
            found = transaction.assets(asset, budget_of(asset))
        known = found.get(asset) or found.get(budget_of(asset))
        return PlacesAnswer(places=known.places if known else [])

    def release(self, asker: Asker, request: ReleaseRequest) -> ReleaseAnswer:
        """An object's keys, decided and on record, wrapped for the asker's ephemeral key.

        Raises RefusedError, InputError, IntegrityError, StrongroomError; then nothing was released.
        """
        if request.action not in RELEASED:
            raise RefusedError(f"no keys are released for {request.action[:40]}", next=f"ask for {RELEASED[0]}")
        if not _HEX.fullmatch(request.id):
            raise InputError("the request's id is none", next="send 32 hexadecimal digits, other ones each time")
        if request.lease:
            check_id(request.lease)
        if len(request.key) != EPHEMERAL_BYTES:
            raise InputError(f"an ephemeral key has {EPHEMERAL_BYTES:,} bytes", next="make one of MLKEM768-X25519")
        ephemeral = PublicKey(EPHEMERAL_KIND, request.key, "ephemeral")
        ephemeral.wrap(bytes(32), b"tried before anything is debited")
        signed = read_bundle(request.bundle, self._folder.signers, _HERE)
        digest = release_digest(request, signed.digest)
        door = self._of(asker, request.purpose, lease=request.lease, request=digest)
        keys = door.release(signed, Path(signed.manifest.line), action=request.action, reason="")
        try:
            wrapped = [
                ephemeral.wrap(bytearray(key.view), release_context(digest, number)) for number, key in enumerate(keys)
            ]
        finally:
            for key in keys:
                key.drop()
        return ReleaseAnswer(digest=signed.digest, keys=wrapped)

    def permit(self, asker: Asker, request: PermitRequest) -> None:
        """Whether something may be sealed, on record. Raises RefusedError, InputError, StrongroomError."""
        if request.object:  # who is permitted to seal it is its sealer from then on
            given = _HEX.fullmatch(request.object) and self._object(asker, bytes.fromhex(request.object[:16]))
            if given != request.object:
                raise InputError("the object's id was not given to who asks", next="ask for one, and send that")
            self._check_sealer(asker, request.object, unknown=True)
        if request.digest and not _DIGEST.fullmatch(request.digest):
            raise InputError("the digest is none", next="send sha256: and 64 hexadecimal digits")
        self._of(asker, request.purpose).permit(
            "Seal",
            request.asset,
            length=min(max(request.length, 0), MAX_CLAIMED_BYTES),
            digest=request.digest,
            reason="begins an object" if request.object else "adds to an object",
            object=request.object,
        )

    def new_object(self, asker: Asker) -> ObjectAnswer:
        """An id for what the asker begins. Nobody can choose it, so nobody claims what was sealed elsewhere."""
        return ObjectAnswer(object=self._object(asker, secrets.token_bytes(8)))

    def _object(self, asker: Asker, random: bytes) -> str:
        """64 random bits, and 64 that vouch for them and for whom they were given to."""
        return (random + hmac.digest(self._secret, random + asker.principal.encode(), "sha256")[:8]).hex()

    def sign(self, asker: Asker, request: SignRequest) -> SignAnswer:
        """The site's signature over what the asker sealed, as the next version. Raises RefusedError, IntegrityError."""
        manifest = decode_statement(request.statement, _HERE)
        self._check_sealer(asker, manifest.object)
        self._check_recipients(manifest)
        door = self._of(asker, request.purpose)
        recipients = door.known_all(manifest.keys[0])
        door.permit(
            "Seal",
            manifest.line,
            length=manifest.length,
            digest=manifest.root_digest,
            reason=f"signs what was {reason_of(recipients)}",
            object=manifest.object,
        )
        return SignAnswer(bundle=door.sign(manifest, at_least=1)[1])

    def note(self, asker: Asker, request: NoteRequest) -> None:
        """Has a version on record that was signed here and is in its place. Raises RefusedError, IntegrityError."""
        signer = self._signer()
        signed = read_bundle(request.bundle, [signer] if signer else [], _HERE)
        self._check_sealer(asker, signed.manifest.object)
        self._door.note_version(signed)

    def _of(self, asker: Asker, purpose: str, *, lease: str = "", request: str = "") -> Door:
        return dataclasses.replace(
            self._door,
            principal=asker.principal,
            credential=asker.credential,
            client_address=asker.address,
            purpose=purpose,
            lease=lease,
            request_digest=request,
        )

    def _signer(self) -> PublicKey | None:
        return next((key for key in self._folder.signers if self._folder.held(key)), None)

    def _check_sealer(self, asker: Asker, object: str, *, unknown: bool = False) -> None:
        """Raises RefusedError where the object is another's. `unknown`: it may be nobody's yet."""
        if self._door.authorizer is None:  # policies are off: nobody keeps who sealed what
            return
        with self._state.transaction(write=False) as transaction:
            sealer = transaction.leases.sealer(object)
        if sealer != asker.principal and not (unknown and sealer is None):
            raise RefusedError(
                "through a key service one signs what one sealed oneself", next="change it where the site is"
            )

    def _check_recipients(self, manifest: Manifest) -> None:
        """Raises IntegrityError where the site itself could not open what it signs."""
        own = {one.key for one in self._folder.recipients if self._folder.held(one)}
        if not all(any(one.key in own for one in wraps) for wraps in manifest.keys):
            raise IntegrityError("it is sealed to no key that is held here", next="seal to the site's own key too")


def _lines(keys: Sequence[PublicKey]) -> list[str]:
    return [key.line() for key in keys]
