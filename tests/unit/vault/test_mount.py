"""The mount without a kernel: what it answers, what it refuses, how it shares and closes files, what it tells."""

from __future__ import annotations

import errno
import os
import random
import re
import signal
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.vault import _mount, _mount_files
from strongroom.vault._mount import mount, parse_mounts, unmount
from strongroom.vault._mount_files import IDLE_FILES, MAX_TOLD, Files

CONTENTS = {"config.json": b"{}", "empty": b"", "shards/a/1.bin": bytes(range(256)) * 40, "shards/2.bin": b"second"}


class MemoryFile:
    """Counts whether it is open; `breaks` is raised where a read begins at or after its offset."""

    def __init__(self, tree: MemoryTree, name: str) -> None:
        self.tree, self.name, self.closed = tree, name, False
        self.length = len(tree.contents[name])

    def read_into(self, offset: int, buffer: memoryview) -> None:
        assert not self.closed
        if self.name in self.tree.breaks and offset >= self.tree.breaks[self.name][0]:
            raise self.tree.breaks[self.name][1]
        found = self.tree.contents[self.name][offset : offset + len(buffer)]
        if len(found) != len(buffer):
            raise InputError("past the end")
        buffer[:] = found

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class MemoryTree:
    def __init__(self, contents: dict[str, bytes] = CONTENTS) -> None:
        self.contents = contents
        self.breaks: dict[str, tuple[int, BaseException]] = {}
        self.opened: list[MemoryFile] = []
        self.opening: Callable[[str], None] = lambda name: None

    def names(self) -> list[str]:
        return sorted(self.contents)

    def length(self, name: str) -> int:
        return len(self.contents[name])

    def file(self, name: str) -> MemoryFile:
        self.opening(name)
        self.opened.append(MemoryFile(self, name))
        return self.opened[-1]

    def open_now(self) -> list[str]:
        return [file.name for file in self.opened if not file.closed]


@pytest.fixture
def tree() -> MemoryTree:
    return MemoryTree()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def files(tree: MemoryTree, told: list[str]) -> Files:
    return over(tree, told)


def over(tree: MemoryTree, told: list[str]) -> Files:
    return Files(tree, uid=1000, gid=1001, now_ns=5, notify=told.append)


