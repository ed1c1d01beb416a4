"""Changing who may open an object.

Adding and removing touches `model.sig` alone: object keys are wrapped for those who come, and left as they are for
those who stay. Whoever was removed and opened the object before may have kept its keys, and a copy of the object as it
was still names them; nothing recalls that. `rotate` encrypts all data anew, so that old keys open nothing of it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..core.errors import UsageError
from ._door import Door
from ._each import each_file, threads_or_all
from ._file import open_cipher, open_descriptor, read_fully
from ._making import Slot, check_recipients, finish, new_slot, note, seal_stream, writing
from ._manifest import MAX_RECIPIENTS, SIGNATURE, Manifest, SealedFile, WrappedKey, context_of, place_of
from ._object import SealedObject, check_unchanged
from ._parts import Recipient
from ._pipeline import Progress
from ._signed import Signed
from ._unseal import not_as_signed
from ._work import Work, locked, make_folders, no_write, replace_file
from .floe import HEADER_BYTES, OVERHEAD

__all__ = ["check_change", "rekey", "rotate"]


def rekey(sealed: SealedObject, door: Door, *, add: Sequence[Recipient] = (), remove: Sequence[str] = ()) -> Signed:
    """Adds recipients, removes others by name or key, and signs the next version.

    Raises UsageError where nobody would be left or a name is unknown, StrongroomError; then nothing has changed.
    """
    old = sealed.manifest
    check_change(old, add, remove)
    context = context_of(old.object, old.name)
    keys = []
    for number, wraps in enumerate(old.keys):
        kept = _without(wraps, remove)
        secret = bytearray(sealed.object_keys[number].view)
        try:
            keys.append([*kept, *(WrappedKey(one.name, one.key, one.wrap(secret, context)) for one in add)])
        finally:
            secret[:] = bytes(len(secret))
    manifest = msgspec.structs.replace(old, keys=keys)
    try:
        with locked(sealed.root):
            check_unchanged(sealed.root, sealed.signed)
            signed, bundle = door.sign(manifest, at_least=old.version + 1)
            replace_file(sealed.root / SIGNATURE, bundle)
    except OSError as error:
        raise no_write(sealed.root, error) from error
    note(signed, door)
    return signed


def check_change(manifest: Manifest, add: Sequence[Recipient], remove: Sequence[str]) -> None:
    """Raises UsageError where recipients cannot change so, before anything goes on record."""
    for wraps in manifest.keys:
        kept = _without(wraps, remove)
        again = {one.key for one in kept} & {one.key for one in add}
        if again:
            name = next(one.name for one in add if one.key in again)
            raise UsageError(f"'{name}' is a recipient already", next="see: strongroom vault info")
        if not kept and not add:
            raise UsageError("nobody would be left who may open it", next="keep or add a recipient")
        if len(kept) + len(add) > MAX_RECIPIENTS:
            raise UsageError(f"an object has at most {MAX_RECIPIENTS} recipients", next="remove some")
    if add:
        check_recipients(add)


def _without(wraps: Sequence[WrappedKey], remove: Sequence[str]) -> list[WrappedKey]:
    for name in remove:
        if not any(name in (one.name, one.key) for one in wraps):
            raise UsageError(f"'{name[:80]}' is no recipient of it", next="see: strongroom vault info")
    return [one for one in wraps if one.name not in remove and one.key not in remove]


def rotate(
    sealed: SealedObject,
    recipients: Sequence[Recipient],
    door: Door,
    *,
    threads: int = 0,
    progress: Progress = lambda count: None,
) -> Signed:
    """Encrypts all data anew, under new keys and for `recipients` alone, and exchanges the object for the new one.

    Raises UsageError, IntegrityError for data that is not what was signed, StrongroomError; then nothing has changed.
    """
    old, out = sealed.manifest, sealed.root.absolute()
    if out.is_symlink():
        raise UsageError("this is a link, which is not exchanged", where=str(out), next=f"name {out.resolve()}")
    check_recipients(recipients)
    with Work(out, "rotating") as work:
        check_unchanged(sealed.root, sealed.signed)
        work.begin({"rotating": secrets.token_hex(16)})  # never continued: all is read anew in any case
        slot, wraps = new_slot(0, recipients, old.object, old.name)
        with writing(work.object):
            make_folders(work.object, [place_of(file.name) for file in old.files])
        done: dict[str, SealedFile] = {}

        def one(file: SealedFile, threads: int, progress: Progress) -> None:
            done[file.name] = _reseal(sealed, file, work.object, slot, threads, progress)
            work.done({"file": file.name}, file.length)

        try:
            each_file(one, old.files, lambda file: file.length, threads_or_all(threads), progress)
            files = [done[file.name] for file in old.files]
            manifest = Manifest(old.object, old.name, old.version + 1, "", [wraps], files)
            return finish(work, manifest, door, replace=True)
        except BaseException:
            work.discard()
            raise
        finally:
            slot.drop()


def _reseal(
    sealed: SealedObject, file: SealedFile, root: Path, slot: Slot, threads: int, progress: Progress
) -> SealedFile:
    """One file under a new key. What is read is compared with the signed digest, lest a forgery be signed anew."""
    descriptor = open_descriptor(sealed.root, file)
    try:
        cipher = open_cipher(descriptor, file, sealed.manifest.object, sealed.key_of(file))
        digest, size, last = hashlib.sha256(cipher.header), cipher.segment_length, cipher.segments(file.length) - 1
        segment = memoryview(bytearray(min(size, cipher.sealed_length(file.length))))

        def read(offset: int, buffer: memoryview) -> None:  # is called in order, from one segment's begin to another's
            position, done = offset // cipher.payload, 0
            while done < len(buffer) or (position == last and not file.length):
                part = segment[: min(cipher.payload, len(buffer) - done) + OVERHEAD]
                read_fully(descriptor, part, HEADER_BYTES + position * size, file.name)
                digest.update(part)
                done += cipher.decrypt_segment_into(part, position, position == last, buffer[done:])
                position += 1

        try:
            made = seal_stream(
                read,
                file.length,
                file.name,
                root,
                slot,
                sealed.manifest.object,
                size,
                threads=threads,
                progress=progress,
            )
        finally:
            cipher.forget()
        if digest.hexdigest() != file.digest:
            raise not_as_signed(file)
        return made
    finally:
        os.close(descriptor)
