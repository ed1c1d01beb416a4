"""Servers that are slow, endless, lying, redirecting or absent: each ends in time, in an error that says where."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError
from strongroom.ledger._http import get, post, public_url

Handler = Callable[[socket.socket], None]
DEADLINE = 0.5


class Loopback:
    """A server on a free port, whose connections a function answers, each in a thread of its own."""

    def __init__(self, handler: Handler) -> None:
        self.connections = 0
        self._handler = handler
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._handler(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], Loopback]]:
    with contextlib.ExitStack() as stack:

        def start(handler: Handler) -> Loopback:
            return stack.enter_context(contextlib.closing(Loopback(handler)))

        yield start


def _read_request(connection: socket.socket) -> None:
    """Head and body: an answer before the body was read could end in a reset."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += (part := connection.recv(65_536))
        if not part:
            return
    head, _, body = read.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    left = int(length[1]) - len(body) if length else 0
    while left > 0 and (part := connection.recv(65_536)):
        left -= len(part)


def answering(answer: bytes, then: bytes = b"", every: float = 0.0) -> Handler:
    """Reads a request, sends `answer`, and then `then` for ever."""

    def handler(connection: socket.socket) -> None:
        _read_request(connection)
        connection.sendall(answer)
        while then:
            connection.sendall(then)
            time.sleep(every)
        # What was not read yet, such as a body behind its head, would turn the end into a reset.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.2)
            while connection.recv(65_536):
                pass

    return handler


