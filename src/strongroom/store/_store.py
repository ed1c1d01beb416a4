"""The tables of a site, and the one place where queries meet an engine.

Queries are Ibis expressions; `Store.batches` compiles one and streams its result, so that no result needs to
fit into memory. Today the engine is DuckDB over the table's live file list.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.clock import format_time
from strongroom.core.errors import IntegrityError, StrongroomError

from ._schema import EXCHANGES, FINDINGS
from ._table import Table

__all__ = ["Store"]

BATCH_ROWS = 1 << 16


class Store:
    """`store/` of a site: `exchanges` and `findings`.

    Any number of processes may read; appends of several writers do not disturb each other (Delta commits).
    """

    def __init__(self, root: Path) -> None:
        """Opens or makes the tables below `root`. Raises IntegrityError."""
        self.root = root
        self._exchanges = Table(root / "exchanges", EXCHANGES)
        self._findings = Table(root / "findings", FINDINGS)
        self._connection: Any = None

    # Exchanges

    def append_exchanges(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Commits all rows or none. Raises StrongroomError."""
        self._exchanges.append(batches)

    def exchanges(self, since: int | None = None, until: int | None = None) -> Any:
        """The stored exchanges from `since` on and before `until` (microseconds since 1970; None: no bound) as an
        Ibis table with the columns of EXCHANGES."""
        table = self._open(self._exchanges, EXCHANGES)
        if since is not None:
            table = table.filter(table.time >= _instant(since))
        if until is not None:
            table = table.filter(table.time < _instant(until))
        return table

    def keys(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Line keys and record keys of all stored exchanges, each of shape (rows,)."""
        table = self.table(self.exchanges().select("line_key", "record_key"))
        return (
            table["line_key"].combine_chunks().to_numpy(zero_copy_only=False),
            table["record_key"].combine_chunks().to_numpy(zero_copy_only=False),
        )

    # Queries

    def batches(self, expression: Any, *, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Streams the result of an Ibis expression over this store's tables."""
        # DuckDB 2 renamed what Ibis 12 calls to stream, so the compiled query goes to DuckDB itself.
        with self._told():
            relation = self._engine().con.sql(self._engine().compile(expression))
            yield from relation.to_arrow_reader(rows)

    def table(self, expression: Any) -> pa.Table:
        """The result of an Ibis expression, whole."""
        with self._told():
            relation = self._engine().con.sql(self._engine().compile(expression))
            return relation.to_arrow_table()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tells DuckDB's errors of memory, disk and files as ours; those of a query are our fault."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise StrongroomError(
                "a query needs more memory than there is",
                where=str(self.root),
                next="free memory, or narrow the window",
            ) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if type(error) not in (duckdb.Error, duckdb.IOException) and not isinstance(error, OSError):
                raise
            if "No space left" in str(error):
                raise StrongroomError(
                    "a query needs more disk than there is", where=str(self.root), next="free disk space"
                ) from error
            first = str(error).partition("\n")[0]
            raise IntegrityError(
                f"a data file cannot be read: {first}", where=str(self.root), next="restore it from a backup"
            ) from error

    def _engine(self) -> Any:
        if self._connection is None:
            import ibis

            # Extensions must not be fetched at run time; Parquet is built in.
            self._connection = ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False)
            self._connection.con.execute("SET TimeZone = 'UTC'")
            # What does not fit into memory: beside the tables, not in `.tmp` of whatever directory is current.
            self._connection.con.execute("SET temp_directory = $1", [str(self.root / "spill")])
        return self._connection

    def _open(self, table: Table, schema: pa.Schema) -> Any:
        import ibis

        files = table.files()
        if not files:
            name = f"empty_{table.path.name}"
            self._engine().con.register(name, pa.Table.from_batches([], schema=schema))
            return self._engine().table(name)
        # Files from before a migration lack its columns; they read as null, in every file or in some.
        with self._told():
            opened = self._engine().read_parquet(files, union_by_name=True)
        missing = [field for field in schema if field.name not in opened.columns]
        if missing:
            types = ibis.Schema.from_pyarrow(schema)
            opened = opened.mutate(**{field.name: ibis.null(types[field.name]) for field in missing})
        return opened

    # Findings

    def append_findings(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commits rows with the columns of FINDINGS; `document` may be any record and is encoded here."""
        encoded = [{**row, "document": msgspec.json.encode(row["document"]).decode()} for row in rows]
        self._findings.append([pa.RecordBatch.from_pylist(encoded, schema=FINDINGS)])

    def findings(self, kind: str) -> list[dict[str, Any]]:
        """Rows of one kind (campaign, finding, verdict, dismissal), oldest first, `document` decoded."""
        table = self._open(self._findings, FINDINGS)
        chosen = self.table(table.filter(table.kind == kind).order_by("time")).to_pylist()
        return [{**row, "document": json.loads(row["document"])} for row in chosen]

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
            "findings": self._findings.statistics(),
        }

    def prune(self, before: int) -> int:
        """Deletes exchanges older than `before` (microseconds since 1970), and returns how many.

        Their bytes leave the disk at once. Findings and verdicts stay.
        """
        deleted = self._exchanges.delete(f"time < arrow_cast({int(before)}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
        self.compact()
        return deleted

    def compact(self) -> dict[str, dict[str, int]]:
        """Merges small files and removes those that no longer hold rows."""
        # Hunts and prunings exclude each other, so nobody else writes exchanges; a dismissal may write a finding now.
        return {
            "exchanges": self._exchanges.compact(orphans=True),
            "findings": self._findings.compact(orphans=False),
        }


def _instant(time_us: int) -> Any:
    import ibis

    return ibis.literal(pa.scalar(time_us, pa.timestamp("us", "UTC")).as_py(), "timestamp('UTC')")


def _format(moment: Any) -> str:
    if moment is None:
        return ""
    return format_time(pa.scalar(moment, pa.timestamp("us", "UTC")).value)
