"""What the words on the command line mean: files, directories, globs, `-`, and addresses that fsspec opens."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from strongroom.core.errors import InputError, UsageError

__all__ = ["Source", "find_sources"]

MAX_SOURCES = 1_000_000


@dataclass(frozen=True)
class Source:
    """One stream of bytes to read."""

    path: str
    size: int
    """Bytes as stored; 0 when unknown."""
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Unreadable:
    """Something that was named or found and cannot be read, and why."""

    path: str
    reason: str


def find_sources(words: Sequence[str]) -> tuple[list[Source], list[Unreadable]]:
    """Every source that the words name, each once, in a stable order; and what had to be left out.

    Raises UsageError for an address without its extra, InputError when nothing at all can be read.
    """
    sources: dict[str, Source] = {}
    unreadable: list[Unreadable] = []
    for word in words:
        for found in _expand(word):
            if isinstance(found, Source):
                sources.setdefault(found.path, found)
            else:
                unreadable.append(found)
            if len(sources) > MAX_SOURCES:
                raise UsageError(f"more than {MAX_SOURCES:,} files", where=word, next="name fewer at a time")
    if not sources:
        tried = "; ".join(f"{u.path}: {u.reason}" for u in unreadable[:5])
        raise InputError(f"nothing to read: {tried}", next="name a log file, a directory, a glob or -")
    return list(sources.values()), unreadable


def _expand(word: str) -> Iterator[Source | Unreadable]:
    if word == "-":
        yield Source("-", 0, lambda: sys.stdin.buffer)
    elif "://" in word:
        yield from _remote(word)
    elif os.path.lexists(word):
        yield from _local(Path(word), named=True)
    else:
        matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 # absolute patterns too
        if not matches:
            yield Unreadable(word, "no such file")
        for match in matches:
            yield from _local(Path(match), named=True)


def _local(path: Path, *, named: bool) -> Iterator[Source | Unreadable]:
    try:
        status = path.stat()
    except OSError as error:  # dangling or looping symlinks too
        yield Unreadable(str(path), error.strerror or str(error))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _directory(path)
    elif stat.S_ISREG(status.st_mode):
        yield Source(str(path), status.st_size, lambda: path.open("rb"))
    elif named and str(path).startswith(("/dev/fd/", "/proc/self/fd/")):
        # What a shell makes of <(command): somebody is writing to it.
        yield Source(str(path), 0, lambda: path.open("rb"))
    else:
        # Opening a FIFO that nobody writes to would wait for ever.
        yield Unreadable(str(path), "not a regular file; pipe it in and name it -")


def _directory(path: Path) -> Iterator[Source | Unreadable]:
    # followlinks is off: a link back to a parent would never end.
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield from _local(Path(folder) / name, named=False)


def _remote(address: str) -> Iterator[Source | Unreadable]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{address.partition('://')[0]}:// cannot be opened: {error}",
            where=address,
            next="install the extra that reads it, such as pip install 'strongroom[s3]'",
        ) from None
    try:
        paths = sorted(system.glob(path)) if any(c in path for c in "*?[") else sorted(system.find(path))
    except (OSError, ValueError) as error:
        yield Unreadable(address, str(error) or type(error).__name__)
        return
    if not paths:
        yield Unreadable(address, "no such object")
    for each in paths:
        info: dict[str, Any] = system.info(each)
        if info.get("type") != "directory":
            yield _remote_source(system, each, int(info.get("size") or 0))


def _remote_source(system: Any, path: str, size: int) -> Source:
    return Source(system.unstrip_protocol(path), size, lambda: system.open(path, "rb"))
