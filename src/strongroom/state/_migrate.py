"""Alembic, which takes a third of a second to import and is needed only where the version is not current."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

__all__ = ["configuration", "migrate"]

FOLDER = Path(__file__).parent / "migrations"


def configuration() -> Config:
    """Alembic's configuration, without a file."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def migrate(connection: Connection, revision: str) -> None:
    """Brings the database to `revision` inside the transaction that the connection is in."""
    made = configuration()
    made.attributes["connection"] = connection
    command.upgrade(made, revision)
