"""Processes of the vault to kill: forked, so that each starts at once and with the same keys."""

from __future__ import annotations

import os
import select
import signal
import statistics
import time
import traceback
from collections.abc import Callable

MOST_SECONDS = 120.0


def killed(work: Callable[[], object], after: float = MOST_SECONDS) -> bool:
    """Forks, lets the child work so many seconds, kills it. Whether it was still at work; it must not have failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _work(work, reading, writing)
    os.close(writing)
    try:
        assert select.select([reading], [], [], MOST_SECONDS)[0], "the child did not begin"
        assert os.read(reading, 1) == b"."
        # The pipe ends with the child, which is sooner than a sleep would notice.
        ended = bool(select.select([reading], [], [], after)[0])
        os.kill(child, signal.SIGKILL)
        said = b""
        while part := os.read(reading, 1 << 16):
            said += part
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    assert ended or after < MOST_SECONDS, "the child hangs"
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the child failed by itself: {said.decode()}"
    return False


def _work(work: Callable[[], object], reading: int, writing: int) -> None:
    code = 1
    try:
        os.close(reading)
        os.write(writing, b".")
        work()
        code = 0
    except BaseException:
        os.write(writing, traceback.format_exc().encode()[-60_000:])
    finally:
        os._exit(code)


def seconds_of(prepare: Callable[[int], Callable[[], object]], times: int = 3) -> float:
    """How long a child is at work when nobody kills it."""
    taken = []
    for number in range(times):
        work = prepare(number)
        begun = time.monotonic()
        assert not killed(work)
        taken.append(time.monotonic() - begun)
    return statistics.median(taken)
