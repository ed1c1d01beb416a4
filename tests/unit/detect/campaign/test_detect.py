"""A campaign is found by its common source; each honest reason to ask alike is let pass."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign._detect import (
    INTERCHANGEABLE,
    MAX_P,
    Group,
    Snapshot,
    detect,
)
from strongroom.detect.campaign._judge import MIN_OUTSIDE

from .worlds import SLICES, World, unit

PEOPLE, SIZE = 150, 30


def look(world: World) -> Snapshot:
    return detect(world.features(), SLICES)


def with_campaign(seed: int, *, texts: int = 60, cover: float = 0.0) -> tuple[World, list[int]]:
    world = World(seed)
    world.people(PEOPLE, texts)
    return world, world.workers(SIZE, world.list_of(), texts, cover)


def theirs(group: Group, campaign: list[int]) -> float:
    """The share of a found group that is the campaign's."""
    return len(np.intersect1d(group.members, campaign)) / len(group.members)


@pytest.mark.parametrize("seed", range(3))
def test_who_works_off_one_list_is_found_though_nothing_is_shared(seed: int) -> None:
    world, campaign = with_campaign(seed)
    (found,) = look(world).campaigns
    assert theirs(found, campaign) > 0.9
    assert len(found.members) > 0.9 * SIZE
    assert found.tied == {}
    assert found.score >= INTERCHANGEABLE
    assert found.p_value <= MAX_P


@pytest.mark.parametrize("seed", range(3))
def test_half_of_it_cover_does_not_hide_it(seed: int) -> None:
    world, campaign = with_campaign(seed, cover=0.5)
    (found,) = look(world).campaigns
    assert theirs(found, campaign) > 0.9
    assert len(found.members) > 0.6 * SIZE
    assert 0.2 <= np.median(found.source.share[found.units]) <= 0.7


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_world_raises_nothing(seed: int) -> None:
    world = World(seed)
    world.people(PEOPLE)
    world.people(20, matter=world.matter())
    world.people(6, matter=world.matter())
    assert look(world).campaigns == []


@pytest.mark.parametrize("seed", range(3))
def test_many_who_work_on_one_thing_each_in_their_own_way_are_no_campaign(seed: int) -> None:
    world = World(seed)
    world.people(PEOPLE, 60)
    topics = world.list_of()
    for _ in range(100):
        world.add(unit(world.about(topics, 60) + 0.11 * world.matter()))
    assert look(world).campaigns == []


def test_people_of_one_interest_who_share_things_are_no_campaign() -> None:
    world = World(4)
    world.people(PEOPLE)
    interested = world.people(20, matter=world.matter())
    world.fact("client_address", interested, "198.51.100.1")
    world.fact("payment_digest", interested[:10], "p")
    assert look(world).campaigns == []


def test_what_is_shared_is_told() -> None:
    world, campaign = with_campaign(5)
    for pool in range(5):
        world.fact("client_address", campaign[pool * 6 : pool * 6 + 6], f"203.0.113.{pool}")
    (found,) = look(world).campaigns
    assert found.tied["address"] == pytest.approx(1.0, abs=0.1)


def test_a_group_between_the_two_bars_is_reported_only_when_it_is_tied(monkeypatch: pytest.MonkeyPatch) -> None:
    world, campaign = with_campaign(6)
    monkeypatch.setattr("strongroom.detect.campaign._detect.INTERCHANGEABLE", 2.0)
    assert look(world).campaigns == []
    world.fact("payment_digest", campaign, "card")
    assert len(look(world).campaigns) == 1


def test_who_lacks_what_nearly_all_others_share_is_left_out() -> None:
    """They ask about the list's subject, but are not the list's accounts: learners of it."""
    world = World(6)
    world.people(PEOPLE)
    topics = world.list_of()
    campaign, others = world.workers(SIZE, topics, 60), world.workers(3, topics, 60)
    (found,) = look(world).campaigns
    assert np.isin(others, found.members).all()
    for pool in range(5):
        world.fact("client_address", campaign[pool * 6 : pool * 6 + 6], f"203.0.113.{pool}")
    (found,) = look(world).campaigns
    assert not np.isin(others, found.members).any()
    assert found.tied == {"address": 1.0}


