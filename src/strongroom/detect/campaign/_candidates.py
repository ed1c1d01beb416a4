"""From starts to the groups that are judged.

How much a unit must show before it belongs decides what a search ends in. Where little is asked, people near the
subject join, and a small campaign is hidden among them; where much is asked, those who sent little stay out, and a
campaign of many who did falls apart. So each start is searched strictly, and loosely by way of the community of
interest that it lies in; what is found is searched again more strictly, and all of that loosely. Groups that overlap
stay side by side: which of them is a campaign is for the judge to say.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ._sources import JOIN, Source, settle
from ._touches import Touches

__all__ = ["MIN_GROUP", "as_flags", "find_candidates"]

MIN_GROUP = 8
"""Units of a campaign."""
MAX_COMMUNITY = 0.4
"""Share of all units beyond which a community of interest is not searched for sources."""
STRICTLY = (4.5, 7.0)
"""Scores from which a unit belongs where more is asked than `JOIN`; the first is asked in the search from a start."""

Index = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


def find_candidates(touches: Touches, starts: Iterable[Flags]) -> list[Source]:
    """The groups that searches from these sets of units settle into, (units,) each."""
    found, communities = _Found(touches), list[Flags]()
    for start in starts:
        found.search(start, STRICTLY[0])
        community = settle(touches, start, known=communities, rounds=8, own=False)
        if community is None or len(community.units) > MAX_COMMUNITY * touches.units:
            continue
        communities.append(as_flags(community.units, touches.units))
        found.search(communities[-1], JOIN)
    for joins in (STRICTLY, (JOIN,)):
        for source in list(found.sources):
            for join in joins:
                found.search(as_flags(source.units, touches.units), join)
    return found.sources


class _Found:
    """What was found so far."""

    def __init__(self, touches: Touches) -> None:
        self._touches = touches
        self._known: dict[float, list[Flags]] = {}
        self.sources: list[Source] = []

    def search(self, start: Flags, join: float) -> None:
        """Searches from a start, unless it ends where another such search did."""
        known = self._known.setdefault(join, [])
        source = settle(self._touches, start, join=join, known=known)
        if source is None:
            return
        known.append(as_flags(source.units, self._touches.units))
        if len(source.units) >= MIN_GROUP:
            self.sources.append(source)


def as_flags(units: Index, count: int) -> Flags:
    """Which of `count` units are among these."""
    flags = np.zeros(count, dtype=bool)
    flags[units] = True
    return flags
