"""From resolved access events to signals, and what could not be examined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from strongroom.core.assets import Asset
from strongroom.detect.signals import SEVERITIES, Signal
from strongroom.store import Store

from ._daily import DAY_US, Daily, read_daily, read_seen
from ._drafts import Draft, percent
from ._habits import PAST_DAYS, Habits
from ._keys import find_keys
from ._listing import find_listing
from ._reading import find_readings
from ._signals import signals_of
from ._staging import find_staging

__all__ = ["MOST_SIGNALS", "Result", "find_exfiltration"]

MOST_SIGNALS = 200


@dataclass(frozen=True)
class Result:
    """What was found, and what cannot be seen in these logs."""

    signals: list[Signal]
    """One for each asset, principal and kind; the most severe first."""
    not_examined: list[str]
    """In sentences, for a person."""


def find_exfiltration(
    store: Store,
    events: Any,
    assets: Sequence[Asset],
    *,
    start: int,
    end: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Judges what was done between `start` and `end`, microseconds since 1970.

    `events` is an Ibis table with the columns of ACCESS_EVENTS. Assets are resolved here, of the events that count (a
    table that `strongroom.detect.assets.resolve` gave serves too, and costs more). What it holds from before `start`
    is the past that is compared with. `progress` is told what is being done. Raises StrongroomError where the engine
    does.
    """
    guarded = {asset.name: asset for asset in assets if asset.classification != "public"}
    if not guarded:
        return Result([], ["no asset is listed that not anybody may have: nothing to look for exfiltration of"])
    progress("adding up who read how much of which asset")
    done = read_daily(store, events, guarded)
    reads = done.reads
    habits = Habits(reads, read_seen(store, events), guarded)
    progress("comparing readers with their past")
    drafts, unmeasured = find_readings(store, events, guarded, reads, habits, start, end)
    progress("looking for copies, listings and keys")
    drafts += find_staging(store, events, guarded, reads, habits, start, end)
    drafts += find_listing(store, events, guarded, reads, habits, start, end)
    drafts += find_keys(guarded, done, start, end)
    unseen = [*_unseen(guarded, reads), *_short(reads, start, end), *unmeasured]
    drafts = _one_each(drafts)
    if len(drafts) > MOST_SIGNALS:
        unseen.append(f"of {len(drafts):,} observations the {MOST_SIGNALS} most severe are told")
    progress("gathering evidence of what was read")
    return Result(signals_of(store, events, guarded, drafts[:MOST_SIGNALS]), unseen)


def _one_each(drafts: Iterable[Draft]) -> list[Draft]:
    """One of each asset, principal and kind: the most severe, with the reasons of the rest. Most severe first."""

    def order(draft: Draft) -> tuple[Any, ...]:
        at = SEVERITIES.index(draft.severity)
        return (-at, -draft.confidence, draft.first, draft.asset.name, draft.principal, draft.kind)

    found: dict[tuple[str, str, str], Draft] = {}
    for draft in sorted(drafts, key=order):
        at = (draft.asset.name, draft.principal, draft.kind)
        known = found.get(at)
        found[at] = draft if known is None else replace(known, reasons=[*known.reasons, *draft.reasons])
    return list(found.values())


# What cannot be seen


def _unseen(assets: Mapping[str, Asset], reads: Daily) -> Iterable[str]:
    seen = set(reads.asset)
    stored = {name for name, asset in assets.items() if asset.kind in ("model", "dataset")}
    if never := sorted(stored - seen):
        yield f"no read is recorded of {_named(never)}: data events may be off there, and then nobody's reading is seen"
    if unsized := sorted(name for name in seen if assets[name].size <= 0):
        yield f"the size of {_named(unsized)} is not known: shares are of the objects that the logs name"
    events, missing = int(reads.events.sum()), int(reads.missing.sum())
    if missing:
        yield f"{percent(missing / events)} of the reads have no bytes: each counts as a whole object"


def _short(reads: Daily, start: int, end: int) -> Iterable[str]:
    if not len(reads):
        return
    past = (start - int(reads.first.min())) / DAY_US
    if past < PAST_DAYS:
        until = "all" if (end - int(reads.first.min())) / DAY_US < PAST_DAYS else f"the first {PAST_DAYS} days"
        yield (
            f"reads are known since less than {PAST_DAYS} days before: in {until} of the window what is new "
            f"is not told from what is usual"
        )


def _named(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more assets" if len(names) > most else shown
