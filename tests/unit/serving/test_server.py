"""The server on loopback and Unix sockets: who asks is known, what is too slow or too large ends, signals stop it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from strongroom.core.errors import StrongroomError, UsageError
from strongroom.serving import Server, peer_uid
from strongroom.serving import _sockets as sockets

ENTERED, LEAVE = threading.Event(), threading.Event()


async def who(request: Request) -> Response:
    return JSONResponse([list(request.scope["client"]), peer_uid(request.scope)])


async def count(request: Request) -> Response:
    return JSONResponse(sum([len(chunk) async for chunk in request.stream()]))


def wait(request: Request) -> Response:
    ENTERED.set()
    LEAVE.wait(5)
    return Response("waited")


APP = Starlette(routes=[Route("/who", who), Route("/count", count, methods=["POST"]), Route("/wait", wait)])


class Broken:
    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        raise RuntimeError("no")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: pytest's own may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="sr-") as name:
        yield Path(name)


def connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(address.removeprefix("unix:"))
        return client
    host, _, port = address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=8)


def talk(address: str, request: bytes, then: bytes = b"") -> bytes:
    """Sends, and reads until the server closes."""
    with connect(address) as client:
        client.settimeout(8)
        client.sendall(request)
        if then:
            client.sendall(then)
        answer = b""
        while data := client.recv(65_536):
            answer += data
        return answer


def ask(address: str, path: str = "/who", head: str = "") -> bytes:
    return talk(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode())


def test_over_tcp_the_client_is_an_address_whatever_its_headers_say() -> None:
    with Server(APP, listen="127.0.0.1:0") as server:
        (address,) = server.addresses
        answer = ask(address, head="X-Forwarded-For: uid:0\r\nForwarded: for=uid:0\r\nX-Forwarded-Proto: https\r\n")
    assert b'[["127.0.0.1",' in answer
    assert answer.endswith(b"],null]")
    assert b"server:" not in answer.lower()


def test_over_a_unix_socket_the_kernel_says_who_asks(directory: Path) -> None:
    code = (
        "import os, socket, sys; os.setuid(int(sys.argv[2])); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "s.sendall(b'GET /who HTTP/1.1\\r\\nX-Forwarded-For: uid:1\\r\\nConnection: close\\r\\n\\r\\n'); d = b''\n"
        "while c := s.recv(999): d += c\nprint(d.decode().split('\\r\\n\\r\\n')[1], os.getpid())"
    )
    directory.chmod(0o755)
    path = directory / "s"
    with Server(APP, unix_socket=path, socket_mode=0o666) as server:
        assert server.addresses == (f"unix:{path}",)
        for uid in (os.getuid(), 65534) if os.getuid() == 0 else (os.getuid(),):
            command = [sys.executable, "-c", code, str(path), str(uid)]
            said, pid = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            assert said == f'[["uid:{uid}",{pid}],{uid}]'


def test_one_app_serves_both_at_once(directory: Path) -> None:
    with Server(APP, listen="0", unix_socket=directory / "s") as server:
        tcp, unix = server.addresses
        assert tcp.startswith("http://127.0.0.1:")
        assert b"200 OK" in ask(tcp)
        assert f'"uid:{os.getuid()}"'.encode() in ask(unix)


def test_the_socket_file_is_ours_alone_by_default_and_goes_with_the_server(directory: Path) -> None:
    path = directory / "s"
    old = os.umask(0)
    try:
        with Server(APP, unix_socket=path):
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)
    assert not path.exists()
    with Server(APP, unix_socket=path, socket_mode=0o660):
        assert path.stat().st_mode & 0o777 == 0o660


def test_a_dead_server_s_socket_is_replaced_and_a_living_one_s_is_not(directory: Path) -> None:
    path = directory / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with Server(APP, unix_socket=path):
        with pytest.raises(StrongroomError, match="another server listens here") as told:
            Server(APP, unix_socket=path).start()
        assert told.value.where == str(path)
        assert b"200 OK" in ask(f"unix:{path}")


def test_of_two_servers_that_start_at_once_one_listens(directory: Path) -> None:
    path, failures = directory / "s", []
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    servers = [Server(APP, unix_socket=path) for _ in range(4)]

    def start(server: Server) -> None:
        try:
            server.start()
        except StrongroomError as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 3
    assert b"200 OK" in ask(f"unix:{path}")
    for server in servers:
        server.stop()
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(directory: Path) -> None:
    (directory / "s").write_text("precious")
    with pytest.raises(StrongroomError, match="no socket"):
        Server(APP, unix_socket=directory / "s").start()
    assert (directory / "s").read_text() == "precious"


def test_a_socket_that_somebody_put_in_our_place_is_not_removed(directory: Path) -> None:
    path = directory / "s"
    with Server(APP, unix_socket=path):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.exists()


def test_paths_and_addresses_that_cannot_be_are_told(directory: Path) -> None:
    with pytest.raises(UsageError, match="at most 107 bytes"):
        Server(APP, unix_socket=directory / ("é" * 50)).start()
    with pytest.raises(StrongroomError, match="No such file"):
        Server(APP, unix_socket=directory / "a" / "s").start()
    with pytest.raises(UsageError, match="nowhere to listen"):
        Server(APP)
    for listen in ("", "a", "127.0.0.1", "127.0.0.1:", "::1:80", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:٣"):
        with pytest.raises(UsageError, match="no address to listen on"):
            Server(APP, listen=listen).start()
    with pytest.raises(UsageError, match="no address of this machine"):
        Server(APP, listen="a..b:80").start()


def test_a_path_of_107_bytes_is_not_too_long(directory: Path) -> None:
    path = directory / ("s" * (107 - len(str(directory)) - 1))
    with Server(APP, unix_socket=path) as server:
        assert b"200 OK" in ask(server.addresses[0])


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StrongroomError, match="cannot listen: Address already in use") as told:
            Server(APP, listen=listen).start()
    assert told.value.where == listen


def test_without_a_host_it_is_loopback() -> None:
    assert sockets._parse_listen("8080") == sockets._parse_listen(":8080") == ("127.0.0.1", 8080)
    assert sockets._parse_listen("[::1]:8080") == ("::1", 8080)
    assert sockets._parse_listen("0.0.0.0:8080") == ("0.0.0.0", 8080)


def test_an_app_that_does_not_start_is_told(directory: Path) -> None:
    with pytest.raises(StrongroomError, match="did not start"):
        Server(Broken(), unix_socket=directory / "s").start()
    assert not (directory / "s").exists()


# --- hostile clients ---


def test_a_head_that_takes_too_long_ends_the_connection(directory: Path) -> None:
    with Server(APP, unix_socket=directory / "s", head_seconds=0.3) as server:
        (address,) = server.addresses
        for sent in (b"", b"GET /who HT", b"\r\n"):
            began = time.monotonic()
            with connect(address) as client:
                client.settimeout(5)
                client.sendall(sent)
                try:
                    while client.recv(999) != b"":
                        pass
                except ConnectionResetError:
                    pass
            assert time.monotonic() - began < 3


def test_a_dripped_head_ends_also_on_a_connection_that_was_used(directory: Path) -> None:
    with Server(APP, unix_socket=directory / "s", head_seconds=0.3) as server, connect(server.addresses[0]) as client:
        client.settimeout(5)
        client.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in client.recv(999)
        began = time.monotonic()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            client.sendall(b"GET / HTTP/1.1\r\n")
            while time.monotonic() - began < 4:
                client.sendall(b"X: y\r\n")
                time.sleep(0.05)
        assert time.monotonic() - began < 3


def test_a_slow_body_is_not_taken_for_a_slow_head(directory: Path) -> None:
    with Server(APP, unix_socket=directory / "s", head_seconds=0.2) as server, connect(server.addresses[0]) as client:
        client.settimeout(5)
        client.sendall(b"POST /count HTTP/1.1\r\nConnection: close\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            time.sleep(0.05)
            client.sendall(b"x")
        assert b"".join(iter(lambda: client.recv(999), b"")).endswith(b"\r\n\r\n10")


def refused_or_reset(address: str, start: bytes, more: bytes) -> bool:
    """Whether sending `more` for ever comes to an end."""
    with connect(address) as client:
        client.settimeout(5)
        client.sendall(start)
        try:
            for _ in range(200_000_000 // len(more)):
                client.sendall(more)
        except OSError:
            return True
    return False


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /who HTTP/1.1\r\n", b"X: y\r\n" * 999),
        (b"GET /who HTTP/1.1\r\nX: ", b"y" * 9999),
        (b"GET /", b"y" * 9999),
        (b"POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X: y\r\n" * 999),
    ],
    ids=["lines", "one line", "a path", "trailers"],
)
def test_an_endless_head_ends(directory: Path, start: bytes, more: bytes) -> None:
    with Server(APP, unix_socket=directory / "s") as server:
        assert refused_or_reset(server.addresses[0], start, more)
        assert b"200 OK" in ask(server.addresses[0])


def test_large_bodies_in_many_chunks_pass(directory: Path) -> None:
    with Server(APP, unix_socket=directory / "s") as server:
        chunks = b"a\r\n0123456789\r\n" * 50_000 + b"0\r\n\r\n"
        head = b"POST /count HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert talk(server.addresses[0], head, chunks).endswith(b"500000")


def test_noise_is_answered_with_400(directory: Path) -> None:
    with Server(APP, unix_socket=directory / "s") as server:
        for noise in (b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n", b"SSH-2.0-x\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            assert talk(server.addresses[0], noise).startswith(b"HTTP/1.1 400")


def test_above_the_limit_of_connections_the_answer_is_503(directory: Path) -> None:
    with Server(APP, unix_socket=directory / "s", limit_concurrency=3) as server:
        idle = [connect(server.addresses[0]) for _ in range(3)]
        time.sleep(0.1)
        assert b"503 Service Unavailable" in ask(server.addresses[0])
        for client in idle:
            client.close()
        time.sleep(0.1)
        assert b"200 OK" in ask(server.addresses[0])


# --- stopping ---


def test_requests_under_way_are_answered_before_it_stops(directory: Path) -> None:
    ENTERED.clear()
    LEAVE.clear()
    server = Server(APP, unix_socket=directory / "s")
    server.start()
    answers = []
    client = threading.Thread(target=lambda: answers.append(ask(server.addresses[0], "/wait")))
    client.start()
    assert ENTERED.wait(5)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    time.sleep(0.3)
    assert stopping.is_alive()
    LEAVE.set()
    stopping.join(5)
    client.join(5)
    assert answers[0].endswith(b"waited")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_run_which_then_returns(directory: Path, number: signal.Signals) -> None:
    code = (
        "import sys; from pathlib import Path; from starlette.applications import Starlette; from strongroom.serving import run\n"
        "run(Starlette(), listen='127.0.0.1:0', unix_socket=Path(sys.argv[1]), ready=lambda a: print(a, flush=True))\n"
        "print('returned')"
    )
    command = [sys.executable, "-c", code, str(directory / "s")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        tcp, unix = process.stdout.readline().strip(), process.stdout.readline().strip()
        assert http.client.HTTPConnection(tcp.removeprefix("http://"), timeout=5).connect() is None
        assert b"404" in ask(unix)
        process.send_signal(number)
        assert process.stdout.read() == "returned\n"
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert not (directory / "s").exists()


def test_run_serves_in_a_thread_too(directory: Path) -> None:
    ready, server = threading.Event(), Server(APP, unix_socket=directory / "s")
    thread = threading.Thread(target=server.run, args=(lambda address: ready.set(),))
    thread.start()
    assert ready.wait(5)
    assert b"200 OK" in ask(server.addresses[0])
    server.stop()
    thread.join(5)
    assert not thread.is_alive()
