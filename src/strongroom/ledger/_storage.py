"""Where a log lies: a directory, an object store, or a web server that is read from.

    public/checkpoint, public/cosigned, public/tile/…   what the world may read; any web server can serve it
    journal/                                            what is durable and not yet in tiles (_journal.py)

Full tiles and bundles never change once a checkpoint covers them; partial ones get names of their own. So a
reader that has a checkpoint needs no lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from ..core.errors import InputError, IntegrityError, StrongroomError
from ._disk import Disk

__all__ = ["DirectoryStorage", "ObjectStorage", "Source", "Storage", "WebSource", "full_disk", "is_full", "open_source"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
READ_SECONDS = 30.0
"""How long a web server may take for one file."""


class Source(Protocol):
    """Where files of a log are read from; nothing that comes from there is trusted."""

    name: str

    def read(self, path: str, limit: int) -> bytes | None:
        """The file's bytes; None where there is none. Raises IntegrityError above `limit`, StrongroomError."""
        ...


class Storage(Source, Protocol):
    """Where a sequencer writes. Each method is durable when it returns, and raises StrongroomError."""

    def put(self, files: Sequence[tuple[str, bytes]], rightful: Callable[[], None]) -> None:
        """Writes files that no published checkpoint covers yet.

        What a predecessor left under such a name is written over, after `rightful` did not raise.
        """
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Puts a file in the place of an older one: a reader sees the one or the other, whole."""
        ...

    def settle(self, path: str) -> None:
        """Makes a file durable as it is: whoever put it there may have been killed before it was."""
        ...

    def discard(self, folders: Iterable[str]) -> None:
        """Removes folders of files, not necessarily durably."""
        ...


class DirectoryStorage:
    """A directory of this machine."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.disk = disk or Disk()
        self.name = str(root)
        self._known: set[Path] = set()
        """Directories whose names this process has seen durable."""

    def read(self, path: str, limit: int) -> bytes | None:
        """See Source."""
        target = f"{self.root}/{path}"
        try:
            # Not a Path, which takes twice as long; without waiting for whoever writes into a pipe of that name.
            with open(target, "rb", buffering=0, opener=_opener) as file:
                data = file.read(limit + 1) or b""
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"the file cannot be read: {error.strerror}", where=target) from error
        if len(data) > limit:
            raise IntegrityError(f"the file is larger than {limit:,} bytes", where=target)
        return data

    def put(self, files: Sequence[tuple[str, bytes]], rightful: Callable[[], None]) -> None:
        """See Storage. First the contents, then the names, then the names of new directories above them."""
        rightful()
        paths = [self.root / path for path, _ in files]
        try:
            parents = self._make_parents(paths)
            for path, (_, data) in zip(paths, files, strict=True):
                self.disk.write(path, data)
            self.disk.sync(paths)
            self._sync_names(parents)
        except OSError as error:
            raise full_disk(error, self.name) from error

    def replace(self, path: str, data: bytes) -> None:
        """See Storage. The new content is durable before the rename makes it the file."""
        target = self.root / path
        part = target.with_name(target.name + ".part")
        try:
            parents = self._make_parents([target])
            self.disk.write(part, data)
            self.disk.sync([part])
            self.disk.rename(part, target)
            self._sync_names(parents)
        except OSError as error:
            raise full_disk(error, str(target)) from error

    def settle(self, path: str) -> None:
        """See Storage."""
        target = self.root / path
        try:
            self.disk.sync([target])
            self._sync_names({target.parent})
        except OSError as error:
            raise full_disk(error, str(target)) from error

    def discard(self, folders: Iterable[str]) -> None:
        """See Storage."""
        try:
            for folder in folders:
                self._known.discard(self.root / folder)
                self.disk.remove_directory(self.root / folder)
        except OSError as error:
            raise full_disk(error, self.name) from error

    def _make_parents(self, paths: Iterable[Path]) -> set[Path]:
        """Makes the directories of these files, and returns them."""
        parents = {path.parent for path in paths}
        for parent in parents:
            if not parent.is_dir():
                self.disk.make_directories(parent)
        return parents

    def _sync_names(self, parents: set[Path]) -> None:
        """Makes the names in these directories durable, and their own.

        A directory that was there proves nothing: whoever made it may have failed or been killed before this.
        """
        unsure = set(parents)
        for parent in parents:
            at = parent
            while at != self.root.parent and at not in self._known:
                at = at.parent
                unsure.add(at)
        if self.root.parent in unsure:
            unsure.remove(self.root.parent)
            with contextlib.suppress(PermissionError):  # not ours, then not made by us
                self.disk.sync_directories([self.root.parent])
        self.disk.sync_directories(sorted(unsure))
        self._known |= unsure


