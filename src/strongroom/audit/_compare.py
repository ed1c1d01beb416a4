"""The tables beside the ledger, which says what they must hold: one pass over the log, in bounded memory.

What is found, and how: a lease, its budget and its approvals by their entries (`_leases`); principals, their keys,
grants, assets and published policies by the last entry that changed the row, which holds a keyed digest of what the row
held then (`_rows`); sealers by the entry of the sealing; the clock by the latest time that was decided at.

What cannot be: a row that is edited together with the ledger's key, or that the ledger does not hold (a request for a
lease, how long a lease lasts, writers, versions of sealed objects). docs/limitations.md lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from ..core.clock import format_time
from ..core.ids import object_digest
from ..state import Cell, Rows, Survey
from ._difference import Comparison, Difference
from ._leases import OTHER_PRINCIPAL, LeaseCheck
from ._own import ERASURE, Event, own_event
from ._rows import NO_ROW, RowDigests

__all__ = ["ACCEPTS", "RECENT", "RESTORES", "Log", "check_releases", "compare_state"]

BATCH = 512
"""Entries whose leases are asked for at once."""
RECENT = 256
"""Entries that a door looks at."""
RESTORES = "restores a backup"
"""The reason of the entry that a restored site begins with; its `source` says which entries its tables do not know."""
ACCEPTS = "accepts rows"
"""The same of an entry that puts on record that rows are right as they are."""
SITE_ASSET = "strongroom/site"
CLOCK_CHANGE = "believes the clock"
_ACCEPT = "strongroom site accept"


class Log(Protocol):
    """A log up to one verified checkpoint, as `ledger.LogReader` is."""

    @property
    def size(self) -> int: ...
    def entries(self, first: int, last: int) -> Iterator[tuple[int, bytes]]: ...


def compare_state(
    log: Log,
    survey: Survey,
    rows: RowDigests,
    time_us: int,
    *,
    beginning: Rows | None = None,
    since: int | None = None,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Comparison:
    """What differs. `beginning`: rows that a new site has and that nothing on record has made. `since`: the tables
    are a copy, of when the log had so many entries; what was changed later is counted, and is no difference.

    Raises IntegrityError for a log that does not lead to its checkpoint, and for tables with values that nothing of
    ours wrote.
    """
    run = _Run(log.size, survey, rows, time_us, beginning or {}, log.size if since is None else since)
    entries = log.entries(0, log.size)
    while batch := list(islice(entries, BATCH)):
        run.see([(index, event) for index, entry in batch if (event := own_event(entry)) is not None])
        progress(batch[-1][0] + 1, log.size)
    return run.finish()


def check_releases(log: Log, survey: Survey, rows: RowDigests, time_us: int) -> list[Difference]:
    """What the tables do not know of the last releases on record: they are an older copy, or were edited.

    Looks at `RECENT` entries, so that a door can afford it. Nothing that a crash leaves is among it. The tables must be
    read after the log. Raises IntegrityError.
    """
    run = _Run(log.size, survey, rows, time_us, {}, log.size)
    entries = log.entries(max(0, log.size - RECENT), log.size)
    run.see([(index, event) for index, entry in entries if (event := own_event(entry)) is not None])
    return [one for one in run.releases().differences if one.sure]


class _Run:
    def __init__(self, size: int, survey: Survey, rows: RowDigests, time_us: int, beginning: Rows, since: int) -> None:
        self._survey, self._rows, self._beginning, self._since = survey, rows, beginning, since
        self._result = Comparison(entries=size)
        self._leases = LeaseCheck(survey, rows, time_us, size)
        self._held: list[Difference] = []
        """Until it is known which entries a restored backup does not know."""
        self._row_of: dict[str, tuple[int, str, str]] = {}
        """By row: the last entry that changed it, what it holds since, and what kind of change that was."""
        self._row_then: dict[str, str] = {}
        """What rows held at `since`."""
        self._revoked: dict[str, int] = {}
        self._sealed: dict[str, tuple[int, str]] = {}
        self._before_rows = False
        """Whether changes are on record whose rows are not: an older Strongroom made them."""
        self._latest = 0

    def see(self, events: Sequence[tuple[int, Event | str]]) -> None:
        own = []
        for index, event in events:
            if isinstance(event, str):
                self._result.erased = index if event == ERASURE else self._result.erased
                continue
            own.append((index, event))
            if event.outcome == "allowed":
                self._note(index, event)
        self._result.events += len(own)
        self._held += self._leases.see(own)

    def releases(self) -> Comparison:
        """What was released, alone. A principal that was forgotten and came back has another digest since."""
        result = self._result
        result.add(*(one for one in self._held if one.what != OTHER_PRINCIPAL or one.entry > result.erased))
        return result

    def finish(self) -> Comparison:
        result = self.releases()
        result.add(*self._leases.finish(result.erased, self._revoked))
        result.add(*self._changed_rows())
        result.add(*self._sealers())
        if self._survey.seen_time() < self._latest:
            seen, latest = format_time(self._survey.seen_time()), format_time(self._latest)
            what = f"the latest time of a decision is {seen} in the tables, and {latest} in the ledger"
            result.add(Difference(kind="clock", row="time", what=what, next="strongroom policy reset-clock"))
        return result

    def _note(self, index: int, event: Event) -> None:
        if event.action == "Administer" and event.asset == SITE_ASSET:
            self._note_change(index, event)
        elif event.action == "Seal":
            self._sealed.setdefault(event.request_digest, (index, event.principal))
        if event.policy_ids and not (event.action == "Administer" and event.reason.startswith(CLOCK_CHANGE)):
            self._latest = max(self._latest, event.at)

    def _note_change(self, index: int, event: Event) -> None:
        kind = event.reason.partition(";")[0]
        if index >= self._since:
            self._result.recorded[kind] = self._result.recorded.get(kind, 0) + 1
        if kind == CLOCK_CHANGE:
            self._latest = 0
        elif kind in (RESTORES, ACCEPTS) and event.source.isdecimal():
            self._result.forgiven.append(range(int(event.source), index))
        elif kind == "revokes a lease":
            self._revoked[event.request_digest] = index
        if event.request_digest and not event.changed:
            self._before_rows = True
        for one in event.changed:
            row, _, value = one.partition(":")
            if one != NO_ROW:
                self._row_of[row] = (index, value, kind)
                if index < self._since:
                    self._row_then[row] = value

    def _changed_rows(self) -> Iterator[Difference]:
        result, last = self._result, self._row_of
        for key, cells in self._survey.guarded().items():
            row, value = self._rows.row(key), self._rows.value(key, cells)
            index, held, _ = last.pop(row, (-1, "", ""))
            begun = self._beginning.get(key) == cells
            if held == value or (index < 0 and begun):
                continue
            if index >= self._since and (self._row_then.get(row) == value or (row not in self._row_then and begun)):
                result.outdated[key] = cells
                continue
            result.rows[key] = cells
            yield _different(key, index, held, sure=index >= 0 or not self._before_rows)
        for row, (index, value, kind) in last.items():
            if not value:
                continue
            if index >= self._since and not self._row_then.get(row):
                result.outdated_gone.append(row)
                continue
            result.gone.append(row)
            what = f"a row that this entry made ('{kind}') is not in the tables"
            next = f"make the change again; or, if it is right, {_ACCEPT}"
            sure = index > result.erased
            yield Difference(kind="row", row=f"entry {index}", what=what, entry=index, next=next, sure=sure)

    def _sealers(self) -> Iterator[Difference]:
        for object, principal in self._survey.sealers():
            index, sealer = self._sealed.get(object_digest(object), (self._result.entries, ""))
            if sealer != self._rows.principal(principal) and index > self._result.erased:
                sure = "" not in self._sealed  # without a digest: an older Strongroom's
                what = f"{principal} stands there as its sealer, and the ledger does not say so"
                yield Difference(kind="sealer", row=object, what=what, next=_ACCEPT, sure=sure)


def _different(key: tuple[Cell, ...], index: int, held: str, *, sure: bool) -> Difference:
    """A row that the last entry about it, if there is one, does not bear out."""
    if index < 0:
        what = "is in the table, and no entry of the ledger made it"
    elif held:
        what = "is not as the ledger's last entry about it left it"
    else:
        what = "is in the table, and the ledger's last entry about it took it away"
    next = f"{_mends(key)}; or, if it is right, {_ACCEPT}"
    return Difference(kind=str(key[0]), row=_named(key), what=what, entry=index, next=next, sure=sure)


def _named(key: tuple[Cell, ...]) -> str:
    if key[0] == "grant":
        return f"{key[2]} of {key[3]} to {key[1]}"
    return str(key[1])


def _mends(key: tuple[Cell, ...]) -> str:
    """What takes a row away that should not be there."""
    return {
        "principal": f"strongroom principal remove {key[1]}",
        "SSH key": f"strongroom principal remove NAME --ssh-key {key[1]}, of its owner",
        "API key": f"strongroom principal key revoke {key[1]}",
        "grant": "strongroom grant revoke " + " ".join(map(str, key[1:])),
        "asset": f"strongroom asset remove {key[1]}",
        "policies": 'strongroom policy publish (with mode = "off" where none can be believed), then site accept',
    }[str(key[0])]
