"""Units: one principal's day each, in the order of principals and, within one, of days; what comes before one is past.

>>> import numpy as np
>>> before(np.array([7, 7, 9]), np.array([100, 102, 100])).tolist()
[0, 1, 0]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._read import Counts, Ints

__all__ = ["Units", "before", "distinct", "places", "units_of"]


@dataclass(frozen=True)
class Units:
    """Every principal's days. Arrays have one element for each unit, rows one for each of `Counts`."""

    principal: Ints
    day: Ints
    """Days since the first that was read."""
    past: Ints
    """How many days before on which the principal did anything."""
    row: Ints
    """The unit of each row of `Counts`."""
    days: int
    """From the first to the last that was read."""
    principals: int

    def __len__(self) -> int:
        return len(self.principal)

    def of(self, principal: Ints, day: Ints) -> Ints:
        """The units of such pairs, which must exist."""
        keys = self.principal * self.days + self.day
        return np.searchsorted(keys, principal * self.days + day)


def units_of(counts: Counts) -> Units:
    """The units of what was read."""
    first = int(counts.day.min())
    days = int(counts.day.max()) - first + 1
    keys, row = np.unique(counts.principal * days + (counts.day - first), return_inverse=True)
    principal, day = keys // days, keys % days
    return Units(principal, day, before(principal, day), row, days, len(counts.principals))


def distinct(keys: Ints) -> Ints:
    """Distinct keys, ascending. Faster than numpy's own, which hashes."""
    ordered = np.sort(keys)
    return np.asarray(ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0], np.int64)


def before(key: Ints, day: Ints) -> Ints:
    """How many rows of the same key have an earlier day. Pairs must be distinct; their order does not matter."""
    order = np.lexsort((day, key))
    found = np.empty(len(key), np.int64)
    found[order] = places(key[order])
    return found


def places(ordered: Ints) -> Ints:
    """The place of each element among equal ones, from 0; equal ones stand together."""
    if not len(ordered):
        return ordered
    start = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return np.arange(len(ordered)) - np.repeat(start, np.diff(np.append(start, len(ordered))))
