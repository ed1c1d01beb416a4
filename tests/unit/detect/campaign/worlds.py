"""Small simulated worlds for the detector: samples made from points, without logs, texts or a store.

Honest people each have a matter of their own with a few topics, and come back to these. Whoever works off a list sends
texts about any of the list's topics, as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from strongroom.detect.campaign._cells import learn_centres, nearest
from strongroom.detect.campaign._features import FACTS, Fact, Features
from strongroom.detect.campaign._judge import Evidence
from strongroom.detect.campaign._sample import Sample
from strongroom.detect.campaign._touches import Touches, read_touches
from strongroom.detect.campaign._vectors import Vectors
from strongroom.sketch import DIMENSIONS, NO_SHINGLE, SCALE
from strongroom.store import Store

DAY = 86_400_000_000
START = 1_793_491_200_000_000
"""2026-11-01 in microseconds since 1970."""
SLICES = 14
Points = np.ndarray
"""(n, 256), each of length 1."""


def unit(vectors: Points) -> Points:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@dataclass
class Texts:
    """What one subject sends, in the order of time."""

    points: Points
    digest: np.ndarray
    head: np.ndarray
    slice: np.ndarray


@dataclass
class World:
    """Subjects with their texts and facts."""

    seed: int = 0
    rng: np.random.Generator = field(init=False)
    texts: list[Texts] = field(default_factory=list)
    facts: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {kind: [] for kind in FACTS})
    accounts: dict[int, int] = field(default_factory=dict)
    """The account of subjects that do not have one of their own."""

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    # What is asked

    def matter(self) -> Points:
        """A direction that somebody's topics lean to."""
        return unit(self.rng.normal(size=DIMENSIONS))

    def topics(self, count: int, matter: Points, lean: float = 0.5) -> Points:
        """(count, 256)."""
        own = unit(self.rng.normal(size=(count, DIMENSIONS)))
        return unit(lean * matter + np.sqrt(1 - lean**2) * own)

    def about(self, topics: Points, texts: int) -> Points:
        """Texts about topics drawn at random."""
        near = topics[self.rng.integers(len(topics), size=texts)]
        return unit(0.75 * near + 0.66 * unit(self.rng.normal(size=near.shape)))

    def list_of(self, topics: int = 40) -> Points:
        """The topics of a list that somebody works off."""
        return self.topics(topics, self.matter())

    # Who asks

    def add(self, points: Points) -> int:
        """One subject that sends texts at these points, spread evenly over the window."""
        count = len(points)
        self.texts.append(
            Texts(
                points=points,
                digest=self.rng.integers(-(2**62), 2**62, count),
                head=np.full(count, NO_SHINGLE),
                slice=np.arange(count) * SLICES // max(count, 1),
            )
        )
        return len(self.texts) - 1

    def own_work(self, texts: int, matter: Points | None = None) -> Points:
        """What somebody asks who has a matter with a few topics."""
        return self.about(self.topics(int(self.rng.integers(3, 6)), self.matter() if matter is None else matter), texts)

    def people(self, count: int, texts: int = 40, matter: Points | None = None) -> list[int]:
        """Each with topics of their own; of one interest when a matter is given."""
        return [self.add(self.own_work(texts, matter)) for _ in range(count)]

    def workers(self, count: int, topics: Points, texts: int = 40, cover: float = 0.0) -> list[int]:
        """Each sends a share of a list, and cover that is like anybody's own work."""
        own = round(cover * texts)
        found = []
        for _ in range(count):
            points = np.vstack([self.about(topics, texts - own), self.own_work(own)])
            found.append(self.add(self.rng.permutation(points)))
        return found

    # What they share

    def fact(self, kind: str, subjects: Sequence[int], value: str) -> None:
        self.facts[kind] += [(subject, value) for subject in subjects]

    def template(self, subjects: Sequence[int], shingle: int) -> None:
        """All their texts begin with the same words, and lie nearer to one place for it."""
        place = self.matter()
        for subject in subjects:
            own = self.texts[subject]
            own.head[:] = shingle
            own.points = unit(0.8 * own.points + 0.6 * place)

    def repeat(self, subjects: Sequence[int], texts: int) -> None:
        """The first of their texts are the same, word for word."""
        points, digest = self.texts[subjects[0]].points[:texts], self.texts[subjects[0]].digest[:texts]
        for subject in subjects:
            self.texts[subject].points[:texts], self.texts[subject].digest[:texts] = points, digest

    # What the detector sees

    def sample(self) -> Sample:
        def column(name: str, kind: type) -> np.ndarray:
            return np.concatenate([getattr(each, name) for each in self.texts]).astype(kind)

        counts = [len(each.digest) for each in self.texts]
        sample = Sample(
            subject=np.repeat(np.arange(len(self.texts)), counts).astype(np.int32),
            slice=column("slice", np.int16),
            digest=column("digest", np.int64),
            head=column("head", np.int64),
            tail=np.full(sum(counts), NO_SHINGLE),
            minhash=np.full((sum(counts), 1), NO_SHINGLE),
            embedding=np.rint(column("points", float) * SCALE).clip(-127, 127).astype(np.int8),
        )
        return sample.take(np.lexsort((sample.digest, sample.subject)))

    def features(self) -> Features:
        n = len(self.texts)
        exchanges = np.zeros((n, SLICES), dtype=np.int64)
        for subject, each in enumerate(self.texts):
            np.add.at(exchanges[subject], each.slice, 1)
        return Features(
            subjects=[f"acct_{i:04d}" for i in range(n)],
            account=np.array([self.accounts.get(i, i) for i in range(n)], dtype=np.int32),
            start=0,
            edges=np.arange(1, SLICES + 1, dtype=np.int64) * DAY,
            rows=int(exchanges.sum()),
            without_text=0,
            exchanges=exchanges,
            tokens_out=exchanges * 100,
            openings=exchanges.sum(axis=1),
            flags=np.zeros((n, 5), dtype=np.int64),
            facts={kind: _fact(pairs) for kind, pairs in self.facts.items()},
            sample=self.sample(),
        )

    def store(self, place: Path, flagged: Sequence[int] = (), flag: int = 0, metadata_only: int = 0) -> Store:
        """A store that holds it, on the days of its slices. `flagged` subjects raise `flag` in every exchange, and
        `metadata_only` exchanges of one more account have no text."""
        sample, store = self.sample(), Store(place)
        count, extra = len(sample), metadata_only
        names = [f"acct_{i:04d}" for i in sample.subject] + ["acct_silent"] * extra
        facts = {kind: dict(pairs) for kind, pairs in self.facts.items()}
        columns = {
            "time": [START + int(at) * DAY + i for i, at in enumerate(sample.slice)] + [START] * extra,
            "subject": names,
            "account": names,
            "turn": [1] * (count + extra),
            "words": [9] * count + [0] * extra,
            "text_digest": [*sample.digest.tolist(), *[None] * extra],
            "head": [*sample.head.tolist(), *[None] * extra],
            "tail": [*sample.tail.tolist(), *[None] * extra],
            "minhash": [*sample.minhash.tolist(), *[None] * extra],
            "embedding": [*(row.tobytes() for row in sample.embedding), *[None] * extra],
            "text": [f"what is {digest}?" for digest in sample.digest] + [None] * extra,
            "flags": [flag if i in flagged else 0 for i in sample.subject] + [0] * extra,
            "output_tokens": [100] * (count + extra),
            "source": ["simulated.jsonl"] * (count + extra),
            "position": list(range(1, count + extra + 1)),
        }
        for kind, value_of in facts.items():
            columns[kind] = [value_of.get(int(i)) for i in sample.subject] + [None] * extra
        schema = store.exchanges().schema().to_pyarrow()
        arrays = [
            pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(count + extra, f.type) for f in schema
        ]
        store.append_exchanges([pa.RecordBatch.from_arrays(arrays, schema=schema)])
        return store

    def evidence(self, unit_of: np.ndarray | None = None) -> Evidence:
        """Cells and touches, every subject a unit unless something else is said."""
        sample, n = self.sample(), len(self.texts)
        own = np.arange(n) if unit_of is None else unit_of
        vectors = Vectors(sample, n)
        cell, cells = quantise(sample, vectors, np.random.default_rng(0))
        return Evidence(sample, vectors, read_touches(sample, cell, cells, own), own)

    def touches(self) -> Touches:
        return self.evidence().touches


def quantise(sample: Sample, vectors: Vectors, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """The cell of each text of the sample, (n,), and how many cells there are."""
    centres = learn_centres(sample, vectors, rng)
    return nearest(vectors, np.arange(len(sample)), centres), max(len(centres), 1)


def _fact(pairs: list[tuple[int, str]]) -> Fact:
    names = sorted({value for _, value in pairs})
    return Fact(
        subject=np.array([s for s, _ in pairs], dtype=np.int32),
        value=np.array([names.index(v) for _, v in pairs], dtype=np.int32),
        slice=np.zeros(len(pairs), dtype=np.int16),
        names=names,
    )


def until(features: Features, subject: int, slices: int) -> Features:
    """The same, where a subject has sent nothing after `slices` slices."""
    sample = features.sample
    return replace(features, sample=sample.take((sample.subject != subject) | (sample.slice < slices)))


def flags(members: Sequence[int], count: int) -> np.ndarray:
    found = np.zeros(count, dtype=bool)
    found[list(members)] = True
    return found
