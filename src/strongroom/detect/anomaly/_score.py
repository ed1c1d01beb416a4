"""What is looked at in each unit: eleven facets, each scored alone, and what they say together.

| facet | a high score means |
|---|---|
| `entry` | actions that are new to the principal came by a network or tool that is new to it |
| `action` | actions that are new to it, refused ones apart from others |
| `combination` | actions, networks and tools that it knows, in pairs that are new to it |
| `asset` | assets that are new to it, or known ones used in a new way: looked at, changed or opened, refused |
| `order` | actions that it knows came in an unusual order |
| `network`, `tool` | these are new to it |
| `volume`, `bytes`, `refusals` | more events, bytes that left, refused or failed events than on its other days |
| `hours` | it was active at an unusual hour |

What a peer did on one day before counts once in all of these (`_precedent`).

Families' p-values are combined as Fisher did (Statistical Methods for Research Workers, 1932), by the sum of −log p,
where a family's is the smallest of its facets'. They are not independent, and a smallest one is not uniform, so the
sum is not looked up in a table: it is ranked among earlier sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ._calibrate import LEAST_REFERENCE, Ranks, ranks
from ._habits import amounts, hours, order_of_actions
from ._novelty import FirstSeen, first_seen, sums
from ._peers import Floats, Peers, reads
from ._precedent import precedents
from ._read import Counts, Ints
from ._units import Units, units_of

__all__ = ["FACETS", "FAMILIES", "LEAST_JUDGED", "MOST", "Scores", "features", "score"]

FAMILIES = (
    ("entry",),
    ("action",),
    ("combination", "asset", "order"),
    ("network",),
    ("tool",),
    ("volume", "bytes", "refusals"),
    ("hours",),
)
"""Facets that often are unusual together; of a family only the most unusual one counts."""
FACETS = tuple(facet for family in FAMILIES for facet in family)

LEAST_JUDGED = 100
"""Earlier sums below which a unit is not judged: from fewer, nothing can be said of one in thousands."""
MOST = 12.0
"""−log p that one facet adds at most: however large a single number is, it is one reason and not many."""

_DECIMALS = 6
"""Scores that differ by less are ties, so that the order in which floats were added decides nothing."""


@dataclass(frozen=True)
class Scores:
    """All that is known of the units."""

    units: Units
    peers: Peers
    seen: dict[str, FirstSeen]
    """Of the facets that are about first times."""
    ranks: dict[str, Ranks]
    together: Ranks
    total: Floats
    judged: npt.NDArray[np.bool_]
    """Which units had enough to be compared with."""


def score(counts: Counts) -> Scores:
    """Scores and ranks of all units, each by itself and what was before it."""
    units = units_of(counts)
    peers = Peers(counts, units)
    seen, raw = _facets(counts, units, peers)
    everything = np.ones(len(units), bool)
    ranked = {name: ranks(units, raw[name], everything) for name in FACETS}
    # A sum of p-values that had nothing to be compared with says nothing.
    sound = ranked[FACETS[0]].compared >= LEAST_REFERENCE
    least = [np.min([ranked[facet].p for facet in family], axis=0) for family in FAMILIES]
    total = np.round(np.sum([np.minimum(-np.log(p), MOST) for p in least], axis=0), _DECIMALS)
    together = ranks(units, total, sound)
    return Scores(units, peers, seen, ranked, together, total, together.compared >= LEAST_JUDGED)


def features(counts: Counts) -> tuple[Units, Floats]:
    """The facets' scores before any calibration, (units, facets): what other methods can be given too."""
    units = units_of(counts)
    _, raw = _facets(counts, units, Peers(counts, units))
    return units, np.stack([raw[name] for name in FACETS], axis=1)


