"""Calling a server of ours: HTTP/1.1 over its Unix socket, or over TLS. Its errors come back as they were raised there.

Nothing is sent twice by itself: what a server did whose answer was lost is for the caller to know.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from .errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError

__all__ = ["ANSWER_SECONDS", "Caller", "NoAnswer", "TryAgain", "over_tls", "over_unix_socket"]

ANSWER_SECONDS = 60.0
WHOLE_SECONDS = 180.0
"""For all of a call: a server that sends a byte now and then is given up too."""
IDLE_SECONDS = 10.0
"""A connection is not used again after this long: less than the 15 seconds that our server keeps it."""
MAX_ANSWER_BYTES = 8 << 20
_KINDS = {kind.code: kind for kind in (StrongroomError, UsageError, InputError, RefusedError, IntegrityError)}
_KINDS |= {"not-identified": RefusedError}
Connect = Callable[[], http.client.HTTPConnection]


class NoAnswer(StrongroomError):
    """The server did not answer; whether it did what it was asked is not known."""


class TryAgain(StrongroomError):
    """The server has too much to do, and did nothing of what it was asked."""


class Caller:
    """One server. Threads may share it: they take turns."""

    def __init__(
        self,
        connect: Connect,
        *,
        what: str,
        where: str,
        next: str,
        headers: Callable[[], Mapping[str, str]] = dict,
        limit: int = MAX_ANSWER_BYTES,
    ) -> None:
        """`what` and `where` name the server in errors; `headers` are read anew for each call, as they may change."""
        self._connect, self._headers, self._limit = connect, headers, limit
        self._what, self._where, self._next = what, where, next
        self._connection: http.client.HTTPConnection | None = None
        self._answered = 0.0
        self._lock = threading.Lock()

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of an answer of 200. Raises NoAnswer, and the error that the server told."""
        with self._lock:
            status, data = self._call(method, path, body)
        if status == 200:
            return data
        try:
            told = msgspec.json.decode(data, type=_Refusal).error
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            told = _Told(message=f"{self._what} answered {status}, and nothing that can be understood")
            if status == 503:  # of the server itself, which has as many connections as it takes
                told = _Told(message=f"{self._what} has too much to do", code="busy")
        if told.code == "busy":
            raise TryAgain(told.message, where=self._where, next="try again later")
        raise _KINDS.get(told.code, StrongroomError)(told.message, where=told.where or self._where, next=told.next)

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if time.monotonic() - self._answered > IDLE_SECONDS:
            self.close()  # the server may have ended it by now, and what was sent then is not to be sent twice
        try:
            if self._connection is None:
                self._connection = self._connect()
            with _ending(self._connection):
                self._connection.request(method, path, body, dict(self._headers()))
                answer = self._connection.getresponse()
                data = answer.read(self._limit + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            why = error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
            raise NoAnswer(f"{self._what} did not answer ({why})", where=self._where, next=self._next) from error
        if len(data) > self._limit:
            self.close()
            raise IntegrityError(f"{self._what} answered more than {self._limit:,} bytes", where=self._where)
        self._answered = time.monotonic()
        return answer.status, data


@contextlib.contextmanager
def _ending(connection: http.client.HTTPConnection) -> Iterator[None]:
    """Ends the connection after WHOLE_SECONDS: each read has a bound of its own, and there may be many."""

    def end() -> None:
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(WHOLE_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def over_unix_socket(path: Path) -> Connect:
    """Connects to the Unix socket at `path`."""
    return lambda: _UnixConnection(path)


def over_tls(
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    check: Callable[[bytes], None] = lambda certificate: None,
) -> Connect:
    """Connects to `host`; `check` is given the server's own certificate (DER), and raises where it is not the one."""
    return lambda: _TlsConnection(host, port, context, check)


class _Told(msgspec.Struct):
    message: str
    code: str = ""
    where: str = ""
    next: str = ""


class _Refusal(msgspec.Struct):
    error: _Told


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._unix_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._unix_path))


class _TlsConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, port: int, context: ssl.SSLContext, check: Callable[[bytes], None]) -> None:
        super().__init__(host, port, timeout=ANSWER_SECONDS, context=context)
        self._check = check

    def connect(self) -> None:
        super().connect()
        shown = self.sock.getpeercert(binary_form=True)
        try:
            self._check(shown or b"")
        except BaseException:
            self.close()
            raise
