"""What the words on the command line mean: files, directories, globs, `-`, and addresses that fsspec opens."""

from __future__ import annotations

import glob
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from strongroom.core.errors import InputError, UsageError

__all__ = ["Source", "find_sources", "readable"]

MAX_SOURCES = 1_000_000
_ADDRESS = re.compile(r"(\w+://)(?:[^/\s@?]*@)?([^\s?]*)(?:\?\S*)?")


@dataclass(frozen=True)
class Source:
    """One stream of bytes to read."""

    path: str
    size: int
    """Bytes as stored; -1 when unknown."""
    open: Callable[[], BinaryIO]
    identity: object = None
    """Equal for two names of one file."""
    state: object = None
    """Differs from what it was when the content may have changed; None when nothing is known of that."""


@dataclass(frozen=True)
class Unreadable:
    """Something that was named or found and cannot be read, and why."""

    path: str
    reason: str


def find_sources(words: Sequence[str]) -> tuple[list[Source], list[Unreadable]]:
    """Every source that the words name, each once, in a stable order; and what had to be left out.

    Raises UsageError for an address without its extra, InputError when nothing at all can be read.
    """
    sources: dict[object, Source] = {}
    unreadable: list[Unreadable] = []
    for word in words:
        for found in _expand(word):
            if isinstance(found, Source):
                sources.setdefault(found.identity or found.path, replace(found, path=readable(found.path)))
            else:
                unreadable.append(Unreadable(readable(found.path), readable(found.reason)))
            if len(sources) > MAX_SOURCES:
                raise UsageError(f"more than {MAX_SOURCES:,} files", where=word, next="name fewer at a time")
    if not sources:
        tried = "; ".join(f"{u.path}: {u.reason}" for u in unreadable[:5])
        raise InputError(f"nothing to read: {tried}", next="name a log file, a directory, a glob or -")
    return list(sources.values()), unreadable


def readable(text: str) -> str:
    """A name or message as it may stand in reports: addresses without password and query, which hold credentials,
    and bytes that are no UTF-8 as escapes.

    >>> readable("https://me:secret@host/a.jsonl?X-Signature=secret")
    'https://host/a.jsonl'
    """
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return _ADDRESS.sub(r"\1\2", text)


def _expand(word: str) -> Iterator[Source | Unreadable]:
    if word == "-":
        yield _stdin()
    elif "://" in word:
        yield from _remote(word)
    elif os.path.lexists(word):
        yield from _local(Path(word), named=True)
    else:
        matches = _matches(word)
        if not matches:
            yield Unreadable(word, "no such file")
        for match in matches:
            yield from _local(match, named=True)


def _stdin() -> Source | Unreadable:
    # The annotation of sys.stdin does not say so, but a process may be started without one.
    if sys.stdin is None or sys.stdin.closed:
        return Unreadable("-", "standard input is closed")
    # A descriptor of its own, so that closing the source does not close stdin.
    return Source("-", -1, lambda: open(sys.stdin.fileno(), "rb", closefd=False))


def _matches(pattern: str) -> list[Path]:
    """What a glob matches, as a shell would without dotglob. Unlike glob.glob it never follows a link that loops."""
    if not glob.has_magic(pattern):
        return []
    parts = Path(pattern).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root, rest = Path(*parts[:plain]), parts[plain:]
    dotted = any(part.startswith(".") for part in rest)
    try:
        found = sorted(root.glob(str(Path(*rest))), key=str)
    except (OSError, ValueError):  # `a**b`, NUL
        return []
    return [path for path in found if dotted or not _hidden(path.relative_to(root))]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _local(path: Path, *, named: bool) -> Iterator[Source | Unreadable]:
    try:
        status = path.stat()
    except OSError as error:  # dangling or looping symlinks too
        yield Unreadable(str(path), error.strerror or str(error))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _directory(path)
    elif stat.S_ISREG(status.st_mode):
        identity, state = (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
        yield Source(str(path), status.st_size, lambda: path.open("rb"), identity, state)
    elif named and str(path).startswith(("/dev/fd/", "/proc/self/fd/")):
        # What a shell makes of <(command): somebody is writing to it.
        yield Source(str(path), -1, lambda: path.open("rb"))
    else:
        # Opening a FIFO that nobody writes to would wait for ever.
        yield Unreadable(str(path), "not a regular file; pipe it in and name it -")


def _directory(path: Path) -> Iterator[Source | Unreadable]:
    refused: list[OSError] = []
    empty = True
    # followlinks is off: a link back to a parent would never end.
    for folder, folders, files in os.walk(path, onerror=refused.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                empty = False
                yield from _local(Path(folder) / name, named=False)
    for error in refused:
        yield Unreadable(str(error.filename), error.strerror or str(error))
    if empty and not refused:
        yield Unreadable(str(path), "no files in this directory")


def _remote(address: str) -> Iterator[Source | Unreadable]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{address.partition('://')[0]}:// cannot be opened: {readable(str(error))}",
            where=readable(address),
            next="install the extra that reads it, such as pip install 'strongroom[s3]'",
        ) from None
    try:
        look = system.glob if glob.has_magic(path) else system.find
        infos: dict[str, dict[str, Any]] = look(path, detail=True)  # of all at once, not one request for each
    except Exception as error:  # stores of objects have errors of their own
        yield Unreadable(address, _foreign(error))
        return
    if not infos:
        yield Unreadable(address, "no such object")
    for each, info in sorted(infos.items()):
        if info.get("type") != "directory":
            state = tuple(str(info.get(name)) for name in ("size", "ETag", "LastModified", "mtime", "generation"))
            yield _remote_source(system, each, _size(info), state)


def _size(info: dict[str, Any]) -> int:
    return -1 if info.get("size") is None else int(info["size"])


def _remote_source(system: Any, path: str, size: int, state: object) -> Source:
    def opened() -> BinaryIO:
        try:
            return system.open(path, "rb")  # type: ignore[no-any-return]
        except OSError:
            raise
        except Exception as error:
            raise OSError(_foreign(error)) from error

    return Source(system.unstrip_protocol(path), size, opened, state=state)


def _foreign(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) and str(error) else f"{type(error).__name__}: {error}"
