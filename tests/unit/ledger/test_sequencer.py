"""The sequencer: order, acknowledgement, backpressure, a full disk, a failing one, and two at once."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import InputError, IntegrityError, StrongroomError
from strongroom.core.records import Entry
from strongroom.ledger import (
    DirectoryStorage,
    Limits,
    LogReader,
    Sequencer,
    encode_entry,
    open_ledger,
    open_source,
    read_checkpoint,
    verify_log,
)
from strongroom.ledger._disk import Appending, Disk

from .ledgers import QUICK, Home, entry

NEVER = Limits(publish_seconds=1e9)
"""Nothing is published before the ledger is closed."""


def entries_of(home: Home) -> list[bytes]:
    """The published log, verified."""
    source = open_source(str(home.path))
    verify_log(source, [home.verifier]).check("log")
    reader = LogReader(source, read_checkpoint(source, [home.verifier]))
    return [data for _, data in reader.entries()]


def crashed(home: Home) -> Home:
    """What a SIGKILL leaves at this moment, as a log of its own."""
    other = Home(home.path.with_name(f"{home.path.name}-crashed-{time.monotonic_ns()}"))
    shutil.rmtree(other.path / "ledger")
    shutil.copytree(home.path / "ledger", other.path / "ledger")
    other.signer, other.verifier = home.signer, home.verifier
    return other


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Held(Disk):
    """A disk whose syncs of the journal wait, or fail."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.error: OSError | None = None
        self.syncs = 0

    def create(self, path: Path) -> Appending:
        disk = self

        class File(Appending):
            def sync(self) -> None:
                disk.syncs += 1
                assert disk.go.wait(20)
                if disk.error is not None:
                    raise disk.error
                super().sync()

        return File(path)


class Small(Disk):
    """A disk with `left` bytes, that writes as much as it can of what does not fit."""

    def __init__(self) -> None:
        self.left = 1 << 40

    def take(self, size: int) -> int:
        given = max(0, min(size, self.left))
        self.left -= given
        return given

    def create(self, path: Path) -> Appending:
        disk = self
        if not disk.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        class File(Appending):
            def write(self, data: bytes | bytearray) -> None:
                given = disk.take(len(data))
                os.pwrite(self._descriptor, data[:given], self.size)
                if given < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.size += given

            def truncate(self, size: int) -> None:
                disk.left += max(0, os.fstat(self._descriptor).st_size - size)
                super().truncate(size)

        return File(path)

    def write(self, path: Path, data: bytes) -> None:
        given = self.take(len(data))
        super().write(path, data[:given])
        if given < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def on_disk(path: Path, disk: Disk) -> Home:
    return Home(path, DirectoryStorage(path / "ledger", disk))


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# Order and acknowledgement


def test_entries_of_many_threads_each_get_the_index_at_which_the_log_has_them(tmp_path: Path) -> None:
    disk = Held()
    home = on_disk(tmp_path, disk)
    sequencer = home.open()
    given: dict[int, bytes] = {}

    def work(thread: int) -> None:
        last = -1
        for number in range(60):
            data = entry(1000 * thread + number)
            kind = number % 3
            if kind == 0:
                indices = range(index := sequencer.append_bytes(data), index + 1)
            elif kind == 1:
                indices = range(index := sequencer.append_nowait(data).result(20), index + 1)
            else:
                more = [data, entry(1000 * thread + number, second=True)]
                indices = sequencer.append_many(more)
                given[indices[1]] = more[1]
            assert indices[0] > last  # of one caller, in the order of its calls
            last = indices[-1]
            given[indices[0]] = data

    with ThreadPoolExecutor(12) as threads:
        for done in [threads.submit(work, number) for number in range(12)]:
            done.result()
    sequencer.close()
    count = 12 * 60 * 4 // 3
    assert sorted(given) == list(range(count))
    assert entries_of(home) == [given[index] for index in range(count)]
    assert disk.syncs < count  # a commit is of a group


