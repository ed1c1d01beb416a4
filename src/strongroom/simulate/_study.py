"""What somebody who studies a subject asks about: one thing in it, and what is nearest to that."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

__all__ = ["Shelf"]

_WORD = re.compile(r"\w{3,}")


class Shelf:
    """Texts that a learner's focus is taken from: those that have most of their rare words in common with one of them.

    Words alone decide (tf-idf and the cosine: Salton and Buckley, Information Processing & Management 24, 1988), not
    the embedding that detection looks at.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        number: dict[str, int] = {}
        words = [[number.setdefault(w, len(number)) for w in set(_WORD.findall(text.lower()))] for text in texts]
        ends = np.cumsum([0, *map(len, words)])
        flat = np.fromiter((w for each in words for w in each), dtype=np.int64, count=int(ends[-1]))
        rare = np.log(len(texts) / np.maximum(np.bincount(flat, minlength=len(number)), 1))
        matrix = csr_matrix((rare[flat], flat, ends), shape=(len(texts), max(len(number), 1)))
        length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        matrix.data /= np.repeat(np.maximum(length, 1e-9), np.diff(ends))
        self._matrix = matrix

    def focus(self, about: int, width: int) -> list[str]:
        """The text of this number and the `width` - 1 others that are nearest to it."""
        near = (self._matrix @ self._matrix[about].T).toarray().ravel()
        near[about] = 2
        return [self._texts[int(i)] for i in np.argsort(-near, kind="stable")[:width]]
