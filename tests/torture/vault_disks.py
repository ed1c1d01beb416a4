"""A file system that is looked at after every operation, and what may be left of it when the power goes.

`Disk` follows a real directory: which names and which bytes are durable, which are not yet. `Disk.losses` are states
that it may wake up in, by the rules of ledger_disks.py: of content that was not synced all, nothing, a beginning or
zeros may be there, each file on its own; of changed names that no sync of their directory (or of the file system)
covered, each may be there or not, and a rename as a whole or not at all. ext4 and XFS would do less to us: they keep
the order of names.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .vault_steps import SYNCS, Step, Steps

Name = tuple[int, str]
"""The inode of a directory, and a name in it."""
State = dict[str, bytes | None]
"""Path to content; None for a directory."""


@dataclass(frozen=True)
class _Change:
    """What one operation did to names: together or not at all."""

    add: dict[Name, int]
    remove: frozenset[Name]

    def directories(self) -> set[int]:
        return {directory for directory, _ in (*self.add, *self.remove)}

    def on(self, names: dict[Name, int]) -> None:
        for name in self.remove:
            names.pop(name, None)
        names.update(self.add)


class Disk:
    """See above. What is there at the beginning is durable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = root.stat().st_ino
        self.names: dict[Name, int] = {}
        self.now: dict[int, bytes | None] = {}
        """Content of every file that was ever there; None for a directory."""
        self._look()
        self.durable_names, self.durable = dict(self.names), dict(self.now)
        self.changes: list[_Change] = []

    def steps(self, after: Callable[[], None]) -> Steps:
        """To enter while something works on the directory. `after` is called after each operation."""

        def follow(step: Step) -> None:
            self._follow(step)
            after()

        return Steps(after=follow)

    def _follow(self, step: Step) -> None:
        before = self.names
        self._look()
        add = {name: inode for name, inode in self.names.items() if before.get(name) != inode}
        gone = frozenset(before.keys() - self.names.keys())
        if add or gone:
            self.changes.append(_Change(add, gone))
        if step.kind in SYNCS:
            self._synced(step)

    def _look(self) -> None:
        self.names = {}
        waiting = [(self.root, self.top)]
        while waiting:
            folder, inode = waiting.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    own = entry.inode()
                    self.names[inode, entry.name] = own
                    if entry.is_dir(follow_symlinks=False):
                        self.now[own] = None
                        waiting.append((Path(entry.path), own))
                    else:
                        self.now[own] = Path(entry.path).read_bytes()

    def _synced(self, step: Step) -> None:
        if step.kind == "syncfs":
            self.durable_names, self.durable, self.changes = dict(self.names), dict(self.now), []
            return
        inode = os.fstat(step.about).st_ino
        if self.now.get(inode, b"") is not None and inode != self.top:
            # It may have no name yet (O_TMPFILE).
            self.durable[inode] = self.now[inode] = Path(f"/proc/self/fd/{step.about}").read_bytes()
            return
        rest = []
        for change in self.changes:
            if inode in change.directories():
                change.on(self.durable_names)
            else:
                rest.append(change)
        self.changes = rest

    # What is left

    def losses(self, rng: random.Random, many: int) -> Iterator[State]:
        """The extremes, then so many mixtures."""
        for names in (True, False):
            for content in ("kept", "lost", "zeros", "torn"):
                yield self._state(rng, lambda: names, lambda: content)  # noqa: B023
        for _ in range(many):
            share = rng.random()
            yield self._state(
                rng,
                lambda: rng.random() < share,  # noqa: B023
                lambda: rng.choice(("kept", "kept", "lost", "zeros", "torn")),
            )

    def visible(self) -> State:
        """What processes see."""
        return self._tree(self.names, lambda inode: self.now[inode])

    def _state(self, rng: random.Random, keep: Callable[[], bool], content: Callable[[], str]) -> State:
        names = dict(self.durable_names)
        for change in self.changes:
            if keep():
                change.on(names)
        return self._tree(names, lambda inode: self._content(inode, rng, content))

    def _content(self, inode: int, rng: random.Random, content: Callable[[], str]) -> bytes | None:
        now, durable = self.now[inode], self.durable.get(inode, b"")
        if now is None or durable is None or now == durable:
            return now
        how = content()
        if how in ("kept", "lost"):
            return now if how == "kept" else durable
        same = next(
            (n for n, (one, two) in enumerate(zip(now, durable, strict=False)) if one != two),
            min(len(now), len(durable)),
        )
        if how == "zeros":
            return now[:same] + bytes(len(now) - same)
        cut = rng.randrange(same, len(now) + 1)
        return now[:cut] + bytes(len(now) - cut) * (rng.random() < 0.5)

    def _tree(self, names: dict[Name, int], content: Callable[[int], bytes | None]) -> State:
        below: dict[int, list[tuple[str, int]]] = {}
        for (directory, name), inode in names.items():
            below.setdefault(directory, []).append((name, inode))
        state: State = {}
        waiting = [("", self.top)]
        while waiting:
            path, directory = waiting.pop()
            for name, inode in sorted(below.get(directory, [])):
                whole = f"{path}/{name}" if path else name
                state[whole] = found = content(inode)
                if found is None:
                    waiting.append((whole, inode))
        return state

    def moved(self, root: Path) -> Self:
        """The same disk elsewhere, as after a kill: what was not durable is not yet."""
        build(self.visible(), root)
        other = copy.copy(self)
        other.root = root
        seen = {self.top: root.stat().st_ino}
        for path in sorted(self.visible()):
            folder, _, name = path.rpartition("/")
            old = self._inode(folder)
            seen[self.names[old, name]] = (root / path).stat().st_ino

        def new(inode: int) -> int:
            return seen.setdefault(inode, -inode)  # of what is no longer there, but may be again

        other.top = seen[self.top]
        other.names, other.durable_names = (
            {(new(folder), name): new(inode) for (folder, name), inode in names.items()}
            for names in (self.names, self.durable_names)
        )
        other.now, other.durable = (
            {new(inode): data for inode, data in files.items()} for files in (self.now, self.durable)
        )
        other.changes = [
            _Change(
                {(new(folder), name): new(inode) for (folder, name), inode in change.add.items()},
                frozenset((new(folder), name) for folder, name in change.remove),
            )
            for change in self.changes
        ]
        return other

    def _inode(self, path: str) -> int:
        inode = self.top
        for part in path.split("/") if path else []:
            inode = self.names[inode, part]
        return inode


def build(state: State, root: Path) -> None:
    """Puts a state on a real disk. Directories are for their owner alone, as those of the vault's work are."""
    root.mkdir(mode=0o700)
    for name, data in sorted(state.items()):
        if data is None:
            (root / name).mkdir(mode=0o700)
        else:
            (root / name).write_bytes(data)