def _facets(counts: Counts, units: Units, peers: Peers) -> tuple[dict[str, FirstSeen], dict[str, Floats]]:
    """What was seen first by facet, and the scores of all facets."""
    group, service = _classes(counts), _services(counts)
    acted = counts.action * 2 + counts.refused
    named = counts.asset > 0
    had = {
        "action": (units.row, acted),
        "network": (units.row, counts.network),
        "tool": (units.row, counts.tool),
        "asset": (units.row[named], counts.asset[named] * 3 + group[acted][named]),
    }
    classes = {
        "action": group,
        "network": np.zeros(len(counts.networks), np.int64),
        "tool": np.zeros(len(counts.tools), np.int64),
        "asset": np.tile(np.arange(3), len(counts.assets)),
    }
    seen = {facet: first_seen(units, peers, *had[facet], classes[facet]) for facet in had}
    events = np.bincount(units.row, counts.events, minlength=len(units)).astype(np.int64)
    before = precedents(units, peers, seen, had, events)
    seen = {facet: replace(first, surprise=before.surprise[facet]) for facet, first in seen.items()}
    seen["entry"] = _entries(counts, units, seen, acted)
    seen["combination"] = _combinations(counts, units, peers, seen, group)
    raw = {}
    for facet, first in seen.items():
        alike = np.zeros(len(first.unit), np.int64)
        if facet in ("action", "entry"):  # what is new of one service, and of one class of it, comes together
            alike = service[first.item] * 3 + group[first.item]
        raw[facet] = sums(units, first, alike)
    for facet, column in (("volume", counts.events), ("bytes", counts.bytes), ("refusals", counts.unanswered)):
        amount = np.bincount(units.row, column, minlength=len(units)).astype(np.int64)
        raw[facet] = np.where(before.explains(amount), 0.0, amounts(units, peers, amount))
    raw["hours"] = hours(units, counts, int(counts.day.min()))
    raw["order"] = order_of_actions(units, counts)
    return seen, {facet: np.round(raw[facet], _DECIMALS) for facet in FACETS}


def _classes(counts: Counts) -> Ints:
    """0: looks only, 1: changes something or hands out a secret, 2: was refused; of each action and whether refused."""
    change = np.array([not reads(action) for action in counts.actions], np.int64)
    return np.stack([change, np.full(len(change), 2)], axis=1).ravel()


def _services(counts: Counts) -> Ints:
    """The service of each action and whether refused, as a number."""
    names = [action.partition(":")[0] for action in counts.actions]
    return np.repeat(np.unique(np.array(names, dtype=object), return_inverse=True)[1], 2)


def _entries(counts: Counts, units: Units, seen: dict[str, FirstSeen], acted: Ints) -> FirstSeen:
    """The first-seen actions that came by a first-seen network or tool."""
    by_new = _new(units, seen["network"], counts.network) | _new(units, seen["tool"], counts.tool)
    wide = 2 * len(counts.actions)
    every = seen["action"]
    kept = np.isin(every.unit * wide + every.item, (units.row * wide + acted)[by_new])
    return FirstSeen(every.unit[kept], every.item[kept], every.surprise[kept], every.others[kept], every.near[kept])


def _combinations(counts: Counts, units: Units, peers: Peers, seen: dict[str, FirstSeen], group: Ints) -> FirstSeen:
    """First-seen pairs of an action with a network or tool that are both known of the principal."""
    acted = counts.action * 2 + counts.refused
    known = ~_new(units, seen["action"], acted)
    wide = len(counts.networks) + len(counts.tools)
    parts = []
    for name, column, offset in (("network", counts.network, 0), ("tool", counts.tool, len(counts.networks))):
        told = known & ~_new(units, seen[name], column)
        parts.append((units.row[told], acted[told] * wide + column[told] + offset))
    unit, pair = (np.concatenate(each) for each in zip(*parts, strict=True))
    words, item = np.unique(pair, return_inverse=True)
    found = first_seen(units, peers, unit, item, group[words // wide])
    return FirstSeen(found.unit, words[found.item], found.surprise, found.others, found.near)


def _new(units: Units, seen: FirstSeen, item: Ints) -> npt.NDArray[np.bool_]:
    """Whether the item of each row was new to the principal on that day."""
    wide = int(item.max(initial=0)) + 1
    return np.isin(units.row * wide + item, seen.unit * wide + seen.item)
