"""What many have in common is taken off a text's embedding, and so is a template of one's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strongroom.detect.campaign._sample import Sample
from strongroom.detect.campaign._vectors import OWN_TEXTS, STRIP_SUBJECTS, Vectors

from .worlds import World, unit


def left(sample: Sample, subjects: int) -> np.ndarray:
    return Vectors(sample, subjects).of(np.arange(len(sample)))


def world_of(people: int = 60) -> tuple[World, list[int]]:
    world = World(1)
    return world, world.people(people)


def kinship(sample: Sample, vectors: np.ndarray, subjects: list[int]) -> float:
    """Mean product of texts of different subjects."""
    means = np.array([vectors[sample.subject == subject].mean(axis=0) for subject in subjects])
    products = means @ means.T
    return float(products[~np.eye(len(subjects), dtype=bool)].mean())


def test_vectors_have_length_one_and_the_average_subject_is_nowhere() -> None:
    world, people = world_of()
    for each in world.texts:
        each.points = unit(each.points + 0.7 * unit(np.ones(256)))
    sample = world.sample()
    vectors = left(sample, len(people))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    raw = Vectors(sample, len(people)).raw(np.arange(len(sample)))
    assert kinship(sample, raw, people) > 0.2
    assert abs(kinship(sample, vectors, people)) < 0.02


def test_a_common_opening_makes_strangers_no_kin() -> None:
    world, people = world_of()
    users = people[:20]
    world.template(users, 77)
    sample = world.sample()
    stripped = kinship(sample, left(sample, 60), users)
    unknown = replace(sample, head=np.arange(len(sample)))
    assert kinship(sample, left(unknown, 60), users) > 0.15
    assert abs(stripped) < 0.02


def test_the_end_of_a_text_counts_as_its_beginning_does() -> None:
    world, people = world_of()
    world.template(people[:20], 77)
    sample = world.sample()
    turned = replace(sample, head=sample.tail, tail=sample.head)
    assert np.allclose(left(sample, 60), left(turned, 60), atol=1e-5)


def test_a_template_of_ones_own_does_not_hold_its_texts_together() -> None:
    world, people = world_of()
    world.template(people[:1], 77)
    sample = world.sample()
    vectors = Vectors(sample, 60)
    own = sample.subject == 0
    assert vectors.templated.tolist() == own.tolist()
    products = vectors.of(np.flatnonzero(own)) @ vectors.of(np.flatnonzero(own)).T
    assert abs(products[~np.eye(len(products), dtype=bool)].mean()) < 0.1


def test_others_are_not_moved_by_somebodys_template() -> None:
    world, _ = world_of()
    before = world.sample()
    world.texts[0].head[:] = 77
    after = world.sample()
    others = np.flatnonzero(before.subject != 0)
    assert np.allclose(Vectors(before, 60).of(others), Vectors(after, 60).of(others), atol=1e-6)


@pytest.mark.parametrize("rare", ["few subjects", "few texts"])
def test_a_passage_that_is_rare_stays(rare: str) -> None:
    world, _ = world_of()
    before = left(world.sample(), 60)
    if rare == "few subjects":
        for subject in range(STRIP_SUBJECTS - 1):
            world.texts[subject].head[: OWN_TEXTS - 1] = 77
    else:
        for subject in range(STRIP_SUBJECTS):
            world.texts[subject].head[:2] = 77
    assert np.allclose(left(world.sample(), 60), before, atol=1e-6)


@pytest.mark.parametrize("texts", [0, 1, 2])
def test_hardly_any_text_is_no_error(texts: int) -> None:
    world = World(2)
    world.add(world.own_work(texts))
    vectors = Vectors(world.sample(), 1)
    assert len(vectors) == texts
    assert vectors.of(np.arange(texts)).shape == (texts, 256)
    assert vectors.templated.shape == (texts,)
    assert np.isfinite(vectors.of(np.arange(texts))).all()
