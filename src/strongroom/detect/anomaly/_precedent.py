"""A day that a peer had before, in all its parts, is one unusual event and not many.

A machine that starts again reads a model, pulls an image, uses a library and moves bytes that it never did before, all
at once, as each of its peers did at some time. Added up, that is a dozen surprises. So for each unit the *precedent* is
looked for: the one day of one peer, up to the same day, that holds most of what is new in it, by its surprise. What the
precedent holds counts once, as the most surprising of it; where it holds a share of WHOLE or more, amounts up to AMOUNT
times its own are not unusual either. What no peer did on one day counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._novelty import FirstSeen
from ._peers import LEARNT_EVERY, Floats, Peers
from ._read import Ints
from ._units import Units, distinct

__all__ = ["AMOUNT", "LEAST_SURPRISE", "LOOKED", "WHOLE", "Precedents", "precedents"]

LOOKED = 32
"""Latest days of peers with a thing that are looked at, for each thing that is new."""
LEAST_SURPRISE = 1.0
"""Surprise of the things that are looked for."""
WHOLE = 0.8
"""Share of the surprise that a precedent must hold to explain amounts."""
AMOUNT = 2.0
"""Times the precedent's amount that is explained."""


@dataclass(frozen=True)
class Precedents:
    """One element for each unit, or for each row of a facet's first-seen things."""

    unit: Ints
    """The precedent; −1 where there is none."""
    whole: npt.NDArray[np.bool_]
    """Whether it holds (nearly) all that is new."""
    surprise: dict[str, Floats]
    """By facet: the surprise that is left of each row."""

    def explains(self, amount: Ints) -> npt.NDArray[np.bool_]:
        """Of each unit's amount, whether its precedent's explains it."""
        known = self.whole & (self.unit >= 0)
        return known & (amount <= AMOUNT * np.where(known, amount[self.unit], 0))


def precedents(
    units: Units, peers: Peers, seen: dict[str, FirstSeen], had: dict[str, tuple[Ints, Ints]], weight: Ints
) -> Precedents:
    """The precedents of all units. `had`: by facet, unit and item of all rows; of equally good ones the heaviest."""
    items, every_unit, every_item = 0, [], []
    new_unit, new_item, new_surprise, sizes = [], [], [], {}
    for facet, first in seen.items():
        unit, item = had[facet]
        every_unit.append(unit)
        every_item.append(item + items)
        new_unit.append(first.unit)
        new_item.append(first.item + items)
        new_surprise.append(first.surprise)
        sizes[facet] = len(first.unit)
        items += 1 + int(max(item.max(initial=0), first.item.max(initial=0)))
    key = distinct(np.concatenate(every_unit) * items + np.concatenate(every_item))
    unit, item, surprise = np.concatenate(new_unit), np.concatenate(new_item), np.concatenate(new_surprise)
    best = _best(units, peers, key, items, unit[surprise >= LEAST_SURPRISE], item[surprise >= LEAST_SURPRISE],
                 surprise[surprise >= LEAST_SURPRISE], weight)  # fmt: skip
    held = (best[unit] >= 0) & np.isin(best[unit] * items + item, key)
    left = np.where(held, 0.0, surprise)
    # The most surprising of what is held stands for all of it.
    order = np.lexsort((item, -np.where(held, surprise, -1.0), unit))
    first_of = order[np.flatnonzero(np.diff(unit[order], prepend=-1))]
    left[first_of] = surprise[first_of]
    all_of_it = np.bincount(unit, surprise, minlength=len(units))
    whole = np.bincount(unit, surprise * held, minlength=len(units)) >= WHOLE * all_of_it
    edges = np.cumsum([0, *sizes.values()])
    parts = {facet: left[start:end] for facet, start, end in zip(sizes, edges, edges[1:], strict=False)}
    return Precedents(best, whole & (all_of_it > 0), parts)


def _best(
    units: Units, peers: Peers, key: Ints, items: int, unit: Ints, item: Ints, surprise: Floats, weight: Ints
) -> Ints:
    """The peer's day that holds most of the surprise of each unit, or −1."""
    best = np.full(len(units), -1, np.int64)
    holder, held = key // items, key % items
    for time in range(peers.times):
        now = units.day[unit] // LEARNT_EVERY == time
        group = peers.at(time)
        now &= group[units.principal[unit]] > 0
        if not now.any():
            continue
        place = (group[units.principal[holder]] * items + held) * units.days + units.day[holder]
        order = np.argsort(place, kind="stable")
        wanted = (group[units.principal[unit[now]]] * items + item[now]) * units.days
        low = np.searchsorted(place[order], wanted, "left")
        high = np.searchsorted(place[order], wanted + units.day[unit[now]], "right")
        pairs, gains = [], []
        for back in range(1, LOOKED + 1):
            there = high - back >= low
            other = holder[order[(high - back)[there]]]
            pairs.append(unit[now][there] * len(units) + other)
            gains.append(surprise[now][there])
        _settle(best, np.concatenate(pairs), np.concatenate(gains), weight)
    return best


def _settle(best: Ints, pair: Ints, gain: Floats, weight: Ints) -> None:
    """Writes the best other unit of each unit among pairs of units with what each adds."""
    number = len(best)
    found, inverse = np.unique(pair, return_inverse=True)
    total = np.bincount(inverse, gain, minlength=len(found)).round(6)
    unit, other = found // number, found % number
    total[unit == other] = 0.0
    order = np.lexsort((weight[other], total, unit))
    last = order[np.flatnonzero(np.diff(unit[order], append=-1))]
    last = last[total[last] > 0]
    best[unit[last]] = other[last]
