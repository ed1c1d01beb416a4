"""The store keeps whole rows, finds them again, and survives what happens to it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strongroom.core.clock import parse_time
from strongroom.core.errors import IntegrityError, UsageError
from strongroom.store import EXCHANGES, Store, microseconds
from strongroom.store._table import Table

NOON = parse_time("2026-11-01T12:00:00Z")
DAY = 86_400_000_000


def batch(n: int, *, start: int = NOON, step: int = DAY) -> pa.RecordBatch:
    rows = [
        {
            "time": start + i * step,
            "subject": f"acct_{i % 3}",
            "account": f"acct_{i % 3}",
            "words": 5,
            "minhash": [1, 2],
            "embedding": b"\x01" * 256,
            "line_key": i + start,
            "record_key": i + start,
        }
        for i in range(n)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=EXCHANGES)


def test_an_empty_store_answers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.info()["exchanges"]["rows"] == 0
    assert store.keys()[0].shape == (0,)
    assert store.findings("verdict") == []


def test_rows_are_there_for_the_next_process(tmp_path: Path) -> None:
    Store(tmp_path).append_exchanges([batch(10)])
    info = Store(tmp_path).info()["exchanges"]
    assert (info["rows"], info["accounts"], info["with_text"]) == (10, 3, 10)
    assert info["window"] == {"start": "2026-11-01T12:00:00.000Z", "end": "2026-11-10T12:00:00.000Z"}
    assert len(Store(tmp_path).keys()[1]) == 10


@pytest.mark.parametrize("name", ["my sites", "Zürich", "{a}", "what?", "a#b"])
def test_a_directory_may_have_any_name_that_people_give(name: str, tmp_path: Path) -> None:
    Store(tmp_path / name).append_exchanges([batch(10)])
    store = Store(tmp_path / name)
    assert store.prune(NOON + 2 * DAY) == 2
    assert (len(store.keys()[0]), store.info()["exchanges"]["rows"]) == (8, 8)


@pytest.mark.parametrize("name", ["a[b]", "100%", "a%20b"])
def test_a_directory_that_delta_cannot_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose another directory"):
        Store(tmp_path / name)


def test_a_result_is_streamed_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(100)])
    table = store.exchanges()
    batches = list(store.batches(table.select("position", "line_key"), rows=2048))
    assert pa.Table.from_batches(batches)["line_key"].to_pylist() == list(range(NOON, NOON + 100))


def test_microseconds_are_exact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    times = [-600_000, 0, 1_999_999, NOON + 123_457]
    store.append_exchanges([pa.RecordBatch.from_pylist([{"time": time} for time in times], schema=EXCHANGES)])
    table = store.exchanges()
    found = store.table(table.select(at=microseconds(table.time)).order_by("at"))
    assert found["at"].to_pylist() == times


def test_rows_of_a_commit_lie_in_the_order_they_were_given(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(2000, start=NOON + i * DAY * 2000, step=DAY // 100) for i in range(20)])
    (file,) = (tmp_path / "exchanges").glob("*.parquet")
    keys = pq.read_table(file, columns=["line_key"])["line_key"].to_pylist()
    assert len(keys) == 40_000
    assert keys == sorted(keys)


def test_prune_removes_older_rows_and_their_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(4):
        store.append_exchanges([batch(5, start=NOON + i * DAY)])
    assert store.prune(NOON + 2 * DAY) == 3
    info = store.info()["exchanges"]
    assert info["rows"] == 17
    assert info["window"]["start"] == "2026-11-03T12:00:00.000Z"
    assert len(list((tmp_path / "exchanges").glob("*.parquet"))) == info["files"] == 1


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    one.append_exchanges([batch(5)])
    two.append_exchanges([batch(6, start=NOON + 100 * DAY)])
    one.append_exchanges([batch(7, start=NOON + 200 * DAY)])
    assert one.info()["exchanges"]["rows"] == two.info()["exchanges"]["rows"] == 18


def test_an_older_table_gains_the_columns_it_lacks(tmp_path: Path) -> None:
    older = pa.schema([field for field in EXCHANGES if field.name not in {"flags", "text"}])
    Table(tmp_path / "exchanges", older).append([batch(3).select([f.name for f in older])])
    store = Store(tmp_path)
    store.append_exchanges([batch(2, start=NOON + 100 * DAY)])
    rows = store.table(store.exchanges().select("flags", "subject")).to_pylist()
    assert len(rows) == 5
    assert rows[0]["flags"] is None


def test_a_newer_table_and_a_foreign_one_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._exchanges._delta.alter.set_table_description('{"strongroom_schema": 99}')
    with pytest.raises(IntegrityError, match="upgrade"):
        Store(tmp_path)
    store._exchanges._delta.alter.set_table_description("somebody else's")
    with pytest.raises(IntegrityError, match="not a table of Strongroom"):
        Store(tmp_path)


def test_a_damaged_log_is_an_integrity_error(tmp_path: Path) -> None:
    Store(tmp_path)
    for file in (tmp_path / "exchanges" / "_delta_log").glob("*.json"):
        file.write_text("{not json")
    with pytest.raises(IntegrityError, match="exchanges"):
        Store(tmp_path)


def test_findings_come_back_as_they_went(tmp_path: Path) -> None:
    store = Store(tmp_path)
    document = {"reason": "an evaluation of ours", "ü": [1, None]}
    store.append_findings(
        [{"time": NOON, "hunt": "", "kind": "dismissal", "id": "cmp_1", "subjects": ["a"], "document": document}]
    )
    (row,) = Store(tmp_path).findings("dismissal")
    assert row["document"] == document
    assert row["subjects"] == ["a"]
