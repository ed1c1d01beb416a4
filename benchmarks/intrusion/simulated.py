"""Honest fortnights of a simulated organisation, and some with one intrusion, on seeds used for nothing else."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from report import record, table

from strongroom.core.records import Finding, Verdict
from strongroom.detect.campaign import AlertBudget, parse_budget
from strongroom.hunt import Hunt, Watcher, run_hunt
from strongroom.ingest import Settings
from strongroom.simulate import (
    BucketOpened,
    CheckpointCopied,
    CloudPlan,
    CloudTruth,
    DecryptBurst,
    Insider,
    InstanceCredentials,
    SnapshotShared,
    StolenKey,
    TrailStopped,
    cloud_truth,
    simulate_cloud_lines,
)
from strongroom.store import Store

NOW = 1_800_000_000_000_000
HONEST, ATTACKED = 100, 200
"""First seeds."""
EVENTS_PER_DAY = 8_000
BUDGET = parse_budget("1/30d")
INTRUSIONS = (
    ("stolen key", StolenKey()),
    ("slow insider", Insider()),
    ("snapshot shared", SnapshotShared()),
    ("bucket opened", BucketOpened()),
    ("checkpoint copied", CheckpointCopied()),
    ("instance's credentials", InstanceCredentials()),
    ("burst of decryptions", DecryptBurst()),
    ("trail stopped", TrailStopped()),
)


def hunted(plan: CloudPlan, budget: AlertBudget | None = None) -> tuple[Verdict, CloudTruth, float]:
    """The verdict on a plan's log with its assets listed, the truth, and seconds of the hunt, reading included."""
    truth = cloud_truth(plan)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with path.open("wb") as file:
            for line in simulate_cloud_lines(plan):
                file.write(line.rstrip("\n").encode() + b"\n")
        started = time.monotonic()
        hunt = Hunt(
            words=[str(path)],
            store=Store(Path(folder) / "store"),
            settings=Settings(b"benchmark of intrusion"),
            command="",
            version="",
            site="",
            assets=[asset.listed() for asset in truth.assets],
            budget=budget,
        )
        verdict, _ = run_hunt(hunt, NOW, Watcher())
        return verdict, truth, time.monotonic() - started


def alerts_of(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.severity in ("high", "critical")]


def honest(count: int) -> str:
    rows: list[list[object]] = []
    for seed in range(HONEST, HONEST + count):
        plan = CloudPlan(seed=seed, events_per_day=EVENTS_PER_DAY)
        verdict, _, seconds = hunted(plan)
        alerts = alerts_of(verdict)
        stricter = alerts_of(hunted(plan, BUDGET)[0]) if alerts else []
        told = "; ".join(finding.summary[:160] for finding in alerts) or "none"
        weak = len(verdict.findings) - len(alerts)
        row = [
            seed,
            verdict.access_events,
            verdict.principals,
            len(alerts),
            len(stricter),
            weak,
            f"{seconds:.0f}",
            told,
        ]
        rows.append(row)
        print(rows[-1], flush=True)
    heads = [
        "seed",
        "events",
        "principals",
        "alerts",
        f"with a budget of {BUDGET}",
        "weak",
        "seconds",
        "alerts are about",
    ]
    counts = [int(str(row[3])) for row in rows]
    kept = sum(int(str(row[4])) for row in rows)
    said = (
        f"Alerts in an honest fortnight: {sum(counts) / len(counts):.2f} on average, {max(counts)} at most (aim: "
        f"one); more in {sum(n > 1 for n in counts)} of {len(counts)}. With a budget of {BUDGET}, of which half "
        f"is for access logs: {kept} in {14 * len(counts)} days, where {7 * len(counts) / BUDGET.days:.1f} are allowed."
    )
    return f"{table(heads, rows)}\n\n{said}"


def attacked(seeds: int) -> str:
    rows: list[list[object]] = []
    for place, (label, intrusion) in enumerate(INTRUSIONS):
        found = weak = whole = others = 0
        said: set[str] = set()
        for seed in range(ATTACKED + 10 * place, ATTACKED + 10 * place + seeds):
            verdict, truth, _ = hunted(CloudPlan(seed=seed, events_per_day=EVENTS_PER_DAY, intrusions=(intrusion,)))
            guilty = set(truth.principals)
            named = [one for one in alerts_of(verdict) if guilty & set(one.subjects)]
            found += bool(named)
            weak += not named and any(guilty & set(one.subjects) for one in verdict.findings)
            whole += any(guilty <= set(one.subjects) for one in named)
            others += len(alerts_of(verdict)) - len(named)
            said |= {technique for one in named for technique in one.techniques}
        rows.append([label, seeds, found, weak, whole, others, ", ".join(sorted(said)) or "none"])
        print(rows[-1], flush=True)
    heads = ["intrusion", "worlds", "alert", "weak only", "every principal in one story", "alerts about others"]
    return table([*heads, "techniques said"], rows)


def main(count: int, seeds: int) -> None:
    record("intrusion-simulated", f"{honest(count)}\n\n{attacked(seeds)}")
