"""Spark gives what DuckDB gives: every kind of query there is, partial sums, and a hunt as a whole.

In an environment of its own (`make spark`), on two executors that are processes of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from strongroom.core.errors import IntegrityError
from strongroom.hunt import Hunt, Watcher, run_hunt
from strongroom.ingest import Settings, ingest
from strongroom.simulate import Campaign, Plan, bundled_material, simulate
from strongroom.sketch import FLAGS
from strongroom.store import EXCHANGES, FINDINGS, Partial, SparkSettings, Store, microseconds

from ..conftest import missing

pytestmark = pytest.mark.spark

SPARK = SparkSettings("local-cluster[2,1,1024]", {"spark.sql.shuffle.partitions": "4"})
HONEST, CAMPAIGN, SEED = 150, 40, 7
TEMPLATE = "Answer the request and show your full working first.\n-----\n{instruction}\n-----"
DAY = 86_400_000_000
NOW = 1_800_000_000_000_000

Expression = Callable[[Any], Any]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two commits, in a directory whose name needs escaping."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        missing("PySpark is not installed (make spark installs it beside .venv)")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        missing("Java is not installed (scripts/system-deps installs it)")
    folder = tmp_path_factory.mktemp("two engines {ü}")
    campaign = Campaign(accounts=CAMPAIGN, level="shared_addresses", template=TEMPLATE)
    plan = Plan(SEED, honest_accounts=HONEST, campaign=campaign, days=10, mean_per_active_day=26, hard_negatives=False)
    lines = [json.dumps(record) for record in simulate(plan, bundled_material(SEED, accounts=HONEST))]
    for name, half in {"a": lines[: len(lines) // 2], "b": lines[len(lines) // 2 :]}.items():
        (folder / f"{name}.jsonl").write_text("\n".join(half))
        ingest([str(folder / f"{name}.jsonl")], Store(folder / "store"), Settings(bytes(32), keep_text=True), workers=0)
    return folder / "store"


@pytest.fixture(scope="session")
def duckdb(site: Path) -> Store:
    return Store(site)


@pytest.fixture(scope="session")
def spark(site: Path) -> Store:
    return Store(site, spark=SPARK)


def plain(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value


def rows(result: pa.Table | Iterator[pa.RecordBatch]) -> list[str]:
    """The rows of a result, in the engines' common form and in an order of their own."""
    parts = result.to_batches() if isinstance(result, pa.Table) else list(result)
    return sorted(repr([plain(value) for value in row.values()]) for part in parts for row in part.to_pylist())


# Queries


