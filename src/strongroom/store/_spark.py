"""Spark: the engine of many machines, over the same files (extra `spark`).

Spark reads the files that delta-rs lists, so no jar is needed beside its own. Large results come back as Arrow files
in `spill/` beside the tables. Whoever runs a part of a query must have Strongroom: on a cluster it is installed on
every worker, or shipped with `spark.archives` (docs/scale.md).
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from strongroom.core.errors import IntegrityError, StrongroomError, UsageError

from ._engine import BATCH_ROWS, SPILL, Partial, checked

__all__ = ["Spark", "SparkSettings"]

_DEFAULTS = {
    "spark.ui.enabled": "false",  # a page without a password
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "2g",  # results may have 1 GB, which Java's own limit does not hold
    "spark.log.level": "FATAL",  # what goes wrong is raised
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
}
_ON_ONE_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
_LISTED = pa.schema([("part", pa.int32()), ("file", pa.string())])
_TYPES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.list_(pa.int64()): "array<bigint>",
    pa.list_(pa.string()): "array<string>",
    pa.map_(pa.string(), pa.string()): "map<string,string>",
}


@dataclass(frozen=True)
class SparkSettings:
    """Where Spark is, and how it is set up."""

    master: str = "local[*]"
    options: Mapping[str, str] = field(default_factory=dict)
    """Spark's own configuration, such as spark.executor.memory."""


