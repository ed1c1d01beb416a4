"""What a search costs as traffic grows: three passes over the stored rows, on DuckDB and on Spark.

*Counts* groups exchanges by account and time slice. *Sums* adds up the embeddings of each account and slice where the
rows are (`Store.partitions`), so that 1 KB for each comes back. *Stream* brings every row to the process that asks.
Each engine runs in a process of its own; *start* is until it has answered a first, small query, and *memory* that
process's peak, without Spark's own. Needs the environment that `scripts/venv spark` makes.

    python benchmarks/scale.py [MILLIONS…]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from report import record, table

from strongroom.store import SparkSettings, Store, microseconds

ROOT = Path(__file__).parents[1]
MASTER = "local-cluster[2,1,1024]"
ACCOUNTS, SLICES = 5_000, 14
START = 1_793_491_200_000_000
WIDTH = 86_400_000_000
SUMS = pa.schema([("subject", pa.string()), ("slice", pa.int16()), ("rows", pa.int32()), ("sum", pa.binary())])


class Totals:
    """Sums of embeddings by account and slice, in one array that grows."""

    def __init__(self) -> None:
        self.place: dict[str, int] = {}
        self.sums = np.zeros((0, 256), dtype=np.float32)
        self.rows = np.zeros(0, dtype=np.int32)

    def add(self, batch: pa.RecordBatch) -> None:
        from scipy.sparse import csr_matrix

        encoded = batch["subject"].dictionary_encode()
        place = np.array([self.place.setdefault(name, len(self.place)) for name in encoded.dictionary.to_pylist()])
        at = np.clip((batch["time"].cast(pa.int64()).to_numpy() - START) // WIDTH, 0, SLICES - 1)
        cell, inverse, count = np.unique(
            place[encoded.indices.to_numpy()] * SLICES + at, return_inverse=True, return_counts=True
        )
        need = len(self.place) * SLICES
        if need > len(self.rows):
            self.sums = np.concatenate([self.sums, np.zeros((2 * need - len(self.sums), 256), np.float32)])
            self.rows = np.concatenate([self.rows, np.zeros(2 * need - len(self.rows), np.int32)])
        n = batch.num_rows
        vectors = np.frombuffer(b"".join(batch["embedding"].to_pylist()), np.int8).reshape(n, 256)
        ones = csr_matrix((np.ones(n, np.float32), (inverse, np.arange(n))), shape=(len(cell), n))
        self.sums[cell] += ones @ vectors.astype(np.float32)
        self.rows[cell] += count.astype(np.int32)

    def batches(self) -> Iterator[pa.RecordBatch]:
        names = list(self.place)
        filled = np.flatnonzero(self.rows)
        for begin in range(0, len(filled), 4096):
            cell = filled[begin : begin + 4096]
            columns = [
                pa.array([names[one // SLICES] for one in cell], pa.string()),
                pa.array(cell % SLICES, pa.int16()),
                pa.array(self.rows[cell]),
                pa.array([row.tobytes() for row in self.sums[cell]], pa.binary()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=SUMS)


def add_up(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What runs on the executors."""
    totals = Totals()
    for batch in batches:
        totals.add(batch)
    yield from totals.batches()


def counts(store: Store) -> float:
    """Seconds for the exchanges of each account and slice."""
    started = time.perf_counter()
    rows = store.exchanges()
    at = ((microseconds(rows.time) - START) // WIDTH).cast("int16")
    store.table(rows.group_by(subject=rows.subject, slice=at).aggregate(n=rows.count(), out=rows.output_tokens.sum()))
    return time.perf_counter() - started


def sums(store: Store) -> tuple[float, int, int]:
    """Seconds, sums and bytes for the embeddings of each account and slice."""
    started = time.perf_counter()
    chosen = store.exchanges().select("subject", "time", "embedding")
    cells = size = 0
    for batch in store.partitions(chosen, "subject", add_up, SUMS):
        cells, size = cells + batch.num_rows, size + batch.nbytes
    return time.perf_counter() - started, cells, size


def stream(store: Store) -> float:
    """Seconds until every row has come to the process that asks."""
    started = time.perf_counter()
    for _ in store.batches(store.exchanges().select("subject", "time", "text_digest", "minhash", "embedding")):
        pass
    return time.perf_counter() - started


def peak() -> float:
    """GiB that this process held at most; what getrusage says includes the process that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / (1 << 20)


def measure(engine: str, root: Path) -> None:
    """In a process of its own; prints JSON."""
    begun = time.perf_counter()
    store = Store(root, spark=SparkSettings(MASTER) if engine == "spark" else None)
    first = store.exchanges()
    list(store.partitions(first.select("subject", "time", "embedding").limit(1000), "subject", add_up, SUMS))
    ready = time.perf_counter() - begun
    counted = counts(store)
    summed, cells, size = sums(store)
    times = {"ready": ready, "counts": counted, "sums": summed, "stream": stream(store)}
    print(json.dumps({**times, "cells": cells, "size": size, "gib": peak()}))


def run(engine: str, root: Path) -> dict[str, float]:
    python = ROOT / ".venv-spark" / "bin" / "python"
    if not python.exists():
        sys.exit("run scripts/venv spark first")
    done = subprocess.run(
        [python, __file__, "--measure", engine, root],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(millions: float) -> tuple[list[object], float, float]:
    """A row of the table, bytes of a stored exchange, and bytes of a sum."""
    from hunt import fill

    count = int(millions * 1e6)
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as folder:
        store = Store(Path(folder))
        fill(store, count, ACCOUNTS)
        duckdb, spark = run("duckdb", Path(folder)), run("spark", Path(folder))
        stored = store.info()["exchanges"]["bytes"] / count
    assert duckdb["cells"] == spark["cells"]
    row: list[object] = [f"{count:,}", f"{duckdb['cells']:,.0f}"]
    for name in ("ready", "counts", "sums", "stream"):
        row += [f"{duckdb[name]:.1f}", f"{spark[name]:.1f}", f"{spark[name] / duckdb[name]:.1f}"]
    return [*row, f"{duckdb['gib']:.2f}", f"{spark['gib']:.2f}"], stored, duckdb["size"] / duckdb["cells"]


def main(sizes: list[float]) -> None:
    found = [compare(millions) for millions in sizes]
    header = ["exchanges", "sums"]
    for name in ("start", "counts", "sums", "stream"):
        header += [f"{name}: DuckDB, s", "Spark, s", "ratio"]
    header += ["memory: DuckDB, GiB", "Spark, GiB"]
    text = table(header, [row for row, _, _ in found])
    _, stored, size = found[-1]
    text += f"\n\n{ACCOUNTS:,} accounts, {SLICES} slices; Spark at `{MASTER}`, on the same cores. "
    record("scale", text + f"A stored exchange takes {stored:.0f} bytes, a sum {size:.0f}.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main([float(word) for word in sys.argv[1:]] or [0.25, 1, 4])
