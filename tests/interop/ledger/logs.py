"""Writes and verifies whole logs with the ledger's core alone: the one place to swap when the writer changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from strongroom.core.errors import IntegrityError
from strongroom.ledger._checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from strongroom.ledger._merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hashes,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from strongroom.ledger._notes import Note, SigningKey, VerifierKey
from strongroom.ledger._tiles import (
    TileReader,
    bundle_path,
    decode_bundle,
    encode_bundle,
    levels_of,
    tile_path,
    widths,
)


def entries_of(size: int) -> list[bytes]:
    """Canonical entries."""
    form = b'{"body":{"n":%d},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"py"}'
    return [form % n for n in range(size)]


def write_log(
    folder: Path, key: SigningKey, entries: Sequence[bytes], *, old: int = 0, witness: SigningKey | None = None
) -> Checkpoint:
    """A log that was published at size `old`, as checkpoint.old, and then at its whole size."""
    tree = Frontier()
    levels: dict[int, list[bytes]] = {}
    checkpoint = None
    for name, size in (("checkpoint.old", old), ("checkpoint", len(entries))):
        if name == "checkpoint.old" and not size:
            continue
        for height, hashes in tree.extend(leaf_hashes(entries[tree.size : size])).items():
            levels.setdefault(height // 8, []).extend(hashes)
        for level in range(levels_of(size)):
            for index, width in widths(size, level):
                _save(folder / tile_path(level, index, width), b"".join(levels[level][index * 256 :][:width]))
        for index, width in widths(size, 0):
            _save(folder / bundle_path(index, width), encode_bundle(entries[index * 256 :][:width]))
        checkpoint = Checkpoint(key.verifier.name, size, tree.root())
        lines = [key.sign_text(checkpoint.text())]
        if witness is not None:
            lines.insert(0, witness.cosign(checkpoint.text(), 1_793_525_400))
        _save(folder / name, Note(checkpoint.text(), tuple(lines)).encode())
    assert checkpoint is not None
    return checkpoint


def verify_log(
    folder: Path, key: VerifierKey, *, witnesses: Sequence[VerifierKey] = ()
) -> tuple[SignedCheckpoint, list[bytes]]:
    """Every signature, tile, bundle and proof of a log; returns its checkpoint and entries. Raises IntegrityError."""
    signed = open_checkpoint((folder / "checkpoint").read_bytes(), [key], witnesses=witnesses, where="checkpoint")
    size, root = signed.checkpoint.size, signed.checkpoint.root
    entries: list[bytes] = []
    for index, width in widths(size, 0):
        path = bundle_path(index, width)
        entries += decode_bundle((folder / path).read_bytes(), width, path)
    tree = Frontier()
    made = tree.extend(leaf_hashes(entries))
    if tree.root() != root:
        raise IntegrityError("the entries do not lead to the root", where=str(folder))
    for level in range(levels_of(size)):
        for index, width in widths(size, level):
            path = tile_path(level, index, width)
            if (folder / path).read_bytes() != b"".join(made[8 * level][index * 256 :][:width]):
                raise IntegrityError("the tile is not that of the entries", where=path)
    read = TileReader(size, lambda level, index, width: (folder / tile_path(level, index, width)).read_bytes())
    assert tree_root(size, read) == root
    for index in some_indexes(size):
        verify_inclusion(leaf_hashes([entries[index]])[0], index, size, inclusion_proof(index, size, read), root)
    for old in some_indexes(size):
        verify_consistency(old, size, consistency_proof(old, size, read), tree_root(old, read), root)
    return signed, entries


def some_indexes(size: int) -> list[int]:
    """The edges of tiles, and both ends."""
    return sorted({i for i in (0, 1, 255, 256, 257, 511, 65_535, 65_536, size // 2, size - 1) if 0 <= i < size})


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
