"""A copy of the tables as they are at one moment, while others use them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import cast

from sqlalchemy import Engine

from ..core.errors import UsageError

__all__ = ["copy_database"]


def copy_database(engine: Engine, target: Path, progress: Callable[[int, int], None]) -> None:
    """Makes a whole, durable SQLite file of mode 0600. For use inside `told`. Raises UsageError for PostgreSQL."""
    if engine.dialect.name != "sqlite":
        raise UsageError("the tables are in PostgreSQL, not in the site's directory", next="back them up with pg_dump")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = engine.raw_connection()
    made = sqlite3.connect(target)
    try:
        source = cast("sqlite3.Connection", connection.driver_connection)
        # All at once: in steps it begins anew whenever somebody writes. Readers of a WAL database hold nobody up.
        source.backup(made, progress=lambda _, left, all: progress(all - left, all))
        made.execute("PRAGMA journal_mode = DELETE")  # one file: nothing of it stays beside
    finally:
        made.close()
        connection.close()
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
