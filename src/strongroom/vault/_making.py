"""What all that makes or changes sealed objects has in common: keys, one file's sealing, the signature, the placing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from ..core.errors import InputError, StrongroomError, UsageError
from ._door import Door
from ._manifest import (
    FILES,
    MARKER,
    MARKER_TEXT,
    MAX_RECIPIENTS,
    SIGNATURE,
    Manifest,
    SealedFile,
    WrappedKey,
    associated_data,
    context_of,
    place_of,
)
from ._object import read_manifest
from ._parts import Recipient
from ._paths import is_sealed_object
from ._pipeline import SMALL, Output, Progress, Read, encrypt_file
from ._secret import Secret
from ._signed import Signed
from ._work import Work, create_new, exists, no_write, write_file
from .floe import HEADER_BYTES, Cipher

__all__ = [
    "Slot",
    "check_out",
    "check_recipients",
    "finish",
    "is_there",
    "new_slot",
    "note",
    "reason_of",
    "seal_stream",
    "version_of",
    "writing",
]


class Slot:
    """An object key of this process: it wraps data keys."""

    def __init__(self, number: int, key: Secret) -> None:
        self.number = number
        self._key = key

    def drop(self) -> None:
        """Overwrites the key."""
        self._key.drop()

    def new_file(self, object: str, name: str, segment_length: int) -> tuple[Cipher, bytes]:
        """A file's cipher under a new data key, and that key wrapped."""
        with Secret.random() as key:
            cipher = Cipher.start(key.view, aad=associated_data(object, name), segment_length=segment_length, name=name)
            return cipher, aes_key_wrap(bytes(self._key.view), bytes(key.view))


def new_slot(number: int, recipients: Sequence[Recipient], object: str, name: str) -> tuple[Slot, list[WrappedKey]]:
    """A new object key, and as each recipient has it. Raises what wrapping raises."""
    key = Secret.random()
    context = context_of(object, name)
    secret = bytearray(key.view)
    try:
        wraps = [WrappedKey(one.name, one.key, one.wrap(secret, context)) for one in recipients]
    finally:
        secret[:] = bytes(len(secret))
    return Slot(number, key), wraps


def reason_of(recipients: Sequence[Recipient]) -> str:
    """What goes on record of a sealing: for whom."""
    return "sealed to " + ", ".join(f"{one.name} ({one.key[:40]})" for one in recipients)


def check_recipients(recipients: Sequence[Recipient]) -> None:
    """Raises UsageError for recipients that nothing can be sealed to, before anything goes on record."""
    if not recipients:
        raise UsageError("nobody is named who may open it", next="name a recipient: --to RECIPIENT")
    if len(recipients) > MAX_RECIPIENTS:
        raise UsageError(f"an object has at most {MAX_RECIPIENTS} recipients", next="name fewer")
    seen: set[str] = set()
    for one in recipients:
        if one.key.startswith("p256:"):
            raise UsageError(f"'{one.name}' is a signing key: nothing can be sealed to it", next="name a recipient")
        if one.key in seen:
            raise UsageError(f"the recipient '{one.name}' is named twice", next="name each once")
        seen.add(one.key)


def check_out(out: Path, *, replace: bool) -> None:
    """Raises UsageError for a place that is taken, InputError for one that cannot be."""
    if out.exists() or out.is_symlink():
        if not replace:
            raise exists(out)
        if not is_sealed_object(out):
            raise UsageError(
                "this is no sealed object, so it is not replaced", where=str(out), next="choose another -o"
            )
    if not out.parent.is_dir():
        raise InputError("there is no such directory", where=str(out.parent), next=f"mkdir {out.parent}")


def seal_stream(
    read: Read,
    length: int,
    name: str,
    root: Path,
    slot: Slot,
    object: str,
    segment_length: int,
    *,
    threads: int,
    progress: Progress,
) -> SealedFile:
    """Seals what `read` gives as a file of the object that is built at `root`. Raises StrongroomError."""
    cipher, wrapped = slot.new_file(object, name, segment_length)
    path = f"{root}/{place_of(name)}"  # no Path: there may be a million of them
    try:
        with writing(path):
            descriptor = create_new(path)
            try:
                out = Output(descriptor)
                digest = encrypt_file(read, length, cipher, out, threads=threads, progress=progress)
                if length > SMALL:
                    out.sync()
            finally:
                os.close(descriptor)
    finally:
        cipher.forget()
    return SealedFile(name, length, digest, cipher.header, slot.number, wrapped)


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Raises StrongroomError for what cannot be written inside."""
    try:
        yield
    except OSError as error:
        raise no_write(path, error) from error


def finish(work: Work, manifest: Manifest, door: Door, *, replace: bool) -> Signed:
    """Signs what was built as the next version, and puts it into its place. Raises StrongroomError."""
    used = sorted({file.key for file in manifest.files})  # an interrupted run may have sealed nothing under its key
    files = [msgspec.structs.replace(file, key=used.index(file.key)) for file in manifest.files]
    manifest = msgspec.structs.replace(manifest, keys=[manifest.keys[number] for number in used], files=files)
    lost = next((file.name for file in files if not is_there(work.object, file)), None)
    if lost is not None:
        raise StrongroomError("what was sealed is no longer there", where=f"{work.object}, {lost}")
    if replace and work.out.exists():
        check_out(work.out, replace=True)
    signed, bundle = door.sign(manifest, at_least=manifest.version)
    with writing(work.object):
        _remove_strangers(work.object, {place_of(file.name) for file in manifest.files})
        write_file(work.object / MARKER, MARKER_TEXT)
        write_file(work.object / SIGNATURE, bundle)
    work.place(replace=replace)
    note(signed, door)
    return signed


def is_there(root: Path, entry: SealedFile) -> bool:
    """By its header, whose IV is random: a kill while objects were exchanged leaves another object's files here."""
    try:
        with (root / place_of(entry.name)).open("rb") as file:
            return file.read(HEADER_BYTES) == entry.header
    except OSError:
        return False


def _remove_strangers(root: Path, places: set[str]) -> None:
    """Files of an interrupted run that the sources no longer have."""
    for folder, _, names in os.walk(root / FILES):
        for name in names:
            path = Path(folder) / name
            if path.relative_to(root).as_posix() not in places:
                path.unlink()


def version_of(out: Path, name: str, door: Door) -> int:
    """Of the object that is replaced, where it has the same name: where nobody counts, the next one must be higher."""
    try:
        manifest = read_manifest(out, door.trusted).manifest
    except StrongroomError:
        return 0
    return manifest.version if name and manifest.name == name else 0


def note(signed: Signed, door: Door) -> None:
    """Has a version on record that is in its place already: what fails now is told and undoes nothing."""
    try:
        door.note_version(signed)
    except StrongroomError as error:
        door.notify(f"warning: the version was not put on record: {error}")
