"""Personal facts enter the ledger as keyed digests, and lead to nobody once the key is gone."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.audit import PERSONAL, Subjects, entry_of, is_digest
from strongroom.audit._subjects import MAX_FACT_BYTES
from strongroom.core.errors import InputError, RefusedError, StrongroomError, UsageError
from strongroom.ledger import encode_entry
from strongroom.state import State

from ..contracts.schemas import problems
from .logs import event

ANN, BOB = "ann@example.org", "bob@example.org"
FULL = {"credential": "key_7", "client_address": "203.0.113.7"}
SHARED_STATE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_an_entry_holds_digests_and_no_plain_fact(subjects: Subjects) -> None:
    entry = entry_of(event(**FULL), subjects, "gateway")
    text = encode_entry(entry).decode()
    assert not [fact for fact in (ANN, *FULL.values()) if fact in text]
    assert all(is_digest(entry.body[field]) for field in PERSONAL)
    assert len({entry.body[field] for field in PERSONAL}) == 3
    assert (entry.type, entry.writer, entry.time) == ("strongroom.access/1", "gateway", entry.body["time"])
    rest = {name: value for name, value in entry.body.items() if name not in PERSONAL}
    assert rest == {k: v for k, v in msgspec.to_builtins(event()).items() if k != "principal"}


def test_an_entry_is_as_the_schemas_say(subjects: Subjects) -> None:
    for made in (event(), event(**FULL, bytes=2**53 - 1, policy_ids=["p"], asset_digest="sha256:" + "0f" * 32)):
        assert problems("ledger-entry-1.json", msgspec.to_builtins(entry_of(made, subjects, "gateway"))) == []


def test_a_digest_is_hmac_of_field_and_fact_under_the_principals_key(subjects: Subjects, state: State) -> None:
    body = entry_of(event(**FULL), subjects, "w").body
    lookup = hmac.digest(b"s" * 32, b"strongroom subject 1\0" + ANN.encode(), "sha256").hex()
    key = state.subject_key(lookup, create=False)
    assert key is not None
    for field, fact in {"principal": ANN, **FULL}.items():
        expected = hmac.digest(key, field.encode() + b"\0" + fact.encode(), "sha256").hex()
        assert body[field] == f"hmac-sha256:{expected}"


def test_lines_of_one_subject_can_be_found_and_facts_of_two_not_compared(subjects: Subjects) -> None:
    first, again = (entry_of(event(number, **FULL), subjects, "w").body for number in (1, 2))
    other = entry_of(event(3, principal=BOB, **FULL), subjects, "w").body
    assert all(first[field] == again[field] != other[field] for field in PERSONAL)
    assert subjects.digest(ANN) == subjects.find(ANN) == first["principal"]


def test_equal_facts_in_different_fields_have_different_digests(subjects: Subjects) -> None:
    body = entry_of(event(credential=ANN, client_address=ANN), subjects, "w").body
    assert len({body[field] for field in PERSONAL}) == 3


def test_empty_facts_are_left_out(subjects: Subjects) -> None:
    assert "credential" not in entry_of(event(), subjects, "w").body


def test_looking_makes_no_key(subjects: Subjects) -> None:
    assert subjects.find(ANN) is None
    with pytest.raises(InputError):
        subjects.digest(ANN, create=False)
    assert subjects.find(ANN) is None
    assert not subjects.forget(ANN)


def test_a_forgotten_subject_that_comes_back_is_another(subjects: Subjects) -> None:
    before = entry_of(event(**FULL), subjects, "w").body
    assert subjects.forget(ANN)
    assert subjects.find(ANN) is None
    assert not subjects.forget(ANN)
    after = entry_of(event(**FULL), subjects, "w").body
    assert not {before[field] for field in PERSONAL} & {after[field] for field in PERSONAL}


def test_forgetting_one_leaves_the_others(subjects: Subjects) -> None:
    ann, bob = subjects.digest(ANN), subjects.digest(BOB)
    assert subjects.forget(ANN)
    assert subjects.find(BOB) == bob != ann


def test_another_process_that_forgets_is_heeded_at_once(subjects: Subjects, tmp_path: Path) -> None:
    before = subjects.digest(ANN)
    with State.open(tmp_path / "state.db") as other:
        assert Subjects(other, b"s" * 32).forget(ANN)
    assert subjects.digest(ANN) != before


def test_another_site_key_finds_nobody(subjects: Subjects, state: State) -> None:
    subjects.digest(ANN)
    assert Subjects(state, b"t" * 32).find(ANN) is None
    with pytest.raises(UsageError):
        Subjects(state, b"short")


def test_the_state_database_holds_no_name(subjects: Subjects, tmp_path: Path) -> None:
    entry_of(event(**FULL), subjects, "w")
    found = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))
    assert not [fact for fact in (ANN, *FULL.values()) if fact.encode() in found]


def test_digested_events_pass_unchanged_and_mixed_ones_not(subjects: Subjects, state: State) -> None:
    once = entry_of(event(**FULL), subjects, "w")
    assert entry_of(once.body, subjects, "w") == once
    assert entry_of(msgspec.convert(once.body, type(event())), subjects, "w") == once
    for field in PERSONAL:
        mixed = once.body | {field: "plain"}
        with pytest.raises(RefusedError, match=field):
            entry_of(mixed, subjects, "w")
    with pytest.raises(RefusedError):
        entry_of(event(credential=once.body["credential"]), subjects, "w")


def test_the_writers_time_may_be_given(subjects: Subjects) -> None:
    later = "2026-11-01T10:00:00.000Z"
    entry = entry_of(event(), subjects, "w", time=later)
    assert (entry.time, entry.body["time"]) == (later, event().time)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("id", "evt_1"),
        ("id", "lse_019a3f20c1d47c3e8e00000000000003"),
        ("time", "2026-11-01T09:30:00Z"),
        ("time", "2026-13-01T09:30:00.000Z"),
        ("time", "٢٠٢٦-11-01T09:30:00.000Z"),
        ("principal", ""),
        ("principal", 7),
        ("principal", None),
        ("principal", "x" * (MAX_FACT_BYTES + 1)),
        ("principal", "\ud800"),
        ("credential", "\ud800"),
        ("action", ""),
        ("asset", "../etc"),
        ("asset_digest", "md5:00"),
        ("request_digest", "00"),
        ("outcome", "granted"),
        ("bytes", -1),
        ("bytes", 2**53),
        ("policy_ids", "p"),
        ("secret", "x"),
    ],
)
def test_what_is_no_access_event_makes_no_entry_and_no_key(
    subjects: Subjects, tmp_path: Path, field: str, value: Any
) -> None:
    document = msgspec.to_builtins(event()) | {field: value}
    with pytest.raises((InputError, RefusedError)) as error:
        entry_of(document, subjects, "w")
    assert len(str(error.value)) < 400
    assert subjects.find(ANN) is None


@pytest.mark.parametrize("document", [{}, [], None, {1: 2}, {"principal": {}}], ids=str)
def test_no_object_of_an_event_is_told(subjects: Subjects, document: Any) -> None:
    with pytest.raises(InputError):
        entry_of(document, subjects, "w")


@SHARED_STATE
@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), min_size=2, max_size=2, unique=True)
)
def test_digests_are_injective_and_repeatable(subjects: Subjects, names: list[str]) -> None:
    digests = [subjects.digest(name) for name in names]
    assert len(set(digests)) == 2
    assert digests == [subjects.digest(name) for name in names]
    assert all(re.fullmatch(r"hmac-sha256:[0-9a-f]{64}", digest) for digest in digests)


@SHARED_STATE
@given(
    document=st.dictionaries(
        st.sampled_from([*msgspec.to_builtins(event()), "x"]), st.text() | st.integers() | st.none()
    )
)
def test_any_document_is_an_entry_or_an_error_of_ours(subjects: Subjects, document: dict[str, Any]) -> None:
    try:
        entry = entry_of(msgspec.to_builtins(event(**FULL)) | document, subjects, "w")
    except StrongroomError:
        return
    assert all(is_digest(entry.body[field]) for field in PERSONAL)
