"""One Delta table: append, compact, prune, and a schema that is migrated when the table is opened."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from strongroom.core.errors import IntegrityError, StrongroomError, UsageError

from ._schema import SCHEMA_VERSION

__all__ = ["Table"]

_RESUME = "free disk space or check permissions, then run the same command again: it resumes"
_REFUSED = set("[]%")
"""delta-rs panics at the brackets, and takes a percent sign for the start of an escaped letter."""
# zstd's fastest level: embeddings hardly compress, and slower levels cost more than they save.
_WRITER = WriterProperties(compression="ZSTD", compression_level=1)


class Table:
    """A Delta table in a directory. A row is there once `append` has returned, and never in part:
    delta-rs writes data files first and then one commit file, which readers go by.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Opens the table, or makes it. Raises UsageError for a path that delta-rs cannot have, IntegrityError when
        the table cannot be read or is newer than we are."""
        self.path = path
        self.schema = schema
        if refused := sorted(set(str(path.absolute())) & _REFUSED):
            raise UsageError(
                f"tables cannot lie in a directory with {' or '.join(refused)} in its name",
                where=str(path),
                next="choose another directory",
            )
        with _told("opened", path, IntegrityError, next="restore it from a backup"):
            try:
                self._delta = DeltaTable(str(path))
            except TableNotFoundError:
                self._create()
        self._migrate()

    def _create(self) -> None:
        with _told("made", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            description = json.dumps({"strongroom_schema": SCHEMA_VERSION})
            self._delta = DeltaTable.create(str(self.path), self.schema, description=description)

    def append(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Commits all rows or none. Raises StrongroomError when the disk is full or not writable."""
        # As one chunk: delta-rs writes several at once, in any order.
        rows = pa.Table.from_batches(batches, schema=self.schema).combine_chunks()
        self._check_space(rows.nbytes)
        with _told("written to", self.path):
            write_deltalake(
                self._delta,
                rows,
                mode="append",
                writer_properties=_WRITER,
            )

    def _check_space(self, needed: int) -> None:
        """Rather than fill the disk: others write to it too, and delta-rs panics loudly on its way to the error."""
        with _told("written to", self.path):
            free = shutil.disk_usage(self.path).free
        if free < needed:
            raise StrongroomError(
                f"the disk is full: {free >> 10:,} KiB are free, rows of {needed >> 10:,} KiB wait",
                where=str(self.path),
                next=_RESUME,
            )

    def files(self) -> list[str]:
        """The Parquet files that hold the table's rows now."""
        with _told("read", self.path, IntegrityError, next="restore it from a backup"):
            self._delta.update_incremental()
            # Their names alone: delta-rs writes a directory's spaces and letters as a URI does.
            return [str(self.path.absolute() / uri.rpartition("/")[2]) for uri in self._delta.file_uris()]

    def delete(self, predicate: str) -> int:
        """Deletes the rows that match an SQL predicate and returns their number. Their bytes go with `compact`."""
        with _told("pruned", self.path):
            return int(self._delta.delete(predicate).get("num_deleted_rows") or 0)

    def compact(self, *, orphans: bool) -> dict[str, int]:
        """Merges small files, then removes files that no longer hold rows. Returns counts.

        `orphans`: remove what killed writers left too; then nobody else may be writing. Removal does not wait: a
        reader that opened the table before must open it again.
        """
        with _told("compacted", self.path):
            self._delta.update_incremental()
            merged = self._delta.optimize.compact(writer_properties=_WRITER)
            removed = self._delta.vacuum(
                retention_hours=0, enforce_retention_duration=False, dry_run=False, full=orphans
            )
            self._delta.create_checkpoint()
            for left in self.path.rglob("*#*") if orphans else ():
                left.unlink()  # half-written files, which vacuum does not know
        return {
            "files_merged": int(merged["numFilesRemoved"]),
            "files_written": int(merged["numFilesAdded"]),
            "files_removed": len(removed),
        }

    def statistics(self) -> dict[str, Any]:
        """Rows, files, bytes and the table's version, from the Delta log alone."""
        self._delta.update_incremental()
        actions = pa.table(self._delta.get_add_actions(flatten=True))
        return {
            "rows": sum(n or 0 for n in actions["num_records"].to_pylist()),
            "files": actions.num_rows,
            "bytes": sum(n or 0 for n in actions["size_bytes"].to_pylist()),
            "version": self._delta.version(),
            "schema": SCHEMA_VERSION,
        }

    def _migrate(self) -> None:
        try:
            version = int(json.loads(self._delta.metadata().description or "{}")["strongroom_schema"])
        except (ValueError, KeyError, TypeError):
            raise IntegrityError(
                "this is not a table of Strongroom's", where=str(self.path), next="choose another --site"
            ) from None
        if version > SCHEMA_VERSION:
            raise IntegrityError(
                f"the table has schema {version}, this Strongroom knows {SCHEMA_VERSION}",
                where=str(self.path),
                next="upgrade Strongroom",
            )
        present = {field.name for field in self._delta.schema().fields}
        missing = [field for field in self.schema if field.name not in present]
        with _told("migrated", self.path):
            self._add(missing, version)

    def _add(self, missing: list[pa.Field], version: int) -> None:
        if missing:
            # An empty append with schema evolution adds the columns; old rows read as null.
            empty = pa.Table.from_batches([], schema=self.schema)
            write_deltalake(self._delta, empty, mode="append", schema_mode="merge")
            self._delta.update_incremental()
        if version < SCHEMA_VERSION:
            description = json.dumps({"strongroom_schema": SCHEMA_VERSION})
            self._delta.alter.set_table_description(description)
            self._delta.update_incremental()


@contextlib.contextmanager
def _told(
    what: str, path: Path, kind: type[StrongroomError] = StrongroomError, *, next: str = _RESUME
) -> Iterator[None]:
    """Tells the errors of delta-rs and of the disk as ours."""
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise kind(f"the table cannot be {what}: {error}", where=str(path), next=next) from error
