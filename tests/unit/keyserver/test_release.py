"""What the key service releases, to whom, how often; and what somebody gains who asks for more."""

from __future__ import annotations

import base64
import dataclasses
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from strongroom.core.assets import Asset
from strongroom.core.calling import NoAnswer
from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.core.leases import Lease
from strongroom.site import compare_site
from strongroom.vault import (
    PrivateKey,
    ReleaseAnswer,
    ReleaseRequest,
    ServiceDoor,
    find_sources,
    open_file,
    open_object,
    read_bundle,
    release_context,
    release_digest,
    seal,
)
from strongroom.vault import _service as client

from .rooms import ASSET, WEIGHTS, Room, make_template, serving


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    make_template(folder)
    return folder


@pytest.fixture
def room(template: Path, tmp_path: Path) -> Iterator[Room]:
    with serving(template, tmp_path) as made:
        yield made


def request(room: Room, key: PrivateKey, **more: Any) -> ReleaseRequest:
    bundle = (room.folder / "m" / "model.sig").read_bytes()
    given = {"id": secrets.token_hex(16), "action": "OpenWeights", "purpose": "evaluation", **more}
    return ReleaseRequest(**{"key": key.public.data, "bundle": bundle, **given})


def ask(room: Room, asked: ReleaseRequest) -> ReleaseAnswer:
    data = room.caller().call("POST", "/v1/release", msgspec.json.encode(asked))
    return msgspec.json.decode(data, type=ReleaseAnswer)


def ephemeral() -> PrivateKey:
    return PrivateKey.generate("mlkem768-x25519", "ephemeral")


def crown(room: Room, size: int = len(WEIGHTS)) -> None:
    made = Asset(name=ASSET, classification="crown", size=size, places=[f"file://{room.folder}/m"])
    room.site.state.put_assets([made])


def requested(room: Room, **more: Any) -> str:
    """A lease that somebody asked for, for a public asset: its export needs nobody's yes."""
    made = Asset(name=ASSET, classification="public", size=len(WEIGHTS), places=[f"file://{room.folder}/m"])
    room.site.state.put_assets([made], replace=True)
    lease = Lease(
        id="lse_0000000003e870008000000000000001", principal=room.me, action="ExportWeights", asset=ASSET,
        purpose="evaluation", requested=msgspec.json.decode(b"0") or __import__("time").time_ns() // 1000, seconds=60,
        state="requested", **more,
    )  # fmt: skip
    room.change(lambda t: t.leases.put(lease))
    return lease.id


def test_an_object_opens_through_it_and_all_of_it_is_on_record(room: Room) -> None:
    with room.open() as sealed:
        assert sealed.open("model.bin").read() == WEIGHTS
    (event,) = room.recorded()
    assert (event["action"], event["outcome"], event["purpose"]) == ("OpenWeights", "allowed", "evaluation")
    (lease,) = room.leases()
    assert (lease.state, lease.bytes, lease.entry) == ("active", len(WEIGHTS), 1)
    assert event["lease"] == lease.id
    assert event["request_digest"] == lease.request
    assert event["credential"].startswith("hmac-sha256:"), "who it was is a personal fact"
    assert event["asset_digest"].startswith("sha256:")


def test_it_is_found_by_its_name(room: Room) -> None:
    crown(room)
    room.grant(room.me)
    door = room.door(purpose="evaluation")
    with open_file(f"strongroom://local/{ASSET}/model.bin", door=door) as file:
        assert file.read() == WEIGHTS
    with open_file(f"strongroom://local/{ASSET}", door=door) as file:
        assert file.read(3) == WEIGHTS[:3]
    with pytest.raises(InputError, match="no sealed object of acme/other is found"):
        open_object("strongroom://local/acme/other", door=door)


def test_what_lies_in_its_place_under_another_name_is_not_opened(room: Room) -> None:
    crown(room)
    own = room.own_door()
    seal(find_sources([room.folder / "w"]), room.folder / "other", list(own.recipients), own, name="acme/other")
    (room.folder / "m").rename(room.folder / "away")
    (room.folder / "other").rename(room.folder / "m")
    with pytest.raises(IntegrityError, match="this is acme/other, not acme/llama"):
        open_object(f"strongroom://local/{ASSET}", door=room.door(purpose="x"))


def test_policy_decides_and_a_refusal_is_on_record(room: Room) -> None:
    crown(room)
    with pytest.raises(RefusedError, match="no policy permits"):
        room.open()
    assert room.acts() == [("OpenWeights", "refused")]
    room.grant(room.me)
    room.open().close()
    with pytest.raises(RefusedError, match="two other people"):
        room.open(action="ExportWeights")
    with pytest.raises(RefusedError, match="needs a purpose"):
        room.open(room.door())


