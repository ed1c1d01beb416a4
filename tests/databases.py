"""Both databases behind the tables, as tests use them: opened by Strongroom, and changed past it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from strongroom.state import State
from strongroom.state._engine import Database, database_of
from strongroom.state._migrate import migrate
from strongroom.state._schema import writing

from .postgres import PASSWORD, Server

KINDS = ("sqlite", "postgres")


class Place:
    """A database that is not there yet, or is empty."""

    at: Path | str
    password = ""

    def open(self, **more: Any) -> State:
        return State.open(self.at, password=self.password, **more)

    def database(self) -> Database:
        return database_of(self.at, self.password)

    def older(self, revision: str) -> None:
        """As an earlier Strongroom left it."""
        engine = self.database().engine()
        with writing(engine) as connection:
            migrate(connection, revision)
        engine.dispose()

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Past Strongroom; `?` stands for a value."""
        raise NotImplementedError

    def tables(self) -> set[str]:
        raise NotImplementedError


class SqlitePlace(Place):
    def __init__(self, path: Path) -> None:
        self.at = self.path = path

    def older(self, revision: str) -> None:
        self.path.touch(mode=0o600)
        super().older(revision)

    def run(self, statement: str, *values: Any) -> list[Any]:
        direct = sqlite3.connect(self.path)
        with direct:
            found = direct.execute(statement, values).fetchall()
        direct.close()
        return found

    def tables(self) -> set[str]:
        return {name for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'table'")}


class PostgresPlace(Place):
    password = PASSWORD

    def __init__(self, server: Server) -> None:
        self.server = server
        self.at: str = server.schema()

    def run(self, statement: str, *values: Any) -> list[Any]:
        return self.server.run(self.at, statement.replace("?", "%s"), *values)

    def tables(self) -> set[str]:
        return {name for (name,) in self.run("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}
