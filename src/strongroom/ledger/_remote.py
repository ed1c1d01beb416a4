"""Appending to a ledger that another process holds: HTTP on the site's Unix socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..core.calling import Caller, over_unix_socket
from ..core.errors import StrongroomError
from ..core.records import Entry
from ._entry import encode_entry

__all__ = ["RemoteRecorder"]


class RemoteRecorder:
    """A `Recorder` at the other end of a socket. `token` names the writer and what it may write."""

    def __init__(self, path: Path, token: str) -> None:
        self._path = path
        self._caller = Caller(
            over_unix_socket(path),
            what="the site's server",
            where=str(path),
            next="see whether 'strongroom serve' runs; the entry may be on record",
            headers=lambda: {"Authorization": f"Bearer {token}"},
        )

    def append(self, entry: Entry) -> int:
        """See `Recorder`."""
        return self.append_many([encode_entry(entry)])[0]

    def append_many(self, entries: list[bytes]) -> range:
        """Canonical entries in one commit; their indices once they are durable. Raises StrongroomError."""
        data = self._caller.call("POST", "/v1/ledger/entries", b"\n".join(entries) + b"\n")
        try:
            answer = msgspec.json.decode(data, type=_Indices)
        except msgspec.MsgspecError:
            raise self._strange("nothing that can be understood") from None
        if answer.last - answer.first + 1 != len(entries):
            raise self._strange("about other entries")
        return range(answer.first, answer.last + 1)

    def status(self) -> dict[str, Any]:
        """What the server says of itself."""
        return msgspec.json.decode(self._caller.call("GET", "/v1/status"), type=dict[str, Any])

    def close(self) -> None:
        """Ends the connection."""
        self._caller.close()

    def _strange(self, what: str) -> StrongroomError:
        return StrongroomError(f"the site's server answers {what}", where=str(self._path))


class _Indices(msgspec.Struct):
    first: int
    last: int
