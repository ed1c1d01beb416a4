"""kill -9 of whoever is being let in, and many at once for one lease: nothing twice, nothing that is not on record."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.access import request_lease
from strongroom.core.clock import format_time, now
from strongroom.core.errors import RefusedError
from strongroom.core.ids import new_id
from strongroom.core.leases import Approval, Grant, Lease
from strongroom.core.principals import Principal
from strongroom.core.records import AccessEvent
from strongroom.ledger import LogReader, open_source, read_checkpoint
from strongroom.site import Site
from strongroom.state import Transaction

from .results import record_result
from .vault_processes import killed, seconds_of
from .vault_workshop import in_memory

pytestmark = pytest.mark.torture

SEED, KILLS, RACES, RACERS = 20_261_130, 100, 25, 6
ASSET, PEOPLE = "acme/llama", ("eve@acme", "ole@acme")
TWO_MINUTES = 121_000_000


class Signed:
    """`Approvals` without signatures: what is tried here is the order."""

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        return [one for one in map(transaction.principals.get, (a.principal for a in given)) if one is not None]

    def signer(self, lease: Lease, signature: str, transaction: Transaction) -> str:
        raise NotImplementedError


class Gate:
    """A site with a crown asset, whose owner may export what two others approve; and a file of what was released."""

    def __init__(self, root: Path) -> None:
        self.root, self.released = root / "site", root / "released"
        site = Site.create(self.root, origin="example.com/gate")
        self.me = site.local_principal
        with site.state.transaction(write=True) as transaction:
            for name in PEOPLE:
                transaction.principals.put(Principal(name=name, groups=["members"]))
            grant = Grant(subject=self.me, action="ExportWeights", asset=ASSET, given=0, expires=1 << 60, by=self.me)
            transaction.principals.grant(grant)
        site.close()
        self.released.touch()

    def lease(self) -> str:
        """One that two others approved."""
        site = Site.open(self.root)
        made = request_lease(site.access(), self.me, "ExportWeights", ASSET, digest="", purpose="try", seconds=60)
        with site.state.transaction(write=True) as transaction:
            for name in PEOPLE:
                approval = Approval(id=new_id("apr", now()), lease=made.id, principal=name, signature="", given=now())
                transaction.leases.approve(approval)
        site.close()
        return made.id

    def export(self, lease: str, later: int = 0) -> None:
        """In a child: asks, and notes that it was let in. `later`: by a clock that is so far ahead."""
        site = Site.open(self.root)
        access = site.access()
        access.approvals, access.clock = Signed(), lambda: now() + later
        time_us = access.clock()
        event = AccessEvent(
            id=new_id("evt", time_us),
            time=format_time(time_us),
            principal=self.me,
            action="ExportWeights",
            asset=ASSET,
            outcome="allowed",
            lease=lease,
            bytes=1 << 20,
        )
        try:
            access.authorize(event)
        except RefusedError:
            return
        with self.released.open("ab", buffering=0) as file:
            file.write(f"{lease}\n".encode())

    def let_in(self) -> Counter[str]:
        return Counter(self.released.read_text().split())

    def state_of(self, lease: str) -> tuple[str, int]:
        site = Site.open(self.root)
        with site.state.transaction(write=False) as transaction:
            found = transaction.leases.get(lease)
        site.close()
        assert found is not None
        return found.state, found.entry

    def on_record(self) -> Counter[str]:
        """How often each lease was allowed, as the log says."""
        source = open_source(str(self.root))
        reader = LogReader(source, read_checkpoint(source, Site.open(self.root).ledger.keys()))
        bodies = [json.loads(entry)["body"] for _, entry in reader.entries()]
        return Counter(body["lease"] for body in bodies if body["outcome"] == "allowed" and body.get("lease"))


@pytest.fixture
def gate() -> Iterator[Gate]:
    with in_memory() as place:
        yield Gate(place)


def test_whoever_is_killed_while_being_let_in_was_let_in_once_or_not_at_all(gate: Gate) -> None:
    begun, rng, seen, later = time.monotonic(), random.Random(SEED), Counter[str](), 0
    waiting = [gate.lease() for _ in range(3)]
    seconds = seconds_of(lambda number: lambda: gate.export(waiting[number]))
    while seen["kills"] < KILLS:
        lease = gate.lease()
        seen["kills"] += killed(lambda: gate.export(lease, later), rng.uniform(0, 1.2) * seconds)  # noqa: B023
        state, _ = gate.state_of(lease)
        let_in = gate.let_in()[lease]
        assert let_in <= (state == "used"), (let_in, state)
        seen[f"{state}, let in" if let_in else state] += 1
        if state != "used":  # the same again: at once, and when whoever took it is taken for dead
            assert not killed(lambda: gate.export(lease, later))  # noqa: B023
            if state == "pending":
                assert gate.let_in()[lease] == 0, "whoever has it may still be at work"
                later += TWO_MINUTES
                assert not killed(lambda: gate.export(lease, later))  # noqa: B023
            assert gate.let_in()[lease] == 1
            assert gate.state_of(lease)[0] == "used"
        assert not killed(lambda: gate.export(lease, later))  # noqa: B023
    allowed = gate.on_record()
    assert all(count == 1 for count in gate.let_in().values())
    assert set(gate.let_in()) <= set(allowed), "nothing is released that is not on record"
    record_result(
        "kill -9 of whoever is being let in",
        f"{seen['kills']} kills at random moments of an approved export: {seen['requested']} before it was decided,"
        f" {seen['pending']} between the decision and the release, {seen['used']} after it and before anything could be"
        f" done with it. Nothing was released twice, nothing that is not on record; what was not released came through"
        f" when it was asked again, after two minutes where it had been decided; {time.monotonic() - begun:.0f} s.",
    )


def test_of_many_processes_one_is_let_in(gate: Gate) -> None:
    begun = time.monotonic()
    for _ in range(RACES):
        lease = gate.lease()
        children = []
        for _ in range(RACERS):
            child = os.fork()
            if not child:
                try:
                    gate.export(lease)
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert codes == [0] * RACERS
        assert gate.let_in()[lease] == 1
    allowed = gate.on_record()
    assert [allowed[lease] for lease in gate.let_in()] == [1] * RACES
    record_result(
        "many processes for one lease",
        f"{RACES} times {RACERS} processes for one approved export: one was let in each time, and one entry says so;"
        f" {time.monotonic() - begun:.0f} s.",
    )
