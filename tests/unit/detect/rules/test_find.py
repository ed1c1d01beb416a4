"""Signals: one for each rule and principal, bounded, and the same whatever the order of the rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from strongroom.detect.rules import Rule, Rules, match_rules
from strongroom.detect.rules import _correlate as correlate
from strongroom.detect.rules._condition import Match, Node
from strongroom.detect.rules._rules import Base, Correlation, confidence
from strongroom.detect.rules._tally import MAX_EXAMPLES, MAX_NAMES
from strongroom.store import Store

from .rows import AWS, batch, row

SECOND = 1_000_000
READ = Match("eventName", "equals", ("read",))
WRITE = Match("eventName", "equals", ("write",))


def rule(condition: Node | None, id: str = "r", **more: Any) -> Rule:
    return Rule(id=id, title="T", product="aws", service="cloudtrail", level="high", status="test", condition=condition, author="A. Author", **more)  # fmt: skip


def counted(
    kind: Any, bases: list[Node], operator: Any, count: int, *, by: str = "", value: str = "", span: int = 10
) -> Rule:
    group = (by,) if by else ()
    made = tuple(Base(f"b{i}", *AWS, each, group, value) for i, each in enumerate(bases))
    return rule(None, "c", correlation=Correlation(kind, made, group, span * SECOND, operator, count))


def store_of(folder: Path, events: list[dict[str, Any]]) -> Store:
    """`at`: seconds; everything else is a field, or a column where it is named so in `rows.row`."""
    store = Store(folder)
    rows = []
    for number, event in enumerate(events, start=1):
        fields = {key: value for key, value in event.items() if key in ("eventName", "x", "sourceIPAddress")}
        more = {key: value for key, value in event.items() if key not in fields and key != "at"}
        rows.append(row(fields, AWS, number, time=int(event.get("at", number) * SECOND), **more))
    random.Random(1).shuffle(rows)
    store.append_access_events([batch(rows)])
    return store


def test_one_signal_for_each_rule_and_principal(tmp_path: Path) -> None:
    events = [{"eventName": "Read", "principal": f"p{i % 2}", "session": "s", "resource": f"r{i}"} for i in range(7)]
    store = store_of(tmp_path, [*events, {"eventName": "Write", "principal": "p1"}])
    first, second, third = match_rules(store, Rules([rule(WRITE, "w"), rule(READ)]))
    assert (first.kind, first.principal, first.events) == ("w", "p1", 1)
    assert (second.principal, second.events, second.first, second.last) == ("p0", 4, SECOND, 7 * SECOND)
    assert third.resources == {"r1", "r3", "r5"}
    assert third.sessions == {"s"}
    assert [each.where for each in third.evidence[0].examples] == ["a.json:2", "a.json:4", "a.json:6"]
    assert third.evidence[0].examples[0].time == "1970-01-01T00:00:02.000Z"
    assert "A. Author" in third.evidence[0].summary
    assert "Sigma rule r" in third.evidence[0].summary
    assert third.confidence == confidence(rule(READ)) == 0.7


def test_names_and_examples_are_bounded_and_the_first(tmp_path: Path) -> None:
    events = [{"eventName": "read", "resource": f"r{i:03d}", "at": 1} for i in range(200)]
    (signal,) = match_rules(store_of(tmp_path, events), Rules([rule(READ)]))
    assert sorted(signal.resources) == [f"r{i:03d}" for i in range(MAX_NAMES)]
    assert [each.where for each in signal.evidence[0].examples] == [f"a.json:{i}" for i in range(1, MAX_EXAMPLES + 1)]
    assert signal.events == 200


def test_window_bounds_what_is_looked_at(tmp_path: Path) -> None:
    store = store_of(tmp_path, [{"eventName": "read"} for _ in range(5)])
    (signal,) = match_rules(store, Rules([rule(READ)]), since=2 * SECOND, until=4 * SECOND)
    assert (signal.events, signal.first, signal.last) == (2, 2 * SECOND, 3 * SECOND)


def test_silent_rule_and_rule_of_another_log_say_nothing(tmp_path: Path) -> None:
    other = Rule(id="o", title="T", product="gcp", service="gcp.audit", level="low", condition=READ)
    assert match_rules(store_of(tmp_path, [{"eventName": "read"}]), Rules([rule(READ, silent=True), other])) == []


def test_more_rules_than_one_pass_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.detect.rules._query.CONDITIONS_AT_ONCE", 2)
    rules = Rules([rule(READ, str(i)) for i in range(5)] + [counted("event_count", [READ], "gte", 1)])
    signals = match_rules(store_of(tmp_path, [{"eventName": "read"}]), rules)
    assert [signal.kind for signal in signals] == ["0", "1", "2", "3", "4", "c"]


def test_events_are_counted_for_each_group_within_the_span(tmp_path: Path) -> None:
    events = [{"eventName": "read", "principal": "busy", "at": i, "resource": f"r{i}"} for i in range(5)]
    events += [{"eventName": "read", "principal": "slow", "at": i * 100} for i in range(5)]
    (signal,) = match_rules(
        store_of(tmp_path, events), Rules([counted("event_count", [READ], "gte", 5, by="strongroom.principal")])
    )
    assert (signal.principal, signal.events, signal.first, signal.last) == ("busy", 5, 0, 4 * SECOND)
    assert signal.resources == {f"r{i}" for i in range(5)}
    assert len(signal.evidence[0].examples) == MAX_EXAMPLES


def test_distinct_values_are_counted_and_missing_ones_are_not(tmp_path: Path) -> None:
    events = [{"eventName": "read", "principal": "one", "x": "same", "at": i} for i in range(5)]
    events += [{"eventName": "read", "principal": "none", "at": i} for i in range(5)]
    events += [{"eventName": "read", "principal": "many", "x": f"{i}", "at": i} for i in range(3)]
    found = counted("value_count", [READ], "gte", 3, by="strongroom.principal", value="x")
    assert [signal.principal for signal in match_rules(store_of(tmp_path, events), Rules([found]))] == ["many"]


@pytest.mark.parametrize(("kind", "wanted"), [("temporal", ["ab", "ba"]), ("temporal_ordered", ["ab"])])
def test_rules_come_together_in_order_or_not(kind: str, wanted: list[str], tmp_path: Path) -> None:
    events = []
    for who, order in {"ab": ("read", "write"), "ba": ("write", "read"), "aa": ("read", "read")}.items():
        events += [{"eventName": name, "principal": who, "at": i} for i, name in enumerate(order)]
    events += [
        {"eventName": "read", "principal": "late", "at": 0},
        {"eventName": "write", "principal": "late", "at": 11},
    ]
    found = counted(kind, [READ, WRITE], "gte", 2, by="strongroom.principal")
    assert [signal.principal for signal in match_rules(store_of(tmp_path, events), Rules([found]))] == wanted


def test_event_that_two_rules_want_is_counted_once(tmp_path: Path) -> None:
    both = Match("eventName", "startswith", ("re",))
    found = counted("event_count", [READ, both], "gte", 2)
    assert match_rules(store_of(tmp_path, [{"eventName": "read"}]), Rules([found])) == []


def test_group_of_several_principals_gives_each_a_signal(tmp_path: Path) -> None:
    events = [{"eventName": "read", "principal": f"p{i}", "sourceIPAddress": "192.0.2.1", "at": i} for i in range(3)]
    found = counted("event_count", [READ], "gte", 3, by="sourceIPAddress")
    signals = match_rules(store_of(tmp_path, events), Rules([found]))
    assert [(signal.principal, signal.events, signal.addresses) for signal in signals] == [
        (f"p{i}", 1, frozenset({"192.0.2.1"})) for i in range(3)
    ]


def test_more_events_than_are_held_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlate.Correlator.__init__, "__defaults__", (3,))
    told: list[str] = []
    store = store_of(tmp_path, [{"eventName": "read", "at": 1} for _ in range(5)])
    (signal,) = match_rules(store, Rules([counted("event_count", [READ], "gte", 2)]), cut=told.append)
    assert any("only 3 events" in each for each in told)
    assert "only 3 of its events" in signal.evidence[0].summary
