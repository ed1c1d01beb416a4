"""Likeness is 1 when a text does not tell who sent it, and the judgement has somebody to compare with or says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign import _judge
from strongroom.detect.campaign._judge import COMPARISONS, MAX_P, MIN_OUTSIDE, Evidence, Judge, Measured
from strongroom.detect.campaign._sources import learn_once

from .worlds import World, flags

PEOPLE = 150


def measured(world: World, members: list[int]) -> Measured:
    evidence = world.evidence()
    source = learn_once(evidence.touches, flags(members, len(world.texts)))
    return evidence.measure(source, np.array(members))


def world_of(seed: int) -> World:
    world = World(seed)
    world.people(PEOPLE)
    return world


@pytest.mark.parametrize("texts", [20, 60, 120])
def test_likeness_is_one_for_a_group_that_draws_from_one_source(texts: int) -> None:
    world = world_of(texts)
    found = measured(world, world.workers(30, world.list_of(), texts))
    assert found.likeness == pytest.approx(1, abs=3 * found.error + 0.05)
    assert found.error < 0.2


def test_likeness_is_low_for_people_with_a_common_interest() -> None:
    world = world_of(1)
    found = measured(world, world.people(30, matter=world.matter()))
    assert found.likeness < 0.6


def test_error_shrinks_as_the_group_grows() -> None:
    errors = []
    for size in (6, 24, 96):
        world = world_of(2)
        errors.append(measured(world, world.workers(size, world.list_of(), 60)).error)
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("texts", [0, 1])
def test_who_sent_a_single_text_cannot_be_measured(texts: int) -> None:
    world = world_of(3)
    found = measured(world, world.workers(10, world.list_of(), texts))
    assert (found.likeness, found.error) == (0, 1)


@pytest.mark.parametrize(("texts", "said"), [(40, False), (80, True)])
def test_few_texts_in_templates_of_ones_own_say_nothing(texts: int, said: bool) -> None:
    world = world_of(8)
    members = world.workers(30, world.list_of(), texts)
    for number, member in enumerate(members):
        world.template([member], 100 + number)
    assert (measured(world, members).likeness > 0.5) is said


def test_the_score_is_what_the_likeness_is_at_least() -> None:
    assert Measured(0.9, 0.05, 100).score == pytest.approx(0.8)


def judge(evidence: Evidence, outside: list[int]) -> Judge:
    return Judge(evidence, np.array(outside, dtype=np.intp), np.random.default_rng(0))


def test_with_nobody_to_compare_with_p_is_one() -> None:
    evidence = world_of(4).evidence()
    assert judge(evidence, list(range(MIN_OUTSIDE - 1))).p_value(Measured(1.0, 0.0, 100), 10) == 1
    assert judge(evidence, []).p_value(Measured(1.0, 0.0, 100), 10) == 1


def test_a_group_that_is_more_alike_than_all_others_has_the_least_p() -> None:
    world = world_of(5)
    campaign = world.workers(30, world.list_of(), 60)
    evidence = world.evidence()
    found = evidence.measure(learn_once(evidence.touches, flags(campaign, PEOPLE + 30)), np.array(campaign))
    judged = judge(evidence, list(range(PEOPLE)))
    assert judged.p_value(found, 30) == 1 / (COMPARISONS + 1) <= MAX_P
    assert judged.p_value(Measured(-9.0, 0.0, 100), 30) == 1
    assert judged.p_value(found, 28) == judged.p_value(found, 30)


def test_among_groups_of_the_same_kind_it_is_nothing_special() -> None:
    world = world_of(6)
    groups = [world.workers(10, world.list_of(), 60) for _ in range(6)]
    evidence = world.evidence()
    found = evidence.measure(learn_once(evidence.touches, flags(groups[0], PEOPLE + 60)), np.array(groups[0]))
    others = [unit for unit in range(PEOPLE + 60) if unit not in groups[0]]
    assert judge(evidence, others).p_value(found, 10) > MAX_P


def test_rows_of_what_is_compared_have_length_one_and_rare_cells_weigh_more() -> None:
    evidence = world_of(7).evidence()
    scaled = evidence.scaled()
    assert np.allclose(np.sqrt(scaled.multiply(scaled).sum(axis=1)), 1)


def test_likeness_of_subjects_looks_at_all_they_ask() -> None:
    world = world_of(8)
    campaign = world.workers(20, world.list_of(), 60)
    evidence = world.evidence()
    assert evidence.likeness_of_subjects(np.array(campaign)) == pytest.approx(1, abs=0.1)
    assert evidence.likeness_of_subjects(np.arange(20)) < 0.1


def test_an_organisation_that_deals_out_one_list_with_one_template_asks_alike() -> None:
    world = world_of(9)
    accounts = world.workers(5, world.list_of(), 60)
    world.template(accounts, 77)
    assert world.evidence().likeness_of_subjects(np.array(accounts)) > 0.62


@pytest.mark.parametrize("own", [False, True], ids=["one for all", "one for each"])
def test_templates_do_not_change_the_likeness_of_a_group(own: bool) -> None:
    world = world_of(10)
    campaign = world.workers(30, world.list_of(), 60)
    for number in range(30 if own else 1):
        world.template(campaign[number : number + 1] if own else campaign, 77 + number)
    assert measured(world, campaign).likeness == pytest.approx(1, abs=0.15)


def test_a_few_of_many_say_nothing_about_the_rest() -> None:
    """One comparison group of 1,640 units, of which four could be measured, had vetoed a campaign of 1,700."""
    world = world_of(11)
    few = world.workers(6, world.list_of(), 60)
    silent = world.workers(94, world.list_of(), 1)
    assert measured(world, few).likeness > 0.8
    assert measured(world, few + silent).likeness == 0


def test_three_texts_of_each_say_nothing() -> None:
    """Eleven strangers with 30 texts in common cells had a likeness of .90, and were told as a campaign."""
    world = world_of(12)
    assert measured(world, world.workers(30, world.list_of(), 3)).likeness == 0
    assert measured(world, world.workers(30, world.list_of(), 12)).likeness > 0.8


def test_of_a_very_large_group_a_part_of_the_texts_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_judge, "MOST_TEXTS", 100)
    world = world_of(13)
    found = measured(world, world.workers(40, world.list_of(), 30))
    assert found.texts == 100
    assert found.likeness > 0.7


def test_traffic_is_uniform_when_nothing_tells_who_asked() -> None:
    assert not world_of(12).evidence().uniform()
    same = World(13)
    same.workers(60, same.list_of(topics=1), 40)
    assert same.evidence().uniform()
