"""Which p-values become alerts: as many false ones as somebody is willing to look at, however long the stream is.

Alpha spending in time (after Foster and Stine, Journal of the Royal Statistical Society B 70, 2008; Tian and Ramdas,
Statistical Methods in Medical Research 30, 2021). A budget of `a` false alerts in `days` days gives every day the
level `a / days`, divided evenly among the units that are judged on it:

    alert when p <= a / days / units of the day

If p-values of honest units are at most uniform, the expected number of false alerts in `days` days is at most `a`,
whatever depends on whatever and whatever was an alert before; with it the expected share of false ones is bounded.
That is stricter than control of the false-discovery rate alone, as LORD or SAFFRON give it: these raise the level
after each alert, and so let more false ones pass in a month in which there were true ones, which a budget does not
allow. Nothing is lost for good by long quiet, as no level depends on how long the stream is.

Days of one principal near to each other are one alert: while it is open, within OPEN days of its last, a day of the
same principal with a p-value of at most EXTENDS is added to it and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ._peers import Floats
from ._units import Units

__all__ = ["ALERTS", "DAYS", "EXTENDS", "OPEN", "Alert", "Budget", "alerts"]

ALERTS = 1
"""False alerts that are allowed, when nobody says otherwise, …"""
DAYS = 30.0
"""… in so many days."""
OPEN = 7
"""Days after its last in which an alert can go on."""
EXTENDS = 0.01
"""p-value of a day that goes on."""


class Budget(Protocol):
    """`strongroom.detect.campaign.AlertBudget`: false alerts, and the days in which there may be so many."""

    @property
    def alerts(self) -> int: ...
    @property
    def days(self) -> float: ...


@dataclass
class Alert:
    """One principal's unusual days."""

    units: list[int]
    """The first is the one that was judged to be an alert."""
    p: float
    level: float
    """What p had to reach."""


def alerts(units: Units, p: Floats, judged: npt.NDArray[np.bool_], budget: Budget | None) -> list[Alert]:
    """The alerts among units that are `judged`, in the order of days."""
    allowed, days = (budget.alerts, budget.days) if budget else (ALERTS, DAYS)
    found: list[Alert] = []
    last: dict[int, tuple[int, Alert]] = {}
    order = np.flatnonzero(judged)
    order = order[np.argsort(units.day[order], kind="stable")]
    for day, here in _by_day(units, order):
        level = min(allowed / days / len(here), EXTENDS)
        for unit in here[p[here] <= EXTENDS].tolist():
            principal = int(units.principal[unit])
            when, known = last.get(principal, (day - OPEN - 1, None))
            if known and day - when <= OPEN:
                known.units.append(unit)
            elif p[unit] <= level:
                known = Alert([unit], float(p[unit]), level)
                found.append(known)
            else:
                continue
            last[principal] = (day, known)
    return found


def _by_day(units: Units, order: npt.NDArray[np.int64]) -> list[tuple[int, npt.NDArray[np.int64]]]:
    days = units.day[order]
    edges = np.flatnonzero(np.diff(days)) + 1
    return [(int(units.day[part[0]]), part) for part in np.split(order, edges) if len(part)]
