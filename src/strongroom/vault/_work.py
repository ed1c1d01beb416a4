"""A directory that is built beside its place and put there at once; a later run continues what a kill interrupted.

    .<name>.lock               flock: two commands do not make or change the same thing
    .<name>.<verb>/            mode 0700
        journal                a checksum and one JSON line for each thing that is done and durable
        object/                becomes <name>

What stands in the journal was made durable before: files first, then their line. What does not is made anew, under new
keys. `place` renames, or exchanges with what it replaces, so that there is the old or the new at every moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import stat
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from ..core.errors import StrongroomError, UsageError
from ..core.keyfile import sync_directory
from ._pipeline import SMALL

__all__ = [
    "Work",
    "create_new",
    "exists",
    "journal_line",
    "locked",
    "make_folders",
    "no_write",
    "replace_file",
    "sync_up",
    "write_file",
]

BATCH_FILES, BATCH_BYTES = 2_000, 256 << 20
"""What is done goes into the journal after so many files or bytes of plaintext."""
LOCK_WAIT = 0.05
"""Seconds between two tries."""
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_PLACING = {"placing": True}


@contextlib.contextmanager
def locked(out: Path, *, seconds: float = 0.0) -> Iterator[None]:
    """Nobody else makes, changes or replaces what lies at `out` meanwhile. Waits for at most so long.

    A file beside it is locked, as no lock of the directory itself survives its exchange. Raises UsageError where
    somebody else is at it, OSError.
    """
    path, ends = f"{out.parent}/.{out.name}.lock", time.monotonic() + seconds
    while (held := _try_lock(path)) is None:
        if time.monotonic() >= ends:
            raise UsageError("another command is at work on this", where=str(out), next="wait for it to end")
        time.sleep(LOCK_WAIT)
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == process:  # a forked child holds nothing
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
        os.close(held)


def _try_lock(path: str) -> int | None:
    """The descriptor of the locked file, or None where somebody else has it or just removed it."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.stat(path)  # noqa: PTH116
        if os.fstat(held).st_ino == there.st_ino:
            return held
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(held)
    return None


