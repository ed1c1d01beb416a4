"""Sealing and opening: what comes back, in which order things are checked, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.vault import (
    KeyFiles,
    PrivateKey,
    check,
    find_sources,
    open_object,
    prove,
    read_manifest,
    rekey,
    rotate,
    seal,
    unseal,
)
from strongroom.vault._manifest import place_of

from .rooms import FILES, PAYLOAD, SEGMENT, Book, Room, event, room, sealed_object, write_files

BIG = "weights/model-00002.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_what_was_sealed_comes_back(tmp_path: Path, threads: int) -> None:
    own = room()
    path = sealed_object(tmp_path, own, threads=threads)
    with open_object(path, door=own.door) as sealed:
        assert list(sealed.names()) == sorted(FILES)
        for name, data in FILES.items():
            assert sealed.length(name) == len(data)
            with sealed.open(name) as file:
                assert file.read() == data
        assert unseal(sealed, tmp_path / "out", threads=threads) == 0
        assert check(path, sealed.manifest, sealed, threads=threads) == []
        prove(sealed, find_sources([tmp_path / "model"]), threads=threads)
    assert contents(tmp_path / "out") == FILES
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nothing_of_the_plaintext_lies_in_the_object(tmp_path: Path) -> None:
    path = sealed_object(tmp_path, room(), {"a": b"a needle in the hay" * 100})
    assert not [name for name, data in contents(path).items() if b"needle in" in data]


def test_any_part_is_read_without_the_rest(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    data = FILES[BIG]
    with open_object(path, door=own.door) as sealed:
        file = sealed.file(BIG)
        for start in (0, 1, PAYLOAD - 1, PAYLOAD, 3 * PAYLOAD + 5, len(data)):
            for length in (0, 1, PAYLOAD, PAYLOAD + 1, 4 * PAYLOAD):
                buffer = bytearray(min(length, len(data) - start))
                file.read_into(start, memoryview(buffer))
                assert bytes(buffer) == data[start : start + length]
        with pytest.raises(InputError, match="not all in it"):
            file.read_into(len(data), memoryview(bytearray(1)))
        file.close()
        with pytest.raises(InputError, match="closed"):
            file.read_into(0, memoryview(bytearray(1)))
        stream = sealed.open(BIG)
        assert stream.seek(-5, os.SEEK_END) == len(data) - 5
        assert stream.read() == data[-5:]
        assert (stream.read(), stream.tell()) == (b"", len(data))


def test_an_object_stays_open_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    monkeypatch.chdir(tmp_path)
    with open_object(path.name, door=own.door) as sealed:
        monkeypatch.chdir("/")  # as libfuse does
        assert sealed.open(BIG).read() == FILES[BIG]


def test_each_use_is_on_record_before_a_key_is_used(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, name="acme/llama:70b")
    assert own.book.actions == ["Seal"]
    with open_object(path, door=own.door) as sealed:
        assert own.book.actions == ["Seal", "OpenWeights"]
        opened = event(own.book.entries[-1])
    assert own.door.keys.used == [("unwrap", 2)]  # type: ignore[attr-defined]
    assert (opened.asset, opened.principal, opened.outcome) == ("acme/llama:70b", "ann@host", "allowed")
    assert opened.bytes == sum(map(len, FILES.values()))
    assert opened.asset_digest == sealed.manifest.root_digest


def test_without_a_record_there_is_no_key(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)

    class Full(Book):
        def append(self, entry: Any) -> int:
            raise StrongroomError("the ledger's disk is full")

    refusing = room(recorder=Full())
    door = msgspec_replace(own, recorder=Full())
    with pytest.raises(StrongroomError, match="disk is full"):
        open_object(path, door=door)
    assert own.door.keys.used == []  # type: ignore[attr-defined]
    with pytest.raises(StrongroomError, match="disk is full"):
        sealed_object(tmp_path / "other", refusing)
    assert not (tmp_path / "other" / "model.sealed").exists()


def msgspec_replace(own: Room, **changed: Any) -> Any:
    import dataclasses

    return dataclasses.replace(own.door, **changed)


def test_a_policy_that_refuses_keeps_the_object_closed(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)

    class Never:
        def authorize(self, request: Any, *, object: str = "") -> Any:
            raise RefusedError(f"{request.principal} may not {request.action}")

    with pytest.raises(RefusedError, match="ann@host may not OpenWeights"):
        open_object(path, door=msgspec_replace(own, authorizer=Never()))
    assert own.door.keys.used == []  # type: ignore[attr-defined]


# What is refused


def test_a_foreign_signer_does_not_load(tmp_path: Path) -> None:
    own, other = room(), room()
    path = sealed_object(tmp_path, own)
    door = msgspec_replace(own, trusted=[other.signer.public])
    with pytest.raises(RefusedError, match="not trusted"):
        open_object(path, door=door)
    assert own.book.actions == ["Seal"]


def test_whoever_holds_no_key_does_not_open_it_and_is_told_who_does(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    stranger = PrivateKey.generate("x25519", "site")
    with pytest.raises(RefusedError, match="site, recovery"):
        open_object(path, door=msgspec_replace(own, keys=KeyFiles(stranger)))


def test_a_rolled_back_version_is_refused(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, name="acme/model")
    shutil.copytree(path, tmp_path / "old")
    with open_object(path, door=own.door) as sealed:
        rekey(sealed, own.door, remove=["recovery"])
    open_object(path, door=own.door).close()
    shutil.rmtree(path)
    (tmp_path / "old").rename(path)
    with pytest.raises(IntegrityError, match="version 2 was seen here before"):
        open_object(path, door=own.door)


def test_another_object_of_the_same_name_and_version_is_refused(tmp_path: Path) -> None:
    own = room()
    sealed_object(tmp_path / "a", own, name="acme/model")
    own.book.versions.clear()
    own.book.reserved.clear()
    second = sealed_object(tmp_path / "b", own, name="acme/model")
    open_object(second, door=own.door).close()
    with pytest.raises(IntegrityError, match="another manifest"):
        open_object(tmp_path / "a" / "model.sealed", door=own.door)


def test_elsewhere_nobody_can_tell_and_that_is_said(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    told: list[str] = []
    open_object(path, door=msgspec_replace(own, versions=None, recorder=None, notify=told.append)).close()
    assert ["cannot tell" in one for one in told] == [True, False]
    assert "not recorded" in told[1]


def breaks(path: Path) -> Iterator[tuple[str, Callable[[], None], str]]:
    """What is done to a sealed file of ten segments, and what the error must name."""
    file = path / place_of(BIG)
    data = file.read_bytes()
    parts = [data[74 + n * SEGMENT : 74 + (n + 1) * SEGMENT] for n in range(9)]
    head = data[:74]
    flipped = bytearray(data)
    flipped[74 + 4 * SEGMENT + 100] ^= 1
    second = path / place_of("weights/model-00001.safetensors")
    yield "flipped", lambda: void(file.write_bytes(flipped)), f"segment 4, offset {74 + 4 * SEGMENT}"
    yield "dropped", lambda: void(file.write_bytes(head + b"".join(parts[:4] + parts[5:]))), "offset"
    yield "dropped last", lambda: void(file.write_bytes(head + b"".join(parts[:8]))), "offset"
    yield "repeated", lambda: void(file.write_bytes(head + b"".join(parts[:4] + parts[3:8]))), "segment"
    yield "swapped", lambda: void(file.write_bytes(head + b"".join([parts[1], parts[0], *parts[2:]]))), "segment 0"
    yield "appended", lambda: void(file.write_bytes(data + parts[0])), "offset"
    yield "truncated", lambda: void(file.write_bytes(data[:-1])), "offset"
    yield "empty", lambda: void(file.write_bytes(b"")), "offset 0"
    yield "missing", file.unlink, "model-00002"
    yield "header", lambda: void(file.write_bytes(second.read_bytes()[:74] + data[74:])), "header"
    yield "another file", lambda: void(shutil.copy(second, file)), "header"
    yield "a link", lambda: (file.rename(path.parent / "x"), void(file.symlink_to(path.parent / "x")))[1], "model-00002"


def void(value: object) -> None:
    return None


@pytest.mark.parametrize("number", range(12))
def test_a_changed_file_is_refused_by_file_segment_and_offset(tmp_path: Path, number: int) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    what, do, named = list(breaks(path))[number]
    do()
    with open_object(path, door=own.door) as sealed:
        with pytest.raises(IntegrityError) as caught:
            unseal(sealed, tmp_path / "out")
        assert named in caught.value.where, what
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / ".out.unsealing").exists()
        for key in (sealed, None):
            problems = check(path, sealed.manifest, key)
            assert len(problems) == 1
            assert BIG in problems[0].where
        with pytest.raises(IntegrityError), sealed.open(BIG) as file:
            file.read()


def test_a_file_that_was_cut_gives_nothing_at_all(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    file = path / place_of(BIG)
    file.write_bytes(file.read_bytes()[:-SEGMENT])
    with open_object(path, door=own.door) as sealed, pytest.raises(IntegrityError, match="bytes"):
        sealed.file(BIG)


def test_who_holds_the_key_and_forges_a_segment_is_found_by_the_signed_digest(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    with open_object(path, door=own.door) as sealed:
        entry = sealed.entry(BIG)
        file = sealed.file(BIG)
        out = bytearray(SEGMENT)
        file._cipher.encrypt_segment_into(bytes(PAYLOAD), 2, False, memoryview(out))
        with (path / place_of(BIG)).open("r+b") as raw:
            raw.seek(74 + 2 * SEGMENT)
            raw.write(out)
        for attempt in (
            lambda: unseal(sealed, tmp_path / "out"),
            lambda: rotate(sealed, own.door.recipients, own.door),
        ):
            with pytest.raises(IntegrityError, match="digest"):
                attempt()
        assert [error.where for error in check(path, sealed.manifest, sealed)] == [entry.name]
        with pytest.raises(IntegrityError, match="differs"):
            prove(sealed, find_sources([tmp_path / "model"]))


def test_a_manifest_from_elsewhere_or_changed_is_refused(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path / "a", own)
    other = sealed_object(tmp_path / "b", own)
    shutil.copy(other / "model.sig", path / "model.sig")
    with open_object(path, door=own.door) as sealed, pytest.raises(IntegrityError, match="header"):
        sealed.file(BIG)
    bundle = json.loads((other / "model.sig").read_text())
    payload = bundle["dsseEnvelope"]["payload"]
    for changed in (payload[:-8] + "AAAA" + payload[-4:], payload[4:], "", "!"):
        bundle["dsseEnvelope"]["payload"] = changed
        (path / "model.sig").write_text(json.dumps(bundle))
        with pytest.raises(IntegrityError):
            open_object(path, door=own.door)
    for junk in (b"", b"{}", b"\xff", b"[" * 100_000, b"null"):
        (path / "model.sig").write_bytes(junk)
        with pytest.raises(IntegrityError, match="bundle"):
            read_manifest(path, own.door.trusted)
    with pytest.raises(InputError, match="no sealed object"):
        open_object(tmp_path / "nowhere", door=own.door)


# Sealing again, and who may


def test_nothing_is_overwritten_but_an_object_with_force(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    sources = find_sources([tmp_path / "model"])
    with pytest.raises(UsageError, match="there already"):
        seal(sources, path, own.door.recipients, own.door)
    (tmp_path / "precious").mkdir()
    with pytest.raises(UsageError, match="no sealed object"):
        seal(sources, tmp_path / "precious", own.door.recipients, own.door, replace=True)
    write_files(tmp_path / "model", {"config.json": b"new"})
    seal(find_sources([tmp_path / "model"]), path, own.door.recipients, own.door, replace=True)
    with open_object(path, door=own.door) as sealed:
        assert sealed.open("config.json").read() == b"new"
        with pytest.raises(UsageError, match="there already"):
            unseal(sealed, tmp_path / "precious")
        unseal(sealed, tmp_path / "precious", replace=True)
    assert contents(tmp_path / "precious")["config.json"] == b"new"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_recipients_change_without_touching_the_data(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    before = {name: data for name, data in contents(path).items() if name != "model.sig"}
    new = PrivateKey.generate("x25519", "ally")
    with open_object(path, door=own.door) as sealed:
        signed = rekey(sealed, own.door, add=[new.public], remove=["recovery"])
        with pytest.raises(UsageError, match="changed meanwhile"):
            rekey(sealed, own.door, add=[new.public])
    assert {name: data for name, data in contents(path).items() if name != "model.sig"} == before
    assert signed.manifest.version == 2
    assert signed.manifest.root_digest == sealed.manifest.root_digest
    for key, opens in ((new, True), (own.site, True), (own.recovery, False)):
        door = msgspec_replace(own, keys=KeyFiles(key))
        if opens:
            with open_object(path, door=door) as again:
                assert again.open(BIG).read() == FILES[BIG]
        else:
            with pytest.raises(RefusedError):
                open_object(path, door=door)
    with open_object(path, door=own.door) as sealed:
        with pytest.raises(UsageError, match="no recipient"):
            rekey(sealed, own.door, remove=["nobody"])
        with pytest.raises(UsageError, match="nobody"):
            rekey(sealed, own.door, remove=["site", "ally"])
        with pytest.raises(UsageError, match="already"):
            rekey(sealed, own.door, add=[new.public])


def test_rotated_data_has_new_keys_and_the_old_ones_open_nothing(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, name="acme/model")
    with open_object(path, door=own.door) as old:
        signed = rotate(old, [own.site.public], own.door, threads=2)
        assert signed.manifest.version == 2
        assert {one.header for one in old.manifest.files}.isdisjoint(one.header for one in signed.manifest.files)
        with pytest.raises(IntegrityError):
            old.file(BIG)
    with open_object(path, door=own.door) as sealed:
        assert {name: sealed.open(name).read() for name in sealed.names()} == FILES
        assert check(path, sealed.manifest, sealed) == []
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_no_two_files_or_sealings_share_a_key_or_an_iv(tmp_path: Path) -> None:
    own = room()
    files = {f"f{n}": b"the same" * 100 for n in range(50)}
    signed = []
    for number in range(2):
        path = sealed_object(tmp_path / str(number), own, files)
        signed += read_manifest(path, own.door.trusted).manifest.files
    assert len({file.header for file in signed}) == len({file.wrapped for file in signed}) == 100


# What is sealed


def test_links_are_refused_unless_they_are_followed(tmp_path: Path) -> None:
    own = room()
    blobs = write_files(tmp_path / "blobs", {"1234": b"weights"})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.safetensors").symlink_to(blobs / "1234")
    with pytest.raises(InputError, match="symbolic link"):
        find_sources([tmp_path / "model"])
    sources = find_sources([tmp_path / "model"], follow_links=True)
    seal(sources, tmp_path / "m.sealed", own.door.recipients, own.door)
    with open_object(tmp_path / "m.sealed", door=own.door) as sealed:
        assert sealed.open("a.safetensors").read() == b"weights"
    (tmp_path / "model" / "round").symlink_to(tmp_path / "model")
    with pytest.raises(InputError, match="circle"):
        find_sources([tmp_path / "model"], follow_links=True)


def test_names_that_cannot_be_are_told(tmp_path: Path) -> None:
    for name in ("line\nbreak", "x" * 252):
        folder = write_files(tmp_path / "a", {name: b""})
        with pytest.raises(InputError):
            find_sources([folder])
        shutil.rmtree(folder)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / os.fsdecode(b"\xff")).write_bytes(b"")
    with pytest.raises(InputError, match="UTF-8"):
        find_sources([tmp_path / "a"])
    with pytest.raises(InputError, match="no file"):
        find_sources([(tmp_path / "empty")] if (tmp_path / "empty").mkdir() is None else [])
    with pytest.raises(InputError, match="cannot be read"):
        find_sources([tmp_path / "missing"])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither"):
        find_sources([tmp_path / "pipe"])


def test_several_paths_keep_their_names(tmp_path: Path) -> None:
    write_files(tmp_path / "model", {"w": b"1"})
    write_files(tmp_path, {"card.md": b"2"})
    assert [one.name for one in find_sources([tmp_path / "model", tmp_path / "card.md"])] == ["card.md", "model/w"]
    with pytest.raises(InputError, match="one name"):
        find_sources([tmp_path / "card.md", tmp_path / "model" / ".." / "card.md"])


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    own = room()
    folder = write_files(tmp_path / "model", {"a": bytes(100 * PAYLOAD)})
    for change in (
        lambda: (folder / "a").write_bytes(bytes(100 * PAYLOAD)),
        lambda: os.truncate(folder / "a", 50 * PAYLOAD),
        (folder / "a").unlink,
    ):
        write_files(folder, {"a": bytes(100 * PAYLOAD)})
        sources = find_sources([folder])
        done = []

        def meddle(count: int, change: Callable[[], object] = change, done: list[int] = done) -> None:
            if not done:
                change()
            done.append(count)

        with pytest.raises(StrongroomError, match=r"changed|cannot be read"):
            seal(
                sources,
                tmp_path / "m",
                own.door.recipients,
                own.door,
                segment_length=SEGMENT,
                threads=1,
                progress=meddle,
            )
        assert not (tmp_path / "m").exists()
