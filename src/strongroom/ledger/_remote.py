"""Appending to a ledger that another process holds: HTTP on the site's Unix socket."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from ..core.records import Entry
from ._entry import encode_entry

__all__ = ["RemoteRecorder"]

ANSWER_SECONDS = 60.0
IDLE_SECONDS = 10.0
"""A connection is not used again after this long: less than the 15 seconds that the server keeps it."""
MAX_ANSWER_BYTES = 8 << 20
T = TypeVar("T")
_KINDS = {kind.code: kind for kind in (StrongroomError, UsageError, InputError, RefusedError, IntegrityError)}


class RemoteRecorder:
    """A `Recorder` at the other end of a socket. `token` names the writer and what it may write."""

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token = path, token
        self._connection: _UnixConnection | None = None
        self._answered = 0.0

    def append(self, entry: Entry) -> int:
        """See `Recorder`."""
        return self.append_many([encode_entry(entry)])[0]

    def append_many(self, entries: list[bytes]) -> range:
        """Canonical entries in one commit; their indices once they are durable. Raises StrongroomError."""
        answer = self._ask("POST", "/v1/ledger/entries", b"\n".join(entries) + b"\n", _Indices)
        if answer.last - answer.first + 1 != len(entries):
            raise StrongroomError("the site's server answers about other entries", where=str(self._path))
        return range(answer.first, answer.last + 1)

    def status(self) -> dict[str, Any]:
        """What the server says of itself."""
        return self._ask("GET", "/v1/status", b"", dict[str, Any])

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: bytes, kind: type[T]) -> T:
        if time.monotonic() - self._answered > IDLE_SECONDS:
            self.close()  # the server may have ended it by now, and what was sent then is not to be sent twice
        if self._connection is None:
            self._connection = _UnixConnection(self._path)
        try:
            self._connection.request(method, path, body, {"Authorization": f"Bearer {self._token}"})
            answer = self._connection.getresponse()
            data = answer.read(MAX_ANSWER_BYTES)
            self._answered = time.monotonic()
        except (OSError, http.client.HTTPException) as error:
            # Never tried again here: the entry may be on record already.
            self.close()
            raise StrongroomError(
                f"the site's server did not answer ({type(error).__name__})",
                where=str(self._path),
                next="see whether 'strongroom serve' runs; the entry may be on record",
            ) from error
        try:
            if answer.status == 200:
                return msgspec.json.decode(data, type=kind)
            told = msgspec.json.decode(data, type=_Refusal).error
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            told = _Told(message=f"the site's server answered {answer.status}, and nothing that can be understood")
        raise _KINDS.get(told.code, StrongroomError)(told.message, where=told.where or str(self._path), next=told.next)


class _Indices(msgspec.Struct):
    first: int
    last: int


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
