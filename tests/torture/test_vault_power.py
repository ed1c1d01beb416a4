"""The power goes after every operation of the vault: what wakes up is the old state or the new one, and goes on."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom.core.errors import StrongroomError

from . import vault_disks
from .vault_disks import Disk, State, build
from .vault_jobs import JOBS, Job, finish
from .vault_workshop import Tally, Workshop, in_memory, lower_limits

pytestmark = pytest.mark.torture

SEED = 20_261_130
SIZES = {"a": 0, "card.md": 100, "w/x/1": 9000, "w/2": 20_000}
RANDOM_LOSSES = 6
"""Mixtures after each operation, beside the eight extremes."""
KILLED_BEFORE = 5
"""Runs that begin after a kill, of which nothing is durable that was not synced."""
TALLY = Tally(
    "loss of power under the vault",
    "{jobs}: the power lost after each of {points} operations of {runs} runs ({kills} of them after a kill): {states} "
    "distinct disks (unsynced content kept, lost, torn, zeros; unsynced names there or not). All were the old state or "
    "the new one, whole, the new one where the job had ended, and the same once more came through; {seconds} s.",
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    with in_memory() as place:
        yield place


class Losses:
    """Takes the power from runs of one job, everywhere, and looks at what wakes up."""

    def __init__(self, kind: type[Job], scratch: Path) -> None:
        self.kind, self.scratch = kind, scratch
        self.shop = Workshop(scratch / "shop", SIZES)
        self.rng = random.Random(f"{SEED} {kind.__name__}")
        self.points = self.kills = 0
        self.states: dict[bytes, tuple[State, bool]] = {}
        """Those that differ, and whether the job had said that it is done."""

    def job(self, base: Path) -> Job:
        return self.kind("", self.shop, base, torn=True)

    def run(self) -> None:
        """Once as it is, then after kills."""
        first = self.job(self.scratch / "first")
        first.prepare()
        disk = Disk(first.base)
        killed: list[Disk] = []
        self._follow(first, disk, lambda: killed.append(disk.moved(self.scratch / f"killed-{len(killed)}")))
        for one in self.rng.sample(killed, min(KILLED_BEFORE, len(killed))):
            job = self.job(one.root)
            if job.look() == "old" or job.again:
                self.kills += 1
                self._follow(job, one, lambda: None)
        for one in killed:
            shutil.rmtree(one.root)

    def _follow(self, job: Job, disk: Disk, after: Callable[[], None]) -> None:
        def lose() -> None:
            self._keep(disk, done=False)
            after()

        with disk.steps(lose):
            job.run()
        self._keep(disk, done=True)

    def _keep(self, disk: Disk, *, done: bool) -> None:
        self.points += 1
        for state in disk.losses(self.rng, RANDOM_LOSSES):
            key = hashlib.sha256(repr((sorted(state.items()), done)).encode()).digest()
            self.states[key] = state, done

    def look(self) -> None:
        """Every state that was collected."""
        for number, (state, done) in enumerate(self.states.values()):
            base = self.scratch / f"state-{number}"
            build(state, base)
            job = self.job(base)
            try:
                assert job.look() == "new" or not done, "it was said to be done"
                finish(job)
                assert job.look() == "new"
            except (StrongroomError, AssertionError) as error:
                there = {name: data if data is None else len(data) for name, data in state.items()}
                pytest.fail(f"state {number}{', after it was done' * done}: {error}\n{there}")
            shutil.rmtree(base)


@pytest.mark.parametrize("name", JOBS)
def test_a_loss_of_power_leaves_the_old_state_or_the_new_one(
    name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_limits(monkeypatch, files=2)
    begun = time.monotonic()
    losses = Losses(JOBS[name], scratch)
    losses.run()
    losses.look()
    TALLY.add(name, begun, points=losses.points, runs=losses.kills + 1, kills=losses.kills, states=len(losses.states))


@pytest.mark.parametrize("name", ["seal --force", "unseal", "rekey", "create"])
def test_the_harness_sees_a_sync_that_is_missing(name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness that finds nothing in a vault that syncs nothing would prove nothing."""
    lower_limits(monkeypatch, files=2)
    monkeypatch.setattr(vault_disks, "SYNCS", frozenset())
    losses = Losses(JOBS[name], scratch)
    losses.run()
    with pytest.raises(pytest.fail.Exception):
        losses.look()
