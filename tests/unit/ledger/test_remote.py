"""Appending through the site's socket: indices, the server's errors as they are, and no hanging on what is no server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.core import calling
from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.ledger import RemoteRecorder

from .ledgers import entry

TOKEN = "battery-staple-token"


@contextlib.contextmanager
def answering(path: Path, *answers: bytes, hang: bool = False) -> Iterator[list[bytes]]:
    """A server that reads a request, says one of the answers, and closes."""
    asked: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                asked.append(_request(connection))
                with contextlib.suppress(OSError):
                    connection.sendall(answer)
                if hang:
                    done.wait(20)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        done.set()
        thread.join(10)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def test_entries_go_in_one_request_and_their_indices_come_back(tmp_path: Path) -> None:
    with answering(tmp_path / "s", answer(b'{"first":7,"last":9}')) as asked:
        recorder = RemoteRecorder(tmp_path / "s", TOKEN)
        assert recorder.append_many([entry(number) for number in range(3)]) == range(7, 10)
        recorder.close()
        recorder.close()
    (request,) = asked
    assert request.startswith(b"POST /v1/ledger/entries ")
    assert f"Authorization: Bearer {TOKEN}".encode() in request
    assert request.partition(b"\r\n\r\n")[2] == b"".join(entry(number) + b"\n" for number in range(3))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("input", InputError),
        ("usage", UsageError),
        ("refused", RefusedError),
        ("integrity", IntegrityError),
        ("failed", StrongroomError),
        ("unheard of", StrongroomError),
    ],
)
def test_the_servers_error_is_raised_as_what_it_is(tmp_path: Path, code: str, kind: type[StrongroomError]) -> None:
    body = f'{{"error":{{"code":"{code}","message":"said so","where":"there","next":"do this"}}}}'.encode()
    with answering(tmp_path / "s", answer(body, "400 Bad Request")), pytest.raises(StrongroomError) as caught:
        RemoteRecorder(tmp_path / "s", TOKEN).status()
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.where, caught.value.next) == ("said so", "there", "do this")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="no HTTP"),
        pytest.param(answer(b"<html>"), id="html"),
        pytest.param(answer(b"[]"), id="a list"),
        pytest.param(answer(b"{}"), id="an empty object"),
        pytest.param(answer(b'{"first":1}'), id="half of it"),
        pytest.param(answer(b'{"first":"a","last":[]}'), id="no numbers"),
        pytest.param(answer(b'{"first":null,"last":null}'), id="null"),
        pytest.param(answer(b'{"error":"no"}', "500 No"), id="an error that is text"),
        pytest.param(answer(b'{"error":[]}', "500 No"), id="an error that is a list"),
        pytest.param(answer(b"[" * 100_000), id="nested"),
        pytest.param(answer(b'{"a":"\xff"}'), id="no UTF-8"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", id="cut"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{", id="negative"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n", id="many headers"),
        pytest.param(answer(b"x" * 100), id="no JSON"),
    ],
)
def test_what_is_no_answer_is_an_error(tmp_path: Path, said: bytes) -> None:
    with answering(tmp_path / "s", said), pytest.raises(StrongroomError) as caught:
        RemoteRecorder(tmp_path / "s", TOKEN).append_many([entry(0)])
    assert TOKEN not in str(caught.value)


def test_nobody_there_is_an_error_that_names_the_socket(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StrongroomError, match="strongroom serve") as caught:
            RemoteRecorder(path, TOKEN).append_many([entry(0)])
        assert caught.value.where == str(path)


def test_a_server_that_hangs_is_given_up_and_the_entry_may_be_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "ANSWER_SECONDS", 0.3)
    with (
        answering(tmp_path / "s", b"HTTP/1.1 200 OK\r\n", hang=True),
        pytest.raises(StrongroomError, match="may be on record"),
    ):
        RemoteRecorder(tmp_path / "s", TOKEN).append_many([entry(0)])


def test_after_an_error_the_next_one_connects_anew(tmp_path: Path) -> None:
    with answering(tmp_path / "s", b"", answer(b'{"first":0,"last":0}')):
        recorder = RemoteRecorder(tmp_path / "s", TOKEN)
        with pytest.raises(StrongroomError):
            recorder.append_many([entry(0)])
        assert recorder.append_many([entry(0)]) == range(1)
        recorder.close()
