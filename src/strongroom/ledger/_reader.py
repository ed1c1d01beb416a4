"""Reading a log that nobody is trusted with: whatever is returned leads to the checkpoint's root."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from ..core.errors import InputError, IntegrityError
from ._checkpoint import SignedCheckpoint, open_checkpoint
from ._merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    proven_root,
    root_of,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)
from ._notes import MAX_NOTE_BYTES, VerifierKey
from ._proof import InclusionProof
from ._storage import Source
from ._tiles import (
    HEIGHT,
    MAX_BUNDLE_BYTES,
    WIDTH,
    TileReader,
    bundle_path,
    decode_bundle,
    tile_path,
    width_of,
)

__all__ = ["LogReader", "read_checkpoint", "read_file"]

CACHED_BUNDLES = 4


def read_checkpoint(
    source: Source, keys: Sequence[VerifierKey], *, witnesses: Sequence[VerifierKey] = (), name: str = "checkpoint"
) -> SignedCheckpoint:
    """A log's checkpoint, verified. Raises IntegrityError, InputError when there is none."""
    where = f"{source.name}/{name}"
    data = source.read(name, MAX_NOTE_BYTES)
    if data is None:
        raise InputError("there is no checkpoint", where=where, next="name a log")
    return open_checkpoint(data, keys, witnesses=witnesses, where=where)


def read_file(source: Source, path: str, limit: int) -> bytes:
    """A tile or bundle; where a partial one is gone, the full one that replaced it. Raises IntegrityError."""
    for name in dict.fromkeys((path, path.partition(".p/")[0])):
        data = source.read(name, limit)
        if data is not None:
            return data
    raise IntegrityError("a file of the log is missing", where=f"{source.name}/{path}")


class LogReader:
    """A log up to one verified checkpoint. Memory does not grow with the log."""

    def __init__(self, source: Source, signed: SignedCheckpoint) -> None:
        self.source = source
        self.signed = signed
        self._tiles = TileReader(self.size, self._fetch)
        self._bundles: OrderedDict[int, list[bytes]] = OrderedDict()

    @property
    def origin(self) -> str:
        """Which log."""
        return self.signed.checkpoint.origin

    @property
    def size(self) -> int:
        """Entries up to the checkpoint."""
        return self.signed.checkpoint.size

    @property
    def root(self) -> bytes:
        """The root that everything leads to."""
        return self.signed.checkpoint.root

    def entry(self, index: int) -> bytes:
        """One entry. Raises InputError outside the log, IntegrityError naming the file that does not fit."""
        self._check_index(index)
        return self._bundle(index // WIDTH)[index % WIDTH]

    def entries(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Indices and entries of [first, last), verified bundle by bundle."""
        end = self.size if last is None else min(last, self.size)
        for number in range(first // WIDTH, (end + WIDTH - 1) // WIDTH):
            for offset, entry in enumerate(self._bundle(number)):
                index = number * WIDTH + offset
                if first <= index < end:
                    yield index, entry

    def prove(self, index: int) -> InclusionProof:
        """A proof that was verified before it is returned. Raises InputError, IntegrityError."""
        self._check_index(index)
        hashes = inclusion_proof(index, self.size, self._tiles)
        with self._named():
            verify_inclusion(self._tiles(0, index), index, self.size, hashes, self.root)
        return InclusionProof(index, tuple(hashes), self.signed.note)

    def prove_entry(self, index: int) -> tuple[bytes, InclusionProof]:
        """An entry and its proof."""
        proof, entry = self.prove(index), self._raw_bundle(index // WIDTH)[index % WIDTH]
        with self._named():
            verify_inclusion(leaf_hash(entry), index, self.size, proof.hashes, self.root)
        return entry, proof

    def prove_consistency(self, old: int) -> list[bytes]:
        """From the first `old` entries to this checkpoint, verified. Raises InputError, IntegrityError."""
        if not 0 <= old <= self.size:
            raise InputError(f"the log has {self.size:,} entries, not {old:,}", where=self.source.name)
        hashes = consistency_proof(old, self.size, self._tiles)
        with self._named():
            verify_consistency(old, self.size, hashes, self.root_at(old), self.root)
        return hashes

    def root_at(self, size: int) -> bytes:
        """The root that the first `size` entries have, proven to lead to the checkpoint. Raises as `prove` does."""
        if not 0 <= size <= self.size:
            raise InputError(f"the log has {self.size:,} entries, not {size:,}", where=self.source.name)
        with self._named():
            return proven_root(size, self.size, self._tiles, self.root)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """An error of a proof says in which log."""
        try:
            yield
        except IntegrityError as error:
            error.where = error.where or self.source.name
            raise

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.size:
            raise InputError(
                f"there is no entry {index:,}: the log has {self.size:,} entries, counted from 0",
                where=self.source.name,
            )

    def _bundle(self, number: int) -> list[bytes]:
        """A bundle whose entries are those of the tree: its leaves make a block that leads to the root."""
        if number in self._bundles:
            return self._bundles[number]
        entries = self._raw_bundle(number)
        block, blocks = root_of(leaf_hashes(entries)), (self.size + WIDTH - 1) // WIDTH
        # Above the bundles the tree has the same shape as a tree whose leaves they are.
        proof = inclusion_proof(number, blocks, self._block_node)
        try:
            verify_inclusion(block, number, blocks, proof, self.root)
        except IntegrityError as error:
            where = f"{self.source.name}/{bundle_path(number, len(entries))}"
            raise IntegrityError(
                "a bundle or the tiles above it do not lead to the checkpoint's root",
                where=where,
                next="run 'strongroom ledger verify', which names the file",
            ) from error
        self._bundles[number] = entries
        if len(self._bundles) > CACHED_BUNDLES:
            self._bundles.popitem(last=False)
        return entries

    def _raw_bundle(self, number: int) -> list[bytes]:
        width = width_of(self.size, 0, number)
        path = bundle_path(number, width)
        return decode_bundle(read_file(self.source, path, MAX_BUNDLE_BYTES), width, f"{self.source.name}/{path}")

    def _block_node(self, height: int, index: int) -> bytes:
        first = index << height + HEIGHT
        return subtree_root(first, min(first + (1 << height + HEIGHT), self.size), self._tiles)

    def _fetch(self, level: int, index: int, width: int) -> bytes:
        return read_file(self.source, tile_path(level, index, width), WIDTH * 32)
