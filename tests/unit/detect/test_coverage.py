"""Gaps in the coverage of access logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from strongroom.detect.coverage import LONGEST_SILENCE, MAX_GAPS, STRAY_MOST, STRAY_PAUSE, gaps, span_of
from strongroom.store import ACCESS_EVENTS, Store

HOUR = 3_600_000_000
START = 1_793_577_600_000_000 // HOUR  # a Monday


def stored(folder: Path, streams: Mapping[str, Sequence[int]], each: int = 30) -> Store:
    """Streams by organization, with `each` records in these hours from START on."""
    rows = [
        {
            "time": (START + hour) * HOUR + i,
            "principal": "p",
            "product": "aws",
            "service": "cloudtrail",
            "organization": organization,
        }
        for organization, hours in streams.items()
        for hour in hours
        for i in range(each)
    ]
    store = Store(folder / "store")
    store.append_access_events([pa.RecordBatch.from_pylist(rows, schema=ACCESS_EVENTS)])
    return store


def sentences(folder: Path, hours: Sequence[int], each: int = 30, organization: str = "123") -> list[str]:
    """What is told of one stream."""
    store = stored(folder, {organization: hours}, each)
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


def test_a_stream_that_ends_while_others_go_on_has_its_gap_told(tmp_path: Path) -> None:
    store = stored(tmp_path, {"1": range(10 * 24), "2": range(14 * 24)})
    (told,) = gaps(store, store.access_events())
    assert "of 1 " in told
    assert "(95 hours)" in told  # the last hour of the other need not be over


def test_a_stream_that_ended_long_ago_is_missed_for_four_weeks(tmp_path: Path) -> None:
    store = stored(tmp_path, {"1": range(10 * 24), "2": range(0, 100 * 24, 3)})
    (told,) = gaps(store, store.access_events())
    assert f"({LONGEST_SILENCE} hours)" in told


def test_a_gap_that_is_most_of_a_log_is_no_measure_for_itself(tmp_path: Path) -> None:
    days = [day for day in range(28) if not 6 <= day < 20]
    (told,) = sentences(tmp_path, [day * 24 + hour for day in days for hour in range(24)])
    assert "(336 hours)" in told


def test_a_stream_that_is_used_now_and_then_has_no_gaps(tmp_path: Path) -> None:
    assert sentences(tmp_path, [day * 24 + hour for day in range(0, 40, 4) for hour in range(9, 17)]) == []


def test_a_record_of_a_wrong_clock_is_told_and_left_out_of_the_span(tmp_path: Path) -> None:
    store = stored(tmp_path, {"1": range(14 * 24)})
    wrong = [{"time": (START - hour) * HOUR, "principal": "p"} for hour in (24 * 400, -24 * 900)]
    store.append_access_events([pa.RecordBatch.from_pylist(wrong, schema=ACCESS_EVENTS)])
    span = span_of(store, store.access_events())
    assert span is not None
    assert (span.start, span.end, span.strays) == (START * HOUR, (START + 14 * 24) * HOUR, 2)
    assert "2 access events" in span.sentence


def test_a_small_new_log_beside_a_large_old_one_is_no_wrong_clock(tmp_path: Path) -> None:
    store = stored(tmp_path, {"1": range(5_000)}, each=24)
    new = [{"time": (START + 24 * 400) * HOUR + i, "principal": "p"} for i in range(STRAY_MOST + 1)]
    store.append_access_events([pa.RecordBatch.from_pylist(new, schema=ACCESS_EVENTS)])
    span = span_of(store, store.access_events())
    assert span is not None
    assert (span.end, span.strays) == ((START + 24 * 401) * HOUR, 0)


def test_an_old_log_beside_a_new_one_is_no_wrong_clock(tmp_path: Path) -> None:
    store = stored(tmp_path, {"1": [*range(24), *range(24 * STRAY_PAUSE * 2, 24 * STRAY_PAUSE * 2 + 24)]})
    span = span_of(store, store.access_events())
    assert span is not None
    assert (span.start, span.strays, span.sentence) == (START * HOUR, 0, "")
