"""C2SP tlog-witness: who cosigns a log's checkpoints, each only when it continues the one before.

`Witness` is a state machine: request bytes and a time in, an answer out; its only IO is the `WitnessStorage` that it
is given. Invariants: of one origin, the checkpoints that were ever answered with a cosignature are one growing tree;
a cosignature leaves only after the checkpoint under it is stored durably; check and store are one step.

>>> from strongroom.ledger._notes import SigningKey, sign_note
>>> key, log = SigningKey("witness.example/w1", bytes(32), COSIGNATURE), SigningKey("log.example/a", bytes(32))
>>> witness = Witness(key, {"log.example/a": [log.verifier]}, WitnessMemory())
>>> note = sign_note(Checkpoint("log.example/a", 0, EMPTY_ROOT).text(), [log])
>>> witness.add_checkpoint(b"old 0\\n\\n" + note, 1_767_225_600).status
200
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from ..core.errors import IntegrityError, StrongroomError, UsageError
from ._checkpoint import Checkpoint, open_checkpoint, parse_hash, parse_number
from ._merkle import EMPTY_ROOT, verify_consistency
from ._notes import COSIGNATURE, MAX_NOTE_BYTES, Note, SignatureLine, VerifierKey, parse_note, verify_note

__all__ = [
    "MAX_PROOF_LINES",
    "MAX_REQUEST_BYTES",
    "SIZE_TYPE",
    "Answer",
    "Cosigner",
    "Witness",
    "WitnessDirectory",
    "WitnessMemory",
    "WitnessStorage",
    "origin_hash",
]

MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = 131_072
"""Proof lines need 3 KB; the rest is room for other witnesses' signatures on the checkpoint."""
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What the witness says over HTTP."""

    status: int
    content_type: str
    body: bytes


class Cosigner(Protocol):
    """A witness's key: `SigningKey` of type COSIGNATURE, or something that asks the process that holds one."""

    verifier: VerifierKey

    def cosign(self, text: str, time: int) -> SignatureLine:
        """See SigningKey."""
        ...


class WitnessStorage(Protocol):
    """One note for each origin, by `origin_hash`."""

    def read(self, name: str) -> bytes | None:
        """The stored note, None where there is none. Raises StrongroomError."""
        ...

    def write(self, name: str, note: bytes) -> None:
        """Replaces the note, whole or not at all; durable when it returns. Raises StrongroomError."""
        ...

    def where(self, name: str) -> str:
        """How errors name the note."""
        ...


@dataclass(frozen=True)
class _Request:
    old: int
    proof: tuple[bytes, ...]
    note: bytes
    origin: str


@dataclass
class _Log:
    """What is known of one origin. `lock` is held from reading `size` and `root` until they were replaced."""

    keys: Sequence[VerifierKey]
    lock: threading.Lock
    size: int = 0
    root: bytes = EMPTY_ROOT
    note: bytes | None = None


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.answer = Answer(status, TEXT_TYPE, reason.encode() + b"\n")


class Witness:
    """Cosigns the checkpoints of known logs. Threads may share it; processes may not share its storage.

    `logs` maps an origin to the keys that may sign for it. Stored checkpoints are verified at the start, so after a
    rotation a log's earlier key stays in the list until a checkpoint under the later one was cosigned. What is
    stored of an origin that is not in `logs` is left alone and not served. `report` is told of failed writes, and of
    a log that signed two trees of one size, which is proof against it.
    """

    def __init__(
        self,
        key: Cosigner,
        logs: Mapping[str, Sequence[VerifierKey]],
        storage: WitnessStorage,
        *,
        report: Callable[[StrongroomError], None] = lambda error: None,
    ) -> None:
        if key.verifier.type != COSIGNATURE:
            raise UsageError(
                f"the key {key.verifier.name}+{key.verifier.id.hex()} does not make cosignatures",
                next="make a key for the witness alone, of type 0x04",
            )
        self.verifier = key.verifier
        self._key, self._storage, self._report = key, storage, report
        self._logs = {origin: self._open(origin, keys) for origin, keys in logs.items()}
        self._by_hash = {origin_hash(origin): log for origin, log in self._logs.items()}

    def add_checkpoint(self, body: bytes, now_seconds: int) -> Answer:
        """tlog-witness, "add-checkpoint", in its order. Never raises for what a request holds."""
        try:
            request = _parse_request(body)
            log = self._logs.get(request.origin)
            if log is None:
                raise _Refused(404, "this witness does not know the log")
            try:
                signed = verify_note(request.note, log.keys, where="request")
            except IntegrityError as error:
                raise _Refused(403, error.message) from None
            checkpoint = _parse_tree(signed.text)
            if request.old > checkpoint.size:
                raise _Refused(400, "the old size is larger than the checkpoint's")
            with log.lock:
                return self._advance(log, request, checkpoint, signed, now_seconds)
        except _Refused as refused:
            return refused.answer

    def latest(self, name: str) -> bytes | None:
        """The note that `GET <prefix>/<name>/checkpoint` serves; None before the first, and for unknown logs."""
        log = self._by_hash.get(name)
        return log.note if log else None

    def _advance(self, log: _Log, request: _Request, new: Checkpoint, signed: Note, now_seconds: int) -> Answer:
        """From the check of the old size on; the caller holds the log's lock."""
        if request.old != log.size:
            return Answer(409, SIZE_TYPE, b"%d\n" % log.size)
        try:
            verify_consistency(log.size, new.size, request.proof, log.root, new.root)
        except IntegrityError as error:
            if log.size == new.size and log.root != new.root and new.size:
                self._report(_two_trees(new, log))
            raise _Refused(422, error.message) from None
        try:
            if now_seconds <= 0:
                raise StrongroomError("this machine's clock is before 1970", next="set the clock")
            cosignature = self._key.cosign(signed.text, now_seconds)
            note = Note(signed.text, (*dict.fromkeys(signed.lines), cosignature)).encode()
            self._storage.write(origin_hash(new.origin), note)
        except StrongroomError as error:
            self._report(error)
            raise _Refused(500, "the witness cannot sign or store at the moment; nothing was cosigned") from None
        log.size, log.root, log.note = new.size, new.root, note
        return Answer(200, TEXT_TYPE, str(cosignature).encode())

    def _open(self, origin: str, keys: Sequence[VerifierKey]) -> _Log:
        """The log's state as it is stored. Raises IntegrityError unless we and the log signed it."""
        if not keys:
            raise UsageError(f"no key is given for the log '{origin}'", next="give its verifier key")
        log = _Log(tuple(keys), threading.Lock())
        name = origin_hash(origin)
        where = self._storage.where(name)
        stored = self._storage.read(name)
        if stored is None:
            return log
        try:
            signed = open_checkpoint(stored, keys, witnesses=[self.verifier], origin=origin, where=where)
        except IntegrityError as error:
            raise _bad_state(error.message, where) from None
        if self.verifier not in signed.cosigned:
            raise _bad_state("this witness did not cosign it", where)
        log.size, log.root, log.note = signed.checkpoint.size, signed.checkpoint.root, stored
        return log


