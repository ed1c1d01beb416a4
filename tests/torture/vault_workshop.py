"""Files with needles in them, sealed objects of them, and what must hold of whatever a kill or a full disk left."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.vault.rooms import PAYLOAD, SEGMENT, Book, Room, room, write_files

from strongroom.core.errors import StrongroomError
from strongroom.vault import (
    Door,
    Manifest,
    PrivateKey,
    _each,
    _making,
    _pipeline,
    _unseal,
    _work,
    check,
    find_sources,
    open_object,
    seal,
)
from strongroom.vault.floe import HEADER_BYTES, segment_length_of

from .results import record_result

NEEDLES = {generation: f"<needle of what is {generation}>".encode() for generation in ("old", "new", "added")}
FEW = {"a": 0, "card.md": 100, "exact": PAYLOAD, "w/x/1": 3 * PAYLOAD + 5, "w/2": 9 * PAYLOAD}
"""Names and sizes, for those who look after every step."""
MANY = {f"part-{n // 8}/{n}": n * n * 30 for n in range(24)} | {"w/large": 3 << 20, "w/x/middle": 300_000}
"""For those who kill at random moments."""


def content(name: str, size: int, generation: str) -> bytes:
    """Random bytes with a needle in every 256 of them."""
    data = bytearray(random.Random(f"{name} {generation}").randbytes(size))
    needle = NEEDLES[generation]
    for at in range(0, size - len(needle), 256):
        data[at : at + len(needle)] = needle
    return bytes(data)


def needles_in(data: bytes) -> bool:
    return any(needle in data for needle in NEEDLES.values())


class Tally:
    """What came of one test for several jobs, in one place of docs/reliability.md: those that failed are not in it."""

    def __init__(self, name: str, text: str) -> None:
        """`text` names `{jobs}` and what was counted."""
        self.name, self.text = name, text
        self.jobs: list[str] = []
        self.seen: Counter[str] = Counter()

    def add(self, job: str, begun: float, **seen: int) -> None:
        """A job that held; `begun` is when, by the monotonic clock."""
        self.jobs.append(job)
        self.seen.update(seen, seconds=round(time.monotonic() - begun))
        counts = {name: f"{count:,}" for name, count in self.seen.items()}
        record_result(self.name, self.text.format(jobs="; ".join(self.jobs), **counts))


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """A directory in memory, where there is some: kills do not care, and thousands of copies are made."""
    place = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def lower_limits(monkeypatch: pytest.MonkeyPatch, *, files: int) -> None:
    """The journal gets a line after so few files, long before the end; files of 16 KiB are large already."""
    monkeypatch.setattr(_work, "BATCH_FILES", files)
    for module in (_work, _each, _making, _unseal, _pipeline):
        monkeypatch.setattr(module, "SMALL", 16 << 10)


class Workshop:
    """Keys, plain files and sealed objects that are made once; jobs work on copies of them."""

    def __init__(self, root: Path, sizes: Mapping[str, int]) -> None:
        root.mkdir()
        self.root = root
        self.own: Room = room()
        self.ally = PrivateKey.generate("x25519", "ally")
        self.files = {
            when: {name: content(name, size, when) for name, size in sizes.items()} for when in ("old", "new")
        }
        self.source = write_files(root / "source", self.files["new"])
        self.objects = {when: self._sealed(when) for when in ("old", "new")}
        self.manifests = {when: read_whole(path, self.door())[0] for when, path in self.objects.items()}

    def _sealed(self, when: str) -> Path:
        out = self.root / f"{when}.sealed"
        folder = write_files(self.root / f"plain-{when}", self.files[when])
        seal(find_sources([folder]), out, self.own.door.recipients, self.own.door, segment_length=SEGMENT)
        shutil.rmtree(folder)
        return out

    def copy(self, when: str, to: Path) -> None:
        shutil.copytree(self.objects[when], to)

    @property
    def largest(self) -> int:
        return max(map(len, self.files["new"].values()))

    def door(self) -> Door:
        """A door that has seen nothing yet."""
        return dataclasses.replace(self.own.door, versions=Book(), recorder=Book())


def read_whole(path: Path, door: Door, strangers: Sequence[str] = ()) -> tuple[Manifest, dict[str, bytes]]:
    """All of an object, which opens and of which `check` says nothing, but of `strangers`. Raises what opening raises.

    `strangers`: places of files that a manifest would name that was not written.
    """
    with open_object(path, door=door) as sealed:
        problems = check(path, sealed.manifest, sealed)
        assert [str(one) for one in problems if one.where not in strangers] == []
        found = {}
        for name in sealed.names():
            found[name] = bytearray(sealed.length(name))
            file = sealed.file(name)
            file.read_into(0, memoryview(found[name]))
            file.close()
        return sealed.manifest, {name: bytes(data) for name, data in found.items()}


def headers_of(manifest: Manifest) -> dict[str, bytes]:
    return {file.name: file.header for file in manifest.files}


def holds(folder: Path, wanted: Mapping[str, bytes]) -> bool:
    """Whether a directory holds these files with this content, and no other."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return set(found) == set(wanted) and all(found[name].read_bytes() == data for name, data in wanted.items())