def test_what_was_revoked_is_refused_at_the_next_request(room: Room) -> None:
    crown(room)
    room.grant(room.me)
    door = room.door(purpose="evaluation")
    room.open(door).close()
    room.change(lambda t: t.principals.revoke(room.me, "OpenWeights", ASSET))
    with pytest.raises(RefusedError, match="no policy permits"):
        room.open(door)
    room.grant(room.me)
    room.open(door).close()
    room.know(room.me, "owners", suspended=True)
    with pytest.raises(RefusedError, match="not accepted: suspended"):
        room.open(door)


@pytest.mark.parametrize("action", ["Seal", "Rekey", "Administer", "Approve", "", "openweights"])
def test_keys_are_released_for_nothing_else(room: Room, action: str) -> None:
    with pytest.raises(RefusedError, match="no keys are released for"):
        ask(room, request(room, ephemeral(), action=action))
    assert room.recorded() == []


def test_a_request_that_comes_again_is_answered_again_and_debited_once(room: Room) -> None:
    lease, key = requested(room), ephemeral()
    asked = request(room, key, action="ExportWeights", lease=lease)
    first, second = ask(room, asked), ask(room, asked)
    signed = read_bundle(asked.bundle, room.site.door().trusted, "")
    context = release_context(release_digest(asked, signed.digest), 0)
    assert key.unwrap(first.keys[0], context) == key.unwrap(second.keys[0], context)
    assert room.had(room.me) == len(WEIGHTS)
    assert room.acts() == [("ExportWeights", "allowed")] * 2
    assert room.recorded()[1]["reason"].startswith("the same request again")
    assert [(one.state, one.attempt) for one in room.leases()] == [("used", 2)]
    room.sequencer.flush()
    assert [one.what for one in compare_site(room.site).differences if one.kind == "lease"] == []


@pytest.mark.parametrize("changed", ["key", "id", "purpose"])
def test_under_a_lease_that_is_used_nothing_else_is_answered(room: Room, changed: str) -> None:
    lease, key = requested(room), ephemeral()
    asked = request(room, key, action="ExportWeights", lease=lease)
    ask(room, asked)
    other = {"key": ephemeral().public.data, "id": secrets.token_hex(16), "purpose": "another"}[changed]
    with pytest.raises(RefusedError, match="is used"):
        ask(room, msgspec.structs.replace(asked, **{changed: other}))
    assert room.had(room.me) == len(WEIGHTS)


def test_another_principal_gains_nothing_by_repeating_a_request(room: Room) -> None:
    lease, key = requested(room), ephemeral()
    asked = request(room, key, action="ExportWeights", lease=lease)
    ask(room, asked)
    text = add_api_key(room, "eve@acme")
    with pytest.raises(RefusedError, match="is not a lease of the principal"):
        room.caller({"Authorization": f"Bearer {text}"}).call("POST", "/v1/release", msgspec.json.encode(asked))


def add_api_key(room: Room, name: str) -> str:
    from strongroom.core.clock import now
    from strongroom.identity import API_KEY_RANDOM_BYTES, make_api_key

    room.know(name, "members")
    made = make_api_key(name, random=secrets.token_bytes(API_KEY_RANDOM_BYTES), now=now(), expires=None)
    room.change(lambda t: t.principals.put_api_key(made.record))
    return made.text


def test_what_is_released_is_for_the_ephemeral_key_and_this_request_alone(room: Room) -> None:
    key = ephemeral()
    asked = request(room, key)
    answer = ask(room, asked)
    signed = read_bundle(asked.bundle, room.site.door().trusted, "")
    digest = release_digest(asked, signed.digest)
    assert len(key.unwrap(answer.keys[0], release_context(digest, 0))) == 32
    with pytest.raises(IntegrityError):
        ephemeral().unwrap(answer.keys[0], release_context(digest, 0))
    for context in (release_context(digest, 1), release_context(release_digest(asked, "sha256:0"), 0), b""):
        with pytest.raises(IntegrityError):
            key.unwrap(answer.keys[0], context)
    raw = msgspec.json.encode(answer)
    secret = bytes(room.site.door().unwrap(signed.manifest.keys[0], signed.manifest).view)
    assert secret not in raw
    assert base64.b64encode(secret) not in raw


@pytest.mark.parametrize(
    "bad", [b"", b"short", bytes(1216), b"\xff" * 1216, bytes(1215)], ids=["none", "short", "zeros", "ones", "less"]
)
def test_an_ephemeral_key_that_is_none_uses_up_no_lease(room: Room, bad: bytes) -> None:
    lease = requested(room)
    with pytest.raises(InputError):
        ask(room, msgspec.structs.replace(request(room, ephemeral(), action="ExportWeights", lease=lease), key=bad))
    assert [one.state for one in room.leases()] == ["requested"]
    assert room.had(room.me) == 0


def test_nobody_becomes_the_sealer_of_what_was_sealed_without_one(room: Room) -> None:
    """Sealed with policies off, it has no sealer; a member names it as an object of their own that they begin."""
    object = read_bundle(bundle_of(room), room.own_door().trusted, "").manifest.object
    room.change(lambda t: t.leases.forget_sealer(object))
    text = add_api_key(room, "mallory@acme")
    door = room.door({"Authorization": f"Bearer {text}"}, purpose="x")
    with pytest.raises(InputError, match="was not given to who asks"):
        door.permit("Seal", "mallory/mine", length=0, object=object)
    with pytest.raises(RefusedError, match="no policy permits ExportWeights"):
        room.open(door, action="ExportWeights")


