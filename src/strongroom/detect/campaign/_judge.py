"""How surely a candidate group is a campaign: how alike its members ask, against the closest groups of others.

The comparison is made on the same traffic, so it needs no threshold from elsewhere: take subjects at random
among those outside every candidate whose members ask interchangeably, give each its nearest neighbours by what
they ask, as many as the candidate has members, and measure them the same way. These are the honest groups that look
most like one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._distance import Questions, group_likeness
from ._groups import tied_members
from ._ties import Tie

__all__ = ["COMPARISONS", "MAX_P", "Judge", "Judged"]

COMPARISONS = 499
"""Groups that a candidate is compared with; the least p-value is 1 / 500."""
MIN_OUTSIDE = 20
"""Accounts outside every candidate, below which there is nobody to compare with and nothing is reported."""
LEFT_OUT = 0.3
MAX_P = 0.01
MIN_LIKENESS = 0.7
"""Of the group, less two standard errors. 1 is interchangeable."""

Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Judged:
    """A candidate and what was measured of it."""

    members: Index
    likeness: float
    error: float
    p_value: float
    tied: dict[str, float]
    """Share of members tied by each kind of thing. Empty when nothing ties most of them."""

    @property
    def is_campaign(self) -> bool:
        return self.likeness - 2 * self.error >= MIN_LIKENESS and self.p_value <= MAX_P and bool(self.tied)


class Judge:
    """Judges the candidates of one snapshot."""

    def __init__(self, questions: Questions, outside: Index, rng: np.random.Generator) -> None:
        """`outside`: able subjects that are in no candidate whose members ask interchangeably."""
        self._questions = questions
        self._outside = outside
        self._rng = rng
        self._cache: dict[int, npt.NDArray[np.float64]] = {}

    def judge(self, members: Index, ties: Sequence[Tie]) -> Judged:
        """Measures one candidate."""
        likeness, error = group_likeness(self._questions, members)
        able = int(self._questions.able.sum())
        others = self._comparisons(len(members))
        at_least = int((others >= likeness).sum())
        return Judged(
            members=members,
            likeness=likeness,
            error=error,
            p_value=(1 + at_least) / (1 + len(others)),
            tied={kind: len(own) / len(members) for kind, own in tied_members(members, able, ties).items()},
        )

    def _comparisons(self, size: int) -> npt.NDArray[np.float64]:
        # Groups of nearly the same size are compared with the same ones.
        size = round(1.15 ** round(np.log(size) / np.log(1.15)))
        if size not in self._cache:
            self._cache[size] = self._nearest_groups(min(size, max(len(self._outside) // 2, 3)))
        return self._cache[size]

    def _nearest_groups(self, size: int) -> npt.NDArray[np.float64]:
        outside = self._outside
        if len(outside) < MIN_OUTSIDE:
            return np.zeros(0)
        few = len(outside) < COMPARISONS
        seeds = self._rng.choice(outside, COMPARISONS, replace=few)
        found = []
        for begin in range(0, len(seeds), 64):
            likeness = self._questions.likeness(seeds[begin : begin + 64], outside)
            if few:
                # The same seed comes again: let it choose among another part of the others.
                likeness[self._rng.random(likeness.shape) < LEFT_OUT] = -np.inf
            nearest = np.argpartition(-likeness, size - 1, axis=1)[:, :size]
            found += [group_likeness(self._questions, outside[row])[0] for row in nearest]
        return np.array(found)
