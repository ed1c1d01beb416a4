"""What a detector of intrusion or exfiltration says of one principal; the story chains signals into findings.

A signal is not an alert: it is one observation with its evidence. `strongroom.detect.story` makes of all signals of
one principal, credential or session the one finding that a person reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from strongroom.core.records import Evidence

__all__ = ["PAUSE", "PHASES", "SEVERITIES", "Phase", "Severity", "Signal", "begins_of"]

PAUSE = 7 * 86_400_000_000
"""What comes again after so long a pause begins anew, microseconds: a week has every habit of a week."""

Severity = Literal["informational", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("informational", "low", "medium", "high", "critical")

Phase = Literal[
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
    "",
]
PHASES: tuple[Phase, ...] = Phase.__args__  # type: ignore[attr-defined]
"""ATT&CK's enterprise tactics by their short names, in the order in which an intrusion goes; last: none."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One observation about one principal."""

    detector: str
    """Which detector, and its version: `rules/1`."""
    kind: str
    """What of: a rule's id, or the detector's own word; findings are compared by it."""
    title: str
    principal: str
    severity: Severity
    confidence: float
    """From 0 to 1: how sure the detector is, not how bad it is."""
    techniques: list[str] = field(default_factory=list)
    """ATT&CK or ATLAS ids, such as T1537 or AML.T0025."""
    phase: Phase = ""
    first: int
    """Event time of the first event, microseconds since 1970."""
    last: int
    begins: tuple[int, ...] = ()
    """When it began, in order, `first` among them: anew after each pause of PAUSE or more. Empty: at `first` alone."""
    events: int
    """How many access events it is about."""
    credentials: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    assets: frozenset[str] = frozenset()
    """The listed assets that it is about, as far as its resources say."""
    why: str = ""
    """Why it matters, in a sentence or two."""
    evidence: list[Evidence] = field(default_factory=list)
    recommended: list[str] = field(default_factory=list)

    @property
    def observed(self) -> list[str]:
        """What it says, whoever it is about: `detector:kind`, or that with each asset."""
        what = f"{self.detector}:{self.kind}"
        return [f"{what}:{asset}" for asset in sorted(self.assets)] or [what]


def begins_of(times: Iterable[int]) -> tuple[int, ...]:
    """When something began that was seen at `times`, microseconds since 1970.

    >>> begins_of([PAUSE + 3, 1, 2, 3 * PAUSE])
    (1, 604800000003, 1814400000000)
    """
    found: list[int] = []
    before = -PAUSE
    for time in sorted(times):
        if time - before >= PAUSE or not found:
            found.append(time)
        before = time
    return tuple(found)
