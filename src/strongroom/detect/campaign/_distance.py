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
ONE_SIDED = 1.64
CHANCE_QUANTILE, CHANCE_DEVIATE = 0.3, 0.385
"""Three in ten absolute values of a standard normal variable are below 0.385."""
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
    noise: float
    """Scale of chance in D / (V + V'): its standard error is this times sqrt(chance_factor)."""
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

    def least_likeness(self, a: Index, b: Index) -> Floats:
        """(n,): likeness of each pair less what chance may add to it (one-sided 95 %)."""
        error = self.noise * np.sqrt(_chance(self.texts[a], self.texts[b])) / self.typical
        return self.pair_likeness(a, b) - ONE_SIDED * error

    def least_likeness_matrix(self, a: Index, b: Index) -> Floats:
        """(len(a), len(b)): the same for every pair of the two."""
        error = self.noise * np.sqrt(_chance(self.texts[a][:, None], self.texts[b][None, :])) / self.typical
        return self.likeness(a, b) - ONE_SIDED * error

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
    apart = np.abs(_scaled(one, both, other, both)) if len(both) else np.zeros(1)
    # The lower part of the distances between halves is chance alone; above, people move from topic to topic.
    factor = np.sqrt(_chance(one.texts[both], other.texts[both])) if len(both) else np.ones(1)
    noise = float(np.quantile(apart / factor, CHANCE_QUANTILE)) / CHANCE_DEVIATE
    return replace(
        questions,
        typical=max(typical, 1e-6),
        noise=noise,
        uniform=typical < max(UNIFORM * float(np.median(apart)), MIN_TYPICAL),
    )


def _chance(n: npt.NDArray[np.int64], m: npt.NDArray[np.int64]) -> Floats:
    """What the variance of D is proportional to (Gretton et al., JMLR 13, 2012, appendix B)."""
    n, m = np.maximum(n, 2), np.maximum(m, 2)
    return np.asarray(1 / (n * (n - 1)) + 1 / (m * (m - 1)) + 2 / (n * m), dtype=np.float64)


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
        noise=0.0,
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
