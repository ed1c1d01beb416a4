"""Likeness is what its docstring says: unbiased, blind to a common template, 1 for one source, 0 for strangers."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign._distance import group_likeness, read_questions

from .worlds import World


def questions(world: World):
    return read_questions(world.features(), world.slices, np.random.default_rng(0))


def test_strangers_are_at_zero_and_one_source_at_one() -> None:
    world = World()
    strangers = world.strangers(60)
    matter = world.subject_matter()
    same = [world.add(40, matter) for _ in range(20)]
    asked = questions(world)
    pairs = asked.likeness(np.array(strangers[:30]), np.array(strangers[30:]))
    assert abs(np.median(pairs)) < 0.1
    value, error = group_likeness(asked, np.array(same))
    assert value == pytest.approx(1, abs=3 * error + 0.02)


@pytest.mark.parametrize("texts", [8, 20, 100])
def test_few_texts_add_noise_but_no_bias(texts: int) -> None:
    world = World(seed=texts)
    world.strangers(60)
    matter = world.subject_matter()
    same = np.array([world.add(texts, matter) for _ in range(150)])
    value, error = group_likeness(questions(world), same)
    assert value == pytest.approx(1, abs=4 * error)


def test_a_common_template_does_not_make_strangers_alike() -> None:
    world = World(seed=3)
    world.strangers(100)
    common = world.subject_matter()
    users = np.array([world.add(40, world.subject_matter(), common=common) for _ in range(40)])
    value, _ = group_likeness(questions(world), users)
    assert value < 0.4


def test_likeness_to_a_group_leaves_the_subject_itself_out() -> None:
    world = World(seed=4)
    strangers = world.strangers(40)
    matter = world.subject_matter()
    same = [world.add(40, matter) for _ in range(10)]
    asked = questions(world)
    group = np.array([*same, strangers[0]])
    near = asked.likeness_to_group(group, group)
    assert near[:-1].min() > 0.7
    assert near[-1] < 0.4  # being in the group must not make it like the group
    outside = asked.likeness_to_group(np.array([strangers[0]]), np.array(same))
    assert outside[0] == pytest.approx(near[-1], abs=0.05)


def test_pairwise_and_matrix_likeness_agree() -> None:
    world = World(seed=5)
    world.strangers(10)
    asked = questions(world)
    a, b = np.array([0, 1, 2]), np.array([3, 4, 5])
    assert asked.pair_likeness(a, b) == pytest.approx(np.diag(asked.likeness(a, b)), abs=1e-5)


def test_traffic_in_which_all_ask_the_same_is_called_uniform() -> None:
    world = World(seed=6)
    matter = world.subject_matter()
    for _ in range(50):
        world.add(40, matter)
    assert questions(world).uniform
    world.strangers(80)
    assert not questions(world).uniform


def test_a_subject_with_few_texts_is_not_compared() -> None:
    world = World(seed=7)
    few = world.add(7, world.subject_matter())
    world.strangers(5)
    asked = questions(world)
    assert not asked.able[few]
    assert asked.able.sum() == 5
