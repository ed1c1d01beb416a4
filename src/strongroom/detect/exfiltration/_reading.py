"""Bulk reads and slow reads: who reads much of an asset, at once or by and by, though that is not its habit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from strongroom.core.assets import Asset
from strongroom.core.records import Strength
from strongroom.detect.signals import Severity
from strongroom.store import Store

from ._daily import DAY_US, Daily, role_of
from ._drafts import Draft, Reason, lasting, models_too, percent, raised, share_text
from ._exact import Cells, Peak, Suspect, peak, read_cells
from ._habits import USUAL, Habit, Habits
from ._screen import BULK, FORTNIGHT, SLOW, screen, within_bounds

__all__ = ["FEWEST", "PEERS", "SLOW_DAYS", "SWEEP", "SWEPT", "find_readings"]

SLOW_DAYS = 3
SWEEP = 1.2
SWEPT = 0.75
PEERS = 3
FEWEST = 8

_BULK_STEPS = [
    "ask the asset's owner whether this reading was agreed on",
    "keep the logs of these days, and of the credential since it was made",
    "take the reading permission from the principal for the time being; it can be given back",
    "if nobody knows of it: rotate the credential, end its sessions, and look for where the objects went",
]
_SLOW_STEPS = [
    "ask the asset's owner, and then the principal's lead, what this work needs of the asset",
    "keep the logs since the first of these reads",
    "limit what the role may read to what its work needs; it can be widened again",
    "if it is not explained: rotate the credential, and look for copies of the objects",
]


@dataclass(frozen=True)
class _Read:
    """What one suspect read in a window, and what its habit is."""

    suspect: Suspect
    principal: str
    asset: Asset
    cells: Cells
    window: Peak
    habit: Habit

    @property
    def day(self) -> int:
        return self.window.first // DAY_US

    @property
    def unsure(self) -> bool:
        """Nobody else named most of the objects, and no size says how much of the whole they are."""
        return not self.cells.size and self.window.alone > 0.5

    @property
    def unjudgeable(self) -> bool:
        """Where sizes are unknown, a share of a few objects says nothing: one file may be all, or the model's card."""
        return not self.cells.size and min(self.cells.known, self.window.objects) < FEWEST


