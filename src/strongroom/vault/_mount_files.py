"""What a mount answers to the kernel: a `Tree` as read-only directories and files. No kernel and no libfuse in here.

Methods have the names and arguments that mfusepy gives to FUSE's operations; they raise OSError, whose number the
reader gets. Threads call them at once.

Invariants: nothing writes; a reader gets the bytes that were sealed, in full, or EIO, never fewer; no exception of a
`Tree` or `File` leaves this class as anything but an OSError, and each failure is told once.

>>> list(paths_of(["config.json", "shards/1.safetensors"]))
['/', '/config.json', '/shards', '/shards/1.safetensors']
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from ..core.errors import InputError, IntegrityError, RefusedError, StrongroomError
from ._parts import File, Tree

__all__ = ["Files", "paths_of"]

IDLE_FILES = 32
"""Files that stay open after their last reader closed them, so that opening them again costs nothing."""
MAX_TOLD = 1000
"""Different failures that are told; a reader that tries again and again must not fill a log."""
MAX_PART_BYTES = 255
"""Of one part of a name, as everywhere on Linux."""
BLOCK_BYTES = 4096
DIRECTORY_MODE = stat.S_IFDIR | 0o500
FILE_MODE = stat.S_IFREG | 0o400


@dataclass(slots=True)
class _Node:
    """A directory, or a file of so many bytes."""

    inode: int
    length: int | None = None
    children: dict[str, _Node] = field(default_factory=dict)

    @property
    def mode(self) -> int:
        return DIRECTORY_MODE if self.length is None else FILE_MODE


class Files:
    """FUSE's operations over `tree`, whose files belong to `uid` and `gid` and were changed at `now_ns` (since 1970).

    `notify` is told each failure once, in words. `started` is called when the kernel has accepted the mount, and `stop`
    at the first `statfs` after `stop_serving`; both on a thread that serves, so they must return at once. Raises
    InputError where a name of the tree cannot be a path.
    """

    use_ns = True  # mfusepy: times are whole nanoseconds

    def __init__(
        self,
        tree: Tree,
        *,
        uid: int,
        gid: int,
        now_ns: int,
        notify: Callable[[str], None],
        started: Callable[[], None] = lambda: None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._nodes = _nodes(tree)
        self._same = {"st_uid": uid, "st_gid": gid, "st_atime": now_ns, "st_mtime": now_ns, "st_ctime": now_ns}
        self._started = started
        self._stop = stop
        self._stopping = False
        self._failures = _Failures(notify)
        self._shelf = _Shelf(tree, self._failures)
        self._handles: dict[int, _Shared] = {}
        self._numbers = itertools.count(1)

    def init(self, path: str) -> None:
        """The kernel has accepted the mount."""
        self._started()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Of a file or directory, as in stat(2)."""
        node = self._node(path)
        return self._same | {
            "st_ino": node.inode,
            "st_mode": node.mode,
            "st_nlink": 1 if node.length is not None else 2,
            "st_size": node.length or 0,
            "st_blocks": -(-(node.length or 0) // 512),
            "st_blksize": BLOCK_BYTES,
        }

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """Names with kind and inode; the last number is FUSE's for "all at once"."""
        node = self._node(path)
        if node.length is not None:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        for name in (".", ".."):
            yield name, {"st_mode": DIRECTORY_MODE, "st_ino": node.inode}, 0
        for name, child in node.children.items():
            yield name, {"st_mode": child.mode, "st_ino": child.inode}, 0

    def statfs(self, path: str) -> dict[str, int]:
        """As many blocks and files as there are, none of them free."""
        if self._stopping:
            self._stop()
        lengths = [node.length for node in self._nodes.values() if node.length is not None]
        return {
            "f_bsize": BLOCK_BYTES,
            "f_frsize": BLOCK_BYTES,
            "f_blocks": sum(-(-length // BLOCK_BYTES) for length in lengths),
            "f_files": len(self._nodes),
            "f_namemax": MAX_PART_BYTES,
        }

    def open(self, path: str, flags: int) -> int:
        """A handle. The `File` behind it is opened now, unless another handle has it or had it lately."""
        node = self._node(path)
        if node.length is None:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            _refuse()
        shared = self._shelf.take(path[1:], node.length)
        handle = next(self._numbers)
        self._handles[handle] = shared
        return handle

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """At most `size` bytes; fewer only at the end of the file."""
        buffer = bytearray(size)
        return bytes(buffer[: self.read_into(memoryview(buffer), offset, fh)])

    def read_into(self, buffer: memoryview, offset: int, fh: int) -> int:
        """Fills `buffer` up to the end of the file and returns the number of bytes, so that none are copied twice."""
        try:
            shared = self._handles[fh]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
        size = max(0, min(len(buffer), shared.length - offset))
        if size:
            try:
                shared.opened.read_into(offset, buffer[:size])
            except BaseException as error:  # whatever it is, other readers go on; a panic in Rust is no Exception
                raise self._failures.tell(f"reading {shared.name!r} at offset {offset}", error) from error
        return size

    def release(self, path: str, fh: int) -> int:
        """The handle's last reader is gone."""
        if shared := self._handles.pop(fh, None):
            self._shelf.give_back(shared)
        return 0

    def stop_serving(self) -> None:
        """libfuse takes its leave only from a thread that serves, so it will be told by the next one to answer."""
        self._stopping = True

    def close(self) -> None:
        """Closes every `File`. Only after the last thread that serves has ended."""
        self._handles.clear()
        self._shelf.close()

    def fail(self, doing: str, error: BaseException) -> None:
        """Tells a failure that has no reader."""
        self._failures.tell(doing, error)

    def _node(self, path: str) -> _Node:
        try:
            return self._nodes[path]
        except KeyError:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from None

    # The kernel refuses these itself on a read-only mount; a second refusal costs nothing.

    def _refused(self, *_: object) -> int:
        _refuse()

    chmod = chown = create = fallocate = link = mkdir = mknod = removexattr = rename = _refused
    rmdir = setxattr = symlink = truncate = unlink = utimens = write = _refused


def _refuse() -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@dataclass(slots=True)
class _Shared:
    """One name's `File` and how many handles have it. `users` belongs to the shelf's lock, `file` to `opening`."""

    name: str
    length: int
    users: int = 0
    file: File | None = None
    opening: threading.Lock = field(default_factory=threading.Lock)

    @property
    def opened(self) -> File:
        assert self.file is not None  # `take` returned, so it is there until `give_back`
        return self.file


class _Shelf:
    """Keeps one `File` for each name that has handles, and the last `IDLE_FILES` that had some."""

    def __init__(self, tree: Tree, failures: _Failures) -> None:
        self._tree = tree
        self._failures = failures
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}
        self._idle: dict[str, _Shared] = {}  # the longest idle first

    def take(self, name: str, length: int) -> _Shared:
        """Raises OSError where the file does not open."""
        with self._lock:
            shared = self._shared.setdefault(name, _Shared(name, length))
            shared.users += 1
            self._idle.pop(name, None)
        try:
            with shared.opening:  # one thread opens, who wants the same file waits for it, and nobody else does
                if shared.file is None:
                    shared.file = self._open(shared)
        except BaseException as error:
            self.give_back(shared)
            raise self._failures.tell(f"opening {name!r}", error) from error
        return shared

    def _open(self, shared: _Shared) -> File:
        file = self._tree.file(shared.name)
        if file.length != shared.length:  # the kernel was told this one, and would fill up with zeros
            file.close()
            raise IntegrityError(
                f"a file has {file.length} bytes, not {shared.length} as its tree says", where=shared.name
            )
        return file

    def give_back(self, shared: _Shared) -> None:
        """One handle fewer. May close the file that was idle longest."""
        surplus = []
        with self._lock:
            shared.users -= 1
            if shared.users:
                return
            if shared.file is None:
                del self._shared[shared.name]
                return
            self._idle[shared.name] = shared
            while len(self._idle) > IDLE_FILES:
                oldest = next(iter(self._idle))
                surplus.append(self._idle.pop(oldest))
                del self._shared[oldest]
        self._close(surplus)

    def close(self) -> None:
        """Closes all, those with handles too."""
        with self._lock:
            every = list(self._shared.values())
            self._shared.clear()
            self._idle.clear()
        self._close(every)

    def _close(self, several: Iterable[_Shared]) -> None:
        for shared in several:
            try:
                if shared.file is not None:
                    shared.file.close()
            except BaseException as error:  # the one who happens to close did nothing wrong
                self._failures.tell(f"closing {shared.name!r}", error)


class _Failures:
    """Turns what went wrong into an error number for the reader and, once, words for whoever runs the mount."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def tell(self, doing: str, error: BaseException) -> OSError:
        """EACCES for what policy refuses, else EIO."""
        if isinstance(error, StrongroomError):
            key = text = str(error)
        else:
            key = f"{doing.partition(' at ')[0]}: {type(error).__name__}: {error}"  # once, not for each offset
            text = f"{doing} failed unexpectedly: {type(error).__name__}: {error}"
        with self._lock:
            if key not in self._told and len(self._told) <= MAX_TOLD:
                self._told.add(key)
                self._say(text if len(self._told) <= MAX_TOLD else "further failures of this mount are not told")
        number = errno.EACCES if isinstance(error, RefusedError) else errno.EIO
        return OSError(number, os.strerror(number))

    def _say(self, text: str) -> None:
        with contextlib.suppress(Exception):  # whoever listens has failed; readers have not
            self._notify(text)


def _nodes(tree: Tree) -> dict[str, _Node]:
    """Every path of the tree."""
    root = _Node(1)
    nodes = {"/": root}
    lengths = {f"/{name}": tree.length(name) for name in tree.names()}
    for path in paths_of(name[1:] for name in lengths):
        if path == "/":
            continue
        above, _, last = path.rpartition("/")
        nodes[path] = nodes[above or "/"].children[last] = _Node(len(nodes) + 1, lengths.get(path))
    return nodes


def paths_of(names: Iterable[str]) -> Iterator[str]:
    """The root, then each directory before what lies in it. Raises InputError for names that cannot be paths."""
    files: set[str] = set()
    folders = {"/"}
    yield "/"
    for name in names:
        parts = name.split("/")
        if not all(map(_is_part, parts)):
            raise InputError("a name cannot be a path", where=repr(name), next="seal the file under another name")
        for depth in range(1, len(parts)):
            folder = "/" + "/".join(parts[:depth])
            if folder not in folders:
                folders.add(folder)
                yield folder
        files.add(f"/{name}")
        yield f"/{name}"
    if both := files & folders:
        raise InputError("a name is both a file and a directory", where=repr(min(both)[1:]))


def _is_part(part: str) -> bool:
    try:
        return part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= MAX_PART_BYTES
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
