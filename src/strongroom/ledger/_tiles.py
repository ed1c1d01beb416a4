"""C2SP tlog-tiles: where a tree's hashes and entries lie, and how they are packed. No IO.

A tile is 256 hashes of one level; level L holds the roots of the subtrees of 256**L leaves. A bundle holds 256
entries, each behind its length as a big-endian uint16. The rightmost ones may be partial: 1 to 255 wide.

>>> tile_path(0, 1234067, 256), bundle_path(5, 17)
('tile/0/x001/x234/067', 'tile/entries/005.p/17')
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from ..core.errors import IntegrityError
from ._merkle import HASH_BYTES

__all__ = [
    "MAX_ENTRY_BYTES",
    "WIDTH",
    "TileReader",
    "bundle_path",
    "decode_bundle",
    "decode_tile",
    "encode_bundle",
    "files_of",
    "levels_of",
    "tile_path",
    "width_of",
    "widths",
]

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_ENTRY_BYTES = 0xFFFF
MAX_BUNDLE_BYTES = WIDTH * (2 + MAX_ENTRY_BYTES)
CACHED_TILES = 256
"""Tiles that a reader keeps, each with the nodes inside it: 16 KiB a tile."""


def tile_path(level: int, index: int, width: int) -> str:
    """The path of a tile below the log's prefix."""
    return f"tile/{level}/{_index_path(index, width)}"


def bundle_path(index: int, width: int) -> str:
    """The path of an entry bundle below the log's prefix."""
    return f"tile/entries/{_index_path(index, width)}"


def _index_path(index: int, width: int) -> str:
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text if width == WIDTH else f"{text}.p/{width}"


def levels_of(size: int) -> int:
    """How many levels of tiles a tree of `size` entries has."""
    return (size.bit_length() + HEIGHT - 1) // HEIGHT


def widths(size: int, level: int) -> Iterator[tuple[int, int]]:
    """Index and width of every tile of a level; level 0 fits the bundles too."""
    count = size >> HEIGHT * level
    for index in range((count + WIDTH - 1) // WIDTH):
        yield index, min(WIDTH, count - index * WIDTH)


def width_of(size: int, level: int, index: int) -> int:
    """How wide a tile or bundle is in a tree of `size`; 0 or less where there is none."""
    return min(WIDTH, (size >> HEIGHT * level) - index * WIDTH)


def files_of(size: int) -> Iterator[str]:
    """Every file that a log of `size` entries consists of, beside its checkpoint and keys.

    >>> list(files_of(257))
    ['tile/entries/000', 'tile/entries/001.p/1', 'tile/0/000', 'tile/0/001.p/1', 'tile/1/000.p/1']
    """
    yield from (bundle_path(index, width) for index, width in widths(size, 0))
    for level in range(levels_of(size)):
        yield from (tile_path(level, index, width) for index, width in widths(size, level))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries to a bundle. Raises struct.error for an entry above 65,535 bytes."""
    lengths = struct.pack(f">{len(entries)}H", *map(len, entries))
    parts = [b""] * (2 * len(entries))
    parts[0::2] = [lengths[at : at + 2] for at in range(0, len(lengths), 2)]
    parts[1::2] = entries
    return b"".join(parts)


def decode_bundle(data: bytes, width: int, where: str) -> list[bytes]:
    """The first `width` entries of a bundle that is so wide or full. Raises IntegrityError for any other."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    if end > MAX_BUNDLE_BYTES:
        raise IntegrityError(f"the bundle holds {end:,} bytes, more than any", where=where)
    while at < end and len(entries) <= WIDTH:
        if at + 2 > end:
            raise IntegrityError("the bundle ends within a length", where=where)
        size = data[at] << 8 | data[at + 1]
        at += 2 + size
        if at > end:
            raise IntegrityError(f"the bundle ends within entry {len(entries)}", where=where)
        entries.append(data[at - size : at])
    if len(entries) not in (width, WIDTH):
        raise IntegrityError(f"the bundle holds {len(entries)} entries, not {width}", where=where)
    return entries[:width]


def decode_tile(data: bytes, width: int, where: str) -> list[bytes]:
    """The first `width` hashes of a tile that is so wide or full. Raises IntegrityError for any other."""
    if len(data) not in (width * HASH_BYTES, WIDTH * HASH_BYTES):
        raise _bad_tile(data, width, where)
    return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]


def _bad_tile(data: bytes, width: int, where: str) -> IntegrityError:
    """What is said of a tile of another length."""
    return IntegrityError(f"the tile holds {len(data)} bytes, not {width * HASH_BYTES}", where=where)


class TileReader:
    """Reads nodes of a tree of `size` out of its tiles (a `NodeReader`); what it returns is not verified.

    `fetch(level, index, width)` gives the bytes of a tile that is so wide, or full. Memory is bounded.
    """

    def __init__(self, size: int, fetch: Callable[[int, int, int], bytes]) -> None:
        self.size = size
        self._fetch = fetch
        self._tiles: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    def __call__(self, height: int, index: int) -> bytes:
        """The node at `(height, index)`. Raises IntegrityError when its tile is malformed, ValueError outside."""
        level, inner = divmod(height, HEIGHT)
        tile, offset = divmod(index << inner, WIDTH)
        key = (level, tile)
        if key in self._tiles:
            self._tiles.move_to_end(key)
            rows = self._tiles[key]
        else:
            rows = self._load(level, tile)
        at = (offset >> inner) * HASH_BYTES
        node = rows[inner][at : at + HASH_BYTES]
        if len(node) != HASH_BYTES:
            raise ValueError(f"no node {index} at height {height} in a tree of {self.size}")
        return node

    def _load(self, level: int, index: int) -> list[bytes]:
        """A tile's hashes, and those of the nodes inside it, by height: a proof needs nearly all of them."""
        width = width_of(self.size, level, index)
        if width <= 0:
            raise ValueError(f"no tile {index} at level {level} in a tree of {self.size}")
        data = self._fetch(level, index, width)
        if len(data) not in (width * HASH_BYTES, WIDTH * HASH_BYTES):
            raise _bad_tile(data, width, tile_path(level, index, width))
        row = data[: width * HASH_BYTES]
        rows = [row]
        for _ in range(HEIGHT - 1):
            # Only pairs that are full: the others are no nodes yet.
            ends = range(2 * HASH_BYTES, len(row) + 1, 2 * HASH_BYTES)
            row = b"".join([sha256(b"\1" + row[end - 2 * HASH_BYTES : end]).digest() for end in ends])
            rows.append(row)
        if len(self._tiles) >= CACHED_TILES:
            self._tiles.popitem(last=False)
        self._tiles[level, index] = rows
        return rows