class ObjectStorage:
    """A prefix of an object store, through fsspec. What is put there is durable when the store has answered."""

    root: str

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StrongroomError(f"this storage cannot be used: {error}", where=url) from error
        self._files.invalidate_cache()
        self.name = url

    def read(self, path: str, limit: int) -> bytes | None:
        """See Source."""
        try:
            data: bytes = self._files.cat_file(f"{self.root}/{path}", start=0, end=limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise _store_error(error, f"{self.name}/{path}") from error
            data = b""  # S3 has no range of an empty object
        except Exception as error:
            raise _store_error(error, f"{self.name}/{path}") from error
        if len(data) > limit:
            raise IntegrityError(f"the file is larger than {limit:,} bytes", where=f"{self.name}/{path}")
        return data

    def put(self, files: Sequence[tuple[str, bytes]], rightful: Callable[[], None]) -> None:
        """See Storage. Conditional writes: a sequencer that was replaced cannot write over its successor's tiles."""
        rightful()
        for path, data in files:
            if not self.create(path, data) and self.read(path, len(data)) != data:
                rightful()
                self.replace(path, data)

    def replace(self, path: str, data: bytes) -> None:
        """See Storage: an object store replaces objects whole."""
        try:
            self._files.pipe_file(f"{self.root}/{path}", data)
        except Exception as error:
            raise _store_error(error, f"{self.name}/{path}") from error

    def settle(self, path: str) -> None:
        """See Storage: it is."""

    def discard(self, folders: Iterable[str]) -> None:
        """See Storage."""
        for folder in folders:
            paths = self.list(folder)
            if paths:
                self.remove(paths)

    def create(self, path: str, data: bytes) -> bool:
        """Makes an object unless there is one (a conditional write); False when there was."""
        try:
            self._files.pipe_file(f"{self.root}/{path}", data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise _store_error(error, f"{self.name}/{path}") from error
        return True

    def list(self, folder: str) -> list[str]:
        """Every path below a folder, sorted; the store is asked, no cache."""
        try:
            self._files.invalidate_cache()
            found = self._files.find(f"{self.root}/{folder}")
        except FileNotFoundError:
            return []
        except Exception as error:
            raise _store_error(error, f"{self.name}/{folder}") from error
        return sorted(str(PurePosixPath(path).relative_to(self.root)) for path in found)

    def remove(self, paths: Sequence[str]) -> None:
        """Removes objects."""
        try:
            self._files.rm([f"{self.root}/{path}" for path in paths])
        except FileNotFoundError:
            return
        except Exception as error:
            raise _store_error(error, self.name) from error


class WebSource:
    """A log behind a URL prefix. Only http and https; bounded in bytes and time."""

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")

    def read(self, path: str, limit: int) -> bytes | None:
        """See Source."""
        from ._http import get

        data: bytes | None = get(f"{self.name}/{path}", limit=limit, deadline=READ_SECONDS)
        return data


def open_source(place: str) -> Source:
    """The public part of a log: a URL prefix, a site, a ledger's directory, or a copy of its public files.

    Raises InputError when there is none.
    """
    if place.startswith(("http://", "https://")):
        return WebSource(place)
    if "://" in place:
        return ObjectStorage(place.rstrip("/"))
    path = Path(place)
    for root in (path, path / "public", path / "ledger" / "public"):
        if (root / "checkpoint").is_file():
            return DirectoryStorage(root)
    if not path.exists():
        raise InputError("there is no such directory", where=place)
    raise InputError(
        "there is no log: no checkpoint", where=place, next="name a site, a ledger's directory, or a log's URL"
    )


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def full_disk(error: OSError, where: str) -> StrongroomError:
    """An OSError as the error that people read."""
    next = "free some space" if error.errno in _FULL else "check the disk and its permissions"
    return StrongroomError(f"the ledger cannot write: {error.strerror}", where=where, next=next)


def is_full(error: StrongroomError) -> bool:
    """Whether an error came of `full_disk`, and space would help."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL


def _store_error(error: Exception, where: str) -> StrongroomError:
    # Of the store's own text the kind alone: it may quote requests and what authorised them.
    return StrongroomError(
        f"the object store failed: {type(error).__name__}", where=where, next="check the address and the permissions"
    )
