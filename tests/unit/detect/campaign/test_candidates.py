"""A small campaign is found without those who ask about a part of its list, and with those who sent little of it."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign._candidates import MIN_GROUP, find_candidates
from strongroom.detect.campaign._starts import starts
from strongroom.detect.campaign._touches import Touches

from .worlds import World

PEOPLE, SIZE, NEAR = 150, 20, 20


def candidates(touches: Touches) -> list[np.ndarray]:
    found = find_candidates(touches, starts(touches, [], np.arange(touches.units), seed=1))
    return [source.units for source in found]


@pytest.mark.parametrize(("seed", "asked", "own"), [(0, 4, 4), (1, 4, 4), (1, 5, 15), (2, 5, 15)])
def test_a_campaign_is_found_with_and_without_people_who_ask_about_what_it_asks(
    seed: int, asked: int, own: int
) -> None:
    world = World(seed)
    world.people(PEOPLE, 40)
    topics = world.list_of()
    campaign = world.workers(SIZE, topics, 20)
    near = [world.add(np.vstack([world.about(topics, asked), world.own_work(own)])) for _ in range(NEAR)]
    found = [units for units in candidates(world.touches()) if np.isin(campaign, units).mean() > 0.8]
    assert min(np.isin(near, units).sum() for units in found) == 0
    assert max(np.isin(near, units).sum() for units in found) > NEAR / 3


def test_who_belongs_to_a_large_group_needs_less_to_belong() -> None:
    world = World(3)
    world.people(PEOPLE, 40)
    campaign = world.workers(PEOPLE, world.list_of(), 20)
    found = find_candidates(world.touches(), starts(world.touches(), [], np.arange(2 * PEOPLE), seed=1))
    large = max(found, key=lambda source: len(source.units))
    assert np.isin(campaign, large.units).mean() > 0.9
    assert large.least < 2
    assert large.score[large.units].min() > large.least


def test_groups_that_are_too_small_are_none() -> None:
    world = World(4)
    world.people(PEOPLE, 40)
    world.workers(MIN_GROUP - 3, world.list_of(), 40)
    assert all(len(units) >= MIN_GROUP for units in candidates(world.touches()))
