"""From real prompts in a log to the verdict: what must be found is found, and honest traffic raises nothing.

Seeds of the world in which no threshold was set, and which the benchmark does not use; `benchmarks/campaigns` runs more.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec
import pytest

from strongroom.detect.campaign import Found, Result, find_campaigns
from strongroom.ingest import Settings, ingest
from strongroom.simulate import JUDGE, Campaign, Material, Plan, streams, truth_of, world_material
from strongroom.store import Store

SEEDS = (901, 902)
HONEST, CAMPAIGN = 450, 60
TEMPLATE = "Answer the request and show your full working first.\n-----\n{instruction}\n-----"
material = cache(world_material)


def plan(seed: int, campaign: Campaign | None = None) -> Plan:
    return Plan(seed=2 * seed + JUDGE.half, honest_accounts=HONEST, campaign=campaign)


def stored(folder: Path, made: Iterable) -> Store:
    """A store in `folder` with the exchanges of some streams, added to what is there."""
    log = folder / f"{len(list(folder.iterdir()))}.jsonl"
    encoder = msgspec.json.Encoder()
    with log.open("wb") as file:
        file.writelines(encoder.encode(r) + b"\n" for stream in made for _, _, r in stream.records(answers=False))
    store = Store(folder / "store")
    ingest([str(log)], store, Settings(bytes(32)))
    return store


@pytest.fixture(scope="module")
def honest(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A folder with a store of honest traffic for each seed."""
    folders = {}
    for seed in SEEDS:
        folders[seed] = tmp_path_factory.mktemp(f"honest{seed}")
        stored(folders[seed], streams(plan(seed), source(shared, seed)))
    return folders


def source(shared: Path, seed: int) -> Material:
    return material(shared, JUDGE, seed)


def search(store: Store) -> Result:
    result = find_campaigns(store)
    assert result is not None
    return result


@pytest.mark.parametrize("seed", SEEDS)
def test_honest_traffic_with_all_look_alikes_raises_nothing(honest: dict[int, Path], seed: int) -> None:
    result = search(Store(honest[seed] / "store"))
    assert [campaign.accounts for campaign in result.campaigns] == []
    assert any("organisation" in group.relation for group in result.related)


CAMPAIGNS = {
    "nothing shared": Campaign(accounts=CAMPAIGN),
    "shared addresses": Campaign(accounts=CAMPAIGN, level="shared_addresses"),
    "half of it cover": Campaign(accounts=CAMPAIGN, cover=0.5),
    "one template": Campaign(accounts=CAMPAIGN, template=TEMPLATE),
}


@pytest.fixture(scope="module")
def verdict(shared: Path, honest: dict[int, Path], tmp_path_factory: pytest.TempPathFactory):
    """What is found of a campaign among honest traffic, and whose accounts these are."""

    @cache
    def of(name: str) -> tuple[list[Found], set[str]]:
        seed, folder = SEEDS[1], tmp_path_factory.mktemp("campaign")
        shutil.copytree(honest[seed] / "store", folder / "store")
        made = streams(plan(seed, CAMPAIGNS[name]), source(shared, seed))
        result = search(stored(folder, (stream for stream in made if stream.role == "campaign")))
        return result.campaigns, truth_of(made).campaign_accounts

    return of


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("nothing shared", 0.75),
        ("shared addresses", 0.75),
        ("half of it cover", 0.5),
        ("one template", 0.75),
    ],
)
def test_a_campaign_is_found_among_them(verdict, name: str, least: float) -> None:
    (found,), theirs = verdict(name)
    own = set(found.accounts) & theirs
    assert len(own) / len(found.accounts) > 0.8
    assert len(own) / len(theirs) > least
    assert found.first_seen <= found.detected_at <= found.last_seen
    kinds = {evidence.kind for evidence in found.evidence}
    assert kinds >= ({"distribution", "address"} if name == "shared addresses" else {"distribution"})
    assert all(evidence.examples for evidence in found.evidence if evidence.kind == "distribution")


@pytest.mark.parametrize("name", ["nothing shared", "shared addresses", "half of it cover"])
def test_nine_of_ten_that_are_found_are_its_own(verdict, name: str) -> None:
    found, theirs = verdict(name)
    accounts = {account for campaign in found for account in campaign.accounts}
    assert len(accounts & theirs) / len(accounts) > 0.9
