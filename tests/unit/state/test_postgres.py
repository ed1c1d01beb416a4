"""State in PostgreSQL: what SQLite does by its file, and what becomes of it while PostgreSQL is away."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from strongroom.core.errors import IntegrityError, StrongroomError, UsageError
from strongroom.state import State, _psycopg, check_url
from strongroom.state._postgres import LOCK
from strongroom.state._schema import writing

from ...databases import PostgresPlace
from ...postgres import OWNER, PASSWORD, Server

LOOKUP = "ab" * 32


@pytest.fixture
def there(postgres: Server) -> PostgresPlace:
    return PostgresPlace(postgres)


@pytest.fixture
def state(there: PostgresPlace) -> Iterator[State]:
    with there.open() as opened:
        yield opened


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_psycopg, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(_psycopg, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(_psycopg, "_SETTINGS", _psycopg._SETTINGS.replace("'10s'", "'100ms'"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host/db",
        "postgresql://me:secr#t@host/db",
        "postgresql://me:@host/db",
        "postgresql://host/db?password=secret",
        "postgresql://host/db?sslmode=require&pass%77ord=secret",
        "postgresql://host/db#x?password=secret",
    ],
)
def test_a_password_in_an_address_is_wrong_use_and_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="holds no password") as error:
        check_url(url)
    assert "secr" not in str(error.value)


@pytest.mark.parametrize("url", ["", "mysql://host/db", "/srv/state.db", "postgresql://a b/c", "postgresql://a\n/c"])
def test_what_is_no_address_of_postgresql_is_wrong_use(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        State.open(url)


def test_without_the_extra_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match="extra `postgres`"):
        State.open("postgresql://127.0.0.1/none")


def test_the_driver_is_imported_only_for_it(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from strongroom.state import State; State.open(Path(sys.argv[1])); sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "state.db"], check=True)


@pytest.mark.parametrize("password", ["", "wrong-5190"])
def test_who_is_not_let_in_is_told_where_and_shown_no_password(there: PostgresPlace, password: str) -> None:
    with pytest.raises(StrongroomError, match="password") as error:
        State.open(there.at, password=password)
    assert type(error.value) is StrongroomError
    assert error.value.where == there.at
    assert error.value.next
    assert not password or password not in str(error.value)


def test_a_unix_socket_will_do(postgres: Server) -> None:
    name = postgres.database().rpartition("/")[2]
    url = f"postgresql://{OWNER}@/{name}?host={postgres.place}&port={postgres.port}"
    with State.open(url, password=PASSWORD) as state:
        assert state.subject_key(LOOKUP, create=True)


def test_tables_of_something_else_are_left_alone(there: PostgresPlace) -> None:
    there.run("CREATE TABLE writers (name TEXT)")
    with pytest.raises(IntegrityError, match="already exists"):
        there.open()
    assert there.tables() == {"writers"}


def test_a_database_that_lost_its_version_is_not_taken_for_a_new_one(there: PostgresPlace) -> None:
    there.open().close()
    there.run("DELETE FROM alembic_version")
    with pytest.raises(IntegrityError, match="names no version"):
        there.open()


def test_who_may_not_write_is_told(postgres: Server) -> None:
    url = postgres.database()
    State.open(url, password=PASSWORD).close()
    postgres.run(url, f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    with pytest.raises(StrongroomError, match="permission denied") as error:
        State.open(url.replace(f"{OWNER}@", "reader@"), password=PASSWORD)
    assert type(error.value) is StrongroomError


def test_a_row_that_is_refused_shows_no_value(there: PostgresPlace, state: State) -> None:
    there.run("ALTER TABLE subject_keys ADD CHECK (created < 0)")
    state._random = lambda count: b"K" * count
    with pytest.raises(StrongroomError) as error:
        state.subject_key(LOOKUP, create=True)
    shown = f"{error.value} {error.value.__cause__}"
    assert LOOKUP not in shown
    assert "4b4b4b" not in shown
    assert "KKKK" not in shown


# One after the other


def test_writers_wait_for_each_other_and_readers_for_nobody(there: PostgresPlace, state: State) -> None:
    done = threading.Event()

    def write() -> None:
        with there.open() as other:
            other.subject_key(LOOKUP, create=True)
        done.set()

    with writing(state._engine):
        thread = threading.Thread(target=write)
        thread.start()
        with there.open() as reader:
            assert reader.subject_key(LOOKUP, create=False) is None
            with reader.transaction(write=False) as transaction:
                assert transaction.leases.seen_time() == 0
        assert not done.wait(0.3)
    assert done.wait(10)
    thread.join()
    assert state.subject_key(LOOKUP, create=False)


def test_who_waited_sees_what_was_written_before(there: PostgresPlace, state: State) -> None:
    """The reason for READ COMMITTED: counting up from many threads loses nothing."""

    def count() -> None:
        with there.open() as other:
            for _ in range(10):
                with other.transaction(write=True) as transaction:
                    transaction.leases.see_time(transaction.leases.seen_time() + 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with state.transaction(write=False) as transaction:
        assert transaction.leases.seen_time() == 40


def test_who_reads_sees_one_moment_and_cannot_write(there: PostgresPlace, state: State) -> None:
    with state.transaction(write=False) as transaction:
        assert transaction.leases.seen_time() == 0
        with there.open() as other, other.transaction(write=True) as writer:
            writer.leases.see_time(5)
        assert transaction.leases.seen_time() == 0
    with pytest.raises(StrongroomError, match="ReadOnly"), state.transaction(write=False) as transaction:
        transaction.leases.see_time(7)


@pytest.mark.usefixtures("quick")
def test_who_waits_too_long_for_another_is_told(there: PostgresPlace) -> None:
    with there.open() as state:
        with psycopg.connect(there.at, password=PASSWORD) as other:
            other.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            with pytest.raises(StrongroomError, match="another process holds"):
                state.subject_key(LOOKUP, create=True)
        assert state.subject_key(LOOKUP, create=True)


def test_what_is_erased_is_in_no_file_of_the_table(postgres: Server, there: PostgresPlace, state: State) -> None:
    """Its log is another matter: docs/limitations.md."""
    keys = [state.subject_key(f"{number:064x}", create=True) or b"" for number in range(40)]
    file = "SELECT pg_relation_filepath('subject_keys')"
    before = [number for number in range(40) if number % 3]
    for number in before:
        assert state.forget_subject(f"{number:064x}")
    assert not state.forget_subject(f"{before[0]:064x}")
    there.run("CHECKPOINT")
    found = (postgres.place / "data" / there.run(file)[0][0]).read_bytes()
    assert [number for number in range(40) if keys[number] in found] == [0, *range(3, 40, 3)]


@pytest.mark.usefixtures("quick")
def test_erasing_that_a_reader_prevents_is_told_and_finished_when_called_again(there: PostgresPlace) -> None:
    with there.open() as state:
        state.subject_key(LOOKUP, create=True)
        with psycopg.connect(there.at, password=PASSWORD) as reader:
            reader.execute("SELECT * FROM subject_keys")
            with pytest.raises(StrongroomError, match="another process holds"):
                state.forget_subject(LOOKUP)
        assert state.subject_key(LOOKUP, create=False) is None
        assert not state.forget_subject(LOOKUP)


def test_no_stamp_comes_twice(state: State) -> None:
    assert len({state.stamp() for _ in range(10)}) == 10


# Away, and back


@pytest.fixture
def own() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


def test_postgresql_crashes_and_returns(own: Server) -> None:
    there = PostgresPlace(own)
    with there.open() as state:
        key = state.subject_key(LOOKUP, create=True)
        own.stop()
        for _ in range(2):
            with pytest.raises(StrongroomError, match="cannot be used") as error:
                state.subject_key(LOOKUP, create=False)
            assert error.value.where == there.at
        own.start()
        assert state.subject_key(LOOKUP, create=False) == key
        with pytest.raises(StrongroomError), state.transaction(write=True) as transaction:
            transaction.leases.see_time(5)
            own.stop()
        own.start()
        with state.transaction(write=True) as transaction:
            assert transaction.leases.seen_time() == 0, "what was not committed is not there"


@pytest.mark.usefixtures("quick")
def test_postgresql_that_does_not_answer_is_not_waited_for(own: Server) -> None:
    there = PostgresPlace(own)
    with there.open() as state:
        key = state.subject_key(LOOKUP, create=True)
        own.freeze(True)
        begun = time.monotonic()
        with pytest.raises(StrongroomError, match="cannot be used"):
            state.subject_key(LOOKUP, create=False)
        own.freeze(False)
        assert state.subject_key(LOOKUP, create=False) == key
        with pytest.raises(StrongroomError, match="no answer in"), state.transaction(write=True) as transaction:
            own.freeze(True)
            transaction.leases.see_time(5)
        own.freeze(False)
        with state.transaction(write=True) as transaction:
            assert transaction.leases.seen_time() == 0
        assert time.monotonic() - begun < 60, "it ends"
