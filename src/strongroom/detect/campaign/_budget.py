"""How many false alerts somebody is willing to look at, and what that asks of a campaign.

On simulated honest traffic (28 November 2026, worlds that thresholds may be set on: 24 of 300 and 4 of 450 accounts,
14 days each) the fixed bars let nothing pass in 126,000 days of an account; so with 95 % confidence at most `RATE`
false campaigns a day and account do (3 / 126,000: Hanley and Lippman-Hand, JAMA 249, 1983). How many groups of
neighbours reach a score falls by the factor e with each .03 to .07 that it grows, by their size. A budget is never a
reason to report what the fixed bars would not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from strongroom.core.clock import parse_duration
from strongroom.core.errors import UsageError

__all__ = ["AlertBudget", "parse_budget"]

RATE = 2.4e-5
"""False campaigns for each account and day that the fixed bars let pass in such worlds, at most."""
SCALE = 0.05
"""Score by which the number of groups is taken to fall by the factor e."""
HIGHEST = 0.15
"""Largest addition to the bars: what is beyond was not measured."""
LONGEST = 3650
"""Days of the longest budget."""

_DAY = 86_400_000_000
_BUDGET = re.compile(r"([1-9]\d{0,5})/(.+)")


@dataclass(frozen=True)
class AlertBudget:
    """So many false campaigns in so many days, on average, at most."""

    alerts: int
    days: float

    def half(self) -> AlertBudget:
        """For one of two kinds of detectors: expected numbers of false alerts add up, whatever depends on whatever."""
        return AlertBudget(self.alerts, 2 * self.days)

    def raised(self, accounts: int) -> float:
        """What a campaign's score must exceed the fixed bars by among so many accounts, `HIGHEST` at most."""
        return min(self._wanted(accounts), HIGHEST)

    def holds_for(self, accounts: int) -> bool:
        """Whether the bars can be raised that far."""
        return self._wanted(accounts) <= HIGHEST

    def _wanted(self, accounts: int) -> float:
        expected = RATE * accounts * self.days
        return SCALE * math.log(max(expected / self.alerts, 1.0))

    def __str__(self) -> str:
        return f"{self.alerts:,} in {self.days:g} days"


def parse_budget(text: str) -> AlertBudget:
    """`1/30d`: one false campaign in 30 days. Raises UsageError.

    >>> parse_budget("2/4w")
    AlertBudget(alerts=2, days=28.0)
    """
    match = _BUDGET.fullmatch(text.strip())
    if not match:
        raise UsageError(f"'{text[:40]}' is no alert budget", next="write alerts and a duration, such as 1/30d")
    days = parse_duration(match[2]) / _DAY
    if not 1 <= days <= LONGEST:
        raise UsageError(f"'{text[:40]}' is out of range", next="write 1d to 3650d after the bar, such as 1/30d")
    return AlertBudget(int(match[1]), days)
