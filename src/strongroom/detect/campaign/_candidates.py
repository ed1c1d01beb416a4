"""From starts to the groups that are judged.

Each start is searched twice: directly, and by way of the community of interest that it lies in. Groups that overlap
stay side by side: which of them is a campaign is for the judge to say.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ._sources import Source, settle
from ._touches import Touches, as_flags

__all__ = ["MIN_GROUP", "find_candidates"]

MIN_GROUP = 8
"""Units of a campaign."""
MAX_COMMUNITY = 0.4
"""Share of all units beyond which a community of interest is not searched for sources."""

Flags = npt.NDArray[np.bool_]


def find_candidates(touches: Touches, starts: Iterable[Flags]) -> list[Source]:
    """The groups that searches from these sets of units settle into."""
    found: list[Source] = []
    known: list[Flags] = []
    communities: list[Flags] = []

    def search(start: Flags) -> None:
        source = settle(touches, start, known=known)
        if source is None:
            return
        known.append(as_flags(source.units, touches.units))
        if len(source.units) >= MIN_GROUP:
            found.append(source)

    for start in starts:
        search(start)
        community = settle(touches, start, known=communities, rounds=8, own=False)
        if community is not None and len(community.units) <= MAX_COMMUNITY * touches.units:
            communities.append(as_flags(community.units, touches.units))
            search(communities[-1])
    return found
