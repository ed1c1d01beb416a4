"""Seconds and memory of every detector over millions of stored access events."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from report import record, table

from strongroom.detect.rules import curated_rules, load_rules
from strongroom.hunt._access import search_access
from strongroom.ingest import Settings, ingest
from strongroom.simulate import CloudPlan, StolenKey, cloud_truth, simulate_cloud_lines
from strongroom.store import ACCESS_EVENTS, Store

SHARED = Path(os.environ.get("STRONGROOM_SHARED", Path(__file__).parents[3] / "shared"))
PLAN = CloudPlan(seed=300, events_per_day=60_000, intrusions=(StolenKey(),))
RULES = 100


def fill(folder: Path, millions: float) -> int:
    """A store with simulated events, copied until there are enough, each copy a little later and with its own ids."""
    log = folder / "log.jsonl"
    with log.open("wb") as file:
        file.writelines(line.rstrip("\n").encode() + b"\n" for line in simulate_cloud_lines(PLAN))
    first = Store(folder / "first")
    ingest([str(log)], first, Settings(b"benchmark of intrusion"))
    log.unlink()
    store = Store(folder / "store")
    written, copy = 0, 0
    while written < millions * 1e6:
        for batch in first.batches(first.access_events()):
            rows = batch.cast(ACCESS_EVENTS) if batch.schema != ACCESS_EVENTS else batch
            moved = pa.array(rows["time"].cast(pa.int64()).to_numpy() + 1_000_003 * copy).cast(
                pa.timestamp("us", "UTC")
            )
            keys = pa.array(rows["record_key"].to_numpy() + np.int64(copy))
            rows = rows.set_column(rows.schema.get_field_index("time"), ACCESS_EVENTS.field("time"), moved)
            rows = rows.set_column(rows.schema.get_field_index("record_key"), ACCESS_EVENTS.field("record_key"), keys)
            store.append_access_events([rows])
            written += rows.num_rows
            if written >= millions * 1e6:
                break
        copy += 1
    return written


def search(folder: Path) -> None:
    """In a process of its own: prints seconds, peak memory and what was found."""
    store = Store(folder / "store")
    rules = curated_rules()
    public = load_rules([SHARED / "data" / "sigma" / "rules" / "cloud" / "aws"])
    rules = rules + type(rules)(public.rules[: RULES - len(rules.rules)])
    started = time.monotonic()
    steps: list[tuple[str, float]] = []
    found = search_access(
        store,
        [asset.listed() for asset in cloud_truth(PLAN).assets],
        rules,
        progress=lambda step: steps.append((step, time.monotonic() - started)),
    )
    seconds = time.monotonic() - started
    assert found is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    alerts = sum(story.alert for story in found.stories)
    print(json.dumps({"seconds": seconds, "GiB": peak, "rules": len(rules.rules), "alerts": alerts, "steps": steps}))


def scan(folder: Path) -> float:
    """The bare limit: one pass over the plain columns that every detector needs."""
    store = Store(folder / "store")
    events = store.access_events()
    started = time.monotonic()
    columns = ("principal", "credential", "client_address", "operation", "provider", "resource", "outcome")
    store.table(events.aggregate(**{name: events[name].nunique() for name in columns}, bytes=events.bytes.sum()))
    return time.monotonic() - started


def main(millions: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = fill(folder, millions)
        command = [sys.executable, __file__, "search", str(folder)]
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | paths)
        told = done.stdout.splitlines()[-1]
        result = json.loads(told)
        bare = scan(folder)
    steps = "; ".join(f"{step} from {at:.0f} s" for step, at in result["steps"])
    heads = ["events", "rules", "seconds", "peak GiB", "scan of plain columns, s", "ratio", "alerts"]
    row: list[object] = [
        f"{written:,}",
        result["rules"],
        f"{result['seconds']:.0f}",
        f"{result['GiB']:.1f}",
        f"{bare:.1f}",
    ]
    text = table(heads, [[*row, f"{result['seconds'] / bare:.1f}", result["alerts"]]])
    record("intrusion-speed", f"{text}\n\nAims: 120 s and 6 GiB for 10 million. Steps: {steps}.")


if __name__ == "__main__" and sys.argv[1:2] == ["search"]:
    search(Path(sys.argv[2]))
