"""Checkpoints reach every place that can be reached, none is lost, and nobody waits for those that cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom.api import witness_app
from strongroom.core.errors import StrongroomError
from strongroom.ledger import COSIGNATURE, Home, Settings, Witness, WitnessAddress, WitnessDirectory
from strongroom.ledger import _anchoring as anchoring
from strongroom.ledger._anchors import Directory
from strongroom.ledger._commit import Committed
from strongroom.ledger._notes import SigningKey
from strongroom.ledger._witness import WitnessMemory
from strongroom.serving import Server

from .ledgers import ORIGIN, entry
from .test_home import grow, make

KEYS = [SigningKey(f"witness.example/w{number}", bytes([number]) * 32, COSIGNATURE) for number in range(3)]
DEAD = "http://127.0.0.1:1"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make(tmp_path / "site")


def witness_of(home: Home, key: SigningKey, storage: object = None) -> Witness:
    return Witness(key, {ORIGIN: home.keys()}, storage or WitnessMemory())  # type: ignore[arg-type]


@pytest.fixture
def three(home: Home) -> Iterator[list[Server]]:
    """Three witnesses, all of whom are wanted."""
    servers = [Server(witness_app(witness_of(home, key)), listen="127.0.0.1:0") for key in KEYS]
    for server in servers:
        server.start()
    addresses = [WitnessAddress(one.addresses[0], key.verifier) for one, key in zip(servers, KEYS, strict=True)]
    home.settings = Settings(witnesses=tuple(addresses), quorum=3)
    yield servers
    for server in servers:
        server.stop()


def until(what: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("three")
def test_the_quorum_is_there_when_a_command_has_ended(home: Home) -> None:
    """Every time: the last checkpoint is sent although it is published in the moment in which the command ends."""
    for first in range(12):
        assert grow(home, first, 1) == []
        verdict = home.verify()
        verdict.check("log")
        assert (verdict.size, verdict.cosigned_size) == (first + 1, first + 1)
        assert all(verdict.cosigned.values())


def test_one_witness_is_down_and_the_others_cosign(home: Home, three: list[Server]) -> None:
    three[1].stop()
    (notice,) = grow(home, 0, 3)
    assert "witness.example/w1 did not cosign" in notice
    verdict = home.verify()
    assert [key.name for key, time in verdict.cosigned.items() if time is None] == ["witness.example/w1"]
    with pytest.raises(StrongroomError, match=r"1 of 3 cosignatures are missing \(witness.example/w1\)"):
        verdict.check("log")
    home.settings = Settings(witnesses=home.settings.witnesses, quorum=2)
    home.verify().check("log")


def test_a_witness_that_comes_back_is_asked_again_though_nothing_is_new(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchoring, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(anchoring, "COSIGN_SECONDS", 0.05)
    storage = WitnessMemory()
    first = Server(witness_app(witness_of(home, KEYS[0], storage)), listen="127.0.0.1:0")
    first.start()
    address = first.addresses[0]
    first.stop()
    home.settings = Settings(witnesses=(WitnessAddress(address, KEYS[0].verifier),), quorum=1)
    told: list[str] = []
    with home.open(notify=told.append) as sequencer:
        sequencer.append_many([entry(0)])
        until(lambda: len(told) > 1)
        with Server(witness_app(witness_of(home, KEYS[0], storage)), listen=address.removeprefix("http://")):
            until(lambda: bool(storage.notes))
            until(lambda: home.source.read("cosigned", 10_000) is not None)
            home.verify().check("log")


def test_a_copy_comes_after_its_minute_though_nothing_is_new(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchoring, "KEEP_SECONDS", 0.5)
    monkeypatch.setattr(anchoring, "COSIGN_SECONDS", 0.02)
    (tmp_path / "copy").mkdir()
    home.settings = Settings(copy=str(tmp_path / "copy"))
    with home.open() as sequencer:
        for number in range(3):
            sequencer.append_many([entry(number)])
            sequencer.flush()
            time.sleep(0.05)
        until(lambda: bool(list(tmp_path.glob("copy/*/*3.checkpoint"))))


def test_a_witness_restarts_from_its_disk_and_goes_on(home: Home, tmp_path: Path) -> None:
    def serve() -> None:
        with WitnessDirectory(tmp_path / "w") as storage:
            app = witness_app(witness_of(home, KEYS[0], storage))
            with Server(app, listen="127.0.0.1:0") as server:
                home.settings = Settings(witnesses=(WitnessAddress(server.addresses[0], KEYS[0].verifier),), quorum=1)
                assert grow(home, serve.first, 2) == []  # type: ignore[attr-defined]
                home.verify().check("log")

    for first in (0, 2, 4):
        serve.first = first  # type: ignore[attr-defined]
        serve()


def test_a_witness_that_cosigns_wrongly_raises_the_alarm_and_spoils_nothing(home: Home) -> None:
    """Another key at the same address."""
    with Server(witness_app(witness_of(home, KEYS[1])), listen="127.0.0.1:0") as server:
        home.settings = Settings(witnesses=(WitnessAddress(server.addresses[0], KEYS[0].verifier),), quorum=1)
        assert any("ALARM" in text for text in grow(home, 0, 2))
    assert home.source.read("cosigned", 10_000) is None
    home.settings = Settings()
    home.verify().check("log")


def test_a_hanging_witness_holds_no_append_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def hang(*_: object, **__: object) -> None:
        gate.wait(30)
        raise StrongroomError("no whole answer")

    monkeypatch.setattr(anchoring, "cosign", hang)
    monkeypatch.setattr(anchoring, "COSIGN_SECONDS", 0.0)
    home.settings = Settings(witnesses=(WitnessAddress(DEAD, KEYS[0].verifier),))
    with home.open() as sequencer:
        for number in range(20):
            sequencer.append_many([entry(number)])
        sequencer.flush()
        assert not gate.is_set()
        gate.set()


class Broken(Directory):
    def keep(self, committed: Committed) -> None:
        raise StrongroomError("full")


def test_one_place_that_fails_does_not_keep_the_others_from_it(home: Home, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    places = [Broken(tmp_path / "copy", "other"), Directory(tmp_path / "copy", ORIGIN)]
    home.anchors = lambda: places  # type: ignore[method-assign,assignment,return-value]
    (notice,) = grow(home, 0, 3)
    assert "was not kept by" in notice
    assert places[1].latest(home.keys()) is not None


def test_without_places_no_thread_is_started(home: Home) -> None:
    with home.open():
        assert not [thread for thread in threading.enumerate() if thread.name == "ledger_anchoring"]


def test_who_cannot_be_told_does_not_stop_the_alarms(home: Home) -> None:
    address = WitnessAddress("http://127.0.0.1:1", KEYS[0].verifier)
    home.settings = Settings(witnesses=(address,))
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        raise BrokenPipeError

    with home.open(notify=tell) as sequencer:
        for number in range(2):
            sequencer.append_many([entry(number)])
            until(lambda number=number: len(told) > number)
