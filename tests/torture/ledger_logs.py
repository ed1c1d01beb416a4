"""Logs to break: keys, entries that nobody else has, and what must hold after whatever happened."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from strongroom.ledger import Checkpoint, KeyFile, LogReader, NoteSigner, Sequencer, open_ledger, verify_log
from strongroom.ledger import DirectoryStorage as Directory
from strongroom.ledger import Limits as SequencerLimits
from strongroom.ledger._checkpoint import open_checkpoint
from strongroom.ledger._disk import Disk
from strongroom.ledger._notes import MAX_NOTE_BYTES, SigningKey

KEY = SigningKey("log.example/torture", bytes(range(32)))
SIGNER = NoteSigner(KeyFile(KEY), KEY.verifier)
_FORM = b'{"body":{"n":%d,"text":"%b"},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"t"}'


def entry(number: int, size: int = 0) -> bytes:
    """A canonical entry that no other number has."""
    return _FORM % (number, b"x" * size)


def checkpoint_of(note: bytes) -> Checkpoint:
    """A note that we signed."""
    return open_checkpoint(note, [KEY.verifier], where="seen").checkpoint


class NoSync(Disk):
    """For logs that nobody will take the power from."""

    def sync(self, paths: Iterable[Path]) -> None:
        """Does nothing."""

    def sync_directories(self, paths: Iterable[Path]) -> None:
        """Does nothing."""


def opened(root: Path, disk: Disk | None = None, **options: Any) -> Sequencer:
    """The sequencer of the log in `root`, whose lock is beside it."""
    options.setdefault("limits", SequencerLimits(publish_seconds=0.0))
    return open_ledger(Directory(root, disk or Disk()), SIGNER, root.with_name(root.name + ".lock"), **options)


def check_log(root: Path, acknowledged: Mapping[int, bytes], seen: Mapping[int, bytes]) -> LogReader:
    """What is public is whole, holds what was acknowledged, and continues every checkpoint (size to root) seen."""
    source = Directory(root / "public")
    verify_log(source, [KEY.verifier]).check(str(root))
    note = source.read("checkpoint", MAX_NOTE_BYTES)
    assert note is not None
    reader = LogReader(source, open_checkpoint(note, [KEY.verifier], where=str(root)))
    for index, data in acknowledged.items():
        assert index < reader.size, f"entry {index} was acknowledged, and the log ends at {reader.size}"
        assert reader.entry(index) == data, f"entry {index} is another than the one that was acknowledged"
    for size, tree in seen.items():
        assert size <= reader.size, f"a checkpoint of {size} entries was signed, and the log ends at {reader.size}"
        assert reader.root_at(size) == tree, f"the log forked: {size}, {base64.b64encode(tree).decode()}"
    return reader
