"""`strongroom demo`: simulated traffic, hunted like any other, with the verdict beside the truth."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from strongroom import __version__
from strongroom.core.clock import now
from strongroom.core.errors import StrongroomError

from ._hunt import check_outputs, publish
from ._options import Json
from ._output import watching

if TYPE_CHECKING:
    from strongroom.core.records import Verdict
    from strongroom.hunt.circumstances import Truth

__all__ = ["demo"]

CAMPAIGN_ACCOUNTS = 200
TEMPLATE = "Reason through the task step by step, then answer.\nTask: {instruction}\nAnswer:"
GOOD_SHARE, GOOD_PURITY = 0.8, 0.95
CLOUD_SEED = 13
"""Added to the seed: the first demo shows a world in which the stolen key is found (docs/benchmarks.md: how often)."""
CLOUD_EVENTS = 5_000
"""Access events a day."""
OTHER_ALERTS = 1
"""Alerts about somebody else than the intruder that a fortnight may have."""


def demo(
    report: Annotated[Path, typer.Option(metavar="FILE", help="Where the HTML report goes.")] = Path(
        "strongroom-report.html"
    ),
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the simulated log of exchanges here.")] = None,
    access_log: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the simulated CloudTrail here.")] = None,
    accounts: Annotated[int, typer.Option(metavar="N", min=100, max=20_000, help="Honest accounts.")] = 2_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another seed, another simulated fortnight.")] = 1,
    json: Json = False,
) -> None:
    """Hunt in a simulated fortnight of a model provider. Exit 0: the verdict matches the truth, 1: it does not.

    Honest accounts, groups that look alike for honest reasons, and a campaign of 200 accounts on separate
    addresses at about 26 requests a day; beside it the CloudTrail of the same fortnight, in which somebody uses an
    engineer's stolen key and takes a model. All of it is simulated; nothing is fetched.
    """
    check_outputs({"--report": report, "--log": log, "--access-log": access_log}, [])
    from strongroom.hunt import Hunt, open_findings, run_hunt
    from strongroom.hunt.circumstances import Truth
    from strongroom.ingest import Settings
    from strongroom.simulate import (
        Campaign,
        CloudPlan,
        Plan,
        StolenKey,
        bundled_material,
        cloud_truth,
        simulate,
        simulate_cloud_lines,
        truth,
    )
    from strongroom.store import Store

    encoder = msgspec.json.Encoder()
    with tempfile.TemporaryDirectory(prefix="strongroom-demo-") as folder, watching() as watcher:
        path = log or Path(folder) / "simulated.jsonl"
        watcher.step(f"simulating a fortnight of {accounts:,} honest accounts and a campaign of {CAMPAIGN_ACCOUNTS}")
        plan = Plan(
            seed=seed,
            honest_accounts=accounts,
            campaign=Campaign(accounts=CAMPAIGN_ACCOUNTS, level="separate_addresses", template=TEMPLATE),
        )
        material = bundled_material(seed, accounts=accounts)
        written = _write(path, map(encoder.encode, simulate(plan, material)), "exchanges")
        watcher.step("simulating the same fortnight of its cloud, and a stolen key")
        cloud = CloudPlan(seed=CLOUD_SEED + seed, events_per_day=CLOUD_EVENTS, intrusions=(StolenKey(),))
        access = access_log or Path(folder) / "cloudtrail.jsonl"
        events = _write(access, map(str.encode, simulate_cloud_lines(cloud)), "access events")
        watcher.step(f"simulated {written:,} exchanges and {events:,} access events; hunting")
        hunt = Hunt(
            words=[str(path), str(access)],
            assets=[asset.listed() for asset in cloud_truth(cloud).assets],
            store=Store(Path(folder) / "store"),
            # No random key as a site has: where the same is installed, a seed shows the same verdict.
            settings=Settings(sha256(f"strongroom demo {seed}".encode()).digest()),
            command="strongroom demo" + (f" --seed {seed}" if seed != 1 else ""),
            version=__version__,
            site="",
        )
        verdict, circumstances = run_hunt(hunt, now(), watcher)
    campaign = truth(plan, material).campaign_accounts
    intruders = cloud_truth(cloud).principals
    alerts = [set(finding.subjects) for finding in open_findings(verdict)]
    told = Truth(
        campaign_accounts=sorted(campaign),
        description=(
            f"Simulated: {accounts:,} honest accounts, and {len(campaign)} accounts that work through one instruction "
            "set with one template, about 26 requests on an active day, each on addresses of its own; and a cloud of "
            f"{len(cloud_truth(cloud).roles):,} honest principals, one of whose keys is used to take a model."
        ),
        found=len({name for c in verdict.campaigns for name in c.accounts} & campaign),
        reported=len({name for c in verdict.campaigns for name in c.accounts}),
        intruders=sorted(intruders),
        intruders_found=len(set().union(*alerts) & intruders),
        other_alerts=sum(not subjects & intruders for subjects in alerts),
    )
    publish(verdict, msgspec.structs.replace(circumstances, truth=told), json=json, report=report, csv=None)
    if not _matches(verdict, told):
        raise typer.Exit(1)


def _write(path: Path, lines: Iterable[bytes], what: str) -> int:
    count, told = 0, time.monotonic()
    try:
        with path.open("wb") as file:
            for count, line in enumerate(lines, 1):
                file.write(line.rstrip(b"\n") + b"\n")
                if not sys.stderr.isatty() and count % 10_000 == 0 and time.monotonic() - told > 10:
                    told = time.monotonic()
                    sys.stderr.write(f"simulated {count:,} {what}\n")
    except OSError as error:
        raise StrongroomError(f"the simulated log cannot be written: {error.strerror}", where=str(path)) from error
    return count


def _matches(verdict: Verdict, told: Truth) -> bool:
    enough = told.found >= GOOD_SHARE * len(told.campaign_accounts)
    campaign = bool(verdict.campaigns) and enough and told.found >= GOOD_PURITY * told.reported
    return campaign and told.intruders_found > 0 and told.other_alerts <= OTHER_ALERTS
