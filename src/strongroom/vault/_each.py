"""Files side by side: small ones on every thread, large ones with two threads each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from ._pipeline import SMALL, Progress
from ._threads import side_by_side

__all__ = ["each_file", "threads_or_all"]

MAX_THREADS = 32
T = TypeVar("T")


def threads_or_all(threads: int) -> int:
    """`threads`, or for 0 as many as there are cores."""
    return max(1, min(threads or os.cpu_count() or 1, MAX_THREADS))


class _StoppedError(Exception):
    """Another file failed, or somebody pressed Ctrl-C."""


def each_file(
    work: Callable[[T, int, Progress], None],
    items: Iterable[T],
    size: Callable[[T], int],
    threads: int,
    progress: Progress,
) -> None:
    """Calls `work` for each item: small ones side by side on every thread, large ones with two threads each.

    The first that fails, or a Ctrl-C, stops the others at their next batch, and is raised.
    """
    stopped = threading.Event()
    lock = threading.Lock()

    def count(done: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with lock:
            progress(done)

    large = [item for item in items if size(item) > SMALL]
    small = [item for item in items if size(item) <= SMALL]
    for some, workers, each in ((large, max(1, threads // 2), min(threads, 2)), (small, threads, 1)):
        side_by_side((partial(work, item, each, count) for item in some), workers, stopped)
