"""Does it find what it must, and nothing else? Simulated traffic from real prompts, whole path from log to verdict.

Honest people ask about installed documentation and sources, one subject each; typed prompts, learners and narrow
products are from `../shared/data`. Campaigns work through real harvest sets. The detector's thresholds were set on the
bundled grammar, seed 1. Seeds 100 to 202 of this benchmark then showed two mistakes: members who share texts with any
other member were dropped, and the tool set's preamble made prompts equal. The figures are of later seeds. Judged as an
analyst would: a reported campaign is true when most of its accounts are the campaign's.

    python benchmarks/detection.py [SEEDS] [ACCOUNTS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from report import record, table

from strongroom.detect.campaign import find_campaigns
from strongroom.ingest import Settings, ingest
from strongroom.simulate import Campaign, Plan, shared_material, simulate, truth
from strongroom.store import Store

SHARED = Path(os.environ.get("STRONGROOM_SHARED") or Path(__file__).parents[2] / "shared") / "data"
TEMPLATE = "Answer the request and show your full working first.\n-----\n{instruction}\n-----"
LEVELS = {
    "shared addresses": Campaign(level="shared_addresses"),
    "separate addresses, one template": Campaign(level="separate_addresses", template=TEMPLATE),
    "separate addresses, no template": Campaign(level="separate_addresses"),
}


HARVESTS = ("mixed", "code", "tools")


@dataclass(frozen=True)
class Outcome:
    """What became of one simulated fortnight."""

    exchanges: int
    accounts: int
    true: int
    """Reported campaigns of which most accounts are the simulated campaign's."""
    false: int
    found: int
    reported: int
    campaign: int
    taken: float
    """Share of the campaign's exchanges before `detected_at`; 1 when it was not found."""
    seconds: float


def run(seed: int, accounts: int, campaign: Campaign | None, harvest: str = "mixed") -> Outcome:
    """Simulates, ingests and searches one fortnight."""
    people = accounts + (campaign.accounts if campaign and campaign.cover else 0)
    material = shared_material(SHARED, seed, accounts=people, harvest=harvest)
    plan = Plan(seed=seed, honest_accounts=accounts, campaign=campaign)
    theirs = truth(plan, material).campaign_accounts
    encoder = msgspec.json.Encoder()
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as folder:
        log = Path(folder) / "simulated.jsonl"
        times = []
        with log.open("wb") as file:
            for exchange in simulate(plan, material):
                file.write(encoder.encode(exchange) + b"\n")
                if exchange["account"] in theirs:
                    times.append(exchange["time"])
        store = Store(Path(folder) / "store")
        started = time.perf_counter()
        ingest([str(log)], store, Settings(bytes(32)))
        result = find_campaigns(store)
        seconds = time.perf_counter() - started
    assert result is not None
    hits = [(set(c.accounts) & theirs, c) for c in result.campaigns]
    true = [(own, c) for own, c in hits if 2 * len(own) > len(c.accounts)]
    first = min((c.detected_at for _, c in true), default="9")
    return Outcome(
        exchanges=result.exchanges,
        accounts=result.accounts,
        true=len(true),
        false=len(hits) - len(true),
        found=len(set().union(*(own for own, _ in true))),
        reported=len(set().union(*(set(c.accounts) for _, c in true))),
        campaign=len(theirs),
        taken=sum(moment < first for moment in times) / max(len(times), 1),
        seconds=seconds,
    )


def main(seeds: int, accounts: int) -> None:
    rows: list[list[object]] = []
    false = 0
    for seed in range(300, 300 + seeds):
        outcome = run(seed, accounts, None)
        false += outcome.false
        print(seed, "honest", outcome, flush=True)
    rows.append(["honest, no campaign", seeds, f"{false} false campaigns", "", "", ""])
    for level, campaign in LEVELS.items():
        count = max(seeds // 3, 3)
        outcomes = [run(400 + i, accounts, campaign, HARVESTS[i % len(HARVESTS)]) for i in range(count)]
        for outcome in outcomes:
            print(level, outcome, flush=True)
        found, reported = sum(o.found for o in outcomes), sum(o.reported for o in outcomes)
        rows.append(
            [
                level,
                len(outcomes),
                f"{sum(o.false for o in outcomes)} false campaigns",
                f"{found / sum(o.campaign for o in outcomes):.3f}",
                f"{found / reported:.3f}" if reported else "none reported",
                f"{sum(o.taken for o in outcomes) / len(outcomes):.0%}",
            ]
        )
    header = ["traffic", "seeds", "false", "account TPR", "purity", "share taken before detected_at"]
    text = table(header, rows) + f"\n\n{accounts:,} honest accounts a seed, a campaign of 200, a fortnight."
    record("detection", text)


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(*(words + [10, 1500][len(words) :]))
