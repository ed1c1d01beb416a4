"""Small simulated worlds for the detector: features made from points, without logs, texts or a store."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from strongroom.detect.campaign._features import FACTS, Fact, Features

DIMENSIONS = 256


@dataclass
class World:
    """Subjects, each with texts (points), a slice per text, facts, and shingles."""

    seed: int = 0
    slices: int = 14
    rng: np.random.Generator = field(init=False)
    points: list[np.ndarray] = field(default_factory=list)
    facts: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {kind: [] for kind in FACTS})
    shingles: list[tuple[int, int, int]] = field(default_factory=list)
    """(shingle, subject, texts)."""
    shared: list[tuple[int, int]] = field(default_factory=list)
    """(subject, text number)."""

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def subject_matter(self) -> np.ndarray:
        """A direction that somebody's texts lean to."""
        return unit(self.rng.normal(0, 1, DIMENSIONS))

    def add(self, texts: int, matter: np.ndarray, *, lean: float = 0.5, common: np.ndarray | None = None) -> int:
        """One subject with `texts` texts about `matter`; `common` is a passage that all of them hold."""
        noise = self.rng.normal(0, 1, (texts, DIMENSIONS))
        points = lean * matter + np.sqrt(1 - lean**2) * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        if common is not None:
            points = 0.5 * points + 0.85 * common
        self.points.append(points / np.linalg.norm(points, axis=1, keepdims=True))
        return len(self.points) - 1

    def strangers(self, count: int, texts: int = 40) -> list[int]:
        """Subjects who each ask about their own matter."""
        return [self.add(texts, self.subject_matter()) for _ in range(count)]

    def fact(self, kind: str, subjects: list[int], value: str) -> None:
        self.facts[kind] += [(subject, value) for subject in subjects]

    def template(self, subjects: list[int], shingle: int, texts: int = 40) -> None:
        self.shingles += [(shingle, subject, texts) for subject in subjects]

    def features(self, accounts: list[int] | None = None) -> Features:
        n, slices = len(self.points), self.slices
        sums = np.zeros((n, slices, DIMENSIONS), dtype=np.float32)
        squares, texts = np.zeros((n, slices)), np.zeros((n, slices), dtype=np.int32)
        for i, points in enumerate(self.points):
            for place, point in enumerate(points):
                at = place * slices // len(points)
                sums[i, at] += point
                squares[i, at] += point @ point
                texts[i, at] += 1
        shared = sorted(self.shared)
        shingle = sorted(self.shingles)
        return Features(
            subjects=[f"acct_{i:04d}" for i in range(n)],
            account=np.array(accounts or range(n), dtype=np.int32),
            edges=np.arange(1, slices + 1, dtype=np.int64) * 86_400_000_000,
            start=0,
            rows=int(texts.sum()),
            without_text=0,
            exchanges=texts.astype(np.int64),
            tokens_out=texts.astype(np.int64) * 100,
            texts=texts,
            sums=sums,
            squares=squares,
            flags=np.zeros((n, 5), dtype=np.int64),
            facts={kind: self._fact(pairs) for kind, pairs in self.facts.items()},
            shared_text=(
                np.array([s for s, _ in shared], dtype=np.int32),
                np.array([t for _, t in shared], dtype=np.int32),
                np.zeros(len(shared), dtype=np.int16),
            ),
            shingle=(
                np.array([s for s, _, _ in shingle], dtype=np.int64),
                np.array([s for _, s, _ in shingle], dtype=np.int32),
                np.zeros(len(shingle), dtype=np.int16),
                np.array([t for _, _, t in shingle], dtype=np.int32),
            ),
        )

    @staticmethod
    def _fact(pairs: list[tuple[int, str]]) -> Fact:
        names = sorted({value for _, value in pairs})
        return Fact(
            subject=np.array([s for s, _ in pairs], dtype=np.int32),
            value=np.array([names.index(v) for _, v in pairs], dtype=np.int32),
            slice=np.zeros(len(pairs), dtype=np.int16),
            names=names,
        )


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
