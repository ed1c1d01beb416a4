"""Simulated traffic is exchange log v1, repeatable, in order, and shares nothing that it must not share."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from strongroom.ingest.readers import reader_named
from strongroom.simulate import Campaign, Plan, bundled_material, shared_material, simulate, truth
from strongroom.simulate._material import Material

PLAN = Plan(seed=5, honest_accounts=150, days=3, campaign=Campaign(accounts=30), mean_per_active_day=10)


@pytest.fixture(scope="module")
def material() -> Material:
    return bundled_material(5, accounts=150)


@pytest.fixture(scope="module")
def records(material: Material) -> list[dict]:
    return list(simulate(PLAN, material))


def test_every_record_is_an_exchange_of_the_exchange_log(records: list[dict]) -> None:
    reader = reader_named("exchange-log")
    for record in records:
        (exchange,) = reader.read(json.dumps(record).encode())
        assert exchange.text == record["messages"][-1]["content"]


def test_the_same_plan_gives_the_same_records(records: list[dict], material: Material) -> None:
    assert list(simulate(PLAN, material))[:500] == records[:500]


def test_records_are_in_time_order_within_the_window(records: list[dict]) -> None:
    times = [record["time"] for record in records]
    assert times == sorted(times)
    assert times[0] >= "2026-11-01"
    assert times[-1] < "2026-11-04"
    assert len({record["id"] for record in records}) == len(records)


def test_truth_names_every_subject(records: list[dict], material: Material) -> None:
    told = truth(PLAN, material)
    seen = {r["account"] + ("/" + r["end_user"] if "end_user" in r else "") for r in records}
    assert seen == set(told.roles)
    assert len(told.campaign_accounts) == 30
    assert {
        "individual",
        "class",
        "class with free mail",
        "company",
        "evaluation",
        "reseller",
        "learner",
        "tutor",
    } <= set(told.groups)


def test_separate_addresses_share_no_address_and_no_payment(material: Material, records: list[dict]) -> None:
    own = truth(PLAN, material).campaign_accounts
    for key in ("client_address", "payment"):
        users: dict[str, set[str]] = {}
        for record in records:
            if record["account"] in own:
                value = record["signup"]["payment_digest"] if key == "payment" else record[key]
                users.setdefault(value, set()).add(record["account"])
        assert max(len(accounts) for accounts in users.values()) == 1


def test_shared_addresses_share_pools(material: Material) -> None:
    plan = Plan(
        seed=5,
        honest_accounts=150,
        days=3,
        campaign=Campaign(accounts=60, level="shared_addresses"),
        mean_per_active_day=10,
    )
    own = truth(plan, material).campaign_accounts
    users: dict[str, set[str]] = {}
    for record in simulate(plan, material):
        if record["account"] in own:
            users.setdefault(record["client_address"], set()).add(record["account"])
    assert 5 < sum(map(len, users.values())) / len(users) < 40


def test_one_key_is_one_account(material: Material) -> None:
    plan = Plan(
        seed=5, honest_accounts=150, days=2, campaign=Campaign(accounts=20, level="one_key"), mean_per_active_day=5
    )
    assert len(truth(plan, material).campaign_accounts) == 1


def test_a_campaigns_items_come_once_until_all_came_once(material: Material, records: list[dict]) -> None:
    own = truth(PLAN, material).campaign_accounts
    openings = [
        (record["account"], record["messages"][-1]["content"])
        for record in records
        if record["account"] in own and sum(m["role"] == "user" for m in record["messages"]) == 1
    ]
    senders = Counter(text for _, text in set(openings))
    assert sum(n > 1 for n in senders.values()) < 0.01 * len(senders)


def test_follow_ups_resend_the_conversation(records: list[dict]) -> None:
    longer = [r for r in records if sum(m["role"] == "user" for m in r["messages"]) > 1]
    assert 0.1 < len(longer) / len(records) < 0.8
    assert all(r["messages"][-1]["role"] == "user" for r in longer)


def test_other_seeds_are_other_people(material: Material, records: list[dict]) -> None:
    other = bundled_material(6, accounts=150)
    names = {domain.name for domain in material.honest}
    assert len(names & {domain.name for domain in other.honest}) < 0.9 * len(names)
    assert len({domain.name for domain in material.honest}) == len(material.honest)


def test_too_little_material_is_said(material: Material) -> None:
    with pytest.raises(ValueError, match="fewer subjects"):
        list(simulate(Plan(seed=1, honest_accounts=2_000, days=1), material))


def test_real_material_is_read_from_the_shared_data(shared: Path) -> None:
    made = shared_material(shared, 3, accounts=40, harvest="code")
    assert len(made.harvest) > 2_000
    assert not set(made.harvest[:500]) & set(made.study)
    assert len(list(simulate(Plan(seed=3, honest_accounts=40, days=1, mean_per_active_day=3), made))) > 40
