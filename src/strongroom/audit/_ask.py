"""Who did what with an asset, and what did a principal do: answers out of the log, each with its proof."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ..core.errors import IntegrityError, UsageError
from ..core.ids import check_asset_name
from ..ledger import InclusionProof, SignedCheckpoint, check_proof
from ._body import access_body, text_of
from ._index import Index, Indexed
from ._question import Question
from ._subjects import Subjects, is_digest

__all__ = ["Answer", "Reader", "ask"]


class Reader(Indexed, Protocol):
    """A log up to one verified checkpoint, as `ledger.LogReader` is. What it returns of entries is verified."""

    @property
    def signed(self) -> SignedCheckpoint: ...
    def entry(self, index: int) -> bytes: ...
    def prove(self, index: int) -> InclusionProof: ...


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One access entry of the log. A field that the entry does not have is empty."""

    index: int
    time: str
    """The event's time as it stands in the log."""
    principal: str
    """A keyed digest."""
    action: str
    asset: str
    outcome: str
    lease: str = ""
    reason: str = ""
    purpose: str = ""
    entry: str
    """The entry itself: what the proof proves."""
    proof: str
    """The text of a C2SP tlog-proof, to be checked offline with the entry and the log's key."""


def ask(
    reader: Reader,
    *,
    asset: str | None = None,
    principal: str | None = None,
    action: str | None = None,
    since: int | None = None,
    until: int | None = None,
    subjects: Subjects | None = None,
    index: Path | None = None,
    scan: bool = False,
) -> Iterator[Answer]:
    """The access entries that fit, in the log's order, duplicates and all; each is read from the log and proven.

    An `asset` without a tag asks for all its tags. A `principal` in plain needs `subjects`; one without a key
    (never on record, or forgotten) has no answers. Times are microseconds since 1970, `until` excluded; an entry
    whose time cannot be read lies in every window.

    With `index`, the file says where to look, and is made or extended first. It cannot add or change an answer,
    but somebody who can write to it could hide some: `scan=True` reads the whole log instead, and so does a call
    without `index` or with one that cannot be used, as on a full disk or in a folder that is not ours.

    Raises RefusedError, UsageError for the question at once; IntegrityError while reading.
    """
    if asset is not None:
        check_asset_name(asset)
    if principal is not None and not is_digest(principal):
        if subjects is None:
            raise UsageError("the principal is no digest", next="give its keyed digest, or a site that has its key")
        principal = subjects.find(principal)
        if principal is None:
            return iter(())
    question = Question(asset, principal, action, since, until)
    if scan or index is None:
        return _answers(reader, question, reader.entries(0, reader.size))
    return _answers(reader, question, _indexed(reader, question, Index(index, reader)))


def _indexed(reader: Reader, question: Question, index: Index) -> Iterator[tuple[int, bytes]]:
    """What the index points at; from where it fails on, the log itself."""
    after = -1
    try:
        for after in index.hits(question):
            yield after, reader.entry(after)
    except (OSError, sqlite3.Error):
        yield from reader.entries(after + 1, reader.size)


def _answers(reader: Reader, question: Question, found: Iterator[tuple[int, bytes]]) -> Iterator[Answer]:
    for number, entry in found:
        body = access_body(entry)
        if body is not None and question.fits(body):
            yield _answer(number, entry, body, _proven(reader, number, entry))


def _proven(reader: Reader, number: int, entry: bytes) -> InclusionProof:
    """The entry's proof, checked as a stranger would, under the checkpoint that was verified."""
    proof, where = reader.prove(number), f"{reader.origin}, entry {number}"
    if proof.index != number or proof.checkpoint != reader.signed.note:
        raise IntegrityError("the proof is of another entry or another checkpoint", where=where)
    check_proof(proof, entry, [reader.signed.key], origin=reader.origin, where=where)
    return proof


def _answer(number: int, entry: bytes, body: dict[str, Any], proof: InclusionProof) -> Answer:
    names = ("time", "principal", "action", "asset", "outcome", "lease", "reason", "purpose")
    fields = {name: text_of(body, name) for name in names}
    return Answer(index=number, entry=entry.decode(errors="replace"), proof=proof.encode().decode(), **fields)
