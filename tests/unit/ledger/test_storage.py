"""Where a log lies: what is durable, what a reserve takes, and an object store in memory as a directory."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError
from strongroom.ledger import (
    DirectoryStorage,
    Limits,
    LogReader,
    Sequencer,
    create_ledger,
    open_ledger,
    open_source,
    read_checkpoint,
    storage_at,
    verify_log,
)
from strongroom.ledger._disk import Disk
from strongroom.ledger._reserve import Reserve
from strongroom.ledger._storage import ObjectStorage

from .ledgers import QUICK, Home, entry


class Watched(Disk):
    """Remembers which directories were synced."""

    def __init__(self) -> None:
        self.synced: list[Path] = []
        self.error: OSError | None = None

    def sync_directories(self, paths: Iterable[Path]) -> None:
        paths = list(paths)
        if self.error is not None:
            raise self.error
        super().sync_directories(paths)
        self.synced += paths


def fine() -> None:
    """Nobody took over."""


# Directories


def test_a_file_is_read_within_its_limit(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.replace("a/b", b"12345")
    assert storage.read("a/b", 5) == b"12345"
    with pytest.raises(IntegrityError, match="larger than 4 bytes"):
        storage.read("a/b", 4)
    for path in ("a/c", "c/b", "a/b/c"):
        assert storage.read(path, 5) is None
    with pytest.raises(InputError, match="cannot be read"):
        storage.read("a", 5)


def test_names_are_synced_up_to_the_logs_own(tmp_path: Path) -> None:
    disk = Watched()
    root = tmp_path / "log"
    storage = DirectoryStorage(root, disk)
    storage.replace("public/checkpoint", b"1")
    assert {tmp_path, root, root / "public"} <= set(disk.synced)
    disk.synced.clear()
    storage.put([("public/tile/0/x001/002", b"1"), ("public/tile/entries/000.p/7", b"2")], fine)
    tile = root / "public/tile"
    assert set(disk.synced) == {
        *(tile / "0/x001", tile / "0", tile / "entries/000.p", tile / "entries", tile, root / "public")
    }
    disk.synced.clear()
    storage.put([("public/tile/0/x001/003", b"1")], fine)
    storage.replace("public/checkpoint", b"2")
    assert disk.synced == [tile / "0/x001", root / "public"]  # the others are known to be durable


def test_a_directory_that_was_there_is_not_taken_to_be_durable(tmp_path: Path) -> None:
    # Made by a process that was killed before it synced anything, or by a try that failed.
    disk = Watched()
    storage = DirectoryStorage(tmp_path / "log", disk)
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(StrongroomError, match="Input/output error"):
        storage.put([("public/tile/0/000.p/7", b"1")], fine)
    disk.error = None
    for again in (storage, DirectoryStorage(tmp_path / "log", disk)):
        disk.synced.clear()
        again.put([("public/tile/0/000.p/7", b"1")], fine)
        tile = tmp_path / "log/public/tile"
        assert {tile / "0/000.p", tile / "0", tile, tile.parent, tmp_path / "log"} <= set(disk.synced)


def test_a_log_in_a_directory_of_somebody_else_needs_no_right_to_read_it(tmp_path: Path) -> None:
    class Denied(Watched):
        def sync_directories(self, paths: Iterable[Path]) -> None:
            paths = list(paths)
            if tmp_path in paths:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            super().sync_directories(paths)

    (tmp_path / "log").mkdir()
    home = Home(tmp_path / "home", DirectoryStorage(tmp_path / "log", Denied()))
    home.grow(0, 3)
    assert home.open().committed.checkpoint.size == 3


def test_discarded_folders_are_gone_with_what_is_in_them(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.put([(f"public/tile/0/000.p/{width}", b"1") for width in (3, 4, 5)], fine)
    storage.discard(["public/tile/0/000.p", "public/tile/0/never.p"])
    assert list((tmp_path / "public/tile/0").iterdir()) == []


def test_nothing_is_put_by_who_is_not_rightful(tmp_path: Path) -> None:
    def replaced() -> None:
        raise StrongroomError("another")

    with pytest.raises(StrongroomError, match="another"):
        DirectoryStorage(tmp_path).put([("public/a", b"1")], replaced)
    assert list(tmp_path.iterdir()) == []


def test_a_log_is_not_made_over_another(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.grow(0, 1)
    with pytest.raises(UsageError, match="there is a log already"):
        create_ledger(home.storage, home.signer)


def test_a_place_that_is_no_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(InputError, match="there is no log"):
        open_source(str(tmp_path))
    with pytest.raises(StrongroomError, match="cannot be used"):
        storage_at("nosuchprotocol://x")


# The reserve


def test_a_reserve_is_taken_released_once_and_taken_again(tmp_path: Path) -> None:
    told: list[str] = []
    reserve = Reserve(tmp_path, told.append, 1 << 20)
    assert reserve.held
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 1 << 20
    assert reserve.release()
    assert not reserve.held
    assert not reserve.release()
    assert len(told) == 1
    assert "1 MiB is released" in told[0]
    reserve.restore()
    assert reserve.held


def test_a_reserve_that_does_not_fit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def part(descriptor: int, offset: int, size: int) -> None:
        os.pwrite(descriptor, b"x" * 1000, 0)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "posix_fallocate", part)
    reserve = Reserve(tmp_path, lambda text: None, 1 << 20)
    assert not reserve.held
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_twice_the_room_keeps_no_reserve(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, lambda text: None, 1 << 60)
    assert not reserve.held
    assert list(tmp_path.iterdir()) == []


# An object store


@pytest.fixture
def stored(tmp_path: Path) -> Home:
    url = f"memory://{uuid.uuid4().hex}/log"
    return Home(tmp_path, ObjectStorage(url))


def beside(home: Home, name: str, limits: Limits = QUICK) -> Sequencer:
    """As from another machine: the lock is there alone."""
    return open_ledger(ObjectStorage(home.storage.name), home.signer, home.path / name, limits=limits)


def entries_of(home: Home) -> list[bytes]:
    source = open_source(f"{home.storage.name}/public")
    verify_log(source, [home.verifier]).check("log")
    return [data for _, data in LogReader(source, read_checkpoint(source, [home.verifier])).entries()]


def test_a_log_in_an_object_store_grows_closes_and_opens(stored: Home) -> None:
    sequencer = stored.open()
    for number in range(5):
        assert sequencer.append_bytes(entry(number)) == number
    sequencer.append_many([entry(number) for number in range(5, 600)])
    sequencer.close()
    assert entries_of(stored) == [entry(number) for number in range(600)]
    stored.grow(600, 200)
    assert len(entries_of(stored)) == 800
    left = [path for path in stored.storage.list("public") if "/000.p/" in path]
    assert all("tile/1/" in path or "tile/2/" in path for path in left)


def test_what_was_never_published_is_published_by_the_next(stored: Home) -> None:
    first = stored.open(limits=Limits(publish_seconds=1e9))
    first._publish = lambda commits: None  # type: ignore[method-assign]
    for number in range(4):
        first.append_bytes(entry(number))
    second = beside(stored, "other")
    assert second.append_bytes(entry(4)) == 4
    with pytest.raises(StrongroomError, match="another sequencer has taken over"):
        first.append_bytes(entry(5))
    second.close()
    assert entries_of(stored) == [entry(number) for number in range(5)]


def test_the_older_of_two_machines_is_fenced_out_and_what_it_left_counts_for_nothing(stored: Home) -> None:
    first = stored.open()
    first.append_bytes(entry(0))
    first.flush()
    second = beside(stored, "other", Limits(publish_seconds=1e9))
    second._publish = lambda commits: None  # type: ignore[method-assign]
    # The older one's record arrives although its journal was dropped: a request that took its time.
    with pytest.raises(StrongroomError, match="another sequencer has taken over"):
        first.append_bytes(entry(700))
    assert any(path.startswith("journal/000000000001/") for path in stored.storage.list("journal"))
    assert second.append_bytes(entry(1)) == 1
    signed = second.committed.checkpoint
    third = beside(stored, "third")
    third.close()
    assert entries_of(stored) == [entry(0), entry(1)]
    assert third.published.checkpoint == signed


def test_a_damaged_object_of_the_journal_is_told_and_nothing_changes(stored: Home) -> None:
    first = stored.open(limits=Limits(publish_seconds=1e9))
    first._publish = lambda commits: None  # type: ignore[method-assign]
    for number in range(3):
        first.append_bytes(entry(number))
    files = fsspec.filesystem("memory")
    paths = [path for path in stored.storage.list("journal") if not path.endswith("0" * 12)]
    for path in (paths[0], paths[-1]):
        whole = f"{stored.storage.root}/{path}"
        data = files.cat_file(whole)
        for damaged in (data[:-1], data[:-1] + b"?", b"x", b""):
            files.pipe_file(whole, damaged)
            before = stored.storage.list("")
            with pytest.raises(IntegrityError, match="the journal is damaged") as error:
                beside(stored, "other")
            assert path in str(error.value)
            assert stored.storage.list("") == before
        files.pipe_file(whole, data)
    beside(stored, "other").close()
    assert len(entries_of(stored)) == 3


def test_a_store_that_fails_is_told_without_what_it_said(stored: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sequencer = stored.open()
    sequencer.append_bytes(entry(0))
    pipe = stored.storage._files.pipe_file

    def failing(path: str, *arguments: Any, **options: Any) -> None:
        raise PermissionError("signature of AKIA-SECRET denied")

    monkeypatch.setattr(stored.storage._files, "pipe_file", failing)
    with pytest.raises(StrongroomError, match="the object store failed: PermissionError") as error:
        sequencer.append_bytes(entry(1))
    assert "SECRET" not in str(error.value)
    monkeypatch.setattr(stored.storage._files, "pipe_file", pipe)
    with pytest.raises(StrongroomError):
        sequencer.append_bytes(entry(2))
    sequencer.close()
    again = stored.open()
    assert again.append_bytes(entry(3)) == 1
    again.close()


def test_a_renewed_journal_of_an_object_store_drops_the_old_one(stored: Home) -> None:
    sequencer = stored.open(limits=Limits(publish_seconds=0.0, journal_bytes=300))
    for number in range(20):
        sequencer.append_bytes(entry(number))
    sequencer.close()
    tokens = {path.split("/")[1] for path in stored.storage.list("journal")}
    assert len(tokens) == 1
    assert int(tokens.pop()) > 5
    assert len(entries_of(stored)) == 20


def test_objects_that_differ_are_written_over_only_while_rightful(stored: Home) -> None:
    storage = stored.storage
    assert storage.create("public/x", b"1")
    assert not storage.create("public/x", b"2")
    storage.put([("public/x", b"1"), ("public/y", b"3")], fine)
    asked = []
    storage.put([("public/x", b"4")], lambda: asked.append(1))
    assert (storage.read("public/x", 10), len(asked)) == (b"4", 2)
    with pytest.raises(IntegrityError, match="larger"):
        storage.read("public/y", 0)
    assert storage.read("public/z", 10) is None
    storage.remove(["public/none"])
    assert storage.list("nothing") == []