class Work:
    """One building. Enter it, `begin`, `done` for each thing, `place`."""

    def __init__(self, out: Path, verb: str) -> None:
        self.out = out.absolute()
        self.path = self.out.parent / f".{out.name}.{verb}"
        self.object = self.path / "object"
        self._replaced = self.path / "replaced"
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._bytes = 0
        self._unsynced = False
        self._journal = -1
        self._process = os.getpid()
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            try:
                undo.enter_context(locked(self.out))
                self._open()
            except OSError as error:
                raise no_write(self.path, error) from error
            self._undo = undo.pop_all()
        return self

    def _open(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise UsageError(
                "something of somebody else is in the way", where=str(self.path), next="remove it, or choose another -o"
            )
        if self._replaced.exists():  # a kill between the two renames of `_exchange`
            if self.out.exists():
                shutil.rmtree(self._replaced)
            else:
                self._replaced.rename(self.out)

    def begin(self, head: Any) -> list[Any]:
        """What was done before, if that began with the same head; otherwise it is thrown away. Raises StrongroomError.

        `head` says what is built: JSON's types alone.
        """
        try:
            lines = self._read()
            if not lines or lines[0] != head:
                lines = []
                self._clear()
            self.object.mkdir(exist_ok=True)
            self._journal = os.open(self.path / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if not lines:
                self._append([head])
                sync_directory(self.path)
        except OSError as error:
            raise no_write(self.path, error) from error
        return lines[1:]

    def _read(self) -> list[Any]:
        """The journal's lines, up to the first that is not what was written; what follows it is cut off."""
        try:
            data = (self.path / "journal").read_bytes()
        except FileNotFoundError:
            return []
        lines, good = [], 0
        for raw in data.split(b"\n")[:-1]:  # what no newline ends was cut short by a kill
            line = _read_line(raw)
            if line is None:
                break
            lines.append(line)
            good += len(raw) + 1
        if good < len(data):
            os.truncate(self.path / "journal", good)
        # Once it was to be put into place, what lies here may be what was exchanged for it.
        return [] if _PLACING in lines else lines

    def restart(self, head: Any) -> None:
        """Throws away what was done before, and begins anew. Raises StrongroomError."""
        try:
            os.close(self._journal)
            self._journal = -1
            self._clear()
        except OSError as error:
            raise no_write(self.path, error) from error
        self.begin(head)

    def _clear(self) -> None:
        (self.path / "journal").unlink(missing_ok=True)  # first: it must not tell of what is gone
        if self.object.exists():
            shutil.rmtree(self.object)

    def note(self, line: Any) -> None:
        """Puts a line into the journal that says nothing of files. Raises StrongroomError."""
        with self._lock:
            try:
                self._append([line])
            except OSError as error:
                raise no_write(self.path, error) from error

    def done(self, line: Any, size: int) -> None:
        """One more thing of `size` bytes is whole; where these are more than `SMALL` they were synced already.

        It is durable after the next `commit`, which comes by itself. Raises StrongroomError.
        """
        with self._lock:
            self._waiting.append(line)
            self._bytes += size
            self._unsynced |= size <= SMALL
            full = len(self._waiting) >= BATCH_FILES or self._bytes >= BATCH_BYTES
        if full:
            self.commit()

    def commit(self) -> None:
        """All that is done is durable, and stands in the journal, when it returns. Raises StrongroomError."""
        with self._lock:
            lines, self._waiting, self._bytes = self._waiting, [], 0
            unsynced, self._unsynced = self._unsynced, False
            try:
                if unsynced:
                    _sync_file_system(self.object)
                if lines:
                    self._append(lines)
            except OSError as error:
                raise no_write(self.path, error) from error

    def _append(self, lines: Sequence[Any]) -> None:
        data = b"".join(map(journal_line, lines))
        done = 0
        while done < len(data):
            done += os.write(self._journal, data[done:])
        os.fdatasync(self._journal)

    def place(self, *, replace: bool) -> None:
        """Puts the object into its place, durably. Raises UsageError where something came there meanwhile."""
        if os.getpid() != self._process:
            raise StrongroomError("a forked child does not finish what its parent builds", where=str(self.out))
        self.commit()
        try:
            for folder, _, _ in os.walk(self.object):
                sync_directory(Path(folder))
            if replace and self.out.exists():
                self._append([_PLACING])
                _exchange(self.object, self.out, self._replaced)
            else:
                _rename_new(self.object, self.out)
            sync_directory(self.out.parent)
        except FileExistsError:
            raise exists(self.out) from None
        except OSError as error:
            raise no_write(self.out, error) from error
        self.discard()

    def discard(self) -> None:
        """Removes all that was built. What cannot be removed stays."""
        if os.getpid() == self._process and not (self._replaced.exists() and not self.out.exists()):
            shutil.rmtree(self.path, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1
        self._undo.close()


def journal_line(line: Any) -> bytes:
    """A line with its checksum: a damaged one could tell of a key that opens nothing."""
    body = msgspec.json.encode(line)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _read_line(raw: bytes) -> dict[str, Any] | None:
    checksum, _, body = raw.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        line = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def exists(out: Path) -> UsageError:
    """The error for a place that is taken."""
    return UsageError("something is there already", where=str(out), next="choose another -o, or give --force")


def no_write(path: Path | str, error: OSError) -> StrongroomError:
    """The error for a disk that takes no more, or may not be written to."""
    return StrongroomError(
        f"it cannot be written: {error.strerror or error}", where=str(path), next="check space and permissions"
    )


def create_new(path: str) -> int:
    """A descriptor of a new file, in the place of what a killed run left there. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileExistsError:
        os.unlink(path)  # noqa: PTH108
        return os.open(path, flags, 0o666)


def write_file(path: Path, data: bytes) -> None:
    """Writes a file anew, durably but for its name. Raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file of an object anew: there is the old or the new one at every moment, and the new one is durable at
    the end. Until then it lies beside the object, which holds nothing that its manifest does not name.

    Raises StrongroomError.
    """
    part = path.parent.parent / f".{path.parent.name}.{path.name}.part"
    try:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()  # of a run that was killed
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise no_write(path, error) from error


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _sync_file_system(folder: Path) -> None:
    """All of a file system that was written is durable when it returns: one call for thousands of small files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not hasattr(_libc(), "syncfs"):
            os.sync()
        elif _libc().syncfs(descriptor) != 0:
            raise _last_error()
    finally:
        os.close(descriptor)


def _rename(old: Path, new: Path, flags: int) -> None:
    """renameat2(2). Raises OSError, with ENOSYS or EINVAL where the file system cannot."""
    if not hasattr(_libc(), "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _libc().renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) != 0:
        raise _last_error()


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def _rename_new(old: Path, new: Path) -> None:
    """Renames a directory where nothing is. Raises FileExistsError where something is, even an empty directory."""
    try:
        _rename(old, new, 1)  # RENAME_NOREPLACE
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        if new.exists() or new.is_symlink():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        old.rename(new)


def _exchange(old: Path, new: Path, aside: Path) -> None:
    try:
        _rename(old, new, _RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        new.rename(aside)  # in two steps; what a kill between them leaves, the next run puts back
        old.rename(new)


def make_folders(root: Path, names: Iterable[str]) -> None:
    """Makes the directories that files of these names need. Raises OSError."""
    for folder in sorted({name.rpartition("/")[0] for name in names}):
        (root / folder).mkdir(parents=True, exist_ok=True)


def sync_up(path: Path, root: Path) -> None:
    """The names of `path` and of all above it, up to `root`, are durable when it returns. Raises OSError."""
    for folder in path.parents:
        sync_directory(folder)
        if folder == root:
            return
