"""Recent releases are counted the same with an index, with an old one, without one, and by a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strongroom.audit import Recent, Subjects, ask, entry_of, recent_releases
from strongroom.audit import _recent as module
from strongroom.ledger import LogReader, encode_entry

from .logs import SECOND, START, Log, event, raw

ACTIONS = ["ExportWeights", "OpenWeights"]
COUNT = 600
"""More than two bundles, and each tenth a release."""


def made(subjects: Subjects, first: int, last: int) -> list[bytes]:
    entries = []
    for number in range(first, last):
        fields: dict[str, Any] = {"action": "Seal"}
        if number % 10 == 0:
            fields = {"action": ACTIONS[number % 20 == 0], "lease": f"lse_{number:032x}"}
        if number % 40 == 0:
            fields["credential"] = "api-key:abc"
        if number % 100 == 50:
            fields |= {"outcome": "refused", "lease": ""}
        entries.append(encode_entry(entry_of(event(number, **fields), subjects, "door")))
    return entries


@pytest.fixture
def reader(log: Log, subjects: Subjects) -> LogReader:
    return log.append(made(subjects, 0, COUNT))


def counted(found: Recent) -> tuple[int, ...]:
    return found.releases, found.under_lease, found.with_credential, found.refused


def test_all_ways_lead_to_the_same_counts(
    log: Log, reader: LogReader, subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index.db"
    without = recent_releases(reader, ACTIONS, START, index=None)
    assert counted(without) == (54, 54, 15, 6)
    assert without.complete
    list(ask(reader, asset="acme/none", index=index))
    grown = log.append(made(subjects, COUNT, COUNT + 100))
    expected = counted(recent_releases(grown, ACTIONS, START, index=None, scan=True))
    for place in (index, tmp_path / "missing.db", None):
        found = recent_releases(grown, ACTIONS, START, index=place)
        assert (counted(found), found.complete) == (expected, True)
    with_index = recent_releases(grown, ACTIONS, START, index=index)
    assert with_index.entries_read == COUNT // 10 + 100
    monkeypatch.setattr(module, "MAX_TAIL", 100)
    assert recent_releases(grown, ACTIONS, START, index=index) == with_index
    short = recent_releases(grown, ACTIONS, START, index=None)
    assert (short.entries_read, short.complete) == (100, False)


def test_a_window_leaves_out_what_is_older(reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    since = START + 500 * SECOND
    whole = recent_releases(reader, ACTIONS, since, index=None, scan=True)
    assert counted(whole) == (9, 9, 2, 1)
    monkeypatch.setattr(module, "MAX_TAIL", 200)
    found = recent_releases(reader, ACTIONS, since, index=None)
    assert (counted(found), found.complete, found.entries_read) == (counted(whole), True, 200)


def test_more_releases_than_are_read_are_not_called_complete(
    reader: LogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index.db"
    list(ask(reader, asset="acme/none", index=index))
    monkeypatch.setattr(module, "MAX_HITS", 10)
    found = recent_releases(reader, ACTIONS, START, index=index)
    assert (found.entries_read, found.complete) == (10, False)


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0nothing", b"\xff" * 4096])
def test_an_index_that_does_not_fit_is_left_as_it_is(reader: LogReader, tmp_path: Path, damage: bytes) -> None:
    index = tmp_path / "index.db"
    index.write_bytes(damage)
    assert recent_releases(reader, ACTIONS, START, index=index).entries_read == COUNT
    assert index.read_bytes() == damage


def test_an_index_of_another_log_counts_for_nothing(reader: LogReader, tmp_path: Path, subjects: Subjects) -> None:
    other = Log(tmp_path / "other", "log.example/other").append(made(subjects, 0, 50))
    index = tmp_path / "index.db"
    list(ask(other, asset="acme/none", index=index))
    assert recent_releases(reader, ACTIONS, START, index=index).entries_read == COUNT


def test_entries_that_nobody_checked_are_no_releases(log: Log) -> None:
    bodies: list[Any] = [
        {"action": ["OpenWeights"], "outcome": "allowed"},
        {"action": "OpenWeights", "outcome": 7},
        {"time": "yesterday", "action": "OpenWeights", "outcome": "allowed"},
    ]
    reader = log.append([raw(body) for body in bodies] + [raw({"action": "OpenWeights"}, type="strongroom.lease/1")])
    found = recent_releases(reader, ACTIONS, START, index=None)
    assert (found.releases, found.under_lease, found.entries_read) == (1, 0, 4)
