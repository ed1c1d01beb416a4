"""The verifier: two verdicts about a log, and the names of the files that are wrong.

*Integrity*: what is there was not changed. Every entry is hashed again, every stored hash compared, and the root
with the signed checkpoint. *Completeness*: nothing is missing that was there: no file, and nothing that an older
checkpoint, or a witness, has seen.

A wrong file is told from its neighbours by the majority: a bundle, the tile of its leaf hashes, and the hash of
that tile one level up say the same thing three times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..core.errors import InputError, IntegrityError
from ._checkpoint import Checkpoint
from ._merkle import Frontier, leaf_hashes, root_of
from ._storage import Source
from ._tiles import (
    HEIGHT,
    MAX_BUNDLE_BYTES,
    WIDTH,
    bundle_path,
    decode_bundle,
    decode_tile,
    levels_of,
    tile_path,
    width_of,
)

__all__ = ["Damage", "check_files"]

MAX_DAMAGE = 100
"""Wrong files that are named; then the search ends."""


@dataclass
class Damage:
    """Files that were changed, files that are missing, and entries that are not what an entry is."""

    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.malformed)

    @property
    def full(self) -> bool:
        """Whether enough was found."""
        return len(self.changed) + len(self.missing) + len(self.malformed) >= MAX_DAMAGE


class _Row:
    """One level of stored tiles, read from left to right while the hashes that belong there are computed."""

    def __init__(self, level: int, size: int, read: Callable[[str, int], bytes | None], damage: Damage) -> None:
        self._level, self._size, self._read, self._damage = level, size, read, damage
        self._index = -1
        self._stored: list[bytes] | None = None
        self._path = ""

    def stored(self, number: int) -> bytes | None:
        """Hash `number` of this level as its tile has it; None where the tile is missing or unreadable."""
        index, offset = divmod(number, WIDTH)
        if index != self._index:
            self._index = index
            self._load(index)
        return self._stored[offset] if self._stored is not None and offset < len(self._stored) else None

    def tile(self, index: int) -> list[bytes] | None:
        """All stored hashes of a tile."""
        self.stored(index * WIDTH)
        return self._stored

    def blame(self) -> None:
        """The tile that was read last is wrong."""
        if self._path not in self._damage.changed:
            self._damage.changed.append(self._path)

    def _load(self, index: int) -> None:
        width = width_of(self._size, self._level, index)
        self._path = tile_path(self._level, index, width)
        self._stored = None
        data = self._read(self._path, WIDTH * 32)
        if data is not None:
            try:
                self._stored = decode_tile(data, width, self._path)
            except IntegrityError:
                self.blame()


def check_files(
    source: Source,
    checkpoint: Checkpoint,
    check_entry: Callable[[int, bytes], None],
    progress: Callable[[int], None] = lambda done: None,
) -> Damage:
    """Reads a whole log and compares everything with everything. Memory does not grow with the log.

    `check_entry(index, entry)` raises InputError for what is no entry. Raises IntegrityError when all files agree
    with each other and not with the checkpoint.
    """
    damage = Damage()

    def read(path: str, limit: int) -> bytes | None:
        for name in dict.fromkeys((path, path.partition(".p/")[0])):
            try:
                data = source.read(name, limit)
            except IntegrityError:  # larger than any such file
                damage.changed.append(name)
                return None
            if data is not None:
                return data
        damage.missing.append(path)
        return None

    size = checkpoint.size
    rows = [_Row(level, size, read, damage) for level in range(levels_of(size))]
    tree = Frontier()

    def fits(leaves: list[bytes]) -> bool:
        """Whether the last, partial bundle ends the tree as the checkpoint says."""
        ended = tree.copy()
        ended.extend(leaves)
        return ended.root() == checkpoint.root

    # Where every copy of a hash is lost, the tree cannot be computed any more; the search for damage goes on.
    whole = True
    for number in range((size + WIDTH - 1) // WIDTH):
        if damage.full:
            return damage
        leaves = _leaves(number, size, rows, read, damage, check_entry, fits)
        if leaves is None:
            whole = False
        elif whole:
            _climb(tree.extend(leaves), tree.size, rows)
        progress(min(size, (number + 1) * WIDTH))
    if whole and tree.root() != checkpoint.root and not damage:
        raise IntegrityError(
            "every tile and bundle agrees with the others, and the signed checkpoint with none of them",
            where=f"{source.name}/checkpoint",
            next="the log was rewritten, or the checkpoint is of another one: compare it with a copy",
        )
    return damage


def _leaves(
    number: int,
    size: int,
    rows: list[_Row],
    read: Callable[[str, int], bytes | None],
    damage: Damage,
    check_entry: Callable[[int, bytes], None],
    fits: Callable[[list[bytes]], bool],
) -> list[bytes] | None:
    """The leaf hashes of one bundle: as it says, unless its tile and what stands above that agree against it."""
    width = width_of(size, 0, number)
    path = bundle_path(number, width)
    stored = rows[0].tile(number)
    data = read(path, MAX_BUNDLE_BYTES)
    entries: list[bytes] = []
    computed = None
    if data is not None:
        try:
            entries = decode_bundle(data, width, path)
            computed = leaf_hashes(entries)
        except IntegrityError:
            damage.changed.append(path)
    if computed is None:
        return stored
    if stored is not None and computed != stored:
        # A full tile has its hash one level up; the last, partial one is judged by the checkpoint.
        above = rows[1].stored(number) if width == WIDTH else None
        if fits(computed) if width < WIDTH else root_of(computed) == above:
            rows[0].blame()
        elif fits(stored) if width < WIDTH else root_of(stored) == above:
            damage.changed.append(path)
            return stored
        else:
            rows[0].blame()
            damage.changed.append(path)
    for offset, entry in enumerate(entries):
        try:
            check_entry(number * WIDTH + offset, entry)
        except InputError as error:
            damage.malformed.append(f"{path}, entry {number * WIDTH + offset:,}: {error.message}")
    return computed


def _climb(nodes: dict[int, list[bytes]], size: int, rows: list[_Row]) -> None:
    """Compares the nodes that were just completed with the stored tiles of the levels above the leaves."""
    for height, hashes in nodes.items():
        level, first = height // HEIGHT, (size >> height) - len(hashes)
        if level == 0:
            continue
        for offset, computed in enumerate(hashes):
            stored = rows[level].stored(first + offset)
            if stored is not None and stored != computed:
                rows[level].blame()
