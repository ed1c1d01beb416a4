"""What is sealed: a safetensors file and a tree of small files, made from a seed, and whether they came back."""

from __future__ import annotations

import filecmp
import hashlib
import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 4096, 2048
TENSOR = HEIGHT * WIDTH * 4
ROW = WIDTH * 4
LEAST = 4
"""Tensors, so that some are at a quarter, in the middle and at three quarters."""
SMALLEST, LARGEST = 1 << 10, 8 << 10
IN_FOLDER = 1_000


class DifferentError(Exception):
    """What was opened is not what was sealed, or what is sealed can be read."""


@dataclass(frozen=True)
class Model:
    """A safetensors file of tensors of 32 MiB, whose bytes are random."""

    path: Path
    names: list[str]
    """In the order of the file."""
    digests: dict[str, str]
    """SHA-256 of each tensor's bytes."""
    start: int
    """Where the first tensor begins."""

    def row_digest(self, name: str, index: int) -> str:
        with self.path.open("rb") as file:
            file.seek(self.start + self.names.index(name) * TENSOR + index * ROW)
            return hashlib.sha256(file.read(ROW)).hexdigest()

    def check(self, other: Path) -> None:
        """The tensors of another safetensors file are the same, whatever their order."""
        try:
            found = {name: hashlib.sha256(data).hexdigest() for name, data in tensors_of(other)}
        except (KeyError, ValueError) as error:
            raise DifferentError(f"no safetensors file came back: {error}") from None
        if found != self.digests:
            raise DifferentError("other tensors came back")

    def check_sealed(self, sealed: Path) -> None:
        """None of some stretches of the tensors stands in a sealed file."""
        with self.path.open("rb") as file:
            for number in (0, len(self.names) // 2):
                file.seek(self.start + number * TENSOR + TENSOR // 2)
                if holds(sealed, file.read(32)):
                    raise DifferentError("the sealed file has bytes of a tensor")


def holds(place: Path, data: bytes) -> bool:
    for path in [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]:
        if path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                if mapped.find(data) >= 0:
                    return True
    return False


def tensors_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each tensor's name and bytes."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        entries = json.loads(file.read(size))
        for name, entry in entries.items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                file.seek(8 + size + first)
                yield name, file.read(last - first)


def make_model(path: Path, size: int, seed: int = 1) -> Model:
    """`size` bytes of tensors, at least four."""
    names = [f"model.layers.{number:02d}.weight" for number in range(max(LEAST, size // TENSOR))]
    entry = {"dtype": "F32", "shape": [HEIGHT, WIDTH]}
    header = {name: {**entry, "data_offsets": [at * TENSOR, (at + 1) * TENSOR]} for at, name in enumerate(names)}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    random, digests = np.random.default_rng(seed), {}
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in names:
            data = random.bytes(TENSOR)
            digests[name] = hashlib.sha256(data).hexdigest()
            file.write(data)
    return Model(path, names, digests, 8 + len(encoded))


def make_tree(folder: Path, count: int, seed: int = 2) -> int:
    """So many files of 1 to 8 KiB, a thousand in each folder; their bytes together."""
    random = np.random.default_rng(seed)
    sizes = random.integers(SMALLEST, LARGEST, count, endpoint=True)
    for number, size in enumerate(sizes.tolist()):
        place = folder / f"{number // IN_FOLDER:03d}"
        if number % IN_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{number:06d}.bin").write_bytes(random.bytes(size))
    return int(sizes.sum())


def check_tree(one: Path, other: Path) -> None:
    """Two folders have the same files."""
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    if names != sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file()):
        raise DifferentError("other files came back")
    if any(not filecmp.cmp(one / name, other / name, shallow=False) for name in names):
        raise DifferentError("a file came back different")
