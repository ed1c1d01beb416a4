"""The Merkle tree of RFC 6962 and its proofs: bytes in, bytes out, no IO.

A hash is 32 bytes of SHA-256. A *node* `(height, index)` is the hash of the 2**height leaves from
`index * 2**height` on, all of which exist; every proof is made of nodes and can be computed from them alone.

Invariants: nothing here trusts a count; whatever verifies raises IntegrityError and returns nothing.

>>> leaves = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
>>> tree = Frontier()
>>> _ = tree.extend(leaves)
>>> verify_inclusion(leaves[2], 2, 3, inclusion_proof(2, 3, nodes_of(leaves)), tree.root())
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from ..core.errors import IntegrityError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "MAX_SIZE",
    "Frontier",
    "NodeReader",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "nodes_of",
    "proven_root",
    "root_of",
    "subtree_root",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
    "verify_subtree_consistency",
    "verify_subtree_inclusion",
]

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
"""No tree is larger (tlog-cosignature and tlog-witness allow 63 proof lines)."""
EMPTY_ROOT = sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]
"""`(height, index)` to the node's hash."""


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962, section 2.1: SHA-256(0x00 || entry)."""
    return sha256(b"\0" + entry).digest()


def leaf_hashes(entries: Sequence[bytes]) -> list[bytes]:
    """`leaf_hash` of each."""
    return [sha256(b"\0" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962, section 2.1: SHA-256(0x01 || left || right)."""
    return sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """MTH over hashes that are leaves, or the roots of equally large full subtrees."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        pairs = iter(row)
        above = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        if len(row) % 2:
            above.append(row[-1])
        row = above
    return row[0]


class Frontier:
    """The roots of the full subtrees that a tree of `size` leaves consists of: all that appending needs.

    At most 63 hashes, whatever the size. `nodes[h]` is the pending node of height h, or None; bit h of `size`
    says which.
    """

    def __init__(self, size: int = 0, nodes: Sequence[bytes | None] = ()) -> None:
        self.size = size
        self.nodes: list[bytes | None] = list(nodes)

    @classmethod
    def at(cls, size: int, read: NodeReader) -> Frontier:
        """The frontier of a tree whose nodes can be read."""
        return cls(size, [read(h, (size >> h) - 1) if size >> h & 1 else None for h in range(size.bit_length())])

    def copy(self) -> Frontier:
        """One that can be extended and thrown away."""
        return Frontier(self.size, self.nodes)

    def extend(self, hashes: Sequence[bytes]) -> dict[int, list[bytes]]:
        """Appends leaf hashes. Returns the nodes that this completed at heights 0, 8, 16, …, left to right."""
        made: dict[int, list[bytes]] = {}
        row = list(hashes)
        self.size += len(row)
        height = 0
        while row:
            if height % 8 == 0:
                made[height] = row
            if height == len(self.nodes):
                self.nodes.append(None)
            pending = self.nodes[height]
            if pending is not None:
                row = [pending, *row]
            self.nodes[height] = row[-1] if len(row) % 2 else None
            pairs = iter(row)
            row = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
            height += 1
        return made

    def root(self) -> bytes:
        """MTH of the whole tree."""
        root = b""
        for node in self.nodes:
            if node is not None:
                root = node_hash(node, root) if root else node
        return root or EMPTY_ROOT


def nodes_of(hashes: Sequence[bytes]) -> NodeReader:
    """Reads nodes of a tree whose leaf hashes are all in memory; for tests and small trees."""
    return lambda height, index: root_of(hashes[index << height : (index + 1) << height])


def tree_root(size: int, read: NodeReader) -> bytes:
    """MTH of the first `size` leaves."""
    return subtree_root(0, size, read) if size else EMPTY_ROOT


def proven_root(old: int, new: int, read: NodeReader, root: bytes) -> bytes:
    """MTH of the first `old` leaves, by nodes that were seen to lead to `root`, that of the first `new`.

    Each node is read once, so a reader that answers differently the next time cannot make a root look proven.
    Raises IntegrityError when they do not lead there, ValueError.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no tree of {old} is part of one of {new}")
    nodes = {(index << height, (index + 1) << height): read(height, index) for height, index in _full_subtrees(0, old)}

    def rebuilt(first: int, last: int) -> bytes:
        if (first, last) in nodes:
            return nodes[first, last]
        if first >= old:
            return subtree_root(first, last, read)
        middle = first + _split(last - first)
        return node_hash(rebuilt(first, middle), rebuilt(middle, last))

    if new and rebuilt(0, new) != root:
        raise _bad("the tiles do not lead to the checkpoint's root")
    found = b""
    for node in reversed(nodes.values()):
        found = node_hash(node, found) if found else node
    return found or EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """RFC 6962, section 2.1.1: the siblings from the leaf up. Raises ValueError for an index outside the tree."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(subtree_root(middle, last, read))
            last = middle
        else:
            proof.append(subtree_root(first, middle, read))
            first = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """RFC 6962, section 2.1.2. Empty for an empty old tree and for equal sizes. Raises ValueError."""
    if not 0 <= old <= new:
        raise ValueError(f"no tree of {old} is part of one of {new}")
    if old in (0, new):
        return []
    proof = []
    first, last = 0, new
    while old != last:
        middle = first + _split(last - first)
        if old <= middle:
            proof.append(subtree_root(middle, last, read))
            last = middle
        else:
            proof.append(subtree_root(first, middle, read))
            first = middle
    if first:  # otherwise the verifier has this hash: it is the old root
        proof.append(subtree_root(first, last, read))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162, section 2.1.3.2. Raises IntegrityError unless `leaf` is number `index` of the tree under `root`."""
    verify_subtree_inclusion(leaf, index, 0, size, proof, root)


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """RFC 9162, section 2.1.4.2. Raises IntegrityError unless the old tree is the beginning of the new one."""
    if old == 0 and (len(new_root) != HASH_BYTES or (new == 0 and new_root != EMPTY_ROOT)):
        # No proof leads to the newer root here (tlog-witness accepts any), so its form is all that can be wrong.
        raise _bad("the newer root is no hash, or not that of the empty tree")
    verify_subtree_consistency(0, old, new, proof, old_root, new_root)


