"""kill -9 at random moments: of hunts, of compactions and of prunings. No row is lost, doubled or halved."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pyarrow as pa
import pytest

from strongroom.store import Store

from .processes import HUNT, kill, new_site, orphans, rows, start, write_log
from .results import record_result

pytestmark = pytest.mark.torture

KILLS = 80
RECORDS = 30_000


def test_a_hunt_that_is_killed_again_and_again_ends_with_the_rows_of_one_that_is_not(tmp_path: Path) -> None:
    rng = random.Random(1)
    write_log(tmp_path / "a.jsonl", RECORDS)
    clean = new_site(tmp_path / "clean")
    words = ("hunt", "a.jsonl", "--json", "--workers", "2", "--site")
    started = time.monotonic()
    _, err = (hunt := start(HUNT, *words, clean, cwd=tmp_path)).communicate(timeout=120)
    assert hunt.returncode == 0, err
    whole = time.monotonic() - started
    expected = rows(clean)
    kills = sites = orphaned = with_rows = 0
    while kills < KILLS:
        site = new_site(tmp_path / f"site-{sites}", clean)
        sites += 1
        for attempt in range(1000):
            hunt = start(HUNT, *words, site, cwd=tmp_path)
            time.sleep(rng.uniform(0.3, whole))
            alive, said = kill(hunt, group=rng.random() < 0.5)
            if not alive:
                assert hunt.returncode == 0, said
                break
            kills += 1
            kept = rows(site)
            with_rows += bool(kept.num_rows)
            keys = kept["record_key"].to_pylist()
            assert len(set(keys)) == len(keys), "a row was doubled"
            orphaned += len(orphans(site))
            assert attempt < 500
        assert rows(site).equals(expected), "rows differ from those of a clean run"
        store = Store(site / "store")
        store.compact()
        assert orphans(site) == []
        assert rows(site).equals(expected)
    record_result(
        "kill -9 of hunts",
        f"{kills} kills at random moments of `strongroom hunt … --workers 2 --site` on a log of {RECORDS:,} lines "
        f"({sites} sites, each killed until a run came through; commits of 2,000 rows; {with_rows} kills left a part of "
        f"the rows; half of the kills took the whole group): {expected.num_rows:,} rows each time, every column as in a "
        f"clean run; {orphaned} half-written files, all gone after `store compact`.",
    )


CARE = """
import sys
from pathlib import Path
import pyarrow as pa
from strongroom.store import EXCHANGES, Store

store, base = Store(Path(sys.argv[1])), int(sys.argv[2])
OLD, NEW = 1_700_000_000_000_000, 1_800_000_000_000_000
for round in range(1000):
    for part in range(4):
        first = base + (round * 4 + part) * 500
        batch = pa.RecordBatch.from_pylist([
            {"time": (OLD if i % 2 else NEW) + i, "account": f"a{i}", "embedding": bytes(256), "line_key": i, "record_key": i}
            for i in range(first, first + 500)], schema=EXCHANGES)
        print("append", first, flush=True)
        store.append_exchanges([batch])
        print("appended", first, flush=True)
    print(sys.argv[3], flush=True)
    store.compact() if sys.argv[3] == "compact" else store.prune(OLD + (1 << 40))
    print("done", flush=True)
"""


@pytest.mark.parametrize("work", ["compact", "prune"])
def test_care_that_is_killed_costs_no_committed_row(work: str, tmp_path: Path) -> None:
    rng = random.Random(2)
    certain: set[int] = set()  # first keys of appends that returned
    perhaps: set[int] = set()  # of those that were under way
    kills = within = left = 0
    Store(tmp_path)
    while kills < KILLS // 2:
        process = start(CARE, tmp_path, kills * 10_000_000, work, cwd=tmp_path)
        assert process.stdout is not None
        lines: list[str] = []
        rounds = rng.randint(1, 4)
        while sum(line.startswith(work) for line in lines) < rounds:
            line = process.stdout.readline().decode()
            assert line, process.communicate()
            lines.append(line)
        time.sleep(rng.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
        lines += [line + "\n" for line in out.decode().split("\n")[:-1]]
        kills += 1
        within += lines[-1].startswith(work)
        certain |= {int(line.split()[1]) for line in lines if line.startswith("appended ")}
        perhaps |= {int(line.split()[1]) for line in lines if line.startswith("append ")}
        check(tmp_path, certain, perhaps, old_may_be_gone=work == "prune")
        left += len(orphans_of(tmp_path))
    store = Store(tmp_path)
    store.prune(1_700_000_000_000_000 + (1 << 40)) if work == "prune" else store.compact()
    check(tmp_path, certain, perhaps, old_may_be_gone=work == "prune")
    assert orphans_of(tmp_path) == []
    record_result(
        f"kill -9 of store {work}",
        f"{kills} kills at random moments ({within} of them inside {work}, the others inside an append): all "
        f"{len(certain) * 500:,} committed rows{' younger than the bound' if work == 'prune' else ''} there, once each; "
        f"{left} files without rows were left on the way and gone after the next {work}.",
    )


def check(root: Path, certain: set[int], perhaps: set[int], *, old_may_be_gone: bool) -> None:
    store = Store(root)
    table: pa.Table = store.table(store.exchanges().select("record_key", "embedding", "account"))
    keys = table["record_key"].to_pylist()
    found = set(keys)
    assert len(found) == len(keys), "a row was doubled"
    assert all(account == f"a{key}" for key, account in zip(keys, table["account"].to_pylist(), strict=True))
    for first in certain:
        new = set(range(first, first + 500, 2))
        assert new <= found, "a committed row was lost"
        old = set(range(first + 1, first + 500, 2))
        assert old <= found or (old_may_be_gone and not old & found), "half of a pruning"
    wild = found - {key for first in perhaps for key in range(first, first + 500)}
    assert not wild, "rows from nowhere"
    for first in perhaps - certain:
        assert len(found & set(range(first, first + 500, 2))) in (0, 250), "half of an append"


def orphans_of(root: Path) -> list[str]:
    live = {Path(name).name for name in Store(root)._exchanges.files()}
    return [p.name for p in (root / "exchanges").iterdir() if p.is_file() and p.name not in live]
