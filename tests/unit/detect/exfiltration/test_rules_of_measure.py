"""What must hold of every log: order does not matter, more is never less, and nothing in it stops the search."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.detect.exfiltration._daily import read_daily
from strongroom.detect.exfiltration._exact import Cells, measure, peak
from strongroom.store import ACCESS_EVENTS, Store

from .worlds import EVE, MODEL, OFFICE, OUTSIDE, SHARD, SHARDS, World

READS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400), st.integers(0, 2 * SHARD)), min_size=1, max_size=40)


def cells_of(reads: list[tuple[int, int, int]], size: int) -> Cells:
    rows = sorted(reads, key=lambda each: each[1])
    objects, hours, read = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    ones = np.ones(len(rows), dtype=np.int64)
    full = np.full(len(rows), float(SHARD))
    return Cells(
        object=objects,
        hour=hours,
        bytes=read.astype(float),
        logged=read.astype(float),
        cap=full,
        alone=ones == 0,
        first=hours * 3_600_000_000,
        last=hours * 3_600_000_000 + 1,
        events=ones,
        known=10,
        size=size,
    )


@given(reads=READS, more=READS, size=st.sampled_from([0, 10 * SHARD]))
def test_reading_more_never_lowers_a_share(
    reads: list[tuple[int, int, int]], more: list[tuple[int, int, int]], size: int
) -> None:
    less, all_ = cells_of(reads, size), cells_of(reads + more, size)
    assert measure(less) <= measure(all_) <= 1
    for hours, step in ((1, 1), (24, 1), (336, 24)):
        assert peak(less, hours, step).share <= peak(all_, hours, step).share


@given(reads=READS)
def test_a_longer_window_holds_no_less(reads: list[tuple[int, int, int]]) -> None:
    cells = cells_of(reads, 10 * SHARD)
    assert peak(cells, 1, 1).share <= peak(cells, 24, 1).share <= measure(cells)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    world = World().usual()
    world.reads(15.5, EVE, range(SHARDS), hours=3, client_address=OUTSIDE)
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        first = world.find(Path(a))
        random.Random(seed).shuffle(world.rows)
        assert world.find(Path(b)) == first


def test_two_credentials_of_one_principal_add_up(tmp_path: Path) -> None:
    world = World().usual()
    half = SHARDS // 2
    world.reads(15.5, EVE, range(half), client_address=OUTSIDE, credential="one")
    world.reads(15.5, EVE, range(half, SHARDS), client_address=OFFICE, credential="two")
    (signal,) = world.signals(tmp_path)
    assert "100 % of 160 GB" in signal.evidence[0].summary
    assert signal.credentials == {"one", "two"}


def test_an_empty_table_and_rows_without_anything_are_no_error(tmp_path: Path) -> None:
    assert World().signals(tmp_path / "a") == []
    world = World().usual()
    for operation in ("GetObject", "CopyObject", "ListBuckets", "Decrypt", "ModifySnapshotAttribute"):
        world.event(3, None, operation, None, client_address=None, credential=None, outcome=None, bytes=None)
        row = dict.fromkeys(ACCESS_EVENTS.names) | {"time": world.rows[-1]["time"], "operation": operation}
        world.rows.append(row)
    assert world.signals(tmp_path / "b") == []


def test_an_unknown_principal_is_judged_as_one(tmp_path: Path) -> None:
    world = World().usual()
    world.reads(15.5, None, range(SHARDS), client_address=OUTSIDE)
    (signal,) = world.signals(tmp_path)
    assert signal.principal == "unknown"
    assert signal.evidence[0].examples


def test_hostile_names_are_told_as_they_are(tmp_path: Path) -> None:
    name = "arn:aws:sts::1:assumed-role/R/'; DROP TABLE x; --\n\u202e\\1 %s {0}"
    world = World().usual()
    world.reads(15.5, name, range(SHARDS), client_address="' OR 1=1 --")
    world.event(15, name, "CopyObject", "arn:aws:s3:::b/'", fields={"requestParameters.x-amz-copy-source": "%%2f?'\\1"})
    (signal,) = world.signals(tmp_path)
    assert signal.principal == name
    assert signal.addresses == {"' OR 1=1 --"}


def test_objects_are_counted_once_a_day(tmp_path: Path) -> None:
    world = World()
    for _ in range(3):
        world.reads(1, EVE, range(5))
    store = Store(tmp_path)
    world.find(tmp_path)
    reads = read_daily(store, store.access_events(), {MODEL.name: MODEL}).reads
    assert (reads.objects.tolist(), reads.events.tolist()) == ([5], [15])


def test_clocks_that_differ_change_nothing(tmp_path: Path) -> None:
    world = World().usual()
    world.reads(15.5, EVE, range(SHARDS), hours=3, client_address=OUTSIDE)
    for row in world.rows:
        row["time"] += world.random.randrange(-120_000_000, 120_000_000)
    assert [each.kind for each in world.signals(tmp_path)] == ["bulk-read"]
