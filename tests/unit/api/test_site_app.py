"""The site's socket: who may append what, in whose name; and strangers who cannot fill the ledger or learn from it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from strongroom.api import site_app
from strongroom.core.errors import RefusedError, StrongroomError
from strongroom.ledger import LogReader, RemoteRecorder, Sequencer, decode_entry
from strongroom.serving import Server
from strongroom.site import Site

from ...conftest import missing

ACCESS = {
    "id": "evt_0000000003e870008000000000000001",
    "time": "2026-11-24T09:30:01.123Z",
    "principal": "ann@example.org",
    "action": "open",
    "asset": "acme/model:v1",
    "outcome": "allowed",
}


def line(kind: str = "strongroom.test/1", writer: str = "door", **body: Any) -> bytes:
    entry = {"body": body, "time": "2026-11-24T09:30:01.123Z", "type": kind, "writer": writer}
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


class Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass
class Running:
    site: Site
    sequencer: Sequencer
    told: list[str]
    socket: Path
    token: str

    def ask(self, path: str, body: bytes = b"", *, token: str | None = None, method: str = "") -> tuple[int, Any]:
        connection = Unix(self.socket)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method or ("POST" if body else "GET"), path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if "json" in (answer.getheader("content-type") or "") else data

    def append(self, *lines: bytes, token: str | None = None) -> tuple[int, Any]:
        return self.ask("/v1/ledger/entries", b"\n".join(lines) + b"\n", token=token or self.token)

    def entries(self) -> list[Any]:
        self.sequencer.flush()
        reader: LogReader = self.site.ledger.reader()
        return [decode_entry(data) for _, data in reader.entries()]


@contextlib.contextmanager
def running(folder: Path, *, mode: int = 0o600, socket_path: Path | None = None, **options: Any) -> Iterator[Running]:
    site = Site.create(folder / "site", origin="example.com/log")
    told: list[str] = []
    path = socket_path or folder / "s"
    with site.ledger.open(notify=told.append) as sequencer:
        app = site_app(site, sequencer, notify=told.append, **options)
        with Server(app, unix_socket=path, socket_mode=mode):
            token = site.add_writer("door", ["strongroom.test/1", "strongroom.access/1"], os.getuid())
            yield Running(site, sequencer, told, path, token)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


def test_a_writer_appends_its_types_in_its_own_name(server: Running) -> None:
    assert server.append(line(n=1)) == (200, {"first": 0, "last": 0})
    assert server.append(line(n=2), line(n=3)) == (200, {"first": 1, "last": 2})
    assert [entry.body["n"] for entry in server.entries()] == [1, 2, 3]
    status, note = server.ask("/v1/ledger/checkpoint", token=server.token)
    assert status == 200
    assert note.splitlines()[:2] == [b"example.com/log", b"3"]
    status, about = server.ask("/v1/status", token=server.token)
    assert (status, about["size"], about["refusals"]) == (200, 3, {})


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        pytest.param(line("strongroom.lease/1"), 403, id="another type"),
        pytest.param(line(writer="cellar"), 403, id="another name"),
        pytest.param(line(writer="strongroom"), 403, id="the site's own name"),
        pytest.param(line("strongroom.ledger.key/1"), 403, id="a key rotation"),
        pytest.param(line("strongroom.ledger.refusals/1", writer="ledger"), 403, id="counted refusals"),
        pytest.param(line("strongroom.erasure/1"), 403, id="an erasure"),
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"{}", 400, id="no entry"),
        pytest.param(b"\xff\xfe", 400, id="no UTF-8"),
        pytest.param(b"[" * 60_000, 400, id="nested"),
        pytest.param(line(n=1).replace(b'"n":', b'"n": '), 400, id="not canonical"),
        pytest.param(line(x="y" * 70_000), 400, id="too large"),
        pytest.param(line("strongroom.access/1"), 400, id="no access event"),
        pytest.param(line("strongroom.access/1", **{**ACCESS, "asset": "../etc"}), 403, id="no asset"),
    ],
)
def test_what_a_writer_may_not_write_is_refused_and_nothing_of_its_request_is_on_record(
    server: Running, entry: bytes, status: int
) -> None:
    for lines in ([entry], [line(n=1), entry], [entry, line(n=1)]):
        got, said = server.append(*lines)
        assert got == status, said
        assert set(said["error"]) == {"code", "message", "where", "next"}
        assert said["error"]["message"]
    assert server.entries() == []
    assert server.append(line(n=1))[0] == 200, "it goes on"


def test_a_type_that_was_granted_as_everything_holds_no_ledger_types(server: Running) -> None:
    token = server.site.add_writer("all", ["*"], os.getuid())
    assert server.append(line("strongroom.lease/1", writer="all"), token=token)[0] == 200
    assert server.append(line("strongroom.ledger.key/1", writer="all"), token=token)[0] == 403
    assert server.append(line("strongroom.lease/1", writer="door"), token=token)[0] == 403


def test_the_same_refusal_for_every_stranger(server: Running) -> None:
    said = [
        server.ask("/v1/ledger/entries", line(n=1), token=token)
        for token in (None, "wrong", server.token[:-1], "x" * 5000)
    ]
    connection = Unix(server.socket)
    for header in ("", "Bearer", "Bearer ", f"Basic {server.token}", server.token, "Bearer \xff", "Bearer \u00e4"):
        connection.request("POST", "/v1/ledger/entries", line(n=1), {"Authorization": header})
        answer = connection.getresponse()
        said.append((answer.status, json.loads(answer.read())))
    connection.close()
    assert {status for status, _ in said} == {403}
    assert len({json.dumps(answer) for _, answer in said}) == 1, "what is wrong with a token is not told"
    for path in ("/v1/status", "/v1/ledger/checkpoint"):
        assert server.ask(path)[0] == 403
    assert server.entries() == []


def test_a_writer_that_was_removed_is_a_stranger_from_its_next_request_on(server: Running) -> None:
    assert server.append(line(n=1))[0] == 200
    server.site.state.remove_writer("door")
    assert server.append(line(n=1))[0] == 403


def test_other_paths_and_methods_answer_and_write_nothing(server: Running) -> None:
    assert server.ask("/", token=server.token)[0] == 404
    assert server.ask("/v1/ledger/entries", token=server.token)[0] == 405
    assert server.ask("/v1/ledger/entries", line(n=1), token=server.token, method="PUT")[0] == 405
    assert server.ask("/v1/ledger/entries/", line(n=1), token=server.token)[0] in (307, 404)
    assert server.entries() == []


def test_over_tcp_nobody_is_a_writer(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site", origin="example.com/log")
    token = site.add_writer("door", ["strongroom.test/1"], None)
    with site.ledger.open() as sequencer, Server(site_app(site, sequencer), listen="127.0.0.1:0") as server:
        connection = http.client.HTTPConnection(server.addresses[0].removeprefix("http://"))
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "uid:0", "Forwarded": "for=uid:0"}
        connection.request("POST", "/v1/ledger/entries", line(n=1), headers)
        assert connection.getresponse().status == 403
        connection.close()


def test_a_flood_of_refused_requests_is_one_entry(tmp_path: Path) -> None:
    with running(tmp_path, refusals_seconds=3600.0) as server:
        with ThreadPoolExecutor(8) as threads:
            asked = [
                threads.submit(server.ask, "/v1/ledger/entries", line(n=1), token=f"t{n % 50}") for n in range(400)
            ]
        assert {future.result()[0] for future in asked} == {403}
        assert server.ask("/v1/status", token=server.token)[1]["refusals"] == {f"uid {os.getuid()}: unknown token": 400}
        assert server.entries() == []
    reader = server.site.ledger.reader()
    (entry,) = [decode_entry(data) for _, data in reader.entries()]
    assert (entry.type, entry.writer) == ("strongroom.ledger.refusals/1", "ledger")
    assert entry.body == {"refused": {f"uid {os.getuid()}: unknown token": 400}}
    assert any("400 requests were refused" in text for text in server.told)


def test_refusals_are_put_on_record_while_it_serves(tmp_path: Path) -> None:
    with running(tmp_path, refusals_seconds=0.05) as server:
        server.ask("/v1/status")
        for _ in range(200):
            if server.entries():
                break
            threading.Event().wait(0.02)
        server.ask("/v1/status")
    counted = [decode_entry(data).body["refused"] for _, data in server.site.ledger.reader().entries()]
    assert counted == [{f"uid {os.getuid()}: no token": 1}] * 2


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Running) -> None:
    with pytest.raises(StrongroomError) as caught:
        recorder = RemoteRecorder(server.socket, server.token)
        recorder.append_many([line(x="y" * 60_000)] * 400)
    assert "16,777,216 bytes" in str(caught.value), "the answer is read although the rest could not be sent"
    status, said = server.ask("/v1/ledger/entries", b"\n" * 65_537, token=server.token)
    assert (status, "65,536 entries" in said["error"]["message"]) == (400, True)
    assert server.entries() == []


def test_a_client_that_leaves_or_drips_stops_nobody(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom.serving import _bodies as module

    monkeypatch.setattr(module, "BODY_SECONDS", 0.3)
    head = f"POST /v1/ledger/entries HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n".encode()
    for rest in (b"Content-Length: 100\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort", b""):
        with socket.socket(socket.AF_UNIX) as left:
            left.connect(str(server.socket))
            left.sendall(head + rest)
    with socket.socket(socket.AF_UNIX) as dripping:
        dripping.connect(str(server.socket))
        dripping.settimeout(10)
        dripping.sendall(head + b"Content-Length: 100\r\n\r\nshort")
        answer = b""
        while b"did not arrive in time" not in answer:  # head and body may come one after the other
            answer += (part := dripping.recv(65_536))
            assert part, answer
    assert server.append(line(n=1))[0] == 200
    assert len(server.entries()) == 1


def test_many_writers_at_once_each_get_their_own_indices(server: Running) -> None:
    def write(number: int) -> list[int]:
        recorder = RemoteRecorder(server.socket, server.token)
        with contextlib.closing(recorder):
            return [recorder.append_many([line(n=number, i=i)])[0] for i in range(20)]

    with ThreadPoolExecutor(8) as threads:
        indices = list(threads.map(write, range(8)))
    assert sorted(index for own in indices for index in own) == list(range(160))
    entries = server.entries()
    for number, own in enumerate(indices):
        assert [entries[index].body for index in own] == [{"n": number, "i": i} for i in range(20)]


def test_personal_facts_become_digests_before_they_are_on_record(server: Running) -> None:
    assert server.append(line("strongroom.access/1", **ACCESS, client_address="203.0.113.7"))[0] == 200
    (entry,) = server.entries()
    digest = server.site.subjects.find("ann@example.org")
    assert entry.body["principal"] == digest
    assert entry.body["client_address"].startswith("hmac-sha256:")
    for path in (server.site.path / "ledger").rglob("*"):
        if path.is_file() and path.name != "reserve":
            assert b"ann@" not in path.read_bytes(), path


def test_the_token_lies_nowhere_but_with_its_writer(server: Running) -> None:
    server.append(line(n=1))
    for path in server.site.path.rglob("*"):
        if path.is_file() and path.name != "reserve":
            assert server.token.encode() not in path.read_bytes()
    (writer,) = [one for one in server.site.state.writers() if one.name == "door"]
    assert writer.token_digest == hashlib.sha256(server.token.encode()).hexdigest()


CHILD = """
import os, sys
from pathlib import Path
from strongroom.ledger import RemoteRecorder
from strongroom.core.errors import StrongroomError
os.setgid(65534); os.setuid(65534)
try:
    print("on record", RemoteRecorder(Path(sys.argv[1]), sys.argv[2]).append_many([sys.argv[3].encode()])[0])
