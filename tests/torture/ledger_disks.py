"""Disks for the ledger that remember, and disks that fail; and what may be left of one when the power goes.

A trace is a list of operations in the order in which they happened, with the ledger's acknowledgements among them.
`Model` is a file system that has lived through a part of a trace; `Model.losses` are states that it may wake up in:

    content   synced bytes stay. Each later write is kept, lost, torn (a beginning of it) or zeros, each on its own, in
              any order: so a write may be there though an earlier one is not, and the gap reads as zeros.
    names     what a directory sync covered stays. Each later change of a directory is there or not, each on its own;
              a rename is there as a whole or not at all. A file whose name is not there is not there.

That is more than ext4 or XFS would do to us: they keep the order of names.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.ledger._disk import Appending, Disk


@dataclass(frozen=True)
class Operation:
    """`kind` and what it was done to; of a promise (`Recording.told`), `data` says what was promised."""

    kind: str
    path: str = ""
    data: Any = b""
    at: int = 0
    file: int = 0
    """Which file: names change hands."""


class Recording(Disk):
    """Does everything, and remembers it below `root`. `fail` may raise before an operation is done."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trace: list[Operation] = []
        self._lock = threading.RLock()
        self._files = 0

    def told(self, kind: str, data: Any) -> None:
        """Adds a promise to the trace."""
        with self._lock:
            self.trace.append(Operation(kind, data=data))

    def note(self, kind: str, path: Path | str, data: Any = b"", at: int = 0, file: int = 0) -> None:
        name = str(Path(path).relative_to(self.root)) if Path(path) != self.root else ""
        self.trace.append(Operation(kind, name, data, at, file))

    def create(self, path: Path) -> Appending:
        """See Disk."""
        disk = self
        with self._lock:
            self._files += 1
            number = self._files
            file = _Recorded(path)
            file.setup(disk, path, number)
            self.note("create", path, file=number)
        return file

    def write(self, path: Path, data: bytes) -> None:
        """See Disk."""
        with self._lock:
            self._files += 1
            fresh = not path.exists()
            super().write(path, data)
            self.note("create" if fresh else "truncate", path, file=self._files)
            self.note("write", path, data, 0)

    def sync(self, paths: Iterable[Path]) -> None:
        """See Disk. What was written while it ran is not covered."""
        for path in paths:
            with self._lock:
                super().sync([path])
                self.note("sync", path)

    def make_directories(self, path: Path, mode: int = 0o755) -> None:
        """See Disk."""
        with self._lock:
            new = [at for at in (path, *path.parents) if self.root in at.parents and not at.is_dir()]
            super().make_directories(path, mode)
            for at in reversed(new):
                self.note("mkdir", at)

    def sync_directories(self, paths: Iterable[Path]) -> None:
        """See Disk."""
        for path in paths:
            with self._lock:
                super().sync_directories([path])
                self.note("sync_directory", path)

    def rename(self, old: Path, new: Path) -> None:
        """See Disk."""
        with self._lock:
            super().rename(old, new)
            self.note("rename", old, str(new.relative_to(self.root)))

    def unlink(self, path: Path) -> None:
        """See Disk."""
        with self._lock:
            there = path.exists()
            super().unlink(path)
            if there:
                self.note("unlink", path)

    def remove_directory(self, path: Path) -> None:
        """See Disk."""
        with self._lock:
            there = path.exists()
            super().remove_directory(path)
            if there:
                self.note("rmdir", path)


class _Recorded(Appending):
    def setup(self, disk: Recording, path: Path, number: int) -> None:
        self._disk, self._path, self._number = disk, path, number

    def write(self, data: bytes | bytearray) -> None:
        with self._disk._lock:
            at = self.size
            super().write(data)
            self._disk.note("append", self._path, bytes(data), at, self._number)

    def sync(self) -> None:
        with self._disk._lock:
            super().sync()
            self._disk.note("sync_file", self._path, file=self._number)

    def truncate(self, size: int) -> None:
        with self._disk._lock:
            super().truncate(size)
            self._disk.note("cut", self._path, at=size, file=self._number)


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    later: list[tuple[int, bytes]] = field(default_factory=list)
    """Writes since the last sync: where, and what."""

    def now(self) -> bytearray:
        return _written(self.durable, self.later)


def _written(durable: bytearray, writes: Iterable[tuple[int, bytes]]) -> bytearray:
    content = bytearray(durable)
    for at, data in writes:
        if len(content) < at:
            content.extend(bytes(at - len(content)))
        content[at : at + len(data)] = data
    return content


@dataclass(frozen=True)
class _Change:
    """One change of names: `add` (path to file, or to -1 for a directory) and `remove`, together or not at all."""

    directories: frozenset[str]
    add: tuple[tuple[str, int], ...] = ()
    remove: tuple[str, ...] = ()


