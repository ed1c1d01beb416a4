"""kill -9 of whoever is being let in, and many at once for one lease: nothing twice, nothing that is not on record.

On one server with SQLite, and on two that share PostgreSQL, which stops and returns too.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
from tests.databases import KINDS
from tests.gates import TWO_MINUTES, Gate, at_once
from tests.postgres import Server

from strongroom.core.errors import RefusedError, StrongroomError

from .results import record_result
from .vault_processes import killed, seconds_of
from .vault_workshop import in_memory

pytestmark = pytest.mark.torture

SEED, KILLS, RACES, RACERS, CRASHES = 20_261_130, 100, 25, 6, 40


@pytest.fixture(params=KINDS)
def gate(request: pytest.FixtureRequest) -> Iterator[Gate]:
    server = request.getfixturevalue("postgres") if request.param == "postgres" else None
    with in_memory() as root:
        yield Gate(root, server)


def where(gate: Gate) -> str:
    return ", two servers on PostgreSQL" if len(gate.sites) > 1 else ""


def test_whoever_is_killed_while_being_let_in_was_let_in_once_or_not_at_all(gate: Gate) -> None:
    begun, rng, seen, later = time.monotonic(), random.Random(SEED), Counter[str](), 0
    waiting = [gate.lease() for _ in range(3)]
    seconds = seconds_of(lambda number: lambda: gate.export(waiting[number]))
    while seen["kills"] < KILLS:
        lease, at = gate.lease(), rng.randrange(len(gate.sites))
        seen["kills"] += killed(lambda: gate.export(lease, later, at), rng.uniform(0, 1.2) * seconds)  # noqa: B023
        state, at = gate.state_of(lease), rng.randrange(len(gate.sites))  # whoever goes on may be the other
        let_in = gate.let_in()[lease]
        assert let_in <= (state == "used"), (let_in, state)
        seen[f"{state}, let in" if let_in else state] += 1
        if state != "used":  # the same again: at once, and when whoever took it is taken for dead
            assert not killed(lambda: gate.export(lease, later, at))  # noqa: B023
            if state == "pending":
                assert gate.let_in()[lease] == 0, "whoever has it may still be at work"
                later += TWO_MINUTES
                assert not killed(lambda: gate.export(lease, later, at))  # noqa: B023
            assert gate.let_in()[lease] == 1
            assert gate.state_of(lease) == "used"
        assert not killed(lambda: gate.export(lease, later, at))  # noqa: B023
    gate.check()
    record_result(
        f"kill -9 of whoever is being let in{where(gate)}",
        f"{seen['kills']} kills at random moments of an approved export: {seen['requested']} before it was decided,"
        f" {seen['pending']} between the decision and the release, {seen['used']} after it and before anything could be"
        f" done with it. Nothing was released twice, nothing that is not on record; what was not released came through"
        f" when it was asked again, after two minutes where it had been decided; {time.monotonic() - begun:.0f} s.",
    )


def test_of_many_processes_one_is_let_in(gate: Gate) -> None:
    begun = time.monotonic()
    for _ in range(RACES):
        lease = gate.lease()
        racers = [partial(gate.export, lease, at=number % len(gate.sites)) for number in range(RACERS)]
        assert at_once(racers) == [0] * RACERS
        assert gate.let_in()[lease] == 1
    allowed = gate.on_record()
    assert [allowed[lease] for lease in gate.let_in()] == [1] * RACES
    record_result(
        f"many processes for one lease{where(gate)}",
        f"{RACES} times {RACERS} processes for one approved export: one was let in each time, and one entry says so;"
        f" {time.monotonic() - begun:.0f} s.",
    )


def test_postgresql_crashes_while_exports_are_made(postgres: Server) -> None:
    """`postgres` says whether there is any; this one is stopped again and again, and keeps what it promised."""
    begun, rng, seen, later = time.monotonic(), random.Random(SEED), Counter[str](), 0
    server = Server(durable=True)
    try:
        with in_memory() as root:
            gate = Gate(root, server)
            for _ in range(CRASHES):
                accesses = [gate.access(at, later) for at in range(2)]
                leases = [gate.lease() for _ in range(6)]
                stop = threading.Timer(rng.uniform(0, 0.25), server.stop)
                stop.start()
                for number, lease in enumerate(leases):
                    seen["asked"] += 1
                    try:
                        gate.ask(accesses[number % 2], lease)
                    except RefusedError:
                        raise
                    except StrongroomError:
                        seen["failed"] += 1
                stop.join()
                server.start()
                gate.check()
                later += TWO_MINUTES
                for access in accesses:  # the same processes, with a later clock
                    access.clock = gate.access(0, later).clock
                for number, lease in enumerate(leases):
                    if not gate.let_in()[lease]:
                        state = gate.state_of(lease)
                        seen[state] += 1
                        if state == "used":  # committed, and the answer was lost: recorded, and nobody has it
                            continue
                        gate.ask(accesses[(number + 1) % 2], lease)
                for access in accesses:
                    access.state.close()
            gate.check()
    finally:
        server.remove()
    record_result(
        "PostgreSQL crashes while exports are made",
        f"{CRASHES} crashes (immediate mode) at random moments under {seen['asked']} approved exports by two servers:"
        f" {seen['failed']} failed, each with an error of ours and nothing released ({seen['requested']} before the"
        f" decision, {seen['pending']} between it and the release, {seen['used']} after it and before anybody was told);"
        f" the first two kinds came through in the same processes when PostgreSQL was back. Nothing was released twice,"
        f" nothing that is not on record; {time.monotonic() - begun:.0f} s.",
    )
