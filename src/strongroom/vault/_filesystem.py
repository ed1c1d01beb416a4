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
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from fsspec import AbstractFileSystem

from ..core.clock import parse_time
from ..core.errors import UsageError
from ._door import Door, own_door
from ._file import Stream
from ._manifest import SIGNATURE, SealedFile
from ._object import SealedObject, open_object, read_manifest
from ._parts import Recipient
from ._paths import is_sealed_object, split_path
from ._writer import add_file, create_file

__all__ = ["SealedFileSystem"]

KEPT_OBJECTS = 64
"""Objects that one file system holds open, and lists that it keeps."""


class SealedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """See above. `door` is the site's own (STRONGROOM_SITE) unless given; `to`: whom new objects are sealed to."""

    protocol = "sealed"
    root_marker = "/"

    def __init__(self, door: Door | None = None, to: Sequence[Recipient] = (), **options: Any) -> None:
        super().__init__(**options)
        self._given, self._to = door, to
        self._lock = threading.Lock()
        self._opened: OrderedDict[Path, tuple[tuple[int, ...], SealedObject]] = OrderedDict()
        self._known: OrderedDict[Path, tuple[tuple[int, ...], dict[str, SealedFile], str]] = OrderedDict()

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
        files, _ = self._listed(root)
        if name in files:
            return _entry(path, files[name].length)
        if not any(other.startswith(name + "/") for other in files):
            _missing(path)
        return _entry(path, None)

    def modified(self, path: str) -> datetime:
        """When the object was sealed, or its recipients changed. Raises FileNotFoundError."""
        root, _ = self._existing(path)
        return datetime.fromtimestamp(parse_time(self._listed(root)[1]) / 1e6, UTC)

    def ukey(self, path: str) -> str:
        """Changes when the file's content does: the digest of its sealed bytes. Raises FileNotFoundError."""
        root, name = self._existing(path)
        return self._listed(root)[0][name].digest

    def _existing(self, path: str) -> tuple[Path, str]:
        root, name = split_path(self._strip_protocol(path))
        if not is_sealed_object(root) or name not in self._listed(root)[0]:
            _missing(path)
        return root, name

    def _open(self, path: str, mode: str = "rb", autocommit: bool = True, **options: Any) -> Any:
        root, name = split_path(path)
        if mode == "rb":
            return Stream(self._object(self._existing(path)[0]).file(name))
        if mode not in ("wb", "xb"):
            raise UsageError(f"a sealed file cannot be opened with mode '{mode}'", next="read it, or write a new one")
        if not name:
            raise UsageError("no file is named", where=path, next="write sealed://…/NAME.sealed/FILE")
        if is_sealed_object(root):
            file = add_file(root, name, door=self.door)
        else:
            file = create_file(root, name, to=self._to, door=self.door)
        file.autocommit = autocommit
        return file

    def _object(self, root: Path) -> SealedObject:
        """The object, opened once as long as its manifest stays the same."""
        with self._lock:
            stamp = _stamp(root)
            known = self._opened.pop(root, None)
            if known is None or known[0] != stamp:
                if known is not None:
                    known[1].close()
                known = (stamp, open_object(root, door=self.door))
            self._opened[root] = known
            while len(self._opened) > KEPT_OBJECTS:  # files that are open stay so
                self._opened.popitem(last=False)[1][1].close()
            return known[1]

    def _listed(self, root: Path) -> tuple[dict[str, SealedFile], str]:
        """An object's files by name, and when it was sealed."""
        with self._lock:
            stamp = _stamp(root)
            known = self._known.pop(root, None)
            if known is None or known[0] != stamp:
                manifest = read_manifest(root, self.door.trusted).manifest
                known = (stamp, {file.name: file for file in manifest.files}, manifest.sealed_at)
            self._known[root] = known
            while len(self._known) > KEPT_OBJECTS:
                self._known.popitem(last=False)
            return known[1], known[2]

    def _below(self, root: Path, name: str) -> list[dict[str, Any]]:
        files, _ = self._listed(root)
        if name in files:
            return [_entry(f"{root}/{name}", files[name].length)]
        prefix = f"{name}/" if name else ""
        found: dict[str, int | None] = {}
        for other, file in files.items():
            if other.startswith(prefix):
                first, slash, _ = other[len(prefix) :].partition("/")
                found[first] = None if slash else file.length
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
