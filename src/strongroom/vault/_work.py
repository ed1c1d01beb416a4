"""A directory that is built beside its place and put there at once; a later run continues what a kill interrupted.

    .<name>.<verb>/            mode 0700
        lock                   flock: two runs do not build the same thing
        journal                one JSON line for each thing that is done and durable
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
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from ..core.errors import StrongroomError, UsageError
from ..core.keyfile import sync_directory
from ._pipeline import SMALL

__all__ = ["Work", "create_new", "make_folders", "no_write", "replace_file", "write_file"]

BATCH_FILES, BATCH_BYTES = 2_000, 256 << 20
"""What is done goes into the journal after so many files or bytes of plaintext."""
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


class Work:
    """One building. Enter it, `begin`, `done` for each thing, `place`."""

    def __init__(self, out: Path, verb: str) -> None:
        self.out = out
        self.path = out.parent / f".{out.name}.{verb}"
        self.object = self.path / "object"
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._bytes = 0
        self._unsynced = False
        self._held = -1
        self._journal = -1

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            self._close()
            raise no_write(self.path, error) from error
        return self

    def _open(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise UsageError(
                "something of somebody else is in the way", where=str(self.path), next="remove it, or choose another -o"
            )
        self._held = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another command is at work on this", where=str(self.out), next="wait for it to end"
            ) from None

    def begin(self, head: Any) -> list[Any]:
        """What was done before, if that began with the same head; otherwise it is thrown away. Raises StrongroomError.

        `head` says what is built: JSON's types alone.
        """
        try:
            lines = self._read()
            if not lines or lines[0] != head:
                self._clear()
                lines = []
            self.object.mkdir(exist_ok=True)
            self._journal = os.open(self.path / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if not lines:
                self._append([head])
                sync_directory(self.path)
        except OSError as error:
            raise no_write(self.path, error) from error
        return lines[1:]

    def _read(self) -> list[Any]:
        """The journal's whole lines; one that a kill cut short is cut off, as was nothing that it would tell of."""
        try:
            data = (self.path / "journal").read_bytes()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.path / "journal", len(whole))
        try:
            return [msgspec.json.decode(line) for line in whole.splitlines()]
        except msgspec.MsgspecError:
            return []

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name == "object":
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

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
            if not lines:
                return
            try:
                if unsynced:
                    _sync_file_system(self.object)
                self._append(lines)
            except OSError as error:
                raise no_write(self.path, error) from error

    def _append(self, lines: Sequence[Any]) -> None:
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        done = 0
        while done < len(data):
            done += os.write(self._journal, data[done:])
        os.fdatasync(self._journal)

    def place(self, *, replace: bool) -> None:
        """Puts the object into its place, durably. Raises UsageError where something came there meanwhile."""
        self.commit()
        try:
            for folder, _, _ in os.walk(self.object):
                sync_directory(Path(folder))
            if replace and self.out.exists():
                _exchange(self.object, self.out)
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
        shutil.rmtree(self.path, ignore_errors=True)

    def _close(self) -> None:
        for descriptor in (self._held, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._held = self._journal = -1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


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
    """Writes a file anew: there is the old or the new one at every moment, and the new one is durable at the end.

    Raises StrongroomError.
    """
    part = path.parent / f".{path.name}.part"
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


def _exchange(old: Path, new: Path) -> None:
    try:
        _rename(old, new, _RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        aside = old.parent / "replaced"  # two steps: a kill between them leaves the old one here
        new.rename(aside)
        old.rename(new)


def make_folders(root: Path, names: Iterable[str]) -> None:
    """Makes the directories that files of these names need. Raises OSError."""
    for folder in sorted({name.rpartition("/")[0] for name in names}):
        (root / folder).mkdir(parents=True, exist_ok=True)
