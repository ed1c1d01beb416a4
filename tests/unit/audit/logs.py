"""Logs of access entries for tests, made with the real sequencer, and events to fill them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from strongroom.core.records import AccessEvent, Entry
from strongroom.ledger import (
    KeyFile,
    Limits,
    LogReader,
    NoteSigner,
    create_key,
    create_ledger,
    encode_entry,
    open_ledger,
    open_source,
    read_checkpoint,
    storage_at,
)

ORIGIN = "log.example/audit"
START = 1_793_525_400_123_000
"""2026-11-01T09:30:00.123Z"""
SECOND = 1_000_000


def event(number: int = 0, **fields: Any) -> AccessEvent:
    minute, second = divmod(number, 60)
    plain = {
        "id": f"evt_019a3f20c1d47c3e8e{number:014x}",
        "time": f"2026-11-01T09:{30 + minute:02d}:{second:02d}.123Z",
        "principal": "ann@example.org",
        "action": "open",
        "asset": "acme/summariser:2026-11",
        "outcome": "allowed",
    }
    return AccessEvent(**(plain | fields))


def raw(body: Any, type: str = "strongroom.access/1") -> bytes:
    """An entry whose body nobody checked."""
    return encode_entry(Entry(type=type, time="2026-11-01T09:30:00.123Z", writer="door", body=body))


class Log:
    """A growing log in a directory."""

    def __init__(self, path: Path, origin: str = ORIGIN) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._storage = storage_at(str(path / "ledger"))
        key = create_key(path / "key", origin)
        self.verifier = key.verifier
        self._signer = NoteSigner(KeyFile(key), key.verifier)
        create_ledger(self._storage, self._signer)

    def append(self, entries: list[bytes]) -> LogReader:
        """Appends, and reads what is there now."""
        sequencer = open_ledger(self._storage, self._signer, self._path / "lock", limits=Limits(publish_seconds=0.0))
        sequencer.append_many(entries)
        sequencer.close()
        return self.reader()

    def reader(self) -> LogReader:
        source = open_source(str(self._path / "ledger" / "public"))
        return LogReader(source, read_checkpoint(source, [self.verifier]))
