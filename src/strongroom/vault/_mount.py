"""A sealed object as a read-only directory (FUSE, Linux), so that programs which know nothing of it read plain files.

    mount(tree, Path("model"), notify=print, ready=lambda: print("mounted"))    # until unmounted, SIGINT or SIGTERM

What is mounted can be read by the user who mounted it, by nobody else (neither `allow_other` nor `allow_root`), and
written by nobody. Files have mode 0400, directories 0500; devices, set-uid bits and execution are off.

**Decrypted pages stay in the kernel's page cache**, from the first read until they are evicted or the mount is gone
and its last reader has let go. `mmap` works only so, and a second read costs no decryption. They are never
swapped out. While they are there, whoever is root, or becomes the mounting user, can read them, as they can read the
memory of any program that uses the model. Afterwards nobody can ask for them, but the kernel does not overwrite pages
that it frees unless it was started with `init_on_free=1`.

**After kill -9** the directory stays, every access says *Transport endpoint is not connected*, and pages that programs
still map stay. `unmount` or `fusermount3 -u DIR` clears it; `mount` names that command when it meets such a directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..core.errors import InputError, StrongroomError, UsageError
from ._mount_files import Files
from ._parts import Tree

__all__ = ["check_mount_point", "mount", "unmount"]

READ_AHEAD_KIB = 1024
"""The largest read that the kernel sends, and how far it reads ahead where we may say so (root); it begins with 128."""
CORES_PER_THREAD, MAX_THREADS = 2, 4
"""Unless told otherwise a thread serves for every two cores: on two, a second one waited for Python's lock and for the
reader more than it worked (docs/vault/mount.md)."""
FOREVER_SECONDS = 86_400
"""How long the kernel believes names and sizes, which never change."""
NUDGE_SECONDS = 0.05
FILE_SYSTEM = "strongroom"
_TYPE = f"fuse.{FILE_SYSTEM}"
_DEVICE = Path("/dev/fuse")
_MOUNTS = Path("/proc/self/mountinfo")
_INSTALL = "install the package fuse3"
_MAX_THREADS_SINCE = (3, 12)


def mount(
    tree: Tree,
    at: Path,
    *,
    notify: Callable[[str], None],
    ready: Callable[[], None] = lambda: None,
    threads: int = 0,
) -> None:
    """Mounts `tree` on the empty directory `at`; returns when it was unmounted: by SIGINT, SIGTERM, SIGHUP, `unmount`.

    `ready` is called once files can be read, on a thread of its own; `notify` with each failure once, such as a damaged
    segment with its file and offset, on a thread that serves. Whoever reads a damaged range gets EIO; everything else
    goes on being read. A signal unmounts even while files are open; who reads them gets ENOTCONN. `threads` serve at
    once, 0 chooses. Neither `notify` nor the tree may touch `at`: who is to answer waits for them. The files that were
    opened are closed, the tree is not.

    Raises InputError where `at` is missing, no directory, not empty or mounted already, and where names of the tree
    are no paths; UsageError outside the main thread and for fewer than 0 threads; StrongroomError where FUSE is
    missing, not permitted or fails.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("a mount runs in the main thread, where signals end it")
    if threads < 0:
        raise UsageError(f"{threads} threads cannot serve", next="name at least 1, or 0 for a number that suits")
    place = check_mount_point(at)
    _check_device()
    library = _library()
    files = Files(
        tree,
        uid=os.getuid(),
        gid=os.getgid(),
        now_ns=time.time_ns(),
        notify=notify,
        started=lambda: _begin(place, ready, files.fail),
        stop=library.fuse_exit,
    )
    try:
        _until_ended(lambda: _serve(library, files, place, threads), files, place)
    finally:
        files.close()


