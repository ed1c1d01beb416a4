"""What is unlike a principal's past and its peers is told, what is not is not, and nothing else decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strongroom.detect.anomaly import Result, find_anomalies
from strongroom.detect.campaign import AlertBudget
from strongroom.store import Store

from .worlds import ACTIONS, DAY, START, event, honest, stolen, store_of

VICTIM = "arn:aws:iam::1:user/u3"


def find(store: Store, **more: Any) -> Result:
    return find_anomalies(store, store.access_events(), **more)


@pytest.fixture(scope="module")
def quiet() -> list[dict[str, Any]]:
    return honest(1)


@pytest.fixture(scope="module")
def theft(quiet: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Result]:
    store = store_of(tmp_path_factory.mktemp("theft"), [*quiet, *stolen(VICTIM, 15)])
    return store, find(store)


def test_a_stolen_credential_is_one_signal_with_its_evidence(theft: tuple[Store, Result]) -> None:
    (signal,) = theft[1].signals
    assert (signal.detector, signal.kind, signal.principal) == ("anomaly/1", "anomaly", VICTIM)
    assert START + 15 * DAY <= signal.first <= signal.last < START + 16 * DAY
    assert signal.severity == "medium"
    assert signal.techniques == ["T1098.001"]
    assert "185.7.7.7" in signal.addresses
    assert 0.5 <= signal.confidence <= 0.9
    kinds = {evidence.kind for evidence in signal.evidence}
    assert {"anomaly", "entry", "action", "network", "tool", "bytes"} <= kinds


def test_evidence_says_what_is_unusual_compared_with_what(theft: tuple[Store, Result]) -> None:
    by_kind = {evidence.kind: evidence for evidence in theft[1].signals[0].evidence}
    assert "never had on the 15 days before" in by_kind["action"].summary
    assert "of these none of its" in by_kind["action"].summary
    assert "iam:CreateAccessKey" in by_kind["action"].summary
    assert "185.7.7.0/24" in by_kind["network"].summary
    assert "python-requests" in by_kind["tool"].summary
    assert "against at most" in by_kind["bytes"].summary


def test_examples_lead_to_the_rows(theft: tuple[Store, Result]) -> None:
    store, result = theft
    rows = {f"{row['source']}:{row['position']}": row for row in store.table(store.access_events()).to_pylist()}
    examples = [example for evidence in result.signals[0].evidence for example in evidence.examples]
    assert examples
    assert all(rows[example.where]["principal"] == VICTIM == example.subject for example in examples)
    network = next(evidence for evidence in result.signals[0].evidence if evidence.kind == "network")
    assert {rows[example.where]["client_address"] for example in network.examples} == {"185.7.7.7"}
    assert all(len(evidence.examples) <= 5 for evidence in result.signals[0].evidence)


@pytest.mark.parametrize("seed", range(2, 8))
def test_honest_worlds_are_quiet(seed: int, tmp_path: Path) -> None:
    assert len(find(store_of(tmp_path, honest(seed))).signals) <= 1


def test_neither_names_nor_the_order_of_rows_decide(theft: tuple[Store, Result], tmp_path: Path) -> None:
    renamed = [*honest(1, name="z{}-\U0001f511"), *stolen("z3-\U0001f511", 15)]
    turned = find(store_of(tmp_path, reversed(renamed)))
    (one,), (other,) = theft[1].signals, turned.signals
    assert other.principal == "z3-\U0001f511"
    assert (one.first, one.last, one.events, one.severity) == (other.first, other.last, other.events, other.severity)
    assert [each.summary for each in one.evidence] == [each.summary for each in other.evidence]


def test_the_future_decides_nothing(quiet: list[dict[str, Any]], theft: tuple[Store, Result], tmp_path: Path) -> None:
    rows = [row for row in [*quiet, *stolen(VICTIM, 15)] if row["time"] < START + 16 * DAY]
    (one,), (other,) = theft[1].signals, find(store_of(tmp_path, rows)).signals
    assert [each.summary for each in one.evidence] == [each.summary for each in other.evidence]
    (cut,) = find(theft[0], end=START + 16 * DAY).signals
    assert [each.summary for each in one.evidence] == [each.summary for each in cut.evidence]


def test_only_days_from_the_start_on_are_told_and_earlier_ones_are_the_past(theft: tuple[Store, Result]) -> None:
    assert find(theft[0], start=START + 16 * DAY).signals == []
    assert len(find(theft[0], start=START + 15 * DAY).signals) == 1


def test_a_stricter_budget_tells_less(theft: tuple[Store, Result]) -> None:
    assert find(theft[0], budget=AlertBudget(1, 1e15)).signals == []


def test_what_lasts_is_told_once(quiet: list[dict[str, Any]], tmp_path: Path) -> None:
    rows = [*quiet, *(row for day in range(12, 21) for row in stolen(VICTIM, day))]
    assert len(find(store_of(tmp_path, rows)).signals) == 1


def test_newcomers_who_do_as_their_peers_do_not_flood(quiet: list[dict[str, Any]], tmp_path: Path) -> None:
    late = [row for row in honest(9, people=12, name="new{}") if row["time"] >= START + 12 * DAY]
    assert len(find(store_of(tmp_path, [*quiet, *late])).signals) <= 1


def test_a_new_tool_of_everybody_is_nobodys_anomaly(quiet: list[dict[str, Any]], tmp_path: Path) -> None:
    rows = [{**row, "user_agent": "new-cli/1"} if row["time"] >= START + 14 * DAY else row for row in quiet]
    assert len(find(store_of(tmp_path, rows)).signals) <= 1


@pytest.mark.parametrize("rows", [[], honest(1, days=1), honest(1, days=2, people=1)], ids=["none", "a day", "two"])
def test_too_little_to_compare_is_said(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    result = find(store_of(tmp_path, rows))
    assert result.signals == []
    assert bool(rows) == any("could be judged" in sentence for sentence in result.not_examined)


def test_nulls_and_hostile_names_are_counted_like_others(quiet: list[dict[str, Any]], tmp_path: Path) -> None:
    names = ("'; DROP TABLE x; --", "%_\\", "a" * 5000, "\u202e\u0007", "{}", "with from by (refused)")
    strange = [
        {"time": row["time"], "principal": names[place % 6], "action": names[place % 5] if place % 7 else None,
         "user_agent": names[place % 4], "client_address": names[place % 3], "asset": names[place % 6]}
        for place, row in enumerate(quiet)
    ]  # fmt: skip
    attack = [{**row, "principal": names[1], "asset": names[3]} for row in stolen("", 15)]
    for signal in find(store_of(tmp_path, [*quiet, *strange, *attack])).signals:
        assert signal.evidence


def test_whoever_has_too_short_a_past_is_said(quiet: list[dict[str, Any]], tmp_path: Path) -> None:
    rows = [*quiet, event("new", 20, 9, ACTIONS[0])]
    assert any(
        sentence.startswith("anomalies: 1 principal") for sentence in find(store_of(tmp_path, rows)).not_examined
    )


def test_progress_is_told(quiet: list[dict[str, Any]], tmp_path: Path) -> None:
    told: list[str] = []
    find(store_of(tmp_path, quiet[:100]), progress=told.append)
    assert len(told) >= 2
