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

from ..core.errors import IntegrityError
from ._merkle import HASH_BYTES, root_of

__all__ = [
    "MAX_ENTRY_BYTES",
    "WIDTH",
    "TileReader",
    "bundle_path",
    "decode_bundle",
    "decode_tile",
    "encode_bundle",
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
    count, rest = divmod(len(data), HASH_BYTES)
    if rest or count not in (width, WIDTH):
        raise IntegrityError(f"the tile holds {len(data)} bytes, not {width * HASH_BYTES}", where=where)
    return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]


class TileReader:
    """Reads nodes of a tree of `size` out of its tiles (a `NodeReader`); what it returns is not verified.

    `fetch(level, index, width)` gives the bytes of a tile that is so wide, or full. Memory is bounded.
    """

    def __init__(self, size: int, fetch: Callable[[int, int, int], bytes]) -> None:
        self.size = size
        self._fetch = fetch
        self._tiles: OrderedDict[tuple[int, int], dict[tuple[int, int], bytes]] = OrderedDict()
        self._rows: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """The node at `(height, index)`. Raises IntegrityError when its tile is malformed, ValueError outside."""
        level, inner = divmod(height, HEIGHT)
        tile, offset = divmod(index << inner, WIDTH)
        row = self.tile(level, tile)
        if offset + (1 << inner) > len(row):
            raise ValueError(f"no node {index} at height {height} in a tree of {self.size}")
        if not inner:
            return row[offset]
        inside = self._tiles[level, tile]
        key = (inner, offset)
        if key not in inside:
            inside[key] = root_of(row[offset : offset + (1 << inner)])
        return inside[key]

    def tile(self, level: int, index: int) -> list[bytes]:
        """The hashes of one tile."""
        key = (level, index)
        if key in self._rows:
            self._tiles.move_to_end(key)
            return self._rows[key]
        width = width_of(self.size, level, index)
        if width <= 0:
            raise ValueError(f"no tile {index} at level {level} in a tree of {self.size}")
        row = decode_tile(self._fetch(level, index, width), width, tile_path(level, index, width))
        self._rows[key] = row
        self._tiles[key] = {}
        if len(self._rows) > CACHED_TILES:
            oldest, _ = self._tiles.popitem(last=False)
            del self._rows[oldest]
        return row
