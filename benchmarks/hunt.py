"""How long a search takes over 0.1, 1 and 10 million stored exchanges of up to 20,000 accounts.

The rows are simulated in the form of the store (random subjects per account, a template campaign of 200
accounts), because making ten million texts would take longer than searching them. Each size is searched in a
process of its own, which reports its time and its peak memory; the bare limit is one scan of the columns that
the search needs. Then a watch goes on from there: cycles with as many new rows as a minute brings.

    python benchmarks/hunt.py [watch] [MILLIONS…]

With `watch` there is no search, only the watch.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from report import record, table

from strongroom.detect.campaign import Watch, find_campaigns
from strongroom.store import EXCHANGES, Store

START, DAYS = 1_793_491_200_000_000, 14
BATCH = 131_072
CYCLES = 12


def fill(store: Store, rows: int, accounts: int, seed: int = 1) -> None:
    """Writes `rows` exchanges of `accounts` accounts; accounts 0 to 199 share a template and a subject."""
    rng = np.random.default_rng(seed)
    subject_of = rng.normal(0, 1, (accounts, 256)).astype(np.float32)
    subject_of /= np.linalg.norm(subject_of, axis=1, keepdims=True)
    subject_of[:200] = subject_of[0]
    done = 0
    while done < rows:
        n = min(BATCH, rows - done)
        account = rng.integers(0, accounts, n)
        vectors = rng.normal(0, 1, (n, 256)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = 0.45 * subject_of[account] + 0.9 * vectors
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        embedding = np.clip(np.rint(vectors * 256), -127, 127).astype(np.int8)
        minhash = rng.integers(-(2**63), 2**63 - 1, (n, 8))
        head = rng.integers(-(2**63), 2**63 - 1, n)
        head[account < 200] = 12345
        store.append_exchanges([_batch(n, account, embedding, minhash, head, done, rows, rng)])
        done += n


def _batch(n, account, embedding, minhash, head, done, rows, rng) -> pa.RecordBatch:
    names = pa.array([f"acct_{i:05d}" for i in range(int(account.max()) + 1)])
    subject = names.take(pa.array(account))
    addresses = pa.array([f"198.51.{i // 250}.{i % 250}" for i in range(60_000)])
    times = START + (np.sort(rng.random(n)) + done / n) / (rows / n) * DAYS * 86_400_000_000
    digest = rng.integers(-(2**63), 2**63 - 1, n)
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * 8)
    places = pa.py_buffer(np.arange(n + 1, dtype=np.int32) * 256)
    columns = {
        "time": pa.array(times.astype(np.int64), pa.timestamp("us", "UTC")),
        "subject": subject,
        "account": subject,
        "client_address": addresses.take(pa.array((account * 3 + rng.integers(0, 3, n)) % 60_000)),
        "output_tokens": pa.array(rng.integers(10, 2000, n)),
        "turn": pa.array(np.ones(n, dtype=np.int64)),
        "text_digest": pa.array(digest),
        "head": pa.array(head),
        "tail": pa.array(rng.integers(-(2**63), 2**63 - 1, n)),
        "minhash": pa.ListArray.from_arrays(offsets, pa.array(minhash.ravel())),
        "embedding": pa.Array.from_buffers(pa.binary(), n, [None, places, pa.py_buffer(embedding)]),
        "words": pa.array(np.full(n, 40, dtype=np.int32)),
        "flags": pa.array(np.zeros(n, dtype=np.int32)),
        "source": pa.array(["simulated"]).take(pa.array(np.zeros(n, dtype=np.int32))),
        "position": pa.array(np.arange(done, done + n)),
        "line_key": pa.array(digest),
        "record_key": pa.array(digest),
    }
    arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in EXCHANGES]
    return pa.RecordBatch.from_arrays(
        [a.cast(f.type) for a, f in zip(arrays, EXCHANGES, strict=True)], schema=EXCHANGES
    )


def search(root: Path) -> None:
    """In a process of its own: one scan, then the search; prints JSON."""
    store = Store(root)
    started = time.perf_counter()
    exchanges = store.exchanges()
    for _ in store.batches(exchanges.select("subject", "time", "text_digest", "head", "tail", "minhash", "embedding")):
        pass
    scan = time.perf_counter() - started
    started = time.perf_counter()
    result = find_campaigns(store)
    seconds = time.perf_counter() - started
    assert result is not None
    found = len(result.campaigns[0].accounts) if result.campaigns else 0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(json.dumps({"scan": scan, "search": seconds, "found": found, "gib": memory}))


def watch(root: Path, accounts: int) -> None:
    """In a process of its own: a full cycle, then short ones, each with a minute's share of the rows; prints JSON."""
    store = Store(root)
    live = Watch(store)
    seconds = []
    for cycle in range(1 + CYCLES):
        started = time.perf_counter()
        live.cycle()
        seconds.append(time.perf_counter() - started)
        assert live.full == (cycle == 0)
        if not cycle:
            rows = live.new // (DAYS * 24 * 60)
        fill(store, rows, accounts, seed=100 + cycle)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(json.dumps({"rows": rows, "full": seconds[0], "cycles": seconds[1:], "turns": live.turns, "gib": memory}))


def measured(*words: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def sizes_of(millions: float) -> tuple[int, int]:
    count = int(millions * 1e6)
    return count, min(20_000, max(count // 100, 400))


def main(sizes: list[float], *, only_watch: bool = False) -> None:
    searches, cycles = [], []
    for millions in sizes:
        count, accounts = sizes_of(millions)
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as folder:
            fill(Store(Path(folder)), count, accounts)
            if not only_watch:
                searches.append(search_row(count, accounts, measured("--search", folder)))
            cycles.append(cycle_row(count, accounts, measured("--watch", folder, str(accounts))))
    if searches:
        header = ["exchanges", "accounts", "search, s", "one scan of its columns, s", "ratio", "peak memory, GiB"]
        record("hunt", table([*header, "campaign found"], searches))
    header = ["exchanges", "accounts", "new in a cycle", "full cycle, s", "cycle, median, s", "longest, s"]
    record("watch", table([*header, "cycles until all starts are tried", "peak memory, GiB"], cycles))


def search_row(count: int, accounts: int, got) -> list[str]:
    ratio = got["search"] / got["scan"]
    timed = [f"{got['search']:.1f}", f"{got['scan']:.1f}", f"{ratio:.1f}"]
    return [f"{count:,}", f"{accounts:,}", *timed, f"{got['gib']:.2f}", f"{got['found']} of 200"]


def cycle_row(count: int, accounts: int, got) -> list[str]:
    cycles = [f"{np.median(got['cycles']):.2f}", f"{max(got['cycles']):.2f}"]
    rest = [f"{got['turns']}", f"{got['gib']:.2f}"]
    return [f"{count:,}", f"{accounts:,}", f"{got['rows']:,}", f"{got['full']:.1f}", *cycles, *rest]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        search(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--watch"]:
        watch(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        words = [word for word in sys.argv[1:] if word != "watch"]
        main([float(word) for word in words] or [0.1, 1, 10], only_watch="watch" in sys.argv[1:])
