"""Tallies of a rule to signals."""

from __future__ import annotations

from strongroom.core.records import Evidence, Strength
from strongroom.detect.signals import Signal, begins_of

from ._rules import Rule, confidence
from ._tally import MAX_NAMES, Tally

__all__ = ["DETECTOR", "signal"]

DETECTOR = "rules/1"
_STRONG, _MODERATE = 0.7, 0.4
_PLURAL = {"credential": "credentials", "session": "sessions", "client_address": "addresses", "resource": "resources"}


def signal(rule: Rule, principal: str, tally: Tally, *, note: str = "") -> Signal:
    """The signal of one rule about one principal. `note` is added to its evidence."""
    sure = confidence(rule)
    evidence = Evidence(
        kind="rule",
        summary=_summary(rule, tally) + note,
        subjects=[principal],
        strength=_strength(sure),
        examples=tally.examples(principal),
    )
    return Signal(
        detector=DETECTOR,
        kind=rule.id,
        title=rule.title,
        principal=principal,
        severity=rule.level,
        confidence=sure,
        techniques=list(rule.techniques),
        phase=rule.phase,
        first=tally.first,
        last=tally.last,
        begins=begins_of(tally.days.values()),
        events=tally.events,
        credentials=frozenset(tally.names["credential"]),
        sessions=frozenset(tally.names["session"]),
        addresses=frozenset(tally.names["client_address"]),
        resources=frozenset(tally.names["resource"]),
        why=rule.why,
        evidence=[evidence],
        recommended=list(rule.recommended),
    )


def _summary(rule: Rule, tally: Tally) -> str:
    """What matched, and whose rule it is: the Detection Rule License asks for the author's name."""
    events = "1 event" if tally.events == 1 else f"{tally.events:,} events"
    author = f" by {rule.author}" if rule.author else ""
    terms = f", {rule.license}" if rule.license else ""
    many = [_PLURAL[column] for column in _PLURAL if column in tally.cut]
    cut = f"; only {MAX_NAMES} of its {', '.join(many)} are looked at" if many else ""
    return f"{rule.title}: {events} (Sigma rule {rule.id}{author}{terms}){cut}"


def _strength(sure: float) -> Strength:
    return "strong" if sure >= _STRONG else "moderate" if sure >= _MODERATE else "weak"
