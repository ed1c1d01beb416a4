"""Writes logs with the real sequencer, and verifies whole logs with the real verifier."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from strongroom.ledger import (
    Checkpoint,
    DirectoryStorage,
    KeyFile,
    Limits,
    LogReader,
    NoteSigner,
    SignedCheckpoint,
    VerifierKey,
    create_ledger,
    open_ledger,
    read_checkpoint,
    storage_at,
)
from strongroom.ledger import verify_log as verify
from strongroom.ledger._notes import SigningKey


def entries_of(size: int) -> list[bytes]:
    """Canonical entries."""
    form = b'{"body":{"n":%d},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"py"}'
    return [form % n for n in range(size)]


def write_log(
    folder: Path, key: SigningKey, entries: Sequence[bytes], *, old: int = 0, witness: SigningKey | None = None
) -> Checkpoint:
    """The public files of a log that was published at size `old`, as checkpoint.old, and then at its whole size."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        storage, signer = storage_at(str(home / "ledger")), NoteSigner(KeyFile(key), key.verifier)
        public = home / "ledger" / "public"
        create_ledger(storage, signer)
        sequencer = open_ledger(storage, signer, home / "lock", limits=Limits(publish_seconds=0.0))
        for size in (old, len(entries)):
            sequencer.append_many(entries[sequencer.committed.checkpoint.size : size])
            committed = sequencer.flush()
            if witness is not None:
                sequencer.add_cosignatures(committed, [witness.cosign(committed.checkpoint.text(), 1_793_525_400)])
            if size == old and old:
                shutil.copy(public / "checkpoint", public / "checkpoint.old")
        sequencer.close()
        shutil.copytree(public, folder, dirs_exist_ok=True)
        return committed.checkpoint


def verify_log(
    folder: Path, key: VerifierKey, *, witnesses: Sequence[VerifierKey] = ()
) -> tuple[SignedCheckpoint, list[bytes]]:
    """Every signature, tile, bundle and proof of a log; returns its checkpoint and entries. Raises IntegrityError."""
    source = DirectoryStorage(folder)
    verify(source, [key], witnesses=witnesses, quorum=len(witnesses)).check(str(folder))
    signed = read_checkpoint(source, [key], witnesses=witnesses)
    reader = LogReader(source, signed)
    for index in some_indexes(reader.size):
        reader.prove_entry(index)
        reader.prove_consistency(index)
    return signed, [entry for _, entry in reader.entries()]


def some_indexes(size: int) -> list[int]:
    """The edges of tiles, and both ends."""
    return sorted({i for i in (0, 1, 255, 256, 257, 511, 65_535, 65_536, size // 2, size - 1) if 0 <= i < size})
