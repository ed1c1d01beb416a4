"""Texts about one thing fall into one cell mostly, and every text has one."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign._cells import MAX_CELLS, MIN_CELLS, TEXTS_PER_CELL
from strongroom.detect.campaign._vectors import Vectors

from .worlds import World, quantise


def cells_of(world: World, seed: int = 0) -> tuple[np.ndarray, int]:
    sample = world.sample()
    return quantise(sample, Vectors(sample, len(world.texts)), np.random.default_rng(seed))


def test_every_text_has_a_cell_and_the_same_one_again() -> None:
    world = World(1)
    world.people(200)
    cell, count = cells_of(world)
    assert len(cell) == 200 * 40
    assert cell.min() >= 0
    assert cell.max() < count == 200 * 40 // TEXTS_PER_CELL
    again, _ = cells_of(world)
    assert cell.tolist() == again.tolist()


def test_texts_of_one_topic_fall_together() -> None:
    world = World(2)
    topics = world.topics(70, world.matter(), lean=0.0)
    for number in range(100):
        world.add(world.about(topics[number % 70 : number % 70 + 1], 60))
    cell, count = cells_of(world)
    subject = world.sample().subject
    same = np.array([np.bincount(cell[subject == s], minlength=count).max() / 60 for s in range(100)])
    assert np.median(same) > 0.6


def test_who_sends_most_does_not_decide_what_the_cells_are() -> None:
    world = World(3)
    world.people(100)
    heavy = world.add(world.about(world.topics(200, world.matter()), 4_000))
    cell, _ = cells_of(world)
    subject = world.sample().subject
    assert len(np.unique(cell[subject != heavy])) > 0.5 * len(np.unique(cell))


@pytest.mark.parametrize("texts", [0, 1, 3, MIN_CELLS + 1])
def test_small_and_empty_samples_are_no_error(texts: int) -> None:
    world = World(4)
    world.add(world.own_work(texts))
    cell, count = cells_of(world)
    assert len(cell) == texts
    assert 1 <= count <= MAX_CELLS
    assert not texts or cell.max() < count


def test_equal_texts_share_a_cell() -> None:
    world = World(5)
    world.people(50)
    world.repeat([0, 1, 2], 10)
    cell, _ = cells_of(world)
    sample = world.sample()
    _, number, count = np.unique(sample.digest, return_inverse=True, return_counts=True)
    for digest in np.flatnonzero(count == 3):
        assert len(set(cell[number == digest].tolist())) == 1