def test_what_was_acknowledged_is_covered_by_a_signed_checkpoint_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sequencer = home.open(limits=NEVER)
    for number in range(5):
        assert sequencer.append_bytes(entry(number)) == number
        assert sequencer.committed.checkpoint.size == number + 1
    sequencer.close()
    assert sequencer.published.checkpoint.size == 5


def test_append_makes_an_entry_canonical_and_flush_waits_for_its_publication(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sequencer = home.open()
    made = Entry(type="strongroom.test/1", time="2026-11-01T09:30:00.123Z", writer="w", body={"é": 1, "b": [2.50]})
    assert sequencer.append(made) == 0
    assert sequencer.flush().checkpoint.size == 1
    expected = '{"body":{"b":[2.5],"é":1},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"w"}'
    assert entries_of(home) == [expected.encode()]
    sequencer.close()


def test_the_ledgers_own_types_are_refused_and_so_is_what_is_no_entry(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sequencer = home.open()
    own = Entry(type="strongroom.ledger.key/1", time="2026-11-01T09:30:00.123Z", writer="w", body={})
    with pytest.raises(InputError, match="the ledger alone"):
        sequencer.append(own)
    for data in (b"", b"{}", b"x" * 70_000, entry(1) + b"\n"):
        with pytest.raises(InputError):
            sequencer.append_bytes(data)
        with pytest.raises(InputError):
            sequencer.append_nowait(data)
    assert sequencer.append_many([]) == range(0)
    sequencer.close()
    assert entries_of(home) == []


def test_a_closed_ledger_refuses_and_closing_it_again_does_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sequencer = home.open(limits=NEVER)
    waiting = [sequencer.append_nowait(entry(number)) for number in range(20)]
    sequencer.close()
    assert [future.result(0) for future in waiting] == list(range(20))
    for call in (sequencer.append_bytes, sequencer.append_nowait, lambda data: sequencer.append_many([data])):
        with pytest.raises(StrongroomError, match="closed"):
            call(entry(1))  # type: ignore[operator]
    # A second close must not close what meanwhile has the same descriptor.
    files = [(tmp_path / str(number)).open("wb") for number in range(4)]
    sequencer.close()
    for file in files:
        file.write(b"x")
        file.close()
    assert len(entries_of(home)) == 20


def test_a_future_that_a_caller_cancels_does_not_stop_the_ledger(tmp_path: Path) -> None:
    disk = Held()
    home = on_disk(tmp_path, disk)
    sequencer = home.open()
    disk.go.clear()
    futures = [sequencer.append_nowait(entry(number)) for number in range(3)]
    assert not futures[0].cancel()  # it is on its way
    disk.go.set()
    assert [future.result(20) for future in futures] == [0, 1, 2]
    assert sequencer.append_bytes(entry(3)) == 3
    sequencer.close()


@pytest.mark.parametrize("failing", [errno.EIO, errno.ENOSPC])
def test_nothing_is_acknowledged_though_nobody_can_be_notified(failing: int, tmp_path: Path) -> None:
    def broken(text: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    disk = Held()
    home = on_disk(tmp_path, disk)
    sequencer = home.open(notify=broken)
    assert sequencer.append_bytes(entry(0)) == 0
    disk.error = OSError(failing, os.strerror(failing))
    with pytest.raises(StrongroomError, match="the ledger stopped"):
        sequencer.append_bytes(entry(1))
    with pytest.raises(StrongroomError):
        sequencer.append_bytes(entry(2))
    sequencer.close()


# Backpressure


def test_a_full_queue_makes_append_wait_and_append_nowait_refuse(tmp_path: Path) -> None:
    disk = Held()
    home = on_disk(tmp_path, disk)
    sequencer = home.open(limits=Limits(publish_seconds=0.0, commit_entries=4))
    disk.go.clear()
    futures = [sequencer.append_nowait(entry(0))]
    until(lambda: sequencer.status()["waiting"] == 0)  # it is being committed; that is when the queue is empty
    futures += [sequencer.append_nowait(entry(number)) for number in range(1, 5)]
    with pytest.raises(StrongroomError, match="queue is full"):
        sequencer.append_nowait(entry(5))
    late: Future[int] = Future()
    waiting = threading.Thread(target=lambda: late.set_result(sequencer.append_bytes(entry(5))))
    waiting.start()
    time.sleep(0.05)
    assert not late.done()
    disk.go.set()
    assert [future.result(20) for future in futures] == list(range(5))
    assert late.result(20) == 5
    waiting.join()
    sequencer.close()


def test_the_queue_is_bounded_in_bytes_and_patience_ends(tmp_path: Path) -> None:
    disk = Held()
    home = on_disk(tmp_path, disk)
    sequencer = home.open(limits=Limits(publish_seconds=0.0, queue_bytes=10_000, patience_seconds=0.05))
    disk.go.clear()
    first = sequencer.append_nowait(entry(0))
    until(lambda: sequencer.status()["waiting"] == 0)
    large = sequencer.append_nowait(entry(1, text="x" * 9_000))
    for call in (sequencer.append_nowait, sequencer.append_bytes, lambda data: sequencer.append_many([data])):
        with pytest.raises(StrongroomError, match="queue is full"):
            call(entry(2, text="x" * 2_000))  # type: ignore[operator]
    small = sequencer.append_nowait(entry(3))
    disk.go.set()
    assert [future.result(20) for future in (first, large, small)] == [0, 1, 2]
    # Alone in the queue, even what is larger than the queue is taken.
    assert len(sequencer.append_many([entry(number, text="x" * 9_000) for number in range(4, 8)])) == 4
    sequencer.close()
    assert len(entries_of(home)) == 7


def test_commits_wait_for_tiles_so_that_journal_and_memory_stay_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sequencer = home.open(limits=Limits(publish_seconds=0.0, journal_bytes=4_000, pending_bytes=3_000))
    for number in range(200):
        sequencer.append_bytes(entry(number, text="x" * 200))
        assert sequencer.status()["journal_bytes"] < 6_000
    sequencer.close()
    assert len(entries_of(home)) == 200
    journals = [path.name for path in (home.path / "ledger/journal").iterdir() if path.name.isdigit()]
    assert len(journals) == 1
    assert int(journals[0]) > 10  # renewed as often as that


# Restart


def test_a_journal_that_was_never_published_is_published_at_the_next_start(tmp_path: Path) -> None:
    home = Home(tmp_path / "log")
    home.grow(0, 300)
    sequencer = home.open(limits=NEVER)
    for number in range(300, 320):
        sequencer.append_bytes(entry(number))
    sequencer.append_many([entry(number) for number in range(320, 900)])
    signed = sequencer.committed
    left = crashed(home)
    assert read_checkpoint(open_source(str(left.path)), [home.verifier]).checkpoint.size in (300, 301)
    again = left.open()
    assert again.published == again.committed == signed  # byte for byte: nobody sees two checkpoints of one size
    assert again.append_bytes(entry(900)) == 900
    again.close()
    assert entries_of(left) == [entry(number) for number in range(901)]
    sequencer.close()


def test_a_crash_while_recovering_is_recovered_from(tmp_path: Path) -> None:
    disk = Small()
    home = on_disk(tmp_path / "log", disk)
    sequencer = home.open(limits=NEVER)
    sequencer.append_many([entry(number) for number in range(700)])
    left = crashed(home)
    sequencer.close()
    small = Small()
    left.storage = DirectoryStorage(left.path / "ledger", small)
    for room in (0, 1, 10, 5_000, 20_000, 60_000):
        small.left = room
        with pytest.raises(StrongroomError, match="No space left"):
            left.open()
    assert len([path for path in (left.path / "ledger/journal").iterdir() if path.name.isdigit()]) <= 2
    small.left = 1 << 30
    left.open().close()
    assert len(entries_of(left)) == 700


# Two at once


def test_a_second_sequencer_is_refused_by_the_lock_and_the_first_goes_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.open()
    with pytest.raises(StrongroomError, match="another process appends"):
        home.open()
    assert first.append_bytes(entry(0)) == 0
    first.close()
    second = home.open()
    assert second.append_bytes(entry(1)) == 1
    second.close()


def open_beside(home: Home, **options: Any) -> Sequencer:
    """Without the lock's help, as on a file system whose locks do not work."""
    options.setdefault("limits", QUICK)
    return open_ledger(home.storage, home.signer, home.path / "another-lock", **options)


def test_without_a_lock_the_older_sequencer_is_fenced_out_and_acknowledges_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.open()
    for number in range(10):
        first.append_bytes(entry(number))
    first.flush()
    second = open_beside(home)
    with pytest.raises(StrongroomError, match="another sequencer has taken over"):
        first.append_bytes(entry(10))
    for call in (first.append_bytes, first.append_nowait, lambda data: first.append_many([data])):
        with pytest.raises(StrongroomError, match="another sequencer has taken over"):
            call(entry(11))  # type: ignore[operator]
    assert second.append_bytes(entry(12)) == 10
    first.close()
    second.close()
    assert entries_of(home) == [*(entry(number) for number in range(10)), entry(12)]
    home.grow(11, 3)
    assert len(entries_of(home)) == 14


def test_the_older_one_stays_fenced_out_however_often_the_younger_renews_its_journal(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.open(limits=Limits(publish_seconds=0.0, journal_bytes=1_000))
    first.append_many([entry(number) for number in range(20)])
    first.flush()  # its journal is over the limit: the next commit begins a new one
    second = open_beside(home, limits=Limits(publish_seconds=0.0, journal_bytes=100))
    for number in range(20, 24):
        second.append_bytes(entry(number))
        second.flush()
    assert second._journal.token > first._journal.token + 2
    with pytest.raises(StrongroomError, match="another sequencer"):
        first.append_bytes(entry(99))
    assert second.append_bytes(entry(24)) == 24
    first.close()
    second.close()
    home.open().close()
    assert entries_of(home) == [entry(number) for number in range(25)]


def test_a_fenced_publisher_stops_keeps_the_others_reserve_and_flush_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.open(limits=NEVER)
    first.append_bytes(entry(0))
    until(lambda: first.published.checkpoint.size in (0, 1))
    first.append_bytes(entry(1))
    second = open_beside(home)
    assert second.append_bytes(entry(2)) == 2
    second.flush()
    told: list[str] = []
    first._notify = told.append
    with first._lock:
        first.limits = QUICK  # its publisher wakes up now
        first._wake.notify_all()
    with pytest.raises(StrongroomError, match="another sequencer has taken over"):
        first.flush()
    assert second.status()["reserve"]
    assert len(told) == 1
    with pytest.raises(StrongroomError, match="another sequencer has taken over"):
        first.close()
    second.close()
    assert len(entries_of(home)) == 3


def test_a_fenced_sequencer_does_not_publish_cosignatures(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.open()
    first.append_bytes(entry(0))
    published = first.flush()
    second = open_beside(home)
    second.append_bytes(entry(1))
    second.flush()
    with pytest.raises(StrongroomError, match="another sequencer has taken over"):
        first.add_cosignatures(published, [])
    assert read_checkpoint(open_source(str(home.path)), [home.verifier]).checkpoint.size == 2
    first.close()
    second.close()


# A full disk, a failing one, one that cannot be written


def test_a_full_disk_refuses_new_entries_harms_no_old_one_and_goes_on_with_space(tmp_path: Path) -> None:
    disk = Small()
    home = on_disk(tmp_path, disk)
    told: list[str] = []
    sequencer = home.open(limits=Limits(publish_seconds=0.01), notify=told.append)
    kept = 0
    for number in range(40):
        sequencer.append_bytes(entry(number))
        kept += 1
    disk.left = 700  # a few more, and then a part of one
    refused: list[str] = []
    for _ in range(20):
        try:
            index = sequencer.append_bytes(entry(kept))
        except StrongroomError as error:
            refused.append(str(error))
        else:
            assert index == kept
            kept += 1
    assert refused
    assert all("No space left" in text and "free some space" in text for text in refused)
    assert any("the reserve of 32 MiB is released" in text for text in told)
    assert entries_of(home) == [entry(number) for number in range(len(entries_of(home)))]
    left = crashed(home)  # and if it crashes now?
    left.open().close()
    assert entries_of(left) == [entry(number) for number in range(kept)]
    disk.left = 1 << 30
    assert sequencer.append_bytes(entry(kept)) == kept
    assert sequencer.flush().checkpoint.size == kept + 1
    until(lambda: sequencer.status()["reserve"])
    sequencer.close()
    assert entries_of(home) == [entry(number) for number in range(kept + 1)]


def test_the_reserve_lets_access_go_on_record_while_somebody_makes_room(tmp_path: Path) -> None:
    disk = Small()
    home = on_disk(tmp_path, disk)
    told: list[str] = []

    def notify(text: str) -> None:
        told.append(text)
        if "reserve" in text:
            disk.left += 32 << 20

    sequencer = home.open(notify=notify, limits=NEVER)
    sequencer.append_bytes(entry(0))
    disk.left = 50
    for number in range(1, 100):
        assert sequencer.append_bytes(entry(number)) == number
    assert [text for text in told if "reserve" in text] == told
    assert len(told) == 1
    sequencer.close()
    assert len(entries_of(home)) == 100


def test_a_journal_that_cannot_be_renewed_on_a_full_disk_refuses_and_goes_on_with_space(tmp_path: Path) -> None:
    disk = Small()
    home = on_disk(tmp_path, disk)
    sequencer = home.open(limits=Limits(publish_seconds=0.0, journal_bytes=500))
    number = 0
    while sequencer.status()["journal_bytes"] <= 500:
        number = sequencer.append_bytes(entry(number)) + 1
    sequencer.flush()
    disk.left = 0
    for _ in range(3):
        with pytest.raises(StrongroomError, match="No space left"):
            sequencer.append_bytes(entry(number))
    disk.left = 1 << 30
    assert sequencer.append_bytes(entry(number)) == number
    sequencer.close()
    assert len(entries_of(home)) == number + 1


@pytest.mark.parametrize("what", ["journal", "tiles"])
def test_an_error_of_fsync_is_final_every_caller_is_told_and_reopening_works(what: str, tmp_path: Path) -> None:
    class Failing(Held):
        def sync(self, paths: Any) -> None:
            if what == "tiles" and self.error is not None:
                raise self.error
            super().sync(paths)

        def create(self, path: Path) -> Appending:
            return super().create(path) if what == "journal" else Appending(path)

    disk = Failing()
    home = on_disk(tmp_path, disk)
    told: list[str] = []
    sequencer = home.open(notify=told.append, limits=Limits(publish_seconds=0.0, pending_bytes=1, patience_seconds=0.2))
    for number in range(5):
        sequencer.append_bytes(entry(number))
    disk.go.clear()
    acknowledged = [sequencer.append_nowait(entry(5))]
    if what == "journal":
        until(lambda: sequencer.status()["waiting"] == 0)
    acknowledged += [sequencer.append_nowait(entry(number)) for number in range(6, 10)]
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.go.set()
    errors = [future.exception(20) for future in acknowledged]
    if what == "journal":
        assert all(isinstance(error, StrongroomError) and "Input/output error" in str(error) for error in errors)
        with pytest.raises(StrongroomError, match="the ledger stopped"):
            sequencer.append_bytes(entry(99))
        assert told
        assert sequencer.status()["failure"]
        sequencer.close()
    else:
        # What the journal holds is durable; what cannot be put into tiles waits, and then no more is taken.
        with pytest.raises(StrongroomError, match="no more can wait"):
            for number in range(10, 20):
                sequencer.append_bytes(entry(number))
        with pytest.raises(StrongroomError, match="Input/output error"):
            sequencer.close()
    sure = 5 + sum(error is None for error in errors)
    disk.error = None
    again = home.open()
    first = again.committed.checkpoint.size
    assert first >= sure
    again.append_bytes(entry(100))
    again.close()
    found = entries_of(home)
    assert found == [*(entry(number) for number in range(first)), entry(100)]


@pytest.mark.skipif(shutil.which("chattr") is None, reason="chattr is not installed")
def test_a_directory_that_cannot_be_written_is_told_and_nothing_changes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.grow(0, 10)
    folder = home.path / "ledger" / "journal"
    before = files_of(home.path / "ledger")
    # Root may write everywhere, except into what is immutable.
    if subprocess.run(["chattr", "+i", str(folder)], check=False, capture_output=True).returncode:
        folder.chmod(0o500)
        if os.getuid() == 0:
            pytest.skip("root may write here, and nothing can be made immutable: NOT TESTED HERE")
    try:
        with pytest.raises(StrongroomError, match="the ledger cannot write"):
            home.open()
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=False, capture_output=True)
        folder.chmod(0o700)
    assert files_of(home.path / "ledger") == before
    home.grow(10, 1)
    assert len(entries_of(home)) == 11


def test_types_of_the_ledger_itself_are_refused_by_every_way_in(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sequencer = home.open()
    own = Entry(type="strongroom.ledger.key/1", time="2026-11-01T09:30:00.123Z", writer="w", body={})
    data = encode_entry(own)
    for call in (
        sequencer.append_bytes,
        sequencer.append_nowait,
        lambda data: sequencer.append_many([entry(0), data]),
        lambda _: sequencer.append(own),
    ):
        with pytest.raises(InputError, match="the ledger alone"):
            call(data)
    # A body may speak of them.
    assert sequencer.append_bytes(entry(0, about={"type": "strongroom.ledger.key/1"})) == 0
    sequencer.close()


def test_whatever_ends_the_committer_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    sequencer = home.open()

    def end(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(sequencer, "_settle", end)
    with pytest.raises(StrongroomError, match="SystemExit"):
        sequencer.append_bytes(entry(0))
    with pytest.raises(StrongroomError, match="SystemExit"):
        sequencer.append_bytes(entry(1))
    sequencer.close()
    assert entries_of(home) == []


def test_flush_ends_when_tiles_cannot_be_written_and_nothing_is_lost(tmp_path: Path) -> None:
    home = Home(tmp_path)
    full = StrongroomError("the ledger cannot write: No space left on device", next="free some space")

    class Full(DirectoryStorage):
        def put(self, *_: Any) -> None:
            raise full

    sequencer = open_ledger(
        Full(home.path / "ledger"),
        home.signer,
        home.path / "lock",
        limits=Limits(publish_seconds=0, patience_seconds=0.2),
    )
    assert sequencer.append_bytes(entry(0)) == 0
    with pytest.raises(StrongroomError, match="on record and not in tiles yet"):
        sequencer.flush()
    with pytest.raises(StrongroomError, match="No space left"):
        sequencer.close()
    home.open().close()
    assert entries_of(home) == [entry(0)]


def test_a_checkpoint_that_went_back_in_time_is_made_up_for_or_stops_the_start(tmp_path: Path) -> None:
    """A restored disk, or a paused predecessor that wrote last: going on from there would be a fork."""
    home = Home(tmp_path)
    home.grow(0, 3)
    old = (home.public / "checkpoint").read_bytes()
    home.grow(3, 5)
    (home.public / "checkpoint").write_bytes(old)
    home.open().close()  # the journal still holds what the checkpoint lacks
    assert entries_of(home) == [entry(number) for number in range(8)]
    (home.public / "checkpoint").write_bytes(old)
    before = files_of(home.public)
    with pytest.raises(IntegrityError, match="the tiles end at 3, the journal goes on at 8"):
        home.open()
    assert files_of(home.public) == before
