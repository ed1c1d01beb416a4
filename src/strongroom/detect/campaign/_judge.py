"""How surely a group that shares a source is a campaign.

Of what its members ask in the cells of the source, compare two texts of one member with two of different members.
Let W be the mean product of the vectors of the former and C of the latter: `C / W` is 1 when it cannot be told
from a text which member sent it, as it must be when all are handed shares of one list, and well below 1 for people
who happen to share an interest, because everybody's own texts hang together. It is scaled by W, so it needs no
threshold from other traffic; still it is compared with the groups of the same traffic that look most like a campaign.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ._sample import Sample
from ._sources import Source, learn_once
from ._touches import Touches
from ._vectors import Vectors

__all__ = ["COMPARISONS", "MAX_P", "MIN_OUTSIDE", "Comparisons", "Evidence", "Judge", "Measured"]

COMPARISONS = 99
"""Groups that a candidate is compared with; the least p-value is 1 / 100."""
MIN_OUTSIDE = 20
"""Units outside every candidate, below which there is nobody to compare with and nothing is reported."""
MAX_P = 0.01
MIN_WITHIN = 0.01
"""W below which nothing is left of what texts are about once common passages are taken out."""
MOST_TEXTS = 20_000
"""Texts of a group that are measured."""
LEFT_OUT = 0.2
"""Share of a group's units, those whose own texts hang together most, that are left out of its likeness."""
MIN_MEASURED = 4
"""Units with two texts or more that a likeness needs."""
MEASURED = 0.1
"""And share of the group's units: of a few of many it says nothing."""
TEXTS_EACH = 4.0
"""Texts for each unit of the group that a likeness needs: of many groups that sent little, some are alike by chance."""
CELLS_EACH = 12.0
"""The same where texts are compared by their cells, which says less of each."""
PLAIN = 0.2
"""Share of a group's units that must ask without a template of their own; then only such texts are measured."""

Index = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Comparisons = dict[int, Floats]
"""Scores of the groups that candidates of a size are compared with."""


@dataclass(frozen=True)
class Measured:
    """How interchangeable the members of a group are."""

    likeness: float
    """C / W, at most 1 but for chance."""
    error: float
    """Its standard error (jackknife over members)."""
    texts: int
    """Texts that were compared."""

    @property
    def score(self) -> float:
        """The likeness that it has at least: less two standard errors. What is above 1 is chance and counts as 1."""
        return min(self.likeness, 1.0) - 2 * self.error

    @property
    def most(self) -> float:
        """The likeness that it has at most: with two standard errors more."""
        return self.likeness + 2 * self.error


@dataclass(frozen=True)
class Evidence:
    """What is compared: the sample, its vectors, and the matrix made of it."""

    sample: Sample
    vectors: Vectors
    touches: Touches
    unit: Index
    """Of each subject."""

    def texts_of(self, source: Source, units: Index, *, own: bool = False) -> Index:
        """Texts of `units` in the core of the source's cells, without those in their own unless `own`, as places in the
        sample."""
        held = source.core(self.touches) if own else source.holds(self.touches)
        inside = np.zeros(self.touches.units, dtype=bool)
        inside[units] = True
        counted = np.flatnonzero(self.touches.entry >= 0)
        chosen: Index = counted[(held & inside[self.touches.unit])[self.touches.entry[counted]]]
        return chosen

    def scaled(self) -> csr_matrix:
        """Units by cells, rare cells weighing more, every row of length 1."""
        touches = self.touches
        rare = np.log(touches.units / np.maximum(touches.everywhere, 1))
        values = rare[touches.cell]
        length = np.sqrt(np.maximum(touches.by_unit(values**2), 1e-9))
        return touches.matrix(values / length[touches.unit])

    def likeness_of_subjects(self, subjects: Index) -> float:
        """C / W of all that some subjects ask, whatever cells it falls into.

        Passages are not taken off: people who belong together openly often use one program, and with its template
        went what else each one's texts have in common, so that nothing was left to compare.
        """
        rows = np.flatnonzero(np.isin(self.sample.subject, subjects))[:MOST_TEXTS]
        owner = np.searchsorted(subjects, self.sample.subject[rows])
        return _measured(self.vectors.whole(rows).astype(np.float64), owner, len(subjects)).likeness

    def uniform(self) -> bool:
        """Whether two texts of one subject have no more in common than any two: then nothing tells who sent one."""
        rows = np.argsort(self.sample.digest, kind="stable")[:MOST_TEXTS]
        owner = self.sample.subject[rows].astype(np.intp)
        drawn = _Drawn(self.vectors.whole(rows).astype(np.float64), owner, len(self.unit))
        several = np.flatnonzero(drawn.texts >= 2)
        if not len(several):
            return False
        within, _ = drawn.products(several)
        return bool(np.average(within, weights=np.sqrt(drawn.texts[several])) < MIN_WITHIN)

    def measure(self, source: Source, units: Index) -> Measured:
        """Compares what `units` draw from the source.

        Where a template was taken off most texts, and with it what they have in common, they are compared by their
        cells: the product of two texts is 1 in one cell, 0 else. Then cells of somebody's own must not be left out,
        for they are all that could tell members apart.
        """
        rows = self.texts_of(source, units)
        templated = self.vectors.templated[rows]
        # Few texts of either kind are few texts: one cell that nobody can be told apart by would make anyone alike.
        by_cells = self._senders(rows[~templated]) < PLAIN * len(units) <= self._senders(rows[templated])
        rows = self.texts_of(source, units, own=True) if by_cells else rows[~templated]
        if len(rows) < (CELLS_EACH if by_cells else TEXTS_EACH) * len(units):
            return Measured(0.0, 1.0, len(rows))
        if len(rows) > MOST_TEXTS:  # by digest, which has nothing to do with what a text says
            rows = rows[np.argsort(self.sample.digest[rows], kind="stable")[:MOST_TEXTS]]
        owner = np.searchsorted(units, self.unit[self.sample.subject[rows]])
        if not by_cells:
            return _measured(self.vectors.of(rows).astype(np.float64), owner, len(units))
        cells, number = np.unique(self.touches.cell[self.touches.entry[rows]], return_inverse=True)
        return _measured(np.eye(len(cells))[number], owner, len(units), least=0.0)

    def _senders(self, rows: Index) -> int:
        """How many units sent these texts of the sample."""
        return len(np.unique(self.unit[self.sample.subject[rows]]))


