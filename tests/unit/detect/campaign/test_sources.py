"""A planted source is found from some of its members; strangers do not belong to it, and nobody on their own account."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from strongroom.detect.campaign._sources import JOIN, MIN_UNITS, SHARES, learn_once, settle
from strongroom.detect.campaign._starts import ENDS, starts
from strongroom.detect.campaign._ties import Tie
from strongroom.detect.campaign._touches import Touches

from .worlds import World, flags

PEOPLE, SIZE, N = 150, 30, 180
OWN = np.arange(N)


@cache
def planted(cover: float) -> tuple[Touches, list[int]]:
    world = World(1)
    world.people(PEOPLE, 60)
    members = world.workers(SIZE, world.list_of(), 60, cover)
    return world.touches(), members


@pytest.mark.parametrize(("cover", "known"), [(0.0, 10), (0.5, 20)])
def test_a_planted_source_is_found_from_a_start_that_holds_some_of_its_members(cover: float, known: int) -> None:
    touches, members = planted(cover)
    source = settle(touches, flags([*members[:known], *range(5)], N))
    assert source is not None
    assert len(np.intersect1d(source.units, members)) > 0.6 * SIZE
    assert len(np.setdiff1d(source.units, members)) <= 1


def test_strangers_score_below_what_a_member_needs() -> None:
    touches, members = planted(0.0)
    source = learn_once(touches, flags(members, N))
    strangers = source.score[:PEOPLE]
    assert (strangers > JOIN).mean() < 0.1
    assert (source.score[members] > JOIN).mean() > 0.9
    assert np.median(strangers) == 0


def test_a_members_own_texts_do_not_support_it() -> None:
    touches, members = planted(0.0)
    without = learn_once(touches, flags(members, N))
    # A stranger that is called a member is measured by what the others ask, so it gains nothing by being in.
    with_stranger = learn_once(touches, flags([*members, 0], N))
    assert with_stranger.score[0] <= max(without.score[0], JOIN)
    # Members that have nothing in common do not carry one another.
    chance = learn_once(touches, flags(range(10), N))
    assert (chance.score[:10] > JOIN).mean() <= 0.2


@pytest.mark.parametrize(("cover", "low", "high"), [(0.0, 0.7, 0.95), (0.5, 0.2, 0.7), (0.8, 0.05, 0.4)])
def test_the_share_that_comes_from_the_source_is_estimated(cover: float, low: float, high: float) -> None:
    touches, members = planted(cover)
    source = learn_once(touches, flags(members, N))
    assert low <= np.median(source.share[members]) <= high
    assert set(source.share.tolist()) <= set(SHARES)


def test_people_who_come_back_to_their_own_topics_are_left_out() -> None:
    world = World(2)
    world.people(PEOPLE, 60)
    topics = world.list_of()
    members = world.workers(SIZE, topics, 60)
    learners = [world.add(world.about(topics[i : i + 2], 60)) for i in range(10)]
    source = settle(world.touches(), flags(members, N + 10))
    assert source is not None
    assert not set(learners) & set(source.units.tolist())
    community = settle(world.touches(), flags([*members, *learners], N + 10), own=False)
    assert community is not None
    assert set(learners) & set(community.units.tolist())


def test_what_has_nothing_in_common_falls_apart() -> None:
    touches, _ = planted(0.0)
    assert settle(touches, flags(range(6), N)) is None
    assert settle(touches, flags([], N)) is None


def test_a_search_stops_on_its_way_to_what_is_known() -> None:
    touches, members = planted(0.0)
    source = settle(touches, flags(members, N))
    assert source is not None
    assert settle(touches, flags(members[:12], N), known=[flags(source.units, N)]) is None


def test_cells_of_a_source_are_those_that_its_members_touch_more_often() -> None:
    touches, members = planted(0.0)
    source = learn_once(touches, flags(members, N))
    inside = touches.by_cell(flags(members, N)[touches.unit].astype(float))
    assert np.median(inside[source.lift > 2]) > np.median(inside[source.lift < 1])
    held = source.holds(touches)
    assert (source.lift[touches.cell[held]] > 4).all()
    assert flags(members, N)[touches.unit[held]].mean() > 0.8


def test_a_start_from_the_traffic_leads_to_the_source() -> None:
    touches, members = planted(0.5)
    found = [settle(touches, start) for start in starts(touches, [], OWN, 0)]
    best = max((len(np.intersect1d(s.units, members)) for s in found if s), default=0)
    assert best > 0.6 * SIZE


def test_starts_are_ties_first_and_then_ends_of_directions() -> None:
    touches, _ = planted(0.0)
    few = Tie("address", "a", np.arange(MIN_UNITS - 1, dtype=np.int32))
    some = Tie("address", "b", np.arange(7, dtype=np.int32))
    many = Tie("payment", "c", np.arange(20, dtype=np.int32))
    found = list(starts(touches, [few, some, many], OWN, 0))
    assert [int(start.sum()) for start in found[:3]] == [20, 7, ENDS]
    assert all(start.shape == (N,) and start.any() for start in found)
    again = list(starts(touches, [few, some, many], OWN, 0))
    assert all(np.array_equal(one, two) for one, two in zip(found, again, strict=True))


@pytest.mark.parametrize("people", [1, 2, 3])
def test_almost_nobody_has_hardly_a_start(people: int) -> None:
    world = World(3)
    world.people(people, 3)
    for start in starts(world.touches(), [], np.arange(people), 0):
        assert settle(world.touches(), start) is None
