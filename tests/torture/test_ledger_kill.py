"""kill -9 of the sequencer at random moments: whatever was acknowledged is there, whatever was signed is continued."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from strongroom.core.errors import StrongroomError
from strongroom.ledger import Committed, DirectoryStorage, Limits, _journal, create_ledger
from strongroom.ledger._merkle import Frontier, leaf_hash

from .ledger_logs import SIGNER, check_log, checkpoint_of, entry, opened
from .results import record_result

pytestmark = pytest.mark.torture

SEED = 20_261_124
LONG_LOGS, RUNS_OF_EACH, NEW_LOGS = 5, 50, 110
LIMITS = Limits(publish_seconds=0.002, journal_bytes=8_000, pending_bytes=30_000, commit_entries=64, queue_bytes=20_000)
_MESSAGE = struct.Struct(">cQ32s")
ACKNOWLEDGED, SIGNED = b"A", b"S"


def appending(root: Path, run: int, out: int) -> None:
    """The child: opens, appends from eight threads in three ways until it is killed, and tells what it was told."""

    def tell(*messages: tuple[bytes, int, bytes]) -> None:
        # A write of so few bytes to a pipe is atomic, and what is written is there after a kill.
        for at in range(0, len(messages), 60):
            os.write(out, b"".join(_MESSAGE.pack(*message) for message in messages[at : at + 60]))

    def published(committed: Committed) -> None:
        tell((SIGNED, committed.checkpoint.size, committed.checkpoint.root))

    sequencer = opened(root, limits=LIMITS, published=published)
    published(sequencer.committed)

    def work(thread: int) -> None:
        rng = random.Random(run * 100 + thread)
        waiting: list[tuple[Future[int], bytes]] = []
        number = 0
        while True:
            data = [entry(run * 10**8 + thread * 10**6 + number + n, rng.choice((0, 10, 200))) for n in range(120)]
            number += 120
            if thread % 4 == 0:
                some = data[: rng.randint(1, 120)]
                indices = sequencer.append_many(some)
                tell(*((ACKNOWLEDGED, index, leaf_hash(one)) for index, one in zip(indices, some, strict=True)))
            elif thread % 4 == 1:
                try:
                    waiting += [(sequencer.append_nowait(one), one) for one in data[: rng.randint(1, 30)]]
                except StrongroomError:  # the queue is full
                    time.sleep(0.0005)
                for future, one in waiting:
                    tell((ACKNOWLEDGED, future.result(), leaf_hash(one)))
                waiting.clear()
            else:
                tell((ACKNOWLEDGED, sequencer.append_bytes(data[0]), leaf_hash(data[0])))
            published(sequencer.committed)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed(work: Callable[[int], None], after: float) -> list[tuple[bytes, int, bytes]]:
    """Forks, lets the child work for a while, kills it. What it told until then."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            work(writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    told = b""
    deadline = time.monotonic() + after
    alive = True
    while True:
        left = max(0.0, deadline - time.monotonic())
        if alive and not left:
            os.kill(child, signal.SIGKILL)
            alive = False
        if select.select([reading], [], [], left if alive else None)[0]:
            part = os.read(reading, 1 << 16)
            if not part:
                break
            told += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"
    assert os.WTERMSIG(status) == signal.SIGKILL
    return [_MESSAGE.unpack_from(told, at) for at in range(0, len(told), _MESSAGE.size)]


