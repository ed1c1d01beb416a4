"""pymerkle's figures, run by its own environment: JSON on stdout. Called by benchmarks/ledger.py."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pymerkle import InmemoryTree, SqliteTree, verify_inclusion

PROOFS = 200


def measure(tree: Any, entries: list[bytes], *, many: bool) -> dict[str, float]:
    """Entries a second, and seconds of a proof and of its verification (median)."""
    began = time.perf_counter()
    if many:
        tree.append_entries(entries)
    else:
        for entry in entries:
            tree.append_entry(entry)
    appended = time.perf_counter() - began
    size = tree.get_size()
    root = tree.get_root(size)
    made, checked = [], []
    for number in range(PROOFS):
        index = 1 + number * 7919 % size
        began = time.perf_counter()
        proof = tree.prove_inclusion(index, size)
        made.append(time.perf_counter() - began)
        leaf = tree.get_leaf(index)
        began = time.perf_counter()
        verify_inclusion(leaf, root, proof)
        checked.append(time.perf_counter() - began)
    return {
        "per_second": len(entries) / appended,
        "proof": statistics.median(made),
        "check": statistics.median(checked),
    }


def main(count: int, single: int) -> None:
    """`count` entries in one call, and `single` one by one into SQLite, whose every append is a transaction."""
    entries = [f'{{"body":{{"n":{i:08d},"pad":"{"x" * 330}"}}}}'.encode() for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "memory": measure(InmemoryTree(algorithm="sha256"), entries, many=True),
            "sqlite": measure(SqliteTree(str(Path(folder) / "many.db"), algorithm="sha256"), entries, many=True),
            "sqlite, one by one": measure(
                SqliteTree(str(Path(folder) / "one.db"), algorithm="sha256"), entries[:single], many=False
            ),
        }
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
