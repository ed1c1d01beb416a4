"""Logs of access entries for tests, made with the real sequencer, and events to fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from strongroom.audit import Answer, Subjects, entry_of
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


PEOPLE = ["ann@example.org", "bob@example.org", "eve@example.org"]
ASSETS = ["acme/summariser:1", "acme/summariser:2", "acme/summariser", "acme/judge", "acme/summariser-2"]
ACTIONS = ["open", "seal"]
COUNT = 300


def entries(subjects: Subjects, count: int = COUNT, first: int = 0) -> list[bytes]:
    """Access entries of a few people, assets and actions, a second apart, and entries of another type between."""
    made = []
    for number in range(first, first + count):
        if number % 7 == 3:
            made.append(raw({"asset": ASSETS[0], "principal": "x", "n": number}, type="strongroom.lease/1"))
            continue
        given = event(
            number,
            principal=PEOPLE[number % 3],
            asset=ASSETS[number % 5],
            action=ACTIONS[number % 2],
            reason=f"n{number}",
        )
        made.append(encode_entry(entry_of(given, subjects, "door")))
    return made


def numbers(count: int = COUNT, *, person: str = "", assets: tuple[str, ...] = (), action: str = "") -> list[int]:
    """The same questions asked of the recipe."""
    return [
        number
        for number in range(count)
        if number % 7 != 3
        and person in ("", PEOPLE[number % 3])
        and (not assets or ASSETS[number % 5] in assets)
        and action in ("", ACTIONS[number % 2])
    ]


def found(answers: Iterable[Answer]) -> list[int]:
    return [answer.index for answer in answers]


class Lying:
    """A reader whose answers somebody changed on the way."""

    def __init__(self, honest: LogReader, **changed: Callable[..., Any]) -> None:
        self._honest = honest
        self._changed = changed

    def __getattr__(self, name: str) -> Any:
        return self._changed.get(name) or getattr(self._honest, name)