class Log:
    """One log, and all that anybody was ever told of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.acknowledged: dict[int, bytes] = {}
        self.seen: dict[int, bytes] = {}
        create_ledger(DirectoryStorage(root), SIGNER)

    def learn(self, told: list[tuple[bytes, int, bytes]]) -> None:
        for kind, number, hash_ in told:
            known = self.acknowledged if kind == ACKNOWLEDGED else self.seen
            assert known.setdefault(number, hash_) == hash_, f"told twice, and otherwise: {kind!r} {number}"

    def look(self, rng: random.Random) -> int:
        """Reads as a stranger first; then opens; then everything must be there. How long the log is."""
        before = check_log(self.root, {}, {})
        self.learn([(SIGNED, before.size, before.root)])
        sequencer = opened(self.root, limits=LIMITS)
        self.learn([(SIGNED, sequencer.committed.checkpoint.size, sequencer.committed.checkpoint.root)])
        size = sequencer.append_bytes(entry(10**15 + rng.randrange(10**12)))
        sequencer.close()
        sample = dict(rng.sample(sorted(self.seen.items()), min(40, len(self.seen))))
        reader = check_log(self.root, {}, sample)
        assert reader.size == size + 1
        tree = Frontier()
        roots = 0
        for index, data in reader.entries():
            leaf = leaf_hash(data)
            assert self.acknowledged.get(index, leaf) == leaf, f"entry {index} is another"
            tree.extend([leaf])
            if tree.size in self.seen:
                roots += 1
                assert tree.root() == self.seen[tree.size], f"the log forked at {tree.size}"
        assert max(self.acknowledged, default=-1) < reader.size, "acknowledged entries are missing"
        assert roots == len(self.seen) - (0 in self.seen), "a signed checkpoint is of a longer log"
        assert checkpoint_of((self.root / "public/checkpoint").read_bytes()).size == reader.size
        return reader.size


def test_nothing_acknowledged_is_lost_and_no_log_forks(tmp_path: Path) -> None:
    started = time.monotonic()
    rng = random.Random(SEED)
    kills = recovering = entries = acknowledged = checkpoints = renewed = ahead = run = 0
    for runs in [RUNS_OF_EACH] * LONG_LOGS + [1] * NEW_LOGS:
        root = tmp_path / "ledger"
        log = Log(root)
        size = 0
        for _ in range(runs):
            run += 1
            number = run
            log.learn(killed(lambda out: appending(root, number, out), rng.choice((0.02, 0.06, 0.2)) * rng.random()))  # noqa: B023
            kills += 1
            journal = [path for path in (root / "journal").glob("0*") if path.stat().st_size]
            ahead += bool(journal)
            if rng.random() < 0.4:  # and once more, while it starts
                run += 1
                again = run
                log.learn(killed(lambda out: appending(root, again, out), 0.015 * rng.random()))  # noqa: B023
                kills += 1
                recovering += 1
            size = log.look(rng)
        entries += size
        acknowledged += len(log.acknowledged)
        checkpoints += len(log.seen)
        renewed += max(int(path.name) for path in (root / "journal").glob("0*")) - runs
        shutil.rmtree(root)
    assert kills >= 300
    assert acknowledged > 5_000
    record_result(
        "kill -9 of the sequencer",
        f"{kills} kills at random moments under 8 threads ({recovering} of them within 15 ms of a start after another "
        f"kill; {LONG_LOGS} logs of {RUNS_OF_EACH} runs, {NEW_LOGS} new ones), {ahead} with records in the journal, "
        f"{renewed:,} journals renewed: {acknowledged:,} acknowledged entries all at their index with their content, "
        f"{checkpoints:,} checkpoints of {LONG_LOGS + NEW_LOGS} logs all continued, {entries:,} entries verified; every "
        f"log whole to a reader before it was opened again, and opened by itself; {time.monotonic() - started:.0f} s.",
    )


def test_the_harness_sees_a_journal_that_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness that finds nothing in a ledger that writes nothing would prove nothing."""
    monkeypatch.setattr(_journal._FileJournal, "append", lambda self, record: None)
    rng = random.Random(SEED)
    log = Log(tmp_path / "ledger")
    with pytest.raises((AssertionError, StrongroomError)):
        for run in range(40):
            log.learn(killed(lambda out: appending(log.root, run, out), 0.05))  # noqa: B023
            log.look(rng)
