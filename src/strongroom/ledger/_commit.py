"""What the sequencer's threads hand to each other."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..core.errors import StrongroomError
from ._checkpoint import Checkpoint

__all__ = ["Batch", "Commit", "Committed", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What bounds a sequencer."""

    queue_bytes: int = 32 << 20
    """Entries that wait for a commit; then `append` waits and `append_nowait` refuses."""
    commit_entries: int = 65_536
    """Entries of one commit; a batch that is larger is its own commit."""
    pending_bytes: int = 64 << 20
    """Committed and not yet in tiles; then commits wait for the publisher."""
    journal_bytes: int = 64 << 20
    """A journal that is longer is renewed as soon as all of it is published."""
    publish_seconds: float = 0.25
    """At least this long from one publication to the next."""
    patience_seconds: float = 30.0
    """How long `append` waits for room."""


@dataclass(frozen=True)
class Committed:
    """A tree that is durable: its checkpoint, signed."""

    checkpoint: Checkpoint
    note: bytes


def _closed_gate() -> threading.Lock:
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass
class Batch:
    """Entries that share a commit, and who waits for it."""

    entries: list[bytes] = field(default_factory=list)
    bytes: int = 0
    futures: list[tuple[int, Future[int]]] = field(default_factory=list)
    gate: threading.Lock = field(default_factory=_closed_gate)
    first: int = 0
    error: StrongroomError | None = None

    def finish(self) -> None:
        """Tells everybody."""
        self.gate.release()
        for position, future in self.futures:
            if self.error is not None:
                future.set_exception(self.error)
            else:
                future.set_result(self.first + position)

    def index(self, position: int) -> int:
        """Waits for the commit. Callers pass the gate one after the other, which wakes no two at once."""
        with self.gate:
            pass
        if self.error is not None:
            raise type(self.error)(self.error.message, where=self.error.where, next=self.error.next)
        return self.first + position


@dataclass(frozen=True)
class Commit:
    """What is durable and not yet in tiles: entries by bundle, nodes by height, and the tree after them."""

    pieces: list[tuple[int, bytes]]
    nodes: dict[int, list[bytes]]
    bytes: int
    committed: Committed
