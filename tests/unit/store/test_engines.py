"""DuckDB is what queries run on, and Spark is neither imported nor needed until a site chooses it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from strongroom.core.errors import IntegrityError, StrongroomError, UsageError
from strongroom.site import Site
from strongroom.store import SparkSettings, Store
from strongroom.store._duckdb import DuckDB
from strongroom.store._spark import Spark, _ours

from .test_store import batch

SUMS = pa.schema([("subject", pa.string()), ("words", pa.int64())])
NO_SPARK = """
import sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "py4j"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Refusing())
from strongroom.cli import main
sys.exit(main())
"""
LINE = '{{"time": "2026-11-01T00:00:{0:02d}Z", "account": "a{1}", "prompt": "what is the number {0} of all of these?"}}'


def words_per_subject(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    given = pa.schema([("subject", pa.string()), ("words", pa.int32())])
    rows = pa.Table.from_batches(batches, given).group_by("subject").aggregate([("words", "sum")])
    yield from rows.rename_columns(["subject", "words"]).select(SUMS.names).cast(SUMS).to_batches()


def run(*words: str | Path, without_spark: bool = True) -> subprocess.CompletedProcess[str]:
    code = NO_SPARK if without_spark else "from strongroom.cli import main; main()"
    env = {name: value for name, value in os.environ.items() if name != "STRONGROOM_SITE"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, env=env, check=False
    )


def choose_spark(site: Path) -> None:
    file = site / "strongroom.toml"
    file.write_text(file.read_text().replace("[store]\n", '[store]\nengine = "spark"\n'))


def test_a_hunt_neither_imports_nor_needs_spark(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(LINE.format(i, i % 3) for i in range(40)))
    done = run("hunt", log, "--report", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert "40 exchanges" in done.stdout


def test_the_site_chooses_the_engine(tmp_path: Path) -> None:
    Site.create(tmp_path / "site")
    assert isinstance(Site.open(tmp_path / "site").store._engine, DuckDB)
    choose_spark(tmp_path / "site")
    assert isinstance(Site.open(tmp_path / "site").store._engine, Spark)


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    Site.create(tmp_path / "site")
    choose_spark(tmp_path / "site")
    done = run("store", "info", "--site", tmp_path / "site")
    assert done.returncode == UsageError.exit_code
    assert "pip install 'strongroom[spark]'" in " ".join(done.stderr.split())


def test_what_is_written_and_what_findings_say_needs_no_spark(tmp_path: Path) -> None:
    store = Store(tmp_path, spark=SparkSettings("spark://nobody.invalid:7077"))
    store.append_exchanges([batch(10)])
    assert len(store.keys()[0]) == 10
    assert store.findings("verdict") == []
    assert store.prune(0) == 0


def test_partial_sums_are_made_of_every_row(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(100)])
    rows = store.exchanges().select("subject", "words")
    made = pa.Table.from_batches(store.partitions(rows, "subject", words_per_subject, SUMS))
    assert made.sort_by("subject").to_pylist() == [
        {"subject": f"acct_{i}", "words": 5 * n} for i, n in enumerate((34, 33, 33))
    ]


def test_a_function_that_yields_another_schema_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_exchanges([batch(10)])
    rows = store.exchanges().select("subject", "words")
    with pytest.raises(TypeError, match="the function yielded"):
        list(store.partitions(rows, "subject", lambda batches: batches, SUMS))


def test_no_rows_make_no_sums(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = store.exchanges().select("subject", "words")
    assert list(store.batches(rows)) == list(store.partitions(rows, "subject", words_per_subject, SUMS)) == []


@pytest.mark.parametrize(
    ("said", "kind", "named"),
    [
        ("ModuleNotFoundError: No module named 'strongroom'", UsageError, "not there where Spark's executors run"),
        ("java.lang.OutOfMemoryError: Java heap space", StrongroomError, "more memory"),
        ("Total size (1.1 GiB) is bigger than spark.driver.maxResultSize", StrongroomError, "more memory"),
        ("java.io.IOException: No space left on device", StrongroomError, "more disk"),
        ("[FAILED_READ_FILE.NO_HINT] Encountered error while reading", IntegrityError, "cannot be read"),
        ("ZeroDivisionError: of ours", None, ""),
    ],
)
def test_what_spark_says_is_told_with_what_to_do(said: str, kind: type[StrongroomError] | None, named: str) -> None:
    told = _ours(RuntimeError(said), "here")
    assert type(told) is (kind or type(None))
    assert told is None or (named in told.message and told.next)


def test_what_is_kept_is_computed_once_and_dropped(tmp_path: Path) -> None:
    import duckdb

    store = Store(tmp_path / "store")
    store.append_exchanges([batch(3)])
    with store.kept(store.exchanges().select("subject")) as kept:
        store.append_exchanges([batch(2, start=1)])
        assert store.table(kept).num_rows == 3
    with pytest.raises(duckdb.CatalogException):
        store.table(kept)
