"""Sealing files into an object, on several threads, so that a kill costs at most the files that were under way.

Every file has a random data key of its own and a fresh FLOE header; a file that a kill interrupted begins anew with
both, so no two contents ever meet under one key and IV. Data keys are wrapped with an object key that lives in this
process alone; each time that sealing is continued there is a new one, wrapped for the recipients as it is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from ..core.clock import format_time
from ..core.errors import InputError, StrongroomError, UsageError
from ..core.ids import check_asset_name
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
    check_segment_length,
    context_of,
    encode_statement,
    place_of,
)
from ._object import MAX_SIGNATURE_BYTES, Signed, is_sealed_object, read_manifest
from ._parts import Recipient
from ._pipeline import SMALL, Output, Progress, Read, changed, encrypt_file, reader_of
from ._secret import Secret
from ._signing import sign
from ._sources import Source, mark_of
from ._threads import side_by_side
from ._work import Work, create_new, exists, make_folders, no_write, write_file
from .floe import HEADER_BYTES, SEGMENT_LENGTH, Cipher

__all__ = [
    "Sealed",
    "Slot",
    "check_out",
    "check_recipients",
    "each_file",
    "finish",
    "new_slot",
    "note",
    "reason_of",
    "seal",
    "seal_stream",
    "sign_manifest",
    "threads_or_all",
    "version_of",
    "writing",
]

MAX_THREADS = 32
T = TypeVar("T")


def threads_or_all(threads: int) -> int:
    """`threads`, or for 0 as many as there are cores."""
    return max(1, min(threads or os.cpu_count() or 1, MAX_THREADS))


@dataclass(frozen=True)
class Sealed:
    """What came of sealing."""

    signed: Signed
    continued: int
    """Files that an interrupted run had sealed already."""


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


def seal(
    sources: Sequence[Source],
    out: Path,
    recipients: Sequence[Recipient],
    door: Door,
    *,
    name: str = "",
    segment_length: int = SEGMENT_LENGTH,
    threads: int = 0,
    replace: bool = False,
    progress: Progress = lambda count: None,
) -> Sealed:
    """Seals files into a new object at `out`, for all `recipients`, signed by the door's signer.

    Raises InputError, UsageError, RefusedError, StrongroomError; then there is at `out` what was there before, and the
    same call continues. An object that is there already is exchanged for the new one only with `replace`.
    """
    signer = door.need_signer()
    check_recipients(recipients)
    check_segment_length(segment_length)
    if name:
        check_asset_name(name)
    check_out(out, replace=replace)
    head = {"name": name, "segment": segment_length, "to": sorted(one.key for one in recipients), "by": signer.key}
    with Work(out, "sealing") as work:
        _check_apart(sources, out, work)
        object, keys, done = _before(work.begin(head), sources, work.object)
        continued = len(done)
        if not done:  # the id in the journal may be that of an object which was finished
            work.restart(head)
            object, keys = "", []
        try:
            if not done:
                object = secrets.token_hex(16)
                work.note({"object": object})
            length = sum(source.size for source in sources)
            door.permit("seal", name or f"sealed/{object}", length=length, reason=reason_of(recipients))
            slot, wraps = new_slot(len(keys), recipients, object, name)
            keys.append(wraps)
            work.note({"key": msgspec.to_builtins(wraps)})
            progress(sum(entry.length for entry in done.values()))
            _seal_rest(sources, work, slot, object, segment_length, done, threads_or_all(threads), progress)
        except BaseException:
            if not done:  # nothing that the same call could continue with
                work.discard()
            raise
        files = [done[source.name] for source in sources]
        version = 1 + version_of(out, name, door) if replace else 1
        signed = finish(work, Manifest(object, name, version, "", keys, files), door, replace=replace)
    return Sealed(signed, continued)


def _check_apart(sources: Sequence[Source], out: Path, work: Work) -> None:
    """Raises UsageError where what is sealed holds what is made of it, whole or not yet."""
    made = [Path(os.path.abspath(path)) for path in (out, work.path)]  # noqa: PTH100
    for source in sources:
        above = Path(os.path.abspath(source.path)).parents  # noqa: PTH100
        if any(one in above for one in made):
            raise UsageError("the object lies among what is sealed", where=str(out), next="choose another -o")


def _seal_rest(
    sources: Sequence[Source],
    work: Work,
    slot: Slot,
    object: str,
    segment_length: int,
    done: dict[str, SealedFile],
    threads: int,
    progress: Progress,
) -> None:
    """Seals what is not done yet, and puts each into `done` and the journal. Raises StrongroomError."""

    def one(source: Source, threads: int, progress: Progress) -> None:
        entry = _seal_source(source, work, slot, object, segment_length, threads, progress)
        work.done({"file": msgspec.to_builtins(entry), "mark": source.mark}, source.size)
        done[source.name] = entry

    with writing(work.object):
        make_folders(work.object, [place_of(source.name) for source in sources])
    left = [source for source in sources if source.name not in done]
    try:
        each_file(one, left, lambda source: source.size, threads, progress)
    finally:
        slot.drop()
        work.commit()


def finish(work: Work, manifest: Manifest, door: Door, *, replace: bool) -> Signed:
    """Signs what was built as the next version, and puts it into its place. Raises StrongroomError."""
    used = sorted({file.key for file in manifest.files})  # an interrupted run may have sealed nothing under its key
    files = [msgspec.structs.replace(file, key=used.index(file.key)) for file in manifest.files]
    manifest = msgspec.structs.replace(manifest, keys=[manifest.keys[number] for number in used], files=files)
    lost = next((file.name for file in files if not _is_there(work.object, file)), None)
    if lost is not None:
        raise StrongroomError("what was sealed is no longer there", where=f"{work.object}, {lost}")
    if replace and work.out.exists():
        check_out(work.out, replace=True)
    signed, bundle = sign_manifest(manifest, door, at_least=manifest.version)
    with writing(work.object):
        _remove_strangers(work.object, {place_of(file.name) for file in manifest.files})
        write_file(work.object / MARKER, MARKER_TEXT)
        write_file(work.object / SIGNATURE, bundle)
    work.place(replace=replace)
    note(signed, door)
    return signed


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
        door.note_version(signed.manifest, signed.signer, signed.digest)
    except StrongroomError as error:
        door.notify(f"warning: the version was not put on record: {error}")


def sign_manifest(manifest: Manifest, door: Door, *, at_least: int) -> tuple[Signed, bytes]:
    """The manifest as the door's signer signs it, with the next version and the time, and the bundle to write.

    Raises UsageError, StrongroomError.
    """
    signer = door.need_signer()
    version, sealed_at = door.next_version(manifest.line, at_least), format_time(door.clock())
    manifest = msgspec.structs.replace(manifest, version=version, sealed_at=sealed_at)
    payload = encode_statement(manifest)
    bundle = sign(payload, signer, door.keys)
    if len(bundle) > MAX_SIGNATURE_BYTES:
        raise InputError(f"the manifest has more than {MAX_SIGNATURE_BYTES:,} bytes", next="seal parts of it")
    return Signed(manifest, signer, f"sha256:{hashlib.sha256(payload).hexdigest()}"), bundle


class _Line(msgspec.Struct):
    """One line of a journal."""

    object: str = ""
    key: list[WrappedKey] | None = None
    file: SealedFile | None = None
    mark: str = ""


def _before(
    lines: Sequence[Any], sources: Sequence[Source], root: Path
) -> tuple[str, list[list[WrappedKey]], dict[str, SealedFile]]:
    """What an interrupted run left: the object's id, its keys, and the files that are as they were."""
    try:
        read = msgspec.convert(list(lines), list[_Line])
    except msgspec.MsgspecError:
        return "", [], {}  # whoever calls begins anew
    object = next((line.object for line in read if line.object), "")
    keys = [line.key for line in read if line.key is not None]
    done: dict[str, SealedFile] = {}
    marks = {source.name: source.mark for source in sources}
    for line in read:
        if line.file is not None:
            done.pop(line.file.name, None)
            known = marks.get(line.file.name) == line.mark and line.file.key < len(keys)
            if known and _is_there(root, line.file):
                done[line.file.name] = line.file
    return object, keys, done


