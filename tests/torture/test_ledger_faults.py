"""Every operation of the ledger on its disk fails once, or from then on: told, nothing lost, and it opens again."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.core.errors import StrongroomError
from strongroom.ledger import Committed, Limits, Sequencer, create_ledger
from strongroom.ledger import DirectoryStorage as Directory
from strongroom.ledger._reserve import Reserve

from .ledger_disks import Failing
from .ledger_logs import SIGNER, NoSync, check_log, entry, opened
from .results import record_result

pytestmark = pytest.mark.torture

LIMITS = Limits(publish_seconds=0.001, journal_bytes=1_500, patience_seconds=0.1)
COUNTS = [1, 1, 2, 250, 1, 20, 1, 1]
"""Entries of each commit: over the edge of a tile, and of two journals."""


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In memory where there is some. Without reserves, which hold nothing."""
    monkeypatch.setattr(Reserve, "restore", lambda self: None)
    place = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield place
    shutil.rmtree(place, ignore_errors=True)


class Told:
    """What a process was told while its disk failed."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self.seen: dict[int, bytes] = {}
        self.errors: list[str] = []

    def signed(self, committed: Committed) -> None:
        checkpoint = committed.checkpoint
        assert self.seen.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root

    def live(self, root: Path, disk: Failing) -> None:
        """Opens, appends and closes. Raises nothing but what it notes."""
        number = len(self.seen) * 1000 + len(self.errors) * 100_000
        try:
            sequencer: Sequencer = opened(root, disk, limits=LIMITS, published=self.signed)
        except StrongroomError as error:
            self.errors.append(str(error))
            return
        for count in COUNTS:
            data = [entry(number + n) for n in range(count)]
            number += count
            try:
                indices = sequencer.append_many(data)
            except StrongroomError as error:
                self.errors.append(str(error))
            else:
                self.acknowledged.update(zip(indices, data, strict=True))
                self.signed(sequencer.committed)
        try:
            sequencer.close()
        except StrongroomError as error:
            self.errors.append(str(error))


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=["ENOSPC", "EIO", "EROFS"])
def test_a_fault_at_every_operation_is_told_and_costs_nothing(number: int, lasting: bool, scratch: Path) -> None:
    started = time.monotonic()
    seen: Counter[str] = Counter()
    at = untouched = 0
    while untouched < 3:  # threads decide which operation is which: go on until there are surely no more
        root = scratch / f"log{at}"
        create_ledger(Directory(root, NoSync()), SIGNER)
        told = Told()
        told.live(root, NoSync())  # type: ignore[arg-type]
        before = len(told.acknowledged)
        assert not told.errors
        disk = Failing(number, at, lasting=lasting)
        told.live(root, disk)
        untouched = 0 if disk.hit else untouched + 1
        seen["faults"] += bool(disk.hit)
        seen["told"] += bool(told.errors)
        seen["refused"] += len(told.errors)
        seen["acknowledged"] += len(told.acknowledged) - before
        if lasting and disk.hit:
            assert told.errors, f"operation {at} failed for good, and nobody was told"
        assert all(os.strerror(number) in error or "no more can wait" in error for error in told.errors), told.errors
        # What readers see is whole, and the next start needs nobody.
        check_log(root, {}, {})
        told.errors.clear()
        told.live(root, NoSync())  # type: ignore[arg-type]
        assert not told.errors
        check_log(root, told.acknowledged, told.seen)
        shutil.rmtree(root)
        at += 1
    assert seen["faults"] > 10
    record_result(
        f"{errno.errorcode[number]} at every operation of the ledger, {'from then on' if lasting else 'once'}",
        f"{seen['faults']} runs of {len(COUNTS)} commits, one for each operation: {seen['refused']} refusals in "
        f"{seen['told']} of them, {seen['acknowledged']:,} entries acknowledged all the same; all that was acknowledged "
        f"before and during it was there after the next start, every checkpoint was continued, and every log was whole "
        f"to readers before; {time.monotonic() - started:.0f} s.",
    )


def test_faults_at_random_one_after_the_other_lose_nothing(scratch: Path) -> None:
    rng = random.Random(20_261_124)
    root = scratch / "log"
    create_ledger(Directory(root, NoSync()), SIGNER)
    told = Told()
    faults = 0
    for _ in range(150):
        disk = Failing(
            rng.choice((errno.ENOSPC, errno.EIO, errno.EROFS)), rng.randrange(60), lasting=rng.random() < 0.5
        )
        told.live(root, disk)
        faults += bool(disk.hit)
        check_log(root, {}, {})
    refused = len(told.errors)
    told.errors = []
    told.live(root, NoSync())  # type: ignore[arg-type]
    assert not told.errors
    reader = check_log(root, told.acknowledged, told.seen)
    record_result(
        "disk errors one after the other",
        f"150 starts of one log, each on a disk that fails at a random operation ({faults} did): {refused} refusals, "
        f"{len(told.acknowledged):,} acknowledged entries of {reader.size:,} all there, {len(told.seen):,} checkpoints "
        f"continued; nobody repaired anything.",
    )
