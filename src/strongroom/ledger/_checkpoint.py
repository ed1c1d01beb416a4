"""C2SP tlog-checkpoint: origin, size and root of a log, as the text of a signed note. No IO.

>>> Checkpoint("log.example/a", 0, EMPTY_ROOT).text().split("\\n")[1]
'0'
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import IntegrityError, UsageError
from ._merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from ._notes import COSIGNATURE, VerifierKey, verify_note

__all__ = [
    "Checkpoint",
    "SignedCheckpoint",
    "check_quorum",
    "open_checkpoint",
    "parse_checkpoint",
    "parse_hash",
    "parse_number",
]


@dataclass(frozen=True)
class Checkpoint:
    """A tree head. Extension lines are kept, and mean nothing here."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The note's text."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint whose log's signature was verified, the note in which it came, and who cosigned it when.

    `cosigned` holds the witnesses whose cosignatures were verified, with seconds since 1970.
    """

    checkpoint: Checkpoint
    note: bytes
    key: VerifierKey
    cosigned: dict[VerifierKey, int]


def parse_checkpoint(text: str, *, where: str) -> Checkpoint:
    """A note's text to a checkpoint. Raises IntegrityError."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise IntegrityError("this is no checkpoint: it needs an origin, a size and a root", where=where)
    size, root = parse_number(lines[1], where=where), parse_hash(lines[2], where=where)
    if size == 0 and root != EMPTY_ROOT:
        raise IntegrityError("the checkpoint of an empty log has another root than the empty tree", where=where)
    return Checkpoint(lines[0], size, root, tuple(lines[3:]))


def open_checkpoint(
    data: bytes,
    keys: Sequence[VerifierKey],
    *,
    witnesses: Sequence[VerifierKey] = (),
    origin: str = "",
    where: str,
) -> SignedCheckpoint:
    """Verifies a signed checkpoint: one of the log's `keys` must have signed, `witnesses` may have.

    `origin` is the name of the first key unless given. Raises IntegrityError for a malformed note, a wrong or
    missing signature, or another log's checkpoint, UsageError for a witness's key that is not one.
    """
    for witness in witnesses:
        if witness.type != COSIGNATURE:
            raise UsageError(f"{witness} is no witness's key: its type is not that of cosignatures")
        if witness.public in {key.public for key in keys}:
            raise UsageError(f"{witness} is the log's own key: it witnesses nothing")
    note = verify_note(data, [*keys, *witnesses], where=where)
    signers = {(line.name, line.id): line for line in note.lines}
    signer = next((key for key in keys if (key.name, key.id) in signers), None)
    if signer is None:
        raise IntegrityError("a witness signed, but the log did not", where=where)
    checkpoint = parse_checkpoint(note.text, where=where)
    expected = origin or keys[0].name
    if checkpoint.origin != expected:
        raise IntegrityError(
            f"the checkpoint is of the log '{checkpoint.origin}', not of '{expected}'",
            where=where,
            next="name the log and the key that belong together",
        )
    cosigned = {key: signers[key.name, key.id].time for key in witnesses if (key.name, key.id) in signers}
    return SignedCheckpoint(checkpoint, data, signer, cosigned)


def check_quorum(signed: SignedCheckpoint, quorum: int, *, where: str) -> None:
    """Raises IntegrityError unless so many witnesses have cosigned. A key counts once, whatever names it has."""
    there = len({key.public for key in signed.cosigned})
    if there < quorum:
        raise IntegrityError(
            f"{quorum - there} of {quorum} cosignatures are missing",
            where=where,
            next="ask for a proof that was made after the witnesses had cosigned",
        )


def parse_number(text: str, *, where: str) -> int:
    """An ASCII decimal without leading zeroes, at most 2**63 - 1. Raises IntegrityError."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or (text[0] == "0" and text != "0"):
        raise IntegrityError(f"'{text[:40]}' is no size or index", where=where)
    value = int(text)
    if value > MAX_SIZE:
        raise IntegrityError(f"'{text}' is larger than any log", where=where)
    return value


def parse_hash(text: str, *, where: str) -> bytes:
    """Base64 (RFC 4648, section 4) of 32 bytes, written the one way. Raises IntegrityError."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != HASH_BYTES or base64.b64encode(value).decode() != text:
        raise IntegrityError("this is no hash in base64", where=where)
    return value
