"""Is a sealed object what was signed? Every segment of every file, or headers and lengths alone.

Without a key the sealed files are compared with the signed digests, which tells whether a file changed; with a key each
segment is opened too, which tells where.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.errors import IntegrityError, StrongroomError
from ._each import each_file, threads_or_all
from ._file import open_cipher, open_descriptor, read_fully
from ._manifest import MARKER, MARKER_TEXT, SIGNATURE, Manifest, SealedFile, place_of
from ._object import SealedObject
from ._paths import read_regular
from ._pipeline import Progress, changed, decrypt_file, reader_of
from ._sources import Source, mark_of
from ._unseal import not_as_signed
from .floe import HEADER_BYTES, OVERHEAD, segment_length_of

__all__ = ["check", "prove", "remove_sources"]

READ_BYTES = 1 << 20


def check(
    root: Path,
    manifest: Manifest,
    sealed: SealedObject | None,
    *,
    quick: bool = False,
    threads: int = 0,
    progress: Progress = lambda count: None,
) -> list[StrongroomError]:
    """All that is wrong with an object whose manifest was checked; nothing where the list is empty.

    `sealed`: the same object, opened, or None where no key is held. `quick`: headers, lengths and strangers alone.
    """
    problems = [*_marker(root), *_strangers(root, manifest)]

    def one(file: SealedFile, threads: int, progress: Progress) -> None:
        try:
            descriptor = open_descriptor(root, file)
            try:
                if sealed is None:
                    _without_key(descriptor, file, quick, progress)
                else:
                    _with_key(descriptor, file, sealed, quick, threads, progress)
            finally:
                os.close(descriptor)
        except StrongroomError as error:
            problems.append(error)

    each_file(one, manifest.files, lambda file: file.length, threads_or_all(threads), progress)
    return sorted(problems, key=lambda error: error.where)


def _marker(root: Path) -> Iterator[StrongroomError]:
    with contextlib.suppress(OSError, IntegrityError):
        if read_regular(root / MARKER, len(MARKER_TEXT)) == MARKER_TEXT:
            return
    yield IntegrityError(f"{MARKER} is missing or was changed", where=str(root / MARKER))


def _strangers(root: Path, manifest: Manifest) -> Iterator[StrongroomError]:
    """Files that no manifest names: they are never opened, but somebody put them there."""
    known = {MARKER, SIGNATURE, *(place_of(file.name) for file in manifest.files)}
    for folder, _, names in os.walk(root):
        for name in names:
            place = (Path(folder) / name).relative_to(root).as_posix()
            if place not in known:
                told = place.encode(errors="replace").decode()
                yield IntegrityError("a file that the manifest does not name", where=told, next="remove it")


def _without_key(descriptor: int, file: SealedFile, quick: bool, progress: Progress) -> None:
    header = bytearray(HEADER_BYTES)
    read_fully(descriptor, memoryview(header), 0, file.name)
    if header != file.header:
        raise IntegrityError("the file's header is not the one that was signed", where=f"{file.name}, header, offset 0")
    payload = segment_length_of(header) - OVERHEAD
    expected = HEADER_BYTES + file.length + OVERHEAD * max(1, -(-file.length // payload))
    size = os.fstat(descriptor).st_size
    if size != expected:
        raise IntegrityError(
            f"the sealed file has {size:,} bytes, and {expected:,} were sealed",
            where=f"{file.name}, offset {min(size, expected)}",
        )
    if quick:
        return
    digest, at = hashlib.sha256(), 0
    buffer = memoryview(bytearray(READ_BYTES))
    while at < size:
        part = buffer[: min(READ_BYTES, size - at)]
        read_fully(descriptor, part, at, file.name)
        digest.update(part)
        at += len(part)
        progress(min(len(part), file.length))
    if digest.hexdigest() != file.digest:
        raise IntegrityError("the sealed file was changed", where=file.name, next="a key of its would tell where")


def _with_key(
    descriptor: int, file: SealedFile, sealed: SealedObject, quick: bool, threads: int, progress: Progress
) -> None:
    cipher = open_cipher(descriptor, file, sealed.manifest.object, sealed.key_of(file))
    try:
        if quick:
            return
        digest = decrypt_file(descriptor, cipher, file.length, lambda part: None, threads=threads, progress=progress)
        if digest != file.digest:
            raise not_as_signed(file)
    finally:
        cipher.forget()


def prove(
    sealed: SealedObject, sources: Sequence[Source], *, threads: int = 0, progress: Progress = lambda count: None
) -> None:
    """Raises StrongroomError unless the object gives back, byte by byte, what the sources hold now."""

    def one(source: Source, threads: int, progress: Progress) -> None:
        file = sealed.entry(source.name)
        with contextlib.ExitStack() as stack:
            sealed_at = open_descriptor(sealed.root, file)
            stack.callback(os.close, sealed_at)
            try:
                plain_at = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError as error:
                raise changed(str(source.path)) from error
            stack.callback(os.close, plain_at)
            if mark_of(os.fstat(plain_at)) != source.mark:
                raise changed(str(source.path))
            _compare(sealed, file, sealed_at, plain_at, str(source.path), threads, progress)
            if mark_of(os.fstat(plain_at)) != source.mark:
                raise changed(str(source.path))

    each_file(one, sources, lambda source: source.size, threads_or_all(threads), progress)


def _compare(
    sealed: SealedObject, file: SealedFile, sealed_at: int, plain_at: int, where: str, threads: int, progress: Progress
) -> None:
    cipher = open_cipher(sealed_at, file, sealed.manifest.object, sealed.key_of(file))
    read, at = reader_of(plain_at, where), 0
    plain = memoryview(bytearray(min(file.length, 8 * cipher.payload)))

    def same(part: memoryview) -> None:
        nonlocal at
        read(at, plain[: len(part)])
        if plain[: len(part)] != part:
            raise IntegrityError("the sealed copy differs from the file", where=f"{where}, offset {at}")
        at += len(part)

    try:
        if decrypt_file(sealed_at, cipher, file.length, same, threads=threads, progress=progress) != file.digest:
            raise not_as_signed(file)
    finally:
        cipher.forget()


def remove_sources(sources: Sequence[Source]) -> None:
    """Removes files that are as they were when they were found. Raises StrongroomError at the first that is not."""
    for source in sources:
        try:
            # A hard link to it may just have been removed, which changes when its inode was changed, and nothing else.
            if _content_mark(mark_of(source.path.lstat())) != _content_mark(source.mark):
                raise changed(str(source.path))
            source.path.unlink()
        except OSError as error:
            raise StrongroomError(
                f"the sealed copy is sound, but a file cannot be removed: {error.strerror}", where=str(source.path)
            ) from error


def _content_mark(mark: str) -> list[str]:
    size, modified, _, *place = mark.split(".")
    return [size, modified, *place]
