"""From scores to p-values, by rank among what was before: nothing is assumed of how scores are distributed.

A unit is compared with earlier units of principals that had at least half as long a past (whoever is new is compared
with the first days of others), of the last REFERENCE_DAYS, at most REFERENCE of them:

    p = (1 + number of those with at least this score) / (1 + number of those)

which is at most uniform when the unit is exchangeable with them (conformal p-values: Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World, 2005). And it is at least the share of the principal's own days before that
scored as much: what somebody does every week is not unusual, however unusual it would be of others.

Ranks end at one in the number of comparisons. Beyond TAIL of them scores are taken to fall exponentially, as peaks
over a threshold do (Pickands, Annals of Statistics 3, 1975, with shape 0). The mean excess is what was seen and ERRORS
standard errors more, so that a short past does not make rare what is not; below 1, which is what −log of one
independent p-value has, it is not believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._peers import Floats
from ._read import Ints
from ._units import Units

__all__ = ["ERRORS", "LEAST_REFERENCE", "OWN_DAYS", "REFERENCE", "REFERENCE_DAYS", "TAIL", "WARM_UP", "Ranks", "ranks"]

REFERENCE_DAYS = 56
"""Days that a unit is compared with."""
REFERENCE = 20_000
"""Units that one is compared with, at most, in whole days."""
LEAST_REFERENCE = 40
"""Units below which there is nothing to compare a facet with."""
OWN_DAYS = 28
"""A principal's own days that its score is compared with."""
WARM_UP = 3
"""Days from the first that was read, on which everything is new and which nothing is compared with."""
ERRORS = 1.0
"""Standard errors that are added to the mean excess beyond the tail's beginning."""
TAIL = 0.9
"""Share of the comparisons beyond which the score is taken to fall exponentially."""


@dataclass(frozen=True)
class Ranks:
    """What comparing gave, one element for each unit."""

    p: Floats
    compared: Ints
    """How many earlier units it was compared with."""
    as_much: Ints
    """How many of these scored as much."""
    own: Ints
    """How many of the principal's own days before did."""


def ranks(units: Units, score: Floats, usable: npt.NDArray[np.bool_]) -> Ranks:
    """p-values of scores. Units that are not `usable` compare with nothing and nothing is compared with them: their
    p is 1."""
    p, compared, as_much = np.ones(len(units)), np.zeros(len(units), np.int64), np.zeros(len(units), np.int64)
    least = _least_past(units.past)
    by_day = np.argsort(units.day, kind="stable")
    start = np.searchsorted(units.day[by_day], np.arange(units.days + 1))
    for day in range(WARM_UP, units.days):
        now = by_day[start[day] : start[day + 1]]
        now = now[usable[now]]
        earlier = by_day[start[_from(start, day)] : start[day]]
        earlier = earlier[usable[earlier]]
        for wanted in np.unique(least[now]):
            here = now[least[now] == wanted]
            fit = units.past[earlier] >= wanted if wanted else units.past[earlier] == 0
            reference = np.sort(score[earlier[fit]])
            compared[here] = len(reference)
            as_much[here] = len(reference) - np.searchsorted(reference, score[here], "left")
            p[here] = (1 + as_much[here]) / (1 + len(reference))
            if len(reference) >= LEAST_REFERENCE:
                p[here] = _beyond(reference, score[here], as_much[here])
    own = _own(units, score)
    return Ranks(np.maximum(p, own / (1 + np.minimum(units.past, OWN_DAYS))), compared, as_much, own)


def _least_past(past: Ints) -> Ints:
    """Days of past that a comparable unit has: between a quarter and half of one's own; none of one that has none.

    >>> import numpy as np
    >>> _least_past(np.array([0, 1, 3, 4, 13])).tolist()
    [0, 1, 1, 2, 4]
    """
    half = np.floor(np.log2(np.maximum(past, 1))) - 1
    return np.where(past > 0, np.maximum(2.0**half, 1), 0).astype(np.int64)


def _from(start: Ints, day: int) -> int:
    """The first day that is compared with: REFERENCE units back, in whole days."""
    enough = int(np.searchsorted(start[: day + 1], start[day] - REFERENCE, "right")) - 1
    return min(max(WARM_UP, day - REFERENCE_DAYS, enough), day)


def _beyond(reference: Floats, score: Floats, as_much: Ints) -> Floats:
    """p-values by rank within the body of the reference and by an exponential tail beyond it."""
    number = len(reference)
    edge = reference[min(int(TAIL * number), number - 1)]
    excess = reference[reference > edge] - edge
    count = max(len(excess), 1)
    rate = max(float(excess.mean()) if len(excess) else 0.0, 1.0) * (1 + ERRORS / math.sqrt(count))
    tail = (1 + len(excess)) / (1 + number) * np.exp(-np.maximum(score - edge, 0.0) / rate)
    ranked = (1 + as_much) / (1 + number)
    return np.where(score > edge, np.maximum(np.minimum(tail, ranked), as_much / (1 + number)), ranked)


def _own(units: Units, score: Floats) -> Ints:
    """How many of a principal's last OWN_DAYS days before had at least the score of each unit."""
    found = np.zeros(len(units), np.int64)
    for lag in range(1, min(OWN_DAYS, int(units.past.max(initial=0))) + 1):
        later = np.flatnonzero(units.past >= lag)
        found[later] += score[later - lag] >= score[later]
    return found
