"""Questions to the ledger: every answer is there, in order, and proven, whichever way it was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strongroom.audit import Answer, Reader, Subjects, ask, entry_of
from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.ledger import InclusionProof, LogReader, VerifierKey, check_proof, encode_entry, parse_proof

from .logs import ACTIONS, ASSETS, COUNT, PEOPLE, SECOND, START, Log, Lying, event, found, numbers, raw


@pytest.fixture(params=["index", "scan", "no index"])
def how(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The ways to the answers, which must give the same."""
    index = tmp_path / "ledger-index.db"
    return {"index": {"index": index}, "scan": {"index": index, "scan": True}, "no index": {}}[request.param]


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


def test_a_damaged_log_is_an_error_with_and_without_index(
    log: Log, reader: LogReader, tmp_path: Path, how: dict[str, Any]
) -> None:
    list(ask(reader, index=tmp_path / "ledger-index.db"))
    bundle = next(path for path in (tmp_path / "site").rglob("entries/*") if path.is_file())
    bundle.chmod(0o600)
    bundle.write_bytes(bundle.read_bytes().replace(b'"allowed"', b'"refused"'))
    with pytest.raises(StrongroomError):
        list(ask(log.reader(), **how))
