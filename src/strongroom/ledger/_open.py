"""Making a log, and opening it to append: one at a time, and only what fits together."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.errors import IntegrityError, StrongroomError, UsageError
from ._checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from ._commit import Committed, Limits
from ._edge import Edge
from ._journal import has_journal, open_journal
from ._keys import NoteSigner
from ._merkle import EMPTY_ROOT, leaf_hashes
from ._notes import MAX_NOTE_BYTES, Note, VerifierKey
from ._record import Record
from ._reserve import Reserve
from ._sequencer import Sequencer
from ._storage import DirectoryStorage, ObjectStorage, Source
from ._tiles import MAX_BUNDLE_BYTES

__all__ = ["KEYS", "AnotherSequencer", "create_ledger", "open_ledger", "read_keys", "storage_at"]


class AnotherSequencer(StrongroomError):
    """Somebody else holds the lock: append through it."""


KEYS = "public/keys"
MAX_KEYS = 1000


def storage_at(place: str) -> DirectoryStorage | ObjectStorage:
    """Where a log is written: a directory, or the URL of a prefix in an object store."""
    return ObjectStorage(place.rstrip("/")) if "://" in place else DirectoryStorage(Path(place))


def create_ledger(storage: DirectoryStorage | ObjectStorage, signer: NoteSigner) -> None:
    """Makes an empty log. Raises UsageError when there is one already, StrongroomError."""
    there = storage.read("public/checkpoint", MAX_NOTE_BYTES)
    # An empty one that nobody ever opened is of an init that was interrupted.
    if there is not None and (there.split(b"\n")[1:2] != [b"0"] or has_journal(storage)):
        raise UsageError("there is a log already", where=storage.name, next="choose another place")
    text = Checkpoint(signer.verifier.name, 0, EMPTY_ROOT).text()
    storage.replace(KEYS, f"{signer.verifier}\n".encode())
    storage.replace("public/checkpoint", Note(text, (signer.sign_text(text),)).encode())


def read_keys(source: Source, path: str = KEYS) -> list[VerifierKey]:
    """The keys that a log says it had, oldest first: to be checked against the log. Raises IntegrityError."""
    where = f"{source.name}/{path}"
    data = source.read(path, MAX_KEYS * 512)
    try:
        keys = [VerifierKey.parse(line) for line in (data or b"").decode().splitlines()]
    except (UsageError, UnicodeDecodeError) as error:
        raise IntegrityError(f"the file of keys is damaged: {error}", where=where) from None
    if not keys:
        raise IntegrityError("the log's own keys are missing", where=where, next="give the key with --key")
    return keys


def open_ledger(
    storage: DirectoryStorage | ObjectStorage,
    signer: NoteSigner,
    lock: Path,
    *,
    limits: Limits | None = None,
    notify: Callable[[str], None] = lambda text: None,
    published: Callable[[Committed], None] = lambda committed: None,
) -> Sequencer:
    """The one sequencer of a log, started.

    Raises StrongroomError when another holds `lock` or the storage fails, and IntegrityError, naming the file, when
    checkpoint, tiles and journal do not fit together: then nothing was changed.
    """

    def tell(text: str) -> None:
        with contextlib.suppress(Exception):  # who cannot be told does not stop the ledger
            notify(text)

    held = _lock(lock)
    try:
        _edge(storage, _checkpoint(storage, signer))  # what does not fit is told before anything is made
        journal, older = open_journal(storage)
    except BaseException:
        os.close(held)
        raise
    try:
        # Again: until our journal was there, whoever had no lock to stop it could publish, and renew its own.
        signed = _checkpoint(storage, signer)
        edge = _edge(storage, signed)
        waiting = _replay(edge, older)
        # Before anything is built on it: a predecessor may have been killed between the rename and its sync.
        storage.settle("public/checkpoint")
        sequencer = Sequencer(
            storage,
            journal,
            signer,
            edge,
            reserve=Reserve(storage.root / "journal", tell) if isinstance(storage, DirectoryStorage) else None,
            limits=limits,
            notify=tell,
            published=published,
        )
        sequencer.recover(signed.note, waiting)
        # Only now is everything that the older journals hold in tiles.
        journal.drop_older()
    except BaseException:
        journal.abandon()
        os.close(held)
        raise
    sequencer.start(release=lambda: os.close(held))
    return sequencer


def _lock(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StrongroomError(f"the ledger cannot be locked: {error.strerror}", where=str(path)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AnotherSequencer(
            "another process appends to this ledger",
            where=str(path),
            next="wait for it, or append through 'strongroom serve'",
        ) from None
    return descriptor


def _checkpoint(storage: DirectoryStorage | ObjectStorage, signer: NoteSigner) -> SignedCheckpoint:
    where = f"{storage.name}/public/checkpoint"
    data = storage.read("public/checkpoint", MAX_NOTE_BYTES)
    if data is None:
        raise IntegrityError("the checkpoint is missing", where=where, next="restore the log from a copy")
    keys = read_keys(storage)
    if str(signer.verifier) not in map(str, keys):
        raise IntegrityError("the signing key is not one of this log's keys", where=where)
    return open_checkpoint(data, keys[-1:], where=where)


def _edge(storage: DirectoryStorage | ObjectStorage, signed: SignedCheckpoint) -> Edge:
    """The log's right edge. Raises IntegrityError unless it leads to the checkpoint's root."""

    def fetch(path: str, width: int) -> bytes:
        whole = path.partition(".p/")[0]
        for name in dict.fromkeys((path, whole)):
            data = storage.read(f"public/{name}", MAX_BUNDLE_BYTES)
            if data is not None:
                return data
        raise IntegrityError(
            "the checkpoint needs a file that is not there", where=f"{storage.name}/public/{path}", next=_RESTORE
        )

    edge = Edge.read(signed.checkpoint.size, fetch)
    if edge.frontier().root() != signed.checkpoint.root:
        raise IntegrityError(
            f"checkpoint and tiles disagree: the last tiles do not lead to the root at {signed.checkpoint.size:,}",
            where=f"{storage.name}/public",
            next="run 'strongroom ledger verify', which names the file; " + _RESTORE,
        )
    return edge


def _replay(edge: Edge, older: Sequence[tuple[str, list[Record]]]) -> list[list[bytes]]:
    """What was committed and is not in tiles. Raises IntegrityError when it does not continue the tiles."""
    tree = edge.frontier()
    waiting: list[list[bytes]] = []
    # Everything before a journal's first record was in tiles when it was written. So only the last one with records
    # counts: what is beside it in an older one is of a sequencer that was replaced, and never acknowledged.
    for where, records in [journal for journal in older if journal[1]][-1:]:
        for record in records:
            if record.first > tree.size:
                raise IntegrityError(
                    f"checkpoint and journal disagree: the tiles end at {tree.size:,}, the journal goes on at "
                    f"{record.first:,}",
                    where=where,
                    next="the tiles or the checkpoint were rolled back; " + _RESTORE,
                )
            if record.first + len(record.entries) < tree.size:
                continue  # long in tiles
            entries = list(record.entries[tree.size - record.first :])
            tree.extend(leaf_hashes(entries))
            if tree.root() != record.root:
                raise IntegrityError(
                    f"checkpoint and journal disagree about the tree of {tree.size:,} entries",
                    where=where,
                    next=_RESTORE,
                )
            if entries:
                waiting.append(entries)
    return waiting


_RESTORE = "restore the log from a copy"
