"""A rule as it is kept and run: what it is about, who wrote it, and its condition or correlation.

`curated.json` holds these records as JSON; docs/rules.md tells how status and level become a confidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from strongroom.detect.signals import PHASES, Phase, Severity

from ._condition import Node

__all__ = [
    "LOG_SOURCES",
    "Base",
    "Correlation",
    "CorrelationKind",
    "CorrelationOperator",
    "Refusal",
    "Rule",
    "Rules",
    "confidence",
    "decode_rules",
    "encode_rules",
    "phase_of",
]

FORMAT = 1
"""Version of curated.json."""

LOG_SOURCES = frozenset(
    {
        ("aws", "cloudtrail"),
        ("azure", "activitylogs"),
        ("azure", "auditlogs"),
        ("azure", "pim"),
        ("azure", "riskdetection"),
        ("azure", "signinlogs"),
        ("azure", "storagelogs"),
        ("gcp", "gcp.audit"),
        ("gcp", "google_workspace.admin"),
        ("gcp", "google_workspace.login"),
        ("huggingface", "audit"),
        ("kubernetes", "audit"),
        ("linux", "auditd"),
        ("linux", "falco"),
        ("strongroom", "ledger"),
    }
)
"""Products and services, in Sigma's words, whose logs a reader can bring; a rule for another could never match."""

CorrelationKind = Literal["event_count", "value_count", "temporal", "temporal_ordered"]
CorrelationOperator = Literal["lt", "lte", "gt", "gte", "eq", "neq"]

_STATUS = {"stable": 0.9, "test": 0.7, "experimental": 0.5, "deprecated": 0.3, "": 0.5}
_LEVEL: dict[Severity, float] = {"informational": 0.2, "low": 0.4, "medium": 0.7, "high": 1.0, "critical": 1.0}
# ATT&CK 18 divides "defense evasion" into two; older rules know it undivided.
_RENAMED: dict[str, Phase] = {"stealth": "defense-evasion", "defense-impairment": "defense-evasion"}


class Base(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the rules whose events a correlation counts."""

    rule: str
    """Its id."""
    product: str
    service: str
    condition: Node
    group: tuple[str, ...] = ()
    """What its events call the fields of `Correlation.group_by`, in that order."""
    value: str = ""
    """What its events call the field whose values are counted (value_count)."""


class Correlation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Events of other rules that come together in time, for equal values of some fields."""

    kind: CorrelationKind
    bases: tuple[Base, ...]
    group_by: tuple[str, ...]
    span: int
    """Microseconds; a window holds both its ends."""
    operator: CorrelationOperator
    count: int


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: `condition` over single events, or `correlation`."""

    id: str
    title: str
    product: str
    service: str
    level: Severity
    status: str = ""
    author: str = ""
    license: str = ""
    techniques: tuple[str, ...] = ()
    phase: Phase = ""
    why: str = ""
    recommended: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    condition: Node | None = None
    correlation: Correlation | None = None
    silent: bool = False
    """Written for a correlation, which alone makes signals of it."""


@dataclass(frozen=True)
class Refusal:
    """A file, or one rule in it, that is not run; and why."""

    path: Path
    title: str
    reason: str


@dataclass(frozen=True)
class Rules:
    """What was loaded. Nothing is left out without a refusal."""

    rules: list[Rule] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def __add__(self, other: Rules) -> Rules:
        return Rules([*self.rules, *other.rules], [*self.refused, *other.refused])


def confidence(rule: Rule) -> float:
    """How sure a match is an attack, from 0 to 1: how tried the rule is, times how seldom honest work sets it off."""
    return round(_STATUS.get(rule.status, 0.5) * _LEVEL[rule.level], 2)


def phase_of(tactic: str) -> Phase:
    """ATT&CK's tactic in a Sigma tag to a phase; empty for what is none.

    >>> phase_of("credential_access"), phase_of("stealth"), phase_of("s0001")
    ('credential-access', 'defense-evasion', '')
    """
    name = tactic.replace("_", "-")
    if name in _RENAMED:
        return _RENAMED[name]
    return next((phase for phase in PHASES if phase == name), "")


class _File(msgspec.Struct, frozen=True):
    """curated.json."""

    format: int
    rules: list[Rule]


def encode_rules(rules: list[Rule]) -> bytes:
    """Rules as JSON, indented so that a change can be read."""
    return msgspec.json.format(msgspec.json.encode(_File(FORMAT, rules)), indent=1) + b"\n"


def decode_rules(raw: bytes) -> list[Rule]:
    """The rules in JSON that `encode_rules` made. Raises msgspec.DecodeError."""
    return msgspec.json.decode(raw, type=_File).rules