def find_readings(
    store: Store, events: Any, assets: Mapping[str, Asset], reads: Daily, habits: Habits, start: int, end: int
) -> tuple[list[Draft], list[str]]:
    """Drafts for what was read between `start` and `end`, microseconds since 1970; and who was not measured."""
    suspects = screen(reads, habits, start, end)
    kept = within_bounds(reads, suspects)
    cells = read_cells(store, events, kept, assets, start, end)
    spans = {suspect: peak(own, 24 * FORTNIGHT, 24) for suspect, own in cells.items() if not suspect.days}
    exact = {(each.asset, each.principals[0]): span.share for each, span in spans.items() if not each.network}
    drafts: list[Draft] = []
    for suspect, own in cells.items():
        asset, window = assets[suspect.asset], _fullest_day(suspect, own)
        for principal in suspect.principals:
            if window is not None:
                habit = habits.of(asset.name, principal, window.first // DAY_US, window.share)
                drafts += _bulk(_Read(suspect, principal, asset, own, window, habit), habits)
            elif suspect in spans:
                drafts += _by_and_by(suspect, principal, asset, own, spans[suspect], habits, exact)
    left = len(suspects) - len(kept)
    unseen = [f"{left:,} readers of much of an asset, in too many objects to be measured; narrow the window"]
    return drafts, unseen if left else []


def _fullest_day(suspect: Suspect, cells: Cells) -> Peak | None:
    """The first 24 hours, about a day that the habit does not explain, in which enough was read."""
    if len(suspect.principals) > 1:
        whole = peak(cells, 24, 1)
        return whole if whole.share >= BULK else None
    for day in suspect.days:
        near = slice(*np.searchsorted(cells.hour, [24 * (day - 1), 24 * (day + 2)]))
        if near.start < near.stop:
            window = peak(cells.only(near), 24, 1)
            if window.share >= BULK:
                return window
    return None


# At once


def _bulk(of: _Read, habits: Habits) -> Iterator[Draft]:
    habit, window = of.habit, of.window
    strange = of.suspect.network or habit.new_network
    if (habit.routine and not strange) or of.unjudgeable:
        return
    severity, confidence = _bulk_severity(habit, strange)
    if of.unsure and severity != "informational":
        severity, confidence = "low", min(confidence, 0.3)
    inside = slice(*np.searchsorted(of.cells.hour, [window.first // 3_600_000_000, window.last // 3_600_000_000 + 1]))
    hour = peak(of.cells.only(inside), 1, 1)
    text = share_text(window, of.cells.known, of.cells.size)
    yield Draft(
        kind="bulk-read",
        title=f"{percent(window.share)} of {of.asset.name} read within a day",
        asset=of.asset,
        principal=of.principal,
        # Where a journey explains it, a dear asset makes nothing surer.
        severity=severity if strange and _may_travel(habit) else raised(severity, of.asset),
        confidence=confidence,
        techniques=models_too(["T1530"], of.asset),
        phase="exfiltration" if strange else "collection",
        first=window.first,
        last=window.last,
        events=window.events,
        why="Who takes an asset reads all of it. Jobs do so too: what differs is whose habit it is, and from where.",
        reasons=[
            ("share", f"{_who(of)} {text}; within one hour {percent(hour.share)}.", "strong"),
            *_compared(of, habits),
        ],
        recommended=_BULK_STEPS,
        network=of.suspect.network,
    )


def _bulk_severity(habit: Habit, strange: str) -> tuple[Severity, float]:
    """For a restricted asset; with how sure that is no job."""
    if strange and habit.known:
        return ("medium", 0.5) if _may_travel(habit) else ("high", 0.8)
    if strange and not (habit.common or habit.routine):
        return "medium", 0.5
    if habit.common:
        return "informational", 0.2
    if not habit.known or habit.recurs or strange:
        return "low", 0.3
    if 0 <= habit.before < BULK / 2:
        return "high", 0.6
    return "medium", 0.5


def _may_travel(habit: Habit) -> bool:
    """Whether who reads as much anyway, and moves about or is of those who do, may be on a journey."""
    return habit.known and (habit.mobile or habit.roaming) and (habit.routine or habit.common)


# By and by


def _by_and_by(
    suspect: Suspect,
    principal: str,
    asset: Asset,
    cells: Cells,
    span: Peak,
    habits: Habits,
    exact: Mapping[tuple[str, str], float],
) -> Iterator[Draft]:
    """What was read in a fortnight, if no day of it holds most; that would be reading at once."""
    if span.share >= SLOW and span.days >= SLOW_DAYS and peak(cells, 24, 1).share < BULK:
        days = (span.first // DAY_US, span.last // DAY_US)
        habit = habits.of(asset.name, principal, days[0], span.share, days[1])
        peers = habits.peers(asset.name, principal, days, exact)
        yield from _slow(_Read(suspect, principal, asset, cells, span, habit), habits, peers)


def _slow(of: _Read, habits: Habits, peers: npt.NDArray[np.float64]) -> Iterator[Draft]:
    habit, span = of.habit, of.window
    strange = of.suspect.network or habit.new_network
    before = habits.total(of.asset.name, of.principal, of.day - FORTNIGHT, of.day - 1)
    usual = len(peers) >= PEERS and np.mean(peers >= span.share / 2) >= USUAL
    sweep = span.repeats <= SWEEP
    if of.unjudgeable or not sweep or (not strange and (usual or before >= SLOW * span.share)):
        return
    swept = span.share >= SWEPT
    severity: Severity = "high" if strange or (swept and len(peers) >= PEERS) else "medium" if swept else "low"
    text = share_text(span, of.cells.known, of.cells.size)
    yield Draft(
        kind="slow-read",
        title=f"{percent(span.share)} of {of.asset.name} read by and by in {lasting(span.last - span.first)}",
        asset=of.asset,
        principal=of.principal,
        severity=raised("low" if of.unsure else severity, of.asset),
        confidence=0.3 if of.unsure else {"high": 0.7, "medium": 0.5, "low": 0.3}[severity],
        techniques=models_too(["T1530"], of.asset),
        phase="exfiltration" if strange else "collection",
        first=span.first,
        last=span.last,
        events=span.events,
        why="Who works with an asset comes back to parts of it. Who takes it by and by reads every part once.",
        reasons=[
            ("share", f"{_who(of)} {text}, on {span.days} days.", "strong"),
            ("sweep", f"An object was read on {span.repeats:.1f} days on average: hardly anything twice.", "moderate"),
            _of_peers(peers),
            *_compared(of, habits),
        ],
        recommended=_SLOW_STEPS,
        network=of.suspect.network,
    )


def _of_peers(peers: npt.NDArray[np.float64]) -> Reason:
    if not len(peers):
        return "peers", "Nobody else read parts of it in these days.", "weak"
    most = percent(float(peers.max()))
    text = f"Of {len(peers)} others who read parts of it in these days nobody read more than {most}."
    return "peers", text, "moderate"


# Compared with whom


def _who(of: _Read) -> str:
    others = len(of.suspect.principals) - 1
    if others:
        return f"With {others} others from {of.suspect.network} it"
    return f"From {of.suspect.network} it" if of.suspect.network else "It"


def _compared(of: _Read, habits: Habits) -> list[Reason]:
    habit = of.habit
    strength: Strength = "moderate" if habit.known else "weak"
    past = (
        _past(of, habits) if habit.known else f"Reads are known for {habit.past} days before: too few to compare with."
    )
    found: list[Reason] = [("past", past, strength)]
    if strange := of.suspect.network or habit.new_network:
        since = f"in the {habit.past} days before" if habit.known else "else in all that time"
        found.append(("network", f"It came from {strange}, from where nobody read anything {since}.", "strong"))
    if habit.common:
        found.append(("like", "It, or not a few of its like, read as much of other such assets within a day.", "weak"))
    if habit.recurs and not of.suspect.network:
        found.append(("recurs", f"It read as much on {habit.later} later days, as a new job would.", "weak"))
    if of.unsure:
        text = "Nobody else read or wrote most of these objects: how much of the whole they are is not known."
        found.append(("denominator", text, "weak"))
    return found


def _past(of: _Read, habits: Habits) -> str:
    """What it and everybody else read on days before."""
    whole, most = set(), 0.0
    for other in habits.readers[of.asset.name] - set(of.suspect.principals):
        before = [day for day in habits.days(of.asset.name, other) if day < of.day]
        share = max((habits.share(of.asset.name, other, day) for day in before), default=0.0)
        if share >= BULK:
            whole.add(role_of(other))
        else:
            most = max(most, share)
    own = "it never read the asset" if of.habit.before < 0 else f"it read at most {percent(of.habit.before)} in a day"
    rest = f"outside of {_listed(sorted(whole))} nobody else" if whole else "nobody else"
    return f"In the {of.habit.past} days before {own}; {rest} read more than {percent(most)} in any day."


def _listed(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
