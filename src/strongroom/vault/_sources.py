"""Which files are sealed: those of the paths that were given, each with the name that it has in the object."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import InputError, UsageError
from ._manifest import MAX_PARTS, check_names

__all__ = ["Source", "find_sources", "mark_of"]


@dataclass(frozen=True, slots=True)
class Source:
    """One file to seal."""

    name: str
    """In the object."""
    path: Path
    size: int
    """In bytes."""
    mark: str
    """Changes when the file does: size, times, inode and device."""


def mark_of(found: os.stat_result) -> str:
    """What a file's `stat` says of its content."""
    return f"{found.st_size}.{found.st_mtime_ns}.{found.st_ctime_ns}.{found.st_ino}.{found.st_dev}"


def find_sources(paths: Sequence[Path], *, follow_links: bool = False, out: Path | None = None) -> list[Source]:
    """Files in order of their names. One directory gives its files, named below it; several paths each keep theirs.

    `out`: where the object will lie, which must not be below what is sealed. Raises UsageError for that, InputError for
    what is missing, unreadable or neither file nor directory, and for links unless they are followed (OMS 1.0, section
    6.1.1): then they are what they lead to.
    """
    found: list[Source] = []
    for path in paths:
        try:
            if path.is_symlink() and not follow_links:
                raise _a_link(path)
            if path.is_dir():
                if out is not None and path.resolve() in out.resolve().parents:
                    raise UsageError("the object would lie in what is sealed", where=str(out), next="choose another -o")
                prefix = "" if len(paths) == 1 else Path(os.path.abspath(path)).name + "/"  # noqa: PTH100
                found.extend(_below(path, prefix, follow_links, frozenset()))
            else:
                found.append(_source(path, path.name, follow=True))
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}", where=str(error.filename or path)) from error
    if not found:
        raise InputError(
            "there is no file to seal",
            where=", ".join(map(str, paths))[:300],
            next="name files, or a directory of some",
        )
    check_names(source.name for source in found)
    return sorted(found, key=lambda source: source.name)


def _a_link(path: Path) -> InputError:
    return InputError("this is a symbolic link", where=str(path), next="--follow-links seals what links lead to")


def _below(folder: Path, prefix: str, follow: bool, above: frozenset[tuple[int, int]]) -> Iterator[Source]:
    if prefix.count("/") > MAX_PARTS:  # a file below would be refused for its name
        raise InputError(f"directories lie in one another more than {MAX_PARTS} times", where=prefix[:200])
    own = folder.stat()
    if (own.st_dev, own.st_ino) in above:
        raise InputError("links lead in a circle", where=str(folder))
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            name, path = prefix + entry.name, Path(entry.path)
            if entry.is_symlink() and not follow:
                raise _a_link(path)
            if entry.is_dir():
                yield from _below(path, name + "/", follow, above | {(own.st_dev, own.st_ino)})
            else:
                yield _source(path, name, follow=follow)


def _source(path: Path, name: str, *, follow: bool) -> Source:
    found = path.stat(follow_symlinks=follow)
    if not stat.S_ISREG(found.st_mode):
        raise InputError("this is neither a file nor a directory", where=str(path), next="leave it out")
    return Source(name, path, found.st_size, mark_of(found))
