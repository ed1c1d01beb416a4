"""JSON documents to records: the objects of an array, or objects written one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strongroom.core.errors import InputError

from .reader import MAX_DEPTH

__all__ = ["MAX_RECORD", "ValueSplitter"]

MAX_RECORD = 32 << 20
"""Bytes of one record. Longer ones are passed over, not kept in memory."""

Found = tuple[bytes | None, str]
"""A record, or None and what is wrong with it."""

# Outside strings only brackets matter. Possessive repeats: what a long string matched is never given back.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class ValueSplitter:
    """Cuts the objects out of a JSON array, or out of values written one after the other.

    Holds one record at a time, never the document. Commas, numbers and strings between objects are passed over.
    What is wrong with one record costs that record.
    """

    def __init__(self, *, inside: bool = False) -> None:
        """`inside`: what is fed stands inside an object, before the array with the records."""
        self._buffer = b""
        self._scanned = 0
        self._in_string = False
        self._start = -1  # where the current record begins in the buffer; -1 between records
        self._depth = self._base = int(inside)  # arrays, or that object, around the records
        self._wrong = ""  # why the current record is given up; then its bytes are not kept

    def feed(self, block: bytes) -> Iterator[Found]:
        """What ends in this block. Raises InputError when arrays nest without end."""
        self._buffer += block
        at = self._end_of_string(self._scanned) if self._in_string else self._scanned
        if not self._in_string:
            resume = len(self._buffer)
            for match in _TOKEN.finditer(self._buffer, at):
                token = match[0]
                if token == b'"':  # a string that goes on in the next block
                    self._in_string = True
                    resume = self._end_of_string(match.end())
                    break
                if token in (b"[", b"{"):
                    self._open(token, match.start())
                elif token in (b"]", b"}"):
                    yield from self._close(match.end())
            at = resume
        self._keep(at)

    def end(self) -> Iterator[Found]:
        """What is wrong with a document that ends inside of a record, or of the array around its records."""
        if self._start >= 0 or self._depth or self._in_string:
            yield None, self._wrong or "truncated JSON"

    def _end_of_string(self, at: int) -> int:
        """Where to go on: behind the string that goes on at `at`, or behind what is known to be inside it."""
        match = _STRING.match(self._buffer, at)
        assert match is not None  # it matches the empty string too
        self._in_string = self._buffer[match.end() : match.end() + 1] != b'"'
        return match.end() + (0 if self._in_string else 1)

    def _open(self, token: bytes, at: int) -> None:
        if self._start < 0:
            if token == b"[":
                self._base += 1
                if self._base > MAX_DEPTH:
                    raise InputError("nested too deep", next=f"more than {MAX_DEPTH} levels")
            else:
                self._start = at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._wrong = "nested too deep"

    def _close(self, end: int) -> Iterator[Found]:
        if self._depth == 0:
            yield None, "not JSON"  # a bracket that was never opened
            return
        self._depth -= 1
        if self._start < 0:
            self._base = self._depth
        elif self._depth == self._base:
            record = self._buffer[self._start : end]
            if not self._wrong and len(record) > MAX_RECORD:
                self._wrong = "record too long"
            yield (None, self._wrong) if self._wrong else (record, "")
            self._start, self._wrong = -1, ""

    def _keep(self, at: int) -> None:
        """Drops what is read, except the record that is not at its end yet."""
        inside = self._start >= 0
        if inside and at - self._start > MAX_RECORD:
            self._wrong = self._wrong or "record too long"
        kept = self._start if inside and not self._wrong else at
        self._buffer, self._scanned = self._buffer[kept:], at - kept
        self._start = 0 if inside else -1
