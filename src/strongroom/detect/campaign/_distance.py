"""How alike two subjects ask, from sums: unbiased, scaled by how widely each asks.

Let a subject's texts be points x (embeddings) with sum S, number n and sum of squared lengths Q. Then
`W = (|S|² - Q) / (n (n - 1))` is the mean product of two different texts of the subject, unbiased by n, and
`C = S·S' / (n n')` that of a text of one and a text of another. The squared distance between what the two
ask about is `D = W + W' - 2C` (the unbiased MMD² with a linear kernel: Gretton et al., JMLR 13, 2012, eq. 3);
`V = Q / n - W` is how widely one asks. We compare `D / (V + V')`: a fixed passage in every text (a template,
a wrapper) shortens both in the same proportion, so a common template alone does not make subjects alike.

`likeness = 1 - (D / (V + V')) / typical`, where typical is the median over pairs of unrelated subjects of the
same traffic: 1 means that which of them sent a text cannot be told from the text, 0 that they are as
different as strangers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ._features import Features

__all__ = ["MIN_TEXTS", "Questions", "group_likeness", "read_questions"]

PAIRS = 4_000
MIN_HALF = 8
UNIFORM = 2.0
MIN_TYPICAL = 0.02
MIN_TEXTS = 8
"""Subjects with fewer distinct opening texts are not compared: their distances are mostly noise."""

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Questions:
    """What subjects ask about, as of some slice. All of shape (subjects,) or (subjects, 256)."""

    texts: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float32]
    """Mean embedding."""
    within: Floats
    """W above; 0 where there are fewer than two texts."""
    spread: Floats
    """V above."""
    able: npt.NDArray[np.bool_]
    """Enough texts to compare."""
    typical: float
    """Median of D / (V + V') over pairs of able subjects."""
    uniform: bool
    """Strangers are no farther apart than halves of one subject: nothing can be told from what is asked."""

    def likeness(self, a: Index, b: Index) -> Floats:
        """(len(a), len(b)): likeness of every subject of `a` to every one of `b`."""
        cross = (self.mean[a] @ self.mean[b].T).astype(np.float64)
        distance = self.within[a][:, None] + self.within[b][None, :] - 2 * cross
        scaled: Floats = distance / np.maximum(self.spread[a][:, None] + self.spread[b][None, :], 1e-9)
        return 1 - scaled / self.typical

    def pair_likeness(self, a: Index, b: Index) -> Floats:
        """(n,): likeness of each pair a[i], b[i]."""
        return 1 - _scaled(self, a, self, b) / self.typical

    def likeness_to_group(self, subjects: Index, group: Index) -> Floats:
        """(len(subjects),): likeness of each subject to the group as a whole, itself left out of it."""
        member = np.isin(subjects, group)
        total = self.mean[group].sum(axis=0, dtype=np.float64)
        squares = float(self.within[group].sum())
        product = float(total @ total) - float((self.mean[group].astype(np.float64) ** 2).sum())
        own = self.mean[subjects].astype(np.float64)
        towards = own @ total
        lengths = (own**2).sum(axis=1)
        size = len(group) - member
        # Mean products of texts within the group without the subject: of one member (squares), of two (product).
        rest_squares = squares - np.where(member, self.within[subjects], 0)
        rest_product = product - np.where(member, 2 * (towards - lengths), 0)
        inside = (rest_squares + rest_product) / np.maximum(size, 1) ** 2
        cross = (towards - np.where(member, lengths, 0)) / np.maximum(size, 1)
        distance = self.within[subjects] + inside - 2 * cross
        spread = self.spread[subjects] + float(np.mean(self.spread[group]))
        return np.asarray(1 - distance / np.maximum(spread, 1e-9) / self.typical)


def read_questions(features: Features, slices: int, rng: np.random.Generator) -> Questions:
    """The questions as they stood after the first `slices` slices. `rng` chooses the pairs behind `typical`."""
    questions = _measure(features, np.arange(slices))
    able = np.flatnonzero(questions.able)
    if len(able) < 2:
        return questions
    left, right = rng.choice(able, PAIRS), rng.choice(able, PAIRS)
    different = left != right
    typical = float(np.median(_scaled(questions, left[different], questions, right[different])))
    # How far apart are two halves of one subject's own texts? Strangers must be farther, or texts tell nobody
    # from anybody (a support bot whose customers all ask the same).
    one, other = (_measure(features, np.arange(start, slices, 2)) for start in (0, 1))
    both = np.flatnonzero((one.texts >= MIN_HALF) & (other.texts >= MIN_HALF))
    chance = float(np.median(np.abs(_scaled(one, both, other, both)))) if len(both) else 0.0
    return replace(questions, typical=max(typical, 1e-6), uniform=typical < max(UNIFORM * chance, MIN_TYPICAL))


def _measure(features: Features, slices: Index) -> Questions:
    texts = features.texts[:, slices].sum(axis=1, dtype=np.int64)
    sums = features.sums[:, slices].sum(axis=1)
    squares = features.squares[:, slices].sum(axis=1)
    count = np.maximum(texts, 1).astype(np.float64)
    product = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    within = np.where(texts > 1, (product - squares) / np.maximum(count * (count - 1), 1), 0)
    return Questions(
        texts=texts,
        mean=(sums / count[:, None]).astype(np.float32),
        within=within,
        spread=np.maximum(squares / count - within, 1e-6),
        able=texts >= MIN_TEXTS,
        typical=1.0,
        uniform=True,
    )


def _scaled(a: Questions, left: Index, b: Questions, right: Index) -> Floats:
    """D / (V + V') of each pair, (n,)."""
    cross = np.einsum("ij,ij->i", a.mean[left], b.mean[right], dtype=np.float64)
    distance = a.within[left] + b.within[right] - 2 * cross
    return np.asarray(distance / (a.spread[left] + b.spread[right]))


def group_likeness(questions: Questions, group: Index) -> tuple[float, float]:
    """Mean likeness of the pairs of a group, and its standard error (jackknife over members)."""
    size = len(group)
    if size < 3:
        return 0.0, 1.0
    mean = questions.mean[group].astype(np.float64)
    within, spread = questions.within[group], questions.spread[group]
    total = mean.sum(axis=0)
    towards = mean @ total - (mean**2).sum(axis=1)  # each member's products with all others
    pairs = size * (size - 1)
    distance = 2 * (size - 1) * within.sum() - 2 * towards.sum()
    scale = 2 * float(spread.mean())
    value = 1 - distance / pairs / scale / questions.typical
    # Leaving out member i takes its pairs away.
    less = distance - 2 * (within.sum() - within + (size - 1) * within - 2 * towards)
    fewer = (size - 1) * (size - 2)
    without = 1 - less / fewer / scale / questions.typical
    error = np.sqrt((size - 1) / size * ((without - without.mean()) ** 2).sum())
    return float(value), float(error)
