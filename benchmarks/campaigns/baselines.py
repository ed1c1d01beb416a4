"""What others would do: each baseline gives every account a score, from the same stores as our detector.

Thresholds come from the honest accounts of other seeds of the same world, at a false-positive rate of .002 an account.
numpy, scipy and scikit-learn only. Texts are the distinct opening texts of conversations, as embeddings of the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import sparse, stats
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from strongroom.store import Store

FALSE_POSITIVE_RATE = 0.002
WINDOW = 1_500
"""Queries of one account that PRADA and the MMD detector look at."""
REFERENCE = 500
"""Texts in a sample of everybody's."""
FEWEST = 8
"""Texts below which a distribution is not judged; such an account gets the lowest score."""
NEIGHBOUR = 10
FOURIER = 512


@dataclass(frozen=True)
class Traffic:
    """What baselines see of a store. `owner` is the subject's number of each text, in order of subject and time."""

    subjects: list[str]
    exchanges: np.ndarray
    at_address: np.ndarray
    """Most subjects that share one address with the subject."""
    owner: np.ndarray
    digest: np.ndarray
    points: np.ndarray

    def texts(self, subject: int) -> np.ndarray:
        """Embeddings of one subject, in order of time."""
        first, last = np.searchsorted(self.owner, [subject, subject + 1])
        return self.points[first:last]

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.owner, minlength=len(self.subjects))


def traffic_of(place: Path) -> Traffic:
    """Reads a store."""
    store = Store(place)
    rows = store.exchanges()
    table = store.table(rows.group_by("subject").agg(n=rows.count()).order_by("subject"))
    subjects = table["subject"].to_pylist()
    number = {subject: i for i, subject in enumerate(subjects)}
    pairs = store.table(rows.select("subject", "client_address").distinct())
    address, where = np.unique(np.array(pairs["client_address"].to_pylist()), return_inverse=True)
    who = np.array([number[s] for s in pairs["subject"].to_pylist()])
    at_address = np.zeros(len(subjects), dtype=np.int64)
    np.maximum.at(at_address, who, np.bincount(where, minlength=len(address))[where])
    asked = rows.filter((rows.turn == 1) & (rows.words > 0))
    asked = asked.group_by("subject", "text_digest").agg(time=asked.time.min(), embedding=asked.embedding.first())
    texts = store.table(asked.order_by("subject", "time", "text_digest"))
    points = np.frombuffer(b"".join(texts["embedding"].to_pylist()), dtype=np.int8).reshape(texts.num_rows, -1)
    points = points.astype(np.float32)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)
    owner = np.array([number[s] for s in texts["subject"].to_pylist()])
    return Traffic(subjects, table["n"].to_numpy(), at_address, owner, texts["text_digest"].to_numpy(), points)


def volume(traffic: Traffic) -> np.ndarray:
    """A limit for each key: exchanges."""
    return traffic.exchanges.astype(float)


def shared_addresses(traffic: Traffic) -> np.ndarray:
    """Size of the largest group at one of the account's addresses."""
    return traffic.at_address.astype(float)


def exact_duplicates(traffic: Traffic) -> np.ndarray:
    """Share of the account's texts that other accounts sent word for word."""
    _, where, count = np.unique(traffic.digest, return_inverse=True, return_counts=True)
    twice = np.bincount(traffic.owner, weights=count[where] > 1, minlength=len(traffic.subjects))
    return twice / np.maximum(traffic.counts, 1)


def prada(traffic: Traffic) -> np.ndarray:
    """PRADA (Juuti et al., EuroS&P 2019), one class: how far minimal distances to earlier queries are from normal."""

    def score(points: np.ndarray) -> float:
        likeness = points @ points.T
        likeness[~np.tri(len(points), k=-1, dtype=bool)] = -1.0
        nearest = np.sqrt(np.maximum(2 - 2 * likeness[1:].max(axis=1), 0))
        kept = nearest[np.abs(nearest - nearest.mean()) <= 3 * nearest.std()]
        return 1.0 - float(stats.shapiro(kept).statistic) if len(kept) >= FEWEST and np.ptp(kept) > 0 else 0.0

    return _each(traffic, lambda points: score(points[:WINDOW]), fewest=FEWEST + 2)


def mmd(traffic: Traffic) -> np.ndarray:
    """Gaussian MMD² (unbiased) of the account's window from a sample of everybody's queries, as far as public facts
    about the detector of arXiv 2606.05725 tell. The sample is of the same traffic, one text of a subject at a time."""
    rng = np.random.default_rng(2606)
    order = rng.permutation(len(traffic.owner))
    turn = np.zeros(len(order))
    for place, row in enumerate(order):  # random order within a subject, then subject by subject
        turn[row] = place
    rank = np.lexsort((turn, traffic.owner))
    first = np.searchsorted(traffic.owner[rank], traffic.owner[rank])
    chosen = rank[np.argsort(np.arange(len(rank)) - first, kind="stable")[:REFERENCE]]
    sample = traffic.points[chosen]
    gamma = _gamma(sample)
    base = np.exp(-gamma * (2 - 2 * sample @ sample.T))
    among = float((base.sum() - len(base)) / (len(base) * (len(base) - 1)))

    def score(points: np.ndarray) -> float:
        points, n = points[:WINDOW], min(len(points), WINDOW)
        own = np.exp(-gamma * (2 - 2 * points @ points.T))
        across = np.exp(-gamma * (2 - 2 * points @ sample.T)).mean()
        return float((own.sum() - n) / (n * (n - 1)) + among - 2 * across)

    return _each(traffic, score)


