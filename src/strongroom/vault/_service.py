"""The door that leads to a key service: keys and policies are there, the sealed bytes are here.

Nothing that opens anything but the objects that were asked for ever comes here; what the service releases it decided
and put on record first. `strongroom://HOST/org/name[:tag][/FILE]` names an object by its asset: the service says where
that lies, and what is found there must be sealed under this very name.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from ..core.calling import Caller, NoAnswer, TryAgain
from ..core.clock import format_time
from ..core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from ._door import Door
from ._keys import PrivateKey, PublicKey
from ._manifest import Manifest, encode_statement
from ._object import read_signature
from ._paths import is_sealed_object
from ._secret import Secret
from ._signed import Signed, read_bundle
from ._wire import (
    EPHEMERAL_KIND,
    NoteRequest,
    ObjectAnswer,
    PermitRequest,
    PlacesAnswer,
    ReleaseAnswer,
    ReleaseRequest,
    SignAnswer,
    SignRequest,
    SiteAnswer,
    release_context,
    release_digest,
)

__all__ = ["ServiceDoor"]

TRY_SECONDS = 30.0
"""How long an answer is waited for: a service that is restarted, or busy, is there again within seconds."""
PAUSE_SECONDS = (0.2, 2.0)
"""Between two tries, at random: many programs start at once, and should not come back at once."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServiceDoor(Door):
    """A `Door` whose keys, policies and record are a key service's. Threads may share it."""

    service: Caller
    where: str
    """The service, in errors."""
    _signed: dict[str, bytes] = field(default_factory=dict)
    """Bundles that were signed and are not in their place yet, by digest."""

    @classmethod
    def connect(
        cls, service: Caller, where: str, *, notify: Callable[[str], None], purpose: str = "", lease: str = ""
    ) -> ServiceDoor:
        """Asks the service what a door has to know. Raises RefusedError where it knows nobody here, StrongroomError."""
        site = _read(service.call("GET", "/v1/site"), SiteAnswer, where)
        recipients, known, signers = (
            [PublicKey.parse(line, where) for line in lines] for lines in (site.recipients, site.known, site.signers)
        )
        by_key = {one.key: one for one in (*recipients, *known)}
        return cls(
            keys=_HeldThere(frozenset(one.key for one in recipients)),
            trusted=signers,
            signer=PublicKey.parse(site.signer, where) if site.signer else None,
            recipients=recipients,
            find_recipient=by_key.get,
            principal=site.principal,
            notify=notify,
            purpose=purpose,
            lease=lease,
            service=service,
            where=where,
        )

    def find(self, asset: str) -> Path:
        """The directory of an asset's sealed object, as this machine has it. Raises InputError, RefusedError."""
        answer = self._ask_again("GET", f"/v1/places/{quote(asset)}", None, PlacesAnswer)
        places = [Path(place.removeprefix("file://")) for place in answer.places if place.startswith("file:///")]
        found = next((place for place in places if is_sealed_object(place)), None)
        if found is None:
            tried = ", ".join(map(str, places)) or "no directory is listed as its place"
            raise InputError(
                f"no sealed object of {asset} is found on this machine",
                where=tried[:500],
                next=f"list it on the site: strongroom asset add {asset} --at file:///DIRECTORY",
            )
        return found

    def new_object(self) -> str:
        """See `Door`."""
        return self._ask("POST", "/v1/object", None, ObjectAnswer).object

    def release(self, signed: Signed, root: Path, *, action: str, reason: str) -> list[Secret]:
        """See `Door`; the service takes the steps. A lost answer is asked for again, under the same id."""
        private = PrivateKey.generate(EPHEMERAL_KIND, "ephemeral")
        request = ReleaseRequest(
            id=secrets.token_hex(16),
            key=private.public.data,
            action=action,
            bundle=read_signature(root),
            purpose=self.purpose,
            lease=self.lease,
        )
        answer = self._ask_again("POST", "/v1/release", request, ReleaseAnswer)
        if answer.digest != signed.digest:
            raise UsageError("the object was changed meanwhile", where=str(root), next="open it again")
        if len(answer.keys) != len(signed.manifest.keys):
            raise IntegrityError("the key service answered with too many or too few keys", where=self.where)
        digest = release_digest(request, signed.digest)
        keys: list[Secret] = []
        try:
            for number, wrapped in enumerate(answer.keys):
                keys.append(Secret(bytearray(private.unwrap(wrapped, release_context(digest, number)))))
        except BaseException:
            for key in keys:
                key.drop()
            raise
        return keys

    def permit(
        self, action: str, asset: str, *, length: int, digest: str = "", reason: str = "", object: str = ""
    ) -> None:
        """See `Door`; what goes on record as the reason the service says itself."""
        if action != "Seal":
            raise UsageError(
                f"through a key service nobody asks for {action}", where=asset, next="do it where the site is"
            )
        asked = PermitRequest(asset=asset, object=object, length=length, digest=digest, purpose=self.purpose)
        self._ask("POST", "/v1/permit", asked, dict[str, str])

    def need_signer(self) -> PublicKey:
        """See `Door`; whether it signs for this principal is said when it is asked to."""
        if self.signer is None:
            raise UsageError("the key service has no key to sign with", where=self.where, next="ask an owner of it")
        return self.signer

    def sign(self, manifest: Manifest, *, at_least: int) -> tuple[Signed, bytes]:
        """See `Door`. What comes back is what was sent, but for version and time."""
        sent = msgspec.structs.replace(manifest, version=max(1, at_least), sealed_at=format_time(self.clock()))
        statement = encode_statement(sent)
        asked = SignRequest(statement=statement, purpose=self.purpose)
        bundle = self._ask("POST", "/v1/sign", asked, SignAnswer).bundle
        signed = read_bundle(bundle, self.trusted, self.where)
        same = msgspec.structs.replace(signed.manifest, version=sent.version, sealed_at=sent.sealed_at)
        if encode_statement(same) != statement:
            raise IntegrityError("the key service signed another manifest than it was sent", where=self.where)
        self._signed[signed.digest] = bundle
        return signed, bundle

    def check_version(self, signed: Signed, where: str) -> None:
        """See `Door`: the service compares, when it releases or signs."""

    def note_version(self, signed: Signed) -> None:
        """See `Door`."""
        bundle = self._signed.pop(signed.digest, b"")
        if bundle:
            self._ask("POST", "/v1/note", NoteRequest(bundle=bundle), dict[str, str])

    def _ask(self, method: str, path: str, asked: msgspec.Struct | None, kind: type[T]) -> T:
        body = b"" if asked is None else msgspec.json.encode(asked)
        return _read(self.service.call(method, path, body), kind, self.where)

    def _ask_again(self, method: str, path: str, asked: msgspec.Struct | None, kind: type[T]) -> T:
        """Of what may be asked twice: the same answer comes, or the same lease."""
        ends = time.monotonic() + TRY_SECONDS
        while True:
            try:
                return self._ask(method, path, asked, kind)
            except (NoAnswer, TryAgain):
                if time.monotonic() > ends:
                    raise
                time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - it only keeps them apart


class _HeldThere:
    """A `KeyStore` that knows which keys the service holds, and has none."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys

    def holds(self, key: str) -> bool:
        """See `KeyStore`."""
        return key in self._keys

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyStore`."""
        raise RefusedError("this key never leaves the key service", where=key)

    def sign(self, key: str, message: bytes) -> bytes:
        """See `Signer`."""
        raise RefusedError("this key never leaves the key service", where=key)


def _read(data: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise StrongroomError(
            "the key service answered nothing that can be understood", where=where, next="is it of the same version?"
        ) from None
