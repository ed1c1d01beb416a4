"""The index may only say where to look: what is wrong with it is mended or makes no difference."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.audit import Answer, Subjects, ask
from strongroom.audit import _index as index_module
from strongroom.ledger import LogReader, VerifierKey

from .logs import ACTIONS, ASSETS, COUNT, PEOPLE, SECOND, START, Log, Lying, entries, found, numbers


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "ledger-index.db"


def change(index: Path, statement: str) -> None:
    database = sqlite3.connect(index)
    with database:
        database.execute(statement)
    database.close()


def about(index: Path) -> tuple[Any, ...]:
    database = sqlite3.connect(index)
    row: tuple[Any, ...] = database.execute("SELECT size, root, generation FROM about").fetchone()
    database.close()
    return row


def test_the_index_is_extended_from_where_it_ended(log: Log, subjects: Subjects, index: Path) -> None:
    first = log.append(entries(subjects, 100))
    assert found(ask(first, index=index)) == numbers(100)
    size, root, generation = about(index)
    assert (size, root) == (100, first.root)
    log.append(entries(subjects, 80, 100))
    second = log.append(entries(subjects, 120, 180))
    starts: list[int] = []
    watched = Lying(second, entries=lambda a, b: starts.append(a) or second.entries(a, b))
    assert found(ask(watched, index=index)) == numbers()  # type: ignore[arg-type]
    assert starts == [100]
    assert about(index) == (300, second.root, generation)
    assert index.stat().st_mode & 0o777 == 0o600


def test_the_index_holds_no_names_and_no_digests_of_people(reader: LogReader, subjects: Subjects, index: Path) -> None:
    list(ask(reader, index=index))
    data = index.read_bytes()
    for text in (*PEOPLE, *(subjects.digest(person) for person in PEOPLE), "summariser"):
        assert text.encode() not in data


def test_an_interrupted_build_continues(reader: LogReader, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "BATCH", 64)

    def stopping(first: int, last: int) -> Any:
        for number, entry in reader.entries(first, last):
            if number == 200:
                raise KeyboardInterrupt
            yield number, entry

    with pytest.raises(KeyboardInterrupt):
        list(ask(Lying(reader, entries=stopping), index=index))  # type: ignore[arg-type]
    assert about(index)[:2] == (192, reader.root_at(192))
    assert found(ask(reader, index=index)) == numbers()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE about SET root = x'00'",
        "UPDATE about SET root = 'text'",
        "UPDATE about SET size = 299",
        "UPDATE about SET size = 301",
        "UPDATE about SET size = -1",
        "UPDATE about SET size = 'many'",
        "UPDATE about SET origin = 'log.example/other'",
        "UPDATE about SET format = 2",
        "DELETE FROM about",
        "INSERT INTO about SELECT * FROM about",
        "DROP TABLE access",
        "DROP INDEX by_asset",
        "CREATE TRIGGER t AFTER UPDATE ON about BEGIN DELETE FROM access; END",
        "CREATE VIEW v AS SELECT 1",
        "PRAGMA journal_mode = WAL",
    ],
)
def test_an_index_that_is_not_of_this_log_is_made_anew(reader: LogReader, index: Path, statement: str) -> None:
    list(ask(reader, index=index))
    change(index, statement)
    assert found(ask(reader, index=index)) == numbers()
    assert about(index)[:2] == (COUNT, reader.root)


def test_a_damaged_index_is_made_anew(reader: LogReader, index: Path) -> None:
    list(ask(reader, index=index))
    sound = index.read_bytes()
    for damage in (b"", b"no database" * 500, sound[:5000], sound[:100] + b"\xff" * (len(sound) - 100)):
        index.write_bytes(damage)
        assert found(ask(reader, index=index)) == numbers()
        assert about(index)[0] == COUNT


def test_an_index_of_another_log_is_made_anew(tmp_path: Path, subjects: Subjects, index: Path) -> None:
    ours, theirs = Log(tmp_path / "a"), Log(tmp_path / "b")
    first = ours.append(entries(subjects, 100))
    other = theirs.append(entries(subjects, 100, 1))
    assert found(ask(first, index=index)) == numbers(100)
    assert found(ask(other, index=index)) == found(ask(other, scan=True))
    shorter = Log(tmp_path / "c").append(entries(subjects, 50))
    assert found(ask(shorter, index=index)) == numbers(50)


def test_a_tampered_index_adds_and_changes_nothing_and_a_scan_shows_what_it_hides(
    reader: LogReader, index: Path
) -> None:
    list(ask(reader, index=index))
    judge = numbers(assets=("acme/judge",))
    change(index, "UPDATE access SET asset = (SELECT asset FROM access WHERE entry = 8)")  # all are acme/judge
    change(index, "INSERT INTO access SELECT 100000, asset, principal, action, time FROM access WHERE entry = 8")
    change(index, "INSERT INTO access SELECT 3, asset, principal, action, time FROM access WHERE entry = 8")
    assert found(ask(reader, asset="acme/judge", index=index)) == judge
    change(index, "DELETE FROM access WHERE entry = 8")
    assert found(ask(reader, asset="acme/judge", index=index)) == judge[1:]
    assert found(ask(reader, asset="acme/judge", index=index, scan=True)) == judge


def test_where_the_index_cannot_be_used_the_log_is_read(
    reader: LogReader, tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(ask(reader, index=tmp_path / "nowhere" / "ledger-index.db")) == numbers()
    assert found(ask(reader, index=tmp_path)) == numbers()
    index.symlink_to(tmp_path / "elsewhere")
    assert found(ask(reader, index=index)) == numbers()
    assert not (tmp_path / "elsewhere").exists()
    index.unlink()
    monkeypatch.setattr(index_module, "PAGE", 50)
    answers = ask(reader, index=index)
    first = [next(answers).index for _ in range(60)]
    monkeypatch.setattr(index_module, "_SCHEMA", ["CREATE nonsense"])  # from here on every page fails
    assert first + found(answers) == numbers()


def test_pages_join_without_gap_or_double(reader: LogReader, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 7, len(numbers()), 1000):
        monkeypatch.setattr(index_module, "PAGE", size)
        assert found(ask(reader, index=index)) == numbers()


def test_an_older_reader_that_is_still_answering_is_not_disturbed(
    log: Log, subjects: Subjects, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "PAGE", 10)
    older = log.append(entries(subjects, 100))
    answers = ask(older, index=index)
    seen = [next(answers).index for _ in range(15)]
    newer = log.append(entries(subjects, 200, 100))
    assert found(ask(newer, index=index)) == numbers()
    generation = about(index)[2]
    assert seen + found(answers) == numbers(100)
    assert about(index)[0] == COUNT
    assert about(index)[2] == generation


def _ask(path: Path, verifier: str, index: Path, page: int) -> list[int]:
    from strongroom.ledger import open_source, read_checkpoint

    index_module.PAGE = page
    index_module.BATCH = 32
    source = open_source(str(path))
    return found(ask(LogReader(source, read_checkpoint(source, [VerifierKey.parse(verifier)])), index=index))


def test_processes_that_ask_at_once_all_get_everything(
    log: Log, reader: LogReader, tmp_path: Path, index: Path
) -> None:
    place = tmp_path / "site" / "ledger" / "public"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        work = [(place, str(log.verifier), index, page) for page in (5, 50, 500) * 3]
        assert pool.starmap(_ask, work, chunksize=1) == [numbers()] * 9


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asset=st.none() | st.sampled_from([*ASSETS, "acme/nothing"]),
    person=st.none() | st.sampled_from(PEOPLE),
    action=st.none() | st.sampled_from([*ACTIONS, "x"]),
    since=st.none() | st.integers(START - SECOND, START + 300 * SECOND),
    until=st.none() | st.integers(START - SECOND, START + 300 * SECOND),
)
def test_index_and_scan_give_the_same_answers(
    reader: LogReader,
    subjects: Subjects,
    index: Path,
    asset: str | None,
    person: str | None,
    action: str | None,
    since: int | None,
    until: int | None,
) -> None:
    question: dict[str, Any] = {
        "asset": asset,
        "principal": person,
        "action": action,
        "since": since,
        "until": until,
        "subjects": subjects,
    }
    by_index, by_scan = list(ask(reader, **question, index=index)), list(ask(reader, **question, scan=True))
    assert by_index == by_scan
    assert msgspec.json.decode(msgspec.json.encode(by_index), type=list[Answer]) == by_index
