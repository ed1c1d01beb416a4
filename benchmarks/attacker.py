"""What it costs to stay hidden: an attacker who has read our documentation changes the campaign of level A2.

The answers of docs/detection.md, section 9, are tried one by one on worlds that nothing was set on. The campaign's
sampled prompts are dealt out anew in memory, so nothing is simulated twice: it is the features that change, as they
would have if the attacker had sent that. `cost` is exchanges for each prompt of the list;
`accounts` where what it costs is accounts.

    python benchmarks/attacker.py [SEEDS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent / "campaigns"))

from report import record, table
from traffic import JUDGE, store_of

from strongroom.detect.campaign._detect import detect
from strongroom.detect.campaign._features import Features, read_features
from strongroom.detect.campaign._sample import Sample
from strongroom.store import Store

LEVEL, FIRST, SEEDS = "A2", 101, 2
Deal = Callable[["World"], Sample]


class World:
    """Traffic with a campaign in it, and who belongs to whom."""

    def __init__(self, seed: int) -> None:
        place, truth = store_of(JUDGE, seed, LEVEL)
        features = read_features(Store(place), since=None, until=None)
        assert features is not None
        self.features: Features = features
        self.seed, self.rng = seed, np.random.default_rng(seed)
        names = np.array(features.subjects)
        self.attacker = np.isin(names, list(truth.campaign_accounts))
        self.individual = np.array([truth.roles.get(name) == "individual" for name in features.subjects])
        self.members = np.flatnonzero(self.attacker)
        self.theirs = np.flatnonzero(self.attacker[features.sample.subject])
        self.others = np.flatnonzero(~self.attacker[features.sample.subject])

    def dealt(self, rows: np.ndarray, owner: np.ndarray, others: np.ndarray | None = None) -> Sample:
        """The sample in which `owner` sends each of `rows`, and `others` (all, unless given) stay."""
        sample = self.features.sample
        others = self.others if others is None else others
        mixed = replace(
            sample.take(np.concatenate([others, rows])),
            subject=np.concatenate([sample.subject[others], owner]).astype(np.int32),
        )
        order = np.lexsort((mixed.digest, mixed.subject))
        return mixed.take(order)


def as_it_is(world: World) -> Sample:
    return world.features.sample


def cover(share: float) -> Deal:
    """A share of each account's prompts is about somebody's own work: an honest person's, who is taken away."""

    def deal(world: World) -> Sample:
        sample = world.features.sample
        lent = [
            np.flatnonzero(sample.subject == one) for one in world.rng.permutation(np.flatnonzero(world.individual))
        ]
        lent.sort(key=len, reverse=True)  # who asks most can lend most
        gone: list[np.ndarray] = []
        rows, owners = [], []
        for member, own in sorted(((m, np.flatnonzero(sample.subject == m)) for m in world.members), key=_length):
            filled = lent.pop(0)[: round(share * len(own))]
            gone.append(sample.subject[filled[:1]])
            # As large a share as was asked for, also where the lender has too few.
            kept = world.rng.permutation(own)[: round(len(filled) * (1 - share) / share)]
            rows += [kept, filled]
            owners.append(np.full(len(kept) + len(filled), member))
        others = world.others[~np.isin(sample.subject[world.others], np.concatenate(gone))]
        return world.dealt(np.concatenate(rows), np.concatenate(owners), others)

    return deal


def _length(pair: tuple[int, np.ndarray]) -> int:
    return -len(pair[1])


def by_subject(share: float) -> Deal:
    """A share of the list is cut into as many parts as there are accounts, each about one thing; the rest is dealt."""

    def deal(world: World) -> Sample:
        rows = world.rng.permutation(world.theirs)
        cut, dealt = rows[: int(share * len(rows))], rows[int(share * len(rows)) :]
        vectors = world.features.sample.embedding[cut].astype(np.float32)
        parts = list(_halved(cut, vectors, len(world.members))) if len(cut) else [cut] * len(world.members)
        owners = [np.full(len(part), member) for part, member in zip(parts, world.members, strict=True)]
        anybody = world.members[np.arange(len(dealt)) % len(world.members)]
        return world.dealt(np.concatenate([*parts, dealt]), np.concatenate([*owners, anybody]))

    return deal


