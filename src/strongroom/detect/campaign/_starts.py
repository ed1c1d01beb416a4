"""Where to look for sources: ends of the leading singular directions, and units that share something.

A group with a source of its own is a block in the matrix of units and cells, and a block that stands out is
a leading direction of it once its rows and columns are scaled (Dhillon, KDD 2001). Two scalings are used: each touched
cell counts once, or, so that what is somebody's own weighs less, once over the number of their texts in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

from ._sources import MIN_UNITS
from ._ties import Tie
from ._touches import Touches, as_flags

__all__ = ["DIRECTIONS", "ends", "scaled", "starts", "tied"]

DIRECTIONS = 20
ENDS = 30
"""Units at either end of a direction that a search begins with."""
TIES = 40
"""Ties with most units that a search begins with."""
LEAST_DEGREE = 5.0
"""Rows and columns with fewer touches are scaled as if they had so many."""

Flags = npt.NDArray[np.bool_]


def starts(touches: Touches, ties: Sequence[Tie], unit: npt.NDArray[np.intp], seed: int) -> Iterator[Flags]:
    """Sets of units to begin with, (units,) each."""
    yield from tied(touches, ties, unit)
    for values in (np.ones(len(touches.unit)), 1 / touches.count):
        yield from ends(_directions(touches, values, seed))


def tied(touches: Touches, ties: Sequence[Tie], unit: npt.NDArray[np.intp]) -> Iterator[Flags]:
    """Units that share something."""
    for members in _tied(ties, unit):
        yield as_flags(members, touches.units)


def ends(directions: npt.NDArray[np.float64]) -> Iterator[Flags]:
    """Units at both ends of each direction, (units, directions)."""
    for direction in directions.T:
        order = np.argsort(direction, kind="stable")
        for end in (order[-ENDS:], order[:ENDS]):
            yield as_flags(end, len(directions))


def _tied(ties: Sequence[Tie], unit: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    sets = [np.unique(unit[tie.members]) for tie in ties]
    return sorted((members for members in sets if len(members) >= MIN_UNITS), key=len, reverse=True)[:TIES]


def _directions(touches: Touches, values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """Left singular vectors, the trivial first one left out, (units, directions)."""
    used = np.flatnonzero(touches.degree)
    matrix = touches.matrix(values)[used]
    most = min(matrix.shape) - 1
    if most < 2:
        return np.zeros((touches.units, 0))
    left, sizes, _ = svds(scaled(matrix), k=min(DIRECTIONS + 1, most), rng=np.random.default_rng(seed))
    found = np.zeros((touches.units, max(left.shape[1] - 1, 0)))
    found[used] = left[:, np.argsort(-sizes)[1:]]
    return found


def scaled(matrix: csr_matrix) -> csr_matrix:
    """Rows and columns over the square roots of their sums."""
    rows = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), LEAST_DEGREE)
    columns = np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), LEAST_DEGREE)
    return diags(1 / np.sqrt(rows)) @ matrix @ diags(1 / np.sqrt(columns))
