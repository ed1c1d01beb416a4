"""`sealed://`: sealed objects as an fsspec file system, for pandas, pyarrow, DuckDB, datasets and torch.

A path is that of an object's directory and a file's name in it: `sealed:///srv/llama.sealed/config.json`. It is always
absolute; without its first slash, as some programs pass it on, it means the same. Objects are
opened when the first file of theirs is, once for each file system (one entry in the ledger); listing needs no key.
A file that is written makes a new object, or is added to one that is there; nothing is replaced.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from fsspec import AbstractFileSystem

from ..core.clock import parse_time
from ..core.errors import UsageError
from ._door import Door, own_door
from ._file import Stream
from ._manifest import SIGNATURE, Manifest
from ._object import SealedObject, is_sealed_object, open_object, read_manifest, split_path
from ._parts import Recipient
from ._writer import add_file, create_file

__all__ = ["SealedFileSystem"]


class SealedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """See above. `door` is the site's own (STRONGROOM_SITE) unless given; `to`: whom new objects are sealed to."""

    protocol = "sealed"
    root_marker = "/"

    def __init__(self, door: Door | None = None, to: Sequence[Recipient] = (), **options: Any) -> None:
        super().__init__(**options)
        self._given, self._to = door, to
        self._lock = threading.Lock()
        self._opened: dict[Path, tuple[tuple[int, ...], SealedObject]] = {}
        self._known: dict[Path, tuple[tuple[int, ...], Manifest]] = {}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        stripped = super()._strip_protocol(path)
        return stripped if isinstance(stripped, list) else "/" + stripped.lstrip("/")

    @property
    def door(self) -> Door:
        """Through which objects are opened."""
        if self._given is None:
            self._given = own_door()
        return self._given

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What a directory holds: of the disk its directories, of an object its files. Raises FileNotFoundError."""
        root, name = split_path(self._strip_protocol(path))
        found = self._below(root, name) if is_sealed_object(root) else _directories(root, name)
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, size in bytes and type. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        root, name = split_path(path)
        if not is_sealed_object(root):
            if name or not root.is_dir():
                _missing(path)
            return _entry(str(root), None)
        if not name:
            return _entry(str(root), None)
        sizes = self._sizes(root)
        if name in sizes:
            return _entry(path, sizes[name])
        if not any(other.startswith(name + "/") for other in sizes):
            _missing(path)
        return _entry(path, None)

    def modified(self, path: str) -> datetime:
        """When the object was sealed, or its recipients changed. Raises FileNotFoundError."""
        root, name = split_path(self._strip_protocol(path))
        if not is_sealed_object(root) or name not in self._sizes(root):
            _missing(path)
        with self._lock:
            return datetime.fromtimestamp(parse_time(self._known[root][1].sealed_at) / 1e6, UTC)

    def ukey(self, path: str) -> str:
        """Changes when the file's content does: the digest of its sealed bytes. Raises FileNotFoundError."""
        root, name = split_path(self._strip_protocol(path))
        if not is_sealed_object(root) or name not in self._sizes(root):
            _missing(path)
        with self._lock:
            return next(file.digest for file in self._known[root][1].files if file.name == name)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        root, name = split_path(path)
        if mode == "rb":
            if not is_sealed_object(root) or name not in self._sizes(root):
                _missing(path)
            return Stream(self._object(root).file(name))
        if mode not in ("wb", "xb"):
            raise UsageError(f"a sealed file cannot be opened with mode '{mode}'", next="read it, or write a new one")
        if not name:
            raise UsageError("no file is named", where=path, next="write sealed://…/NAME.sealed/FILE")
        if is_sealed_object(root):
            return add_file(root, name, door=self.door)
        return create_file(root, name, to=self._to, door=self.door)

    def _object(self, root: Path) -> SealedObject:
        """The object, opened once as long as its manifest stays the same."""
        with self._lock:
            stamp = _stamp(root)
            known = self._opened.get(root)
            if known is None or known[0] != stamp:
                known = self._opened[root] = (stamp, open_object(root, door=self.door))
            return known[1]

    def _sizes(self, root: Path) -> dict[str, int]:
        with self._lock:
            stamp = _stamp(root)
            known = self._known.get(root)
            if known is None or known[0] != stamp:
                known = self._known[root] = (stamp, read_manifest(root, self.door.trusted).manifest)
            return {file.name: file.length for file in known[1].files}

    def _below(self, root: Path, name: str) -> list[dict[str, Any]]:
        sizes = self._sizes(root)
        if name in sizes:
            return [_entry(f"{root}/{name}", sizes[name])]
        prefix = f"{name}/" if name else ""
        found: dict[str, int | None] = {}
        for other, size in sizes.items():
            if other.startswith(prefix):
                first, slash, _ = other[len(prefix) :].partition("/")
                found[first] = None if slash else size
        if not found:
            _missing(f"{root}/{name}")
        return [_entry(f"{root}/{prefix}{first}", size) for first, size in sorted(found.items())]


def _directories(root: Path, name: str) -> list[dict[str, Any]]:
    if name or not root.is_dir():
        _missing(str(root / name))
    with os.scandir(root) as entries:
        return [_entry(f"{str(root).rstrip('/')}/{one.name}", None) for one in entries if one.is_dir()]


def _entry(name: str, size: int | None) -> dict[str, Any]:
    return {"name": name, "size": size or 0, "type": "directory" if size is None else "file"}


def _missing(path: str) -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _stamp(root: Path) -> tuple[int, ...]:
    found = (root / SIGNATURE).stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
