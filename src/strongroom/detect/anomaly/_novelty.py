"""How surprising it is that a principal does something for the first time.

Of a thing (an action, a network, …) that a principal with n days of past never had, the surprise is −log q, where q
is the chance that it takes it up on the next day, backing off from its peers to everybody:

    q(all)   = (A(all) + STRENGTH q0) / (M(all) (n + 1) + STRENGTH)
    q(peers) = (A(peers) + STRENGTH q(all)) / (M(peers) (n + 1) + STRENGTH)

A of M principals had it by the end of that day, without the one in question. Dividing by n + 1 is the rule of
succession (Laplace, 1774): what did not happen on n days happens on the next with a chance near 1 / n, and what all
others have is no news of a newcomer. q0 is the share of the things of its class that one principal alone has (after
Good, Biometrika 40, 1953): where novelty is common it says little. Where TOGETHER others or more take a thing up on
the same day or within SPREADS days before, as after a new release, q is at least their share of those who were there
on the day; the same among peers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._peers import LEARNT_EVERY, Floats, Peers
from ._read import Ints
from ._units import Units, before, distinct, places

__all__ = ["SPREADS", "STRENGTH", "TOGETHER", "FirstSeen", "first_seen", "sums"]

STRENGTH = 0.5
"""Principals' days that the next wider estimate counts for."""
TOGETHER = 3
"""Others who take something up, or are there, at one time, from which it is something that came to many."""
SPREADS = 2
"""Days before that count as the same time: what is rolled out, is so within days."""


@dataclass(frozen=True)
class FirstSeen:
    """What units had for the first time."""

    unit: Ints
    item: Ints
    surprise: Floats
    others: Ints
    """Principals other than this one that had it by the end of the day."""
    near: Ints
    """Those of its peers."""


def first_seen(units: Units, peers: Peers, unit: Ints, item: Ints, class_of: Ints) -> FirstSeen:
    """The first use of each item by each principal, from rows of units and items. `class_of`: of each item, from 0."""
    items = max(len(class_of), 1)
    keys = distinct(unit * items + item)
    unit, item = keys // items, keys % items
    first = before(units.principal[unit] * items + item, units.day[unit]) == 0
    unit, item = unit[first], item[first]
    day = units.day[unit]
    tries = units.past[unit] + 1
    everybody = np.cumsum(np.bincount(units.day[units.past == 0], minlength=units.days))[day] - 1
    others = _by(item, day, units.days) - 1
    chance = (others + STRENGTH * _openness(item, day, class_of, units.days)) / (everybody * tries + STRENGTH)
    near, members = _of_peers(units, peers, unit, item, items)
    chance = (near + STRENGTH * chance) / (members * tries + STRENGTH)
    for part in (np.zeros(len(units), np.int64), peers.of(units)):
        present = _lately(part, units.day, units.days, 0)[unit]
        together = _lately(part[unit] * items + item, day, units.days, SPREADS) - 1
        chance = np.where(together >= TOGETHER, np.maximum(chance, np.minimum(together / present, 1.0)), chance)
    return FirstSeen(unit, item, -np.log(np.clip(chance, 1e-12, 1.0)), others, near)


def sums(units: Units, seen: FirstSeen, alike: Ints) -> Floats:
    """Surprise of each unit. Of its items that are `alike` the k-th counts 1 / k: they come together."""
    key = seen.unit * (int(alike.max(initial=0)) + 1) + alike
    order = np.lexsort((-seen.surprise, key))
    weighed = seen.surprise[order] / (1 + places(key[order]))
    return np.asarray(np.bincount(seen.unit[order], weighed, minlength=len(units)), np.float64)


def _by(key: Ints, day: Ints, days: int) -> Ints:
    """How many rows with the same key there are by the end of each row's day."""
    ordered = np.sort(key * days + day)
    return np.searchsorted(ordered, key * days + day, "right") - np.searchsorted(ordered, key * days, "left")


def _lately(key: Ints, day: Ints, days: int, before_it: int) -> Ints:
    """How many rows with the same key have the same day, or one of so many days before it."""
    ordered = np.sort(key * days + day)
    since = np.maximum(day - before_it, 0)
    return np.searchsorted(ordered, key * days + day, "right") - np.searchsorted(ordered, key * days + since, "left")


def _openness(item: Ints, day: Ints, class_of: Ints, days: int) -> Floats:
    """Of the items of a class that anybody had by the end of a day, the share that one principal alone had."""
    order = np.lexsort((day, item))
    number = places(item[order])
    found = np.zeros((int(class_of.max(initial=0)) + 1, days))
    alone = np.zeros_like(found)
    for place, change in ((0, 1), (1, -1)):
        rows = order[number == place]
        at = (class_of[item[rows]], day[rows])
        np.add.at(alone, at, change)
        if place == 0:
            np.add.at(found, at, 1)
    share: Floats = (np.cumsum(alone, axis=1) + 1) / (np.cumsum(found, axis=1) + 1)
    own: Floats = share[class_of[item], day]
    return own


def _of_peers(units: Units, peers: Peers, unit: Ints, item: Ints, items: int) -> tuple[Ints, Ints]:
    """Peers that had each item by the end of the day, and how many peers there were; whoever has no group has none."""
    principal, day = units.principal[unit], units.day[unit]
    near, members = np.zeros(len(item), np.int64), np.zeros(len(item), np.int64)
    for time in range(peers.times):
        now = day // LEARNT_EVERY == time
        group = peers.at(time)
        had = np.sort((group[principal] * items + item) * units.days + day)
        own = group[principal[now]]
        key = (own * items + item[now]) * units.days
        before_then = np.searchsorted(had, key + day[now], "right") - np.searchsorted(had, key, "left") - 1
        near[now] = np.where(own > 0, before_then, 0)
        members[now] = np.where(own > 0, peers.members(units, time)[own, day[now]] - 1, 0)
    return near, members
