"""Logs for tests: made with the real sequencer, in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from strongroom.core.records import Entry
from strongroom.ledger import (
    KeyFile,
    Limits,
    NoteSigner,
    Sequencer,
    create_key,
    create_ledger,
    encode_entry,
    open_ledger,
    storage_at,
)

ORIGIN = "log.example/test"
QUICK = Limits(publish_seconds=0.0)


def entry(number: int, **body: Any) -> bytes:
    """A canonical entry that no other number has."""
    return encode_entry(
        Entry(type="strongroom.test/1", time="2026-11-01T09:30:00.123Z", writer="test", body={"n": number, **body})
    )


class Home:
    """A log's directory, its key and its lock."""

    def __init__(self, path: Path, storage: Any = None) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.storage = storage or storage_at(str(path / "ledger"))
        key = create_key(path / "key", ORIGIN)
        self.verifier = key.verifier
        self.signer = NoteSigner(KeyFile(key), key.verifier)
        create_ledger(self.storage, self.signer)

    @property
    def public(self) -> Path:
        return self.path / "ledger" / "public"

    def open(self, **options: Any) -> Sequencer:
        options.setdefault("limits", QUICK)
        return open_ledger(self.storage, self.signer, self.path / "lock", **options)

    def grow(self, first: int, count: int) -> None:
        """Appends entries `first` to `first + count`, in one commit, and closes."""
        sequencer = self.open()
        sequencer.append_many([entry(number) for number in range(first, first + count)])
        sequencer.close()
