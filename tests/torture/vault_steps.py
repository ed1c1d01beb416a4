"""Every operation of the vault on its disk, one after the other: to kill at each, to fail at each, to look after each.

`Steps` replaces what the vault calls (`os.write`, `os.link`, `os.fsync`, renameat2, syncfs …) as long as it is entered.
A hook is called before each operation, and may kill the process, or raise; another after it.
"""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from strongroom.vault import _work

NAMES = ("link", "unlink", "remove", "rename", "replace", "mkdir", "rmdir")
ROOM = frozenset({"write", "create", "link", "rename", "replace", "mkdir"})
"""What a full disk refuses."""
SYNCS = frozenset({"fsync", "fdatasync", "syncfs"})


@dataclass(frozen=True)
class Step:
    """One operation, before or after it was done."""

    kind: str
    about: Any = None
    """A descriptor or a path."""
    half: Callable[[], Any] = lambda: None
    """Does a part of it: half of a write. Nothing of anything else."""


Hook = Callable[[Step], None]


class Steps:
    """See above. Hooks run under a lock: one operation at a time."""

    def __init__(self, before: Hook = lambda step: None, after: Hook = lambda step: None) -> None:
        self._before, self._after = before, after
        self._lock = threading.RLock()
        self._inside = False
        self._kept: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Self:
        for name in NAMES:
            self._replace(os, name, self._plain(getattr(os, name), name))
        for name in ("fsync", "fdatasync"):
            self._replace(os, name, self._plain(getattr(os, name), name))
        self._replace(os, "write", self._write(os.write))
        self._replace(os, "open", self._open(os.open))
        self._replace(io, "open", self._buffered(io.open))
        self._replace(_work, "_sync_file_system", self._plain(_work._sync_file_system, "syncfs"))
        self._replace(_work, "_rename", self._plain(_work._rename, "rename"))
        return self

    def __exit__(self, *error: object) -> None:
        for module, name, real in reversed(self._kept):
            setattr(module, name, real)
        self._kept.clear()

    def _replace(self, module: Any, name: str, new: Any) -> None:
        self._kept.append((module, name, getattr(module, name)))
        setattr(module, name, new)

    def _do(self, step: Step, real: Callable[[], Any]) -> Any:
        with self._lock:
            if self._inside:  # a hook's own, or one that is a part of another
                return real()
            self._inside = True
            try:
                self._before(step)
                done = real()
                self._after(step)
                return done
            finally:
                self._inside = False

    def _plain(self, real: Any, kind: str) -> Any:
        return lambda *words, **options: self._do(Step(kind, words[0]), lambda: real(*words, **options))

    def _write(self, real: Any) -> Any:
        def write(descriptor: int, data: Any) -> Any:
            step = Step("write", descriptor, lambda: real(descriptor, memoryview(data)[: len(data) // 2]))
            return self._do(step, lambda: real(descriptor, data))

        return write

    def _open(self, real: Any) -> Any:
        def opened(path: Any, flags: int, *words: Any, **options: Any) -> Any:
            if not flags & os.O_CREAT and flags & os.O_TMPFILE != os.O_TMPFILE:
                return real(path, flags, *words, **options)
            return self._do(Step("create", path), lambda: real(path, flags, *words, **options))

        return opened

    def _buffered(self, real: Any) -> Any:
        def opened(file: Any, mode: str = "r", *words: Any, **options: Any) -> Any:
            if "w" not in mode:
                return real(file, mode, *words, **options)
            if isinstance(file, int):
                return _Written(self, real(file, mode, *words, **options))
            return _Written(self, self._do(Step("create", file), lambda: real(file, mode, *words, **options)))

        return opened


class _Written:
    """A file object whose writes are steps."""

    def __init__(self, steps: Steps, file: Any) -> None:
        self._steps, self._file = steps, file

    def write(self, data: Any) -> Any:
        def put(part: Any) -> Any:
            count = self._file.write(part)
            self._file.flush()
            return count

        step = Step("write", self._file.fileno(), lambda: put(memoryview(data)[: len(data) // 2]))
        return self._steps._do(step, lambda: put(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def killing(at: int, *, torn: bool) -> Steps:
    """Kills the process before step number `at`, or in the middle of it if it is a write and `torn`."""
    count = 0

    def before(step: Step) -> None:
        nonlocal count
        if count == at:
            if torn:
                step.half()
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    return Steps(before)


class Failing:
    """Fails at one step of certain kinds, or from it on. `hit` says how often."""

    def __init__(self, number: int, at: int, kinds: frozenset[str], *, lasting: bool) -> None:
        self.number, self.at, self.kinds, self.lasting = number, at, kinds, lasting
        self.count = self.hit = 0
        self.steps = Steps(self._before)

    def _before(self, step: Step) -> None:
        if step.kind not in self.kinds:
            return
        now, self.count = self.count, self.count + 1
        if now == self.at or (self.lasting and now > self.at):
            self.hit += 1
            step.half()
            raise OSError(self.number, os.strerror(self.number))
