"""A campaign is dated by what was known then, and by nothing that came later."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign import _replay
from strongroom.detect.campaign._detect import SEED, Group, Snapshot, detect, lay, search
from strongroom.detect.campaign._features import Features
from strongroom.detect.campaign._replay import Replay

from .worlds import SLICES, World, until

PEOPLE, SIZE, TEXTS = 150, 30, 60


def replayed(features: Features) -> tuple[Replay, Snapshot]:
    rng = np.random.default_rng(SEED)
    ground = lay(features, SLICES, rng)
    snapshot = search(features, SLICES, ground, rng)
    return Replay(features, ground, snapshot), snapshot


def reported(groups: list[Group], campaign: list[int]) -> bool:
    return any(np.isin(group.members, campaign).mean() > 0.9 for group in groups)


def world_with(seed: int, *, cover: float = 0.0) -> tuple[World, list[int]]:
    world = World(seed)
    world.people(PEOPLE, TEXTS)
    return world, world.workers(SIZE, world.list_of(), TEXTS, cover)


@pytest.mark.parametrize("cover", [0.0, 0.5])
def test_the_date_is_of_a_detection_that_is_blind_to_all_later_texts(cover: float) -> None:
    world, campaign = world_with(18, cover=cover)
    features = world.features()
    replay, snapshot = replayed(features)
    (found,) = snapshot.campaigns
    seen = replay.first_seen(found)
    assert 1 <= seen < SLICES
    assert reported(detect(features, seen).campaigns, campaign)
    later = features
    for subject in [0, 1, *campaign[:5]]:
        later = until(later, subject, seen)
    before, after = detect(features, seen), detect(later, seen)
    assert [c.members.tolist() for c in before.campaigns] == [c.members.tolist() for c in after.campaigns]


def test_campaigns_that_are_looked_for_in_the_same_slices_are_so_at_once(monkeypatch) -> None:
    world, _ = world_with(19)
    world.workers(SIZE, world.list_of(), TEXTS)
    features = world.features()
    replay, snapshot = replayed(features)
    asked = []

    def counted(features: Features, slices: int, raised: float) -> Snapshot:
        asked.append(slices)
        return detect(features, slices, raised)

    monkeypatch.setattr(_replay, "detect", counted)
    one, two = (replay.first_seen(campaign) for campaign in snapshot.campaigns)
    assert max(one, two) < SLICES
    assert len(set(asked)) == len(asked)


def test_accounts_that_begin_one_after_another_are_seen_when_a_watch_would_have() -> None:
    world = World(1)
    world.people(PEOPLE, TEXTS)
    campaign = world.workers(200, world.list_of(60), 40)
    for number, subject in enumerate(campaign):
        first = 1 + number * 9 // len(campaign)
        world.texts[subject].slice = first + np.arange(40) * (SLICES - first) // 40
    features = world.features()
    replay, snapshot = replayed(features)
    (found,) = snapshot.campaigns
    before = dict(snapshot.comparisons)
    seen = replay.first_seen(found)
    assert not any(reported(detect(features, slices).campaigns, campaign) for slices in range(1, seen))
    assert snapshot.comparisons == before
