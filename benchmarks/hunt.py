"""How long a search takes over 0.1, 1 and 10 million stored exchanges of up to 20,000 accounts.

The rows are simulated in the form of the store, because making ten million texts would take longer than searching
them: each account has a subject in one of 500 fields, with three to five topics, and comes back to these; 200 more,
which share nothing but a list, ask about any of its 400 topics in 60 of the fields; and 200 with another list send
them in one template. Each size is searched without these, with the first of them and with both, each time in a process
of its own that reports its time and its peak memory; where nothing is found a search also finds out what would have
been. The bare limit is one scan of the columns that the search needs. Then a watch goes on from there: cycles with as
many new rows as a minute brings.

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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from report import record, table

from strongroom.detect.campaign import Watch, find_campaigns
from strongroom.store import EXCHANGES, Store

START, DAYS = 1_793_491_200_000_000, 14
BATCH = 131_072
CYCLES = 12
CAMPAIGN, TOPICS = 200, 400
FIELDS, OF_THE_LIST = 500, 60
ASKED = ("nobody", f"{CAMPAIGN} with a list", f"and {CAMPAIGN} with a list and a template")


@dataclass(frozen=True)
class Senders:
    """Accounts with consecutive numbers, and the topics that each asks about."""

    first: int
    topics: np.ndarray
    """(topics, 256), each of length 1."""
    own: np.ndarray
    """Numbers of each one's topics, (accounts, up to 5 or all)."""
    template: int | None = None
    """The first words of all that they send, as the store has them."""


def people(count: int) -> Senders:
    """Each with a subject of their own in one of many fields, and five topics of it, some of them the same."""
    rng = np.random.default_rng(1)
    subject = near(fields()[rng.integers(0, FIELDS, count)], directions(rng, count))
    topics = near(np.repeat(subject, 5, axis=0), directions(rng, 5 * count))
    own = np.arange(len(topics)).reshape(count, 5)
    own[:, 3:] -= rng.integers(0, 2, (count, 2)) * 3
    return Senders(0, topics, own)


def campaign(first: int, template: int | None = None) -> Senders:
    """Each with all topics of one list, which goes through some of these fields in a manner of its own."""
    rng = np.random.default_rng([2, first])
    topics = near(fields()[rng.integers(0, OF_THE_LIST, TOPICS)], directions(rng, TOPICS))
    topics = unit(topics + 0.5 * directions(rng, 1))
    return Senders(first, topics, np.broadcast_to(np.arange(TOPICS), (CAMPAIGN, TOPICS)), template)


def fields() -> np.ndarray:
    """(FIELDS, 256)."""
    return directions(np.random.default_rng(0), FIELDS)


def near(places: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Directions off these places."""
    return unit(0.6 * places + 0.8 * ways)


def directions(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 256), each of length 1."""
    return unit(rng.standard_normal((count, 256), dtype=np.float32))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(store: Store, rows: int, senders: Senders, seed: int = 3) -> None:
    """Writes `rows` exchanges about their topics, at times all over the fortnight."""
    rng = np.random.default_rng(seed)
    done = 0
    while done < rows:
        n = min(BATCH, rows - done)
        account = rng.integers(0, len(senders.own), n)
        topic = senders.own[account, rng.integers(0, senders.own.shape[1], n)]
        vectors = unit(0.75 * senders.topics[topic] + 0.66 * directions(rng, n))
        embedding = np.clip(np.rint(vectors * 256), -127, 127).astype(np.int8)
        minhash = rng.integers(-(2**63), 2**63 - 1, (n, 8))
        head = rng.integers(-(2**63), 2**63 - 1, n) if senders.template is None else np.full(n, senders.template)
        store.append_exchanges([_batch(n, account + senders.first, embedding, minhash, head, done, rows, rng)])
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


def search(root: Path, accounts: int) -> None:
    """In a process of its own: one scan, then the search; prints JSON. The first `accounts` accounts are honest."""
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
    told = [int(name.removeprefix("acct_")) for one in result.campaigns for name in one.accounts]
    found = sum(number >= accounts for number in told)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(json.dumps({"scan": scan, "search": seconds, "found": found, "false": len(told) - found, "gib": memory}))


def watch(root: Path, accounts: int) -> None:
    """In a process of its own: a full cycle, then short ones, each with a minute's share of the rows; prints JSON."""
    store = Store(root)
    live, senders = Watch(store), people(accounts)
    seconds = []
    for cycle in range(1 + CYCLES):
        started = time.perf_counter()
        live.cycle()
        seconds.append(time.perf_counter() - started)
        assert live.full == (cycle == 0)
        if not cycle:
            rows = live.new // (DAYS * 24 * 60)
        fill(store, rows, senders, seed=100 + cycle)
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
            store = Store(Path(folder))
            for already, senders in enumerate((people(accounts), campaign(accounts), campaign(accounts + CAMPAIGN, 1))):
                fill(store, len(senders.own) * (count // accounts), senders, seed=3 + already)
                if not only_watch:
                    got = measured("--search", folder, str(accounts))
                    searches.append(search_row(count, accounts, ASKED[already], got))
            cycles.append(cycle_row(count, accounts, measured("--watch", folder, str(accounts))))
    if searches:
        header = ["exchanges", "accounts", "beside honest accounts", "search, s", "one scan of its columns, s", "ratio"]
        record("hunt", table([*header, "peak memory, GiB", "campaign accounts found", "honest ones told"], searches))
    header = ["exchanges", "accounts", "new in a cycle", "full cycle, s", "cycle, median, s", "longest, s"]
    record("watch", table([*header, "cycles until all starts are tried", "peak memory, GiB"], cycles))


def search_row(count: int, accounts: int, beside: str, got) -> list[str]:
    timed = [f"{got['search']:.1f}", f"{got['scan']:.1f}", f"{got['search'] / got['scan']:.1f}"]
    found = [str(number) for number in (got["found"], got["false"])]
    return [f"{count:,}", f"{accounts:,}", beside, *timed, f"{got['gib']:.2f}", *found]


def cycle_row(count: int, accounts: int, got) -> list[str]:
    cycles = [f"{np.median(got['cycles']):.2f}", f"{max(got['cycles']):.2f}"]
    rest = [f"{got['turns']}", f"{got['gib']:.2f}"]
    return [f"{count:,}", f"{accounts:,}", f"{got['rows']:,}", f"{got['full']:.1f}", *cycles, *rest]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        search(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["--watch"]:
        watch(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        words = [word for word in sys.argv[1:] if word != "watch"]
        main([float(word) for word in words] or [0.1, 1, 10], only_watch="watch" in sys.argv[1:])