def ok(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_body_within_the_limit_comes_back_whole(serve) -> None:
    server = serve(answering(ok(b"x" * 200_000)))
    assert get(server.url, limit=200_000, deadline=5) == b"x" * 200_000


def test_not_found_is_none_and_other_statuses_are_errors(serve) -> None:
    assert get(serve(answering(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")).url, limit=9, deadline=5) is None
    for status, kind in ((403, InputError), (500, StrongroomError), (429, StrongroomError), (204, InputError)):
        server = serve(answering(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status))
        with pytest.raises(kind, match=f"answered {status}"):
            get(server.url, limit=9, deadline=5)


@pytest.mark.parametrize(
    "handler",
    [
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x", 0.05),
        answering(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05),
        lambda connection: time.sleep(3),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    ],
    ids=["drips a body", "drips a head", "says nothing", "continues for ever"],
)
def test_the_deadline_holds_over_the_whole_request(serve, handler: Handler) -> None:
    server = serve(handler)
    began = time.monotonic()
    with pytest.raises(StrongroomError, match=r"no whole answer within 0\.5 seconds \(http://127"):
        get(server.url, limit=10_000, deadline=DEADLINE)
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    "head",
    [b"", b"Content-Length: 99999999\r\n", b"Content-Length: 11\r\n"],
    ids=["no length", "a large length", "one byte more"],
)
def test_a_body_over_the_limit_is_not_kept(serve, head: bytes) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", b"x" * 4096))
    with pytest.raises(IntegrityError, match="larger than 10 bytes"):
        get(server.url, limit=10, deadline=5)


def test_endless_chunks_and_endless_heads_end(serve) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(IntegrityError, match="larger than"):
        get(serve(answering(chunked, b"8\r\nxxxxxxxx\r\n")).url, limit=50_000, deadline=5)
    with pytest.raises(InputError, match="too large"):
        get(serve(answering(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 999)).url, limit=50_000, deadline=5)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"SSH-2.0-OpenSSH\r\n",
        b"\0" * 100,
    ],
)
def test_an_answer_cut_or_malformed_is_no_body(serve, answer: bytes) -> None:
    with pytest.raises(InputError, match=r"unusable.*\(http://127"):
        get(serve(answering(answer)).url, limit=1000, deadline=5)


def test_a_body_longer_than_announced_is_cut_and_not_taken_for_the_next_answer(serve) -> None:
    server = serve(answering(ok(b"abc") + ok(b"smuggled")))
    assert get(server.url, limit=1000, deadline=5) == b"abc"
    assert get(server.url, limit=1000, deadline=5) == b"abc"


def test_compressed_answers_are_not_unpacked(serve) -> None:
    server = serve(answering(ok(b"\x1f\x8b", b"Content-Encoding: gzip\r\n")))
    assert get(server.url, limit=1000, deadline=5) == b"\x1f\x8b"


def test_redirects_are_not_followed(serve) -> None:
    target = serve(answering(ok(b"elsewhere")))
    redirect = b"HTTP/1.1 302 F\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % target.url.encode()
    for send in (get, lambda url, **bounds: post(url, b"x", **bounds)):
        # A server each: the second request would meet the first's connection while it is being closed.
        server = serve(answering(redirect))
        with pytest.raises(InputError, match="redirects are not followed"):
            send(server.url, limit=1000, deadline=5)
    assert target.connections == 0


@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
def test_a_deadline_that_passed_is_not_tried(serve, deadline: float) -> None:
    server = serve(answering(ok(b"abc")))
    with pytest.raises(StrongroomError, match="no whole answer within"):
        get(server.url, limit=9, deadline=deadline)
    assert server.connections == 0
    assert get(server.url, limit=9, deadline=float("inf")) == b"abc"


def test_an_absent_server_and_one_that_hangs_up_are_told(serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StrongroomError, match=r"cannot be reached.*refused.*\(http://127"):
        get(f"http://127.0.0.1:{port}", limit=9, deadline=5)
    with pytest.raises(StrongroomError, match="closed"):
        get(serve(answering(b"")).url, limit=9, deadline=5)


def test_errors_do_not_repeat_credentials(serve) -> None:
    url = serve(answering(b"junk\r\n")).url.replace("http://", "http://me:secret@") + "/a?token=secret#secret"
    with pytest.raises(InputError) as told:
        get(url, limit=9, deadline=5)
    assert "secret" not in str(told.value)
    assert told.value.where.endswith("/a")
    with pytest.raises(StrongroomError) as told:
        get("http://me:secret@127.0.0.1:9/?token=secret", limit=9, deadline=5)
    assert "secret" not in str(told.value)
    assert "secret" not in repr(told.value.__cause__)


@pytest.mark.parametrize(
    "url",
    ["ftp://a/b", "file:///etc/passwd", "a/b", "", "http://", "http:///a", "http://[::1", "http://a:99999/",
     "http://a b/", "http://a/\n", "http://a/" + "b" * 5000, "http://a:0/", "http://xn--/", "HTTP:a"],
)  # fmt: skip
def test_only_http_urls_are_fetched(url: str) -> None:
    with pytest.raises(UsageError, match="no URL to fetch from"):
        get(url, limit=9, deadline=1)
    with pytest.raises(UsageError, match="no URL to fetch from"):
        post(url, b"", limit=9, deadline=1)


def test_a_post_gives_status_and_body_whatever_the_status(serve) -> None:
    seen = []

    def handler(connection: socket.socket) -> None:
        seen.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\n17\n")

    assert post(serve(handler).url + "/add-checkpoint", b"old 0\n", limit=9, deadline=5) == (409, b"17\n")
    assert seen[0].startswith(b"POST /add-checkpoint HTTP/1.1\r\n")
    assert seen[0].endswith(b"\r\n\r\nold 0\n")


def test_connections_are_used_again_also_between_threads_and_no_cookie_comes_back(serve) -> None:
    requests = []

    def handler(connection: socket.socket) -> None:
        while request := connection.recv(65_536):
            requests.append(request)
            connection.sendall(ok(b"abc", b"Set-Cookie: a=b\r\n"))

    server = serve(handler)
    for _ in range(5):
        assert get(server.url, limit=9, deadline=5) == b"abc"
    assert server.connections == 1
    threads = [threading.Thread(target=get, args=(server.url,), kwargs={"limit": 9, "deadline": 5}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(requests) == 13
    assert not any(b"cookie" in request.lower() for request in requests)


def test_proxies_of_the_environment_are_not_used(serve) -> None:
    proxy, server = serve(answering(ok(b"proxied"))), serve(answering(ok(b"direct")))
    code = f"from strongroom.ledger._http import get; print(get('{server.url}', limit=99, deadline=5))"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"), proxy.url)
    environment = {**os.environ, **proxies, "no_proxy": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "b'direct'\n"
    assert proxy.connections == 0


def test_the_client_is_imported_when_it_is_needed() -> None:
    code = "import sys, strongroom.ledger._http; print('pyreqwest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_odd_urls_are_shown_without_control_characters() -> None:
    assert public_url("http://a/\x1b[31m") == "http://a/?[31m"
    assert public_url("http://[::1") == "a URL that cannot be read"
