"""Spark gives what DuckDB gives in access events: rules, exfiltration, anomaly, assets and gaps, and the whole search."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.assets import Asset
from strongroom.detect.assets import resolve, unresolved
from strongroom.detect.coverage import gaps
from strongroom.detect.rules import curated_rules
from strongroom.detect.signals import Signal
from strongroom.hunt._access import search_access
from strongroom.ingest import Settings, ingest
from strongroom.simulate import CloudPlan, StolenKey, TrailStopped, cloud_truth, simulate_cloud_lines
from strongroom.store import SparkSettings, Store

from ..conftest import missing

pytestmark = pytest.mark.spark

SPARK = SparkSettings("local-cluster[2,1,1024]", {"spark.sql.shuffle.partitions": "4"})
PLAN = CloudPlan(
    seed=3,
    days=4,
    events_per_day=3_000,
    intrusions=(StolenKey(begin_day=2.4), TrailStopped(begin_day=3.2)),
)
ASSETS: list[Asset] = [asset.listed() for asset in cloud_truth(PLAN).assets]


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    """DuckDB's and Spark's view of one store of access events."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        missing("PySpark is not installed (make spark installs it beside .venv)")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        missing("Java is not installed (scripts/system-deps installs it)")
    folder: Path = tmp_path_factory.mktemp("access")
    (folder / "log.jsonl").write_text("".join(line + "\n" for line in simulate_cloud_lines(PLAN)))
    ingest([str(folder / "log.jsonl")], Store(folder / "store"), Settings(bytes(32)), workers=0)
    return Store(folder / "store"), Store(folder / "store", spark=SPARK)


def plain(signals: list[Signal]) -> list[Any]:
    return sorted((s.kind, s.principal, s.severity, s.events, s.first, s.last, sorted(s.credentials)) for s in signals)


def test_events_resolve_to_the_same_assets(stores: tuple[Store, Store]) -> None:
    counts = []
    for store in stores:
        resolved = resolve(store.access_events(), ASSETS)
        by_asset = resolved.group_by("asset").aggregate(n=resolved.count())
        counts.append(
            (
                sorted((row["asset"] or "", row["n"]) for row in store.table(by_asset).to_pylist()),
                store.table(unresolved(resolved)).to_pylist(),
            )
        )
    assert counts[0] == counts[1]
    assert len(counts[0][0]) > 5


def test_gaps_are_the_same(stores: tuple[Store, Store]) -> None:
    duckdb, spark = (gaps(store, store.access_events()) for store in stores)
    assert duckdb == spark


def test_the_whole_search_tells_the_same_stories(stores: tuple[Store, Store]) -> None:
    found = [search_access(store, ASSETS, curated_rules()) for store in stores]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].events == found[1].events > 10_000
    duckdb, spark = (
        [(story.principals, story.severity, story.techniques, plain(story.signals)) for story in each.stories]
        for each in found
    )
    assert duckdb == spark
    detectors = {signal.detector for story in found[0].stories for signal in story.signals}
    assert detectors >= {"rules/1", "exfiltration/1"}
