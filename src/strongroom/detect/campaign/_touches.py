"""Which unit asks in which cell how often: the matrix in which sources are looked for.

A *unit* is a subject, or all subjects that openly belong together: one organisation, one private mail domain. They
count once, so that an organisation which spreads one dataset over its accounts supports nobody's suspicion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ._sample import Sample, repeated
from ._ties import Openly

__all__ = ["Touches", "as_flags", "read_touches", "units_of"]

SHARED_BY = 3
"""Units that send a text word for word before it counts for nobody: an assignment, a benchmark, a viral prompt."""

Index = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Touches:
    """A sparse matrix, units by cells, of the texts that count."""

    unit: Index
    """Of each entry, and so are the next two; sorted by unit, then cell. (entries,)."""
    cell: Index
    count: Floats
    units: int
    cells: int
    texts: Floats
    """Of each unit, (units,)."""
    degree: Floats
    """Cells that each unit touches, (units,)."""
    counts: npt.NDArray[np.bool_]
    """Which texts of the sample count."""
    begins: Index
    """The first entry of each unit that has any."""
    ends: Index
    """The first entry of each unit or of the next that has any, and the number of entries: (units + 1,)."""
    entry: Index
    """The entry of each text of the sample that counts, -1 for others, (texts,)."""

    def matrix(self, values: Floats) -> csr_matrix:
        """One value for each entry as a matrix, (units, cells)."""
        return csr_matrix((values, *self._places), shape=(self.units, self.cells))

    @cached_property
    def _places(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Cells and ends in the integers that matrices use, so that each need not make its own."""
        return self.cell.astype(np.int32), self.ends.astype(np.int32)

    @cached_property
    def everywhere(self) -> Floats:
        """Units that touch each cell, (cells,)."""
        return self.by_cell(np.ones(len(self.unit)))

    @cached_property
    def asking(self) -> int:
        """Units of which a text counts."""
        return int(np.count_nonzero(self.texts))

    @cached_property
    def several(self) -> Index:
        """Entries of more than one text."""
        return np.flatnonzero(self.count > 1)

    def by_unit(self, values: Floats) -> Floats:
        """Sums of one value for each entry, (units,)."""
        found = np.zeros(self.units)
        if len(self.begins):
            found[self.unit[self.begins]] = np.add.reduceat(values, self.begins, dtype=np.float64)
        return found

    def by_cell(self, values: Floats) -> Floats:
        """The same, (cells,)."""
        return np.bincount(self.cell, weights=values, minlength=self.cells).astype(np.float64, copy=False)


def as_flags(units: Index, count: int) -> npt.NDArray[np.bool_]:
    """Which of `count` units are among these."""
    flags = np.zeros(count, dtype=bool)
    flags[units] = True
    return flags


def units_of(openly: Openly) -> Index:
    """The unit of each subject, (subjects,)."""
    n = len(openly.account)
    subjects, labels, first = [], [], n
    for own in (openly.organization, openly.domain):
        known = np.flatnonzero(own >= 0)
        subjects.append(known)
        labels.append(own[known] + first)
        first += int(own.max(initial=-1)) + 1
    a, b = np.concatenate(subjects), np.concatenate(labels)
    graph = csr_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(first, first))
    _, component = connected_components(graph, directed=False)
    return np.unique(component[:n], return_inverse=True)[1].astype(np.intp)


def read_touches(sample: Sample, cell: npt.NDArray[np.int32], cells: int, unit: Index) -> Touches:
    """`cell`: of each text; `unit`: of each subject."""
    units = int(unit.max(initial=-1)) + 1
    owner = unit[sample.subject] if len(sample) else np.zeros(0, dtype=np.intp)
    counted = _counted(sample.digest, owner)
    key = owner[counted] * cells + cell[counted]
    places, number, count = np.unique(key, return_inverse=True, return_counts=True)
    entry = np.full(len(sample), -1, dtype=np.intp)
    entry[counted] = number
    return Touches(
        unit=places // cells,
        cell=places % cells,
        count=count.astype(np.float64),
        units=units,
        cells=cells,
        texts=np.bincount(owner[counted], minlength=units).astype(np.float64),
        degree=np.bincount(places // cells, minlength=units).astype(np.float64),
        counts=counted,
        begins=np.flatnonzero(np.diff(places // cells, prepend=-1)),
        ends=np.searchsorted(places // cells, np.arange(units + 1)),
        entry=entry,
    )


def _counted(digest: npt.NDArray[np.int64], owner: Index) -> npt.NDArray[np.bool_]:
    """Texts that fewer than SHARED_BY units sent word for word."""
    counted = np.ones(len(digest), dtype=bool)
    often = repeated(digest, SHARED_BY)
    if not len(often):
        return counted
    place = np.minimum(np.searchsorted(often, digest), len(often) - 1)
    rows = np.flatnonzero(often[place] == digest)
    several = int(owner.max()) + 1
    pairs = np.unique(place[rows] * several + owner[rows])
    counted[rows] = np.bincount(pairs // several, minlength=len(often))[place[rows]] < SHARED_BY
    return counted