def unmount(at: Path) -> None:
    """Ends the mount at `at`, also one whose process was killed.

    Raises InputError where none of ours is there, StrongroomError where it is in use or belongs to somebody else.
    """
    place = at.resolve()
    found = _mounted(place)
    if found is None or found.type != _TYPE:
        raise InputError("no sealed object is mounted here", where=str(at), next="look at the output of mount")
    tool = shutil.which("fusermount3")
    if tool is None:
        raise StrongroomError("the command fusermount3 is missing", next=_INSTALL)
    done = subprocess.run([tool, "-u", "--", str(place)], capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise StrongroomError(
            f"it could not be unmounted: {os.fsdecode(done.stderr).strip()}",
            where=str(at),
            next="end what reads it (`fuser -m DIR` names it), or end the mount's process with SIGTERM",
        )


def _serve(library: Any, files: Files, place: Path, threads: int) -> None:
    """Until the mount is gone. Raises RuntimeError with libfuse's code."""
    options: dict[str, Any] = {
        "ro": True,
        "nodev": True,
        "nosuid": True,
        "noexec": True,
        "default_permissions": True,  # the kernel checks modes and the user, as on any other file system
        "fsname": FILE_SYSTEM,
        "subtype": FILE_SYSTEM,
        "kernel_cache": True,  # content never changes, so pages outlive the handles through which they were read
        "use_ino": True,
        "entry_timeout": FOREVER_SECONDS,
        "attr_timeout": FOREVER_SECONDS,
        "negative_timeout": FOREVER_SECONDS,
    }  # and no max_read: without it the kernel sends up to 1 MiB, which is all that it can
    count = threads or max(1, min(len(os.sched_getaffinity(0)) // CORES_PER_THREAD, MAX_THREADS))
    if count > 1:
        options["max_idle_threads"] = count
        if (library.fuse_version_major, library.fuse_version_minor) >= _MAX_THREADS_SINCE:
            options["max_threads"] = count
    # mfusepy's own `read` takes bytes and copies them; ours fills libfuse's buffer.
    server = type("Server", (library.FUSE,), {"read": _read})
    server(files, str(place), foreground=True, nothreads=count == 1, **options)


def _read(self: Any, path: bytes, buffer: Any, size: int, offset: int, info: Any) -> int:
    view = memoryview((ctypes.c_char * size).from_address(ctypes.addressof(buffer.contents))).cast("B")
    files: Files = self.operations
    return files.read_into(view, offset, info.contents.fh)


def _until_ended(serve: Callable[[], None], files: Files, place: Path) -> None:
    """Serves on a thread of its own, so that the main thread stays Python's and hears every signal.

    libfuse could handle signals itself, but begins to only after it has mounted: one that came before would end the
    process and leave a dead mount. mfusepy leaves signals alone outside the main thread, and libfuse those that have a
    handler.
    """
    news: SimpleQueue[None] = SimpleQueue()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            serve()
        except BaseException as error:  # raised again below
            failures.append(error)
        news.put(None)

    with _signals(lambda: news.put(None)):
        server = threading.Thread(target=run, name="strongroom-mount", daemon=True)
        server.start()
        news.get()  # a signal, or the end
        files.stop_serving()
        while server.is_alive():
            with contextlib.suppress(OSError):
                os.statvfs(place)  # the request at which it stops
            server.join(NUDGE_SECONDS)
    for error in failures:
        if not isinstance(error, RuntimeError):
            raise error
        raise StrongroomError(
            f"the mount failed with libfuse's code {error.args[0]}; it has written why to standard error",
            where=str(place),
            next="a container needs the device /dev/fuse and the capability SYS_ADMIN",
        ) from error


@contextlib.contextmanager
def _signals(heard: Callable[[], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:  # `nohup` means it
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, lambda *_: heard())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's


def _begin(place: Path, ready: Callable[[], None], fail: Callable[[str, BaseException], None]) -> None:
    """What is done once the kernel has accepted the mount. On another thread, since the caller's has to serve."""

    def run() -> None:
        try:
            place.stat()  # answered when the mount is
            found = _mounted(place)
            if found is None or found.type != _TYPE:  # it ended, and the answer was the bare directory's
                return
            _read_ahead(found.device)
        except OSError:  # it ended; `mount` says why
            return
        try:
            ready()
        except BaseException as error:  # the mount stands whatever the listener does
            fail("telling that the mount is ready", error)

    threading.Thread(target=run, name="strongroom-mount-ready", daemon=True).start()


def _read_ahead(device: str) -> None:
    """Lets the kernel read ahead in its largest requests. Only root may; others are served with 128 KiB at a time."""
    with contextlib.suppress(OSError):
        Path(f"/sys/class/bdi/{device}/read_ahead_kb").write_text(str(READ_AHEAD_KIB))


def check_mount_point(at: Path) -> Path:
    """The directory to mount on, without links. Raises InputError."""
    place, where = at.resolve(), str(at)
    found = _mounted(place)
    if found is not None and found.type == _TYPE:
        raise InputError("a sealed object is mounted here", where=where, next=f"end it: fusermount3 -u '{place}'")
    if found is not None:
        raise InputError("another file system is mounted here", where=where, next="name an empty directory in it")
    if any(one.type == _TYPE and one.place in map(str, place.parents) for one in _mounts()):
        raise InputError("this is inside a mounted sealed object", where=where, next="name a directory outside")
    try:
        if next(place.iterdir(), None) is not None:
            raise InputError("the directory is not empty", where=where, next="name an empty one")
    except FileNotFoundError:
        raise InputError("the directory does not exist", where=where, next="make it") from None
    except NotADirectoryError:
        raise InputError("this is no directory", where=where, next="name an empty one") from None
    except OSError as error:
        raise InputError(f"the directory cannot be read: {error.strerror}", where=where) from error
    if not os.access(place, os.W_OK):
        raise InputError("you may not write to the directory", where=where, next="mount on one of your own")
    return place


def _check_device() -> None:
    """Raises StrongroomError where this process cannot talk to FUSE."""
    if sys.platform != "linux":
        raise StrongroomError("mounting needs Linux", next="unseal the object, or read it through sealed://")
    try:
        os.close(os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "ask for permission to open it; a container needs the device and the capability SYS_ADMIN"
            raise StrongroomError("FUSE is not permitted", where=str(_DEVICE), next=hint) from error
        hint = "load the kernel module (modprobe fuse), or give the container the device"
        raise StrongroomError(f"FUSE is missing: {error.strerror}", where=str(_DEVICE), next=hint) from error
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise StrongroomError("the command fusermount3 is missing", next=_INSTALL)


def _library() -> Any:
    """mfusepy on libfuse 3. Imported here, since without libfuse it cannot be."""
    if find_library("fuse3") is None:
        raise StrongroomError("libfuse 3 is missing", next=_INSTALL)
    # Otherwise mfusepy takes libfuse 2 where both are, which reads 128 KiB at a time at most.
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
    try:
        library = importlib.import_module("mfusepy")
    except (OSError, AttributeError) as error:
        raise StrongroomError(f"libfuse cannot be used: {error}", next=_INSTALL) from error
    if library.fuse_version_major != 3:
        raise StrongroomError(f"libfuse {library.fuse_version_major} is in use, not 3", next=_INSTALL)
    return library


@dataclass(frozen=True, slots=True)
class _Mount:
    place: str
    device: str
    """Major and minor number with a colon between."""
    type: str


def _mounted(place: Path) -> _Mount | None:
    """What is mounted at exactly this place; the last where there are several."""
    return next((one for one in reversed(_mounts()) if one.place == str(place)), None)


def _mounts() -> list[_Mount]:
    """From the kernel's list: asking the directory itself would fail, or hang, where its process is gone."""
    return parse_mounts(os.fsdecode(_MOUNTS.read_bytes())) if _MOUNTS.exists() else []


def parse_mounts(text: str) -> list[_Mount]:
    r"""proc_pid_mountinfo(5), in which some characters of a path are octal.

    >>> parse_mounts(r"36 35 0:51 / /mnt/a\040b ro,nosuid - fuse.strongroom strongroom ro,user_id=0")
    [_Mount(place='/mnt/a b', device='0:51', type='fuse.strongroom')]
    """
    found = []
    for line in filter(None, text.split("\n")):  # a path may hold what else `splitlines` would split at
        head, _, tail = line.partition(" - ")
        fields = head.split(" ")
        place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        found.append(_Mount(place, fields[2], tail.split(" ")[0]))
    return found
