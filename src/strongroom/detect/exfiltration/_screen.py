"""Whose reading is measured exactly: whoever may have read as much, and does not do so every day.

Daily shares are never too low: of what is read within 24 hours at least half falls on one day, and what is read on two
days counts twice. So nobody is left out here whom an exact measure would show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ._daily import Daily, is_public
from ._exact import Suspect
from ._habits import Habits

__all__ = ["BULK", "FORTNIGHT", "MOST_CELLS", "SLOW", "screen", "within_bounds"]

BULK = 0.5
SLOW = 0.5
FORTNIGHT = 14
MOST_CELLS = 1_000_000


def screen(reads: Daily, habits: Habits, start: int, end: int) -> list[Suspect]:
    """Suspects for what was read between `start` and `end`, microseconds since 1970."""
    inside = reads.only((reads.last >= start) & (reads.first < end))
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for row in range(len(inside)):
        found[inside.asset[row], inside.principal[row]][int(inside.day[row])] += float(inside.share[row])
    suspects = []
    for (asset, principal), days in sorted(found.items()):
        full = sorted(day for day, share in days.items() if share >= BULK / 2)
        if full:
            suspects += _at_once(habits, asset, principal, full)
        if sum(days.values()) >= SLOW:
            suspects.append(Suspect(asset, (principal,)))
    return suspects + _together(inside, habits)


def _at_once(habits: Habits, asset: str, principal: str, days: Sequence[int]) -> list[Suspect]:
    """The days that its habit does not explain; else those on which it came from a new network."""
    unusual, networks = [], defaultdict(list)
    for day in days:
        habit = habits.of(asset, principal, day, habits.share(asset, principal, day))
        if not habit.routine:
            unusual.append(day)
        elif habit.new_network:
            networks[habit.new_network].append(day)
    found = [Suspect(asset, (principal,), days=tuple(unusual))] if unusual else []
    return found + [Suspect(asset, (principal,), network, tuple(days_)) for network, days_ in sorted(networks.items())]


def _together(reads: Daily, habits: Habits) -> list[Suspect]:
    """Several principals who read much from one new network, though each reads little."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in np.flatnonzero([is_public(network) for network in reads.network]):
        rows[reads.asset[row], reads.network[row]].append(int(row))
    found = []
    for (asset, network), own in sorted(rows.items()):
        principals = tuple(sorted(set(reads.principal[own])))
        first = int(reads.day[own].min())
        if (
            len(principals) > 1
            and reads.share[own].sum() >= SLOW
            and all(habits.is_new(network, principal, first) for principal in principals)
        ):
            found.append(Suspect(asset, principals, network))
    return found


def within_bounds(reads: Daily, suspects: Sequence[Suspect]) -> list[Suspect]:
    """As many suspects as there is room for, those with the fewest cells first: a huge one would leave no room for
    anybody else."""
    most = np.minimum(reads.events, 24 * reads.objects)
    rows: dict[tuple[str, str], int] = defaultdict(int)
    for row in range(len(reads)):
        rows[reads.asset[row], reads.principal[row]] += int(most[row])

    def size(suspect: Suspect) -> int:
        return sum(rows[suspect.asset, principal] for principal in suspect.principals)

    room = MOST_CELLS
    kept: list[Suspect] = []
    for suspect in sorted(suspects, key=lambda each: (size(each), each)):
        room -= size(suspect)
        if room >= 0 or not kept:
            kept.append(suspect)
    return kept
