"""When a campaign would have been seen: the same detection again, blind to all that came later.

Where to look is found by hindsight: a search that begins with the members, and beside the groups that it was compared
with at the end, looks by halves for the earliest slice that shows the campaign. Where there are many texts it does so
among the cells and common passages that the whole of the traffic taught; where they are too few for so many cells,
these are learnt anew. What is told is found without any hindsight: from that slice on everything is learnt from what
was there by then, until one slice shows it. So the slice may be later than the first that a live watch would have
shown, and is never one at which it would not have.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._cells import cells_for
from ._detect import SEED, Ground, Group, Snapshot, conclude, detect, hinted, lay, look
from ._features import Features
from ._ties import fact_ties

__all__ = ["Replay"]


class Replay:
    """Detection in the slices of some traffic, as it would have run in each."""

    def __init__(self, features: Features, ground: Ground, snapshot: Snapshot) -> None:
        """`ground` and `snapshot`: those of all slices."""
        self._features, self._ground, self._raised = features, ground, snapshot.raised
        self._snapshot = snapshot
        self._templates = [tie for tie in snapshot.ties if tie.kind == "template"]
        self._shown: dict[int, list[Group]] = {}

    def first_seen(self, campaign: Group) -> int:
        """The number of slices after which the campaign is reported by a detection that is blind to all later ones."""
        last = len(self._features.edges)
        low, high = 0, last
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _shows(self._with_hindsight(middle, campaign), campaign) else (middle, high)
        while high < last and not _shows(self._blind(high), campaign):
            high += 1
        return high

    def _blind(self, slices: int) -> list[Group]:
        """What is reported after so many slices; several campaigns ask for the same ones."""
        if slices not in self._shown:
            self._shown[slices] = detect(self._features, slices, self._raised).campaigns
        return self._shown[slices]

    def _with_hindsight(self, slices: int, campaign: Group) -> list[Group]:
        """What a search that begins with the campaign's members, and nowhere else, finds, compared with the groups
        that it is compared with at the end."""
        view = look(self._features, slices, self._cut(slices))
        ties = [*fact_ties(self._features, slices, view.able), *self._templates]
        sets = hinted([campaign.members[view.able[campaign.members]]], view)
        # What it is compared with beyond those groups is of these slices alone, and not kept.
        before = replace(self._snapshot, comparisons=dict(self._snapshot.comparisons))
        return conclude(view, ties, sets, np.random.default_rng(SEED), before, self._raised).campaigns

    def _cut(self, slices: int) -> Ground:
        """The first slices of the texts, in the cells of all if as many cells would be theirs."""
        kept = np.flatnonzero(self._ground.sample.slice < slices)
        if cells_for(len(kept)) < len(self._ground.centres):
            return lay(self._features, slices, np.random.default_rng(SEED))
        sample = self._ground.sample.take(kept)
        vectors = self._ground.vectors.following(sample, kept, np.arange(len(self._features.subjects)))
        return Ground(sample, vectors, self._ground.centres, self._ground.cell[kept])


def _shows(found: list[Group], campaign: Group) -> bool:
    return any(len(np.intersect1d(campaign.members, one.members)) * 2 > len(one.members) for one in found)