def refused(number: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        call()
    assert raised.value.errno == number


# Names, modes, sizes


def test_files_are_0400_and_directories_0500_of_the_user_who_mounts(files: Files) -> None:
    for path, mode, size in [
        ("/", stat.S_IFDIR | 0o500, 0),
        ("/shards/a", stat.S_IFDIR | 0o500, 0),
        ("/shards/a/1.bin", stat.S_IFREG | 0o400, 256 * 40),
        ("/empty", stat.S_IFREG | 0o400, 0),
    ]:
        found = files.getattr(path)
        assert (found["st_mode"], found["st_size"], found["st_uid"], found["st_gid"]) == (mode, size, 1000, 1001)
        assert found["st_blocks"] == -(-size // 512)


def test_names_with_slashes_are_directories(files: Files) -> None:
    listed = {path: [name for name, *_ in files.readdir(path, 0)] for path in ("/", "/shards", "/shards/a")}
    assert listed == {
        "/": [".", "..", "config.json", "empty", "shards"],
        "/shards": [".", "..", "2.bin", "a"],
        "/shards/a": [".", "..", "1.bin"],
    }


def test_what_is_not_there_is_not_there(files: Files) -> None:
    for path in ("/nothing", "/shards/a/1.bin/x", "shards", "/shards/", "/../etc"):
        refused(errno.ENOENT, lambda path=path: files.getattr(path))
        refused(errno.ENOENT, lambda path=path: files.open(path, os.O_RDONLY))
    refused(errno.EISDIR, lambda: files.open("/shards", os.O_RDONLY))
    refused(errno.ENOTDIR, lambda: list(files.readdir("/empty", 0)))


def test_the_file_system_is_full_and_as_large_as_its_files(files: Files) -> None:
    found = files.statfs("/")
    assert found["f_blocks"] == 1 + 0 + 3 + 1
    assert {found.get("f_bfree", 0), found.get("f_bavail", 0), found.get("f_ffree", 0)} == {0}


def test_serving_stops_at_the_first_question_about_the_file_system_after_it_should(tree: MemoryTree) -> None:
    stopped: list[str] = []
    files = Files(tree, uid=0, gid=0, now_ns=0, notify=print, stop=lambda: stopped.append("now"))
    files.statfs("/")
    assert not stopped
    files.stop_serving()
    files.statfs("/")
    assert stopped


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", "a" * 256, "\ud800"])
def test_names_that_cannot_be_paths_are_refused_before_anything_is_mounted(name: str, told: list[str]) -> None:
    with pytest.raises(InputError, match="cannot be a path"):
        over(MemoryTree({name: b""}), told)


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"], ["x/a", "x/a/b/c"]])
def test_a_name_is_not_both_a_file_and_a_directory(names: list[str], told: list[str]) -> None:
    with pytest.raises(InputError, match="both a file and a directory"):
        over(MemoryTree(dict.fromkeys(names, b"")), told)


# Reading


@given(offset=st.integers(0, 11_000), size=st.integers(1, 11_000))
def test_a_read_gives_the_bytes_there_and_fewer_only_at_the_end(offset: int, size: int) -> None:
    files = over(MemoryTree(), [])
    handle = files.open("/shards/a/1.bin", os.O_RDONLY)
    assert files.read("", size, offset, handle) == CONTENTS["shards/a/1.bin"][offset : offset + size]


def test_bytes_land_in_the_callers_buffer(files: Files) -> None:
    buffer = bytearray(b"......" * 2)
    assert files.read_into(memoryview(buffer), 0, files.open("/shards/2.bin", os.O_RDONLY)) == 6
    assert buffer == b"second......"


def test_an_unknown_handle_reads_nothing(files: Files) -> None:
    refused(errno.EBADF, lambda: files.read("/empty", 1, 0, 99))
    assert files.release("/empty", 99) == 0


# Writing


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC])
def test_nothing_opens_for_writing(files: Files, tree: MemoryTree, flags: int) -> None:
    refused(errno.EROFS, lambda: files.open("/config.json", flags))
    assert not tree.opened


def test_every_writing_call_is_refused(files: Files) -> None:
    calls = "chmod chown create fallocate link mkdir mknod removexattr rename rmdir setxattr symlink truncate unlink"
    for operation in [*calls.split(), "utimens", "write"]:
        refused(errno.EROFS, lambda operation=operation: getattr(files, operation)("/config.json", 0, 0, 0))


# Handles


def test_a_file_opens_at_its_first_handle_and_is_shared_by_all(files: Files, tree: MemoryTree) -> None:
    files.getattr("/config.json")
    assert not tree.opened
    handles = [files.open("/config.json", os.O_RDONLY) for _ in range(5)]
    assert len(set(handles)) == 5
    assert tree.open_now() == ["config.json"]


def test_the_last_files_stay_open_so_that_opening_again_is_cheap() -> None:
    tree = MemoryTree({f"{number:03}": b"x" for number in range(IDLE_FILES + 10)})
    files = over(tree, [])
    held = files.open("/000", os.O_RDONLY)
    for name in tree.names()[1:]:
        files.release("", files.open(f"/{name}", os.O_RDONLY))
    assert tree.open_now() == ["000", *tree.names()[-IDLE_FILES:]]
    files.release("", files.open(f"/{tree.names()[-1]}", os.O_RDONLY))
    assert len(tree.opened) == len(tree.names())
    assert files.read("", 1, 0, held) == b"x"


def test_closing_closes_every_file_those_with_handles_too(files: Files, tree: MemoryTree) -> None:
    files.open("/config.json", os.O_RDONLY)
    files.release("", files.open("/empty", os.O_RDONLY))
    files.close()
    assert len(tree.opened) == 2
    assert tree.open_now() == []


def test_many_threads_share_files_and_none_is_read_after_it_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mount_files, "IDLE_FILES", 2)
    tree, told = MemoryTree({str(number): bytes([number]) * 1000 for number in range(8)}), list[str]()
    files = over(tree, told)

    def reader(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            name = str(chance.randrange(8))
            handle = files.open(f"/{name}", os.O_RDONLY)
            assert files.read("", 2000, 10, handle) == tree.contents[name][10:]
            files.release("", handle)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(reader, range(8)))
    assert len(tree.open_now()) == 2
    files.close()
    assert (tree.open_now(), told) == ([], [])


