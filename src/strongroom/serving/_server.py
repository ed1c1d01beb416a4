"""The one HTTP server of Strongroom: uvicorn with bounds, on TCP, TLS, or a Unix socket that tells who asks.

Over a Unix socket the kernel says which user connected (SO_PEERCRED); the scope's `client` is then
`("uid:<uid>", <pid>)`, which no header and no TCP peer can produce. The uid is that of the moment of connecting; a
process id may be used again by another process, so nothing is authorised by it. Over TLS the scope has the
certificates that the client proved to have the key of (`client_chain`).

Bounds: connections at once, of all and of one peer; seconds of a TLS handshake; bytes and seconds of a request's head;
idle seconds; seconds in which a client reads nothing of its answer; seconds of shutting down. A request that comes
before the last one was answered ends the connection: nobody needs that, and answers would be kept for whoever does not
read them. Bodies are for the apps to bound, since they know what they expect.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

from ..core.errors import StrongroomError, UsageError
from ._sockets import BACKLOG, bind_tcp, unix_listener, url_of

__all__ = ["Server", "client_chain", "peer_uid", "run"]

log = logging.getLogger("strongroom.serving")
LIMIT_CONCURRENCY = 256
"""Connections, and requests, at once; whoever comes above is answered with 503."""
KEEP_ALIVE_SECONDS = 15
"""How long a connection may be idle between requests."""
HEAD_SECONDS = 10.0
"""How long the head of a request may take, from the connection or from its first byte."""
HANDSHAKE_SECONDS = 10.0
WRITE_SECONDS = 30.0
"""How long an answer may wait for a client that does not read."""
OF_ONE_PEER = 0.75
"""The share of all connections that one user or address may have."""
ODD_SECONDS = 60.0
"""How often a failure of the event loop is told, such as that there are no descriptors left."""
MAX_HEAD_BYTES = 65_536
SHUTDOWN_SECONDS = 10
_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid
_DER = 2  # _ssl.ENCODING_DER


def run(
    app: ASGIApp,
    *,
    listen: str | None = None,
    unix_socket: Path | None = None,
    ready: Callable[[str], None],
    socket_mode: int = 0o600,
    limit_concurrency: int = LIMIT_CONCURRENCY,
) -> None:
    """Serves until SIGTERM or SIGINT, and returns once requests under way were answered. See `Server`."""
    server = Server(
        app, listen=listen, unix_socket=unix_socket, socket_mode=socket_mode, limit_concurrency=limit_concurrency
    )
    server.run(ready)


def peer_uid(scope: Scope) -> int | None:
    """The user who connected over a Unix socket, None for everybody else.

    >>> peer_uid({"client": ("uid:1000", 4711)}), peer_uid({"client": ("127.0.0.1", 4711)})
    (1000, None)
    """
    host = (scope.get("client") or ("", 0))[0]
    return int(host.removeprefix("uid:")) if host.startswith("uid:") else None


def client_chain(scope: Scope) -> list[bytes]:
    """The certificates (DER) that the client showed over TLS, its own first; empty where it showed none.

    That it has the key of the first was proved by the handshake; the others are only what it sent.
    """
    return list(scope.get("extensions", {}).get("strongroom.tls", {}).get("client_chain", ()))


class Server:
    """One app on a TCP address, a Unix socket, or both. Serves once.

    `listen` is `HOST:PORT`, or a port alone for loopback; port 0 takes a free one; with `tls` TLS is spoken there,
    and nothing else. `unix_socket` is made with `socket_mode`; a file left there by a dead server is replaced.
    `run` serves in the calling thread, `start` in another. `addresses` says where, from then on. Both raise
    UsageError for an address that cannot be, and StrongroomError for one that is taken or when the app does not
    start.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        listen: str | None = None,
        tls: ssl.SSLContext | None = None,
        unix_socket: Path | None = None,
        socket_mode: int = 0o600,
        limit_concurrency: int = LIMIT_CONCURRENCY,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        if listen is None and unix_socket is None:
            raise UsageError("the server has nowhere to listen", next="name HOST:PORT or a Unix socket")
        self.addresses: tuple[str, ...] = ()
        self._listen, self._tls, self._path, self._mode = listen, tls, unix_socket, socket_mode
        self._head_seconds, self._limit = head_seconds, limit_concurrency
        self._app = app
        self._server: _Uvicorn | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._settled = threading.Event()

    def run(self, ready: Callable[[str], None] = lambda address: None) -> None:
        """Serves until a signal (in the main thread) or `stop`; `ready` is told each address once all listen."""
        with self._listening() as sockets:
            self._serve(sockets, ready)

    def start(self) -> None:
        """Serves in a thread of its own. Returns once it listens."""
        self._thread = threading.Thread(target=self._in_thread, name="strongroom-server", daemon=True)
        self._thread.start()
        self._settled.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Lets requests under way end, for SHUTDOWN_SECONDS at most, and removes the Unix socket."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _in_thread(self) -> None:
        try:
            self.run(lambda address: self._settled.set())
        except BaseException as error:  # told by `start`, which waits
            self._failure = error
        finally:
            self._settled.set()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[list[socket.socket]]:
        with contextlib.ExitStack() as stack:
            sockets, addresses = [], []
            if self._listen is not None:
                tcp = stack.enter_context(bind_tcp(self._listen))
                sockets.append(tcp)
                addresses.append(url_of(tcp, "https" if self._tls else "http"))
            if self._path is not None:
                sockets.append(stack.enter_context(unix_listener(self._path, self._mode)))
                addresses.append(f"unix:{self._path}")
            self.addresses = tuple(addresses)
            yield sockets

    def _serve(self, sockets: list[socket.socket], ready: Callable[[str], None]) -> None:
        config = uvicorn.Config(
            self._app,
            http=_bounded_protocol(self._head_seconds),
            ws="none",
            loop="asyncio",
            interface="asgi3",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # they would let a client say who it is
            server_header=False,
            limit_concurrency=self._limit,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a line for each odd request of a stranger
        self._server = _Uvicorn(config, self._tls, lambda: self._tell(ready))
        try:
            self._server.run(sockets)
        except SystemExit:
            raise StrongroomError("the app did not start", next="see the log above for its reason") from None

    def _tell(self, ready: Callable[[str], None]) -> None:
        for address in self.addresses:
            ready(address)


class _Uvicorn(uvicorn.Server):
    """Says when it listens, and returns after a signal instead of dying of it."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._tls, self._listening = tls, listening
        self._quiet_until = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens itself: uvicorn knows no bound for a handshake, and one TLS for all sockets."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._odd)
        for one in sockets or []:
            tls = self._tls if one.family != socket.AF_UNIX else None
            waits = HANDSHAKE_SECONDS if tls else None
            made = await loop.create_server(
                self._protocol, sock=one, ssl=tls, ssl_handshake_timeout=waits, backlog=BACKLOG
            )
            self.servers.append(made)
        self._listening()

    def _odd(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Told seldom: what strangers bring about must not fill the log."""
        if loop.time() < self._quiet_until:
            return
        self._quiet_until = loop.time() + ODD_SECONDS
        log.warning("the server: %s", context.get("exception") or context.get("message"))

    def _protocol(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = made(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _most_connections(limit: int) -> int:
    """Twice what is served at once, as far as half of the descriptors go."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(2 * limit, descriptors // 2 if descriptors > 0 else 2 * limit)


def _bounded_protocol(head_seconds: float) -> type[_Protocol]:
    return type("_BoundedProtocol", (_Protocol,), {"head_seconds": head_seconds})


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which bounds neither the bytes of a head nor the seconds it takes, and knows no peer uid."""

    head_seconds = HEAD_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = _peer(transport) or self.client
        self._writing: asyncio.TimerHandle | None = None
        if self._is_one_too_many():
            transport.abort()
        self._shown = _shown(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._expect_head()

    def _is_one_too_many(self) -> bool:
        """Beyond what is answered with 503: connections cost a descriptor each, whether or not they ask anything."""
        most = _most_connections(self.limit_concurrency or LIMIT_CONCURRENCY)
        peer = (self.client or ("",))[0]
        own = sum((getattr(one, "client", None) or ("",))[0] == peer for one in self.connections)
        return len(self.connections) > most or own > max(1, int(most * OF_ONE_PEER))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read()

    def _read(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._read()
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        self._unread = 0
        super().on_message_begin()
        self.scope["extensions"] = {"strongroom.tls": {"client_chain": self._shown}}

    def on_headers_complete(self) -> None:
        self._head_came()
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

    def _expect_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _head_came(self) -> None:
        self._unread = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _peer(transport: asyncio.Transport) -> tuple[str, int] | None:
    """Who connected to a Unix socket; None for TCP."""
    connection: Any = transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"uid:{uid}", pid


def _shown(transport: asyncio.Transport) -> list[bytes]:
    """What the client showed in the TLS handshake."""
    tls: Any = transport.get_extra_info("ssl_object")
    if tls is None:
        return []
    leaf = tls.getpeercert(binary_form=True)
    if leaf is None:
        return []
    chain = tls._sslobj.get_unverified_chain() or []
    return [leaf, *(one.public_bytes(_DER) for one in chain[1:])]
