"""`State`: what may be asked of the tables, one transaction a call."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from sqlalchemy import Connection, Engine, Row, delete, exc, insert, select

from ..core.assets import Asset
from ..core.clock import Clock, now
from ..core.errors import IntegrityError, UsageError
from ._assets import put_assets, read_assets, remove_asset
from ._break_glass import BreakGlasses
from ._copy import copy_database
from ._engine import Database, database_of, told
from ._figures import Figures
from ._leases import Leases
from ._policy_sets import PolicySets
from ._principals import Principals
from ._rows import equal
from ._schema import writing
from ._survey import Survey
from ._tables import KEY_BYTES, subject_keys, writers
from ._versions import forget_versions, highest_version, record_version, reserve_version

__all__ = ["MAX_TYPES", "MAX_TYPE_CHARACTERS", "MAX_UID", "MAX_WRITERS", "State", "Transaction", "Writer"]

MAX_WRITERS = 1000
MAX_TYPES = 64
MAX_TYPE_CHARACTERS = 100
MAX_UID = 2**32 - 2
"""The last one means: no user."""
_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TYPE = re.compile(r"strongroom\.[a-z][a-z0-9_.-]*/[1-9][0-9]*")
_KEY = select(subject_keys.c.key).where(equal(subject_keys.c.lookup))


class Writer(msgspec.Struct, frozen=True):
    """Somebody who may append to the ledger. The token itself is nowhere, only its digest."""

    name: str
    token_digest: str
    """SHA-256 of the token, 64 hexadecimal digits."""
    types: list[str]
    """The entry types that it may write."""
    uid: int | None
    """The Unix user that must be at the other end, or None for any."""
    created: int
    """Microseconds since 1970."""


class Transaction:
    """What one transaction reads and changes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.principals = Principals(connection)
        self.leases = Leases(connection)
        self.break_glass = BreakGlasses(connection)
        self.policies = PolicySets(connection)
        self.survey = Survey(connection)
        self.figures = Figures(connection)

    def assets(self, *names: str) -> dict[str, Asset]:
        """Those of these names that are on the list."""
        return {one.name: one for one in read_assets(self._connection, *names)}

    def all_assets(self) -> list[Asset]:
        """See `State.assets`."""
        return read_assets(self._connection)

    def put_assets(self, assets: Sequence[Asset], *, replace: bool = False) -> int:
        """See `State.put_assets`."""
        return put_assets(self._connection, assets, replace=replace)

    def remove_asset(self, name: str) -> bool:
        """See `State.remove_asset`."""
        return remove_asset(self._connection, name)


