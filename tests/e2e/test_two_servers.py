"""Two servers that share their state in PostgreSQL: nothing twice, nothing unrecorded, whatever stops."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from strongroom.access import request_lease, revoke_lease
from strongroom.core.errors import RefusedError, StrongroomError, UsageError
from strongroom.core.records import Entry
from strongroom.site import OWN_WRITER, Site

from ..gates import ASSET, TWO_MINUTES, Gate, at_once, share_state
from ..postgres import Server
from .test_policy import Desk

RACES, RACERS = 3, 4


@pytest.fixture
def gate(tmp_path: Path, postgres: Server) -> Gate:
    return Gate(tmp_path, postgres)


@pytest.fixture
def own(postgres: Server) -> Iterator[Server]:
    """One that may be stopped; `postgres` says whether there is any."""
    server = Server()
    yield server
    server.remove()


class Disturbed:
    """A recorder in whose way something comes, before it writes or after."""

    def __init__(self, recorder: object, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._recorder, self._before, self._after = recorder, before, after

    def append(self, entry: Entry) -> int:
        self._before()
        index = int(self._recorder.append(entry))  # type: ignore[attr-defined]
        self._after()
        return index


def nothing() -> None:
    pass


def test_of_two_servers_that_race_for_one_approved_export_one_gets_it(gate: Gate) -> None:
    for _ in range(RACES):
        lease = gate.lease()
        racers = [partial(gate.export, lease, at=number % 2) for number in range(RACERS)]
        assert at_once(racers) == [0] * RACERS
        assert gate.let_in()[lease] == 1
    allowed = gate.on_record()
    assert [allowed[lease] for lease in gate.let_in()] == [1] * RACES


@pytest.mark.parametrize("what", ["grant", "principal", "lease"])
def test_what_is_revoked_on_one_is_refused_by_the_other_at_its_next_request(gate: Gate, what: str) -> None:
    first, second = gate.access(0), gate.access(1)
    lease = ""
    if what == "lease":
        lease = request_lease(first, gate.me, "OpenWeights", ASSET, digest="", purpose="serving", seconds=3600).id
    refused: list[tuple[float, float]] = []
    let_in: list[float] = []

    def ask_again_and_again() -> None:
        while not refused:
            begun = time.monotonic()
            try:
                gate.ask(second, lease, "OpenWeights", purpose="serving")
                let_in.append(begun)
            except RefusedError:
                refused.append((begun, time.monotonic()))

    thread = threading.Thread(target=ask_again_and_again)
    thread.start()
    while len(let_in) < 3:
        time.sleep(0.01)
    with first.state.transaction(write=True) as transaction:
        if what == "grant":
            transaction.principals.revoke(gate.me, "OpenWeights", ASSET)
        elif what == "principal":
            transaction.principals.remove(gate.me)
        else:
            revoke_lease(transaction, lease, first.clock())
    committed = time.monotonic()
    thread.join(30)
    assert refused
    assert max(let_in) < committed, "no request that began after the revocation was let in"
    print(f"\n{what}: refused {1000 * (refused[0][1] - committed):.0f} ms after the commit")
    first.state.close()
    second.state.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_dies_between_decision_and_release_and_the_other_goes_on(gate: Gate, when: str) -> None:
    lease = gate.lease()

    def dies() -> None:
        access = gate.access(0)
        die = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        ways = (die, nothing) if when == "before" else (nothing, die)
        access.recorder = Disturbed(access.recorder, *ways)
        gate.ask(access, lease)

    assert at_once([dies]) == [-signal.SIGKILL]
    assert gate.state_of(lease) == "pending"
    access = gate.access(1)
    with pytest.raises(RefusedError, match="is being used at this moment"):
        gate.ask(access, lease)
    access.state.close()
    assert at_once([lambda: gate.export(lease, TWO_MINUTES, at=1)] * 2) == [0, 0]
    assert gate.let_in() == {lease: 1}
    assert gate.on_record()[lease] == (1 if when == "before" else 2), "what was recorded and not released, too"
    assert gate.state_of(lease) == "used"


@pytest.mark.parametrize("when", ["before", "between"])
def test_postgresql_stops_and_returns(tmp_path: Path, own: Server, when: str) -> None:
    gate = Gate(tmp_path, own)
    lease = gate.lease()
    accesses = [gate.access(0), gate.access(1)]
    for access in accesses:
        with pytest.raises(RefusedError, match="two other people"):  # and has a connection now
            gate.ask(access, "")
    if when == "before":
        own.stop()
    else:
        accesses[0].recorder = Disturbed(accesses[0].recorder, nothing, own.stop)
    for access in accesses * 2:
        with pytest.raises(StrongroomError, match="the state database cannot be used") as error:
            gate.ask(access, lease)
        assert type(error.value) is StrongroomError
    assert not gate.let_in()
    own.start()
    if when == "between":
        accesses[0].recorder = Disturbed(accesses[0].recorder, nothing, nothing)
        for access in accesses:
            access.clock = gate.access(0, TWO_MINUTES).clock
    gate.ask(accesses[1], lease)
    with pytest.raises(RefusedError, match="is used"):
        gate.ask(accesses[0], lease)
    gate.check()
    for access in accesses:
        access.state.close()


def test_two_servers_are_set_up_as_the_documentation_says(tmp_path: Path, postgres: Server) -> None:
    """docs/scale.md, step by step; then sealed on one, opened on the other."""
    for name in "AB":
        Site.create(tmp_path / name, origin=f"example.com/{name}")
    share_state([tmp_path / "A", tmp_path / "B"], postgres.database())
    (tmp_path / "S").symlink_to("A")
    desk = Desk(tmp_path)
    toml = tmp_path / "A/strongroom.toml"
    toml.write_text(toml.read_text().replace('mode = "enforce"', 'mode = "off"'))
    desk.run("principal", "add", desk.me, "--group", "owners")
    desk.run("policy", "publish", "--default")
    toml.write_text(toml.read_text().replace('mode = "off"', 'mode = "enforce"'))
    (tmp_path / "A/keys/writer.token").unlink()
    desk.run("ledger", "writer", "add", "strongroom", "--type", "*", "--token-file", "A/keys/writer.token")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.bin").write_bytes(bytes(range(256)))
    desk.run("vault", "seal", "weights", "-o", "m", "--name", ASSET)
    assert Site.open(tmp_path / "A").name == Site.open(tmp_path / "B").name == "example.com/both"
    (tmp_path / "S").unlink()
    (tmp_path / "S").symlink_to("B")
    desk.run("vault", "unseal", "m", "-o", "out")  # by whoever sealed it
    assert (tmp_path / "out/model.bin").read_bytes() == bytes(range(256))
    assert desk.recorded() == [("ExportWeights", "allowed")], "in the ledger of the server that opened it"
    assert not any(path.name.startswith("state.db-") for path in (tmp_path / "B").iterdir())


def test_a_ledger_that_is_made_later_takes_no_other_servers_token(gate: Gate, tmp_path: Path) -> None:
    first, token = gate.sites[0], "keys/writer.token"
    (first / token).write_text(Site.open(first).add_writer(OWN_WRITER, ["*"], os.getuid()) + "\n")
    third = Site.create(tmp_path / "third").path
    for name in ("strongroom.toml", "keys/state.password"):
        shutil.copy(first / name, third / name)
    with pytest.raises(UsageError, match="have a token already"):
        Site.open(third).make_ledger("example.com/third")
    shutil.copy(first / token, third / token)
    Site.open(third).make_ledger("example.com/third")
    assert (third / token).read_text() == (first / token).read_text()
    digest = hashlib.sha256((first / token).read_text().strip().encode()).hexdigest()
    site = Site.open(first)
    assert [one.token_digest for one in site.state.writers()] == [digest]
    site.close()
