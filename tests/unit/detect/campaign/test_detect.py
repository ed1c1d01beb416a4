"""A campaign is found when accounts are tied and ask alike; each honest reason for one of the two is let pass."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.campaign._detect import Snapshot, detect, first_seen_at

from .worlds import World


def look(world: World, accounts: list[int] | None = None) -> Snapshot:
    features = world.features(accounts)
    return detect(features, world.slices)


def with_campaign(seed: int, size: int = 30) -> tuple[World, list[int]]:
    world = World(seed=seed)
    world.strangers(150)
    matter = world.subject_matter()
    return world, [world.add(40, matter) for _ in range(size)]


def test_tied_by_addresses_and_alike_is_a_campaign() -> None:
    world, campaign = with_campaign(1)
    for pool in range(5):
        world.fact("client_address", campaign[pool * 6 : pool * 6 + 6], f"203.0.113.{pool}")
    snapshot = look(world)
    assert len(snapshot.campaigns) == 1
    assert snapshot.campaigns[0].members.tolist() == campaign
    assert snapshot.campaigns[0].tied == {"address": 1.0}


def test_tied_by_a_template_and_alike_is_a_campaign() -> None:
    world, campaign = with_campaign(2)
    world.template(campaign, 77)
    snapshot = look(world)
    assert [c.members.tolist() for c in snapshot.campaigns] == [campaign]


def test_alike_alone_is_not_reported() -> None:
    world, _ = with_campaign(3)
    assert look(world).campaigns == []


def test_tied_alone_is_not_reported() -> None:
    world = World(seed=4)
    users = world.strangers(150)
    world.template(users[:40], 77)
    world.fact("client_address", users[40:80], "198.51.100.1")
    world.fact("payment_digest", users[80:90], "p")
    assert look(world).campaigns == []


def test_a_bystander_at_the_same_address_is_left_out() -> None:
    world, campaign = with_campaign(5)
    world.fact("client_address", [*campaign, 0, 1, 2], "203.0.113.1")
    (found,) = look(world).campaigns
    assert found.members.tolist() == campaign


def test_members_without_the_first_tie_join_by_another() -> None:
    world, campaign = with_campaign(6)
    world.fact("client_address", campaign[:20], "203.0.113.1")
    world.fact("payment_digest", campaign[15:], "card")
    (found,) = look(world).campaigns
    assert found.members.tolist() == campaign


@pytest.mark.parametrize("kind", ["organization", "email_domain"])
def test_who_openly_belongs_together_is_related_and_no_alert(kind: str) -> None:
    world, seats = with_campaign(7)
    world.template(seats, 77)
    world.fact(kind, seats, "example.edu")
    snapshot = look(world)
    assert snapshot.campaigns == []
    (group,) = snapshot.related
    assert group.members.tolist() == seats
    assert "example.edu" in group.relation


def test_a_mail_providers_domain_relates_nobody() -> None:
    world, campaign = with_campaign(8)
    world.template(campaign, 77)
    world.fact("email_domain", [*campaign, *range(20)], "gmail.com")
    assert len(look(world).campaigns) == 1


def test_end_users_of_one_account_are_no_campaign() -> None:
    world, users = with_campaign(9)
    world.template(users, 77)
    world.fact("client_address", users, "203.0.113.1")
    accounts = list(range(len(world.points)))
    for user in users:
        accounts[user] = users[0]
    assert look(world, accounts).campaigns == []


def test_those_who_only_repeat_each_others_texts_are_left_out() -> None:
    world, evaluators = with_campaign(10)
    world.template(evaluators, 77)
    world.shared += [(subject, text) for subject in evaluators for text in range(30)]
    assert look(world).campaigns == []


def test_a_campaign_is_dated_by_what_was_known_then() -> None:
    world, campaign = with_campaign(11)
    world.template(campaign, 77)
    features = world.features()
    (found,) = detect(features, world.slices).campaigns
    seen = first_seen_at(features, found)
    assert 1 <= seen < world.slices
    assert any(len(np.intersect1d(c.members, found.members)) > 15 for c in detect(features, seen).campaigns)


def test_equal_traffic_gives_an_equal_verdict() -> None:
    world, campaign = with_campaign(12)
    world.template(campaign, 77)
    one, two = look(world).campaigns[0], look(world).campaigns[0]
    assert (one.likeness, one.p_value, one.members.tolist()) == (two.likeness, two.p_value, two.members.tolist())


@pytest.mark.parametrize("size", [1, 2, 4])
def test_almost_nobody_is_no_error(size: int) -> None:
    world = World(seed=13)
    world.strangers(size)
    assert look(world).campaigns == []