def _measured(vectors: Floats, owner: Index, units: int, least: float = MIN_WITHIN) -> Measured:
    drawn = _Drawn(vectors, owner, units)
    several = np.flatnonzero(drawn.texts >= 2)
    if len(several) < max(MIN_MEASURED, MEASURED * units):
        return Measured(0.0, 1.0, len(owner))
    within, between = drawn.products(several)
    # The few who hang together most are left out: a group is not to be hidden by people who are near its subject.
    kept = several[within - between <= np.quantile(within - between, 1 - LEFT_OUT)]
    within, between = drawn.products(kept)
    # Who sent more says more, but not in proportion: members differ in more than the number of their texts.
    weight = np.sqrt(drawn.texts[kept])
    weight /= weight.sum()
    w, c = weight @ within, weight @ between
    if w <= least:
        return Measured(0.0, 1.0, len(owner))
    without = (c - weight * between) / np.maximum(w - weight * within, 1e-9)
    size = len(weight)
    error = np.sqrt((size - 1) / size * ((without - without.mean()) ** 2).sum())
    return Measured(float(c / w), float(error), len(owner))


class _Drawn:
    """Sums of the vectors that each unit drew from a source."""

    def __init__(self, vectors: Floats, owner: Index, units: int) -> None:
        ones = csr_matrix((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(units, len(owner)))
        self.texts = np.bincount(owner, minlength=units).astype(np.float64)
        self._sums = ones @ vectors
        self._squares = np.bincount(owner, weights=np.einsum("ij,ij->i", vectors, vectors), minlength=units)
        self._lengths = np.einsum("ij,ij->i", self._sums, self._sums)

    def products(self, units: Index) -> tuple[Floats, Floats]:
        """Mean products of two texts of each unit, and of one of its own and one of another of `units`."""
        texts, sums, lengths = self.texts[units], self._sums[units], self._lengths[units]
        within = (lengths - self._squares[units]) / (texts * (texts - 1))
        between = (sums @ sums.sum(axis=0) - lengths) / (texts * np.maximum(texts.sum() - texts, 1))
        return within, between


class Judge:
    """Compares candidates with the groups of other units that ask most alike."""

    def __init__(
        self, evidence: Evidence, outside: Index, rng: np.random.Generator, comparisons: Comparisons | None = None
    ) -> None:
        """`outside`: units that are in no candidate whose members are interchangeable. `comparisons`: those that were
        made already; further ones are added."""
        self._evidence = evidence
        self._outside = outside
        self._rng = rng
        self._cache: Comparisons = {} if comparisons is None else comparisons

    @cached_property
    def _scaled(self) -> csr_matrix:
        return self._evidence.scaled()

    def p_value(self, measured: Measured, size: int) -> float:
        """(1 + k) / (1 + m), where k of m comparable groups are at least as interchangeable; 1 when there is
        nobody to compare with."""
        if len(self._outside) < MIN_OUTSIDE:
            return 1.0
        others = self._comparisons(size)
        return float((1 + (others >= measured.score).sum()) / (1 + len(others)))

    def _comparisons(self, size: int) -> Floats:
        # Groups of nearly the same size are compared with the same ones.
        size = round(1.4 ** round(np.log(max(size, 3)) / np.log(1.4)))
        size = int(np.clip(size, 3, max(len(self._outside) // 2, 3)))
        if size not in self._cache:
            self._cache[size] = np.array([self._nearest_group(size) for _ in range(COMPARISONS)])
        return self._cache[size]

    def _nearest_group(self, size: int) -> float:
        """The score of a unit and those that touch most of the same cells."""
        touches, outside = self._evidence.touches, self._outside
        # Half of the others at a time: the same unit comes again with other neighbours where there are few.
        pool = np.sort(self._rng.choice(outside, max(len(outside) // 2, min(size, len(outside))), replace=False))
        seed = int(self._rng.choice(pool))
        common = self._scaled[pool] @ self._scaled[seed].T
        near = np.asarray(common.todense()).ravel()
        units = np.sort(pool[np.argsort(-near, kind="stable")[:size]])
        member = np.zeros(touches.units, dtype=bool)
        member[units] = True
        return self._evidence.measure(learn_once(touches, member, score=False), units).score