class State:
    """The tables of one site. Threads may share it; processes open their own, and none survives a fork."""

    def __init__(self, database: Database, engine: Engine, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._random = random

    @classmethod
    def open(
        cls,
        place: Path | str,
        *,
        password: str = "",
        clock: Clock = now,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> State:
        """Opens `state.db`, or a PostgreSQL database by its URL; makes what is not there, upgrades what is older.

        Raises IntegrityError for a damaged one, StrongroomError for one of a newer Strongroom, of a full disk, or
        that does not answer, UsageError for a URL with a password in it.
        """
        database = database_of(place, password)
        with told(database):
            return cls(database, database.open(), clock, random)

    @property
    def where(self) -> str:
        """The database, as errors name it: a path, or an address without a password."""
        return self._database.where

    def close(self) -> None:
        """Closes every connection."""
        with told(self._database):
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def subject_key(self, lookup: str, create: bool) -> bytes | None:
        """The key of a subject, made and durable when it is returned if `create`; otherwise None where there is none.

        It is read anew each time: a key that another process erased must not live on here.
        """
        _check_digest(lookup, "a subject is looked up")
        with told(self._database):
            with self._engine.connect() as connection:
                key = _key(connection, lookup)
            if key is None and create:
                with writing(self._engine) as connection:
                    key = _key(connection, lookup)  # another process may have made it meanwhile: theirs it is
                    if key is None:
                        key = self._new_key()
                        row = {"lookup": lookup, "key": key, "created": self._clock()}
                        connection.execute(insert(subject_keys).values(row))
        if key is not None and len(key) != KEY_BYTES:
            raise IntegrityError(f"a subject's key has {len(key)} bytes", where=self._database.where)
        return key

    def forget_subject(self, lookup: str) -> bool:
        """Erases a subject's key from the table and from its files. Returns whether there was one.

        Raises StrongroomError when the row is deleted, but others kept its bytes from being overwritten: then
        calling again finishes the work.
        """
        _check_digest(lookup, "a subject is looked up")
        with told(self._database):
            with writing(self._engine) as connection:
                found = connection.execute(delete(subject_keys).where(subject_keys.c.lookup == lookup)).rowcount > 0
            self._database.erase(self._engine)
        return found

    def add_writer(self, name: str, token_digest: str, types: Sequence[str], uid: int | None = None) -> Writer:
        """Puts a writer on the list. Raises UsageError for a bad or taken name, a bad type, a token in use."""
        _check_writer(name, types, uid)
        _check_digest(token_digest, "a token is known")
        writer = Writer(name, token_digest, list(types), uid, self._clock())
        with told(self._database):
            try:
                with writing(self._engine) as connection:
                    if len(connection.execute(select(writers.c.name)).all()) >= MAX_WRITERS:
                        raise UsageError(f"there are {MAX_WRITERS:,} writers already", next="remove one")
                    connection.execute(insert(writers).values(msgspec.structs.asdict(writer)))
            except exc.IntegrityError:
                raise UsageError(
                    f"there is a writer '{name}' already, or one with this token", next="choose another name"
                ) from None
        return writer

    def writers(self) -> list[Writer]:
        """All writers, by name."""
        with told(self._database), self._engine.connect() as connection:
            return [_writer(row) for row in connection.execute(select(writers).order_by(writers.c.name))]

    def remove_writer(self, name: str) -> bool:
        """Takes a writer off the list. Returns whether it was on it."""
        with told(self._database), writing(self._engine) as connection:
            return connection.execute(delete(writers).where(writers.c.name == name)).rowcount > 0

    def writer_by_token_digest(self, digest: str) -> Writer | None:
        """The writer whose token has this SHA-256."""
        with told(self._database), self._engine.connect() as connection:
            row = connection.execute(select(writers).where(writers.c.token_digest == digest)).one_or_none()
            return None if row is None else _writer(row)

    def put_assets(self, assets: Sequence[Asset], *, replace: bool = False) -> int:
        """Puts assets on the list, all or none. Returns how many replaced one of the same name.

        Raises RefusedError and UsageError for what is no asset, AssetsTaken for names (without `replace`) and places
        that other assets have.
        """
        with told(self._database), writing(self._engine) as connection:
            return put_assets(connection, assets, replace=replace)

    def assets(self) -> list[Asset]:
        """All assets, by name."""
        with told(self._database), self._engine.connect() as connection:
            return read_assets(connection)

    def asset(self, name: str) -> Asset | None:
        """The asset of this name."""
        with told(self._database), self._engine.connect() as connection:
            return next(iter(read_assets(connection, name)), None)

    def remove_asset(self, name: str) -> bool:
        """Takes an asset off the list. Returns whether it was on it."""
        with told(self._database), writing(self._engine) as connection:
            return remove_asset(connection, name)

    def highest_version(self, line: str) -> tuple[int, str, str] | None:
        """Of a sealed object: the highest version that was seen, its manifest's digest, and its signer."""
        with told(self._database), self._engine.connect() as connection:
            return highest_version(connection, line)

    def reserve_version(self, line: str, at_least: int) -> int:
        """The next version of a sealed object, at least `at_least`, which nobody else gets."""
        with told(self._database), writing(self._engine) as connection:
            return reserve_version(connection, line, at_least, self._clock())

    def record_version(self, line: str, version: int, digest: str, signer: str) -> None:
        """Puts a version of a sealed object on record. Raises IntegrityError for one that is superseded."""
        if self.highest_version(line) == (version, digest, signer):  # nothing is written, and nobody waited for
            return
        with told(self._database), writing(self._engine) as connection:
            record_version(connection, line, version, digest, signer, self._clock())

    def forget_versions(self, line: str) -> bool:
        """Takes a sealed object's versions off the record. Returns whether there were any."""
        with told(self._database), writing(self._engine) as connection:
            return forget_versions(connection, line)

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction]:
        """One transaction over what decides who may open what; with `write`, nobody else writes meanwhile."""
        begin = writing(self._engine) if write else self._engine.connect()
        with told(self._database, own=False), begin as connection:
            yield Transaction(connection)

    def copy_to(self, target: Path, *, progress: Callable[[int, int], None] = lambda done, all: None) -> None:
        """Copies all tables, as they are at one moment, into a new SQLite file. Raises UsageError for PostgreSQL."""
        with told(self._database):
            copy_database(self._engine, target, progress)

    def stamp(self) -> tuple[int, ...]:
        """Changes whenever any process has changed the tables: what was read under the same stamp still holds."""
        with told(self._database):
            return self._database.stamp()

    def _new_key(self) -> bytes:
        key = self._random(KEY_BYTES)
        assert len(key) == KEY_BYTES
        return key


def _key(connection: Connection, lookup: str) -> bytes | None:
    return connection.scalar(_KEY, {"of_lookup": lookup})


def _writer(row: Row[Any]) -> Writer:
    """A row as a record; msgspec refuses what has another type, which `told` tells as damage."""
    return msgspec.convert(dict(zip(Writer.__struct_fields__, row, strict=True)), Writer)


def _check_digest(text: str, what: str) -> None:
    if not _HEX.fullmatch(text):
        raise UsageError(f"{what} by 64 hexadecimal digits, not by {len(text)} other characters")


def _check_writer(name: str, types: Sequence[str], uid: int | None) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name[:80]}' cannot name a writer", next="write a-z, 0-9, '.', '_', '-'; at most 64 characters"
        )
    if not 0 < len(types) <= MAX_TYPES:
        raise UsageError(f"a writer writes 1 to {MAX_TYPES} types of entries, not {len(types)}")
    for each in types:
        if each != "*" and (len(each) > MAX_TYPE_CHARACTERS or not _TYPE.fullmatch(each)):
            raise UsageError(f"'{each[:80]}' is no type of entry", next="it reads like strongroom.access/1; * is any")
    if uid is not None and not 0 <= uid <= MAX_UID:
        raise UsageError(f"{uid} is no Unix user id")
