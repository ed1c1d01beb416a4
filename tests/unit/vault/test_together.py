"""Commands that meet: locks, versions, signers of one name, and what a kill leaves for the next one."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.site import Site
from strongroom.vault import (
    KeyFiles,
    PrivateKey,
    _work,
    check,
    create,
    find_sources,
    open_object,
    read_manifest,
    rekey,
    rotate,
    seal,
)
from strongroom.vault._work import Work, locked

from .rooms import SEGMENT, Room, room, sealed_object, write_files


def changed(own: Room, **fields: Any) -> Any:
    return dataclasses.replace(own.door, **fields)


def content(path: Path, own: Room, name: str = "a") -> bytes:
    with open_object(path, door=own.door) as sealed:
        return sealed.open(name).read()


# Locks


def test_nobody_replaces_an_object_while_its_data_is_encrypted_anew(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, {"a": b"OLD" * 5000})
    write_files(tmp_path / "new", {"a": b"NEW"})
    refused = []

    def meddle(count: int) -> None:
        if not refused:
            with pytest.raises(UsageError, match="at work") as caught:
                seal(find_sources([tmp_path / "new"]), path, own.door.recipients, own.door, replace=True)
            refused.append(caught.value)

    with open_object(path, door=own.door) as sealed:
        rotate(sealed, own.door.recipients, own.door, progress=meddle)
    assert content(path, own) == b"OLD" * 5000
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_recipients_of_an_object_that_was_replaced_do_not_change(tmp_path: Path) -> None:
    own, ally = room(), PrivateKey.generate("x25519", "ally")
    path = sealed_object(tmp_path, own, {"a": b"OLD"})
    write_files(tmp_path / "new", {"a": b"NEW"})
    with open_object(path, door=own.door) as sealed:
        seal(find_sources([tmp_path / "new"]), path, own.door.recipients, own.door, replace=True)
        with pytest.raises(UsageError, match="changed meanwhile"):
            rekey(sealed, own.door, add=[ally.public])
    assert content(path, own) == b"NEW"


def test_a_lock_waits_and_is_gone_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path / "x"):
        with pytest.raises(UsageError, match="at work"), locked(tmp_path / "x"):
            pass
        order: list[str] = []

        def wait() -> None:
            with locked(tmp_path / "x", seconds=20):
                order.append("second")

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_where_objects_cannot_be_exchanged_at_once_a_kill_between_the_steps_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = room()
    path = sealed_object(tmp_path, own, {"a": b"OLD"})
    monkeypatch.setattr(_work, "_rename", lambda *_: (_ for _ in ()).throw(OSError(22, "Invalid argument")))
    renamed: list[Path] = []
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if renamed:
            os._exit(9)
        renamed.append(self)
        return rename(self, target)

    def child() -> None:
        Path.rename = killed  # type: ignore[method-assign]
        write_files(tmp_path / "new", {"a": b"NEW"})
        seal(find_sources([tmp_path / "new"]), path, own.door.recipients, own.door, replace=True)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not path.exists()
    write_files(tmp_path / "newer", {"a": b"NEWER"})
    with pytest.raises(UsageError, match="there already"):  # the old one was put back
        seal(find_sources([tmp_path / "newer"]), path, own.door.recipients, own.door)
    assert content(path, own) in (b"OLD", b"NEW")
    seal(find_sources([tmp_path / "newer"]), path, own.door.recipients, own.door, replace=True)
    assert content(path, own) == b"NEWER"
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_a_forked_child_neither_places_nor_removes_what_its_parent_builds(tmp_path: Path) -> None:
    own = room()
    with create(tmp_path / "c.sealed", door=own.door) as made:
        made.open("a").close()

        def child() -> None:
            made.__exit__(SystemExit, None, None)

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        made.open("b").close()
    with open_object(tmp_path / "c.sealed", door=own.door) as sealed:
        assert check(sealed.root, sealed.manifest, sealed) == []


# What is durable before the exchange


@pytest.mark.parametrize("do", ["seal", "rotate", "create"])
def test_small_files_are_durable_before_they_are_put_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, do: str
) -> None:
    own = room()
    path = sealed_object(tmp_path, own, {"a": b"a", "b": b"b"})
    steps: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *words: (steps.append(name), real(*words))[1]

    monkeypatch.setattr(_work, "_sync_file_system", noted("sync", _work._sync_file_system))
    monkeypatch.setattr(_work, "_exchange", noted("exchange", _work._exchange))
    monkeypatch.setattr(os, "fdatasync", noted("sync", os.fdatasync))
    monkeypatch.setattr(os, "fsync", noted("sync", os.fsync))
    if do == "seal":
        seal(find_sources([tmp_path / "model"]), path, own.door.recipients, own.door, replace=True)
    elif do == "rotate":
        with open_object(path, door=own.door) as sealed:
            monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)  # of the journal
            rotate(sealed, own.door.recipients, own.door)
    else:
        with create(path, door=own.door, replace=True) as made:
            made.open("a").close()
    assert "sync" in steps[: steps.index("exchange")]


# Versions and signers


def test_a_signer_who_is_trusted_does_not_take_over_a_name(tmp_path: Path) -> None:
    own, ally = room(), PrivateKey.generate("p256", "ally")
    trusting = changed(own, trusted=[own.signer.public, ally.public])
    mine = sealed_object(tmp_path / "a", own, name="acme/model")
    theirs = sealed_object(
        tmp_path / "b",
        dataclasses.replace(
            own,
            door=changed(own, signer=ally.public, keys=KeyFiles(ally), versions=None, recorder=None),
        ),
        {"a": b"poisoned"},
        name="acme/model",
    )
    assert read_manifest(theirs, [ally.public]).manifest.version > 1_000_000_000  # seconds: nobody counted
    with pytest.raises(RefusedError, match="another key here before"):
        open_object(theirs, door=trusting)
    open_object(mine, door=trusting).close()
    assert sealed_object(tmp_path / "c", own, name="acme/model").exists()


def test_a_site_that_replaced_its_signing_key_goes_on(tmp_path: Path) -> None:
    own, new = room(), PrivateKey.generate("p256", "signer-2027")
    sealed_object(tmp_path / "a", own, name="acme/model")
    door = changed(own, signer=new.public, keys=KeyFiles(own.site, new), trusted=[own.signer.public, new.public])
    path = sealed_object(tmp_path / "b", dataclasses.replace(own, door=door), name="acme/model")
    open_object(path, door=door).close()
    assert own.book.versions["acme/model"][0] == 2


def test_what_was_only_looked_at_is_not_on_record(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, name="acme/model")
    own.book.versions.clear()
    signed = read_manifest(path, own.door.trusted)
    own.door.check_version(signed, "")
    with pytest.raises(RefusedError):
        open_object(path, door=changed(own, keys=KeyFiles()))
    assert own.book.versions == {}
    open_object(path, door=own.door).close()
    assert own.book.versions["acme/model"][0] == 1


def test_of_two_sealings_of_one_name_the_later_one_opens_and_the_other_is_told(tmp_path: Path) -> None:
    own, told = room(), list[str]()
    door = changed(own, notify=told.append)
    inner = []

    def meddle(count: int) -> None:
        if not inner:
            inner.append(sealed_object(tmp_path / "b", own, {"a": b"b"}, name="acme/run"))

    write_files(tmp_path / "model", {"a": b"a"})
    seal(find_sources([tmp_path / "model"]), tmp_path / "a", door.recipients, door, name="acme/run", progress=meddle)
    first, second = (read_manifest(one, door.trusted).manifest.version for one in (inner[0], tmp_path / "a"))
    assert (first, second) == (1, 2)
    assert content(tmp_path / "a", own) == b"a"
    with pytest.raises(IntegrityError, match="version 2"):
        open_object(inner[0], door=own.door)


def test_a_failed_sealing_takes_nothing_from_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = room()
    path = sealed_object(tmp_path, own, name="acme/model")
    with monkeypatch.context() as patched, pytest.raises(StrongroomError, match="cannot be written"):
        patched.setattr(_work, "_exchange", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        seal(find_sources([tmp_path / "model"]), path, own.door.recipients, own.door, name="acme/model", replace=True)
    open_object(path, door=own.door).close()


def test_without_a_site_a_release_comes_after_the_one_before(tmp_path: Path) -> None:
    own, clock = room(), [1_790_000_000_000_000]
    door = changed(own, versions=None, recorder=None, clock=lambda: clock[0])
    alone = dataclasses.replace(own, door=door)
    versions = []
    for number in range(2):
        path = sealed_object(tmp_path / str(number), alone, name="acme/model")
        open_object(path, door=own.door).close()
        versions.append(read_manifest(path, door.trusted).manifest.version)
        clock[0] += 60_000_000
    assert versions == [1_790_000_000, 1_790_000_060]
    seal(
        find_sources([tmp_path / "0" / "model"]),
        path,
        door.recipients,
        changed(own, versions=None, recorder=None, clock=lambda: 1),
        name="acme/model",
        replace=True,
    )
    assert read_manifest(path, door.trusted).manifest.version == 1_790_000_061


def test_the_state_that_fails_after_the_exchange_is_told_and_undoes_nothing(tmp_path: Path) -> None:
    own, told = room(), list[str]()

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(own.book, name)

        def record_version(self, *_: object) -> None:
            raise StrongroomError("the state database is full")

    write_files(tmp_path / "model", {"a": b"a"})
    door = changed(own, versions=Full(), notify=told.append)
    seal(find_sources([tmp_path / "model"]), tmp_path / "m", door.recipients, door)
    assert "state database is full" in told[-1]
    assert content(tmp_path / "m", own) == b"a"


def test_another_asset_than_was_asked_for_does_not_load(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, name="acme/test")
    with pytest.raises(IntegrityError, match="this is acme/test, not acme/prod"):
        open_object(path, name="acme/prod", door=own.door)
    open_object(path, name="acme/test", door=own.door).close()


def test_what_a_kill_left_after_the_end_does_not_lend_its_id_to_the_next_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = room()
    with monkeypatch.context() as patched:
        patched.setattr(Work, "discard", lambda self: None)  # killed before it
        path = sealed_object(tmp_path, own, {"a": b"one"})
    first = read_manifest(path, own.door.trusted).manifest.object
    shutil.move(path, tmp_path / "kept.sealed")
    write_files(tmp_path / "model", {"a": b"two"})
    seal(find_sources([tmp_path / "model"]), path, own.door.recipients, own.door, segment_length=SEGMENT)
    assert read_manifest(path, own.door.trusted).manifest.object != first
    assert (content(path, own), content(tmp_path / "kept.sealed", own)) == (b"two", b"one")


def test_many_that_open_at_once_are_all_on_record(tmp_path: Path) -> None:
    """Each takes the ledger's lock for itself, where no server does."""
    site = Site.create(tmp_path / "site", origin="example.com/vault")
    write_files(tmp_path / "model", {"a": b"a"})
    door = site.door()
    seal(find_sources([tmp_path / "model"]), tmp_path / "m", door.recipients, door)

    processes = [multiprocessing.get_context("spawn").Process(target=_open_at, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(list(Site.open(tmp_path / "site").ledger.reader().entries())) == 5


def _open_at(folder: Path) -> None:
    open_object(folder / "m", door=Site.open(folder / "site").door()).close()
