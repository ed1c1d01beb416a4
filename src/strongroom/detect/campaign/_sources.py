"""Finding a hidden common source: who draws part of their texts from one distribution, and what that is.

Let b be how often everybody else touches each cell, and q how often a group does. Of a unit whose texts come, to the
share w, from the group's source, the cells it touches have the likelihood ratio

    Σ log(1 − w + w · q / b)        over the cells it touches, w chosen best: its *score*

against somebody who has nothing to do with it. A source is found by going back and forth between the two questions,
who belongs and what do they ask, until nothing changes (expectation maximisation with hard membership: Celeux and
Govaert, Computational Statistics & Data Analysis 14, 1992). A member's own texts are left out of the q that it is
measured by: nobody belongs to a group on the strength of their own.

People come back to what is theirs; whoever works off a share of somebody else's list has no reason to. So a cell in
which a unit has far more texts than its share of the source explains is its *own* and speaks against it, and a
unit of whose texts in the source's cells more than `MAX_OWN` are of that kind is left out: learners of the subject,
people who happen to work on something near it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._touches import Touches

__all__ = ["JOIN", "MIN_UNITS", "Source", "learn_once", "settle"]

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
"""The values of w that are tried."""
SMOOTHING = 0.25
"""Touches, for each cell, of everybody's distribution that are mixed into a group's."""
JOIN = 3.0
"""Score from which a unit belongs to a group."""
LARGE = 100
"""Units from which a group is large: what it draws from is known well, and that many draw from it."""
ODDS = 1.0
"""Logarithm of the odds from which a unit belongs to a large group, where as many as do are taken to be its members."""
OWN_RATIO = 0.02
"""What a unit's own cell counts instead of q / b."""
OWN_SIGMA = 2.5
"""Standard deviations above its share of the source from which a cell is a unit's own."""
MAX_OWN = 0.3
CLUMPED = 3.0
"""Times as many pairs of texts in one cell as the source explains, and standard deviations above, from which a unit's
texts hang together as somebody's own do."""
OF_THE_REST = (0.05, 0.7)
"""The same two where the fullest cell of a unit's own is left out."""
LIFT = 2.0
"""q / b from which a cell belongs to the source."""
CORE_LIFT = 4.0
"""And from which it is hardly touched by anybody else: there members are compared, lest their own matter is."""
MIN_UNITS = 4
KNOWN = 0.8
"""Share of two groups that are in both from which a search is taken to end where another did."""

Index = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """A group of units and what they have in common."""

    units: Index
    """Members, in order."""
    score: Floats
    """Log likelihood ratio of each unit of the traffic, member or not, (units,)."""
    share: Floats
    """Best w of each unit, (units,)."""
    lift: Floats
    """q / b of each cell, (cells,)."""
    shared: Flags
    """Entries that are not a unit's own, (entries,)."""
    mannered: Flags
    """Units that belong to it but for one cell that is full because of their manner of asking, (units,)."""
    least: float
    """Score from which a unit belongs."""

    def holds(self, touches: Touches) -> Flags:
        """Entries in the core of the source's cells that are not a unit's own, (entries,)."""
        return self.shared & self.core(touches)

    def core(self, touches: Touches) -> Flags:
        """Entries in the core of the source's cells, (entries,)."""
        return np.asarray(self.lift[touches.cell] > CORE_LIFT)


def settle(
    touches: Touches, start: Flags, *, known: Sequence[Flags] = (), rounds: int = 16, own: bool = True
) -> Source | None:
    """The source that a start settles into, or None when it falls apart or is on its way to one of `known`.

    `start`: units to begin with; `own` False: does not look whether a cell is a unit's own, which finds whole
    communities of interest.
    """
    search = _Search(touches, own)
    member, seen = start.copy(), set[bytes]()
    for _ in range(rounds):
        search.learn(member)
        new = search.score > search.least
        if own:
            near = np.flatnonzero(new)
            new[near] = search.dealt_out(near)
        size = int(new.sum())
        if size < MIN_UNITS or any(_agree(new, size, other) for other in known):
            return None
        state = new.tobytes()
        if state in seen or np.array_equal(new, member):
            return search.source(new)
        seen.add(state)
        member = new
    return search.source(member)


def _agree(one: Flags, size: int, other: Flags) -> bool:
    common = int(np.count_nonzero(one & other))
    return common > KNOWN * (size + int(np.count_nonzero(other)) - common)


def learn_once(touches: Touches, member: Flags, *, score: bool = True) -> Source:
    """What `member` have in common, whether or not they belong together. Without `score` nobody is scored by it."""
    search = _Search(touches, own=True)
    search.learn(member, score=score)
    return search.source(member)


def _entries(touches: Touches, units: Index) -> Index:
    """The entries of some units, in order."""
    first, count = touches.ends[units], touches.ends[units + 1] - touches.ends[units]
    before = np.cumsum(count) - count
    return np.asarray(np.arange(int(count.sum())) + np.repeat(first - before, count), dtype=np.intp)


