"""Who gets to the key service at all: by one credential, known here, in bounds; and strangers, who are counted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from strongroom.core.calling import NoAnswer
from strongroom.core.clock import now
from strongroom.core.errors import RefusedError, StrongroomError
from strongroom.identity import revoke_api_key
from strongroom.keyserver import _app as app
from strongroom.keyserver import _bounds as bounds_module
from strongroom.keyserver._bounds import Bounds, Busy
from strongroom.serving import _bodies as bodies
from strongroom.vault import ServiceDoor
from strongroom.vault import _service as client

from ..identity.jws import ec_key, hmac_key, jwks, raw_token, token
from ..identity.svids import Made, authority, make, workload
from .rooms import ASSET, WEIGHTS, Room, make_template, serving
from .test_release import add_api_key

ISSUER = "https://token.ci.example"
HERE = datetime.now(UTC) - timedelta(minutes=1)
TRAIN = "spiffe://acme.example/train"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    make_template(folder)
    return folder


def write(folder: Path, name: str, *parts: Made | bytes) -> Path:
    path = folder / name
    path.write_bytes(b"".join(one if isinstance(one, bytes) else one.pem for one in parts))
    return path


def key_of(made: Made) -> bytes:
    return bytes(
        made.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


class Wide:
    """A room that listens with TLS too, trusts one domain and one issuer."""

    def __init__(self, room: Room, root: Made) -> None:
        self.room, self.root = room, root

    def context(self, client: Made | None = None, *between: Made, ca: Made | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=(ca or self.root).pem.decode())
        if client is not None:
            path = write(self.room.folder, "client.pem", client, *between, key_of(client))
            context.load_cert_chain(path)
        return context

    def door(self, client: Made | None = None, *between: Made, headers: dict[str, str] | None = None) -> ServiceDoor:
        caller = self.room.tls("localhost", self.context(client, *between), headers)
        return ServiceDoor.connect(caller, "there", notify=self.room.told.append, purpose="evaluation")


@pytest.fixture
def wide(template: Path, tmp_path: Path) -> Iterator[Wide]:
    root = authority(begins=HERE)
    own = make(root, uris=["spiffe://acme.example/keys"], names=[x509.DNSName("localhost")], begins=HERE)
    write(tmp_path, "root.pem", root)
    write(tmp_path, "own.pem", own)
    write(tmp_path, "own.key", key_of(own))
    (tmp_path / "keys.json").write_text(jwks(ec_key().named("k1")))
    configuration = f"""