def test_a_file_that_opens_slowly_holds_up_nobody_else(files: Files, tree: MemoryTree) -> None:
    opening, go_on = threading.Event(), threading.Event()

    def slow(name: str) -> None:
        if name == "empty":
            opening.set()
            assert go_on.wait(10)

    tree.opening = slow
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(files.open, "/empty", os.O_RDONLY) for _ in range(2)]
        assert opening.wait(10)
        assert files.read("", 2, 0, files.open("/config.json", os.O_RDONLY)) == b"{}"
        go_on.set()
        assert both[0].result(10) != both[1].result(10)
    assert sorted(tree.open_now()) == ["config.json", "empty"]


# Failures


def test_a_damaged_segment_is_eio_where_it_is_and_told_once(files: Files, tree: MemoryTree, told: list[str]) -> None:
    tree.breaks["shards/a/1.bin"] = 4096, IntegrityError("segment 4 is damaged", where="shards/a/1.bin, offset 4096")
    handle = files.open("/shards/a/1.bin", os.O_RDONLY)
    for _ in range(3):
        refused(errno.EIO, lambda: files.read("", 100, 5000, handle))
    assert files.read("", 4096, 0, handle) == CONTENTS["shards/a/1.bin"][:4096]
    assert told == ["segment 4 is damaged (shards/a/1.bin, offset 4096)"]


class Panic(BaseException):
    """As a panic in Rust arrives."""


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), OSError(errno.ENOSPC, "full"), Panic("unwound")])
def test_whatever_else_goes_wrong_is_eio_and_told_once(
    files: Files, tree: MemoryTree, told: list[str], error: BaseException
) -> None:
    tree.breaks["config.json"] = 0, error
    handle = files.open("/config.json", os.O_RDONLY)
    for offset in (0, 1):
        refused(errno.EIO, lambda offset=offset: files.read("", 1, offset, handle))
    (text,) = told
    assert text == f"reading 'config.json' at offset 0 failed unexpectedly: {type(error).__name__}: {error}"
    assert files.read("", 6, 0, files.open("/shards/2.bin", os.O_RDONLY)) == b"second"


def test_a_file_that_does_not_open_is_told_and_tried_again(files: Files, tree: MemoryTree, told: list[str]) -> None:
    answers: list[BaseException] = [IntegrityError("the header's tag is wrong"), RefusedError("no key")]

    def opening(name: str) -> None:
        if answers:
            raise answers.pop(0)

    tree.opening = opening
    refused(errno.EIO, lambda: files.open("/empty", os.O_RDONLY))
    refused(errno.EACCES, lambda: files.open("/empty", os.O_RDONLY))
    assert files.open("/empty", os.O_RDONLY)
    assert told == ["the header's tag is wrong", "no key"]


def test_a_file_of_another_length_than_the_tree_said_is_not_read(
    files: Files, tree: MemoryTree, told: list[str]
) -> None:
    tree.contents = CONTENTS | {"config.json": b"{} and more"}
    refused(errno.EIO, lambda: files.open("/config.json", os.O_RDONLY))
    assert told == ["a file has 11 bytes, not 2 as its tree says (config.json)"]
    assert not tree.open_now()


def test_a_failure_of_closing_is_told_and_harms_no_reader(files: Files, tree: MemoryTree, told: list[str]) -> None:
    files.release("", files.open("/empty", os.O_RDONLY))
    tree.opened[0].closed = True
    files.close()
    (text,) = told
    assert text.startswith("closing 'empty' failed unexpectedly: AssertionError")


def test_a_listener_that_fails_harms_no_reader(tree: MemoryTree) -> None:
    def notify(text: str) -> None:
        raise ValueError

    files = Files(tree, uid=0, gid=0, now_ns=0, notify=notify)
    tree.breaks["config.json"] = 0, IntegrityError("damaged")
    refused(errno.EIO, lambda: files.read("", 1, 0, files.open("/config.json", os.O_RDONLY)))