def test_a_bystander_at_the_same_address_is_left_out() -> None:
    world, campaign = with_campaign(7)
    world.fact("client_address", [*campaign, 0, 1, 2], "203.0.113.1")
    (found,) = look(world).campaigns
    assert not {0, 1, 2} & set(found.members.tolist())


@pytest.mark.parametrize("kind", ["organization", "email_domain"])
def test_who_openly_belongs_together_is_no_alert(kind: str) -> None:
    world, seats = with_campaign(8)
    world.fact(kind, seats, "example.edu")
    snapshot = look(world)
    assert snapshot.campaigns == []
    (group,) = snapshot.related
    assert group.members.tolist() == seats
    assert "example.edu" in group.relation


def test_a_mail_providers_domain_relates_nobody() -> None:
    world, campaign = with_campaign(9)
    world.fact("email_domain", [*campaign, *range(20)], "gmail.com")
    snapshot = look(world)
    assert len(snapshot.campaigns) == 1
    assert snapshot.related == []


def test_most_end_users_of_one_account_are_related_and_no_alert() -> None:
    world, users = with_campaign(10)
    world.accounts = dict.fromkeys(users, users[0])
    snapshot = look(world)
    assert snapshot.campaigns == []
    (group,) = snapshot.related
    assert "end users" in group.relation


def test_a_minority_of_a_resellers_end_users_can_be_a_campaign() -> None:
    world, users = with_campaign(11)
    world.accounts = dict.fromkeys([*users, *range(60)], users[0])
    (found,) = look(world).campaigns
    assert theirs(found, users) > 0.9


def test_those_who_only_repeat_each_others_texts_are_left_out() -> None:
    world, evaluators = with_campaign(12)
    world.repeat(evaluators, 60)
    assert look(world).campaigns == []


def test_who_repeats_some_texts_in_pairs_is_left_out_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    world, campaign = with_campaign(13)
    monkeypatch.setattr("strongroom.detect.campaign._detect.REPEATS", 0.02)
    world.repeat(campaign[:2], 60)  # of two senders: such texts count, and are 1 / 29 of all others'
    (found,) = look(world).campaigns
    assert not set(campaign[:2]) & set(found.members.tolist())


def test_with_nobody_to_compare_with_nothing_is_reported() -> None:
    world = World(14)
    world.people(MIN_OUTSIDE - 1, 60)
    world.workers(8, world.list_of(), 60)
    snapshot = look(world)
    assert snapshot.outside < MIN_OUTSIDE
    assert snapshot.campaigns == []


@pytest.mark.parametrize("size", [0, 1, 2, 4])
def test_almost_nobody_is_no_error(size: int) -> None:
    world = World(15)
    world.people(size)
    if not size:
        world.add(world.own_work(1))
    snapshot = look(world)
    assert snapshot.campaigns == []
    assert snapshot.related == []


def test_nothing_before_the_first_text_is_no_error() -> None:
    world, _ = with_campaign(16)
    snapshot = detect(world.features(), 0)
    assert snapshot.campaigns == []


def test_equal_traffic_gives_an_equal_verdict() -> None:
    world, _ = with_campaign(17, cover=0.5)
    one, two = (look(world).campaigns[0] for _ in range(2))
    assert one.measured == two.measured
    assert one.p_value == two.p_value
    assert one.members.tolist() == two.members.tolist()


def test_two_campaigns_are_two() -> None:
    world, first = with_campaign(19)
    second = world.workers(SIZE, world.list_of(), 60)
    found = look(world).campaigns
    assert sorted(max(theirs(group, first), theirs(group, second)) > 0.9 for group in found) == [True, True]
    assert theirs(found[0], first) * theirs(found[1], first) == 0
