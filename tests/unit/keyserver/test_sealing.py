"""Sealing through the key service: what it signs, and what it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from strongroom.core.errors import InputError, IntegrityError, RefusedError, UsageError
from strongroom.vault import (
    NoteRequest,
    PermitRequest,
    PrivateKey,
    SignRequest,
    create,
    find_sources,
    open_file,
    read_manifest,
    rekey,
    seal,
)
from strongroom.vault._manifest import encode_statement

from .rooms import ASSET, WEIGHTS, Room, make_template, serving
from .test_release import add_api_key

HEX = "0f" * 16


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    make_template(folder)
    return folder


@pytest.fixture
def room(template: Path, tmp_path: Path) -> Iterator[Room]:
    with serving(template, tmp_path) as made:
        yield made


def test_a_program_writes_an_object_and_the_site_signs_it(room: Room) -> None:
    door = room.door()
    with create(room.folder / "run", name="acme/run", door=door) as made:
        for name in ("a", "b"):
            with made.open(name) as file:
                file.write(WEIGHTS)
    signed = read_manifest(room.folder / "run", door.trusted)
    assert (signed.manifest.name, signed.manifest.version) == ("acme/run", 1)
    assert signed.signer.key == room.site.door().signer.key  # type: ignore[union-attr]
    assert room.acts() == [("Seal", "allowed")] * 2
    begun, done = room.recorded()
    assert begun["reason"].startswith("begins an object; permitted")
    assert done["reason"].startswith("signs what was sealed to site")
    assert done["asset_digest"] == signed.manifest.root_digest
    assert done["bytes"] == 2 * len(WEIGHTS)
    assert room.site.state.highest_version("acme/run")[:2] == (1, signed.digest)  # type: ignore[index]
    with open_file(room.folder / "run" / "a", door=door) as file:  # whoever sealed it may open it
        assert file.read() == WEIGHTS


def test_files_are_sealed_replaced_and_added(room: Room) -> None:
    door, out = room.door(), room.folder / "o"
    for version in (1, 2):
        sealed = seal(
            find_sources([room.folder / "w"]), out, list(door.recipients), door, name="acme/o", replace=version > 1
        )
        assert sealed.signed.manifest.version == version
    with open_file(out / "more", "wb", door=door) as file:
        file.write(b"more")
    with open_file(out / "more", door=door) as file:
        assert file.read() == b"more"
    assert read_manifest(out, door.trusted).manifest.version == 3


def test_who_may_not_seal_is_refused_before_anything_is_written(room: Room) -> None:
    room.know(room.me)  # in no group
    with pytest.raises(RefusedError, match="no policy permits Seal"), create(room.folder / "run", door=room.door()):
        pytest.fail("it was begun")
    assert not (room.folder / "run").exists()


def test_nothing_is_signed_over_what_another_sealed(room: Room) -> None:
    text = add_api_key(room, "eve@acme")
    eve = room.door({"Authorization": f"Bearer {text}"})
    manifest = read_manifest(room.folder / "m", eve.trusted).manifest
    with pytest.raises(RefusedError, match="what one sealed oneself"):
        eve.sign(manifest, at_least=2)
    with pytest.raises(InputError, match="was not given to who asks"):
        eve.permit("Seal", ASSET, length=0, object=manifest.object)
    with pytest.raises(InputError, match="was not given to who asks"):
        eve.permit("Seal", "acme/eve", length=0, object=room.door().new_object())  # somebody else's
    own = dataclasses.replace(manifest, name="acme/eve") if dataclasses.is_dataclass(manifest) else manifest
    with pytest.raises(RefusedError, match="what one sealed oneself"):
        eve.sign(msgspec.structs.replace(own, name="acme/eve", object=HEX), at_least=1)  # never begun
    with pytest.raises(RefusedError, match="what one sealed oneself"):
        eve._ask("POST", "/v1/note", NoteRequest(bundle=(room.folder / "m/model.sig").read_bytes()), dict[str, str])


def test_nothing_is_signed_that_the_site_could_not_open_or_for_whom_it_does_not_know(room: Room) -> None:
    door = room.door()
    stranger = PrivateKey.generate("x25519", "stranger").public
    with (
        pytest.raises(IntegrityError, match="sealed to no key that is held here"),
        create(room.folder / "run", to=[stranger], door=door) as made,
        made.open("a") as file,
    ):
        file.write(b"a")
    with (
        pytest.raises(UsageError, match="the public key of stranger is not known"),
        create(room.folder / "run", to=[*door.recipients, stranger], door=door) as made,
        made.open("a") as file,
    ):
        file.write(b"a")
    assert not (room.folder / "run").exists()


def test_versions_are_the_service_s_to_give(room: Room) -> None:
    door = room.door()
    with create(room.folder / "run", name="acme/run", door=door) as made, made.open("a") as file:
        file.write(b"a")
    assert made.signed is not None
    signed, _ = door.sign(made.signed.manifest, at_least=1 << 40)
    assert signed.manifest.version == 2


def test_a_version_that_was_not_signed_here_is_not_noted(room: Room, tmp_path_factory: pytest.TempPathFactory) -> None:
    from strongroom.site import Site

    other = Site.create(tmp_path_factory.mktemp("other") / "S", origin="example.com/other")
    door = other.door()
    seal(find_sources([room.folder / "w"]), room.folder / "foreign", list(door.recipients), door, name="acme/foreign")
    asked = NoteRequest(bundle=(room.folder / "foreign" / "model.sig").read_bytes())
    with pytest.raises(RefusedError, match="not trusted here"):
        room.door()._ask("POST", "/v1/note", asked, dict[str, str])
    assert room.site.state.highest_version("acme/foreign") is None


def test_a_service_that_signs_something_else_is_not_believed(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    door = room.door()
    with create(room.folder / "run", name="acme/run", door=door) as made, made.open("a") as file:
        file.write(b"a")
    assert made.signed is not None
    other = (room.folder / "m" / "model.sig").read_bytes()
    monkeypatch.setattr(ServiceAnswers, "bundle", other)
    monkeypatch.setattr(door.service, "call", ServiceAnswers().call)
    with pytest.raises(IntegrityError, match="signed another manifest"):
        door.sign(made.signed.manifest, at_least=1)


class ServiceAnswers:
    bundle = b""

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        from strongroom.vault import SignAnswer

        return msgspec.json.encode(SignAnswer(bundle=self.bundle))


def test_recipients_are_changed_where_the_keys_are(room: Room) -> None:
    with pytest.raises(RefusedError, match="no keys are released for Rekey"):
        room.open(action="Rekey")
    with room.open() as sealed, pytest.raises(UsageError, match="is no recipient"):
        rekey(sealed, room.door(), remove=["nobody"])


@pytest.mark.parametrize("object", ["x", HEX.upper(), HEX + "0"])
def test_an_object_s_id_is_one_that_was_given(room: Room, object: str) -> None:
    with pytest.raises(InputError, match="was not given to who asks"):
        room.door().permit("Seal", "acme/x", length=0, object=object)


@pytest.mark.parametrize("length", [-1, 1 << 70])
def test_a_length_is_what_is_claimed_and_never_breaks_the_record(room: Room, length: int) -> None:
    asked = PermitRequest(asset="acme/x", object=room.door().new_object(), length=0)
    body = msgspec.json.encode(asked).replace(b'"length":0', b'"length":%d' % length)
    status, _ = room.raw("POST", "/v1/permit", body)
    assert status == 200
    assert all(0 <= one.get("bytes", 0) < 1 << 53 for one in room.recorded())


def test_a_statement_that_is_none_is_refused(room: Room) -> None:
    door = room.door()
    manifest = read_manifest(room.folder / "m", door.trusted).manifest
    good = encode_statement(manifest)
    for bad in (b"", b"{}", b"[" * 100_000, good[:-1], good.replace(b"files", b"filed"), b"\xff"):
        with pytest.raises((IntegrityError, RefusedError)):
            door._ask("POST", "/v1/sign", SignRequest(statement=bad), dict[str, str])
