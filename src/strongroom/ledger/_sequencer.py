"""The sequencer: the one that appends to a log.

Who owns what: callers put entries into the batch that is being filled (`_batch`, under `_lock`). The committer
thread takes it, owns the tree and the journal, and acknowledges. The publisher thread owns the edge and everything
below `public/`. `_pending`, under `_lock`, is what is committed and not yet published.

What is durable when:
  append() returns            the entry is in the journal, synced; a checkpoint that covers it is signed. Ed25519 is
                              deterministic: a restart signs the same one again.
  `public/checkpoint` is new  every tile and bundle that it covers is synced.

Whoever cannot write any more says so to every caller, and never acknowledges what may be lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from ..core.errors import InputError, IntegrityError, StrongroomError
from ..core.records import Entry
from ._checkpoint import Checkpoint
from ._commit import Batch, Commit, Committed, Limits
from ._edge import Edge, split_bundles
from ._entry import RESERVED, check_entry, decode_entry, encode_entry
from ._journal import Journal, NotWritten, Replaced
from ._keys import NoteSigner
from ._merkle import Frontier, leaf_hashes
from ._notes import Note, SignatureLine
from ._record import encode_record
from ._reserve import Reserve
from ._storage import Storage, full_disk, is_full

__all__ = ["Sequencer"]

PARTIAL_BYTES = 1 << 20
"""A partial bundle of so many bytes is published half as often as a small one."""
_RESERVED = f'"type":"{RESERVED}'.encode()


class Sequencer:
    """Appends to a log. Made by `open_ledger`, which holds the lock and has read what was there."""

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        signer: NoteSigner,
        edge: Edge,
        *,
        reserve: Reserve | None = None,
        limits: Limits | None = None,
        notify: Callable[[str], None] = lambda text: None,
        published: Callable[[Committed], None] = lambda committed: None,
    ) -> None:
        self.limits = limits or Limits()
        self.signer = signer
        self._storage, self._journal, self._reserve = storage, journal, reserve
        self._notify, self._on_published = notify, published
        self._edge = edge
        self._tree = edge.frontier()
        self._lock = threading.Lock()
        self._public = threading.Lock()  # who replaces checkpoint or journal; taken before `_lock`, never within
        self._wake = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._batch = Batch()
        self._pending: list[Commit] = []
        self._closing = self._committed_all = False
        self._failure: StrongroomError | None = None
        self._held_up: StrongroomError | None = None
        self.committed = self._sign(self._tree)
        self.published = self.committed
        self._threads: list[threading.Thread] = []

    def recover(self, published: bytes, waiting: Sequence[list[bytes]]) -> None:
        """Publishes what older journals hold, then begins its own, before the threads start. Raises StrongroomError."""
        self.published = Committed(self.committed.checkpoint, published)
        for entries in waiting:
            self._settle(Batch(entries, sum(map(len, entries))), recorded=True)
        if self._pending:
            try:
                self._publish(list(self._pending))
            except StrongroomError as error:
                if not self._released(error):
                    raise
                self._publish(list(self._pending))
        try:
            self._spend(lambda: self._journal.append(self._base()))
            self._journal.check()
        except OSError as error:
            raise full_disk(error, self._storage.name) from error

    def _base(self) -> list[bytes]:
        """The record with which a journal begins: the tree that is published."""
        return encode_record(self._tree.size, [], self._tree.root())

    def start(self, release: Callable[[], None] = lambda: None) -> None:
        """Starts the two threads. `release` is called once the sequencer has ended."""
        self._release = release
        for work in (self._committer, self._publisher):
            thread = threading.Thread(target=work, name=f"ledger{work.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    # Appending

    def append(self, entry: Entry) -> int:
        """See `Recorder`: the entry's index once it is durable and covered by a signed checkpoint."""
        return self.append_bytes(encode_entry(entry))

    def append_bytes(self, data: bytes) -> int:
        """`append` for canonical bytes. Raises InputError for others, StrongroomError."""
        _check(data)
        batch, position = self._enter([data], wait=True)
        return batch.index(position)

    def append_nowait(self, data: bytes) -> Future[int]:
        """A future of the index. Raises StrongroomError at once when the queue is full, InputError."""
        _check(data)
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # nobody can take an entry back, so nobody can cancel
        self._enter([data], wait=False, future=future)
        return future

    def append_many(self, entries: Sequence[bytes]) -> range:
        """Canonical bytes in one commit; their indices once all are durable.

        Raises InputError for other bytes, StrongroomError; then nobody may count on any of them.
        """
        for entry in entries:
            _check(entry)
        return self.unsafe_append_many(entries)

    def unsafe_append_many(self, entries: Sequence[bytes]) -> range:
        """`append_many` for what `encode_entry` or `canonicalise` made just now: it is not checked again.

        Whatever else is given to it is on record for ever, and `verify` will say so.
        """
        if not entries:
            return range(self._tree.size, self._tree.size)
        batch, position = self._enter(entries, wait=True)
        first = batch.index(position)
        return range(first, first + len(entries))

    def _enter(self, entries: Sequence[bytes], *, wait: bool, future: Future[int] | None = None) -> tuple[Batch, int]:
        size = sum(map(len, entries))
        with self._lock:
            self._admit(len(entries), size, wait)
            batch = self._batch
            position = len(batch.entries)
            batch.entries.extend(entries)
            batch.bytes += size
            if future is not None:
                batch.futures.append((position, future))
            if position == 0:
                self._wake.notify_all()
        return batch, position

    def _admit(self, count: int, size: int, wait: bool) -> None:
        """Waits for room in the batch. A batch that is empty takes whatever comes."""
        deadline = time.monotonic() + self.limits.patience_seconds
        while True:
            if self._failure is not None or self._closing:
                raise self._failure or StrongroomError("the ledger is closed")
            batch = self._batch
            if not batch.entries or (
                batch.bytes + size <= self.limits.queue_bytes
                and len(batch.entries) + count <= self.limits.commit_entries
            ):
                return
            left = deadline - time.monotonic()
            if not wait or left <= 0:
                raise StrongroomError(
                    "the ledger's queue is full", next="try again shortly; a slow disk or a flood fills it"
                )
            self._room.wait(left)

    # Committing: this thread owns the tree and the journal

    def _committer(self) -> None:
        while True:
            with self._lock:
                while not self._batch.entries and not self._closing:
                    self._wake.wait()
                if not self._batch.entries or self._failure is not None:
                    return
                batch, self._batch = self._batch, Batch()
                self._room.notify_all()
            try:
                self._wait_for_publisher()
                self._settle(batch)
            except NotWritten as error:
                batch.error = error
            except BaseException as error:
                batch.error = self._fail(error)
            finally:
                batch.finish()

    def _settle(self, batch: Batch, *, recorded: bool = False) -> None:
        """The tree grows: journal first, then the question whether we are still the one, then the signature."""
        tree, first = self._tree.copy(), self._tree.size
        nodes: dict[int, list[bytes]] = {}
        pieces: list[tuple[int, bytes]] = []
        # In parts that the processor's cache holds.
        for at in range(0, len(batch.entries), 2048):
            part = batch.entries[at : at + 2048]
            pieces += split_bundles(first + at, part)
            _merge(nodes, tree.extend(leaf_hashes(part)))
        if not recorded:
            record = encode_record(first, [piece for _, piece in pieces], tree.root())
            self._spend(lambda: self._journal.append(record))
            self._journal.check()
        committed = self._sign(tree)
        with self._lock:
            batch.first = first
            self._tree, self.committed = tree, committed
            self._pending.append(Commit(pieces, nodes, batch.bytes, committed))
            self._wake.notify_all()

    def _spend(self, write: Callable[[], None]) -> None:
        """Writes, on a full disk with the space of the reserve."""
        try:
            write()
        except NotWritten as error:
            if not self._released(error):
                raise
            write()

    def _released(self, error: StrongroomError) -> bool:
        """Whether the reserve makes room after this error."""
        return self._reserve is not None and is_full(error) and self._reserve.release()

    def _wait_for_publisher(self) -> None:
        """Keeps memory and the journal bounded: what is committed waits in both until it is in tiles."""
        with self._lock:
            deadline = time.monotonic() + self.limits.patience_seconds
            while sum(commit.bytes for commit in self._pending) > self.limits.pending_bytes or (
                self._pending and self._journal.size > self.limits.journal_bytes
            ):
                if self._failure is not None:
                    raise self._failure
                if time.monotonic() > deadline:
                    raise NotWritten(
                        "tiles cannot be written, and no more can wait for them",
                        where=self._storage.name,
                        next="free some space",
                    )
                self._room.wait(0.05)
        if self._journal.size > self.limits.journal_bytes:
            with self._public:
                self._spend(lambda: self._journal.renew(self._base()))

    # Publishing: this thread owns the edge and the public files

    def _publisher(self) -> None:
        last, told = 0.0, ""
        while True:
            with self._lock:
                while not self._pending and not self._finished():
                    self._wake.wait(1.0)
                if not self._pending:
                    return
                while (left := last + self._pace() - time.monotonic()) > 0 and not self._closing:
                    self._wake.wait(left)
                commits = list(self._pending)
            last = time.monotonic()
            try:
                self._publish(commits)
                told, self._held_up = "", None
            except StrongroomError as error:
                if isinstance(error, IntegrityError | Replaced) or self._closing:
                    self._fail(error)
                    return
                if not self._released(error):
                    self._held_up = error
                    if told != str(error):
                        told = str(error)
                        self._notify(f"tiles wait: {told}")
            except BaseException as error:
                self._fail(error)
                return

    def _pace(self) -> float:
        """Seconds between publications. The partial bundle is written anew each time: large ones less often."""
        return self.limits.publish_seconds * (1 + len(self._edge.bundle) / PARTIAL_BYTES)

    def _finished(self) -> bool:
        return self._failure is not None or self._committed_all

    def _publish(self, commits: list[Commit]) -> None:
        """Tiles first; the checkpoint once they are durable; then what they replace is removed."""
        nodes: dict[int, list[bytes]] = {}
        for commit in commits:
            _merge(nodes, commit.nodes)
        edge, files, replaced = self._edge.grown([piece for commit in commits for piece in commit.pieces], nodes)
        self._storage.put([(f"public/{path}", data) for path, data in files], self._journal.check)
        self._journal.check()
        committed = commits[-1].committed
        with self._public:
            self._storage.replace("public/checkpoint", committed.note)
            self.published = committed
        with self._lock:
            self._edge = edge
            del self._pending[: len(commits)]
            self._room.notify_all()
        try:
            self._storage.discard(f"public/{folder}" for folder in replaced)
        except StrongroomError as error:  # what is left there is in nobody's way
            self._notify(f"partial tiles that full ones replace were not removed: {error}")
        if self._reserve is not None:
            self._reserve.restore()
        self._on_published(committed)

    def add_cosignatures(self, committed: Committed, lines: Sequence[SignatureLine]) -> None:
        """Writes a checkpoint with the cosignatures of witnesses, where readers find them. Raises StrongroomError."""
        note = committed.note + "".join(map(str, lines)).encode()
        with self._public:
            self._journal.check()
            self._storage.replace("public/cosigned", note)
            if self.published is committed:
                self._storage.replace("public/checkpoint", note)

    def sign_with(self, signer: NoteSigner, old: NoteSigner) -> None:
        """Signs from here on with another key, and what is published now with both. Nobody may append meanwhile."""
        with self._public, self._lock:
            text = self.committed.checkpoint.text()
            note = Note(text, (signer.sign_text(text), old.sign_text(text))).encode()
            self._storage.replace("public/checkpoint", note)
            self.signer = signer
            self.committed = self.published = Committed(self.committed.checkpoint, note)
        self._on_published(self.published)

    # Ending

    def flush(self) -> Committed:
        """Waits until everything that is committed is published.

        Raises StrongroomError when that cannot be for `patience_seconds`, as on a full disk: it stays in the journal.
        """
        deadline = time.monotonic() + self.limits.patience_seconds
        with self._lock:
            target = self._tree.size
            while self.published.checkpoint.size < target:
                if self._failure is not None:
                    raise self._failure
                if self._held_up is not None and time.monotonic() > deadline:
                    raise StrongroomError(
                        f"what was appended is on record and not in tiles yet: {self._held_up.message}",
                        where=self._held_up.where,
                        next=f"{self._held_up.next}; the next start goes on",
                    )
                self._wake.notify_all()
                self._room.wait(0.05)
            return self.published

    def close(self) -> None:
        """Commits and publishes what is waiting, and stops. Raises StrongroomError when that failed."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake.notify_all()
            self._room.notify_all()
        for thread in self._threads:
            thread.join()
            with self._lock:  # the committer has ended; the publisher may, once all is published
                self._committed_all = True
                self._wake.notify_all()
        self._journal.close()
        self._release()
        if self._failure is not None and self._pending:
            raise self._failure

    def _fail(self, error: BaseException) -> StrongroomError:
        """Nothing is acknowledged from here on. What the journal holds is read at the next start."""
        if isinstance(error, StrongroomError):
            failure = error
        elif isinstance(error, OSError):
            failure = StrongroomError(
                f"the ledger stopped: {error.strerror}",
                where=self._storage.name,
                next="check the disk, then start again: nothing that was acknowledged is lost",
            )
        else:
            failure = StrongroomError(f"the ledger stopped: {type(error).__name__}", where=self._storage.name)
            failure.__cause__ = error
        with self._lock:
            self._failure = self._failure or failure
            stranded, self._batch = self._batch, Batch()
            stranded.error = failure
            self._wake.notify_all()
            self._room.notify_all()
        stranded.finish()
        self._notify(str(failure))
        return failure

    def _sign(self, tree: Frontier) -> Committed:
        checkpoint = Checkpoint(self.signer.verifier.name, tree.size, tree.root())
        text = checkpoint.text()
        return Committed(checkpoint, Note(text, (self.signer.sign_text(text),)).encode())

    def status(self) -> dict[str, Any]:
        """Sizes and limits, for people and monitors."""
        with self._lock:
            return {
                "size": self._tree.size,
                "published": self.published.checkpoint.size,
                "waiting": len(self._batch.entries),
                "journal_bytes": self._journal.size,
                "reserve": self._reserve.held if self._reserve else None,
                "failure": str(self._failure) if self._failure else "",
            }


def _merge(nodes: dict[int, list[bytes]], more: dict[int, list[bytes]]) -> None:
    for height, row in more.items():
        nodes.setdefault(height, []).extend(row)


def _check(data: bytes) -> None:
    """Raises InputError for what is not canonical, and for the types that the ledger alone writes."""
    check_entry(data)
    if _RESERVED in data and decode_entry(data).type.startswith(RESERVED):
        raise InputError("the ledger alone writes entries of this type", next="choose another type")