def isolation_forest(traffic: Traffic) -> np.ndarray:
    """How easily an account's mean text, spread and volume are told from all others."""
    means = _sums(traffic.points, traffic) / np.maximum(traffic.counts, 1)[:, None]
    reduced = PCA(min(32, *means.shape), random_state=0).fit_transform(means)
    table = np.column_stack([reduced, np.linalg.norm(means, axis=1), np.log1p(traffic.exchanges)])
    forest = IsolationForest(n_estimators=200, random_state=0).fit(table)
    return np.where(traffic.counts >= FEWEST, -forest.score_samples(table), -1.0)


def kernel_means(traffic: Traffic) -> np.ndarray:
    """Distance of the tenth nearest other account by Gaussian kernel mean embeddings, unbiased; near is high."""
    rng = np.random.default_rng(10)
    gamma = _gamma(traffic.points[rng.permutation(len(traffic.points))[:REFERENCE]])
    weights = rng.normal(0, np.sqrt(2 * gamma), (traffic.points.shape[1], FOURIER)).astype(np.float32)
    waves = np.sqrt(2 / FOURIER) * np.cos(traffic.points @ weights + rng.uniform(0, 2 * np.pi, FOURIER))
    n = np.maximum(traffic.counts, 2).astype(float)
    sums = _sums(waves.astype(np.float32), traffic)
    squares = np.bincount(traffic.owner, weights=(waves * waves).sum(axis=1), minlength=len(n))
    within = ((sums * sums).sum(axis=1) - squares) / (n * (n - 1))
    distance = within[:, None] + within[None, :] - 2 * (sums @ sums.T) / (n[:, None] * n[None, :])
    judged = traffic.counts >= FEWEST
    distance[:, ~judged] = np.inf
    np.fill_diagonal(distance, np.inf)
    nearest = np.partition(distance, min(NEIGHBOUR, len(n)) - 1, axis=1)[:, min(NEIGHBOUR, len(n)) - 1]
    return np.where(judged & np.isfinite(nearest), -nearest, -np.inf)


BASELINES: dict[str, Callable[[Traffic], np.ndarray]] = {
    "per-key limit": volume,
    "shared addresses": shared_addresses,
    "exact duplicates": exact_duplicates,
    "PRADA": prada,
    "MMD, 2606.05725": mmd,
    "isolation forest": isolation_forest,
    "10th neighbour, kernel means": kernel_means,
}


def scores_of(place: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Scores of every subject of a store by each baseline; kept beside the store."""
    kept = place / f"baselines-{_code()}.npz"
    if not kept.exists():
        traffic = traffic_of(place)
        found = {name: baseline(traffic) for name, baseline in BASELINES.items()}
        unfinished = kept.with_name(kept.name + ".part")
        with unfinished.open("wb") as file:
            np.savez(file, subjects=np.array(traffic.subjects), **found)
        unfinished.rename(kept)
    with np.load(kept) as file:
        return file["subjects"].tolist(), {name: file[name] for name in BASELINES}


def threshold(honest: list[np.ndarray]) -> float:
    """What all but the share FALSE_POSITIVE_RATE of the honest accounts of other seeds stay at or below."""
    return float(np.quantile(np.concatenate(honest), 1 - FALSE_POSITIVE_RATE, method="higher"))


def _each(traffic: Traffic, score: Callable[[np.ndarray], float], fewest: int = FEWEST) -> np.ndarray:
    found = np.full(len(traffic.subjects), -np.inf)
    for subject in np.flatnonzero(traffic.counts >= fewest):
        found[subject] = score(traffic.texts(int(subject)))
    return found


def _sums(rows: np.ndarray, traffic: Traffic) -> np.ndarray:
    """Sum of the rows of each subject."""
    count = len(traffic.owner)
    place = sparse.csr_matrix((np.ones(count, np.float32), (traffic.owner, np.arange(count))))
    place.resize((len(traffic.subjects), count))
    return np.asarray(place @ rows)


def _gamma(points: np.ndarray) -> float:
    """Of a Gaussian kernel, by the median of squared distances."""
    squared = 2 - 2 * points @ points.T
    return float(1 / np.median(squared[np.triu_indices(len(points), 1)]))


@lru_cache(maxsize=1)
def _code() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
