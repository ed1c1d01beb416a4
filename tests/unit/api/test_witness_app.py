"""The witness over loopback, from our own client and from clients that are none."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.api import witness_app
from strongroom.core.errors import IntegrityError, StrongroomError
from strongroom.ledger._checkpoint import Checkpoint
from strongroom.ledger._http import get, post
from strongroom.ledger._merkle import consistency_proof, leaf_hash, nodes_of, tree_root
from strongroom.ledger._notes import COSIGNATURE, SigningKey, sign_note
from strongroom.ledger._witness import MAX_REQUEST_BYTES, Witness, WitnessDirectory, WitnessMemory, origin_hash
from strongroom.ledger._witness_client import ROLLED_BACK, cosign, latest
from strongroom.serving import Server

ORIGIN = "log.example/a"
LOG_KEY = SigningKey(ORIGIN, b"l" * 32)
WITNESS_KEY = SigningKey("witness.example/w1", b"w" * 32, COSIGNATURE)
NOW = 1_767_225_600
READ = nodes_of([leaf_hash(b"%d" % i) for i in range(20)])


def note(size: int) -> bytes:
    return sign_note(Checkpoint(ORIGIN, size, tree_root(size, READ)).text(), [LOG_KEY])


def prove(old: int, new: int) -> list[bytes]:
    return consistency_proof(old, new, READ)


@contextlib.contextmanager
def serving(storage: object, **options: float) -> Iterator[str]:
    witness = Witness(WITNESS_KEY, {ORIGIN: [LOG_KEY.verifier]}, storage)  # type: ignore[arg-type]
    app = witness_app(witness, clock=lambda: NOW * 1_000_000 + 999_999, **options)
    with Server(app, listen="127.0.0.1:0") as server:
        yield server.addresses[0]


@pytest.fixture
def url() -> Iterator[str]:
    with serving(WitnessMemory()) as address:
        yield address


def cosign_at(url: str, old: int, new: int) -> object:
    return cosign(url, old_size=old, note=note(new), prove=prove, witness=WITNESS_KEY.verifier)


def latest_at(url: str) -> Checkpoint | None:
    signed = latest(url, ORIGIN, [LOG_KEY.verifier], WITNESS_KEY.verifier)
    return signed and signed.checkpoint


def test_a_log_is_cosigned_across_restarts_and_a_rollback_is_an_alarm(tmp_path: Path) -> None:
    with WitnessDirectory(tmp_path) as storage, serving(storage) as url:
        assert latest_at(url) is None
        assert cosign_at(url, 0, 7) == WITNESS_KEY.cosign(Checkpoint(ORIGIN, 7, tree_root(7, READ)).text(), NOW)
        assert latest_at(url) == Checkpoint(ORIGIN, 7, tree_root(7, READ))
    with WitnessDirectory(tmp_path) as storage, serving(storage) as url:
        cosign_at(url, 0, 20)  # the size was forgotten: the witness says it
        with pytest.raises(IntegrityError) as told:
            cosign_at(url, 7, 9)
        assert told.value.message == ROLLED_BACK
        assert latest_at(url) == Checkpoint(ORIGIN, 20, tree_root(20, READ))
    with pytest.raises(StrongroomError, match="cannot be reached"):
        cosign_at(url, 20, 20)


def raw(url: str, request: bytes, more: bytes = b"") -> bytes:
    """Sends `request`, then `more` for ever; what came back when the server closed."""
    answer = b""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5) as client:
        with contextlib.suppress(OSError):
            client.sendall(request)
            while more:
                client.sendall(more)
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                answer += data
    return answer


def test_the_conflict_has_exactly_the_content_type_of_the_specification(url: str) -> None:
    body = b"old 3\n\n" + note(7)
    head = b"POST /add-checkpoint HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = raw(url, head + body)
    assert answer.startswith(b"HTTP/1.1 409 Conflict\r\n")
    assert b"\r\ncontent-type: text/x.tlog.size\r\n" in answer
    assert answer.endswith(b"\r\n\r\n0\n")


def test_statuses_reach_the_client(url: str) -> None:
    bounds = {"limit": 1000, "deadline": 5.0}
    assert post(f"{url}/add-checkpoint", b"", **bounds)[0] == 400
    assert post(f"{url}/add-checkpoint", b"old 0\n\n" + note(7).replace(b"/a\n", b"/b\n"), **bounds)[0] == 404
    assert post(f"{url}/add-checkpoint", b"old 0\n\n" + note(7).replace(b"\n7\n", b"\n8\n"), **bounds)[0] == 403
    assert post(f"{url}/checkpoint", b"", **bounds)[0] == 404
    assert post(f"{url}/{origin_hash(ORIGIN)}/checkpoint", b"", **bounds)[0] == 405
    for name in (origin_hash(ORIGIN), "..", "%2e%2e", "a" * 64, "%00"):
        assert get(f"{url}/{name}/checkpoint", **bounds) is None


def test_a_body_above_the_limit_is_refused_while_it_comes(url: str) -> None:
    status, _ = post(f"{url}/add-checkpoint", b"x" * MAX_REQUEST_BYTES, limit=1000, deadline=5)
    assert status == 400
    endless = b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    began = time.monotonic()
    raw(url, endless, b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert time.monotonic() - began < 4
    long = b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_REQUEST_BYTES + 1)
    assert raw(url, long + b"x" * (MAX_REQUEST_BYTES + 1)).startswith(b"HTTP/1.1 413 ")


def test_a_dripped_body_is_given_up() -> None:
    with serving(WitnessMemory(), body_seconds=0.3) as url:
        answer = raw(url, b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nold")
        assert answer.startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            client.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nold")
        cosign_at(url, 0, 7)


def test_many_who_ask_at_once_are_all_answered_and_the_tree_grows(url: str) -> None:
    failures = []

    def ask(size: int) -> None:
        try:
            cosign_at(url, 0, size)
        except StrongroomError as error:
            failures.append(error.message)

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(failures) <= {ROLLED_BACK, "the witness's size changes while we ask"}
    assert len(failures) < 20
    cosign_at(url, 0, 20)
    assert latest_at(url) == Checkpoint(ORIGIN, 20, tree_root(20, READ))
