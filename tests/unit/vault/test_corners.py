"""Corners that a reviewer came through once: links, pipes, hard links, names that collide, keys in odd moments."""

from __future__ import annotations

import base64
import dataclasses
import gc
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError
from strongroom.vault import (
    KeyFiles,
    Keys,
    PrivateKey,
    PublicKey,
    _each,
    _pipeline,
    check_place,
    create,
    find_sources,
    is_sealed_object,
    local_principal,
    open_file,
    open_object,
    prove,
    read_manifest,
    remove_sources,
    safe_open,
    seal,
    split_path,
    unseal,
)
from strongroom.vault._manifest import WrappedKey, encode_statement, place_of
from strongroom.vault._secret import Secret
from strongroom.vault._signing import sign
from strongroom.vault.floe import HEADER_BYTES, Cipher, encrypt

from .rooms import FILES, PAYLOAD, SEGMENT, room, sealed_object, write_files

BIG = "weights/model-00002.safetensors"


def test_the_principal_is_the_user_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before = local_principal()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "alice")
    assert local_principal() == before


# What is taken for an object, and what is replaced


def test_a_signed_model_that_is_not_sealed_is_neither_opened_nor_replaced(tmp_path: Path) -> None:
    own = room()
    model = write_files(tmp_path / "model", {"model.sig": b"{}", "weights.bin": b"the only copy"})
    other = write_files(tmp_path / "other", {"a": b"a"})
    assert not is_sealed_object(model)
    with pytest.raises(UsageError, match="no sealed object"):
        seal(find_sources([other]), model, own.door.recipients, own.door, replace=True)
    assert (model / "weights.bin").read_bytes() == b"the only copy"


def test_only_an_earlier_unsealing_is_replaced(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path / "data", own, {"a": b"a"})
    thesis = write_files(tmp_path / "out", {"a": b"old", "thesis.txt": b"text"})
    with open_object(path, door=own.door) as sealed:
        for out in (thesis, path, path / "x", path.parent, tmp_path):
            with pytest.raises(UsageError):
                unseal(sealed, out, replace=True)
        (thesis / "thesis.txt").unlink()
        unseal(sealed, thesis, replace=True)
        with pytest.raises(UsageError):
            check_place(path, sealed.names(), path / "deeper" / "x", replace=False)
    assert [one.name for one in thesis.iterdir()] == ["a"]


def test_what_is_sealed_does_not_hold_its_object(tmp_path: Path) -> None:
    write_files(tmp_path / "model", {"a": b"a"})
    for out in (tmp_path / "model" / "m.sealed", tmp_path / "model" / "deep" / "m"):
        with pytest.raises(UsageError, match="lie in what is sealed"):
            find_sources([tmp_path / "model"], out=out)


def test_a_name_inside_of_an_object_may_end_in_sealed(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, {"in.sealed/x": b"x"})
    assert split_path(path / "in.sealed" / "x") == (path, "in.sealed/x")
    with open_file(path / "in.sealed" / "x", door=own.door) as file:
        assert file.read() == b"x"
    with open_file(path / "in.sealed" / "y", "wb", door=own.door) as made:
        made.write(b"y")
    with open_object(path, door=own.door) as sealed:
        assert list(sealed.names()) == ["in.sealed/x", "in.sealed/y"]


def test_names_whose_sealed_files_would_collide_are_told(tmp_path: Path) -> None:
    write_files(tmp_path / "model", {"x": b"", "x.floe/y": b""})
    with pytest.raises(InputError, match="file and of a directory"):
        find_sources([tmp_path / "model"])