def test_what_is_told_is_bounded(files: Files, tree: MemoryTree, told: list[str]) -> None:
    handle = files.open("/config.json", os.O_RDONLY)
    for number in range(MAX_TOLD + 50):
        tree.breaks["config.json"] = 0, IntegrityError(f"segment {number}")
        refused(errno.EIO, lambda: files.read("", 1, 0, handle))
    assert len(told) == MAX_TOLD + 1
    assert told[-1] == "further failures of this mount are not told"


# Before anything is mounted


@pytest.fixture
def nothing_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(*_: object) -> None:
        pytest.fail("it was mounted")

    monkeypatch.setattr(_mount, "_serve", serve)


def mount_on(at: Path) -> None:
    mount(MemoryTree(), at, notify=lambda text: None)


@pytest.mark.usefixtures("nothing_is_mounted")
def test_a_place_that_is_no_empty_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for at, why in [
        (tmp_path / "missing", "does not exist"),
        (tmp_path / "file", "no directory"),
        (tmp_path, "not empty"),
        (Path("/proc"), "another file system is mounted"),
    ]:
        with pytest.raises(InputError, match=why) as raised:
            mount_on(at)
        assert raised.value.where == str(at)
        assert raised.value.next


@pytest.mark.usefixtures("nothing_is_mounted")
def test_a_place_that_has_or_lies_in_a_mount_of_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, at = tmp_path / "mountinfo", tmp_path / "a b"
    (at / "within").mkdir(parents=True)
    table.write_text(f"36 35 0:51 / {tmp_path}/a\\040b ro - fuse.strongroom strongroom ro\n")
    monkeypatch.setattr(_mount, "_MOUNTS", table)
    with pytest.raises(InputError, match="sealed object is mounted here") as raised:
        mount_on(at)
    assert f"fusermount3 -u '{at}'" in raised.value.next
    with pytest.raises(InputError, match="inside a mounted sealed object"):
        mount_on(at / "within")


@pytest.mark.usefixtures("nothing_is_mounted")
@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOENT, "FUSE is missing"), (errno.EACCES, "not permitted"), (errno.EPERM, "not perm")]
)
def test_without_the_device_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def opening(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_mount.os, "open", opening)
    with pytest.raises(StrongroomError, match=says) as raised:
        mount_on(tmp_path)
    assert raised.value.where == "/dev/fuse"
    assert raised.value.next


@pytest.mark.usefixtures("nothing_is_mounted")
def test_without_libfuse_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mount, "_check_device", lambda: None)
    monkeypatch.setattr(_mount, "find_library", lambda name: None)
    with pytest.raises(StrongroomError, match="libfuse 3 is missing; install the package fuse3"):
        mount_on(tmp_path)


@pytest.mark.usefixtures("nothing_is_mounted")
def test_a_mount_runs_where_signals_arrive(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(UsageError, match="main thread"):
        pool.submit(mount_on, tmp_path).result()


@pytest.mark.usefixtures("nothing_is_mounted")
def test_fewer_than_no_threads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-1 threads"):
        mount(MemoryTree(), tmp_path, notify=print, threads=-1)


def test_a_failure_of_libfuse_is_an_error_and_leaves_signals_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        fuse_exit = None

    def serve(*_: object) -> None:
        assert signal.getsignal(signal.SIGTERM) != before
        raise RuntimeError(3)

    monkeypatch.setattr(_mount, "_check_device", lambda: None)
    monkeypatch.setattr(_mount, "_library", Library)
    monkeypatch.setattr(_mount, "_serve", serve)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StrongroomError, match="libfuse's code 3"):
        mount_on(tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before


def test_unmounting_what_is_no_mount_of_ours_is_refused(tmp_path: Path) -> None:
    for at in (tmp_path, tmp_path / "missing", Path("/proc")):
        with pytest.raises(InputError, match="no sealed object is mounted"):
            unmount(at)


def test_the_kernels_list_of_mounts_is_read_as_it_is_written() -> None:
    text = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "36 22 0:51 / /mnt/a\\040b\\134c\r ro shared:2 master:3 - fuse.strongroom strongroom ro,user_id=0\n"
    )
    assert [(one.place, one.device, one.type) for one in parse_mounts(text)] == [
        ("/", "8:1", "ext4"),
        ("/mnt/a b\\c\r", "0:51", "fuse.strongroom"),
    ]
