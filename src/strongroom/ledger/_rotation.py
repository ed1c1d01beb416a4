"""A log's keys, one after the other: each is introduced by an entry of the log that the key before it signed."""

from __future__ import annotations

import msgspec

from ..core.clock import format_time
from ..core.errors import InputError, IntegrityError, UsageError
from ..core.records import Entry
from ._keys import NoteSigner
from ._notes import Note, VerifierKey, verify_note

__all__ = ["ROTATION", "KeyChain", "introduced_by", "rotation_entry"]

ROTATION = "strongroom.ledger.key/1"
_HEADER = "strongroom ledger key rotation"
_MARK = ROTATION.encode()


def rotation_entry(old: NoteSigner, new: NoteSigner, time_us: int) -> Entry:
    """The entry with which `new` follows `old`: a note that both have signed."""
    text = f"{_HEADER}\n{old.verifier}\n{new.verifier}\n"
    note = Note(text, (old.sign_text(text), new.sign_text(text))).encode().decode()
    return Entry(type=ROTATION, time=format_time(time_us), writer="ledger", body={"note": note})


class KeyChain:
    """Follows a log's keys while its entries pass by, from the one that is trusted."""

    def __init__(self, trusted: VerifierKey) -> None:
        self.introduced = [trusted]
        self._at = -1
        """The entry that introduced the last one."""

    def see(self, index: int, entry: bytes) -> None:
        """Takes note of a rotation. Raises InputError for one that does not verify."""
        if _MARK not in entry:
            return
        decoded = msgspec.json.decode(entry, type=Entry)
        if decoded.type != ROTATION:
            return
        try:
            old, new = _keys_of(str(decoded.body.get("note")))
            verified = verify_note(str(decoded.body["note"]).encode(), [old, new], where=f"entry {index}")
            if old.name != new.name:
                raise IntegrityError("it leads to the key of another log")
            if {(line.name, line.id) for line in verified.lines} != {(old.name, old.id), (new.name, new.id)}:
                raise IntegrityError("one of the two signatures is missing")
        except (IntegrityError, UsageError, KeyError) as error:
            raise InputError(f"the key rotation does not verify: {error}") from None
        if old == self.introduced[-1]:
            self.introduced.append(new)
            self._at = index

    def check(self, used: VerifierKey, size: int, *, where: str) -> None:
        """Raises IntegrityError unless the last key that the log of `size` entries introduced signed its checkpoint.

        The one before it may have signed only as long as its successor's entry is the last: a key that was replaced,
        because it was stolen perhaps, signs nothing after that.
        """
        if used in self.introduced[:-1] and not (used == self.introduced[-2] and self._at == size - 1):
            raise IntegrityError(
                f"the checkpoint is signed by {used}, which was replaced at entry {self._at:,}",
                where=where,
                next="whoever has the old key wrote on: compare with a copy from before",
            )
        if used not in self.introduced:
            raise IntegrityError(
                f"the checkpoint's key {used} was not introduced by the key before it",
                where=where,
                next="trust it only if its owner tells you to, by another way",
            )


def introduced_by(entry: bytes, old: VerifierKey) -> VerifierKey | None:
    """The key that this entry lets follow `old`; None when it is no rotation, or one of another key."""
    chain = KeyChain(old)
    try:
        chain.see(0, entry)
    except InputError:
        return None
    return chain.introduced[1] if len(chain.introduced) > 1 else None


def _keys_of(note: str) -> tuple[VerifierKey, VerifierKey]:
    lines = note.split("\n")
    if len(lines) < 4 or lines[0] != _HEADER:
        raise IntegrityError("it is no rotation")
    return VerifierKey.parse(lines[1]), VerifierKey.parse(lines[2])
