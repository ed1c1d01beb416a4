"""Stories: who belongs together, and what is told."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.records import Evidence, Example
from strongroom.detect.signals import SEVERITIES, Signal, begins_of
from strongroom.detect.story import (
    ALERT,
    COMMON,
    CROWD,
    HIGHEST,
    MAX_EVIDENCE,
    PERIOD,
    WEIGHTS,
    bar_for,
    stories,
)

HOUR = 3_600_000_000


def signal(principal: str = "ann", severity: Any = "high", kind: str = "k", at: int = 0, **more: Any) -> Signal:
    named: dict[str, Any] = {"detector": "rules/1", "title": f"title of {kind}", "confidence": 0.5, "events": 1}
    return Signal(**(named | {"first": at, "last": at} | more), principal=principal, severity=severity, kind=kind)


def told(*signals: Signal, **more: Any) -> list[list[str]]:
    """Who is in each alert."""
    return [story.principals for story in stories(signals, **more) if story.alert]


def test_one_severe_signal_is_told_and_weak_ones_never_are() -> None:
    assert told(signal()) == [["ann"]]
    assert told(*(signal(severity="low", kind=str(i)) for i in range(100))) == []
    assert told(*(signal(severity="informational", kind=str(i)) for i in range(100))) == []
    assert told(*(signal(severity="medium", kind=str(i)) for i in range(3))) == [["ann"]]
    assert told(*(signal(severity="medium", kind=str(i)) for i in range(2))) == []


def test_a_kind_counts_once() -> None:
    (story,) = stories([signal(severity="medium", at=i) for i in range(50)])
    assert not story.alert
    assert story.severity == "medium"


def test_what_is_no_alert_is_medium_at_most_and_an_alert_is_high_at_least() -> None:
    (weak,) = stories([signal(severity="low")])
    (strong,) = stories([signal(severity="medium", kind=str(i)) for i in range(3)])
    assert (weak.severity, weak.alert) == ("low", False)
    assert (strong.severity, strong.alert) == ("high", True)


@pytest.mark.parametrize("tie", ["credentials", "sessions"])
def test_a_shared_credential_or_session_joins(tie: str) -> None:
    shared = {tie: frozenset({"AKIA1"})}
    assert told(signal("ann", **shared), signal("role", kind="x", **shared), signal("bob")) == [
        ["ann", "role"],
        ["bob"],
    ]


def test_an_issued_credential_joins_whoever_issued_it() -> None:
    role = signal("role", credentials=frozenset({"ASIA9"}))
    assert told(signal("ann"), role, issued={"ASIA9": "ann"}) == [["ann", "role"]]
    # The issuer need not have given a signal: the two roles are still one story.
    other = signal("role2", kind="y", credentials=frozenset({"ASIA8"}))
    assert told(role, other, issued={"ASIA9": "ann", "ASIA8": "ann"}) == [["role", "role2"]]


def test_an_address_joins_few_and_never_a_crowd_or_a_service() -> None:
    def at(address: str) -> list[Signal]:
        return [signal(name, addresses=frozenset({address})) for name in ("ann", "bob")]

    assert len(told(*at("203.0.113.7"), crowds={"203.0.113.7": 2})) == 1
    assert len(told(*at("203.0.113.7"), crowds={"203.0.113.7": CROWD + 1})) == 2
    assert len(told(*at("203.0.113.7"))) == 2, "an address of which nothing is known ties nobody"
    assert len(told(*at("AWS Internal"), crowds={"AWS Internal": 2})) == 2


def test_what_many_do_who_are_not_one_story_counts_less() -> None:
    names = [f"p{i}" for i in range(COMMON)]
    assert [s.severity for s in stories([signal(name) for name in names])] == ["medium"] * COMMON
    assert told(*(signal(name) for name in names[1:])) == [[name] for name in names[1:]]
    shared = {"credentials": frozenset({"AKIA1"})}
    assert told(*(signal(name, **shared) for name in names)) == [names], "an intruder is one story"


def test_kinds_weigh_together_within_a_period() -> None:
    def spread(step: int) -> list[Signal]:
        return [signal(severity="medium", kind=str(i), at=i * step) for i in range(3)]

    assert told(*spread(PERIOD // 3)) == [["ann"]]
    assert told(*spread(PERIOD)) == []
    again = [signal(severity="medium", kind=str(i), at=4 * PERIOD) for i in range(3)]
    assert told(*spread(PERIOD), *again) == [], "a kind weighs when it first came"


def test_looking_around_before_taking_weighs_more() -> None:
    look = signal(severity="medium", kind="look", at=0, phase="discovery")
    take = signal(severity="medium", kind="take", at=HOUR, phase="collection")
    assert told(look, take) == [["ann"]]
    before = signal(severity="medium", kind="take", at=-HOUR, phase="collection")
    assert told(look, before) == []
    assert told(look, signal(severity="low", kind="take", at=HOUR, phase="collection")) == []


def test_whoever_and_the_machine_itself_tie_nobody() -> None:
    shared = {"sessions": frozenset({"s"})}
    assert len(told(signal("ann", **shared), signal("unknown", kind="x", **shared), signal("bob"))) == 3
    here = {"addresses": frozenset({"127.0.0.1"})}
    assert len(told(signal("ann", **here), signal("bob", kind="x", **here), crowds={"127.0.0.1": 2})) == 2


def test_a_story_reads_in_order_and_says_what_was_taken() -> None:
    evidence = [
        Evidence("rule", "It happened.", ["ann"], "strong", [Example("ann", "2026-11-01T00:00:00.000Z", "a:1")])
    ]
    parts = [
        signal(
            kind="c", at=3 * HOUR, phase="exfiltration", techniques=["T1537"], evidence=evidence, recommended=["Ask."]
        ),
        signal(kind="a", at=HOUR, phase="initial-access", severity="medium", techniques=["T1078.004"]),
        signal(kind="b", at=2 * HOUR, phase="discovery", severity="low", techniques=["T1580"], recommended=["Ask."]),
    ]
    (story,) = stories(parts)
    assert [signal.kind for signal in story.signals] == ["a", "b", "c"]
    assert story.techniques == ["T1078.004", "T1580", "T1537"]
    assert story.kind == "exfiltration"
    assert story.severity == "critical", "one step worse, because it goes from getting in to taking"
    assert (story.first, story.last) == (HOUR, 3 * HOUR)
    assert [piece.kind for piece in story.evidence()] == ["initial-access", "discovery", "exfiltration"]
    assert story.evidence()[2].examples == evidence[0].examples
    assert story.recommended() == ["Ask."]
    assert "3 kinds of signals" in story.summary()
    assert "initial access, discovery, exfiltration" in story.summary()


def test_a_long_story_shows_the_worst() -> None:
    many = [signal(severity="low", kind=str(i), at=i) for i in range(3 * MAX_EVIDENCE)]
    (story,) = stories([*many, signal(severity="critical", kind="worst", at=10**6)])
    shown = story.evidence()
    assert len(shown) == MAX_EVIDENCE + 1  # the last counts the rest
    assert "title of worst" in shown[-2].summary


SIGNALS = st.lists(
    st.builds(
        signal,
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(SEVERITIES),
        st.sampled_from(["k", "l", "m", "n"]),
        st.integers(0, 5),
        credentials=st.frozensets(st.sampled_from(["1", "2", "3"]), max_size=1),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(SIGNALS, st.randoms(use_true_random=False))
def test_the_order_of_signals_does_not_matter(signals: list[Signal], rng: random.Random) -> None:
    shuffled = signals.copy()
    rng.shuffle(shuffled)
    ours, other = stories(signals), stories(shuffled)
    described = [[(s.principals, s.weight, s.severity) for s in found] for found in (ours, other)]
    assert described[0] == described[1]


@settings(deadline=None)
@given(SIGNALS)
def test_what_shares_a_principal_or_a_credential_is_one_story(signals: list[Signal]) -> None:
    found = stories(signals)
    names = [name for story in found for name in story.principals]
    assert len(names) == len(set(names))
    for story in found:
        assert story.alert == (story.weight >= ALERT)
        assert 0 <= story.confidence < 1
        inside = set(story.principals)
        for one in signals:
            for other in signals:
                if one.principal in inside and one.credentials & other.credentials:
                    assert other.principal in inside
    assert set(names) == {one.principal for one in signals}


def test_weights_rise_with_severity() -> None:
    assert list(WEIGHTS) == list(SEVERITIES)
    assert sorted(WEIGHTS.values()) == list(WEIGHTS.values())


DAY = 24 * HOUR


def test_what_came_once_long_ago_weighs_again_when_it_comes_again() -> None:
    old = [signal(severity="medium", kind=str(i), at=i * 30 * DAY) for i in range(3)]
    assert told(*old) == []
    again = [replace(one, begins=(one.first, 200 * DAY + i * HOUR), last=200 * DAY) for i, one in enumerate(old)]
    assert told(*again) == [["ann"]]


def test_what_goes_on_every_day_weighs_when_it_began_only() -> None:
    every_day = replace(signal(severity="medium", kind="daily"), begins=begins_of(day * DAY for day in range(100)))
    others = [signal(severity="medium", kind=str(i), at=50 * DAY) for i in range(2)]
    assert every_day.begins == (0,)
    assert told(every_day, *others) == []


def test_a_technique_weighs_in_a_window_what_it_is_in_it() -> None:
    severe = signal(severity="medium", kind="a", at=0)
    milder = signal(severity="low", kind="a", at=100 * DAY)
    others = [signal(severity="medium", kind=str(i), at=100 * DAY) for i in range(2)]
    assert told(severe, milder, *others) == []


def test_signals_that_are_not_shown_are_counted() -> None:
    (story,) = stories([signal(severity="low", kind=str(i)) for i in range(MAX_EVIDENCE + 7)])
    evidence = story.evidence()
    assert len(evidence) == MAX_EVIDENCE + 1
    assert evidence[-1].summary.startswith("7 more signals, none more severe than low")


def test_a_budget_raises_the_bar_and_never_lowers_it() -> None:
    assert bar_for(10**6, 1, 10) == ALERT
    bars = [bar_for(1, days, 1_000) for days in (1, 30, 365, 3650)]
    assert bars == sorted(bars)
    assert ALERT <= bars[0] < bars[1] <= bars[-1] == HIGHEST <= WEIGHTS["critical"]
    (story,) = stories([signal()], bar=3.5)
    assert (story.alert, story.severity) == (False, "medium")
    assert told(signal(severity="critical"), bar=HIGHEST) == [["ann"]]


def test_many_principals_take_time_in_proportion() -> None:
    many = [signal(f"p{i}", "medium", f"k{i % 7}") for i in range(20_000)]
    assert len(stories(many)) == 20_000
