"""Real mounts: programs that know nothing of Strongroom read, map, are refused, break off; and how a mount ends."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from strongroom.core.errors import StrongroomError
from strongroom.vault._mount import unmount

from ..conftest import missing
from .mounting import BROKEN, DAMAGED, MIB

SERVER = Path(__file__).with_name("mounting.py")
MODEL = "model.safetensors"
SHARD = "shards/a/1.bin"
SECONDS = 20.0
"""How long anything may take before it counts as hanging."""


class Mounted:
    """A process that serves `source` at `at`."""

    def __init__(self, source: Path, at: Path, *options: str) -> None:
        self.source, self.at = source, at
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), str(source), str(at), *options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline().strip()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, list[str]]:
        """Its exit code and what it still printed."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, list[str]]:
        out, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out.splitlines()

    def clear(self) -> None:
        """Leaves nothing mounted, however the test ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(self.at)], capture_output=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def fuse() -> None:
    if shutil.which("fusermount3") is None or find_library("fuse3") is None:
        missing("FUSE is not installed (scripts/system-deps installs it)")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        missing(f"/dev/fuse cannot be opened: {error.strerror}")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Somewhere that other users may look into, so that it is the mount that keeps them out."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def source(place: Path) -> Path:
    folder = place / "plain"
    (folder / SHARD).parent.mkdir(parents=True)
    chance = random.Random(7)
    (folder / "config.json").write_text('{"hidden_size": 64}')
    (folder / "empty").write_bytes(b"")
    (folder / SHARD).write_bytes(chance.randbytes(5 * MIB + 123))
    (folder / BROKEN).write_bytes(chance.randbytes(4 * MIB))
    tensors = {f"layer.{number}": np.frombuffer(chance.randbytes(MIB), np.int32).reshape(64, -1) for number in range(4)}
    save_file(tensors, folder / MODEL, metadata={"format": "np"})
    return folder


@pytest.fixture(scope="module")
def shared_mount(source: Path, place: Path) -> Iterator[Mounted]:
    """For tests that leave it as it was."""
    (place / "shared").mkdir()
    mounted = Mounted(source, place / "shared", "4")
    assert mounted.first == "ready"
    yield mounted
    mounted.clear()


@pytest.fixture
def mounted(source: Path, place: Path) -> Iterator[Mounted]:
    at = Path(tempfile.mkdtemp(dir=place))
    mounted = Mounted(source, at)
    assert mounted.first == "ready"
    yield mounted
    mounted.clear()


@pytest.fixture
def at(shared_mount: Mounted) -> Path:
    return shared_mount.at


def fails(number: int, call: object, *arguments: object) -> None:
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        call(*arguments)  # type: ignore[operator]
    assert raised.value.errno == number


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Reading


def test_the_mount_has_the_same_files_and_sizes(at: Path, source: Path) -> None:
    assert names(at) == names(source)
    for name in names(source):
        if (source / name).is_file():
            assert (at / name).stat().st_size == (source / name).stat().st_size
    assert os.statvfs(at).f_bavail == 0


def test_cmp_finds_no_difference(at: Path, source: Path) -> None:
    for name in (MODEL, SHARD, "config.json", "empty"):
        subprocess.run(["cmp", at / name, source / name], check=True, timeout=SECONDS)


def test_reads_at_odd_offsets_give_the_same_bytes(at: Path, source: Path) -> None:
    plain, chance = (source / SHARD).read_bytes(), random.Random(1)
    descriptor = os.open(at / SHARD, os.O_RDONLY)
    try:
        for offset in [0, 1, 4095, MIB - 1, len(plain) - 1, len(plain), len(plain) + 5]:
            assert os.pread(descriptor, 3, offset) == plain[offset : offset + 3]
        for _ in range(200):
            offset, size = chance.randrange(len(plain)), chance.randrange(1, 300_000)
            assert os.pread(descriptor, size, offset) == plain[offset : offset + size]
    finally:
        os.close(descriptor)


def test_a_mapped_file_has_the_same_bytes(at: Path, source: Path) -> None:
    with (at / SHARD).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        plain = (source / SHARD).read_bytes()
        assert mapped[4 * MIB + 1 : 4 * MIB + 9] == plain[4 * MIB + 1 : 4 * MIB + 9]
        assert mapped[:] == plain


def test_safetensors_opens_the_model(at: Path, source: Path) -> None:
    with safe_open(at / MODEL, framework="np") as sealed, safe_open(source / MODEL, framework="np") as plain:
        assert sealed.metadata() == plain.metadata()
        assert sorted(sealed.keys()) == sorted(plain.keys())
        for name in plain.keys():  # noqa: SIM118 - not a dict
            assert np.array_equal(sealed.get_tensor(name), plain.get_tensor(name))
        row = sealed.get_slice("layer.2")[17:18]
        assert np.array_equal(row, plain.get_tensor("layer.2")[17:18])


def test_several_processes_read_at_once(mounted: Mounted, source: Path) -> None:
    def cmp(name: str) -> int:
        return subprocess.run(["cmp", mounted.at / name, source / name], check=False, timeout=SECONDS).returncode

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(cmp, [MODEL, SHARD] * 6)) == [0] * 12


def test_one_thread_serves_the_same(source: Path, place: Path) -> None:
    mounted = Mounted(source, Path(tempfile.mkdtemp(dir=place)), "1")
    try:
        assert mounted.first == "ready"
        for name in (MODEL, SHARD, "empty"):
            assert (mounted.at / name).read_bytes() == (source / name).read_bytes()
        assert mounted.end() == (0, ["ended"])
    finally:
        mounted.clear()


# Who may do what


def test_nothing_is_written(at: Path) -> None:
    file = at / "config.json"
    for call, *arguments in [
        (os.open, file, os.O_WRONLY),
        (os.open, file, os.O_RDWR),
        (os.open, at / "new", os.O_WRONLY | os.O_CREAT),
        (os.truncate, file, 0),
        (os.unlink, file),
        (os.rename, file, at / "other"),
        (os.link, file, at / "other"),
        (os.symlink, file, at / "other"),
        (os.mkdir, at / "new"),
        (os.rmdir, at / "shards"),
        (os.mkfifo, at / "new"),
        (os.chmod, file, 0o777),
        (os.chown, file, 1, 1),
        (os.utime, file),
        (os.setxattr, file, "user.x", b"x"),
    ]:
        fails(errno.EROFS, call, *arguments)


def test_the_mount_is_marked_read_only_and_without_devices_programs_and_set_uid(at: Path) -> None:
    (line,) = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {at} " in line]
    head, _, tail = line.partition(" - ")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(head.split(" ")[5].split(","))
    kind, name, options = tail.split(" ")
    assert (kind, name) == ("fuse.strongroom", "strongroom")
    assert "default_permissions" in options.split(",")
    assert "allow_other" not in options


def test_another_user_gets_nothing(at: Path, place: Path) -> None:
    if os.geteuid() != 0:
        missing("only root can become another user")
    (place / "for all").write_text("x")
    for path, code in [(place / "for all", 0), (at / "config.json", 1), (at, 1)]:
        command = ["head" if path.suffix or not code else "ls", str(path)]
        done = subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True, check=False)
        assert min(done.returncode, 1) == code
        assert not code or b"Permission denied" in done.stderr


# Damage


def test_a_file_that_breaks_midway_is_eio_there_and_good_elsewhere(mounted: Mounted, source: Path) -> None:
    plain = (source / BROKEN).read_bytes()
    descriptor = os.open(mounted.at / BROKEN, os.O_RDONLY)
    try:
        for _ in range(2):
            fails(errno.EIO, os.pread, descriptor, 10, DAMAGED.start)
            fails(errno.EIO, os.pread, descriptor, 4096, DAMAGED.stop - 4096)
            assert os.pread(descriptor, 100, DAMAGED.start - 100) == plain[DAMAGED.start - 100 : DAMAGED.start]
            assert os.pread(descriptor, MIB, DAMAGED.stop) == plain[DAMAGED.stop :]
            assert os.pread(descriptor, MIB, 0) == plain[:MIB]
    finally:
        os.close(descriptor)
    fails(errno.EIO, (mounted.at / BROKEN).read_bytes)
    subprocess.run(["cmp", mounted.at / SHARD, source / SHARD], check=True, timeout=SECONDS)
    assert mounted.end() == (0, [f"told: segment 2 is damaged ({BROKEN}, offset {DAMAGED.start})", "ended"])


def test_a_program_that_maps_damage_is_killed_when_it_touches_it_and_not_before(mounted: Mounted) -> None:
    program = (
        "import mmap, sys; f = open(sys.argv[1], 'rb'); mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[int(sys.argv[2])]"
    )
    for offset, code in [(0, 0), (DAMAGED.stop, 0), (DAMAGED.start, -signal.SIGBUS)]:
        command = [sys.executable, "-c", program, str(mounted.at / BROKEN), str(offset)]
        assert subprocess.run(command, check=False, timeout=SECONDS).returncode == code


def test_the_mount_survives_a_reader_that_is_killed(mounted: Mounted, source: Path) -> None:
    program = "import sys\nwhile True:\n  with open(sys.argv[1], 'rb', 0) as f:\n    print(len(f.read()), flush=True)"
    for _ in range(3):
        reader = subprocess.Popen(
            [sys.executable, "-c", program, str(mounted.at / SHARD)], stdout=subprocess.PIPE, text=True
        )
        assert reader.stdout is not None
        assert int(reader.stdout.readline()) == (source / SHARD).stat().st_size
        reader.kill()
        reader.communicate(timeout=SECONDS)
    subprocess.run(["cmp", mounted.at / MODEL, source / MODEL], check=True, timeout=SECONDS)


# Ending


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts_also_while_files_are_open(mounted: Mounted, number: signal.Signals) -> None:
    descriptor = os.open(mounted.at / SHARD, os.O_RDONLY)
    try:
        assert len(os.read(descriptor, 10)) == 10
        assert mounted.end(number) == (0, ["ended"])
        assert names(mounted.at) == []
    finally:
        with contextlib.suppress(OSError):  # the kernel tells whoever closes that nobody is there any more
            os.close(descriptor)
    assert not os.path.ismount(mounted.at)


def test_fusermount3_ends_it(mounted: Mounted) -> None:
    subprocess.run(["fusermount3", "-u", mounted.at], check=True, timeout=SECONDS)
    assert mounted.wait() == (0, ["ended"])
    assert names(mounted.at) == []


def test_unmount_refuses_while_a_file_is_open_and_ends_it_afterwards(mounted: Mounted) -> None:
    with (mounted.at / SHARD).open("rb"), pytest.raises(StrongroomError, match=r"could not be unmounted.*busy"):
        unmount(mounted.at)
    deadline = time.monotonic() + SECONDS
    while True:  # the kernel says a little later that the file was closed
        try:
            unmount(mounted.at)
            break
        except StrongroomError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert mounted.wait() == (0, ["ended"])


def test_what_kill_9_leaves_is_named_refused_and_cleared(mounted: Mounted, source: Path) -> None:
    mounted.process.kill()
    mounted.process.wait(SECONDS)
    fails(errno.ENOTCONN, os.listdir, mounted.at)
    second = Mounted(source, mounted.at)
    assert second.first.startswith("error: a sealed object is mounted here")
    assert f"fusermount3 -u '{mounted.at}'" in second.first
    second.wait()
    unmount(mounted.at)
    third = Mounted(source, mounted.at)
    try:
        assert third.first == "ready"
        assert third.end() == (0, ["ended"])
    finally:
        third.clear()


def test_a_second_mount_on_or_in_the_first_is_refused(at: Path, source: Path) -> None:
    for place, says in [(at, "is mounted here"), (at / "shards", "inside a mounted sealed object")]:
        second = Mounted(source, place)
        assert says in second.first
        assert second.wait()[0] == 3