@pytest.mark.parametrize("name", ["model.sig", "SEALED"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    own = room()
    path = sealed_object(tmp_path, own)
    (path / name).unlink()
    os.mkfifo(path / name)
    assert not is_sealed_object(path)
    if name == "model.sig":
        with pytest.raises(IntegrityError, match="no file"):
            read_manifest(path, own.door.trusted)
    for read in (PrivateKey.read, PublicKey.read):
        with pytest.raises(InputError):
            read(path / name)


# Removing sources


def test_links_are_not_taken_for_what_they_lead_to(tmp_path: Path) -> None:
    blob = write_files(tmp_path / "blobs", {"abc": b"weights"}) / "abc"
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    with pytest.raises(InputError, match="symbolic link"):
        find_sources([link])
    with pytest.raises(InputError, match="symbolic link"):
        (tmp_path / "folder").symlink_to(tmp_path / "blobs")
        find_sources([tmp_path / "folder"])
    assert [one.size for one in find_sources([link], follow_links=True)] == [7]


def test_hard_links_are_all_removed(tmp_path: Path) -> None:
    own = room()
    source = write_files(tmp_path / "model", {"a": b"weights"})
    os.link(source / "a", source / "b")
    sources = find_sources([source])
    seal(sources, tmp_path / "m", own.door.recipients, own.door)
    with open_object(tmp_path / "m", door=own.door) as sealed:
        prove(sealed, sources)
    remove_sources(sources)
    assert list(source.iterdir()) == []


def test_a_source_that_changed_after_the_proof_stays(tmp_path: Path) -> None:
    source = write_files(tmp_path / "model", {"a": b"weights"})
    sources = find_sources([source])
    (source / "a").write_bytes(b"newer!!")
    with pytest.raises(StrongroomError, match="changed"):
        remove_sources(sources)
    assert (source / "a").exists()


def test_a_copy_that_opens_and_is_not_what_was_signed_proves_nothing(tmp_path: Path) -> None:
    """Its IV alone differs: the plaintext is equal, and `unseal` would refuse it."""
    own = room()
    path = sealed_object(tmp_path, own)
    with open_object(path, door=own.door) as sealed:
        file = sealed.file(BIG)
        out = bytearray(SEGMENT)
        file._cipher.encrypt_segment_into(FILES[BIG][2 * PAYLOAD : 3 * PAYLOAD], 2, False, memoryview(out))
        with (path / place_of(BIG)).open("r+b") as raw:
            raw.seek(HEADER_BYTES + 2 * SEGMENT)
            raw.write(out)
        with pytest.raises(IntegrityError, match="digest"):
            prove(sealed, find_sources([tmp_path / "model"]))


# Before anything is done


def test_what_is_wrong_is_told_before_anything_is_sealed_or_recorded(tmp_path: Path) -> None:
    own = room()
    source = find_sources([write_files(tmp_path / "model", {"a": b"a"})])
    site = own.site.public
    wrong: list[dict[str, Any]] = [
        {"recipients": [site, site]},
        {"recipients": [site, dataclasses.replace(site, name="other")]},
        {"recipients": [own.signer.public]},
        {"recipients": []},
        {"recipients": [PrivateKey.generate("x25519", f"k{n}").public for n in range(65)]},
        {"recipients": [site], "segment_length": 32 << 20},
        {"recipients": [site], "segment_length": 100},
        {"recipients": [site], "name": "Acme"},
    ]
    for options in wrong:
        with pytest.raises(StrongroomError):
            seal(source, tmp_path / "m", door=own.door, **options)
        to = options.pop("recipients")
        with pytest.raises(StrongroomError):
            create(tmp_path / "c", door=dataclasses.replace(own.door, recipients=to), **options)
    assert own.book.entries == []
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


def test_a_signing_key_that_cannot_be_used_is_told_before_anything_is_sealed(tmp_path: Path) -> None:
    own = room()
    door = dataclasses.replace(own.door, keys=KeyFiles(own.site))
    with pytest.raises(StrongroomError, match="held"):
        seal(find_sources([write_files(tmp_path / "model", {"a": b""})]), tmp_path / "m", door.recipients, door)
    assert own.book.entries == []


def test_keys_that_are_wrapped_for_different_people_do_not_load(tmp_path: Path) -> None:
    own, bob = room(), PrivateKey.generate("x25519", "bob")
    path = sealed_object(tmp_path, own)
    manifest = read_manifest(path, own.door.trusted).manifest
    hidden = [*manifest.keys[0], WrappedKey("bob", bob.public.key, bob.public.wrap(bytes(32), b""))]
    forged = msgspec.structs.replace(manifest, keys=[manifest.keys[0], hidden])
    with pytest.raises(InputError, match="different recipients"):
        encode_statement(forged)
    whole = encode_statement(manifest)
    statement = json.loads(whole)
    for one in statement["predicate"]["resources"]:
        if one["name"] == "SEALED":
            note = one["annotations"]["strongroom.sealed/1"]
            note["keys"].append(
                [*note["keys"][0], {"name": "bob", "key": bob.public.key, "wrapped": base64.b64encode(b"x").decode()}]
            )
    (path / "model.sig").write_bytes(sign(json.dumps(statement).encode(), own.signer.public, own.door.keys))
    with pytest.raises(IntegrityError, match="different recipients"):
        read_manifest(path, own.door.trusted)


# Keys and memory


def test_a_key_that_is_here_opens_though_another_holder_is_not_reached(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own)

    class Away:
        def holds(self, key: str) -> bool:
            return key == own.site.public.key

        def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
            raise StrongroomError("KMS cannot be reached")

        def sign(self, key: str, message: bytes) -> bytes:
            raise AssertionError

    with open_object(path, door=dataclasses.replace(own.door, keys=Keys(Away(), KeyFiles(own.recovery)))) as sealed:
        assert sealed.open("config.json").read() == FILES["config.json"]
    with pytest.raises(StrongroomError, match="cannot be reached"):
        open_object(path, door=dataclasses.replace(own.door, keys=Keys(Away())))


def test_a_cipher_that_forgot_its_key_encrypts_nothing() -> None:
    cipher = Cipher.start(bytes(32), segment_length=64)
    cipher.forget()
    with pytest.raises(UsageError, match="dropped"):
        cipher.encrypt_segment_into(b"weights", 0, True, memoryview(bytearray(64)))


def test_what_is_not_authentic_does_not_stay_in_the_buffer() -> None:
    sealed = bytearray(encrypt(bytes(32), b"A" * 20, segment_length=64))
    sealed[-20] ^= 1
    cipher = Cipher.open(bytes(32), sealed[:HEADER_BYTES])
    out = bytearray(b"\xee" * 20)
    with pytest.raises(IntegrityError):
        cipher.decrypt_segment_into(memoryview(sealed)[HEADER_BYTES:], 0, True, memoryview(out))
    assert out == bytes(20)


def test_the_garbage_collector_may_drop_a_key_while_another_is_made() -> None:
    class Box:
        pass

    def make() -> None:
        held = []
        for _ in range(3000):
            box = Box()
            box.me, box.secret = box, Secret.random()  # type: ignore[attr-defined]
            held.append(Secret.random())

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        thread = threading.Thread(target=make, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    finally:
        gc.set_threshold(*threshold)


def test_tensors_that_nobody_closes_leave_no_descriptor_open(tmp_path: Path) -> None:
    import safetensors.numpy

    from .test_writing import tensors

    own = room()
    path = sealed_object(tmp_path, own, {"model.safetensors": safetensors.numpy.save(tensors())})
    safe_open(path, door=own.door).keys()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        safe_open(path, door=own.door).get_tensor("b")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_hashing_that_fails_fails_the_sealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = room()
    source = find_sources([write_files(tmp_path / "model", {"a": bytes(9 << 20)})])

    class Broken:
        def __init__(self) -> None:
            self.calls = 0

        def update(self, data: object) -> None:
            self.calls += 1
            if self.calls > 2:
                raise MemoryError

        def hexdigest(self) -> str:
            return "0" * 64

    monkeypatch.setattr(_pipeline, "hashlib", SimpleNamespace(sha256=Broken))
    with pytest.raises(MemoryError):
        seal(source, tmp_path / "m", own.door.recipients, own.door, threads=2)
    assert not (tmp_path / "m").exists()


def test_ctrl_c_ends_what_is_under_way_at_its_next_step() -> None:
    done: list[int] = []

    def work(item: int, threads: int, progress: Any) -> None:
        done.append(item)
        progress(1)

    def count(more: int) -> None:
        if len(done) > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _each.each_file(work, range(100_000), lambda item: 1, 4, count)
    assert len(done) < 1000