def bundle_of(room: Room) -> bytes:
    return (room.folder / "m" / "model.sig").read_bytes()


def test_what_is_asked_never_takes_what_was_decided_off_the_record(room: Room) -> None:
    own = room.own_door()
    own.permit("Seal", "acme/x", length=0, reason="x" * 5000 + "\x1b[31m")
    reason = room.recorded()[-1]["reason"]
    assert reason.endswith("whoever works here may protect what they make")
    assert len(reason) <= 1000
    assert reason.isprintable()


def test_where_nobody_decides_no_lease_is_on_record(room: Room) -> None:
    off = dataclasses.replace(room.own_door(), authorizer=None, recorder=room.site.held_recorder(room.sequencer))
    dataclasses.replace(off, lease="Alice Liddell").permit("OpenWeights", "acme/x", length=0)
    assert "lease" not in room.recorded()[-1]
    with pytest.raises(RefusedError, match="is not an id"):
        ask(room, request(room, ephemeral(), lease="Alice Liddell"))


def test_a_lease_that_is_over_answers_nothing_again(room: Room) -> None:
    asked = request(room, ephemeral())
    ask(room, asked)
    (lease,) = room.leases()
    room.change(lambda t: t.leases.put(msgspec.structs.replace(lease, expires=lease.changed + 1)))
    ask(room, asked)
    assert len(room.leases()) == 2, "a new one, debited anew"


def test_a_manifest_that_the_site_did_not_sign_opens_nothing(room: Room) -> None:
    bundle = json.loads((room.folder / "m" / "model.sig").read_bytes())
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["subject"][0]["name"] = "other"
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    for forged in (json.dumps(bundle).encode(), b"{}", b"", b"\xff" * 100):
        with pytest.raises((IntegrityError, RefusedError)):
            ask(room, request(room, ephemeral(), bundle=forged))
    assert room.recorded() == []


def test_an_older_version_is_not_released(room: Room) -> None:
    old = (room.folder / "m" / "model.sig").read_bytes()
    own = room.own_door()
    seal(find_sources([room.folder / "w"]), room.folder / "m", list(own.recipients), own, name=ASSET, replace=True)
    room.open().close()
    with pytest.raises(IntegrityError, match="this is version 1 of acme/llama, and version 2 was seen"):
        ask(room, request(room, ephemeral(), bundle=old))


def test_the_budget_holds_through_it_and_a_size_cannot_be_made_smaller(room: Room) -> None:
    crown(room, size=len(WEIGHTS) // 4)  # a key that was released counts as the whole file: four times its size
    room.grant(room.me)
    with pytest.raises(RefusedError, match="more than twice the asset's size"):
        room.open()
    assert room.had(room.me) == 0


def test_an_answer_that_is_lost_is_asked_for_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_SECONDS", (0.0, 0.01))
    lease = requested(room)
    door = room.door(lease=lease)
    call, lost = door.service.call, []

    def losing(method: str, path: str, body: bytes = b"") -> bytes:
        answer = call(method, path, body)
        if path == "/v1/release" and len(lost) < 2:
            lost.append(answer)
            raise NoAnswer("it was lost")
        return answer

    monkeypatch.setattr(door.service, "call", losing)
    with room.open(door, action="ExportWeights") as sealed:
        assert sealed.open("model.bin").read() == WEIGHTS
    assert len(lost) == 2
    assert room.had(room.me) == len(WEIGHTS)


def test_a_service_that_is_away_is_told_after_a_while(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_SECONDS", (0.0, 0.01))
    monkeypatch.setattr(client, "TRY_SECONDS", 0.1)
    door = room.door(purpose="evaluation")
    room.stack.close()
    with pytest.raises(StrongroomError, match="the key service did not answer"):
        room.open(door)


def test_nothing_is_released_when_the_ledger_cannot_write(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(entries: Any) -> Any:
        raise StrongroomError("the disk is full")

    monkeypatch.setattr(room.sequencer, "append_many", full)
    with pytest.raises(StrongroomError, match="the disk is full"):
        room.open()
    assert "release: the disk is full" in room.told[-1]
    assert [one.state for one in room.leases()] == ["pending"]


def test_a_door_to_a_service_asks_for_nothing_that_it_does_not_do(room: Room) -> None:
    door = room.door()
    with pytest.raises(UsageError, match="nobody asks for Rekey"):
        door.permit("Rekey", ASSET, length=0)
    for use in (lambda: door.keys.unwrap("k", b"", b""), lambda: door.keys.sign("k", b"")):
        with pytest.raises(RefusedError, match="never leaves the key service"):
            use()
    assert isinstance(door, ServiceDoor)
    assert door.principal == room.me
