"""What this traffic would have shown: campaigns are put into it, in memory, and looked for as any other.

A made campaign asks about something that nobody else asks about, a quarter as varied as what the site asks, or more:
it is made of the prompts nearest to one that was drawn at random, with what they have in common turned into its
opposite (a reflection of their embeddings), dealt out over new accounts that share nothing. That needs no texts and no
language. A campaign that is about what many customers ask as well, or under cover, is harder to see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ._detect import detect
from ._features import Features
from ._sample import Sample
from ._vectors import Vectors

__all__ = ["INTERRUPTED", "UNMEASURED", "glance", "measure_sensitivity"]

SIZES = (10, 20, 40, 80, 160)
"""Accounts of a made campaign."""
PROMPTS = (10, 40)
"""Distinct opening prompts of each."""
TRIALS = 20
"""Made campaigns of a size, about subjects of their own."""
AT_ONCE = 5
"""Of these in one search, at most."""
MOST_MADE = 0.25
"""Times as many made accounts as there are others in one search, at most, where there is more than one campaign."""
SURE = 0.95
"""Share of trials in which a size must be found."""
BREADTH = 0.25
"""Share of the traffic's prompts, those nearest to the drawn one, that a campaign is made from, whatever its size."""
LEAST_POOL = 100
"""And how many at least."""
FROM_EACH = 3
"""Prompts of one account that count for that, at most."""
MOST_TEXTS = 150_000
"""Texts of the traffic that campaigns are put into; beyond, accounts are drawn."""
SEED = 20261124

UNMEASURED = "What would be found in this traffic was not measured; `strongroom hunt --sensitivity` measures it."
INTERRUPTED = "What would be found in this traffic was not measured: it was interrupted."
TOO_LITTLE = (
    "What would be found in this traffic cannot be measured: too few accounts have prompts of their own, without a "
    "template, to make campaigns from."
)

Index = npt.NDArray[np.intp]


class Cell(msgspec.Struct, frozen=True):
    """One size, and in how many trials it was found."""

    accounts: int
    prompts_per_account: int
    found: int
    trials: int

    @property
    def sure(self) -> bool:
        return self.found >= SURE * self.trials


