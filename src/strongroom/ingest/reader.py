"""What a reader of one log format is, and how the right one is chosen.

A reader turns one *record* (a line of JSON Lines, an element of a JSON array, a row of a table as JSON) into
exchanges or access events. It is pure: bytes in, `Exchange` or `LoggedAccess` records out; it opens nothing and
keeps nothing between records, so that records can be read in any order by any number of processes. Where records that
stand beside each other say together what happened, `JoiningReader.complete` sees the rows of some together.

Third parties add a reader through an entry point in the group `strongroom.readers`; it names a class with
the attributes and methods of `Reader` that can be made without arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange, LoggedAccess

__all__ = ["MAX_DEPTH", "JoiningReader", "LineReader", "Reader", "check_duplicate_keys", "decode", "whole_number"]

MAX_DEPTH = 200
"""Deeper nesting is refused; chat logs need about ten levels."""

T = TypeVar("T")


class Reader(Protocol):
    """One log format."""

    name: str
    """What `--format` takes, such as `litellm`."""
    title: str
    """For people, such as `LiteLLM StandardLoggingPayload`."""
    reference: str
    """Address of the format's own documentation."""
    metadata_only: bool
    """True where the format carries no prompt text; exchanges of such a log are counted, not compared."""

    def claims(self, record: dict[str, Any]) -> int:
        """How surely `record` (one decoded record of the log) is of this format: 0 (no) to 100."""
        ...

    def read(self, raw: bytes) -> Iterable[Exchange | LoggedAccess]:
        """The exchanges or access events of one record; none where it is neither (a span of a database call, …).

        Raises RecordError with a stable `reason` when the record is bad.
        """
        ...


@runtime_checkable
class LineReader(Protocol):
    """What a reader of lines that are no JSON has besides."""

    def claims_line(self, raw: bytes) -> int:
        """How surely `raw`, a line of the log, is of this format: 0 (no) to 100."""
        ...


@runtime_checkable
class JoiningReader(Protocol):
    """What a reader has besides whose records say together what happened."""

    def complete(self, rows: Sequence[LoggedAccess]) -> None:
        """Fills in rows what others of them say. `rows`: a part of a log in order, with a little of what stood before.

        No more than a help: a log may be parted between any two records.
        """
        ...


def decode(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decodes one JSON record. Raises RecordError for whatever is wrong with it."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        missing = "missing required field" in str(error)
        raise RecordError("required field missing" if missing else "wrong type", str(error)) from None
    except msgspec.DecodeError as error:
        reason = "truncated JSON" if "truncated" in str(error) else "not JSON"
        if b"\0" in raw:
            reason = "NUL byte"
        raise RecordError(reason, str(error)) from None
    except UnicodeDecodeError as error:
        raise RecordError("invalid UTF-8", f"{error.reason} at byte {error.start}") from None
    except RecursionError:
        raise RecordError("nested too deep", f"more than {MAX_DEPTH} levels") from None


def check_duplicate_keys(raw: bytes, keys: Sequence[bytes]) -> None:
    """Raises RecordError when an object of `raw` names one key twice.

    Two parsers may disagree on such a record, so it says nothing sure. `keys` are the quoted names whose
    repetition makes a closer look worth its time (a nested object may rightly repeat a name).
    """
    if not any(raw.count(key) > 1 for key in keys):
        return
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except RecursionError:
        raise RecordError("nested too deep", f"more than {MAX_DEPTH} levels") from None
    except ValueError as error:  # integers of thousands of digits too
        raise RecordError("not JSON", str(error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RecordError("duplicate key", "an object names one key twice")
    return found


def whole_number(value: float | int | str | None, name: str) -> int:
    """A count of tokens, a status, …: -1 when absent. Raises RecordError when negative or absurd."""
    if value is None:
        return -1
    try:
        number = int(value)
    except (ValueError, OverflowError):
        raise RecordError("wrong type", f"{name} is not a number") from None
    if number < 0 or number > 1 << 40:
        raise RecordError(f"{name} out of range", f"{name} = {number}")
    return number
