"""Searches end in groups that are large enough, and a large group takes in who sent little."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign._candidates import MIN_GROUP, find_candidates
from strongroom.detect.campaign._sources import ODDS, settle
from strongroom.detect.campaign._starts import starts
from strongroom.detect.campaign._touches import Touches
from strongroom.sketch import DIMENSIONS

from .worlds import World, flags

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


@pytest.mark.parametrize(("people", "workers"), [(40, 160), (60, 240)])
def test_nobody_belongs_for_nothing_to_a_group_that_is_most_of_all(people: int, workers: int) -> None:
    world = World(2)
    world.people(people, 40)
    campaign = world.workers(workers, world.list_of(100), 40)
    world.add(np.zeros((0, DIMENSIONS)))
    touches = world.touches()
    source = settle(touches, flags(campaign, touches.units))
    assert source is not None
    assert source.least >= ODDS
    assert np.isin(source.units, campaign).mean() > 0.95
