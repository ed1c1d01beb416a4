"""Embeddings with what everybody has in common taken out: the mean of all subjects, and frequent passages.

A stock opening ("Please explain the following") or a program's template pulls the embeddings of everybody who uses
it to one place, whatever they ask about, and a template of one's own pulls all of one's own texts together. So
texts that begin, or end, with five words that many subjects use are compared with one another only: the mean of all
such texts is taken off each. The same is done with a subject's texts that begin, or end, with the same five words.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from strongroom.sketch import NO_SHINGLE

from ._sample import Sample, repeated

__all__ = ["Vectors"]

STRIP_SUBJECTS = 5
"""Subjects that must begin or end texts with the same five words before these are taken off."""
STRIP_TEXTS = 30
"""And texts."""
OWN_TEXTS = 5
"""Texts of one subject that must begin or end with the same five words before these are its template."""
OWN_SHARE = 0.3
"""And share of its texts."""
ROWS_AT_ONCE = 1 << 16

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]


class Vectors:
    """The vectors of a sample's texts, of length 1, made anew whenever they are asked for: (n, 256) would be large."""

    def __init__(self, sample: Sample, subjects: int) -> None:
        self._embedding = sample.embedding
        self._passages: list[tuple[npt.NDArray[np.int32], Floats]] = []
        self._named: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]] = []
        """Of each passage its owner, -1 for everybody, and its words."""
        dimensions = sample.embedding.shape[1]
        sums = np.zeros((subjects, dimensions), dtype=np.float32)
        self._mean = np.zeros(dimensions, dtype=np.float32)
        for rows in self._chunks():
            _add(sums, sample.subject[rows], self.raw(rows))
        texts = np.bincount(sample.subject, minlength=subjects)
        if len(sample):
            self._mean = (sums[texts > 0] / texts[texts > 0, None]).mean(axis=0).astype(np.float32)
        for column in (sample.head, sample.tail):
            self._passages.append(self._common(column, sample.subject))
        for column in (sample.head, sample.tail):
            self._passages.append(self._template(column, sample.subject, texts))
        self._mark()

    def following(self, sample: Sample, origin: Index, renumbered: Index) -> Vectors:
        """The same means and passages for a sample that changed.

        `origin`: where each of its texts was before, -1 for a new one; `renumbered`: the number now of each subject.
        """
        new = np.flatnonzero(origin < 0)
        followed = copy.copy(self)
        followed._embedding = sample.embedding
        followed._named = [(np.where(owner < 0, -1, renumbered[owner]).astype(np.int32), w) for owner, w in self._named]
        followed._passages = []
        columns = (sample.head, sample.tail) * 2
        for (label, means), (owner, words), column in zip(self._passages, followed._named, columns, strict=True):
            known = {pair: number for number, pair in enumerate(zip(owner.tolist(), words.tolist(), strict=True))}
            everybody = not len(owner) or owner[0] < 0
            asked = [-1] * len(new) if everybody else sample.subject[new].tolist()
            labels = label[origin] if len(label) else np.full(len(origin), -1, dtype=np.int32)
            labels[new] = [known.get(pair, -1) for pair in zip(asked, column[new].tolist(), strict=True)]
            followed._passages.append((labels, means))
        followed._mark()
        return followed

    def _mark(self) -> None:
        own = [label >= 0 for label, _ in self._passages[2:]]
        self.templated: npt.NDArray[np.bool_] = own[0] | own[1]
        """Texts from which a template of their subject was taken off, (n,): what its texts have in common went too."""

    def __len__(self) -> int:
        return len(self._embedding)

    def _chunks(self) -> list[Index]:
        return [np.arange(at, min(at + ROWS_AT_ONCE, len(self))) for at in range(0, len(self), ROWS_AT_ONCE)]

    def _common(
        self, shingle: npt.NDArray[np.int64], subject: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """For each text the number of its frequent passage, -1 for none; and each passage's mean vector."""
        values, number, texts = _often(shingle, STRIP_TEXTS)
        held = np.flatnonzero(number >= 0)
        pairs = np.sort(number[held].astype(np.int64) << 32 | subject[held])
        first = np.ones(len(pairs), dtype=bool)
        first[1:] = pairs[1:] != pairs[:-1]
        frequent = np.bincount(pairs[first] >> 32, minlength=len(values)) >= STRIP_SUBJECTS
        self._named.append((np.full(int(frequent.sum()), -1, dtype=np.int32), values[frequent]))
        return self._means_of(number, frequent, texts)

    def _template(
        self, shingle: npt.NDArray[np.int64], subject: npt.NDArray[np.int32], own: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """The same of passages that are one subject's own."""
        held = np.flatnonzero(_often(shingle, OWN_TEXTS)[1] >= 0)
        held = held[np.lexsort((shingle[held], subject[held]))]
        owner, passage = subject[held], shingle[held]
        begins = np.ones(len(held), dtype=bool)
        begins[1:] = (owner[1:] != owner[:-1]) | (passage[1:] != passage[:-1])
        number = np.full(len(shingle), -1, dtype=np.int32)
        number[held] = np.cumsum(begins) - 1
        texts = np.bincount(number[held], minlength=int(begins.sum()))
        owner, passage = owner[begins], passage[begins]
        frequent = (texts >= OWN_TEXTS) & (texts >= OWN_SHARE * own[owner])
        self._named.append((owner[frequent], passage[frequent]))
        return self._means_of(number, frequent, texts)

    def _means_of(
        self, number: npt.NDArray[np.int32], frequent: npt.NDArray[np.bool_], texts: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """Of each text the number among the `frequent` ones; the mean vector of each of these."""
        renumbered = np.where(frequent, np.cumsum(frequent) - 1, -1).astype(np.int32)
        label = np.append(renumbered, np.int32(-1))[number]  # what has no number, -1, is not frequent
        sums = np.zeros((int(frequent.sum()), len(self._mean)), dtype=np.float32)
        held = np.flatnonzero(label >= 0)
        for at in range(0, len(held), ROWS_AT_ONCE):
            rows = held[at : at + ROWS_AT_ONCE]
            _add(sums, label[rows], self._without_passages(rows))
        return label, (sums / np.maximum(texts[frequent], 1)[:, None]).astype(np.float32)

    def raw(self, rows: Index) -> Floats:
        """Embeddings as they are, of length 1, (len(rows), 256)."""
        return _unit(self._embedding[rows].astype(np.float32))

    def whole(self, rows: Index) -> Floats:
        """Embeddings without the mean of all subjects alone: passages stay, (len(rows), 256)."""
        return _unit(self.raw(rows) - self._mean)

    def _without_passages(self, rows: Index) -> Floats:
        vectors = self.raw(rows)
        vectors -= self._mean
        for label, means in self._passages:
            own = label[rows]
            vectors[own >= 0] -= means[own[own >= 0]]
        return vectors

    def of(self, rows: Index) -> Floats:
        """What is left of each text's embedding, of length 1, (len(rows), 256)."""
        return _unit(self._without_passages(rows))


def _often(
    shingle: npt.NDArray[np.int64], least: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.intp]]:
    """The shingles that at least so many texts have, of each text the number of its one, -1 for none, and their texts.

    Most shingles are in one text: sorting the values alone is much less work than numbering them all.
    """
    values = repeated(shingle, least)
    values = values[values != NO_SHINGLE]
    number = np.full(len(shingle), -1, dtype=np.int32)
    if len(values):
        place = np.minimum(np.searchsorted(values, shingle), len(values) - 1)
        number = np.where(values[place] == shingle, place, -1).astype(np.int32)
    return values, number, np.bincount(number[number >= 0], minlength=len(values))


def _unit(vectors: Floats) -> Floats:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= np.maximum(lengths, np.float32(1e-6))[:, None]
    return vectors


def _add(sums: Floats, label: npt.NDArray[np.int32], vectors: Floats) -> None:
    """Adds each vector to the sum of its label."""
    if not len(label):
        return
    places, number = np.unique(label, return_inverse=True)
    ones = csr_matrix(
        (np.ones(len(label), dtype=np.float32), (number, np.arange(len(label)))), shape=(len(places), len(label))
    )
    sums[places] += ones @ vectors
