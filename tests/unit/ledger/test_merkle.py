"""RFC 6962 proofs: every true one verifies, and nothing else does."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError
from strongroom.ledger._merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    node_hash,
    nodes_of,
    root_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)

LEAVES = leaf_hashes([b"entry %d" % i for i in range(600)])
NODES = nodes_of(LEAVES)
SIZES = st.integers(1, len(LEAVES))


def verified(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except IntegrityError:
        return False
    return True


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(mth(leaves[:split]), mth(leaves[split:]))


def run_vector(kind: str, vector: dict[str, Any]) -> None:
    """One test vector through the function that it is for."""

    def raw(name: str) -> bytes:
        return base64.b64decode(vector[name] or "")

    proof = [base64.b64decode(hash_) for hash_ in vector["proof"] or []]
    match kind:
        case "inclusion":
            verify_inclusion(raw("leafHash"), vector["leafIdx"], vector["treeSize"], proof, raw("root"))
        case "subtreeinclusion":
            where = vector["leafIdx"], vector["start"], vector["end"]
            verify_subtree_inclusion(raw("leafHash"), *where, proof, raw("root"))
        case "consistency":
            verify_consistency(vector["size1"], vector["size2"], proof, raw("root1"), raw("root2"))
        case "subtreeconsistency":
            where = vector["start"], vector["end"], vector["size"]
            verify_subtree_consistency(*where, proof, raw("root1"), raw("root2"))


def test_the_verdict_on_each_of_518_shared_vectors_is_the_expected_one(shared: Path) -> None:
    folder = shared / "vectors" / "merkle"
    read: Counter[str] = Counter()
    wrong = []
    for path in sorted(folder.rglob("*.json")):
        kind = path.relative_to(folder).parts[0]
        vector = json.loads(path.read_text())
        read[kind] += 1
        if verified(lambda kind=kind, vector=vector: run_vector(kind, vector)) == vector["wantErr"]:
            wrong.append(str(path.relative_to(folder)))
    assert wrong == []
    assert set(read) == {"inclusion", "consistency", "subtreeinclusion", "subtreeconsistency"}
    assert read.total() == 518


def test_hashes_are_those_of_rfc_6962() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    assert leaf_hashes([b"", b"a"]) == [leaf_hash(b""), leaf_hash(b"a")]


@given(SIZES | st.just(0))
def test_roots_from_leaves_nodes_and_the_definition_agree(size: int) -> None:
    assert root_of(LEAVES[:size]) == tree_root(size, NODES) == mth(LEAVES[:size])


def test_every_index_and_every_pair_of_small_sizes_has_a_proof_that_verifies() -> None:
    roots = [root_of(LEAVES[:size]) for size in range(34)]
    for new in range(34):
        for index in range(new):
            verify_inclusion(LEAVES[index], index, new, inclusion_proof(index, new, NODES), roots[new])
        for old in range(new + 1):
            verify_consistency(old, new, consistency_proof(old, new, NODES), roots[old], roots[new])


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIZES, SIZES).map(sorted))
def test_any_prefix_is_consistent_with_any_extension(sizes: list[int]) -> None:
    old, new = sizes
    proof = consistency_proof(old, new, NODES)
    verify_consistency(old, new, proof, root_of(LEAVES[:old]), root_of(LEAVES[:new]))
    changed = [*LEAVES[: old - 1], leaf_hash(b"another"), *LEAVES[old:new]]
    proof = consistency_proof(old, new, nodes_of(changed))
    assert not verified(lambda: verify_consistency(old, new, proof, root_of(LEAVES[:old]), root_of(changed)))


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_and_index_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, NODES), root_of(LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, proof, root)
    other = data.draw(st.integers(-1, size + 1).filter(lambda other: other != index))
    assert not verified(lambda: verify_inclusion(LEAVES[index], other, size, proof, root))
    assert not verified(lambda: verify_inclusion(leaf_hash(b"another"), index, size, proof, root))
    for wrong in ([*proof, LEAVES[0]], proof[:-1], proof[1:], proof[::-1]):
        if wrong != proof:
            assert not verified(lambda wrong=wrong: verify_inclusion(LEAVES[index], index, size, wrong, root))


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIZES, SIZES).map(sorted), st.data())
def test_a_flipped_bit_anywhere_is_refused(sizes: list[int], data: st.DataObject) -> None:
    def flipped(parts: list[bytes]) -> list[bytes]:
        at, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
        value = int.from_bytes(parts[at], "big") ^ (1 << bit)
        return [*parts[:at], value.to_bytes(32, "big"), *parts[at + 1 :]]

    old, new = sizes
    index, root = old - 1, root_of(LEAVES[:new])
    leaf, given_root, *proof = flipped([LEAVES[index], root, *inclusion_proof(index, new, NODES)])
    assert not verified(lambda: verify_inclusion(leaf, index, new, proof, given_root))
    old_root, new_root, *proof = flipped([root_of(LEAVES[:old]), root, *consistency_proof(old, new, NODES)])
    assert not verified(lambda: verify_consistency(old, new, proof, old_root, new_root))


def test_the_empty_tree_is_the_beginning_of_every_tree_and_of_no_other_kind() -> None:
    root = root_of(LEAVES[:5])
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    verify_consistency(0, 5, [], EMPTY_ROOT, root)
    refused: list[tuple[int, int, list[bytes], bytes, bytes]] = [
        (0, 5, [], root, root),
        (0, 5, [root], EMPTY_ROOT, root),
        (0, 5, [], EMPTY_ROOT, b""),
        (0, 0, [], EMPTY_ROOT, root),
        (0, 0, [], root, root),
    ]
    assert not any(verified(lambda case=case: verify_consistency(*case)) for case in refused)


def test_absurd_counts_and_lengths_are_refused() -> None:
    leaf, root = LEAVES[0], root_of(LEAVES[:2])
    many = [leaf] * 100_000
    for index, size in [(0, 0), (-1, 2), (2, 2), (0, -1), (0, MAX_SIZE + 1), (2**70, 2**70 + 1)]:
        assert not verified(lambda index=index, size=size: verify_inclusion(leaf, index, size, [LEAVES[1]], root))
    for old, new in [(3, 2), (-1, 2), (1, MAX_SIZE + 1), (-2, -1)]:
        assert not verified(lambda old=old, new=new: verify_consistency(old, new, [LEAVES[1]], leaf, root))
    for proof in (many, [b""], [leaf + b"\0"], [leaf[:31]]):
        assert not verified(lambda proof=proof: verify_inclusion(leaf, 0, 2, proof, root))
        assert not verified(lambda proof=proof: verify_consistency(1, 2, proof, leaf, root))
    for short in (b"", leaf[:31]):
        assert not verified(lambda short=short: verify_inclusion(short, 0, 1, [], short))
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(2, 2, NODES)
    with pytest.raises(ValueError, match="part of"):
        consistency_proof(3, 2, NODES)


def test_the_largest_tree_has_proofs_of_63_hashes() -> None:
    path = [leaf_hash(b"%d" % i) for i in range(63)]
    root = leaf = LEAVES[0]
    for sibling in path:
        root = node_hash(root, sibling)
    verify_inclusion(leaf, 0, MAX_SIZE, path, root)
    assert not verified(lambda: verify_inclusion(leaf, 0, MAX_SIZE, [*path, leaf], root))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=6).filter(lambda chunks: sum(chunks) <= len(LEAVES)))
@example([256, 256])
@example([255, 1, 1])
def test_appending_in_any_chunks_gives_the_root_and_the_nodes_of_the_whole(chunks: list[int]) -> None:
    tree = Frontier()
    made: dict[int, list[bytes]] = {}
    for count in chunks:
        for height, hashes in tree.extend(LEAVES[tree.size : tree.size + count]).items():
            made.setdefault(height, []).extend(hashes)
    assert tree.root() == root_of(LEAVES[: sum(chunks)])
    assert tree.size == sum(chunks)
    for height, hashes in made.items():
        assert hashes == [NODES(height, index) for index in range(tree.size >> height)]


@settings(max_examples=60, deadline=None)
@given(SIZES | st.just(0), SIZES)
def test_a_frontier_read_from_nodes_goes_on_like_the_one_that_made_them(size: int, more: int) -> None:
    tree = Frontier.at(size, NODES)
    assert tree.root() == root_of(LEAVES[:size])
    draft = tree.copy()
    draft.extend(LEAVES[size : size + more])
    assert draft.root() == root_of(LEAVES[: size + more])
    assert (tree.size, tree.root()) == (size, root_of(LEAVES[:size]))