[keyserver]
listen = "127.0.0.1:0"
certificate = "../own.pem"
private_key = "../own.key"
[identity.trust_domains]
"acme.example" = "../root.pem"
[[identity.issuer]]
issuer = "{ISSUER}"
audiences = ["strongroom"]
keys_file = "../keys.json"
prefix = "ci:"
"""
    with serving(template, tmp_path, configuration, tls=True) as room:
        yield Wide(room, root)


@pytest.fixture
def room(template: Path, tmp_path: Path) -> Iterator[Room]:
    with serving(template, tmp_path) as made:
        yield made


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def claims(**more: Any) -> dict[str, Any]:
    time = now() // 1_000_000
    return {"iss": ISSUER, "aud": "strongroom", "sub": "repo:acme/train", "iat": time, "exp": time + 600, **more}


def test_a_workload_opens_with_its_certificate(wide: Wide) -> None:
    room = wide.room
    room.know(TRAIN, kind="workload")
    room.grant(TRAIN)
    door = wide.door(workload(wide.root, begins=HERE))
    assert door.principal == TRAIN
    with room.open(door) as sealed:
        assert sealed.open("model.bin").read() == WEIGHTS
    (event,) = room.recorded()
    assert event["client_address"].startswith("hmac-sha256:")
    assert room.leases()[0].principal == TRAIN


def test_a_certificate_may_come_with_its_intermediates(wide: Wide) -> None:
    between = authority(signer=wide.root, begins=HERE)
    wide.room.know(TRAIN, kind="workload")
    assert wide.door(workload(between, begins=HERE), between).principal == TRAIN


def test_an_api_key_and_a_token_name_their_principals_over_both(wide: Wide) -> None:
    room = wide.room
    text = add_api_key(room, "eve@acme")
    room.know("ci:repo:acme/train", kind="workload")
    signed = token(ec_key(), claims())
    for headers, name in ((bearer(text), "eve@acme"), (bearer(signed), "ci:repo:acme/train")):
        assert wide.door(headers=headers).principal == name
        assert room.door(headers).principal == name, "the user of the socket is not asked then"


def test_the_local_user_is_who_the_kernel_says(room: Room) -> None:
    assert room.door().principal == room.me
    room.change(lambda t: t.principals.remove(room.me))
    with pytest.raises(RefusedError, match=f"strongroom principal add {room.me}"):
        room.door()


def stale(**more: Any) -> str:
    return token(ec_key(), claims(**more))


WRONG: dict[str, Any] = {
    "an expired token": (lambda: stale(exp=now() // 1_000_000 - 600, iat=now() // 1_000_000 - 700), "expired"),
    "a token for somebody else": (lambda: stale(aud="other"), "audience"),
    "a token of another issuer": (lambda: stale(iss="https://other.example"), "issuer"),
    "alg none": (lambda: raw_token(b'{"alg":"none"}', b'{"iss":"%s"}' % ISSUER.encode(), lambda data: b""), "malformed"),
    "alg none, signed": (
        lambda: raw_token(b'{"alg":"none"}', b'{"iss":"%s"}' % ISSUER.encode(), lambda data: b"x" * 64),
        "algorithm",
    ),
    "the public key as an HMAC secret": (lambda: token(hmac_key(ec_key().pem), claims(), alg="HS256"), "algorithm"),
    "another key under the same kid": (lambda: token(ec_key(secret=7), claims()), "signature"),
    "an unknown kid": (lambda: token(ec_key(), claims(), kid="../../etc/passwd"), "key-unknown"),
    "an API key that nobody has": (lambda: "sr_00000000000_000000000000000000000000000000000000000000048u5iX", "unknown"),
    "an API key that was mistyped": (lambda: "sr_00000000000_000000000000000000000000000000000000000000048u5iY", "checksum"),
    "no credential at all": (lambda: "", "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_strangers_are_counted_and_not_recorded_one_by_one(wide: Wide, name: str) -> None:
    make_one, reason = WRONG[name]
    shown = make_one()
    with pytest.raises(RefusedError, match=f"not accepted: {reason}") as refused:
        wide.door(headers=bearer(shown))
    assert not shown or shown not in str(refused.value)
    assert list(wide.room.refusals.counted().values()) == [1]
    assert reason in str(wide.room.refusals.counted())
    assert wide.room.recorded() == []
    assert f'strangers_total{{reason="{reason}"}} 1.0'.encode() in wide.room.keys.metrics.text()


def test_a_revoked_key_is_refused_at_once(room: Room) -> None:
    text = add_api_key(room, "eve@acme")
    door = room.door(bearer(text))
    (record,) = room.change(lambda t: t.principals.api_keys("eve@acme"))
    room.change(lambda t: t.principals.put_api_key(revoke_api_key(record, now=now())))
    with pytest.raises(RefusedError, match="not accepted: revoked"):
        room.open(door)
    with pytest.raises(RefusedError, match="not accepted: revoked"):
        room.door(bearer(text))


def test_certificates_of_others_do_not_get_in(wide: Wide) -> None:
    other = authority("other.example", begins=HERE)
    wide.room.know(TRAIN, kind="workload")
    expired = workload(wide.root, begins=HERE - timedelta(days=1))
    for shown in (workload(other, "spiffe://other.example/train", begins=HERE), workload(other, begins=HERE), expired):
        with pytest.raises(NoAnswer):  # the handshake ends there
            wide.door(shown)
    with pytest.raises(RefusedError, match=r"not accepted: (principal|constraints)"):
        wide.door(workload(wide.root, "spiffe://acme.example", begins=HERE))
    with pytest.raises(RefusedError, match="not accepted: issuer"):  # our authority, another's name
        wide.door(workload(wide.root, "spiffe://other.example/train", begins=HERE))
    with pytest.raises(RefusedError, match="not accepted: unknown"):
        wide.door(workload(wide.root, "spiffe://acme.example/nobody", begins=HERE))
    with pytest.raises(RefusedError, match="not accepted: missing"):
        wide.door()


def test_who_shows_two_credentials_is_refused(wide: Wide) -> None:
    wide.room.know(TRAIN, kind="workload")
    text = add_api_key(wide.room, "eve@acme")
    with pytest.raises(RefusedError, match="not accepted: several"):
        wide.door(workload(wide.root, begins=HERE), headers=bearer(text))
    sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(sock):
        sock.connect(str(wide.room.socket))
        line = f"Authorization: Bearer {text}\r\n"
        sock.sendall(f"GET /v1/site HTTP/1.1\r\nHost: x\r\n{line}{line}Connection: close\r\n\r\n".encode())
        assert b"several" in read_all(sock)


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Head and body may come one after the other."""
    sock.settimeout(10)
    data = b""
    while end not in data and (part := sock.recv(65_536)):
        data += part
    return data


def read_all(sock: socket.socket) -> bytes:
    sock.settimeout(10)
    data = b""
    while part := sock.recv(65_536):
        data += part
    return data


def test_headers_do_not_say_who_asks(room: Room) -> None:
    for name in ("X-Forwarded-For", "X-Forwarded-Client-Cert", "X-Real-Ip", "Forwarded"):
        status, told = room.raw("GET", "/v1/site", **{name: "uid:4711"})
        assert (status, told["principal"]) == (200, room.me)


def test_plain_http_and_old_tls_are_not_spoken_there(wide: Wide) -> None:
    port = int(wide.room.address.rpartition(":")[2])
    with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in read_all(plain)
    context = wide.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, OSError)), socket.create_connection(("127.0.0.1", port)) as old:
        context.wrap_socket(old, server_hostname="localhost")