except StrongroomError as error:
    print(error.code, error.message)
"""


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A directory into which every user can look."""
    import tempfile

    if os.getuid() != 0:
        missing("only root can become another user")
    with tempfile.TemporaryDirectory(prefix="strongroom-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_token_of_another_uid_is_refused_and_the_right_uid_is_let_in(tmp_path: Path, open_folder: Path) -> None:
    with running(tmp_path, mode=0o666, socket_path=open_folder / "s") as server:
        theirs = server.site.add_writer("cellar", ["strongroom.test/1"], 65534)

        def child(token: str, writer: str) -> str:
            words = [sys.executable, "-c", CHILD, str(server.socket), token, line(writer=writer).decode()]
            return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, cwd="/").stdout.strip()

        assert child(server.token, "door") == "refused this writer is not known here"
        assert child(theirs, "cellar") == "on record 0"
        assert server.append(line(writer="cellar"), token=theirs)[0] == 403, "not even the server's own user"
        about = server.ask("/v1/status", token=server.token)[1]
        assert about["refusals"] == {f"uid {uid}: the token of another user": 1 for uid in (os.getuid(), 65534)}


def test_the_sequencers_failure_is_told_and_not_hidden(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StrongroomError("the disk is full", where="here", next="free some space")

    monkeypatch.setattr(server.sequencer, "append_nowait", full)
    monkeypatch.setattr(server.sequencer, "append_many", full)
    for lines in ([line(n=1)], [line(n=1), line(n=2)]):
        status, said = server.append(*lines)
        assert (status, said["error"]["message"]) == (503, "the disk is full")
    with pytest.raises(StrongroomError) as caught:
        RemoteRecorder(server.socket, server.token).append_many([line(n=1)])
    assert not isinstance(caught.value, RefusedError)
    assert caught.value.next == "free some space"