def measure_sensitivity(
    features: Features, *, raised: float = 0.0, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Finds the least size of a campaign that is found in 95 % of trials, for each number of prompts: minutes."""
    maker = _Maker(features, np.random.default_rng(SEED), raised)
    cells: list[Cell] = []
    for prompts in PROMPTS if maker.able else ():
        low, high = 0, len(SIZES)  # the least size that is found has an index from low to high
        while low < high:
            middle = (low + high) // 2
            cells.append(_trial(maker, SIZES[middle], prompts, progress))
            low, high = (low, middle) if cells[-1].sure else (middle + 1, high)
    return _told(cells, _summary, maker)


def glance(
    features: Features, *, raised: float = 0.0, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Puts one campaign of each size in and tells which of them are found: one search for each number of prompts."""
    maker = _Maker(features, np.random.default_rng(SEED), raised)
    cells: list[Cell] = []
    sizes = [size for size, sum_of in zip(SIZES, np.cumsum(SIZES), strict=True) if sum_of <= MOST_MADE * maker.accounts]
    for prompts in PROMPTS if maker.able else ():
        tried = sizes or SIZES[:1]
        progress(f"looking for made campaigns with {prompts} prompts of each account")
        found = maker.search(tried, prompts)
        cells += [Cell(size, prompts, int(one), 1) for size, one in zip(tried, found, strict=True)]
    return _told(cells, _glanced, maker)


def _told(cells: list[Cell], summary: Callable[[list[Cell]], str], maker: _Maker) -> dict[str, Any]:
    if not cells:
        return {"measured": False, "summary": TOO_LITTLE}
    cells.sort(key=lambda cell: (cell.prompts_per_account, cell.accounts))
    told = summary(cells)
    if maker.accounts < maker.all_accounts:
        told += f" Measured in a part of the traffic: {maker.accounts:,} of {maker.all_accounts:,} accounts."
    return {"measured": True, "summary": told, "trials": msgspec.to_builtins(cells)}


def _drawn(features: Features, rng: np.random.Generator) -> Features:
    """The features with fewer accounts, where there are very many texts."""
    sample = features.sample
    if len(sample) <= MOST_TEXTS:
        return features
    kept = rng.random(len(features.subjects)) < MOST_TEXTS / len(sample)
    return replace(features, sample=sample.take(kept[sample.subject]))


class _Maker:
    """Makes campaigns out of the traffic."""

    def __init__(self, features: Features, rng: np.random.Generator, raised: float = 0.0) -> None:
        self.all_accounts = len(np.unique(features.sample.subject))
        self.features = features = _drawn(features, rng)
        self.accounts = len(np.unique(features.sample.subject))
        """Those of which there is a prompt."""
        self._raised, self._rng = raised, rng
        self._pool = np.zeros(0, dtype=np.intp)
        if self.accounts:
            vectors = Vectors(features.sample, len(features.subjects))
            # A prompt in its sender's template would bring that into the campaign.
            plain = rng.permutation(np.flatnonzero(~vectors.templated))
            self._pool = plain[_places(features.sample.subject[plain]) < FROM_EACH]
            self._vectors = vectors.of(self._pool)
            self._mean = features.sample.embedding.mean(axis=0, dtype=np.float64)
        self.able = BREADTH * len(self._pool) >= LEAST_POOL

    def search(self, sizes: Sequence[int], prompts: int) -> list[bool]:
        """Puts campaigns of these sizes in, about subjects of their own, and says which of them are found."""
        features, groups = self._put_in(sizes, prompts)
        campaigns = detect(features, len(features.edges), self._raised).campaigns
        found = []
        for group in groups:
            common = [(len(np.intersect1d(group, c.members)), len(c.members)) for c in campaigns]
            found.append(any(2 * own >= len(group) and 2 * own > size for own, size in common))
        return found

    def _put_in(self, sizes: Sequence[int], prompts: int) -> tuple[Features, list[Index]]:
        """The traffic with campaigns in it, and their subjects."""
        begin = len(self.features.subjects)
        rows, owners, groups = [], [], []
        for size in sizes:
            rows.append(self._about_one_subject(size * prompts))
            groups.append(np.arange(begin, begin + size))
            owners.append(self._rng.permutation(np.repeat(groups[-1], prompts)))
            begin += size
        made = self.features.sample.take(np.concatenate(rows))
        turned = [_turned(self.features.sample.embedding[one], self._mean) for one in rows]
        made = replace(made, embedding=np.concatenate(turned))
        owner = np.concatenate(owners).astype(np.int32)
        digests = self._rng.integers(-(2**63), 2**63, len(owner))  # nobody sent these texts before
        return _with(self.features, replace(made, subject=owner, digest=digests), sum(sizes)), groups

    def _about_one_subject(self, count: int) -> Index:
        """So many prompts of a part of what is asked here; each again where they are fewer."""
        near = np.argsort(-(self._vectors @ self._vectors[self._rng.integers(len(self._pool))]), kind="stable")
        chosen = self._pool[near[: int(BREADTH * len(self._pool))]]
        return np.concatenate([self._rng.permutation(chosen) for _ in range(-(-count // len(chosen)))])[:count]


def _places(owner: npt.NDArray[np.int32]) -> Index:
    """For each text how many of the same owner come before it."""
    order = np.argsort(owner, kind="stable")
    place = np.empty(len(owner), dtype=np.intp)
    place[order] = np.arange(len(owner)) - np.searchsorted(owner[order], owner[order])
    return place


def _turned(embeddings: npt.NDArray[np.int8], mean: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """The embeddings, reflected along what they have in common: as varied as before, about the opposite."""
    common = embeddings.mean(axis=0, dtype=np.float64) - mean
    common /= max(float(np.linalg.norm(common)), 1e-9)
    turned = embeddings - 2 * ((embeddings - mean) @ common)[:, None] * common[None, :]
    return np.asarray(np.clip(np.rint(turned), -127, 127), dtype=np.int8)


def _with(features: Features, made: Sample, accounts: int) -> Features:
    """The features with so many accounts more, which sent the texts `made`."""

    def wider(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.concatenate([table, np.zeros((accounts, *table.shape[1:]), dtype=table.dtype)])

    before, sample = len(features.subjects), features.sample
    both = {
        name: np.concatenate([getattr(sample, name), getattr(made, name)])
        for name in ("subject", "slice", "digest", "head", "tail", "minhash", "embedding")
    }
    return replace(
        features,
        subjects=[*features.subjects, *(f"made {i}" for i in range(accounts))],
        account=np.concatenate(
            [features.account, int(features.account.max(initial=0)) + 1 + np.arange(accounts)]
        ).astype(np.int32),
        exchanges=wider(features.exchanges),
        tokens_out=wider(features.tokens_out),
        openings=np.concatenate([features.openings, np.bincount(made.subject - before, minlength=accounts)]),
        flags=wider(features.flags),
        sample=Sample(**both),
    )


def _trial(maker: _Maker, accounts: int, prompts: int, progress: Callable[[str], None]) -> Cell:
    at_once = int(np.clip(MOST_MADE * maker.accounts // accounts, 1, AT_ONCE))
    found = trials = 0
    while trials < TRIALS:
        progress(
            f"looking for made campaigns of {accounts} accounts with {prompts} prompts each: "
            f"{found} of {trials} found, {TRIALS - trials} to come"
        )
        sizes = [accounts] * min(at_once, TRIALS - trials)
        found += sum(maker.search(sizes, prompts))
        trials += len(sizes)
    return Cell(accounts, prompts, found, trials)


def _glanced(cells: list[Cell]) -> str:
    told = []
    for prompts in PROMPTS:
        sizes = [cell for cell in cells if cell.prompts_per_account == prompts]
        found = [str(cell.accounts) for cell in sizes if cell.found]
        if sizes:
            those = f"those of {_series(found)} accounts were found" if found else "none was found"
            tried = _series([str(cell.accounts) for cell in sizes])
            told.append(f"with {prompts} opening prompts of each account {those} (tried: {tried})")
    return (
        "Campaigns of several sizes were put into this traffic in memory and looked for once: "
        f"{'; '.join(told)}. `strongroom hunt --sensitivity` measures which would be found with 95 % "
        "probability. Those that hide among other prompts may be here all the same."
    )


def _series(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _summary(cells: list[Cell]) -> str:
    told = []
    for prompts in PROMPTS:
        of_these = [cell for cell in cells if cell.prompts_per_account == prompts]
        sure = [cell for cell in of_these if cell.sure]
        if sure:
            least = min(sure, key=lambda cell: cell.accounts)
            told.append(
                f"{least.accounts} accounts with {prompts} opening prompts each "
                f"(found in {least.found} of {least.trials} trials)"
            )
        elif of_these:
            most = max(of_these, key=lambda cell: cell.accounts)
            told.append(
                f"none of up to {most.accounts} accounts with {prompts} prompts each "
                f"({most.found} of {most.trials} trials)"
            )
    return (
        "Campaigns were put into this traffic in memory and looked for. The smallest of which half of the accounts "
        f"or more were found in 95 % of the trials: {'; '.join(told)}. Smaller ones, and those that hide among other "
        "prompts, may be here all the same."
    )
