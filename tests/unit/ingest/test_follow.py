"""Of a log that grew only the new part is read, and every record is taken in once, however the log came to be."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.core.errors import InputError
from strongroom.ingest import Follower, Settings
from strongroom.ingest import _follow as follow
from strongroom.store import Store

KEY = Settings(bytes(32))


def line(number: int) -> str:
    return json.dumps({"time": "2026-11-01T09:30:00Z", "account": "a", "prompt": f"question number {number}"}) + "\n"


def lines(first: int, end: int) -> str:
    return "".join(line(number) for number in range(first, end))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "a.jsonl"


@pytest.fixture
def follower(log: Path, tmp_path: Path) -> Follower:
    return Follower([str(log.parent)], Store(tmp_path / "store"), KEY)


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def positions(tmp_path: Path) -> list[int]:
    store = Store(tmp_path / "store")
    return sorted(store.table(store.exchanges().select("position"))["position"].to_pylist())


def test_only_the_new_part_is_read(log: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    add(log, lines(0, 1_000))
    assert follower.read() == 1_000
    taken = []
    reading = follow._Part.readinto
    monkeypatch.setattr(follow._Part, "readinto", lambda *a: (taken.append(reading(*a)), taken[-1])[1])
    add(log, lines(1_000, 1_003))
    assert follower.read() == 3
    assert sum(taken) == len(lines(1_000, 1_003))
    assert follower.read() == 0


def test_places_count_on_and_the_digest_is_that_of_what_was_read(log: Path, follower: Follower, tmp_path: Path) -> None:
    add(log, lines(0, 3))
    follower.read()
    add(log, "\nno record\n" + line(5) + line(6)[:9])
    assert follower.read() == 1
    assert positions(tmp_path) == [1, 2, 3, 6]
    (source,) = follower.report.sources
    read = log.read_bytes()[: source.bytes]
    assert source.digest == f"sha256:{hashlib.sha256(read).hexdigest()}"
    assert read.endswith(line(5).encode())
    assert (source.records, source.new, source.skipped) == (5, 4, 1)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_whole_object_needs_no_end_of_line(log: Path, follower: Follower, tmp_path: Path, end: str) -> None:
    add(log, line(0) + line(1).rstrip())
    assert follower.read() == 2
    add(log, (end or "\n") + line(2))
    assert follower.read() == 1
    assert positions(tmp_path) == [1, 2, 3]


def test_equal_lines_are_as_many_as_there_are(log: Path, follower: Follower, tmp_path: Path) -> None:
    add(log, line(0) * 3)
    assert follower.read() == 3
    add(log, line(0) * 2)
    assert follower.read() == 2
    assert Follower([str(log)], Store(tmp_path / "store"), KEY).read() == 0, "the same as read at once"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 1_600), max_size=6), seed=st.integers(0, 3))
def test_however_a_log_is_cut_all_of_it_is_read_once(
    cuts: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    text = ("\ufeff" if seed == 1 else "") + "".join(line(number % (7 + seed)) for number in range(15)).replace(
        "\n", "\r\n" if seed == 2 else "\n"
    )
    data = text.encode()
    log = folder / "a.jsonl"
    follower = Follower([str(folder / "*.jsonl")], Store(folder / "store"), KEY)
    done = new = 0
    for cut in [*sorted(cuts), len(data)]:
        with log.open("ab") as file:
            file.write(data[done : max(cut, done)])
        done = max(cut, done)
        new += follower.read()
    assert new == 15
    assert follower.report.skipped == {}


def test_what_is_compressed_is_read_anew_and_adds_what_is_new(log: Path, follower: Follower) -> None:
    packed = log.with_suffix(".gz")
    packed.write_bytes(gzip.compress(lines(0, 5).encode()))
    assert follower.read() == 5
    packed.write_bytes(gzip.compress(lines(0, 8).encode()))
    assert follower.read() == 3


def test_a_rotated_log_is_read_on_under_its_new_name(log: Path, follower: Follower) -> None:
    add(log, lines(0, 5))
    follower.read()
    log.rename(log.with_suffix(".1"))
    add(log.with_suffix(".1"), line(5))
    add(log, lines(6, 8))
    assert follower.read() == 3
    assert [source.records for source in follower.report.sources] == [6, 2]


@pytest.mark.parametrize("same_size", [True, False])
def test_a_replaced_log_is_read_from_its_beginning(log: Path, follower: Follower, same_size: bool) -> None:
    add(log, lines(100, 200))
    follower.read()
    log.write_text(lines(200, 300 if same_size else 250))
    os.utime(log, ns=(1, 1))
    assert follower.read() == (100 if same_size else 50)


def test_a_failure_in_the_middle_loses_and_doubles_nothing(
    log: Path, follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(log, lines(0, 10))
    follower.read()
    add(log, line(0) + lines(10, 20))

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(follow._Part, "readinto", fail)
        assert follower.read() == 0
    os.utime(log)
    assert follower.read() == 11
    assert len(positions(tmp_path)) == 21


def test_what_may_come_is_waited_for_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "empty").mkdir()
    assert Follower([str(tmp_path / "empty"), str(tmp_path / "*.jsonl")], store, KEY).read() == 0
    with pytest.raises(InputError, match="nothing to read"):
        Follower([str(tmp_path / "missing.jsonl")], store, KEY).read()


def test_a_log_that_goes_away_is_no_error(log: Path, follower: Follower) -> None:
    add(log, lines(0, 5))
    follower.read()
    log.unlink()
    assert follower.read() == 0
    add(log, lines(0, 6))
    assert follower.read() == 1
