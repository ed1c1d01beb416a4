"""Sliding windows over the events of a correlation, in numpy, so that every engine's result is the same.

Events are sorted by group and time. A window ends at an event and holds the events of its group that are at most
`span` older. A window is a hit when its number (of events, values or rules) satisfies the correlation's operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ._rules import Correlation

__all__ = ["Events", "members"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_OPERATORS: dict[str, Callable[[Any, int], Any]] = {
    "lt": np.less,
    "lte": np.less_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
    "eq": np.equal,
    "neq": np.not_equal,
}


@dataclass(frozen=True)
class Events:
    """Events of a correlation, each array of shape (events,), in any order."""

    time: Ints
    """Microseconds since 1970."""
    group: Ints
    """Equal where all fields of group-by are equal."""
    base: Ints
    """Which of the correlation's rules it set off: index in `Correlation.bases`."""
    value: Ints
    """Number of the counted value; -1: the event has none."""
    key: Ints
    """Breaks ties between equal times, so that the order is the same on every engine."""


def members(correlation: Correlation, events: Events) -> Bools:
    """Which events stand in a window that is a hit: of shape (events,)."""
    order = np.lexsort((events.key, events.base, events.time, events.group))
    time, group = events.time[order], events.group[order]
    starts = _starts(time, group, correlation.span)
    if correlation.kind == "event_count":
        found = np.arange(len(time)) - starts + 1
    elif correlation.kind == "value_count":
        found = _distinct(events.value[order], starts)
    elif correlation.kind == "temporal":
        found = _distinct(events.base[order], starts)
    else:
        found = _in_order(time, group, events.base[order], correlation)
    hit = _OPERATORS[correlation.operator](found, correlation.count)
    result = np.zeros(len(time), dtype=np.bool_)
    result[order] = _covered(starts, hit)
    return result


def _starts(time: Ints, group: Ints, span: int) -> Ints:
    """For each event, the index of the first one in the window that ends with it. Shape (events,)."""
    if not len(time):
        return np.zeros(0, dtype=np.int64)
    # One search in all groups: each group's times are moved behind those of the group before.
    _, place = np.unique(group, return_inverse=True)
    width = int(time.max() - time.min()) + span + 1
    if width > (1 << 62) // (int(place[-1]) + 1):
        return _starts_by_group(time, place, span)
    line = place.astype(np.int64) * width + (time - time.min())
    starts: Ints = np.searchsorted(line, line - span, side="left").astype(np.int64)
    return starts


def _starts_by_group(time: Ints, place: Ints, span: int) -> Ints:
    """The same for so many groups or so long a time that the numbers would not fit into 64 bits."""
    result = np.empty(len(time), dtype=np.int64)
    edges = np.flatnonzero(np.diff(place, prepend=-1, append=place[-1] + 1))
    for first, end in pairwise(edges.tolist()):
        mine = time[first:end]
        result[first:end] = first + np.searchsorted(mine, mine - span, side="left")
    return result


def _distinct(value: Ints, starts: Ints) -> Ints:
    """For each event, how many distinct values (not -1) its window holds."""
    result = np.zeros(len(value), dtype=np.int64)
    inside: dict[int, int] = {}
    first = 0
    for i, (mine, start) in enumerate(zip(value.tolist(), starts.tolist(), strict=True)):
        if start == i:
            inside.clear()  # a new group, or a pause longer than the span
            first = i
        while first < start:
            gone = int(value[first])
            if gone in inside:
                inside[gone] -= 1
                if not inside[gone]:
                    del inside[gone]
            first += 1
        if mine >= 0:
            inside[mine] = inside.get(mine, 0) + 1
        result[i] = len(inside)
    return result


def _in_order(time: Ints, group: Ints, base: Ints, correlation: Correlation) -> Ints:
    """For each event, how many rules, from the first on, have come in their order within the span up to it."""
    result = np.zeros(len(time), dtype=np.int64)
    begun: list[int] = []  # for each rule, the latest time at which a chain began that has come to it
    before, never = None, -(1 << 62)
    for i, (moment, mine, rule) in enumerate(zip(time.tolist(), group.tolist(), base.tolist(), strict=True)):
        if mine != before:
            begun, before = [never] * len(correlation.bases), mine
        start = moment if rule == 0 else begun[rule - 1]
        if start >= moment - correlation.span:
            begun[rule] = max(begun[rule], start)
            result[i] = rule + 1
    return result


def _covered(starts: Ints, hit: Bools) -> Bools:
    """Which events lie in one of the windows that are hits."""
    edges = np.zeros(len(hit) + 1, dtype=np.int64)
    np.add.at(edges, starts[hit], 1)
    np.add.at(edges, np.flatnonzero(hit) + 1, -1)
    return np.cumsum(edges[:-1]) > 0
