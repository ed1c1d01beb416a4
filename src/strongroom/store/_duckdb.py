"""DuckDB, in this process: the engine of one machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from strongroom.core.errors import IntegrityError, StrongroomError

from ._engine import BATCH_ROWS, SPILL, Partial, checked

__all__ = ["DuckDB"]


class DuckDB:
    """A connection of its own, made when the first query comes. `root` is where its overflow goes, and is named in
    errors."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: Any = None

    @property
    def connection(self) -> Any:
        """Ibis's backend; its `con` is DuckDB's own connection."""
        if self._made is None:
            import ibis

            # Extensions must not be fetched at run time; Parquet is built in.
            made = ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False)
            made.con.execute("SET TimeZone = 'UTC'")
            made.con.execute("SET enable_progress_bar = false")  # it would be drawn on stdout
            # What does not fit into memory: beside the tables, not in `.tmp` of whatever directory is current.
            made.con.execute("SET temp_directory = $1", [str(self._root / SPILL)])
            self._made = made
        return self._made

    def open(self, name: str, files: Sequence[str], schema: pa.Schema) -> Any:
        """See Engine. Raises IntegrityError."""
        import ibis

        if not files:
            self.connection.con.register(f"empty_{name}", pa.Table.from_batches([], schema=schema))
            return self.connection.table(f"empty_{name}")
        # Files from before a migration lack its columns; they read as null, in every file or in some.
        with self._told():
            opened = self.connection.read_parquet(list(files), union_by_name=True)
        missing = [field for field in schema if field.name not in opened.columns]
        if missing:
            types = ibis.Schema.from_pyarrow(schema)
            opened = opened.mutate(**{field.name: ibis.null(types[field.name]) for field in missing})
        return opened

    def _compiled(self, expression: Any) -> str:
        """SQL in which what an expression uses twice is read twice: DuckDB would hold it in memory, embeddings too."""
        from sqlglot import exp

        query = self.connection.compiler.to_sqlglot(expression)  # as `compile` does, which would write it out
        for common in query.find_all(exp.CTE):
            common.set("materialized", False)
        return str(query.sql(dialect="duckdb"))

    def table(self, expression: Any) -> pa.Table:
        """See Engine. Raises IntegrityError, StrongroomError."""
        with self._told():
            relation = self.connection.con.sql(self._compiled(expression))
            return relation.to_arrow_table()

    def batches(self, expression: Any, rows: int) -> Iterator[pa.RecordBatch]:
        """See Engine. Raises IntegrityError, StrongroomError."""
        # DuckDB 2 renamed what Ibis 12 calls to stream, so the compiled query goes to DuckDB itself.
        with self._told():
            relation = self.connection.con.sql(self._compiled(expression))
            yield from relation.to_arrow_reader(rows)

    def keep(self, name: str, expression: Any) -> Any:
        """See Engine. Raises IntegrityError, StrongroomError."""
        with self._told():
            self.connection.con.execute(f"CREATE TEMP TABLE {name} AS {self._compiled(expression)}")
        return self.connection.table(name)

    def drop(self, name: str) -> None:
        """See Engine."""
        self.connection.con.execute(f"DROP TABLE IF EXISTS {name}")

    def partitions(self, expression: Any, by: str, function: Partial, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """One call sees every row, whatever `by` is."""
        for batch in function(self.batches(expression, BATCH_ROWS)):
            yield checked(batch, schema)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tells DuckDB's errors of memory, disk and files as ours; those of a query are our fault."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise StrongroomError(
                "a query needs more memory than there is",
                where=str(self._root),
                next="free memory, or narrow the window",
            ) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if type(error) not in (duckdb.Error, duckdb.IOException) and not isinstance(error, OSError):
                raise
            if "No space left" in str(error):
                raise StrongroomError(
                    "a query needs more disk than there is", where=str(self._root), next="free disk space"
                ) from error
            first = str(error).partition("\n")[0]
            raise IntegrityError(
                f"a data file cannot be read: {first}", where=str(self._root), next="restore it from a backup"
            ) from error
