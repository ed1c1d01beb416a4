"""The state database: what it keeps, what it erases, and what it says when its file is not what it was."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from strongroom.core.errors import IntegrityError, StrongroomError, UsageError
from strongroom.state import State, _sqlite
from strongroom.state._migrate import configuration, migrate
from strongroom.state._state import MAX_TYPES, MAX_UID
from strongroom.state._tables import HEAD, REVISIONS, metadata

from ...databases import Place, SqlitePlace

LOOKUP, OTHER = "ab" * 32, "cd" * 32
TYPES = ["strongroom.access/1"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def state(place: Place) -> Iterator[State]:
    with place.open() as opened:
        yield opened


@pytest.fixture
def in_file(path: Path) -> Iterator[State]:
    with State.open(path) as opened:
        yield opened


def on_disk(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.parent.glob("state.db*"))


def test_a_key_is_made_once_and_is_there_after_reopening(place: Place) -> None:
    with place.open() as state:
        assert state.subject_key(LOOKUP, create=False) is None
        key = state.subject_key(LOOKUP, create=True)
        assert key is not None
        assert len(key) == 32
        assert state.subject_key(LOOKUP, create=True) == key
        assert state.subject_key(OTHER, create=True) != key
    with place.open() as state:
        assert state.subject_key(LOOKUP, create=False) == key


def test_time_and_randomness_come_from_outside(place: Place) -> None:
    with place.open(clock=lambda: 17, random=lambda count: b"r" * count) as state:
        assert state.subject_key(LOOKUP, create=True) == b"r" * 32
        assert state.add_writer("w", "00" * 32, TYPES).created == 17
        assert state.writers()[0].created == 17


def test_a_forgotten_key_is_nowhere_in_the_files(in_file: State, path: Path) -> None:
    key = in_file.subject_key(LOOKUP, create=True)
    kept = in_file.subject_key(OTHER, create=True)
    assert key is not None
    assert kept is not None
    assert key in on_disk(path)
    assert in_file.forget_subject(LOOKUP)
    found = on_disk(path)
    assert key not in found
    assert LOOKUP.encode() not in found
    assert kept in found
    assert not in_file.forget_subject(LOOKUP)
    assert in_file.subject_key(LOOKUP, create=True) != key


def test_many_keys_forgotten_among_many_kept_leave_nothing_in_any_page(in_file: State, path: Path) -> None:
    lookups = [f"{number * 2654435761 % 2**32:08x}" * 8 for number in range(300)]
    keys = {lookup: in_file.subject_key(lookup, create=True) or b"" for lookup in lookups}
    gone = lookups[::3] + lookups[1:150:3]
    for number, lookup in enumerate(gone):
        in_file.forget_subject(lookup)
        if number % 4 == 0:
            later = f"{number:032x}" + "f" * 32
            keys[later] = in_file.subject_key(later, create=True) or b""
    found = on_disk(path)
    assert [lookup for lookup in gone if keys[lookup] in found or lookup.encode() in found] == []
    assert all(key in found for lookup, key in keys.items() if lookup not in gone)


def test_forgetting_says_when_a_reader_holds_the_log_and_finishes_when_called_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite, "BUSY_SECONDS", 0.05)
    with State.open(path) as state:
        key = state.subject_key(LOOKUP, create=True) or b""
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM subject_keys").fetchall()
        with pytest.raises(StrongroomError, match="still in the write-ahead log"):
            state.forget_subject(LOOKUP)
        assert state.subject_key(LOOKUP, create=False) is None
        assert key in on_disk(path)
        reader.close()
        assert not state.forget_subject(LOOKUP)
        assert key not in on_disk(path)


def test_the_file_is_its_owners_alone_and_every_commit_is_durable(path: Path) -> None:
    before = os.umask(0)
    try:
        with State.open(path) as state:
            state.subject_key(LOOKUP, create=True)
            for each in path.parent.iterdir():
                assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
            with state._engine.connect() as connection:
                values = [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
                ]
            assert values == ["wal", 2, 1, 1]
    finally:
        os.umask(before)
    assert [each.name for each in path.parent.iterdir()] == ["state.db"]
    path.chmod(0o644)
    State.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["a b%20c?d#e&mode=ro", "état%(x)s"])
def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with State.open(tmp_path / name / "state.db") as state:
        assert state.subject_key(LOOKUP, create=True)
    assert [each.name for each in (tmp_path / name).iterdir()] == ["state.db"]


# Writers


def test_writers_are_kept_found_by_token_and_removed(state: State) -> None:
    first = state.add_writer("gateway", "01" * 32, [*TYPES, "strongroom.lease/1"], uid=1000)
    second = state.add_writer("a.keyserver", "02" * 32, TYPES)
    assert state.writers() == [second, first]
    assert state.writer_by_token_digest("01" * 32) == first
    assert state.writer_by_token_digest("03" * 32) is None
    assert state.remove_writer("gateway")
    assert not state.remove_writer("gateway")
    assert state.writer_by_token_digest("01" * 32) is None


@pytest.mark.parametrize(
    ("name", "digest", "types", "uid"),
    [
        ("taken", "05" * 32, TYPES, None),
        ("new", "04" * 32, TYPES, None),
        ("", "05" * 32, TYPES, None),
        ("A b", "05" * 32, TYPES, None),
        ("x" * 65, "05" * 32, TYPES, None),
        ("new", "05" * 31, TYPES, None),
        ("new", "05" * 32, [], None),
        ("new", "05" * 32, TYPES * (MAX_TYPES + 1), None),
        ("new", "05" * 32, ["access/1"], None),
        ("new", "05" * 32, ["strongroom.access/1\n"], None),
        ("new", "05" * 32, ["strongroom." + "a" * 100 + "/1"], None),
        ("new", "05" * 32, TYPES, -1),
        ("new", "05" * 32, TYPES, MAX_UID + 1),
    ],
)
def test_a_writer_that_is_none_is_wrong_use(
    state: State, name: str, digest: str, types: list[str], uid: int | None
) -> None:
    kept = state.add_writer("taken", "04" * 32, TYPES)
    with pytest.raises(UsageError):
        state.add_writer(name, digest, types, uid)
    assert state.writers() == [kept]


def test_there_are_not_more_writers_than_their_bound(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.state._state.MAX_WRITERS", 1)
    state.add_writer("one", "01" * 32, TYPES)
    with pytest.raises(UsageError, match="already"):
        state.add_writer("two", "02" * 32, TYPES)


# Files that are not what they were


def test_a_damaged_or_emptied_file_is_an_integrity_error_and_is_left_as_it_is(path: Path) -> None:
    for content in (b"", b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000):
        path.write_bytes(content)
        with pytest.raises(IntegrityError) as error:
            State.open(path)
        assert error.value.where == str(path)
        assert error.value.next
        assert path.read_bytes() == content


def test_damage_found_while_reading_is_an_integrity_error(path: Path) -> None:
    with State.open(path) as state:
        for number in range(200):
            state.subject_key(f"{number:064x}", create=True)
    data = bytearray(path.read_bytes())
    data[8192:] = b"\x5a" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="state database"), State.open(path) as state:
        for number in range(200):
            state.subject_key(f"{number:064x}", create=True)


def test_a_value_that_is_none_of_ours_is_an_integrity_error(state: State, place: Place) -> None:
    state.add_writer("w", "01" * 32, TYPES)
    no_json = ["{"] if isinstance(place, SqlitePlace) else []  # which PostgreSQL would not take
    for value in ('{"a": 1}', "[1]", *no_json):
        place.run("UPDATE writers SET types = ?", value)
        with pytest.raises(IntegrityError):
            state.writers()


def test_a_log_without_its_database_is_not_taken_for_a_new_site(path: Path) -> None:
    path.with_name("state.db-wal").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="gone"):
        State.open(path)
    assert not path.exists()


def test_a_newer_version_is_told_and_not_touched(place: Place) -> None:
    place.open().close()
    place.run("UPDATE alembic_version SET version_num = '0999'")
    before = place.run("SELECT * FROM alembic_version")
    file = place.path.read_bytes() if isinstance(place, SqlitePlace) else b""
    with pytest.raises(StrongroomError, match="version '0999'") as error:
        place.open()
    assert type(error.value) is StrongroomError
    assert "upgrade" in error.value.next
    assert place.run("SELECT * FROM alembic_version") == before
    assert not isinstance(place, SqlitePlace) or place.path.read_bytes() == file


def test_no_folder_and_no_permission_are_told(tmp_path: Path) -> None:
    with pytest.raises(StrongroomError, match="No such file"):
        State.open(tmp_path / "nowhere" / "state.db")
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StrongroomError):
        State.open(tmp_path / "state.db")


def test_an_error_shows_no_key(state: State, place: Place) -> None:
    place.run("DROP TABLE subject_keys")
    place.run("CREATE TABLE subject_keys (lookup TEXT, key TEXT)")
    state._random = lambda count: b"K" * count
    with pytest.raises(IntegrityError) as error:
        state.subject_key(LOOKUP, create=True)
    assert "KKKK" not in str(error.value) + str(error.value.__cause__)
    assert LOOKUP not in str(error.value) + str(error.value.__cause__)


# Versions


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_database_is_upgraded_and_keeps_what_it_holds(place: Place, revision: str) -> None:
    place.older(revision)
    place.run("INSERT INTO subject_keys VALUES (?, ?, 1)", LOOKUP, b"k" * 32)
    with place.open() as state:
        assert state.subject_key(LOOKUP, create=False) == b"k" * 32
        state.add_writer("w", "01" * 32, TYPES)
        state.reserve_version("acme/llama", 1)
        with state.transaction(write=True) as transaction:
            transaction.leases.see_time(1)
    assert place.run("SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_an_upgrade_that_fails_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.older(REVISIONS[0])

    def failing(connection: object, revision: str) -> None:
        migrate(connection, revision)  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("strongroom.state._migrate.migrate", failing)
        with pytest.raises(StrongroomError, match="No space"):
            place.open()
    assert place.run("SELECT version_num FROM alembic_version") == [(REVISIONS[0],)]
    assert "writers" not in place.tables()
    place.open().close()
    assert "writers" in place.tables()


def test_a_creation_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(connection: object, revision: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("strongroom.state._migrate.migrate", failing)
        with pytest.raises(StrongroomError, match="No space"):
            State.open(path)
    assert list(path.parent.iterdir()) == []


def test_the_migrations_lead_to_the_tables_that_the_code_has(state: State) -> None:
    script = ScriptDirectory.from_config(configuration())
    assert tuple(each.revision for each in script.walk_revisions())[::-1] == REVISIONS
    assert script.get_current_head() == HEAD
    with state._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def run(code: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_alembic_is_imported_only_to_migrate(path: Path) -> None:
    code = "import sys; from pathlib import Path; from strongroom.state import State; State.open(Path(sys.argv[1])); print('alembic' in sys.modules)"
    assert run(code, str(path)).communicate() == ("True\n", "")
    assert run(code, str(path)).communicate() == ("False\n", "")


# Processes


WORK = """
import sys
from pathlib import Path
from strongroom.state import State
place = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
print(flush=True)
sys.stdin.readline()
with State.open(place, password=sys.argv[3]) as state:
    for number in range(20):
        print(state.subject_key(f"{number:064x}", create=True).hex())
    state.add_writer("w" + sys.argv[2], f"{int(sys.argv[2]):064x}", ["strongroom.access/1"])
"""


@pytest.mark.parametrize("old", [False, True], ids=["new", "older"])
def test_processes_that_open_at_once_agree(place: Place, old: bool) -> None:
    if old:
        place.older(REVISIONS[0])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(place.at), str(number), place.password],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    said = [worker.communicate() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, said
    assert len({out for out, _ in said}) == 1
    with place.open() as state:
        assert [writer.name for writer in state.writers()] == ["w0", "w1", "w2", "w3"]
        key = state.subject_key(f"{0:064x}", create=False)
        assert key is not None
        assert key.hex() == said[0][0].split()[0]
    if isinstance(place, SqlitePlace):
        assert [each.name for each in place.path.parent.iterdir()] == ["state.db"]
