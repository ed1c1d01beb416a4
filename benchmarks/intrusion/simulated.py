"""Honest fortnights of a simulated organisation, and some with one intrusion, on seeds used for nothing else."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from report import record, table

from strongroom.core.records import Finding, Verdict
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


def hunted(plan: CloudPlan) -> tuple[Verdict, CloudTruth, float]:
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
        )
        verdict, _ = run_hunt(hunt, NOW, Watcher())
        return verdict, truth, time.monotonic() - started


def alerts_of(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.severity in ("high", "critical")]


def honest(count: int) -> str:
    rows: list[list[object]] = []
    for seed in range(HONEST, HONEST + count):
        verdict, _, seconds = hunted(CloudPlan(seed=seed, events_per_day=EVENTS_PER_DAY))
        alerts = alerts_of(verdict)
        told = "; ".join(finding.summary[:160] for finding in alerts) or "none"
        weak = len(verdict.findings) - len(alerts)
        rows.append([seed, verdict.access_events, verdict.principals, len(alerts), weak, f"{seconds:.0f}", told])
        print(rows[-1], flush=True)
    mean = sum(int(str(row[3])) for row in rows) / max(len(rows), 1)
    heads = ["seed", "events", "principals", "alerts", "weak", "seconds", "alerts are about"]
    return f"{table(heads, rows)}\n\nAlerts in an honest fortnight: {mean:.2f} on average (aim: at most 1)."


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
