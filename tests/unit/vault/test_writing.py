"""Writing sealed files as they are made, and reading them as files, tensors and through fsspec."""

from __future__ import annotations

import dataclasses
import gc
import io
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError
from strongroom.vault import (
    KeyFiles,
    PrivateKey,
    SealedFileSystem,
    SealedObject,
    _file,
    check,
    create,
    open_file,
    open_object,
    read_manifest,
    rekey,
    safe_open,
)
from strongroom.vault._manifest import place_of
from strongroom.vault._secret import Secret

from .rooms import FILES, PAYLOAD, Room, room, sealed_object

BIG = "weights/model-00002.safetensors"


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".part")]


def test_what_is_written_piece_by_piece_opens(tmp_path: Path) -> None:
    own = room()
    data = os.urandom(5 * PAYLOAD + 3)
    with create(tmp_path / "c.sealed", door=own.door, segment_length=4096, name="acme/run:step-1") as made:
        with made.open("a/weights") as file:
            for at in range(0, len(data), 1000):
                assert file.write(data[at : at + 1000]) == len(data[at : at + 1000])
            assert file.tell() == len(data)
        with made.open("whole") as file:
            file.write(data)
        made.open("empty").close()
        assert not (tmp_path / "c.sealed").exists()
    assert made.signed is not None
    with open_object(tmp_path / "c.sealed", door=own.door) as sealed:
        assert {name: sealed.open(name).read() for name in sealed.names()} == {
            "a/weights": data,
            "empty": b"",
            "whole": data,
        }
        assert check(sealed.root, sealed.manifest, sealed) == []
    assert own.book.actions == ["Seal", "OpenWeights"]
    assert left_over(tmp_path) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    own = room()
    with pytest.raises(ZeroDivisionError), create(tmp_path / "c.sealed", door=own.door) as made:
        made.open("a").close()
        with made.open("b") as file:
            file.write(b"x" * 3_000_000)
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="not closed"), create(tmp_path / "c.sealed", door=own.door) as made:
        kept = made.open("a")
    kept.abort()
    with pytest.raises(InputError, match="no file"), create(tmp_path / "c.sealed", door=own.door):
        pass
    with pytest.raises(InputError, match="name"), create(tmp_path / "c.sealed", door=own.door) as made:
        made.open("../a")
    with pytest.raises(UsageError, match="nobody"):
        create(tmp_path / "c.sealed", door=dataclasses.replace(own.door, recipients=()))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = room()

    def full(descriptor: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with pytest.raises(StrongroomError, match="No space left"), create(tmp_path / "c.sealed", door=own.door) as made:
        file = made.open("a")
        monkeypatch.setattr(os, "write", full)
        file.write(b"x" * 3_000_000)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_one_file_makes_an_object_and_more_are_added(tmp_path: Path) -> None:
    own = room()
    path = tmp_path / "run" / "c.sealed"
    path.parent.mkdir()
    with open_file(path / "a.bin", "wb", door=own.door) as file:
        file.write(b"one")
    with open_file(path / "sub/b.bin", "wb", door=own.door) as file:
        file.write(b"two")
    with pytest.raises(ZeroDivisionError), open_file(path / "c.bin", "wb", door=own.door) as file:
        file.write(b"three")
        raise ZeroDivisionError
    with pytest.raises(InputError, match="one name"):
        open_file(path / "a.bin", "wb", door=own.door)
    with open_object(path, door=own.door) as sealed:
        assert {name: sealed.open(name).read() for name in sealed.names()} == {"a.bin": b"one", "sub/b.bin": b"two"}
        assert sealed.manifest.version == 2
        assert check(path, sealed.manifest, sealed) == []
    assert left_over(tmp_path) == []


def test_writers_of_one_object_do_not_lose_each_others_files(tmp_path: Path) -> None:
    own = room()
    path = tmp_path / "c.sealed"
    open_file(path / "first", "wb", door=own.door).close()
    one, two = open_file(path / "one", "wb", door=own.door), open_file(path / "two", "wb", door=own.door)
    one.write(b"1")
    assert check(path, read_manifest(path, own.door.trusted).manifest, None) == []  # while they write
    two.close()
    one.close()
    with pytest.raises(InputError, match="one name"), open_file(path / "x", "wb", door=own.door) as late:
        open_file(path / "x", "wb", door=own.door).close()
        late.write(b"late")
    with open_object(path, door=own.door) as sealed:
        assert {name: sealed.open(name).read() for name in sealed.names()} == {
            "first": b"",
            "one": b"1",
            "two": b"",
            "x": b"",
        }
        assert check(path, sealed.manifest, sealed) == []
    assert left_over(tmp_path) == []


def test_whoever_was_removed_reads_nothing_that_is_added_later(tmp_path: Path) -> None:
    own, bob = room(), PrivateKey.generate("x25519", "bob")
    path = sealed_object(tmp_path, own)
    with open_object(path, door=own.door) as sealed:
        rekey(sealed, own.door, add=[bob.public])
    bobs = open_object(path, door=dataclasses.replace(own.door, keys=KeyFiles(bob)))
    kept = [Secret(bytes(key.view)) for key in bobs.object_keys]
    with open_object(path, door=own.door) as sealed:
        rekey(sealed, own.door, remove=["bob"])
    with open_file(path / "later", "wb", door=own.door) as file:
        file.write(b"later")
    after = read_manifest(path, own.door.trusted)
    assert SealedObject(path, after, kept).open("config.json").read() == FILES["config.json"]  # what he had he keeps
    with pytest.raises(IndexError):
        SealedObject(path, after, kept).open("later")
    wrapped = next(file.wrapped for file in after.manifest.files if file.name == "later")
    with pytest.raises(InvalidUnwrap):
        aes_key_unwrap(bytes(kept[0].view), wrapped)


def test_adding_needs_every_recipients_public_key_and_no_right_to_open(tmp_path: Path) -> None:
    own, ally = room(), PrivateKey.generate("x25519", "ally")
    path = sealed_object(tmp_path, own)
    with open_file(path / "a", "wb", door=dataclasses.replace(own.door, keys=KeyFiles(own.signer))) as file:
        file.write(b"a")
    with open_object(path, door=own.door) as sealed:
        assert sealed.open("a").read() == b"a"
        rekey(sealed, own.door, add=[ally.public])
    with pytest.raises(UsageError, match="public key of ally"):
        open_file(path / "b", "wb", door=own.door)


def test_an_exception_on_its_way_leaves_nothing_even_where_a_wrapper_closes(tmp_path: Path) -> None:
    own = room()
    found = files_of(own)
    for mode in ("wb", "w"):
        with pytest.raises(ZeroDivisionError), fsspec.core.OpenFile(found, f"{tmp_path}/a.sealed/x", mode) as file:
            file.write(b"A" * 3_000_000 if mode == "wb" else "A" * 3_000_000)
            raise ZeroDivisionError
    dropped = found.open(f"{tmp_path}/b.sealed/log", "w")
    dropped.write("half")
    del dropped
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:  # a checkpoint of what is left, as training scripts save one
        with found.open(f"{tmp_path}/c.sealed/last", "wb") as file:
            file.write(b"saved")
    assert found.cat(f"{tmp_path}/c.sealed/last") == b"saved"


def test_a_transaction_counts_at_its_end_or_not_at_all(tmp_path: Path) -> None:
    own = room()
    found = files_of(own)
    with found.transaction:
        with found.open(f"{tmp_path}/a.sealed/x", "wb") as file:
            file.write(b"1")
        assert not found.exists(f"{tmp_path}/a.sealed/x")
    assert found.cat(f"{tmp_path}/a.sealed/x") == b"1"
    with pytest.raises(ZeroDivisionError), found.transaction:
        with found.open(f"{tmp_path}/b.sealed/x", "wb") as file:
            file.write(b"1")
        raise ZeroDivisionError
    assert not found.exists(f"{tmp_path}/b.sealed/x")
    assert left_over(tmp_path) == []


def test_a_build_stays_in_its_place_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = room()
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    with create("step.sealed", door=own.door) as made:
        made.open("a").close()
        monkeypatch.chdir(tmp_path / "run")
        made.open("b").close()
    with open_object(tmp_path / "step.sealed", door=own.door) as sealed:
        assert check(sealed.root, sealed.manifest, sealed) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_file_objects_are_what_readers_expect(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    with open_file(path / BIG, door=own.door) as file:
        assert isinstance(file, io.BufferedIOBase)
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.read(3) == FILES[BIG][:3]
        file.seek(PAYLOAD - 2)
        assert file.read(5) == FILES[BIG][PAYLOAD - 2 : PAYLOAD + 3]
    with pytest.raises(InputError, match="5 files"):
        open_file(path, door=own.door)
    with pytest.raises(InputError, match="no such file"):
        open_file(path / "nothing", door=own.door)
    with pytest.raises(UsageError, match="mode"):
        open_file(path / BIG, "ab", door=own.door)  # type: ignore[call-overload]


def test_a_file_object_reads_lines_and_text_as_any_other(tmp_path: Path) -> None:
    own = room()
    lines = b"".join(b"line %d %s\n" % (n, b"x" * (n % 700)) for n in range(3000)) + b"the end"
    path = sealed_object(tmp_path, own, {"log": lines})
    plain = io.BytesIO(lines)
    with open_file(path / "log", door=own.door) as file:
        assert list(file) == list(plain)
        file.seek(100)
        plain.seek(100)
        assert [file.readline() for _ in range(9)] == [plain.readline() for _ in range(9)]
        assert (file.tell(), file.read1(7), file.peek(3)[:3]) == (
            plain.tell(),
            plain.read(7),
            lines[plain.tell() :][:3],
        )
        file.seek(0)
        assert list(io.TextIOWrapper(file)) == list(io.TextIOWrapper(io.BytesIO(lines)))


def test_threads_that_seek_before_they_read_share_a_file_object(tmp_path: Path) -> None:
    """As DuckDB does; with one position for all, one thread would be given another's bytes."""
    own = room()
    path = sealed_object(tmp_path, own)
    data, wrong = FILES[BIG], []
    with open_file(path / BIG, door=own.door) as file:

        def work(seed: int) -> None:
            rng = np.random.default_rng(seed)
            for _ in range(300):
                start, count = int(rng.integers(0, len(data))), int(rng.integers(1, 5000))
                file.seek(start)
                time.sleep(0)
                if file.read(count) != data[start : start + count]:
                    wrong.append(start)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_threads_that_take_turns_read_on_where_the_last_one_ended(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    with open_file(path / BIG, door=own.door) as file, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        one.submit(file.seek, 1000).result()
        got = [pool.submit(file.read, 100).result() for pool in (two, one, one, two, one)]
    assert b"".join(got) == FILES[BIG][1000:1500]


def test_a_threads_place_ends_with_the_thread(tmp_path: Path) -> None:
    """Ids of threads are used again."""
    own = room()
    path = sealed_object(tmp_path, own)
    got: list[bytes] = []
    with open_file(path / BIG, door=own.door) as file:
        for work in (lambda: file.seek(PAYLOAD), lambda: got.append(file.read(10))):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            if not got:
                file.seek(5)
                assert file.read(5) == FILES[BIG][5:10]
    assert got == [FILES[BIG][10:20]]


def test_threads_share_a_file(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    data, wrong = FILES[BIG], []
    with open_object(path, door=own.door) as sealed:
        file = sealed.file(BIG)

        def work(seed: int) -> None:
            rng = np.random.default_rng(seed)
            for _ in range(200):
                start, stop = sorted(rng.integers(0, len(data), 2))
                buffer = bytearray(stop - start)
                file.read_into(int(start), memoryview(buffer))
                if bytes(buffer) != data[start:stop]:
                    wrong.append((start, stop))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_large_reads_are_decrypted_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file, "PARALLEL_BYTES", 10_000)
    monkeypatch.setattr(_file, "THREADS", 3)
    own = room()
    data = os.urandom(23 * PAYLOAD + 11)
    path = sealed_object(tmp_path, own, {"a": data})
    with open_object(path, door=own.door) as sealed:
        file = sealed.file("a")
        for start in (0, 5, PAYLOAD):
            buffer = bytearray(len(data) - start)
            file.read_into(start, memoryview(buffer))
            assert bytes(buffer) == data[start:]


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return {"w": rng.standard_normal((3000, 64)).astype(np.float32), "b": np.arange(7, dtype=np.int64)}


def test_safe_open_reads_tensors_and_slices_and_only_their_segments(tmp_path: Path) -> None:
    own = room()
    made = tensors()
    path = sealed_object(tmp_path, own, {"model.safetensors": safetensors.numpy.save(made, {"format": "np"})})
    with safe_open(path, "np", door=own.door) as opened:
        assert sorted(opened.keys()) == ["b", "w"]
        assert opened.metadata() == {"format": "np"}
        np.testing.assert_array_equal(opened.get_tensor("w"), made["w"])
        np.testing.assert_array_equal(opened.get_slice("w")[17:19, 3:], made["w"][17:19, 3:])
    # A segment that no row of the slice lies in may be broken: it is not read.
    file = path / place_of("model.safetensors")
    broken = bytearray(file.read_bytes())
    broken[74 + 150 * 4096 + 50] ^= 1
    file.write_bytes(broken)
    with safe_open(path / "model.safetensors", door=own.door) as opened:
        np.testing.assert_array_equal(opened.get_slice("w")[3], made["w"][3])
        with pytest.raises(IntegrityError, match="segment 150"):
            opened.get_tensor("w")


def files_of(own: Room) -> SealedFileSystem:
    return SealedFileSystem(door=own.door, skip_instance_cache=True)


def test_fsspec_lists_and_reads_and_opens_an_object_once(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    found = files_of(own)
    assert found.ls(f"sealed://{path}", detail=False) == [
        f"{path}/{name}" for name in ("config.json", "empty", "exact", "weights")
    ]
    assert found.find(f"sealed://{path}") == sorted(f"{path}/{name}" for name in FILES)
    assert found.glob(f"sealed://{path}/weights/*.safetensors") == [
        f"{path}/{name}" for name in sorted(FILES) if "weights" in name
    ]
    assert found.info(f"{path}/{BIG}") == {"name": f"{path}/{BIG}", "size": len(FILES[BIG]), "type": "file"}
    assert found.isdir(f"{path}/weights")
    assert not found.exists(f"{path}/none")
    assert not found.exists(str(tmp_path / "model" / "config.json"))
    assert str(path) in found.ls(str(tmp_path), detail=False)
    assert found.exists(f"sealed:/{path}/{BIG}")  # as `datasets` joins an address
    assert own.book.actions == ["Seal"]
    assert found.cat(f"sealed://{path}/{BIG}") == FILES[BIG]
    assert found.cat_file(f"{path}/config.json", start=2, end=8) == FILES["config.json"][2:8]
    assert own.book.actions == ["Seal", "OpenWeights"]
    assert abs(found.modified(f"{path}/{BIG}").timestamp() - time.time()) < 60
    assert found.ukey(f"{path}/{BIG}") != found.ukey(f"{path}/config.json")
    for call in (found.open, found.modified, found.ukey):
        with pytest.raises(FileNotFoundError):
            call(f"{path}/none")
    with pytest.raises(FileNotFoundError):
        found.open(f"{path}/none")
    with pytest.raises(UsageError, match="mode"):
        found.open(f"{path}/config.json", "ab")


def test_fsspec_writes(tmp_path: Path) -> None:
    own = room()
    found = files_of(own)
    with found.open(f"sealed://{tmp_path}/c.sealed/a.safetensors", "wb") as file:
        file.write(safetensors.numpy.save(tensors()))
    found.pipe(f"sealed://{tmp_path}/c.sealed/b.txt", b"text")
    assert found.cat(f"{tmp_path}/c.sealed/b.txt") == b"text"
    assert found.size(f"{tmp_path}/c.sealed/a.safetensors") == len(safetensors.numpy.save(tensors()))
    with pytest.raises(UsageError, match="no file"):
        found.open(f"{tmp_path}/d.sealed", "wb")


def test_what_is_open_is_not_pickled(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    with open_object(path, door=own.door) as sealed:
        for one in (sealed, sealed.file(BIG), sealed.object_keys[0], own.site):
            with pytest.raises(TypeError):
                pickle.dumps(one)