class Spark:
    """This process's Spark session, started when the first query comes."""

    def __init__(self, root: Path, settings: SparkSettings) -> None:
        self._root = root
        self._settings = settings
        self._made: Any = None
        self._views: set[str] = set()

    @property
    def connection(self) -> Any:
        """Ibis's backend. Raises UsageError when the extra, Java or the cluster is missing."""
        if self._made is None:
            session = _session(self._settings)
            import ibis

            self._made = ibis.pyspark.connect(session)  # sets the session's time zone to UTC
        return self._made

    def open(self, name: str, files: Sequence[str], schema: pa.Schema) -> Any:
        """See Engine. Raises IntegrityError."""
        session = self.connection._session
        digest = hashlib.sha256("\0".join([*files, str(schema)]).encode())
        view = f"{name}_{digest.hexdigest()[:16]}"
        if view not in self._views:
            columns = ", ".join(f"`{field.name}` {_TYPES[field.type]}" for field in schema)
            if files:
                with self._told():
                    frame = session.read.schema(columns).parquet(*map(_path, files))
            else:
                frame = session.createDataFrame([], columns)
            frame.createOrReplaceTempView(view)
            self._views.add(view)
        return self.connection.table(view)

    def table(self, expression: Any) -> pa.Table:
        """See Engine. Raises IntegrityError, StrongroomError."""
        with self._told():
            return self._frame(expression).toArrow()

    def batches(self, expression: Any, rows: int) -> Iterator[pa.RecordBatch]:
        """See Engine. Raises IntegrityError, StrongroomError."""
        with self._told():
            yield from self._made_by(_same, None, rows, self._frame(expression))

    def keep(self, name: str, expression: Any) -> Any:
        """See Engine. Raises IntegrityError, StrongroomError."""
        with self._told():
            self._frame(expression).cache().createOrReplaceTempView(name)
        return self.connection.table(name)

    def drop(self, name: str) -> None:
        """See Engine."""
        session = self.connection._session
        with self._told():
            session.table(name).unpersist()
            session.catalog.dropTempView(name)

    def partitions(self, expression: Any, by: str, function: Partial, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """See Engine. Raises IntegrityError, StrongroomError."""
        with self._told():
            yield from self._made_by(function, schema, BATCH_ROWS, self._frame(expression).repartition(by))

    def _made_by(self, function: Partial, schema: pa.Schema | None, rows: int, frame: Any) -> Iterator[pa.RecordBatch]:
        """What `function` makes of each part of a frame, in the order of the parts.

        Executors write it to files beside the tables, which they can reach in any case, and say which: through
        Spark's driver each part would have to fit into that process's memory, and one part would come after the other.
        """
        folder = self._root / SPILL / f"spark-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
            made = frame.mapInArrow(_shipped(function, schema, rows, str(folder)), "part int, file string").toArrow()
            for file in made.sort_by("part")["file"].to_pylist():
                with pa.OSFile(str(folder / file)) as source, pa.ipc.open_stream(source) as reader:
                    yield from reader
                (folder / file).unlink()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _frame(self, expression: Any) -> Any:
        return self.connection._session.sql(self.connection.compile(expression))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tells Spark's errors of memory, disk and files as ours; those of a query are our fault."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            yield
        except (PySparkException, Py4JError, ConnectionError) as error:
            raise _ours(error, str(self._root)) or error from error


def _ours(error: Exception, where: str) -> StrongroomError | None:
    text = str(error)
    if re.search(r"No module named '?strongroom", text):
        return UsageError(
            "Strongroom is not there where Spark's executors run",
            where=where,
            next="install it on every worker, or ship it with spark.archives (docs/scale.md)",
        )
    if re.search(r"OutOfMemoryError|maxResultSize|Container killed", text):
        return StrongroomError(
            "a query needs more memory than Spark has",
            where=where,
            next="raise spark.executor.memory, spark.driver.memory or spark.driver.maxResultSize (store.spark_options)",
        )
    if "No space left" in text:
        return StrongroomError("a query needs more disk than there is", where=where, next="free disk space")
    if re.search(r"FAILED_READ_FILE|PATH_NOT_FOUND|FileNotFoundException", text):
        first = text.partition("\n")[0]
        return IntegrityError(f"a data file cannot be read: {first}", where=where, next="restore it from a backup")
    if isinstance(error, ConnectionError) or "Py4JNetworkError" in type(error).__name__:
        return StrongroomError("Spark ended while a query ran", where=where, next="look at Spark's own log")
    return None


def _session(settings: SparkSettings) -> Any:
    """The process's session; it is started if there is none."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise UsageError(
            "store.engine is 'spark', and PySpark is not installed", next="run: pip install 'strongroom[spark]'"
        ) from None
    # Executors run this very Python unless told otherwise: on one machine they share its packages.
    os.environ.setdefault("PYSPARK_PYTHON", settings.options.get("spark.pyspark.python", sys.executable))
    local = _ON_ONE_MACHINE if settings.master.startswith("local") else {}
    builder = SparkSession.builder.master(settings.master).appName("strongroom")
    for name, value in {**_DEFAULTS, **local, **settings.options}.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
        atexit.register(session.stop)  # a second time does nothing; left to the JVM, executors are lost noisily
        return session
    except (PySparkException, OSError) as error:
        if "JAVA_GATEWAY_EXITED" in str(error) or isinstance(error, OSError):
            raise UsageError(
                "Spark does not start: it needs Java 17 or later",
                next="install openjdk-17-jre-headless, or set JAVA_HOME",
            ) from error
        raise _unreachable(settings, error) from error
    except Exception as error:  # whatever the JVM says of a master, by its name alone
        raise _unreachable(settings, error) from error


def _unreachable(settings: SparkSettings, error: Exception) -> UsageError:
    said = next((line for line in str(error).splitlines() if "Exception" in line), str(error).partition("\n")[0])
    return UsageError(
        f"Spark does not start at '{settings.master}': {said.strip()[:300]}",
        next="check store.spark_master and store.spark_options in strongroom.toml",
    )


def _path(file: str) -> str:
    """A file as Spark takes it: with a scheme, and with what would be a pattern escaped."""
    named = file if re.match(r"[a-z0-9]+://", file) else f"file:{Path(file).absolute()}"
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", named)


# What runs on the executors


def _same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def _shipped(function: Partial, schema: pa.Schema | None, rows: int, folder: str) -> Callable[[Any], Any]:
    """`function` with its results in a file, of which it yields the name."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        name = f"{uuid.uuid4().hex}.arrow"  # another one where Spark tries a task again
        with contextlib.ExitStack() as stack:
            writer = None
            for batch in function(batches):
                made = checked(batch, schema) if schema is not None else batch
                for start in range(0, made.num_rows, rows):
                    if writer is None:
                        writer = stack.enter_context(pa.ipc.new_stream(str(Path(folder, name)), made.schema))
                    writer.write_batch(made.slice(start, rows))
        if writer is not None:
            yield pa.RecordBatch.from_pydict({"part": [TaskContext.get().partitionId()], "file": [name]}, _LISTED)

    return run
