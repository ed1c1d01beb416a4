"""From real prompts in a log to the verdict: what must be found is found, and honest traffic raises nothing.

Seeds and harvest sets that no threshold was set on; `benchmarks/detection.py` runs more of them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from strongroom.detect.campaign import Result, find_campaigns
from strongroom.ingest import Settings, ingest
from strongroom.simulate import Campaign, Plan, shared_material, simulate, truth
from strongroom.store import Store

HONEST, CAMPAIGN = 500, 100
TEMPLATE = "Answer the request and show your full working first.\n-----\n{instruction}\n-----"


def search(shared: Path, folder: Path, seed: int, campaign: Campaign | None) -> tuple[Result, set[str]]:
    material = shared_material(shared, seed, accounts=HONEST, harvest="mixed")
    plan = Plan(seed=seed, honest_accounts=HONEST, campaign=campaign, days=10, mean_per_active_day=20)
    log = folder / "simulated.jsonl"
    encoder = msgspec.json.Encoder()
    with log.open("wb") as file:
        for exchange in simulate(plan, material):
            file.write(encoder.encode(exchange) + b"\n")
    store = Store(folder / "store")
    ingest([str(log)], store, Settings(bytes(32)))
    result = find_campaigns(store)
    assert result is not None
    return result, truth(plan, material).campaign_accounts


@pytest.mark.parametrize("seed", [901, 902])
def test_honest_traffic_with_all_look_alikes_raises_nothing(shared: Path, tmp_path: Path, seed: int) -> None:
    result, _ = search(shared, tmp_path, seed, None)
    assert [len(c.accounts) for c in result.campaigns] == []
    assert any("organisation" in group.relation for group in result.related)


@pytest.mark.parametrize(
    "campaign",
    [
        pytest.param(Campaign(accounts=CAMPAIGN, level="shared_addresses"), id="shared addresses"),
        pytest.param(Campaign(accounts=CAMPAIGN, template=TEMPLATE), id="separate addresses, one template"),
    ],
)
def test_a_campaign_is_found_with_purity_over_95(shared: Path, tmp_path: Path, campaign: Campaign) -> None:
    result, theirs = search(shared, tmp_path, 903, campaign)
    (found,) = result.campaigns
    own = set(found.accounts) & theirs
    assert len(own) / len(found.accounts) > 0.95
    assert len(own) / len(theirs) > 0.75, "accounts with too few prompts cannot be compared; most can"
    assert found.first_seen <= found.detected_at <= found.last_seen
    kind = "address" if campaign.level == "shared_addresses" else "template"
    assert kind in {evidence.kind for evidence in found.evidence}