class WitnessMemory:
    """Forgets with the process: for tests, and never for a witness that somebody relies on."""

    def __init__(self) -> None:
        self.notes: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """See WitnessStorage."""
        return self.notes.get(name)

    def write(self, name: str, note: bytes) -> None:
        """See WitnessStorage, durable apart."""
        self.notes[name] = note

    def where(self, name: str) -> str:
        """See WitnessStorage."""
        return f"memory/{name}"


class WitnessDirectory:
    """A directory with one file for each origin, named `origin_hash`; locked until `close` or the process ends.

    A name is replaced after the content below it is durable, so a crash leaves the earlier note or the later one. If
    only syncing the name fails, the file may hold a checkpoint whose cosignature never left: it continues the one
    before as well, so nothing is lost whichever of them is found at the next start.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            _make_durably(directory)
            self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _disk_error(error, str(directory)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if not isinstance(error, BlockingIOError):
                raise _disk_error(error, str(directory)) from error
            raise StrongroomError(
                "another witness works in this directory",
                where=str(directory),
                next="stop it, or name another directory",
            ) from None

    def __enter__(self) -> WitnessDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the directory back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, name: str) -> bytes | None:
        """See WitnessStorage."""
        try:
            with (self.directory / name).open("rb") as file:
                return file.read(MAX_NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _disk_error(error, self.where(name)) from error

    def write(self, name: str, note: bytes) -> None:
        """See WitnessStorage."""
        part = self.directory / f"{name}.part"
        try:
            with part.open("wb") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.directory / name)
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise _disk_error(error, self.where(name)) from error

    def where(self, name: str) -> str:
        """See WitnessStorage."""
        return str(self.directory / name)


def origin_hash(origin: str) -> str:
    """tlog-witness, "Monitor Retrieval Mechanism": SHA-256 of the origin in lowercase hex."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _make_durably(directory: Path) -> None:
    """Makes a directory whose name outlives a crash: a witness that forgot everything would sign anything."""
    if not directory.is_dir():
        _make_durably(directory.parent)
        directory.mkdir(exist_ok=True)
        descriptor = os.open(directory.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse_request(body: bytes) -> _Request:
    """An old size line, proof lines, an empty line, a checkpoint. No signature is verified yet."""
    if len(body) > MAX_REQUEST_BYTES:
        raise _Refused(400, f"the request is larger than {MAX_REQUEST_BYTES} bytes")
    head, blank, note = body.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    if not blank or not lines[0].startswith("old "):
        raise _Refused(400, "the request must be an old size line, proof lines, an empty line and a checkpoint")
    if len(lines) - 1 > MAX_PROOF_LINES:
        raise _Refused(400, f"more than {MAX_PROOF_LINES} proof lines")
    try:
        old = parse_number(lines[0].removeprefix("old "), where="request")
        proof = tuple(parse_hash(line, where="request") for line in lines[1:])
        text = parse_note(note, where="request").text
    except IntegrityError as error:
        raise _Refused(400, error.message) from None
    return _Request(old, proof, note, _parse_tree(text).origin)


def _parse_tree(text: str) -> Checkpoint:
    """As `parse_checkpoint`, but an empty tree with a wrong root passes: it has a status of its own, later."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise _Refused(400, "this is no checkpoint: it needs an origin, a size and a root")
    try:
        size, root = parse_number(lines[1], where="request"), parse_hash(lines[2], where="request")
    except IntegrityError as error:
        raise _Refused(400, error.message) from None
    return Checkpoint(lines[0], size, root, tuple(lines[3:]))


def _two_trees(new: Checkpoint, log: _Log) -> IntegrityError:
    return IntegrityError(
        f"the log signed two trees of {new.size:,} entries, with the roots {log.root.hex()} and {new.root.hex()}",
        where=new.origin,
        next="do not trust this log; keep both checkpoints as proof",
    )


def _bad_state(what: str, where: str) -> IntegrityError:
    return IntegrityError(
        f"the witness's record of a log is damaged or by other keys: {what}",
        where=where,
        next="restore the file or the keys; a witness that forgot a checkpoint could be made to sign two trees",
    )


def _disk_error(error: OSError, where: str) -> StrongroomError:
    return StrongroomError(
        f"the witness's directory cannot be used: {error.strerror}", where=where, next="check space and permissions"
    )
