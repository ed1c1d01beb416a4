"""kill -9 of sealing, unsealing, rekeying, rotating and writing, at random moments and before every operation.

After each kill: the old state or the new one, whole; no plaintext that was not there before, but whole files in the
work directory of an unsealing; no FLOE header with two contents. The same once more comes through, and keeps what the
journal said was durable.
"""

from __future__ import annotations

import itertools
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .vault_jobs import JOBS, Job, finish
from .vault_processes import killed, seconds_of
from .vault_steps import killing
from .vault_workshop import FEW, MANY, Ciphertexts, Tally, Workshop, in_memory, lower_limits

pytestmark = pytest.mark.torture

SEED = 20_261_130
KILLS = 100
"""Of each job, that hit it at work."""
MOST_STEPS = 400
TALLY = Tally(
    "kill -9 of the vault",
    f"kills at random moments ({len(MANY)} files of up to 3 MiB, segments of 4 KiB, 2 threads; for rekey 5 small ones), and before each operation "
    "on the disk or in the middle of a write, there mostly another while it is done once more: {jobs}. The old state "
    "after {old}, the new one after {new}, always whole; the same once more came through and kept {kept} files that the "
    "journal named as they were; no plaintext was left but whole files in the work directory of an unsealing; of "
    "{headers} FLOE headers and {segments} segments none had two contents ({cut} files were cut by a kill); {left} times "
    "sealed bytes or a lock stayed beside or in the object; {seconds} s.",
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    with in_memory() as place:
        yield place


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_limits(monkeypatch, files=4)


class Kills:
    """Kills of one job, and what was seen after them."""

    def __init__(self, kind: type[Job], shop: Workshop, scratch: Path, threads: int) -> None:
        scratch.mkdir()
        self.kind, self.shop, self.scratch, self.threads = kind, shop, scratch, threads
        self.rng = random.Random(f"{SEED} {kind.__name__}")
        self.seen: Counter[str] = Counter()
        self.ciphertexts = Ciphertexts()
        self._numbers = itertools.count()

    def job(self) -> Job:
        job = self.kind("", self.shop, self.scratch / f"run-{next(self._numbers)}", self.threads)
        job.prepare()
        self.ciphertexts.look(job.base)
        return job

    def look(self, job: Job) -> str:
        """After a kill."""
        state = job.look()
        self.seen["kills"] += 1
        self.seen[state] += 1
        self.ciphertexts.look(job.base)
        job.promise(state)
        return state

    def finish(self, job: Job, *, through: bool = False) -> None:
        """The same once more, unless it came through already."""
        if not through:
            finish(job)
        assert job.look() == "new"
        job.check_kept()
        self.ciphertexts.look(job.base)
        self.seen["kept"] += len(job.kept)
        self.seen["left"] += bool(job.leftovers())
        shutil.rmtree(job.base)

    def at_random(self, many: int) -> None:
        """So many at random moments, on several threads."""
        seconds = seconds_of(lambda number: self.job().run)
        while self.seen["kills"] < many:
            job = self.job()
            while hit := killed(job.run, self.rng.uniform(0, 1.1 * seconds)):
                if (self.look(job) == "new" and not job.again) or self.rng.random() < 0.5:
                    break
            self.finish(job, through=not hit)

    def at_each_operation(self) -> int:
        """One before each, or in the middle of a write; mostly another while it is done again. How many there are."""
        for at in range(MOST_STEPS):
            job = self.job()
            if not killed(lambda: step_killed(job, at, torn=at % 2 == 1)):  # noqa: B023
                return at
            hit = True
            if self.look(job) == "old" or job.again:
                again = self.rng.randrange(at + 1)
                hit = killed(lambda: step_killed(job, again, torn=False))  # noqa: B023
                if hit:
                    self.look(job)
            self.finish(job, through=not hit)
        pytest.fail("it has no end")


def step_killed(job: Job, at: int, *, torn: bool) -> None:
    with killing(at, torn=torn):
        job.run()


@pytest.mark.parametrize("name", JOBS)
def test_a_kill_leaves_the_old_state_or_the_new_one_and_the_same_once_more_comes_through(
    name: str, scratch: Path
) -> None:
    begun = time.monotonic()
    many, few = (
        Kills(JOBS[name], Workshop(scratch / f"shop-{threads}", sizes), scratch / f"runs-{threads}", threads)
        for threads, sizes in ((2, FEW if name == "rekey" else MANY), (1, FEW))
    )
    many.at_random(KILLS)
    operations = few.at_each_operation()
    seen = many.seen + few.seen
    TALLY.add(
        f"{name} {many.seen['kills']} and {few.seen['kills']} (of {operations} operations)",
        begun,
        old=seen["old"],
        new=seen["new"],
        kept=seen["kept"],
        left=seen["left"],
        headers=many.ciphertexts.headers + few.ciphertexts.headers,
        segments=many.ciphertexts.segments + few.ciphertexts.segments,
        cut=many.ciphertexts.cut + few.ciphertexts.cut,
    )