def test_certificates_that_are_renewed_are_taken_without_a_restart(wide: Wide) -> None:
    room = wide.room
    room.know(TRAIN, kind="workload")
    fresh = authority(begins=HERE)
    with pytest.raises(NoAnswer):
        wide.door(workload(fresh, begins=HERE))
    renewed = make(wide.root, names=[x509.DNSName("localhost")], begins=HERE, subject="renewed")
    write(room.folder, "root.pem", wide.root, fresh)
    write(room.folder, "own.pem", renewed)
    write(room.folder, "own.key", key_of(renewed))
    with contextlib.suppress(StrongroomError):  # whoever connects first is still shown the old one
        wide.door()
    assert wide.door(workload(fresh, begins=HERE)).principal == TRAIN
    connection = room.tls("localhost", wide.context())._connect()
    connection.connect()
    shown = x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True))
    connection.close()
    assert shown.serial_number == renewed.certificate.serial_number
    write(room.folder, "root.pem", fresh)  # the old authority is believed no more
    with pytest.raises(RefusedError, match="not accepted: chain"):
        wide.door(workload(wide.root, begins=HERE))
    (room.folder / "root.pem").write_bytes(b"damaged")
    assert wide.door(workload(fresh, begins=HERE)).principal == TRAIN
    assert "certificates stay as they were" in room.told[-1]


def test_health_and_metrics_name_nobody(wide: Wide) -> None:
    room = wide.room
    room.open().close()
    assert room.raw("GET", "/healthz") == (200, b"ok\n")
    text = room.keys.metrics.text()
    assert b'requests_total{operation="release",outcome="done"} 1.0' in text
    assert room.me.encode() not in text
    assert ASSET.encode() not in text


def test_it_says_when_it_is_not_well(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.sequencer, "status", lambda: {"failure": "the disk is full", "size": 1})
    assert room.raw("GET", "/healthz") == (503, b"failing\n")


def test_bodies_that_are_no_requests_are_told(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (b"", b"{}", b"[", b"\xff", b'{"id":1}', b"[" * 100_000):
        status, told = room.raw("POST", "/v1/release", body)
        assert (status, told["error"]["code"]) == (400, "input")
    monkeypatch.setattr(app, "MAX_REQUEST_BYTES", 1000)
    status, told = room.raw("POST", "/v1/release", b" " * 2000)
    assert (status, "at most 1,000 bytes" in told["error"]["message"]) == (400, True)
    assert room.raw("POST", "/v1/nothing", b"")[0] == 404
    assert room.raw("PUT", "/v1/release", b"")[0] == 405
    assert room.recorded() == []


def test_a_slow_client_is_given_up_and_stops_nobody(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    slow = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    with contextlib.ExitStack() as stack:
        for one in slow:
            stack.enter_context(contextlib.closing(one))
            one.connect(str(room.socket))
            one.sendall(b"POST /v1/release HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        room.open().close()
        assert b"did not arrive in time" in read_until(slow[0], b"in time")


def test_turns_are_bounded_and_come_back() -> None:
    async def crowd() -> None:
        bounds = Bounds(clock=lambda: 0.0)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(bounds_module.MAX_OF_ONE):
                await stack.enter_async_context(bounds.turn("eve", 1))
            with pytest.raises(Busy):
                await stack.enter_async_context(bounds.turn("eve", 1))
            await stack.enter_async_context(bounds.turn("bob", 1))
            assert bounds.serving == bounds_module.MAX_OF_ONE + 1
        assert bounds.serving == 0
        async with bounds.turn("eve", 1):
            pass

    asyncio.run(crowd())


def test_who_is_refused_too_often_waits_and_others_do_not() -> None:
    async def nagging() -> None:
        times = [0.0]
        bounds = Bounds(clock=lambda: times[0])
        refused = 0
        with pytest.raises(Busy):
            while True:
                async with bounds.turn("eve", 1):
                    bounds.refused("eve")
                    refused += 1
        assert refused <= bounds_module.BURST / bounds_module.REFUSED_COUNTS + 1
        async with bounds.turn("bob", 1):
            pass
        times[0] = 60.0
        async with bounds.turn("eve", 1):
            pass

    asyncio.run(nagging())


def test_who_is_refused_again_and_again_does_not_fill_the_ledger(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom.core.assets import Asset

    room.site.state.put_assets([Asset(name=ASSET, classification="crown", size=1, places=["file:///m"])])
    monkeypatch.setattr(client, "TRY_SECONDS", 0.0)
    monkeypatch.setattr(bounds_module, "PER_SECOND", 0.0)
    door = room.door(purpose="x")
    told = [str(outcome_of(room, door)) for _ in range(60)]
    assert "busy" in told[-1]
    assert len(room.recorded()) == sum("busy" not in one for one in told) <= 20


def outcome_of(room: Room, door: ServiceDoor) -> StrongroomError:
    with pytest.raises(StrongroomError) as raised:
        room.open(door)
    return raised.value
