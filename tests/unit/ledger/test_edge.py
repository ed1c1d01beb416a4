"""The right edge grows in any steps to the same files, and is read back from them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError
from strongroom.ledger._edge import Edge, split_bundles
from strongroom.ledger._merkle import Frontier, leaf_hashes
from strongroom.ledger._tiles import bundle_path, decode_bundle, decode_tile, levels_of, tile_path, widths

ENTRIES = [b'{"n":%d}' % number for number in range(70_000)]


def grow(edge: Edge, count: int, files: dict[str, bytes], commits: int = 1) -> Edge:
    """Appends `count` entries in so many commits that are published together."""
    tree, pieces = edge.frontier(), []
    nodes: dict[int, list[bytes]] = {}
    at = edge.size
    for number in range(commits):
        part = ENTRIES[at : edge.size + count * (number + 1) // commits]
        pieces += split_bundles(at, part)
        for height, row in tree.extend(leaf_hashes(part)).items():
            nodes.setdefault(height, []).extend(row)
        at += len(part)
    grown, written, replaced = edge.grown(pieces, nodes)
    assert len({path for path, _ in written}) == len(written), "no file is written twice"
    for path, data in written:
        assert files.setdefault(path, data) == data, "a file never changes"
    for folder in replaced:
        assert folder.removesuffix(".p") in dict(written)
        for path in [path for path in files if path.startswith(f"{folder}/")]:
            del files[path]
    return grown


def expected(size: int) -> dict[str, bytes]:
    """The files of a log, computed the long way from the last level of hashes to the first."""
    files = {}
    row = leaf_hashes(ENTRIES[:size])
    for level in range(levels_of(size)):
        for index, width in widths(size, level):
            files[tile_path(level, index, width)] = b"".join(row[index * 256 :][:width])
        row = [_root(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)]
    for index, width in widths(size, 0):
        part = ENTRIES[index * 256 :][:width]
        files[bundle_path(index, width)] = b"".join(len(e).to_bytes(2, "big") + e for e in part)
    return files


def _root(row: list[bytes]) -> bytes:
    tree = Frontier()
    tree.extend([bytes(32)] * 0 + row)
    return tree.root()


def read(files: dict[str, bytes], size: int) -> Edge:
    return Edge.read(size, lambda path, width: files[path])


steps = st.lists(
    st.tuples(st.one_of(st.integers(1, 20), st.sampled_from([255, 256, 257]), st.integers(1, 900)), st.integers(1, 4)),
    max_size=8,
)


@given(steps)
@settings(max_examples=120, deadline=None)
def test_any_steps_lead_to_the_files_of_one_step(steps: list[tuple[int, int]]) -> None:
    edge, files = Edge(0, [], b""), {}
    for count, commits in steps:
        edge = grow(edge, count, files, commits)
    whole = expected(edge.size)
    left_over = files.keys() - whole.keys()
    assert all(".p/" in path for path in left_over)  # partial ones of earlier sizes, whose full one is not there yet
    assert {path: files[path] for path in whole} == whole
    tree = Frontier()
    tree.extend(leaf_hashes(ENTRIES[: edge.size]))
    assert edge.frontier().root() == tree.root()
    assert edge.frontier().nodes == tree.nodes[: edge.size.bit_length()]


@given(steps)
@settings(max_examples=60, deadline=None)
def test_an_edge_is_read_back_from_its_files_and_grows_the_same(steps: list[tuple[int, int]]) -> None:
    edge, files = Edge(0, [], b""), {}
    for count, commits in steps:
        edge = grow(edge, count, files, commits)
        again = read(files, edge.size)
        assert (again.size, list(again.rows), again.bundle) == (edge.size, list(edge.rows), edge.bundle)
        edge = again  # from here on with the one that was read


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_536 + 256, 66_000])
def test_three_levels_grow_in_any_steps(size: int) -> None:
    edge, files = Edge(0, [], b""), {}
    for count in (65_530, size - 65_530 - 2, 1, 1):
        edge = grow(edge, count, files, 2)
    whole = expected(size)
    assert {path: files[path] for path in whole} == whole
    assert read(files, size).frontier().root() == edge.frontier().root()


def test_wider_files_than_asked_for_are_read_too() -> None:
    files: dict[str, bytes] = {}
    edge = grow(Edge(0, [], b""), 100, files)
    root = edge.frontier().root()
    edge = grow(edge, 156, files)
    assert len(decode_tile(files["tile/0/000"], 100, "t")) == 100
    assert decode_bundle(files["tile/entries/000"], 100, "b") == ENTRIES[:100]
    old = Edge.read(100, lambda path, width: files[path.partition(".p/")[0]])
    assert old.frontier().root() == root


def test_a_bundle_of_other_entries_than_its_tile_is_told() -> None:
    files: dict[str, bytes] = {}
    edge = grow(Edge(0, [], b""), 10, files)
    path = bundle_path(0, 10)
    files[path] = files[path].replace(b'"n":3', b'"n":4')
    with pytest.raises(IntegrityError, match="the last bundle and the last tile disagree") as error:
        read(files, edge.size)
    assert error.value.where == path
