"""How much, when, and in which order, against a principal's own days before.

Amounts are counts whose spread grows with their size, so they are looked at as z = log(1 + y): an overdispersed count
has about the same spread there whatever its mean. A principal's own mean is drawn towards its kind's and its own
variance towards everybody's, each as if WEIGHT more days had been seen; the score is how many of its standard
deviations a day is above the mean, and 0 below it. Where TOGETHER peers or more were there on the day, what half of
them are above their own means is taken off: a busy day of all is not one principal's.
"""

from __future__ import annotations

import numpy as np

from ._novelty import TOGETHER
from ._peers import Floats, Peers
from ._read import Counts, Ints
from ._units import Units, before

__all__ = ["LEAST_SPREAD", "WEIGHT", "amounts", "hours", "order_of_actions"]

WEIGHT = 3.0
"""Days that everybody's habits count for beside a principal's own."""
LEAST_SPREAD = 0.2
"""Smallest standard deviation of log(1 + y): a fifth more or less is no event."""


def amounts(units: Units, peers: Peers, amount: Ints) -> Floats:
    """How far each unit's amount is above what its principal has on a day."""
    own = _above(units, amount.astype(np.float64))
    group = peers.of(units)
    key = group * units.days + units.day
    order = np.lexsort((own, key))
    start = np.flatnonzero(np.diff(key[order], prepend=-1))
    number = np.diff(np.append(start, len(order)))
    # The lower middle of all of them, so that one unit does not lift what is taken off it.
    middle = own[order][start + (number - 1) // 2]
    common = np.where((number > TOGETHER) & (key[order][start] >= units.days), np.maximum(middle, 0.0), 0.0)
    shared = np.empty(len(units))
    shared[order] = np.repeat(common, number)
    return np.maximum(own - shared, 0.0)


def _above(units: Units, amount: Floats) -> Floats:
    """How many standard deviations each unit's amount is above its principal's mean; negative below."""
    z = np.log1p(amount)
    mean, own_variance = _running(units, z)
    # A unit's deviation from its own past, which is what everybody's spread is made of; days before only.
    deviation = np.where(units.past > 0, (z - mean) ** 2, 0.0)
    total = np.cumsum(np.bincount(units.day, deviation, minlength=units.days))
    number = np.cumsum(np.bincount(units.day[units.past > 0], minlength=units.days))
    shift = np.maximum(units.day - 1, 0)
    everybody = np.where(units.day > 0, (total[shift] + 1.0) / (number[shift] + 1.0), 1.0)
    level_sum = np.cumsum(np.bincount(units.day, z, minlength=units.days))
    level_number = np.cumsum(np.bincount(units.day, minlength=units.days))
    level = level_sum[shift] / level_number[shift]
    centre = np.where(units.past > 0, mean, level)
    variance = (units.past * own_variance + WEIGHT * everybody) / (units.past + WEIGHT)
    # The mean itself is uncertain after few days.
    spread = np.sqrt(variance * (1 + 1 / np.maximum(units.past, 0.5)))
    return (z - centre) / np.maximum(spread, LEAST_SPREAD)


def _running(units: Units, z: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a principal's days before each unit; 0 where there are none."""
    first = np.arange(len(units)) - units.past
    total = np.concatenate([[0.0], np.cumsum(z)])
    square = np.concatenate([[0.0], np.cumsum(z * z)])
    at = np.arange(len(units))
    number = np.maximum(units.past, 1)
    mean = (total[at] - total[first]) / number
    return mean, np.maximum((square[at] - square[first]) / number - mean**2, 0.0)


def hours(units: Units, counts: Counts, first_day: int) -> Floats:
    """How unusual the most unusual hour of a unit is: −log of 24 times its chance, 0 at least.

    A principal's own hours before, smoothed over neighbours around the clock, and everybody's hours turned to where
    the middle of this principal's day is: so its time zone need not be known. Without a past of WEIGHT days: 0.
    """
    unit = units.of(counts.hour_principal, counts.hour_day - first_day)
    table = np.zeros((len(units), 24))
    table[unit, counts.hour] = 1.0
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    smooth = (np.roll(table, 1, axis=1) + 2 * table + np.roll(table, -1, axis=1)) / 4
    own = _before(units, smooth)
    middle = _middle(own)
    everybody = _everybody(units, smooth, middle)
    shifted = everybody[units.day[:, None], (np.arange(24) - middle[:, None]) % 24]
    chance = (own + WEIGHT * shifted) / (units.past[:, None] + WEIGHT)
    surprise = np.where(table > 0, -np.log(np.maximum(24 * chance, 1e-6)), 0.0).max(axis=1)
    return np.where(units.past >= WEIGHT, np.maximum(surprise, 0.0), 0.0)


def _before(units: Units, rows: Floats) -> Floats:
    """The sum of a principal's rows before each unit."""
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    at = np.arange(len(units))
    return np.asarray(np.maximum(total[at] - total[at - units.past], 0.0), np.float64)


def _middle(own: Floats) -> Ints:
    """The circular mean of each row of 24, as an hour."""
    turn = np.exp(2j * np.pi * np.arange(24) / 24)
    return np.asarray(np.round(np.angle((own @ turn).round(9)) * 24 / (2 * np.pi)), np.int64) % 24


def _everybody(units: Units, smooth: Floats, middle: Ints) -> Floats:
    """Of each day, the chance of each hour, counted from the middle of one's day, by the days before."""
    turned = np.take_along_axis(smooth, (np.arange(24) + middle[:, None]) % 24, axis=1)
    table = np.zeros((units.days + 1, 24))
    old = units.past >= WEIGHT
    np.add.at(table, units.day[old] + 1, turned[old])
    total = np.cumsum(table, axis=0)[:-1] + 1.0
    return np.asarray(total / total.sum(axis=1, keepdims=True), np.float64)


def order_of_actions(units: Units, counts: Counts) -> Floats:
    """How unusual the order is in which a unit's actions come for the first time on the day.

    The mean of −log of the chance of each step from one action to the next, by a first-order chain of the principal's
    own days before that backs off to everybody's and to all actions alike. Steps to or from an action that is new to
    the principal are left out: that it is new is told elsewhere. Without a past of WEIGHT days, or steps: 0.
    """
    unit, here, there = _steps(units, counts)
    if not len(unit):
        return np.zeros(len(units))
    number = len(counts.actions)
    principal, day = units.principal[unit], units.day[unit]
    step = here * number + there
    every_here, every = _earlier(here, day, units.days), _earlier(step, day, units.days)
    everybody = (every + 1.0 / number) / (every_here + 1.0)
    own = before(principal * number * number + step, day)
    own_here = _earlier(principal * number + here, day, units.days)
    chance = (own + WEIGHT * everybody) / (own_here + WEIGHT)
    total = np.bincount(unit, -np.log(np.minimum(chance, 1.0)), minlength=len(units))
    mean = total / np.maximum(np.bincount(unit, minlength=len(units)), 1)
    return np.where(units.past >= WEIGHT, mean, 0.0)


def _steps(units: Units, counts: Counts) -> tuple[Ints, Ints, Ints]:
    """Unit, action and next action, where both are known of the principal. Equal times go by the action's name."""
    rank = np.argsort(np.argsort(np.array(counts.actions, dtype=object)))
    order = np.lexsort((rank[counts.action], counts.first, units.row))
    unit, action = units.row[order], counts.action[order]
    number = len(counts.actions)
    once = np.sort(np.unique(unit * number + action, return_index=True)[1])
    unit, action = unit[once], action[once]
    known = before(units.principal[unit] * number + action, units.day[unit]) > 0
    together = (unit[1:] == unit[:-1]) & known[1:] & known[:-1]
    return unit[:-1][together], action[:-1][together], action[1:][together]


def _earlier(key: Ints, day: Ints, days: int) -> Ints:
    """How many rows with the same key have an earlier day."""
    ordered = np.sort(key * days + day)
    return np.searchsorted(ordered, key * days + day, "left") - np.searchsorted(ordered, key * days, "left")
