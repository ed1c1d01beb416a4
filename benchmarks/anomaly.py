"""Anomaly beside PyOD's ECOD and isolation forest: the same principals' days, the same scores of their facets.

    python benchmarks/anomaly.py [--record] [SEED…]

Each seed is one simulated organisation, a fortnight long: without an intruder, and once with each intrusion that
`strongroom.simulate` has. ECOD and the isolation forest see the whole fortnight at once, which ours does not; their
scores then go through our ranking against earlier days and our budget, as they have none. *found*: worlds in which a
day of the intruder is an alert, and *false* other alerts in all worlds of the row: at one false alert in 30 days, then
at three, which is what a hunt gives this detector. *rank*: the median, over worlds, of how many honest days score
higher than the intruder's highest. PyOD installs into an environment of its own (benchmarks/peers/). `--record` writes
the table to docs/benchmarks.md. Without seeds: ten that are used for nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from report import record, table

from strongroom import simulate
from strongroom.core.assets import Asset
from strongroom.detect.anomaly._alerts import alerts
from strongroom.detect.anomaly._calibrate import ranks
from strongroom.detect.anomaly._find import LEAST_PAST
from strongroom.detect.anomaly._read import DAY, Counts, read_counts
from strongroom.detect.anomaly._score import Scores, features, score
from strongroom.detect.assets import resolve
from strongroom.detect.campaign import AlertBudget, parse_budget
from strongroom.simulate import CloudPlan, CloudTruth
from strongroom.store import ACCESS_EVENTS, Store, microseconds

HERE = Path(__file__).parent
EVENTS_PER_DAY = 8_000
SEEDS = range(310, 320)
BUDGETS = (parse_budget("1/30d"), parse_budget("3/30d"))
INTRUSIONS = (
    "StolenKey", "InstanceCredentials", "SnapshotShared", "CheckpointCopied", "BucketOpened", "TrailStopped",
    "DecryptBurst", "UnreleasedReads", "Insider",
)  # fmt: skip
OURS, ECOD, FOREST = METHODS = ("ours", "ECOD (PyOD)", "isolation forest (PyOD)")


class World:
    """One organisation's fortnight: its days, which of them are the intruder's, and each method's scores."""

    def __init__(self, folder: Path, seed: int, intrusion: str) -> None:
        made = (getattr(simulate, intrusion)(),) if intrusion else ()
        plan = CloudPlan(seed=seed, intrusions=made, events_per_day=EVENTS_PER_DAY)
        truth = simulate.cloud_truth(plan)
        store = Store(folder)
        for columns in simulate.simulate_cloud_columns(plan):
            store.append_access_events([batch_of(columns)])
        events = resolve(store.access_events(), assets_of(truth))
        counts = read_counts(store, events)
        assert counts is not None
        self.scores: Scores = score(counts)
        self.table = features(counts)[1]
        self.theirs = intruders(store, counts, truth, self.scores)
        self.judged = self.scores.judged & (self.scores.units.past >= LEAST_PAST)

    def told(self, score: np.ndarray | None, budget: AlertBudget) -> tuple[bool, int, int]:
        """Of a method's scores (None: ours): whether the intruder is found, false alerts, and the intruder's rank."""
        units = self.scores.units
        p = self.scores.together.p if score is None else ranks(units, score, np.ones(len(units), bool)).p
        found = alerts(units, p, self.judged, budget)
        true = [bool(self.theirs[alert.units].any()) for alert in found]
        score = self.scores.total if score is None else score
        own = score[self.judged & self.theirs]
        honest = score[self.judged & ~self.theirs]
        return any(true), len(true) - sum(true), int((honest >= own.max()).sum()) if len(own) else -1


def batch_of(columns: dict[str, list[Any]]) -> pa.RecordBatch:
    """Simulated columns as rows of the store."""
    rows = len(columns["time"])
    found = []
    for field in ACCESS_EVENTS:
        values = columns.get(field.name) if field.name != "fields" else None
        if values is None:
            found.append(pa.nulls(rows, field.type))
        elif field.name == "time":
            found.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            found.append(pa.array([None if value in ("", -1) else value for value in values], field.type))
    return pa.RecordBatch.from_arrays(found, schema=ACCESS_EVENTS)


def assets_of(truth: CloudTruth) -> list[Asset]:
    return [
        Asset(name=each.name, kind=each.kind, classification=each.classification, size=each.size,
              places=list(each.places))
        for each in truth.assets
    ]  # fmt: skip


def intruders(store: Store, counts: Counts, truth: CloudTruth, scores: Scores) -> np.ndarray:
    """Which units have an event of the intruder."""
    events = store.access_events()
    code = {name: number for number, name in enumerate(counts.principals)}
    found = np.zeros(len(scores.units), bool)
    for batch in store.batches(events.select("id", "principal", time=microseconds(events.time))):
        for row in batch.to_pylist():
            if row["id"].partition("/")[0] in truth.event_ids:
                day = row["time"] // DAY - int(counts.day.min())
                found[scores.units.of(np.array([code[row["principal"]]]), np.array([day]))] = True
    return found


def peers(folder: Path, worlds: list[World]) -> Iterator[dict[str, np.ndarray]]:
    """The scores of PyOD's methods for each world, from an environment of its own."""
    environment = folder / "pyod"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [environment / "bin" / "pip", "install", "-q", "--require-hashes", "-r", HERE / "peers" / "pyod.txt"]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    given = folder / "tables.npz"
    np.savez(given, *[world.table for world in worlds])
    run = [environment / "bin" / "python", HERE / "peers" / "pyod_run.py", given]
    for line in subprocess.check_output(run, text=True, stderr=subprocess.DEVNULL).splitlines():
        yield {name: np.round(values, 6) for name, values in json.loads(line).items()}


def main(seeds: list[int], write: bool) -> None:
    kinds = ["", *INTRUSIONS]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        worlds: list[World] = []
        for kind in kinds:
            for seed in seeds:
                worlds.append(World(folder / f"{kind}{seed}", seed, kind))
                print(f"{kind or 'honest'} {seed}", flush=True)
        told = []
        for world, theirs in zip(worlds, peers(folder, worlds), strict=True):
            scores = {OURS: None, ECOD: theirs["ecod"], FOREST: theirs["forest"]}
            told.append({method: [world.told(values, each) for each in BUDGETS] for method, values in scores.items()})
    rows: list[list[object]] = []
    for place, kind in enumerate(kinds):
        here = told[place * len(seeds) : (place + 1) * len(seeds)]
        row: list[object] = [kind or "nobody", len(here)]
        for method in METHODS:
            budgets = [[each[method][at] for each in here] for at in range(len(BUDGETS))]
            seen = [rank for _, _, rank in budgets[0] if rank >= 0]
            row.append(", ".join(str(sum(found for found, _, _ in each)) for each in budgets) if kind else "")
            row.append(", ".join(str(sum(false for _, false, _ in each)) for each in budgets))
            row.append(f"{np.median(seen):.0f}" if seen else "")
        rows.append(row)
    header = ["intruder", "worlds", *(f"{method}: {what}" for method in METHODS for what in ("found", "false", "rank"))]
    text = table(header, rows)
    if write:
        record("anomaly", text)
    else:
        print(text)


if __name__ == "__main__":
    chosen = [int(argument) for argument in sys.argv[1:] if argument != "--record"]
    main(chosen or [*SEEDS], not chosen or "--record" in sys.argv)
