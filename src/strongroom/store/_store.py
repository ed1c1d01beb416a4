"""The tables of a site, and the one place where queries meet an engine.

Queries are Ibis expressions over a table's live file list; `Store.batches` streams a result, so that none needs to
fit into memory, and `Store.partitions` makes partial sums where the rows are. The engine is DuckDB, or Spark for what
reads exchanges; the keys that ingest asks for and findings, which are few, are read by DuckDB in either case.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.clock import format_time

from ._duckdb import DuckDB
from ._engine import BATCH_ROWS, SPILL, Engine, Partial
from ._schema import ACCESS_EVENTS, EXCHANGES, FINDINGS
from ._spark import Spark, SparkSettings
from ._table import Table

__all__ = ["Store", "microseconds"]


class Store:
    """`store/` of a site: `exchanges`, `access_events` and `findings`.

    Any number of processes may read; appends of several writers do not disturb each other (Delta commits).
    """

    def __init__(self, root: Path, *, spark: SparkSettings | None = None) -> None:
        """Opens or makes the tables below `root`; `spark` has it query exchanges there. Raises IntegrityError."""
        self.root = root
        self._exchanges = Table(root / "exchanges", EXCHANGES)
        self._access_events = Table(root / "access_events", ACCESS_EVENTS)
        self._findings = Table(root / "findings", FINDINGS)
        self._local = DuckDB(root)
        self._engine: Engine = Spark(root, spark) if spark else self._local

    # Exchanges

    def append_exchanges(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Commits all rows or none. Raises StrongroomError."""
        self._exchanges.append(batches)

    def exchanges(self, since: int | None = None, until: int | None = None) -> Any:
        """The stored exchanges from `since` on and before `until` (microseconds since 1970; None: no bound) as an
        Ibis table with the columns of EXCHANGES."""
        return _within(self._open(self._engine, self._exchanges, EXCHANGES), since, until)

    def appended(
        self, seen: frozenset[str], since: int | None = None, until: int | None = None
    ) -> tuple[Any, frozenset[str]] | None:
        """The exchanges in data files that are not among `seen`, as `exchanges` gives them, and all files that there
        are. None when a file in `seen` is gone (pruned, compacted): then what was read of it may be elsewhere."""
        files = self._exchanges.files()
        if not seen <= set(files):
            return None
        new = [file for file in files if file not in seen]
        table = self._engine.open(self._exchanges.path.name, new, EXCHANGES)
        return _within(table, since, until), frozenset(files)

    def files(self) -> int:
        """How many data files hold the exchanges."""
        return len(self._exchanges.files())

    # Access events

    def append_access_events(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Commits all rows or none. Raises StrongroomError."""
        self._access_events.append(batches)

    def access_events(self, since: int | None = None, until: int | None = None) -> Any:
        """The stored access events in a window, as `exchanges` gives exchanges, with the columns of ACCESS_EVENTS."""
        return _within(self._open(self._engine, self._access_events, ACCESS_EVENTS), since, until)

    # What is known already

    def keys(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Line keys and record keys of all stored rows, each of shape (rows,)."""
        tables = ((self._exchanges, EXCHANGES), (self._access_events, ACCESS_EVENTS))
        stored = [self._open(self._local, table, schema).select("line_key", "record_key") for table, schema in tables]
        table = self._local.table(stored[0].union(stored[1]))
        return (
            table["line_key"].combine_chunks().to_numpy(zero_copy_only=False),
            table["record_key"].combine_chunks().to_numpy(zero_copy_only=False),
        )

    # Queries

    def batches(self, expression: Any, *, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Streams the result of an Ibis expression over this store's tables."""
        yield from self._engine.batches(expression, rows)

    def table(self, expression: Any) -> pa.Table:
        """The result of an Ibis expression, whole."""
        return self._engine.table(expression)

    @contextlib.contextmanager
    def kept(self, expression: Any) -> Iterator[Any]:
        """An Ibis table of an expression's rows, computed once and held by the engine while the context lasts: for few
        rows, or few columns, that several queries begin from."""
        name = f"kept_{uuid.uuid4().hex}"
        try:
            yield self._engine.keep(name, expression)
        finally:
            self._engine.drop(name)

    def partitions(self, expression: Any, by: str, function: Partial, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """What `function` makes of an expression's rows, as batches of `schema`, in any order.

        Rows that are equal in the column `by` go to one call of `function`, in any order and mixed with others; how
        many calls there are is the engine's choice: one on DuckDB, many at once on Spark's executors. So a result for
        each `by` (an account's sums) is whole, and what is summed over all rows must be added up by the caller.
        `function` takes an iterator of batches, perhaps of none, and yields batches. It is sent to other processes:
        it and what it holds must be picklable, and it can ask neither this store nor anything else of this process.
        """
        yield from self._engine.partitions(expression, by, function, schema)

    def _open(self, engine: Engine, table: Table, schema: pa.Schema) -> Any:
        return engine.open(table.path.name, table.files(), schema)

    # Findings

    def append_findings(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commits rows with the columns of FINDINGS; `document` may be any record and is encoded here."""
        encoded = [{**row, "document": msgspec.json.encode(row["document"]).decode()} for row in rows]
        self._findings.append([pa.RecordBatch.from_pylist(encoded, schema=FINDINGS)])

    def findings(self, kind: str) -> list[dict[str, Any]]:
        """Rows of one kind (campaign, finding, verdict, dismissal), oldest first, `document` decoded."""
        table = self._open(self._local, self._findings, FINDINGS)
        chosen = self._local.table(table.filter(table.kind == kind).order_by("time")).to_pylist()
        return [{**row, "document": json.loads(row["document"])} for row in chosen]

    def last_finding(self, kind: str) -> int | None:
        """When the newest row of one kind was written, in microseconds since 1970."""
        table = self._open(self._local, self._findings, FINDINGS)
        newest = self._local.table(table.filter(table.kind == kind).aggregate(time=table.time.max()))["time"][0].as_py()
        return None if newest is None else round(newest.timestamp() * 1_000_000)

    # Care

    def info(self) -> dict[str, Any]:
        """Counts per table; for exchanges also accounts and the window in time."""
        import ibis

        exchanges = self.exchanges()
        query = exchanges.aggregate(
            accounts=exchanges.subject.nunique(),
            first=exchanges.time.min(),
            last=exchanges.time.max(),
            with_text=ibis.coalesce((exchanges.words > 0).sum(), 0),
        )
        row = self.table(query).to_pylist()[0]
        return {
            "exchanges": {
                **self._exchanges.statistics(),
                "accounts": row["accounts"],
                "with_text": int(row["with_text"]),
                "window": {
                    "start": _format(row["first"]),
                    "end": _format(row["last"]),
                },
            },
            "access_events": self._access_events.statistics(),
            "findings": self._findings.statistics(),
        }

    def prune(self, before: int) -> int:
        """Deletes exchanges and access events older than `before` (microseconds since 1970), and returns how many.

        Their bytes leave the disk at once. Findings and verdicts stay.
        """
        older = f"time < arrow_cast({int(before)}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
        deleted = self._exchanges.delete(older) + self._access_events.delete(older)
        self.compact()
        return deleted

    def compact(self) -> dict[str, dict[str, int]]:
        """Merges small files and removes those that no longer hold rows."""
        for left in (self.root / SPILL).glob("spark-*"):
            shutil.rmtree(left, ignore_errors=True)  # of a hunt that was killed
        # Hunts and prunings exclude each other, so nobody else writes exchanges; a dismissal may write a finding now.
        return {
            "exchanges": self._exchanges.compact(orphans=True),
            "access_events": self._access_events.compact(orphans=True),
            "findings": self._findings.compact(orphans=False),
        }


def microseconds(time: Any) -> Any:
    """A column of times as microseconds since 1970, exact and equal on both engines.

    `epoch_seconds` is not: its seconds have a fraction on DuckDB, and none on Spark.
    """
    return time.delta(_instant(0), unit="microsecond")


def _within(table: Any, since: int | None, until: int | None) -> Any:
    if since is not None:
        table = table.filter(table.time >= _instant(since))
    if until is not None:
        table = table.filter(table.time < _instant(until))
    return table


def _instant(time_us: int) -> Any:
    import ibis

    return ibis.literal(pa.scalar(time_us, pa.timestamp("us", "UTC")).as_py(), "timestamp('UTC')")


def _format(moment: Any) -> str:
    if moment is None:
        return ""
    return format_time(pa.scalar(moment, pa.timestamp("us", "UTC")).value)