def slices(table: Any) -> Any:
    at = (microseconds(table.time) // 1_234_567).cast("int64")
    return table.group_by(subject=table.subject, slice=at).aggregate(
        exchanges=table.count(),
        tokens_out=table.output_tokens.sum().fill_null(0).cast("int64"),
        **{name: ((table.flags & flag) > 0).sum().fill_null(0).cast("int64") for name, flag in FLAGS.items()},
    )


def sampled(table: Any) -> Any:
    opening = table.filter((table.words >= 5) & (table.turn.fill_null(1) <= 1))
    each = opening.group_by("subject").aggregate(texts=opening.text_digest.nunique())
    counted = opening.join(each, "subject")
    share = 5 / counted.texts.cast("float64")
    chosen = counted.filter(counted.text_digest.cast("float64") <= (share - 0.5) * 2.0**64)
    return chosen.select("subject", "time", "text_digest", "head", "tail", "minhash", "embedding")


def examples(table: Any) -> Any:
    """The first exchange of each subject with one of two shingles."""
    common = 4_000_000_000_000_000_000
    held = table.filter(table.subject.notnull() & (table.words > 0))
    held = held.filter(held["head"].isin((1, 2)) | held.minhash.contains(1) | (held.minhash[0] < common))
    return held.group_by("subject").aggregate(
        time=held.time.min(),
        source=held.source.argmin(held.time),
        position=held.position.argmin(held.time),
        text=held.text.argmin(held.time),
    )


def per_day(table: Any) -> Any:
    chosen = table.filter(table.language.isin(("en", "de")) | table.language.isnull())
    return chosen.group_by(day=chosen.time.date()).aggregate(n=chosen.count(), a=chosen.subject.nunique())


QUERIES: dict[str, Expression] = {
    "window": lambda t: t.aggregate(
        rows=t.count(), without_text=(t.words.fill_null(0) == 0).sum(), first=t.time.min(), last=t.time.max()
    ),
    "names in order": lambda t: t.group_by("subject").aggregate(account=t.account.min()).order_by("subject").limit(20),
    "counts by time slice": slices,
    "first seen of a value": lambda t: (
        t.filter(t.client_address.notnull()).group_by("subject", value=t.client_address).aggregate(first=t.time.min())
    ),
    "a sample by digest": sampled,
    "first exchanges": examples,
    "days": per_day,
    "every column": lambda t: t,
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_gives_the_same_rows(duckdb: Store, spark: Store, name: str) -> None:
    query = QUERIES[name]
    expected = rows(duckdb.table(query(duckdb.exchanges())))
    assert rows(spark.table(query(spark.exchanges()))) == expected
    assert len(expected) >= 1


def test_a_stream_has_the_rows_and_the_types_of_the_whole(duckdb: Store, spark: Store) -> None:
    table = spark.exchanges()
    batches = list(spark.batches(table, rows=500))
    assert {batch.num_rows <= 500 for batch in batches} == {True}
    assert rows(iter(batches)) == rows(duckdb.table(duckdb.exchanges()))
    assert batches[0].schema.types == EXCHANGES.types
    assert list(spark.batches(table.filter(table.words < 0))) == []
    next(spark.batches(table)).validate()  # given up after one
    assert list((spark.root / "spill").glob("*")) == []


def test_an_ordered_stream_comes_in_order(duckdb: Store, spark: Store) -> None:
    def keys(store: Store) -> list[int]:
        table = store.exchanges()
        batches = store.batches(table.select("line_key").order_by("line_key"), rows=1000)
        return [key for batch in batches for key in batch["line_key"].to_pylist()]

    assert keys(spark) == keys(duckdb) == sorted(keys(duckdb))


def test_a_window_in_time_holds_the_same_rows(duckdb: Store, spark: Store) -> None:
    every = duckdb.exchanges()
    first = duckdb.table(every.aggregate(first=every.time.min()))["first"].cast(pa.int64())[0].as_py()
    since, until = first + DAY + 1_001, first + 3 * DAY
    expected, got = (store.exchanges(since, until).select("time", "record_key") for store in (duckdb, spark))
    assert rows(spark.table(got)) == rows(duckdb.table(expected)) != []


def test_what_the_store_says_of_itself_is_the_same(duckdb: Store, spark: Store) -> None:
    assert spark.info() == duckdb.info()


def test_an_empty_store_answers(tmp_path: Path, spark: Store) -> None:
    info = spark.info()  # one session serves any number of stores
    empty = Store(tmp_path, spark=SPARK)
    assert empty.info()["exchanges"]["rows"] == 0 < info["exchanges"]["rows"]
    assert list(empty.batches(empty.exchanges().select("embedding"))) == []


# Partial sums


def sums() -> tuple[Partial, pa.Schema]:
    """Sums of embeddings for each subject; made in a function, so that it is sent as it stands."""
    schema = pa.schema([("subject", pa.string()), ("rows", pa.int64()), ("sum", pa.binary())])

    def add(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np

        found: dict[str, tuple[int, Any]] = {}
        for batch in batches:
            for subject, embedding in zip(batch["subject"].to_pylist(), batch["embedding"].to_pylist(), strict=True):
                count, total = found.get(subject, (0, np.zeros(256, dtype=np.int64)))
                found[subject] = (count + 1, total + np.frombuffer(embedding or bytes(256), dtype=np.int8))
        made = [{"subject": name, "rows": count, "sum": total.tobytes()} for name, (count, total) in found.items()]
        yield pa.RecordBatch.from_pylist(made, schema=schema)

    return add, schema


def test_partial_sums_are_whole_for_each_subject(duckdb: Store, spark: Store) -> None:
    function, schema = sums()

    def made(store: Store) -> list[str]:
        chosen = store.exchanges().select("subject", "embedding")
        return rows(store.partitions(chosen, "subject", function, schema))

    expected = made(duckdb)
    assert made(spark) == expected
    assert len(expected) == duckdb.info()["exchanges"]["accounts"]


def test_what_goes_wrong_in_a_function_is_raised(spark: Store) -> None:
    def broken(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise ZeroDivisionError("of ours")

    def other(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    chosen = spark.exchanges().select("subject", "words")
    with pytest.raises(Exception, match="of ours"):
        list(spark.partitions(chosen, "subject", broken, FINDINGS))
    with pytest.raises(Exception, match="the function yielded"):
        list(spark.partitions(chosen, "subject", other, FINDINGS))


# A hunt


def hunted(root: Path, spark: SparkSettings | None) -> tuple[dict[str, Any], dict[str, Any]]:
    store = Store(root, spark=spark)
    hunt = Hunt(words=[], store=store, settings=Settings(bytes(32)), command="", version="", site="")
    verdict, circumstances = (msgspec.to_builtins(part) for part in run_hunt(hunt, NOW, Watcher()))
    for named in (*verdict["campaigns"], *circumstances["pictures"]):
        named.pop("id", None)
        named.pop("campaign", None)
    circumstances.pop("seconds")
    return verdict, circumstances


def test_a_hunt_gives_the_same_verdict_and_the_same_pictures(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "store")
    verdict, circumstances = hunted(tmp_path / "store", None)
    assert verdict["campaigns"], "without a campaign, no evidence is compared"
    assert hunted(site, SPARK) == (verdict, circumstances)


# What is not there


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_data_file_that_cannot_be_read_is_an_integrity_error(site: Path, tmp_path: Path, how: str) -> None:
    shutil.copytree(site, tmp_path / "store")
    store = Store(tmp_path / "store", spark=SPARK)
    for file in (tmp_path / "store" / "exchanges").glob("*.parquet"):
        if how == "missing":
            file.unlink()
        else:
            data = file.read_bytes()
            file.write_bytes(bytes(len(data) // 2) + data[len(data) // 2 :])
    with pytest.raises(IntegrityError, match="cannot be read"):
        store.table(store.exchanges())
    with pytest.raises(IntegrityError, match="cannot be read"):
        list(store.batches(store.exchanges()))


@pytest.mark.parametrize(
    ("master", "java", "said"),
    [
        ("local[1]", "/nowhere", "needs Java 17 or later"),
        ("local[none]", None, "does not start at 'local[none]'"),
    ],
)
def test_a_session_that_does_not_start_says_what_to_do(
    site: Path, tmp_path: Path, master: str, java: str | None, said: str
) -> None:
    code = (
        "import sys\nfrom strongroom.store import SparkSettings, Store\n"
        "from strongroom.core.errors import UsageError\nfrom pathlib import Path\n"
        "try: Store(Path(sys.argv[1]), spark=SparkSettings(sys.argv[2])).info()\n"
        "except UsageError as error: print(error)"
    )
    env = {**os.environ, "JAVA_HOME": java} if java else dict(os.environ)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), master], capture_output=True, text=True, env=env, check=False
    )
    assert said in done.stdout, done.stderr[-2000:]


def test_what_is_kept_has_the_same_rows_and_is_dropped(duckdb: Store, spark: Store) -> None:
    got = []
    for store in (duckdb, spark):
        with store.kept(slices(store.exchanges())) as kept:
            got.append(rows(store.table(kept)))
        with pytest.raises(Exception, match=r"(?i)kept_|not (found|exist)"):
            store.table(kept)
    assert got[0] == got[1] != []
