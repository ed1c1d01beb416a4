"""The right edge of a log: the tiles and bundles that are not full yet. Pure.

What a log of any size needs to grow: at most 255 hashes a level, and 255 entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from ..core.errors import IntegrityError
from ._merkle import Frontier, leaf_hashes, root_of
from ._tiles import (
    WIDTH,
    bundle_path,
    decode_bundle,
    decode_tile,
    encode_bundle,
    levels_of,
    tile_path,
    width_of,
)

__all__ = ["Edge", "split_bundles"]


class Edge:
    """Rows of hashes by level, and the partial bundle, of a log of `size` entries."""

    def __init__(self, size: int, rows: Sequence[list[bytes]], bundle: bytes) -> None:
        self.size = size
        self.rows = rows
        self.bundle = bundle

    @classmethod
    def read(cls, size: int, fetch: Callable[[str, int], bytes]) -> Edge:
        """Reads the partial tiles and the partial bundle of a log; `fetch(path, width)` may give wider ones.

        Raises IntegrityError when the bundle's entries are not those of its tile.
        """
        rows = []
        for level in range(levels_of(size)):
            index = (size >> 8 * level) // WIDTH
            width = width_of(size, level, index)
            path = tile_path(level, index, width) if width > 0 else ""
            rows.append(decode_tile(fetch(path, width), width, path) if width > 0 else [])
        bundle = b""
        if size % WIDTH:
            path = bundle_path(size // WIDTH, size % WIDTH)
            entries = decode_bundle(fetch(path, size % WIDTH), size % WIDTH, path)
            if leaf_hashes(entries) != rows[0]:
                raise IntegrityError("the last bundle and the last tile disagree", where=path)
            bundle = encode_bundle(entries)
        return cls(size, rows, bundle)

    def frontier(self) -> Frontier:
        """What the tree needs to grow: the full subtrees that the rows consist of."""
        nodes: list[bytes | None] = [None] * self.size.bit_length()
        for level, row in enumerate(self.rows):
            at = 0
            for bit in reversed(range(8)):
                if len(row) >> bit & 1:
                    nodes[8 * level + bit] = root_of(row[at : at + (1 << bit)])
                    at += 1 << bit
        return Frontier(self.size, nodes)

    def grown(
        self, pieces: Iterable[tuple[int, bytes]], nodes: Mapping[int, Sequence[bytes]]
    ) -> tuple[Edge, list[tuple[str, bytes]], list[str]]:
        """Appends entries, as `split_bundles` gives them, with the nodes that they completed (`Frontier.extend`).

        Returns the new edge; the files to write; the folders of partial files that full ones replace.
        """
        files: list[tuple[str, bytes]] = []
        replaced: list[str] = []
        size, bundle = self.size, [self.bundle]
        for count, piece in pieces:
            size += count
            bundle.append(piece)
            if size % WIDTH == 0:
                _put(files, replaced, bundle_path, size // WIDTH - 1, WIDTH, b"".join(bundle))
                bundle = []
        left = b"".join(bundle)
        if size % WIDTH:
            _put(files, replaced, bundle_path, size // WIDTH, size % WIDTH, left)
        rows = []
        for level in range(max(len(self.rows), 1 + max(nodes, default=0) // 8)):
            row = (self.rows[level] if level < len(self.rows) else []) + list(nodes.get(8 * level, ()))
            if nodes.get(8 * level):
                first = (self.size >> 8 * level) // WIDTH
                for at in range(0, len(row), WIDTH):
                    hashes = row[at : at + WIDTH]
                    path_of = partial(tile_path, level)
                    _put(files, replaced, path_of, first + at // WIDTH, len(hashes), b"".join(hashes))
            rows.append(row[len(row) // WIDTH * WIDTH :])
        return Edge(size, rows, left), files, replaced


def split_bundles(size: int, entries: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Entries that follow `size` others, encoded: a count and bytes for each bundle that they are part of.

    >>> [count for count, _ in split_bundles(250, [b"{}"] * 300)]
    [6, 256, 38]
    """
    pieces = []
    at = 0
    while at < len(entries):
        part = entries[at : at + WIDTH - (size + at) % WIDTH]
        pieces.append((len(part), encode_bundle(part)))
        at += len(part)
    return pieces


def _put(
    files: list[tuple[str, bytes]],
    replaced: list[str],
    path_of: Callable[[int, int], str],
    index: int,
    width: int,
    data: bytes,
) -> None:
    path = path_of(index, width)
    files.append((path, data))
    if width == WIDTH:
        replaced.append(f"{PurePosixPath(path)}.p")
