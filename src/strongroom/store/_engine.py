"""What a store asks of the engine that runs its queries; `_duckdb` and `_spark` are the two there are.

An Ibis expression is built once, over tables that `open` returns, and compiled by the engine that runs it. Neither
engine promises an order of rows unless the expression ends in `order_by`. Times are in UTC and have microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

__all__ = ["BATCH_ROWS", "SPILL", "Engine", "Partial", "checked"]

BATCH_ROWS = 1 << 16
"""Rows of one batch, unless a caller asks for fewer: with embeddings some 50 MB."""

SPILL = "spill"
"""The folder beside the tables for what does not fit into memory; what is left there can be removed."""

Partial = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""Rows in, sums out. It runs where the rows are: in another process, perhaps on another machine."""


class Engine(Protocol):
    """Runs queries over data files."""

    def open(self, name: str, files: Sequence[str], schema: pa.Schema) -> Any:
        """An Ibis table of the rows in Parquet files; a column that a file lacks is null. No file: no rows."""

    def table(self, expression: Any) -> pa.Table:
        """The result of an expression, whole."""

    def batches(self, expression: Any, rows: int) -> Iterator[pa.RecordBatch]:
        """The result of an expression, streamed in batches of at most `rows`, none of them empty."""

    def keep(self, name: str, expression: Any) -> Any:
        """The result of an expression as an Ibis table that is not computed again, until `drop`."""

    def drop(self, name: str) -> None:
        """Ends a table that `keep` made."""

    def partitions(self, expression: Any, by: str, function: Partial, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """What `function` makes of the rows, in batches of `schema`; rows with equal `by` go to one call of it."""


def checked(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with the names and types of `schema`. Raises TypeError for another: the function is wrong."""
    if batch.schema.names != schema.names or batch.schema.types != schema.types:
        raise TypeError(f"the function yielded {batch.schema.remove_metadata()}, not {schema}")
    return batch
