"""What would be found is measured by putting campaigns in, in memory, and by the same detection."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from strongroom.detect.campaign import _sensitivity
from strongroom.detect.campaign._detect import detect
from strongroom.detect.campaign._features import Features
from strongroom.detect.campaign._find import _would_be_found
from strongroom.detect.campaign._sensitivity import INTERRUPTED, SIZES, TOO_LITTLE, glance, measure_sensitivity

from .worlds import World

INTERESTS, EACH = 10, 30
PEOPLE = INTERESTS * EACH


@pytest.fixture(scope="module")
def honest() -> Features:
    """People of some interests; each asks about a few topics of theirs."""
    world = World(5)
    for _ in range(INTERESTS):
        topics = world.topics(40, world.matter(), lean=0.8)
        for _ in range(EACH):
            world.add(world.about(topics[world.rng.choice(40, 4, replace=False)], 60))
    return world.features()


def test_a_look_finds_the_large_ones_and_says_which(honest: Features) -> None:
    told = glance(honest)
    trials = told["trials"]
    assert told["measured"]
    assert {trial["trials"] for trial in trials} == {1}
    # At most a quarter as many as there are others.
    assert [trial["accounts"] for trial in trials] == [10, 20, 40, 10, 20, 40]
    most = trials[-1]
    assert (most["prompts_per_account"], most["found"]) == (40, 1)
    assert "`strongroom hunt --sensitivity`" in told["summary"]


def test_the_traffic_stays_as_it_was_and_the_same_is_told_again(honest: Features) -> None:
    before = msgspec.json.encode([honest.subjects, len(honest.sample), int(honest.sample.digest.sum())])
    assert glance(honest) == glance(honest)
    assert msgspec.json.encode([honest.subjects, len(honest.sample), int(honest.sample.digest.sum())]) == before
    assert detect(honest, len(honest.edges)).campaigns == []


def test_the_least_size_is_found_by_halves(honest: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(_self: object, sizes: list[int], prompts: int) -> list[bool]:
        return [size * prompts >= 1_600 for size in sizes]

    monkeypatch.setattr(_sensitivity._Maker, "search", search)
    steps: list[str] = []
    told = measure_sensitivity(honest, progress=steps.append)
    assert len(steps) >= len(told["trials"])
    assert "0 of 0 found, 20 to come" in steps[0]
    tried = [(each["prompts_per_account"], each["accounts"], each["found"]) for each in told["trials"]]
    assert tried == [(10, 40, 0), (10, 80, 0), (10, 160, 20), (40, 20, 0), (40, 40, 20)]
    assert "160 accounts with 10 opening prompts each (found in 20 of 20 trials)" in told["summary"]
    assert "40 accounts with 40 opening prompts each (found in 20 of 20 trials)" in told["summary"]


def test_what_is_not_found_is_told_too(honest: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sensitivity, "TRIALS", 1)
    monkeypatch.setattr(_sensitivity._Maker, "search", lambda _self, sizes, _prompts: [False for _ in sizes])
    told = measure_sensitivity(honest)
    assert "none of up to" in told["summary"]
    assert "with 10 opening prompts of each account none was found (tried: 10, 20 and 40)" in glance(honest)["summary"]


def test_of_very_much_traffic_a_part_of_the_accounts_is_used(honest: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sensitivity, "MOST_TEXTS", len(honest.sample) // 2)
    drawn = _sensitivity._drawn(honest, np.random.default_rng(0))
    assert "Measured in a part of the traffic" in glance(honest)["summary"]
    assert 0.3 < len(drawn.sample) / len(honest.sample) < 0.7
    whole = np.bincount(honest.sample.subject, minlength=PEOPLE)
    kept = np.bincount(drawn.sample.subject, minlength=PEOPLE)
    assert np.isin(kept, [0, *whole]).all()


@pytest.mark.parametrize("people", [1, 3])
def test_where_there_is_too_little_to_make_a_campaign_from_nothing_was_measured(people: int) -> None:
    world = World(1)
    world.people(people, 4)
    for told in (glance(world.features()), measure_sensitivity(world.features())):
        assert told == {"measured": False, "summary": TOO_LITTLE}


def test_a_made_campaign_shares_one_subject_and_nothing_else(honest: Features) -> None:
    maker = _sensitivity._Maker(honest, np.random.default_rng(3))
    features, (group,) = maker._put_in([SIZES[1]], 40)
    made = features.sample.take(np.isin(features.sample.subject, group))
    assert len(features.subjects) == PEOPLE + SIZES[1]
    assert np.bincount(made.subject)[group].tolist() == [40] * SIZES[1]
    assert not np.isin(made.digest, honest.sample.digest).any()
    assert len(np.unique(features.account)) == len(features.subjects)


def test_a_made_campaign_is_as_varied_whatever_its_size(honest: Features) -> None:
    maker = _sensitivity._Maker(honest, np.random.default_rng(3))
    chosen = {count: len(np.unique(maker._about_one_subject(count))) for count in (100, 200, 5_000)}
    assert chosen == {100: 100, 200: 200, 5_000: int(_sensitivity.BREADTH * 3 * PEOPLE)}


@pytest.mark.parametrize("thorough", [True, False])
def test_who_interrupts_the_measurement_has_the_verdict_all_the_same(
    honest: Features, monkeypatch: pytest.MonkeyPatch, thorough: bool
) -> None:
    def interrupted(_maker: object, _sizes: object, _prompts: int) -> list[bool]:
        raise KeyboardInterrupt

    monkeypatch.setattr(_sensitivity._Maker, "search", interrupted)
    told = _would_be_found(honest, 0.0, lambda _: None, thorough=thorough)
    assert told == {"measured": False, "summary": INTERRUPTED}


def test_templates_leave_nothing_to_make_a_campaign_from() -> None:
    world = World(2)
    for person in world.people(60, 40):
        world.template([person], 10_000 + person)
    assert glance(world.features()) == {"measured": False, "summary": TOO_LITTLE}
