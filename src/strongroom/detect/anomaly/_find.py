"""From access events to signals: read, score, spend the budget, tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from strongroom.detect.signals import Signal

from ._alerts import Budget, alerts
from ._calibrate import LEAST_REFERENCE, WARM_UP
from ._read import DAY, MAX_EACH, MAX_ROWS, Counts, read_counts
from ._score import LEAST_JUDGED, Scores, score
from ._tell import signal_of

if TYPE_CHECKING:
    from strongroom.store import Store

__all__ = ["LEAST_PAST", "Result", "find_anomalies"]

LEAST_PAST = 3
"""Days of its own on which a principal did something before one of its days is judged."""


@dataclass
class Result:
    """Signals, first ones first, and what could not be judged, in sentences."""

    signals: list[Signal] = field(default_factory=list)
    not_examined: list[str] = field(default_factory=list)


def find_anomalies(
    store: Store,
    events: Any,
    *,
    start: int | None = None,
    end: int | None = None,
    budget: Budget | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """The anomalies of the days from `start` on and before `end` (microseconds since 1970; None: no bound).

    `events` is an Ibis table of `store` with the columns of ACCESS_EVENTS; its rows before `start` are the past that
    the first days are compared with, those from `end` on are not read. `budget` is that of this detector alone
    (None: one false alert in 30 days). `progress` is told what happens. Raises StrongroomError where a query fails.
    """
    progress("counting what each principal does on a day")
    if end is not None:
        from strongroom.store import microseconds

        events = events.filter(microseconds(events.time) < end)
    counts = read_counts(store, events)
    if counts is None:
        return Result()
    progress("comparing principals with their past and their peers")
    scores = score(counts)
    units = scores.units
    wanted = np.ones(len(units), bool)
    if start is not None:
        wanted = (units.day + int(counts.day.min()) + 1) * DAY > start
    judged = wanted & scores.judged & (units.past >= LEAST_PAST)
    found = alerts(units, scores.together.p, judged, budget)
    progress("gathering evidence of what is unusual")
    signals = [signal_of(store, events, counts, scores, alert) for alert in found]
    return Result(signals, _not_examined(counts, scores, wanted, judged))


def _not_examined(counts: Counts, scores: Scores, wanted: Any, judged: Any) -> list[str]:
    units = scores.units
    sentences = []
    if wanted.any() and not judged.any():
        sentences.append(
            f"anomalies: nothing could be judged, as {units.days:,} days with {len(units):,} principals' days are too"
            f" little to compare with ({WARM_UP} days of warm-up, then {LEAST_REFERENCE} and again {LEAST_JUDGED}"
            " comparable ones)"
        )
    elif early := np.unique(units.day[wanted & ~judged & (units.past >= LEAST_PAST)]).size:
        sentences.append(f"anomalies: {early:,} days were too early to be judged in full, with too little to compare")
    young = np.unique(units.principal[wanted & (units.past < LEAST_PAST)])
    never = np.setdiff1d(young, units.principal[judged])
    if len(never):
        sentences.append(
            f"anomalies: {len(never):,} principals did something on no more than {LEAST_PAST} days and were not judged"
        )
    if counts.cut_units:
        sentences.append(
            f"anomalies: of {counts.cut_units:,} principals' days only the first {MAX_EACH:,} combinations were counted"
        )
    if counts.cut_days:
        sentences.append(f"anomalies: the oldest days are beyond {MAX_ROWS:,} combinations and were left out")
    return sentences
