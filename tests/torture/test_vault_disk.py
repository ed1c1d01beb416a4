"""A full or failing disk under the vault: a clear error, the old state whole, no plaintext, and it goes on afterwards."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.core.errors import StrongroomError

from .vault_jobs import JOBS, Job, finish, refused
from .vault_steps import ROOM, SYNCS, Failing
from .vault_workshop import FEW, Tally, Workshop, in_memory, lower_limits, plain_below

pytestmark = pytest.mark.torture

DISK = 1 << 20
SIZES = FEW | {"w/large": 150_000}
STEP = 16 << 10
FAULTS = {
    "ENOSPC once": (errno.ENOSPC, ROOM, False),
    "ENOSPC from then on": (errno.ENOSPC, ROOM, True),
    "EIO of a sync once": (errno.EIO, SYNCS, False),
    "EIO of syncs from then on": (errno.EIO, SYNCS, True),
}
FULL = Tally(
    "full disk under the vault",
    "a tmpfs of 1 MiB, more of it free from try to try: {jobs}. {told} times it was told where and what to do, the old "
    "state whole and no plaintext left; then the same came through; {seconds} s.",
)
FAILING = Tally(
    "disk errors under the vault",
    "ENOSPC or EIO at each operation that may meet it, once or from then on: {jobs}. {faults} runs, {told} errors told; "
    "the old state {old} times and the new one {new} times, always whole; no plaintext left; the same once more came "
    "through; {seconds} s.",
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    with in_memory() as place:
        yield place


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("a full disk needs root and the right to mount a tmpfs: NOT TESTED HERE")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


class Filler:
    """Takes all room of a disk but so many bytes."""

    def __init__(self, disk: Path) -> None:
        self.path = disk / "filler"

    def leave(self, free: int) -> bool:
        """Whether there is so much."""
        self.path.unlink(missing_ok=True)
        found = os.statvfs(self.path.parent)
        room = found.f_bavail * found.f_frsize
        if free < room:
            self.path.write_bytes(bytes(room - free))
        return free < room


def plainly_told(error: StrongroomError, number: int, base: Path) -> None:
    """What was wrong, where, and what to do."""
    assert os.strerror(number) in error.message, error
    assert str(base) in error.where, error
    assert error.next, error


@pytest.mark.parametrize("name", JOBS)
def test_a_full_disk_is_told_and_the_same_comes_through_when_there_is_room(
    name: str, small_disk: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_limits(monkeypatch, files=2)
    begun = time.monotonic()
    shop = Workshop(scratch / "shop", SIZES)
    filler = Filler(small_disk)
    told = free = 0
    job = JOBS[name]("", shop, small_disk / "base", threads=2)
    job.prepare()
    for free in range(0, DISK, 4096 if name == "rekey" else STEP):
        assert filler.leave(free)
        error = refused(job)
        if error is None:
            break
        told += 1
        plainly_told(error, errno.ENOSPC, job.base)
        assert job.look() == "old"
        if name.startswith("unseal"):
            assert not list(plain_below(job.work)), "what was decrypted was left"
    assert told
    assert job.look() == "new"
    assert job.leftovers() == []
    FULL.add(name, begun, told=told)


class Faults:
    """One job on a disk that fails at each of its operations in turn."""

    def __init__(self, kind: type[Job], scratch: Path) -> None:
        self.kind, self.scratch = kind, scratch
        self.shop = Workshop(scratch / "shop", FEW)
        self.rng = random.Random(kind.__name__)
        self.seen: Counter[str] = Counter()

    def run(self, fault: str) -> None:
        number, kinds, lasting = FAULTS[fault]
        for at in range(500):
            job = self.kind("", self.shop, self.scratch / f"{fault}-{at}")
            job.prepare()
            failing = Failing(number, at, kinds, lasting=lasting)
            with failing.steps:
                error = refused(job)
            if not failing.hit:
                assert error is None
                break
            self.seen["faults"] += 1
            self._look(job, error, number)
            finish(job)
            assert job.look() == "new"
            shutil.rmtree(job.base)

    def _look(self, job: Job, error: StrongroomError | None, number: int) -> None:
        state = job.look()
        self.seen[state] += 1
        if error is None:
            # What could not be removed, or made durable once more, does not matter any more.
            assert state == "new", "it failed, and nobody was told"
            return
        self.seen["told"] += 1
        plainly_told(error, number, job.base)
        assert state == "old" or number == errno.EIO, "it was told to have failed, and it did not"
        if type(job).__name__.startswith("Unseal"):
            assert state == "new" or not list(plain_below(job.work)), "what was decrypted was left"


@pytest.mark.parametrize("name", JOBS)
def test_a_fault_at_any_operation_is_told_and_the_same_comes_through_afterwards(
    name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_limits(monkeypatch, files=2)
    begun = time.monotonic()
    faults = Faults(JOBS[name], scratch)
    for fault in FAULTS:
        faults.run(fault)
    seen = faults.seen
    assert seen["told"] > 3
    FAILING.add(name, begun, faults=seen["faults"], told=seen["told"], old=seen["old"], new=seen["new"])
