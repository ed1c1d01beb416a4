"""Questions to the ledger: the index may only say where to look, and every answer is proven."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.audit import Answer, Reader, Subjects, ask, entry_of
from strongroom.audit import _index as index_module
from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.ledger import InclusionProof, LogReader, VerifierKey, check_proof, encode_entry, parse_proof

from .logs import SECOND, START, Log, event, raw

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


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "site")


@pytest.fixture
def reader(log: Log, subjects: Subjects) -> LogReader:
    return log.append(entries(subjects))


@pytest.fixture(params=["index", "scan", "no index"])
def how(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The ways to the answers, which must give the same."""
    index = tmp_path / "ledger-index.db"
    return {"index": {"index": index}, "scan": {"index": index, "scan": True}, "no index": {}}[request.param]


def found(answers: Any) -> list[int]:
    return [answer.index for answer in answers]


# Answers


def test_every_question_is_answered_in_order_by_all_that_fits(
    reader: LogReader, subjects: Subjects, how: dict[str, Any]
) -> None:
    ann = subjects.digest(PEOPLE[0])
    assert found(ask(reader, **how)) == numbers()
    assert found(ask(reader, asset="acme/judge", **how)) == numbers(assets=("acme/judge",))
    assert found(ask(reader, asset=ASSETS[0], **how)) == numbers(assets=(ASSETS[0],))
    assert found(ask(reader, asset="acme/summariser", **how)) == numbers(assets=tuple(ASSETS[:3]))
    assert found(ask(reader, asset="acme/nothing", **how)) == []
    assert found(ask(reader, principal=ann, **how)) == numbers(person=PEOPLE[0])
    assert found(ask(reader, principal=PEOPLE[0], subjects=subjects, **how)) == numbers(person=PEOPLE[0])
    both = {"asset": "acme/judge", "principal": ann, "action": "seal"}
    assert found(ask(reader, **both, **how)) == numbers(person=PEOPLE[0], assets=("acme/judge",), action="seal")
    since, until = START + 50 * SECOND, START + 100 * SECOND
    assert found(ask(reader, since=since, until=until, **how)) == [n for n in numbers() if 50 <= n < 100]
    assert found(ask(reader, since=since, until=since, **how)) == []
    assert found(ask(reader, since=-(2**80), until=2**80, **how)) == numbers()


def test_an_answer_says_what_the_entry_says_and_its_proof_convinces_a_stranger(
    reader: LogReader, log: Log, subjects: Subjects, how: dict[str, Any]
) -> None:
    answers = list(ask(reader, principal=PEOPLE[1], asset="acme/judge", subjects=subjects, **how))
    assert answers
    for answer in answers:
        assert answer == Answer(
            index=answer.index,
            time=event(answer.index).time,
            principal=subjects.digest(PEOPLE[1]),
            action=ACTIONS[answer.index % 2],
            asset="acme/judge",
            outcome="allowed",
            reason=f"n{answer.index}",
            entry=answer.entry,
            proof=answer.proof,
        )
        proof = parse_proof(answer.proof.encode(), where="answer")
        assert proof.index == answer.index
        stranger = VerifierKey.parse(str(log.verifier))
        signed = check_proof(proof, answer.entry.encode(), [stranger], where="answer")
        assert signed.checkpoint.size == COUNT
        changed = answer.entry.replace('"allowed"', '"refused"').encode()
        with pytest.raises(IntegrityError):
            check_proof(proof, changed, [stranger], where="answer")


def test_equal_entries_are_all_answers(log: Log, subjects: Subjects, how: dict[str, Any]) -> None:
    same = encode_entry(entry_of(event(), subjects, "door"))
    assert found(ask(log.append([same] * 3), asset=event().asset, **how)) == [0, 1, 2]


def test_nobody_and_forgotten_people_have_no_answers_but_their_lines_stay(
    reader: LogReader, subjects: Subjects, how: dict[str, Any]
) -> None:
    digest = subjects.digest(PEOPLE[0])
    assert found(ask(reader, principal="nobody", subjects=subjects, **how)) == []
    assert subjects.find("nobody") is None
    subjects.forget(PEOPLE[0])
    assert found(ask(reader, principal=PEOPLE[0], subjects=subjects, **how)) == []
    assert found(ask(reader, principal=digest, **how)) == numbers(person=PEOPLE[0])


def test_a_wrong_question_is_refused_before_anything_is_read() -> None:
    nothing: Reader = None  # type: ignore[assignment]
    with pytest.raises(RefusedError):
        ask(nothing, asset="../x")
    with pytest.raises(UsageError, match="digest"):
        ask(nothing, principal="ann")


def test_an_empty_log_has_no_answers(log: Log, how: dict[str, Any]) -> None:
    assert found(ask(log.reader(), **how)) == []


def test_hostile_entries_are_not_hidden_and_break_nothing(log: Log, how: dict[str, Any]) -> None:
    strange: list[Any] = [
        {"asset": "acme/judge"},
        {"asset": "acme/judge", "time": 7, "principal": ["x"], "outcome": None},
        {"asset": "acme/judge", "time": "0001-01-01T00:00:00+23:59"},
        {"asset": "acme/judge", "time": "yesterday"},
        {"asset": {"asset": "acme/judge"}},
        {"asset": "acme/judge:a:b"},
        {},
    ]
    reader = log.append([raw(body) for body in strange])
    assert found(ask(reader, asset="acme/judge", **how)) == [0, 1, 2, 3, 5]
    in_window = ask(reader, asset="acme/judge", since=START, until=START + 1, **how)
    assert found(in_window) == [0, 1, 3, 5]
    assert found(ask(reader, **how)) == list(range(7))
    assert {answer.outcome for answer in ask(reader, **how)} == {""}


class Lying:
    """A reader whose answers somebody changed on the way."""

    def __init__(self, honest: LogReader, **changed: Callable[..., Any]) -> None:
        self._honest = honest
        self._changed = changed

    def __getattr__(self, name: str) -> Any:
        return self._changed.get(name) or getattr(self._honest, name)


def test_what_the_proof_does_not_prove_is_no_answer(reader: LogReader, how: dict[str, Any]) -> None:
    honest = reader.prove(5)
    wrong = [
        InclusionProof(5, honest.hashes[:-1], honest.checkpoint),
        InclusionProof(6, honest.hashes, honest.checkpoint),
        InclusionProof(5, honest.hashes, honest.checkpoint + b"x"),
        reader.prove(6),
    ]
    for proof in wrong:
        lying = Lying(reader, prove=lambda number, p=proof: p if number == 5 else reader.prove(number))
        with pytest.raises(IntegrityError):
            list(ask(lying, **how))  # type: ignore[arg-type]


# The index


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


def test_a_damaged_log_is_an_error_with_and_without_index(
    log: Log, reader: LogReader, tmp_path: Path, how: dict[str, Any]
) -> None:
    list(ask(reader, index=tmp_path / "ledger-index.db"))
    bundle = next(path for path in (tmp_path / "site").rglob("entries/*") if path.is_file())
    bundle.chmod(0o600)
    bundle.write_bytes(bundle.read_bytes().replace(b'"allowed"', b'"refused"'))
    with pytest.raises(StrongroomError):
        list(ask(log.reader(), **how))


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