def _is_there(root: Path, entry: SealedFile) -> bool:
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


def _seal_source(
    source: Source, work: Work, slot: Slot, object: str, segment_length: int, threads: int, progress: Progress
) -> SealedFile:
    try:
        descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(source.path)) from error
    try:
        if mark_of(os.fstat(descriptor)) != source.mark:
            raise changed(str(source.path))
        read = reader_of(descriptor, str(source.path))
        entry = seal_stream(
            read,
            source.size,
            source.name,
            work.object,
            slot,
            object,
            segment_length,
            threads=threads,
            progress=progress,
        )
        if mark_of(os.fstat(descriptor)) != source.mark:
            raise changed(str(source.path))
        return entry
    finally:
        os.close(descriptor)


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


# Many files


class _StoppedError(Exception):
    """Another file failed, or somebody pressed Ctrl-C."""


def each_file(
    work: Callable[[T, int, Progress], None],
    items: Iterable[T],
    size: Callable[[T], int],
    threads: int,
    progress: Progress,
) -> None:
    """Calls `work` for each item: small ones side by side on every thread, large ones with two threads each.

    The first that fails, or a Ctrl-C, stops the others at their next batch, and is raised.
    """
    stopped = threading.Event()
    lock = threading.Lock()

    def count(done: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with lock:
            progress(done)

    large = [item for item in items if size(item) > SMALL]
    small = [item for item in items if size(item) <= SMALL]
    for some, workers, each in ((large, max(1, threads // 2), min(threads, 2)), (small, threads, 1)):
        side_by_side((partial(work, item, each, count) for item in some), workers, stopped)