def _halved(rows: np.ndarray, vectors: np.ndarray, parts: int) -> Iterator[np.ndarray]:
    """The rows in so many parts of nearly one size, cut along their widest direction again and again."""
    if parts == 1:
        yield rows
        return
    centred = vectors - vectors.mean(axis=0)
    direction = np.ones(vectors.shape[1], dtype=np.float32)
    for _ in range(8):
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-9)
    order = np.argsort(centred @ direction, kind="stable")
    left = parts // 2
    at = len(rows) * left // parts
    yield from _halved(rows[order[:at]], vectors[order[:at]], left)
    yield from _halved(rows[order[at:]], vectors[order[at:]], parts - left)


def shared(times: int) -> Deal:
    """Each prompt of the list is sent from so many accounts, word for word."""

    def deal(world: World) -> Sample:
        rows = world.theirs[::times]
        again = np.tile(rows, times)
        owner = world.members[(np.arange(len(again)) * 7 + np.arange(len(again)) // len(rows)) % len(world.members)]
        pairs = np.unique(np.stack([again, owner]), axis=1)
        return world.dealt(pairs[0], pairs[1])

    return deal


def few(prompts: int) -> Deal:
    """So many prompts from each account, no more."""

    def deal(world: World) -> Sample:
        sample = world.features.sample
        kept = [world.rng.permutation(np.flatnonzero(sample.subject == m))[:prompts] for m in world.members]
        rows = np.concatenate(kept)
        return world.dealt(rows, sample.subject[rows])

    return deal


ANSWERS: dict[str, tuple[str, Deal]] = {
    "none": ("1", as_it_is),
    "half of it cover": ("2", cover(0.5)),
    "four fifths cover": ("5", cover(0.8)),
    "nine tenths cover": ("10", cover(0.9)),
    "19 of 20 cover": ("20", cover(0.95)),
    "the list dealt out anew, as it comes": ("1", by_subject(0.0)),
    "a quarter of it dealt out by subject": ("1", by_subject(0.25)),
    "half of it dealt out by subject": ("1", by_subject(0.5)),
    "all of it dealt out by subject": ("1", by_subject(1.0)),
    "each prompt from 3 accounts": ("3", shared(3)),
    "each prompt from 6 accounts": ("6", shared(6)),
    "12 opening prompts an account": ("1; accounts", few(12)),
    "6 opening prompts an account": ("1; accounts", few(6)),
    "3 opening prompts an account": ("1; accounts", few(3)),
}


def outcome(world: World, deal: Deal) -> tuple[int, int, int]:
    """Attacker's accounts in true campaigns, all in these, and false campaigns."""
    world.rng = np.random.default_rng(world.seed)  # no answer depends on those before it
    features = replace(world.features, sample=deal(world))
    found = reported = false = 0
    for campaign in detect(features, len(features.edges)).campaigns:
        own = int(world.attacker[campaign.members].sum())
        if 2 * own > len(campaign.members):
            found, reported = found + own, reported + len(campaign.members)
        else:
            false += 1
    return found, reported, false


def main(seeds: int) -> None:
    worlds = [World(seed) for seed in range(FIRST, FIRST + seeds)]
    attackers = sum(len(world.members) for world in worlds)
    rows: list[list[object]] = []
    for name, (cost, deal) in ANSWERS.items():
        outcomes = [outcome(world, deal) for world in worlds]
        found, reported, false = (sum(each) for each in zip(*outcomes, strict=True))
        purity = f"{found / reported:.3f}" if reported else "none reported"
        rows.append([name, cost, f"{found / attackers:.3f}", purity, false])
        print(" | ".join(map(str, rows[-1])), flush=True)
    header = ["the attacker's answer", "cost", "TPR", "purity", "false campaigns"]
    record(
        "attacker", f"Level {LEVEL}, {seeds} seeds, {attackers:,} accounts of the attacker.\n\n{table(header, rows)}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else SEEDS)