def plain_below(base: Path) -> Iterator[tuple[Path, bytes]]:
    """Files in which a needle lies."""
    for path in base.rglob("*"):
        if path.is_file() and not path.is_symlink() and needles_in(data := path.read_bytes()):
            yield path, data


class Ciphertexts:
    """Every sealed file that was seen at any time: no header may have two bodies, no data key two headers."""

    def __init__(self) -> None:
        self._bodies: dict[bytes, tuple[list[bytes], bool]] = {}
        self._ivs: dict[bytes, tuple[bytes, int]] = {}
        self._wrapped: dict[bytes, bytes] = {}

    @property
    def headers(self) -> int:
        return len(self._bodies)

    @property
    def segments(self) -> int:
        return len(self._ivs)

    @property
    def cut(self) -> int:
        """Headers of files that nobody has seen whole."""
        return sum(1 for _, whole in self._bodies.values() if not whole)

    def look(self, base: Path) -> None:
        """All files below a directory, whatever they are called."""
        for path in base.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            data = path.read_bytes()
            if path.name == "journal":
                self._journal(data)
            elif path.name == "model.sig":
                self._manifest(data)
            elif len(data) >= HEADER_BYTES:
                self._file(data)

    def _file(self, data: bytes) -> None:
        header = data[:HEADER_BYTES]
        try:
            size = segment_length_of(header)
        except StrongroomError:
            return
        segments, whole = _segments(data, size)
        known, known_whole = self._bodies.get(header, ([], False))
        common = min(len(known), len(segments))
        assert known[:common] == segments[:common], "one header, two contents"
        assert not (known_whole and len(segments) > len(known)), "a file that was whole has grown"
        for position, segment in enumerate(segments[len(known) :], len(known)):
            iv = header + segment[:12]
            assert self._ivs.setdefault(iv, (segment, position)) == (segment, position), "one key and IV, two contents"
        if len(segments) > len(known):
            known = segments
        self._bodies[header] = known, known_whole or whole

    def _journal(self, data: bytes) -> None:
        for line in _whole_lines(data):
            if isinstance(line.get("file"), dict):
                self._key(line["file"]["header"], line["file"]["wrapped"])

    def _manifest(self, data: bytes) -> None:
        try:
            payload = json.loads(base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"]))
        except ValueError:  # a kill cut it short, in a work directory
            return
        for resource in payload["predicate"]["resources"]:
            note = resource["annotations"]["strongroom.sealed/1"]
            if "header" in note:
                self._key(note["header"], note["wrapped"])

    def _key(self, header: Any, wrapped: Any) -> None:
        assert self._wrapped.setdefault(wrapped, header) == header, "one data key, two headers"


def _segments(data: bytes, size: int) -> tuple[list[bytes], bool]:
    """The whole segments of a file, each as its IV and a digest; and whether the last of them is the final one."""
    found = []
    for at in range(HEADER_BYTES, len(data), size):
        segment = data[at : at + size]
        length = int.from_bytes(segment[:4], "big") if len(segment) >= 4 else -1
        final = length == len(segment)
        if final or (length == 0xFFFF_FFFF and len(segment) == size):
            found.append(segment[4:16] + hashlib.sha256(segment).digest()[:12])
        if final:
            return found, True
    return found, False


def _whole_lines(data: bytes) -> list[Any]:
    return [json.loads(line.partition(b" ")[2]) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def journal_of(work: Path) -> list[Any]:
    """The lines of a work directory's journal that are whole."""
    path = work / "journal"
    return _whole_lines(path.read_bytes()) if path.exists() else []
