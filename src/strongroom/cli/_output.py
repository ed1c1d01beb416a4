"""The one way to print a result, a table, progress and an error: for people on a terminal, for programs in a pipe.

Results go to stdout, all else to stderr. With `--json` stdout holds one JSON document and nothing more.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from strongroom.core.errors import StrongroomError

if TYPE_CHECKING:
    from rich.console import Console

    from strongroom.hunt import Watcher
    from strongroom.ingest import Progress

__all__ = [
    "counting",
    "moving",
    "print_error",
    "print_facts",
    "print_json",
    "print_notice",
    "print_table",
    "stdout",
    "watching",
]

PLAIN_EVERY = 10.0
"""Seconds between lines of progress in a pipe."""


def stdout() -> Console:
    """A Rich console on stdout; nothing that is printed is taken for markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


# JSON may hold these as they are, and a terminal or an editor that shows a line would obey them: DEL and C1 controls,
# ends of a line that are not "\n", and what turns the direction of writing.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(json: bytes) -> bytes:
    """The same JSON with what could steer a terminal as escapes; it can stand in strings alone.

    >>> harmless('{"a":"\\x9b31m"}'.encode())
    b'{"a":"\\\\u009b31m"}'
    """
    if json.isascii() and b"\x7f" not in json:
        return json
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", json.decode()).encode()


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented for people on a terminal."""
    import msgspec

    text = harmless(msgspec.json.encode(value))
    if sys.stdout.isatty():
        text = msgspec.json.format(text, indent=2)
    sys.stdout.write(text.decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on a terminal, tab-separated lines with a header in a pipe."""
    console = stdout()
    if not console.is_terminal:
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(tame(str(cell)) for cell in row) + "\n")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(tame(str(cell))) for cell in row))
    console.print(table)


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        sys.stdout.write(f"{name + ':':<{width + 2}}{tame(str(value))}\n")


def print_error(error: StrongroomError, *, json: bool) -> None:
    """The error on stderr: what, where, and what to do next."""
    if json:
        import msgspec

        # A name that is no UTF-8 must not turn an error into a crash.
        told = {name: text.encode(errors="replace").decode() for name, text in error.as_dict()["error"].items()}
        sys.stderr.write(harmless(msgspec.json.encode({"error": told})).decode() + "\n")
        return
    sys.stderr.write(f"strongroom: {tame(error.message)}\n")
    if error.where:
        sys.stderr.write(f"  where: {tame(error.where)}\n")
    if error.next:
        sys.stderr.write(f"  next:  {tame(error.next)}\n")


def print_notice(text: str) -> None:
    """A warning, or what happens meanwhile, on stderr."""
    sys.stderr.write(f"{tame(text)}\n")


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many of how many are done; the number of all may be 0 for unknown."""
    if sys.stderr.isatty():
        with _Bar() as bar:
            yield lambda done, all: bar.count(what, done, all)
        return
    lines = _Lines()
    yield lambda done, all: lines.count(what, done, all)


@contextmanager
def moving(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many bytes of `total` went through, and how fast; is told of each few more. Threads may share it."""
    done = 0
    lock = threading.Lock()
    if sys.stderr.isatty():
        with _Bar() as bar:

            def count(more: int) -> None:
                nonlocal done
                with lock:
                    done += more
                    bar.bytes(what, done, total)

            yield count
        return
    lines = _Lines()

    def count_line(more: int) -> None:
        nonlocal done
        with lock:
            done += more
            lines.bytes(what, done, total)

    yield count_line


def tame(text: str) -> str:
    """Text from logs or files without what could steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watcher]:
    """Shows how far a hunt is: a bar with rate and time left on a terminal, a line now and then elsewhere."""
    from strongroom.hunt import Watcher

    if quiet:
        yield Watcher()
    elif sys.stderr.isatty():
        with _Bar() as bar:
            yield Watcher(bar.reading, bar.step)
    else:
        lines = _Lines()
        yield Watcher(lines.reading, lines.step)


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True, markup=False, highlight=False, emoji=False),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._started = time.monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def reading(self, at: Progress) -> None:
        self._progress.update(
            self._task,
            description="reading logs",
            completed=at.bytes_done,
            total=at.bytes_total or None,
            rate=_rate(at, time.monotonic() - self._started),
        )

    def step(self, what: str) -> None:
        self._progress.update(self._task, description=what, total=None, rate="")

    def count(self, what: str, done: int, all: int) -> None:
        self._progress.update(
            self._task,
            description=what,
            completed=done,
            total=all or None,
            rate=f"{done:,}" + (f" of {all:,}" if all else ""),
        )

    def bytes(self, what: str, done: int, total: int) -> None:
        self._progress.update(
            self._task,
            description=what,
            completed=done,
            total=total or None,
            rate=_byte_rate(done, total, time.monotonic() - self._started),
        )


class _Lines:
    def __init__(self) -> None:
        self._started = self._told = time.monotonic()

    def reading(self, at: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= PLAIN_EVERY:
            self._told = now
            sys.stderr.write(f"reading logs: {_rate(at, now - self._started)}\n")

    def step(self, what: str) -> None:
        sys.stderr.write(f"{what}\n")

    def count(self, what: str, done: int, all: int) -> None:
        now = time.monotonic()
        if now - self._told >= PLAIN_EVERY:
            self._told = now
            sys.stderr.write(f"{what}: {done:,}" + (f" of {all:,}" if all else "") + "\n")

    def bytes(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= PLAIN_EVERY:
            self._told = now
            sys.stderr.write(f"{what}: {_byte_rate(done, total, now - self._started)}\n")


def _byte_rate(done: int, total: int, seconds: float) -> str:
    text = f"{done / 1e6:,.0f} MB, {done / 1e6 / max(seconds, 0.001):,.0f} MB/s"
    if total and done:
        text += f", {100 * done / total:.0f} %, {_duration(seconds * (total - done) / done)} left"
    return text


def _rate(at: Progress, seconds: float) -> str:
    text = f"{at.records:,} records, {at.records / max(seconds, 0.001):,.0f}/s"
    if at.bytes_total and at.bytes_done:
        left = seconds * (at.bytes_total - at.bytes_done) / at.bytes_done
        text += f", {100 * at.bytes_done / at.bytes_total:.0f} %, {_duration(left)} left"
    return text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
