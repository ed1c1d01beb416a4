"""Searches end in groups that are large enough, and a large group takes in who sent little."""

from __future__ import annotations

import numpy as np

from strongroom.detect.campaign._candidates import MIN_GROUP, find_candidates
from strongroom.detect.campaign._starts import starts
from strongroom.detect.campaign._touches import Touches

from .worlds import World

PEOPLE = 150


def candidates(touches: Touches) -> list[np.ndarray]:
    found = find_candidates(touches, starts(touches, [], np.arange(touches.units), seed=1))
    return [source.units for source in found]


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
