"""The door that every sealing and opening passes: who is let in, what goes on record, which keys answer.

The vault knows neither policy nor ledger; what it needs of them are the Protocols of `core.ports` and `Versions`.
A site gives its own door (`Site.door`); without one, as on a laptop that only opens what it was sent, keys come from
files, nothing is recorded, and whoever opens is told so.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from ..core.clock import Clock, format_time, now
from ..core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from ..core.ids import new_id
from ..core.ports import Authorizer, KeyStore, Recorder
from ..core.records import AccessEvent, Entry
from ._keys import PublicKey
from ._manifest import Manifest, WrappedKey, context_of
from ._parts import Recipient
from ._secret import Secret
from ._signed import Signed, sign_bundle

__all__ = ["ACTIONS", "ENTRY_POINTS", "Door", "Versions", "local_principal", "own_door"]

ACTIONS = {
    "Seal": "encrypt files for recipients",
    "OpenWeights": "have the keys of a sealed object released, to read it where it lies; of a dataset: ReadDataset",
    "ExportWeights": "have them released to make plain files of it",
    "Rekey": "change who may open a sealed object",
    "Administer": "forget which versions of an asset were seen",
}
"""The Cedar actions that the vault asks for."""
MAX_VERSION = (1 << 53) - 1
UNNAMED = "sealed/"
MAX_REASON_CHARACTERS = 1000
MAX_RECORDED_BYTES = (1 << 53) - 1
"""RFC 8785 knows no larger whole numbers."""
ENTRY_POINTS = "strongroom.doors"
"""Where an installation says which door a program that names none goes through."""


def local_principal() -> str:
    """The user of the operating system at this host, as logs of hosts name one; the environment is not asked."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname() or 'localhost'}"


class Versions(Protocol):
    """What a site knows of the versions of sealed objects that it has seen."""

    def highest_version(self, line: str) -> tuple[int, str, str] | None:
        """The highest version on record, its manifest's digest, and its signer's key."""
        ...

    def reserve_version(self, line: str, at_least: int) -> int:
        """A version above all that were seen or reserved, at least `at_least`, which nobody else gets."""
        ...

    def record_version(self, line: str, version: int, digest: str, signer: str) -> None:
        """Puts a version on record. Raises IntegrityError where it is superseded, or known with another manifest."""
        ...


