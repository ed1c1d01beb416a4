"""The few things that the ledger does to a file system, in one place, so that crashes can be replayed in tests.

What is durable when: `write` promises nothing; `sync` makes the content of files durable; `sync_directories` makes
their names durable; a rename is atomic for readers at once and durable after the directory was synced. An error
of `sync` is final: the kernel may have thrown the pages away, so what was written must not be counted on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["Appending", "Disk"]

SYNC_THREADS = 16
"""Files that are synced at once; the file system then commits them together."""


class Appending:
    """A file that grows at its end."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.size = 0

    def write(self, data: bytes | bytearray) -> None:
        """Appends all of `data`, not durably. Raises OSError; `truncate` then takes back what was written of it."""
        done = 0
        with memoryview(data) as view:
            while done < len(data):
                done += os.pwrite(self._descriptor, view[done:], self.size + done)
        self.size += done

    def sync(self) -> None:
        """Content and size are durable when it returns."""
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """Cuts the file to `size` bytes."""
        os.ftruncate(self._descriptor, size)
        self.size = size

    def unlinked(self) -> bool:
        """Whether somebody removed the file."""
        return os.fstat(self._descriptor).st_nlink == 0

    def close(self) -> None:
        """Closes it; nothing is synced."""
        os.close(self._descriptor)


class Disk:
    """The file system. Every method raises OSError."""

    def create(self, path: Path) -> Appending:
        """A new file to append to. Raises FileExistsError when there is one."""
        return Appending(path)

    def write(self, path: Path, data: bytes) -> None:
        """Writes a file anew, not durably."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            done = 0
            while done < len(data):
                done += os.write(descriptor, data[done:])
        finally:
            os.close(descriptor)

    def sync(self, paths: Iterable[Path]) -> None:
        """The content of these files is durable when it returns."""
        _sync_all(list(paths))

    def make_directories(self, path: Path, mode: int = 0o755) -> None:
        """Makes a directory and those above it, not durably."""
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=mode, exist_ok=True)

    def sync_directories(self, paths: Iterable[Path]) -> None:
        """The names in these directories are durable when it returns."""
        _sync_all(list(paths))

    def rename(self, old: Path, new: Path) -> None:
        """Puts a file in the place of another."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Removes a file if it is there."""
        path.unlink(missing_ok=True)

    def remove_directory(self, path: Path) -> None:
        """Removes a directory of files, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            for file in path.iterdir():
                self.unlink(file)
            path.rmdir()


def _sync_all(paths: list[Path]) -> None:
    if len(paths) < 3:
        for path in paths:
            _sync_path(path)
        return
    with ThreadPoolExecutor(min(SYNC_THREADS, len(paths))) as threads:
        list(threads.map(_sync_path, paths))


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
