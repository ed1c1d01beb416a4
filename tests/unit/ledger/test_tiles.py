"""Tiles and bundles: the paths that tlog-tiles names, and nothing lost between leaves, files and nodes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError
from strongroom.ledger._merkle import Frontier, leaf_hashes, nodes_of, root_of, tree_root
from strongroom.ledger._tiles import (
    CACHED_TILES,
    MAX_ENTRY_BYTES,
    WIDTH,
    TileReader,
    bundle_path,
    decode_bundle,
    decode_tile,
    encode_bundle,
    levels_of,
    tile_path,
    width_of,
    widths,
)

LEAVES = leaf_hashes([b"%d" % i for i in range(66_000)])


_MADE = Frontier().extend(LEAVES)
LEVELS = [_MADE[height] for height in sorted(_MADE)]
"""The hashes of each level of tiles over all leaves."""


def reader(size: int, asked: list[str] | None = None, *, full: bool = False) -> TileReader:
    """Reads tiles of the tree of `size` leaves, or full ones where there are any."""

    def fetch(level: int, index: int, width: int) -> bytes:
        if asked is not None:
            asked.append(tile_path(level, index, width))
        row = LEVELS[level][index * WIDTH :][:WIDTH]
        return b"".join(row if full and len(row) == WIDTH else row[:width])

    return TileReader(size, fetch)


def test_paths_are_those_of_the_specification() -> None:
    assert tile_path(0, 1234067, WIDTH) == "tile/0/x001/x234/067"
    assert tile_path(63, 0, 1) == "tile/63/000.p/1"
    assert bundle_path(999, WIDTH) == "tile/entries/999"
    assert bundle_path(1000, 255) == "tile/entries/x001/000.p/255"
    assert tile_path(1, 1_000_000, 7) == "tile/1/x001/x000/000.p/7"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, {}),
        (1, {0: (0, 1)}),
        (255, {0: (0, 255)}),
        (256, {0: (1, 0), 1: (0, 1)}),
        (257, {0: (1, 1), 1: (0, 1)}),
        (70_000, {0: (273, 112), 1: (1, 17), 2: (0, 1)}),
        (2**24, {0: (65_536, 0), 1: (256, 0), 2: (1, 0), 3: (0, 1)}),
    ],
)
def test_a_tree_has_the_tiles_of_the_specifications_examples(size: int, expected: dict[int, tuple[int, int]]) -> None:
    found = {}
    for level in range(levels_of(size)):
        tiles = list(widths(size, level))
        assert tiles == [(index, width_of(size, level, index)) for index in range(len(tiles))]
        assert width_of(size, level, len(tiles)) <= 0
        partial = [width for _, width in tiles if width < WIDTH]
        found[level] = (len(tiles) - len(partial), sum(partial))
    assert found == expected
    assert not list(widths(size, levels_of(size)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, len(LEAVES)), st.integers(0, 16), st.integers(0, len(LEAVES)), st.booleans())
def test_nodes_read_from_tiles_are_those_of_the_leaves(size: int, height: int, at: int, full: bool) -> None:
    tiles = reader(size, full=full)
    index = at % (size >> height) if size >> height else 0
    if size >> height:
        assert tiles(height, index) == nodes_of(LEAVES)(height, index)
    assert tree_root(size, tiles) == root_of(LEAVES[:size])
    with pytest.raises(ValueError, match=f"in a tree of {size}"):
        tiles(height, size >> height)


def test_a_reader_asks_for_each_tile_once_and_keeps_a_bounded_number() -> None:
    asked: list[str] = []
    tiles = reader(len(LEAVES), asked)
    for _ in range(2):
        for index in range(CACHED_TILES):
            tiles(3, index << 5)
    assert len(asked) == len(set(asked)) == CACHED_TILES
    tiles(0, CACHED_TILES * WIDTH)
    tiles(0, 1 * WIDTH)
    assert len(asked) == CACHED_TILES + 1
    tiles(0, 0)
    assert asked[-1] == asked[0] == "tile/0/000"
    assert len(asked) == CACHED_TILES + 2


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32 * 3 - 1), bytes(32), bytes(32 * 257)])
def test_a_tile_with_too_few_too_many_or_half_hashes_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"the tile holds .*tile/0/000\.p/2"):
        TileReader(2, lambda level, index, width: data)(0, 0)


def test_a_full_tile_gives_the_hashes_that_were_asked_for() -> None:
    assert decode_tile(b"".join(LEAVES[:WIDTH]), 3, "tile") == LEAVES[:3]


@given(st.lists(st.binary(max_size=40), max_size=WIDTH - 1), st.data())
def test_bundles_round_trip_and_any_other_width_or_cut_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    bundle = encode_bundle(entries)
    assert decode_bundle(bundle, len(entries), "bundle") == entries
    other = data.draw(st.integers(0, WIDTH).filter(lambda width: width != len(entries)))
    with pytest.raises(IntegrityError, match=f"holds {len(entries)} entries, not {other}"):
        decode_bundle(bundle, other, "bundle")
    if entries:
        with pytest.raises(IntegrityError):
            decode_bundle(bundle[: data.draw(st.integers(0, len(bundle) - 1))], len(entries), "bundle")


@given(st.integers(0, WIDTH))
def test_a_full_bundle_gives_the_entries_that_were_asked_for(width: int) -> None:
    entries = [b"%d" % i for i in range(WIDTH)]
    assert decode_bundle(encode_bundle(entries), width, "bundle") == entries[:width]


def test_bundles_are_big_endian_lengths_and_bytes() -> None:
    assert encode_bundle([b"", b"a" * 258]) == b"\0\0" + b"\1\2" + b"a" * 258
    largest = b"a" * MAX_ENTRY_BYTES
    assert decode_bundle(encode_bundle([largest]), 1, "bundle") == [largest]
    with pytest.raises(struct.error):
        encode_bundle([largest + b"a"])


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\0\0", b"\xff\xffabc", b"\0\1a\0\2b", b"\0\0" * 257])
def test_a_cut_or_overfull_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"the bundle .*\(here\)"):
        decode_bundle(data, 1, "here")