@dataclass(frozen=True, kw_only=True)
class Door:
    """What one program may do with sealed objects, and who is told."""

    keys: KeyStore
    trusted: Sequence[PublicKey]
    """Whose manifests are believed."""
    signer: PublicKey | None = None
    """Whose key in `keys` signs what is sealed."""
    recipients: Sequence[Recipient] = ()
    """For whom is sealed where nobody is named; one that is lost must not be the only one."""
    find_recipient: Callable[[str], Recipient | None] = lambda key: None
    """Whose public key has this id, of those that are known beyond `recipients`."""
    authorizer: Authorizer | None = None
    """Decides, and puts what it decided on record."""
    recorder: Recorder | None = None
    """Where nobody decides: puts on record what is done."""
    versions: Versions | None = None
    principal: str = field(default_factory=local_principal)
    purpose: str = ""
    lease: str = ""
    """The id of a lease that was asked for in advance."""
    credential: str = ""
    """What the principal showed, by its id; empty where the operating system says who it is."""
    client_address: str = ""
    """From where; empty on this machine."""
    request_digest: str = ""
    """Names one request of the principal's: when it comes again, the lease that it took holds for it."""
    notify: Callable[[str], None] = lambda text: None
    """Is told what a person should know, such as that nothing is recorded."""
    clock: Clock = now

    def permit(
        self, action: str, asset: str, *, length: int, digest: str = "", reason: str = "", object: str = ""
    ) -> None:
        """Has the action decided and put on record, before any key is used (design.md, security rule 2).

        `object` is the sealed object's id. Raises RefusedError, or what the recorder raises; then no key may be used.
        """
        time = self.clock()
        reason = "".join(one if one.isprintable() else "?" for one in reason[:MAX_REASON_CHARACTERS])
        event = AccessEvent(
            id=new_id("evt", time),
            time=format_time(time),
            principal=self.principal,
            action=action,
            asset=asset,
            asset_digest=digest,
            outcome="allowed",
            reason=reason,
            lease=self.lease if self.authorizer is not None else "",  # nobody looks whether it is one
            purpose=self.purpose,
            credential=self.credential,
            client_address=self.client_address,
            request_digest=self.request_digest,
            bytes=min(length, MAX_RECORDED_BYTES),
        )
        if self.authorizer is not None:
            self.authorizer.authorize(event, object=object)
            return
        if self.recorder is None:
            self.notify(f"not recorded: {action} of {asset}; name a site with a ledger to have it on record")
            return
        body = msgspec.to_builtins(event)
        self.recorder.append(Entry(type="strongroom.access/1", time=event.time, writer="strongroom", body=body))

    def new_object(self) -> str:
        """The id of an object that is begun: 32 hexadecimal digits. Raises StrongroomError."""
        return secrets.token_hex(16)

    def release(self, signed: Signed, root: Path, *, action: str, reason: str) -> list[Secret]:
        """The object keys of the object at `root`: steps 4 to 6 of opening (`_object`), each before the next.

        Raises RefusedError, IntegrityError, StrongroomError; then no key was used.
        """
        manifest = signed.manifest
        self.check_version(signed, str(root))
        for wraps in manifest.keys:
            if not self.holds_any(wraps):
                raise self.no_key(wraps)
        self.permit(
            action,
            manifest.line,
            length=manifest.length,
            digest=manifest.root_digest,
            reason=reason,
            object=manifest.object,
        )
        keys: list[Secret] = []
        try:
            for wraps in manifest.keys:
                keys.append(self.unwrap(wraps, manifest))  # noqa: PERF401 - those before one that fails are dropped
            self.note_version(signed)
        except BaseException:
            for key in keys:
                key.drop()
            raise
        return keys

    def sign(self, manifest: Manifest, *, at_least: int) -> tuple[Signed, bytes]:
        """The manifest as the door's signer signs it, with the next version and the time, and the bundle to write.

        Raises UsageError, StrongroomError.
        """
        signer = self.need_signer()
        version, sealed_at = self.next_version(manifest.line, at_least), format_time(self.clock())
        return sign_bundle(msgspec.structs.replace(manifest, version=version, sealed_at=sealed_at), signer, self.keys)

    def check_version(self, signed: Signed, where: str) -> None:
        """Raises IntegrityError for a version below the highest on record, or for another manifest of the same; and
        RefusedError where somebody else signed what has this name here: being trusted is not being trusted with it."""
        manifest, signer = signed.manifest, signed.signer
        known = self.versions.highest_version(manifest.line) if self.versions else None
        if self.versions is None:
            self.notify(f"cannot tell whether version {manifest.version} is the newest: no site was named")
        if known is None:
            return
        if known[2] != signer.key and not self.keys.holds(signer.key):
            raise RefusedError(
                f"{manifest.line} was signed by another key here before, {known[2][:21]}…",
                where=f"{where}, signed by {signer.name}, {signer.key[:21]}…",
                next=f"if that is right: strongroom vault forget {manifest.line}",
            )
        if manifest.version < known[0]:
            raise IntegrityError(
                f"this is version {manifest.version} of {manifest.line}, and version {known[0]} was seen here before",
                where=where,
                next="somebody may have put an old copy in its place; find the newer one",
            )
        if manifest.version == known[0] and known[1] != signed.digest:
            raise IntegrityError(
                f"version {manifest.version} of {manifest.line} was seen here with another manifest",
                where=where,
                next="compare with the copy that was opened before",
            )

    def note_version(self, signed: Signed) -> None:
        """Has a version on record. Raises IntegrityError where it was superseded meanwhile."""
        if self.versions is not None:
            manifest = signed.manifest
            self.versions.record_version(manifest.line, manifest.version, signed.digest, signed.signer.key)

    def next_version(self, line: str, at_least: int = 1) -> int:
        """For what is signed now; nobody else gets it. Raises UsageError where there is none left."""
        if self.versions is not None:
            version = self.versions.reserve_version(line, at_least)
        elif line.startswith(UNNAMED):
            version = at_least
        else:  # nobody counts: seconds since 1970 come after what was signed elsewhere before
            version = max(at_least, self.clock() // 1_000_000)
        if version > MAX_VERSION:
            raise UsageError(f"{line} has no version left", next=f"see: strongroom vault forget {line}")
        return version

    def find(self, asset: str) -> Path:
        """The directory of an asset's sealed object. Raises UsageError where nobody is there to ask."""
        raise UsageError("this door leads to no key service", where=asset, next="name the object's directory")

    def known_all(self, wraps: Sequence[WrappedKey]) -> list[Recipient]:
        """The recipients of wrapped keys. Raises UsageError where one's public key is not known here."""
        found = [(one.name, self.known(one)) for one in wraps]
        unknown = [name for name, known in found if known is None]
        if unknown:
            raise UsageError(
                f"the public key of {', '.join(unknown)} is not known here, and new keys must be wrapped for them",
                next="add it to the site: strongroom vault keys add FILE",
            )
        return [known for _, known in found if known is not None]

    def known(self, wrapped: WrappedKey) -> Recipient | None:
        """The recipient of a wrapped key, where it is one that can be sealed to from here."""
        own = next((one for one in self.recipients if one.key == wrapped.key), None)
        return own or self.find_recipient(wrapped.key)

    def unwrap(self, wraps: Sequence[WrappedKey], manifest: Manifest) -> Secret:
        """One object key. Raises RefusedError where no key of this door opens it, IntegrityError, StrongroomError."""
        context = context_of(manifest.object, manifest.name)
        failed: StrongroomError | None = None
        for one in wraps:
            if not self.keys.holds(one.key):
                continue
            try:
                return Secret(bytearray(self.keys.unwrap(one.key, one.wrapped, context)))
            except StrongroomError as error:  # a KMS that is not reached must not keep a key that is here from opening
                failed = failed or error
        raise failed or self.no_key(wraps)

    def holds_any(self, wraps: Sequence[WrappedKey]) -> bool:
        """Whether a key of one of these recipients may be held here."""
        return any(self.keys.holds(one.key) for one in wraps)

    def no_key(self, wraps: Sequence[WrappedKey]) -> RefusedError:
        """The error for an object that was sealed to others."""
        names = ", ".join(one.name for one in wraps)
        return RefusedError(f"no key that opens it is held here; it was sealed to: {names}", next="ask one of them")

    def need_signer(self) -> PublicKey:
        """Whose key signs what is sealed here; it has signed something, so a passphrase was asked for by now.

        Raises UsageError where there is none, and what signing raises.
        """
        if self.signer is None:
            raise UsageError(
                "there is no key to sign with", next="make one: strongroom vault keys new NAME --kind p256"
            )
        self.keys.sign(self.signer.key, b"strongroom: may this key sign?")
        return self.signer


def own_door(host: str = "") -> Door:
    """The door of this installation's site (STRONGROOM_SITE), or the one that leads to the key service at `host`.

    Raises UsageError where none is installed.
    """
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        door: Door = point.load()(host)
        return door
    raise UsageError("Strongroom is not installed with its doors", next="give door=…, or install the package")