class _Search:
    """The state of one search."""

    def __init__(self, touches: Touches, own: bool) -> None:
        self._touches, self._own = touches, own
        self._shared = np.ones(len(touches.unit), dtype=bool)
        self._share = np.full(touches.units, 0.5)
        self._matrix = touches.matrix(np.ones(len(touches.unit)))
        self.score: Floats = np.zeros(touches.units)

    def learn(self, member: Flags, *, score: bool = True) -> None:
        """Learns the source of `member` and scores every unit by it."""
        touches = self._touches
        members = int(np.count_nonzero(member & (touches.texts > 0)))
        self.least = JOIN
        if self._own and members >= LARGE:
            others = max(touches.asking - members, members)  # of more than half nobody belongs for nothing
            self.least = min(JOIN, ODDS + float(np.log(others / members)))
        # Entries of members: few of all, and all that the sums over a group's cells need.
        self._rows = rows = _entries(touches, np.flatnonzero(member))
        kept = rows[self._shared[rows]]
        inside, outside = self._cells_of(kept), touches.everywhere - self._cells_of(rows)
        total, prior = float(len(kept)), SMOOTHING * touches.cells
        self._base = (outside + 1) / (outside.sum() + touches.cells)
        source = (inside + prior * self._base) / (total + prior)
        self._lift = source / self._base
        before = self._shared[rows]
        if self._own:
            self._shared = self._not_own(kept)
        if score:
            self._score(member, inside, before, total, prior)

    def _cells_of(self, rows: Index, values: Floats | None = None) -> Floats:
        """The sum of each cell over some entries, (cells,)."""
        sums = np.bincount(self._touches.cell[rows], weights=values, minlength=self._touches.cells)
        return sums.astype(np.float64, copy=False)

    def _not_own(self, kept: Index) -> Flags:
        touches, prior = self._touches, SMOOTHING * self._touches.cells
        # By texts, for what is expected of a member is a number of texts; who sends many says more, not in proportion.
        count = touches.count[kept]
        self._drawn = self._cells_of(kept, count / np.sqrt(np.maximum(touches.texts, 1))[touches.unit[kept]])
        self._drawn *= count.sum() / max(self._drawn.sum(), 1e-9)
        expected = (self._drawn + prior * self._base) / (self._drawn.sum() + prior)
        rows = touches.several  # what was asked about once is nobody's own
        due = (touches.texts * np.maximum(self._share, 0.05))[touches.unit[rows]] * expected[touches.cell[rows]]
        shared = np.ones(len(touches.unit), dtype=bool)
        shared[rows] = touches.count[rows] - 1 <= due + OWN_SIGMA * np.sqrt(due) + 0.5
        return shared

    def _score(self, member: Flags, inside: Floats, weight: Flags, total: float, prior: float) -> None:
        """`weight`: which of the members' entries the source was learnt from."""
        touches, rows = self._touches, self._rows
        shares = np.array(SHARES)
        logs = np.log1p(shares[None, :] * (self._lift[:, None] - 1))
        self._matrix.data[touches.several] = self._shared[touches.several]
        values = np.asarray(self._matrix @ logs)
        if self._own:
            rows_of_own = touches.several[~self._shared[touches.several]]
            own = np.bincount(touches.unit[rows_of_own], minlength=touches.units)
            values += own[:, None] * np.log1p(shares * (OWN_RATIO - 1))[None, :]
        # Members again, by the source as it is without them.
        members = np.flatnonzero(member)
        cell, place = touches.cell[rows], np.searchsorted(members, touches.unit[rows])
        without = total - np.bincount(place, weights=weight, minlength=len(members))[place]
        base = self._base[cell]
        ratio = (inside[cell] - weight + prior * base) / (without + prior) / base
        ratio[~self._shared[rows]] = OWN_RATIO
        for i, share in enumerate(SHARES):
            logs_of = np.log1p(share * (ratio - 1))
            values[members, i] = np.bincount(place, weights=logs_of, minlength=len(members))
        best = values.argmax(axis=1)
        self.score = np.maximum(values[np.arange(len(values)), best], 0)
        self._share = np.where(self.score > 0, shares[best], SHARES[0])

    def dealt_out(self, units: Index) -> Flags:
        """Whether a unit's texts in the source's cells are spread over them as a share of a list would be,
        (len(units),)."""
        return self._spread(units, MAX_OWN, CLUMPED)

    def mannered(self) -> Flags:
        """Whether they are, and all the better, once the fullest cell of a unit's own is left out, (units,).

        One cell may be full because of somebody's manner of asking.
        """
        found, near = np.zeros(self._touches.units, dtype=bool), np.flatnonzero(self.score > self.least)
        found[near] = self._spread(near, *OF_THE_REST, without_fullest=True)
        return found

    def _spread(self, units: Index, most_own: float, clumped: float, *, without_fullest: bool = False) -> Flags:
        """Whether few of a unit's texts in the source's cells are in cells of its own, and few pairs in one cell."""
        touches, rows = self._touches, _entries(self._touches, units)
        place = np.searchsorted(units, touches.unit[rows])
        inside, own = self._lift > LIFT, ~self._shared[rows]
        count = inside[touches.cell[rows]] * touches.count[rows]
        if without_fullest:
            fullest = np.zeros(len(units))
            np.maximum.at(fullest, place, count * own)
            count[(count == fullest[place]) & own] = 0

        def sums(values: Floats) -> Floats:
            return np.bincount(place, weights=values, minlength=len(units)).astype(np.float64, copy=False)

        texts, pairs = sums(count), sums(count * np.maximum(touches.count[rows] - 1, 0))
        drawn = self._drawn * inside
        chance = float(((drawn / max(drawn.sum(), 1e-9)) ** 2).sum())  # that two texts of the source share a cell
        # Of n texts that are drawn from the source, n (n - 1) times `chance` ordered pairs are expected in one cell.
        expected = texts * (texts - 1) * chance
        few = sums(count * own) / np.maximum(texts, 1) <= most_own
        return np.asarray(few & (pairs <= clumped * (expected + np.sqrt(2 * expected + 1))))

    def source(self, member: Flags) -> Source:
        return Source(
            units=np.flatnonzero(member),
            score=self.score,
            share=self._share,
            lift=self._lift,
            shared=self._shared,
            mannered=self.mannered() if self._own else np.zeros(len(member), dtype=bool),
            least=self.least,
        )