def verify_subtree_inclusion(
    leaf: bytes, index: int, start: int, end: int, proof: Sequence[bytes], root: bytes
) -> None:
    """draft-ietf-plants-merkle-tree-certs, section 4.3.2: inclusion in the subtree of leaves [start, end)."""
    _check_subtree(start, end)
    if not start <= index < end:
        raise _bad(f"entry {index} is not among the entries {start} to {end}")
    _check_hashes([leaf, root, *proof])
    node, last = index - start, end - start - 1
    hash_ = leaf
    for sibling in proof:
        if last == 0:
            raise _bad("the proof is too long")
        if node & 1 or node == last:
            hash_ = node_hash(sibling, hash_)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            hash_ = node_hash(hash_, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise _bad("the proof is too short")
    if hash_ != root:
        raise _bad("the proof does not lead to the root")


def verify_subtree_consistency(
    start: int, end: int, size: int, proof: Sequence[bytes], subtree_root: bytes, root: bytes
) -> None:
    """draft-ietf-plants-merkle-tree-certs, section 4.4.3; its steps are numbered as there."""
    # 1. The subtree is one, and part of the tree.
    if not 0 <= start <= end <= size <= MAX_SIZE:
        raise _bad(f"a tree of {size} entries does not hold the entries {start} to {end}")
    if start == end:  # tlog-witness: the empty tree is consistent with any tree, and no proof is necessary
        if proof or subtree_root != EMPTY_ROOT:
            raise _bad("the proof from an empty tree must be empty, and its root that of the empty tree")
        return
    _check_subtree(start, end)
    _check_hashes(proof)
    # 2. and 3. Up to the node with which the proof starts.
    first, last, top = start, end - 1, size - 1
    while first != last and (last == top or last & 1):
        first, last, top = first >> 1, last >> 1, top >> 1
    # 4. That node is the subtree itself, or the proof begins with it.
    if first != last and not proof:
        raise _bad("the proof is empty")
    node, rest = (subtree_root, proof) if first == last else (proof[0], proof[1:])
    # 5. and 6. Both ends meet.
    old, new = _climb(node, rest, first, last, top)
    if old != subtree_root:
        raise _bad("the proof does not lead to the older root")
    if new != root:
        raise _bad("the proof does not lead to the newer root")


def _climb(node: bytes, rest: Sequence[bytes], first: int, last: int, top: int) -> tuple[bytes, bytes]:
    """Step 5: every further hash is a sibling, left of both nodes or right of the newer one alone."""
    old = new = node
    for sibling in rest:
        if top == 0:
            raise _bad("the proof is too long")
        if last & 1 or last == top:
            if first < last:
                old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not last & 1 and last:
                first, last, top = first >> 1, last >> 1, top >> 1
        else:
            new = node_hash(new, sibling)
        first, last, top = first >> 1, last >> 1, top >> 1
    if top:
        raise _bad("the proof is too short")
    return old, new


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def subtree_root(first: int, last: int, read: NodeReader) -> bytes:
    """MTH of leaves [first, last), where `first` is a multiple of a power of two that is at least the length."""
    root = b""
    for height, index in reversed(list(_full_subtrees(first, last))):
        node = read(height, index)
        root = node_hash(node, root) if root else node
    return root


def _full_subtrees(first: int, last: int) -> Iterator[tuple[int, int]]:
    while first < last:
        height = (last - first).bit_length() - 1
        yield height, first >> height
        first += 1 << height


def _check_subtree(start: int, end: int) -> None:
    """Section 4.1 of the draft: a subtree begins at a multiple of the power of two that its length rounds up to."""
    if not 0 <= start < end <= MAX_SIZE:
        raise _bad(f"there are no entries {start} to {end}")
    if start % (1 << (end - start - 1).bit_length()):
        raise _bad(f"the entries {start} to {end} are no subtree")


def _check_hashes(proof: Sequence[bytes]) -> None:
    if len(proof) > 2 * MAX_SIZE.bit_length():
        raise _bad(f"a proof of {len(proof)} hashes fits no tree")
    if any(len(hash_) != HASH_BYTES for hash_ in proof):
        raise _bad("a hash has not 32 bytes")


def _bad(what: str) -> IntegrityError:
    return IntegrityError(what, next="the proof or the log was changed, or they belong to different logs")
