"""A vault in memory for tests: a door whose records and versions can be looked at, and files to seal."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.core.errors import IntegrityError
from strongroom.core.records import AccessEvent, Entry
from strongroom.vault import Door, KeyFiles, PrivateKey, find_sources, seal

SEGMENT = 4096
PAYLOAD = SEGMENT - 32
FILES = {
    "config.json": b'{"hidden": 64}',
    "empty": b"",
    "exact": bytes(PAYLOAD),
    "weights/model-00001.safetensors": random.Random(1).randbytes(3 * PAYLOAD + 17),
    "weights/model-00002.safetensors": random.Random(2).randbytes(9 * PAYLOAD),
}


@dataclass
class Book:
    """A `Recorder` and `Versions` in memory."""

    entries: list[Entry] = field(default_factory=list)
    versions: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)

    def append(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1

    def highest_version(self, line: str) -> tuple[int, str, str] | None:
        return self.versions.get(line)

    def reserve_version(self, line: str, at_least: int) -> int:
        self.reserved[line] = max(at_least, self.reserved.get(line, 0) + 1)
        return self.reserved[line]

    def record_version(self, line: str, version: int, digest: str, signer: str) -> None:
        if version < self.versions.get(line, (0, "", ""))[0]:
            raise IntegrityError("superseded")
        self.versions[line] = (version, digest, signer)
        self.reserved[line] = max(version, self.reserved.get(line, 0))

    @property
    def actions(self) -> list[str]:
        return [entry.body["action"] for entry in self.entries]


class Watched(KeyFiles):
    """Key files that note what was on record when a key was used."""

    def __init__(self, book: Book, *keys: PrivateKey) -> None:
        super().__init__(*keys)
        self.book, self.used = book, []

    used: list[tuple[str, int]]

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        self.used.append(("unwrap", len(self.book.entries)))
        return super().unwrap(key, wrapped, context)


@dataclass
class Room:
    """One site's door with its keys."""

    book: Book
    site: PrivateKey
    recovery: PrivateKey
    signer: PrivateKey
    door: Door


def room(**changed: Any) -> Room:
    book = Book()
    site, recovery = PrivateKey.generate("mlkem768-x25519", "site"), PrivateKey.generate("x25519", "recovery")
    signer = PrivateKey.generate("p256", "signer")
    facts: dict[str, Any] = {
        "keys": Watched(book, site, signer),
        "trusted": [signer.public],
        "signer": signer.public,
        "recipients": [site.public, recovery.public],
        "recorder": book,
        "versions": book,
        "principal": "ann@host",
    }
    return Room(book, site, recovery, signer, Door(**(facts | changed)))


def write_files(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def sealed_object(tmp_path: Path, own: Room, files: dict[str, bytes] = FILES, **options: Any) -> Path:
    """Seals `files`, in segments of 4 KiB, at `tmp_path/model.sealed`."""
    source = write_files(tmp_path / "model", files)
    out = tmp_path / "model.sealed"
    seal(find_sources([source]), out, own.door.recipients, own.door, segment_length=SEGMENT, **options)
    return out


def event(entry: Entry) -> AccessEvent:
    import msgspec

    return msgspec.convert(entry.body, AccessEvent)
