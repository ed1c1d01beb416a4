"""What the newest access entries of a log say of releases. Bounded: an index says where they stand, beyond it the end
of the log is read; `scan` reads the whole log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ._body import access_body, text_of, time_of
from ._index import Indexed, newest

__all__ = ["MAX_HITS", "MAX_TAIL", "Recent", "recent_releases"]

MAX_HITS = 2000
"""Entries that are read where the index points."""
MAX_TAIL = 20_000
"""Entries that are read at the log's end, behind what the index covers."""


class Entries(Indexed, Protocol):
    """What is needed of a log's reader."""

    def entry(self, index: int) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Recent:
    """Releases of keys in a window, as they stand on record."""

    entries_read: int
    complete: bool
    """Whether every release of the window was read."""
    releases: int = 0
    under_lease: int = 0
    with_credential: int = 0
    """Beside being a user of the machine that the ledger lies on."""
    refused: int = 0


def recent_releases(
    reader: Entries, actions: Sequence[str], since: int, *, index: Path | None, scan: bool = False
) -> Recent:
    """Counts access entries of these actions since a time. Raises IntegrityError, which names the file."""
    covered, hits = (0, []) if scan or index is None else newest(index, reader, actions, since, MAX_HITS)
    first = 0 if scan else max(covered, reader.size - MAX_TAIL)
    whole, oldest = first == covered, None
    counts = dict.fromkeys(("releases", "under_lease", "with_credential", "refused"), 0)
    read = 0
    for number, entry in _entries(reader, hits, first):
        read += 1
        body = access_body(entry)
        if body is None:
            continue
        time = time_of(body)
        if number >= first and oldest is None:
            oldest = time
        if time is not None and time < since:
            continue
        if text_of(body, "action") not in actions:
            continue
        if text_of(body, "outcome") != "allowed":
            counts["refused"] += text_of(body, "outcome") == "refused"
            continue
        counts["releases"] += 1
        counts["under_lease"] += bool(text_of(body, "lease"))
        counts["with_credential"] += bool(text_of(body, "credential"))
    # Where the first entry that was read is older than the window, so is what lies before it.
    whole = whole or (oldest is not None and oldest < since)
    return Recent(entries_read=read, complete=whole and len(hits) < MAX_HITS, **counts)


def _entries(reader: Entries, hits: Sequence[int], first: int) -> Iterator[tuple[int, bytes]]:
    for number in hits:
        if number < first:
            yield number, reader.entry(number)
    yield from reader.entries(first, reader.size)
