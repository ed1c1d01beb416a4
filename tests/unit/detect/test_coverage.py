"""Gaps in the coverage of access logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from strongroom.detect.coverage import MAX_GAPS, gaps
from strongroom.store import ACCESS_EVENTS, Store

HOUR = 3_600_000_000
START = 1_793_577_600_000_000 // HOUR  # a Monday


def sentences(folder: Path, hours: Sequence[int], each: int = 30, organization: str = "123") -> list[str]:
    """What is told of a stream that has `each` records in these hours from START on."""
    rows = [
        {
            "time": (START + hour) * HOUR + i,
            "principal": "p",
            "product": "aws",
            "service": "cloudtrail",
            "organization": organization,
        }
        for hour in hours
        for i in range(each)
    ]
    store = Store(folder / "store")
    store.append_access_events([pa.RecordBatch.from_pylist(rows, schema=ACCESS_EVENTS)])
    return gaps(store, store.access_events())


def test_a_missing_afternoon_is_told_with_its_hours(tmp_path: Path) -> None:
    (told,) = sentences(tmp_path, [hour for hour in range(14 * 24) if not 100 <= hour < 106])
    assert "aws cloudtrail of 123" in told
    assert "(6 hours)" in told
    assert "some 180 records" in told


def test_a_full_stream_has_no_gap(tmp_path: Path) -> None:
    assert sentences(tmp_path, range(14 * 24)) == []


def test_nights_and_weekends_are_no_gaps(tmp_path: Path) -> None:
    working = [day * 24 + hour for day in range(28) if day % 7 < 5 for hour in range(8, 18)]
    assert sentences(tmp_path, working, each=100) == []


def test_a_sparse_stream_has_no_gaps(tmp_path: Path) -> None:
    assert sentences(tmp_path, range(0, 14 * 24, 5), each=1) == []


def test_a_short_stream_has_its_gap_told_from_its_usual_rate(tmp_path: Path) -> None:
    (told,) = sentences(tmp_path, [0, 1, 2, 3, 4, 7, 8, 9, 10, 11])
    assert "(2 hours)" in told


@pytest.mark.parametrize("name", ["a\x1b[31mb", "=cmd()"])
def test_a_hostile_name_is_left_to_whoever_shows_it(tmp_path: Path, name: str) -> None:
    assert name in sentences(tmp_path, [*range(100), *range(110, 200)], organization=name)[0]


def test_many_gaps_are_counted(tmp_path: Path) -> None:
    hours = [hour for hour in range(60 * 24) if hour % 40]
    told = sentences(tmp_path, hours)
    assert len(told) == MAX_GAPS + 1
    assert told[-1].endswith("more gaps of hours in access logs.")


def test_no_events_no_gaps(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert gaps(store, store.access_events()) == []