class Model:
    """A file system after some operations: what is durable of it, and what is not yet."""

    def __init__(self) -> None:
        self.files: dict[int, _File] = {}
        self.names: dict[str, int] = {}
        """As processes see it."""
        self.durable: dict[str, int] = {}
        self.changes: list[_Change] = []

    def visible(self) -> dict[str, bytes | None]:
        """What processes see: all of it, as after a kill."""
        return {n: None if k < 0 else bytes(self.files[k].now()) for n, k in sorted(self.names.items())}

    def apply(self, operation: Operation) -> None:
        """One operation that is no promise."""
        kind, path = operation.kind, operation.path
        if kind == "mkdir":
            self._change(add=((path, -1),))
        elif kind == "create":
            self.files[operation.file] = _File()
            self._change(add=((path, operation.file),))
        elif kind == "truncate":
            # O_TRUNC of what was there: the worst is that the old content is gone for good.
            self.files[self.names[path]] = _File()
        elif kind == "write":
            self.files[self.names[path]].later.append((operation.at, operation.data))
        elif kind == "append":
            self.files[operation.file].later.append((operation.at, operation.data))
        elif kind == "cut":
            file = self.files[operation.file]
            file.later = [(at, data[: max(0, operation.at - at)]) for at, data in file.later]
        elif kind == "sync":
            self._sync(self.files[self.names[path]])
        elif kind == "sync_file":
            self._sync(self.files[operation.file])
        elif kind == "rename":
            number = self.names[path]
            self._change(add=((operation.data, number),), remove=(path,))
        elif kind == "unlink":
            self._change(remove=(path,))
        elif kind == "rmdir":
            for name in sorted((name for name in self.names if name.startswith(f"{path}/")), reverse=True):
                self._change(remove=(name,))
            self._change(remove=(path,))
        elif kind == "sync_directory":
            rest = []
            for change in self.changes:
                if path in change.directories:
                    _rename(self.durable, change)
                else:
                    rest.append(change)
            self.changes = rest
        else:
            raise AssertionError(kind)

    def _change(self, add: tuple[tuple[str, int], ...] = (), remove: tuple[str, ...] = ()) -> None:
        change = _Change(frozenset(_parent(name) for name in [*dict(add), *remove]), add, remove)
        _rename(self.names, change)
        self.changes.append(change)

    @staticmethod
    def _sync(file: _File) -> None:
        file.durable, file.later = file.now(), []

    def losses(self, rng: random.Random, many: int) -> Iterator[dict[str, bytes | None]]:
        """States after a loss of power now: path to content, None for a directory. The extremes first, then mixtures."""
        for keep_names in (True, False):
            for content in ("kept", "lost", "zeros", "torn"):
                yield self._state(rng, lambda: keep_names, lambda: content)  # noqa: B023
        for _ in range(many):
            share = rng.random()
            yield self._state(
                rng,
                lambda: rng.random() < share,  # noqa: B023
                lambda: rng.choice(("kept", "kept", "lost", "zeros", "torn")),
            )

    def _state(self, rng: random.Random, keep_name: Any, content: Any) -> dict[str, bytes | None]:
        names = dict(self.durable)
        for change in self.changes:
            if keep_name():
                _rename(names, change)
        state: dict[str, bytes | None] = {}
        for name in sorted(names):
            above = _parent(name)
            if above and above not in state:
                continue  # it is in a directory that is not there
            number = names[name]
            state[name] = None if number < 0 else self._content(self.files[number], rng, content)
        return state

    def _content(self, file: _File, rng: random.Random, content: Any) -> bytes:
        writes = []
        for at, data in file.later:
            how = content()
            if how == "kept":
                writes.append((at, data))
            elif how == "zeros":
                writes.append((at, bytes(len(data))))
            elif how == "torn" and data:
                cut = rng.randrange(len(data))
                # The rest of it is not there, or reads as zeros.
                writes.append((at, data[:cut] + bytes(len(data) - cut) if rng.random() < 0.5 else data[:cut]))
        return bytes(_written(file.durable, writes))


def _rename(names: dict[str, int], change: _Change) -> None:
    for name in change.remove:
        names.pop(name, None)
    names.update(change.add)


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def build(state: dict[str, bytes | None], root: Path) -> None:
    """Puts a state on a real disk."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in state.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)


class Failing(Disk):
    """Fails at operation number `fail_at` with `number`, and from then on too if `lasting`; writes a part of it first.

    ENOSPC and EROFS hit what writes, EIO hits syncs; `hit` says whether anything failed.
    """

    def __init__(self, number: int, fail_at: int, *, lasting: bool) -> None:
        self.number, self.fail_at, self.lasting = number, fail_at, lasting
        self.count = 0
        self.hit = 0
        self._lock = threading.Lock()

    def fails(self, kind: str) -> bool:
        wanted = ("sync",) if self.number == errno.EIO else ("write", "create", "name")
        if kind not in wanted:
            return False
        with self._lock:
            self.count += 1
            fails = self.count > self.fail_at if self.lasting else self.count - 1 == self.fail_at
            self.hit += fails
            return fails

    def check(self, kind: str) -> None:
        if self.fails(kind):
            raise self.error()

    def error(self) -> OSError:
        return OSError(self.number, os.strerror(self.number))

    def create(self, path: Path) -> Appending:
        """See Disk."""
        disk = self
        self.check("create")

        class File(Appending):
            def write(self, data: bytes | bytearray) -> None:
                if disk.fails("write"):
                    if disk.number != errno.EROFS:
                        os.pwrite(self._descriptor, data[: len(data) // 2], self.size)
                    raise disk.error()
                super().write(data)

            def sync(self) -> None:
                disk.check("sync")
                super().sync()

        return File(path)

    def write(self, path: Path, data: bytes) -> None:
        """See Disk."""
        if self.fails("write"):
            if self.number != errno.EROFS:
                super().write(path, data[: len(data) // 2])
            raise self.error()
        super().write(path, data)

    def sync(self, paths: Iterable[Path]) -> None:
        """See Disk."""
        for path in paths:
            self.check("sync")
            super().sync([path])

    def sync_directories(self, paths: Iterable[Path]) -> None:
        """See Disk."""
        for path in paths:
            self.check("sync")
            super().sync_directories([path])

    def make_directories(self, path: Path, mode: int = 0o755) -> None:
        """See Disk."""
        self.check("name")
        super().make_directories(path, mode)

    def rename(self, old: Path, new: Path) -> None:
        """See Disk."""
        self.check("name")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        """See Disk."""
        if self.number == errno.EROFS:
            self.check("name")
        super().unlink(path)
