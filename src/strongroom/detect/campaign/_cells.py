"""Texts in cells: a few thousand subjects of conversation, made from the traffic itself.

Cells are the Voronoi cells of texts drawn from many accounts, after two rounds of spherical k-means (Dhillon and
Modha, Machine Learning 42, 2001). What matters is only that texts about one thing often fall into one cell.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ._sample import Sample
from ._vectors import Vectors

__all__ = ["cells_for", "learn_centres", "nearest"]

TEXTS_PER_CELL = 75
"""On average."""
MIN_CELLS, MAX_CELLS = 64, 2_048
LEARNT_FROM = 50_000
"""Texts that cells are learnt from."""
LEARNT_EACH = 40
"""Of one subject, at most: whoever sends most must not decide what the cells are."""
ROUNDS = 2
ROWS_AT_ONCE = 1 << 15

Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]


def cells_for(texts: int) -> int:
    """How many cells so many texts are put into, at most."""
    return int(np.clip(texts // TEXTS_PER_CELL, MIN_CELLS, MAX_CELLS))


def learn_centres(sample: Sample, vectors: Vectors, rng: np.random.Generator) -> Floats:
    """The centre of each cell, (cells, 256)."""
    count = cells_for(len(sample))
    order, place = _dealt(sample.subject, rng)
    learnt = rng.permutation(order[place < LEARNT_EACH])[:LEARNT_FROM]
    # The first texts of all subjects come first: as many subjects as there can be have a part in the centres.
    centres = vectors.of(order[np.argsort(place, kind="stable")][:count])
    points = vectors.of(learnt)
    for _ in range(ROUNDS):
        centres = _means(points, _nearest(points, centres), centres)
    return centres


def nearest(vectors: Vectors, rows: Index, centres: Floats) -> Int32s:
    """The cell of each text in `rows`, (len(rows),)."""
    cells = np.zeros(len(rows), dtype=np.int32)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(at, at + ROWS_AT_ONCE)
        cells[part] = _nearest(vectors.of(rows[part]), centres)
    return cells


def _dealt(subject: Int32s, rng: np.random.Generator) -> tuple[Index, Index]:
    """Texts in random order, and of each its place among those of its subject."""
    order = rng.permutation(len(subject))
    by_subject = np.argsort(subject[order], kind="stable")
    ordered = subject[order][by_subject]
    place = np.empty(len(order), dtype=np.intp)
    place[by_subject] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return order, place


def _nearest(points: Floats, centres: Floats) -> Int32s:
    parts = [(points[at : at + ROWS_AT_ONCE] @ centres.T).argmax(axis=1) for at in range(0, len(points), ROWS_AT_ONCE)]
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, dtype=np.int32)


def _means(points: Floats, label: Int32s, centres: Floats) -> Floats:
    """The direction of the mean of each cell's points; a cell without any stays."""
    if not len(points):
        return centres
    ones = csr_matrix(
        (np.ones(len(label), dtype=np.float32), (label, np.arange(len(label)))), shape=(len(centres), len(label))
    )
    sums = ones @ points
    lengths = np.linalg.norm(sums, axis=1)
    return np.where(lengths[:, None] > 1e-6, sums / np.maximum(lengths, 1e-6)[:, None], centres).astype(np.float32)
