"""Sealing files into an object, on several threads, so that a kill costs at most the files that were under way.

Every file has a random data key of its own and a fresh FLOE header; a file that a kill interrupted begins anew with
both, so no two contents ever meet under one key and IV. Data keys are wrapped with an object key that lives in this
process alone; each time that sealing is continued there is a new one, wrapped for the recipients as it is made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import InputError, UsageError
from ..core.ids import check_asset_name
from ._door import Door
from ._each import each_file, threads_or_all
from ._making import (
    Slot,
    check_out,
    check_recipients,
    finish,
    is_there,
    new_slot,
    reason_of,
    seal_stream,
    version_of,
    writing,
)
from ._manifest import (
    Manifest,
    SealedFile,
    WrappedKey,
    check_segment_length,
    is_sound,
    place_of,
)
from ._parts import Recipient
from ._pipeline import Progress, changed, reader_of
from ._signed import Signed
from ._sources import Source, mark_of
from ._work import Work, make_folders
from .floe import SEGMENT_LENGTH

__all__ = ["Sealed", "seal"]


@dataclass(frozen=True)
class Sealed:
    """What came of sealing."""

    signed: Signed
    continued: int
    """Files that an interrupted run had sealed already."""


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
                object = door.new_object()
                work.note({"object": object})
            length = sum(source.size for source in sources)
            asset, reason = name or f"sealed/{object}", reason_of(recipients)
            # Of a sealing that is continued the id stands in a journal, which somebody else may have written.
            door.permit("Seal", asset, length=length, reason=reason, object="" if done else object)
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
    marks = {source.name: (source.mark, source.size) for source in sources}
    for line in read:
        if line.file is not None:
            done.pop(line.file.name, None)
            known = marks.get(line.file.name) == (line.mark, line.file.length) and is_sound(line.file, len(keys))
            if known and is_there(root, line.file):
                done[line.file.name] = line.file
    return object, keys, done


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
