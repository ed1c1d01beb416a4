"""Work side by side: whatever fails first, or a Ctrl-C, ends the rest at its next step.

Not `concurrent.futures`: a Ctrl-C while it starts its threads can leave a lock held for ever.

>>> done = []
>>> side_by_side((lambda n=n: done.append(n) for n in range(5)), workers=2)
>>> sorted(done)
[0, 1, 2, 3, 4]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

__all__ = ["side_by_side"]


def side_by_side(tasks: Iterable[Callable[[], object]], workers: int, stopped: threading.Event | None = None) -> None:
    """Calls every task on one of `workers` threads. Raises what the first that failed has raised.

    `stopped` is set when one has failed, or on Ctrl-C: a task may look at it and end early.
    """
    stopped = stopped or threading.Event()
    waiting, lock, failures = iter(tasks), threading.Lock(), list[BaseException]()

    def pull() -> None:
        while not stopped.is_set():
            with lock:
                task = next(waiting, None)
            if task is None:
                return
            try:
                task()
            except BaseException as error:
                failures.append(error)
                stopped.set()

    threads = [threading.Thread(target=pull, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C
        stopped.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if failures:
        raise failures[0]
