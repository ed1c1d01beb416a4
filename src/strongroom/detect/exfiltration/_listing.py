"""Listing before the first reading: somebody looks at what there is, and then reads of an asset it never read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.detect.signals import Severity
from strongroom.store import Store, microseconds

from ._actions import EVERYWHERE, LISTS, allowed
from ._daily import DAY_US, Daily
from ._drafts import Draft, Reason, lasting, percent
from ._habits import Habit, Habits, group_of

__all__ = ["AROUND", "FIRST_SHARE", "SOON_HOURS", "find_listing"]

SOON_HOURS = 24
FIRST_SHARE = 0.05
AROUND = 3

_STEPS = [
    "ask the asset's owner whether the principal was to begin work with it",
    "keep the logs since the listing",
    "take the reading permission from it until that is known; it can be given back",
]


def find_listing(
    store: Store, events: Any, assets: Mapping[str, Asset], reads: Daily, habits: Habits, start: int, end: int
) -> Iterator[Draft]:
    """Drafts for first reads between `start` and `end`, microseconds since 1970."""
    lists = _lists(store, events)
    buckets = {name: _buckets(asset) for name, asset in assets.items()}
    firsts: dict[tuple[str, str], int] = {}
    for row in range(len(reads)):
        at = (reads.asset[row], reads.principal[row])
        firsts[at] = min(firsts.get(at, int(reads.first[row])), int(reads.first[row]))
    for (asset, principal), first in sorted(firsts.items()):
        if not start <= first < end or principal not in lists or assets[asset].kind not in ("model", "dataset"):
            continue
        soon = [row for row in lists[principal] if 0 <= first - row["first"] <= SOON_HOURS * 3_600_000_000]
        over = [row for row in soon if row["resource"] in buckets[asset]]
        around = [row for row in soon if row["what"] in EVERYWHERE]
        if not over and not around:
            continue
        rows = (reads.asset == asset) & (reads.principal == principal) & (reads.first < first + DAY_US)
        share = min(1.0, float(reads.share[rows].sum()))
        day = first // DAY_US
        habit = habits.of(asset, principal, day, share)
        looked = bool(around) or len({row["resource"] for row in soon}) >= AROUND
        like = any(group_of(each) == group_of(principal) for each in habits.readers[asset] - {principal})
        if share < FIRST_SHARE or not habit.known or not (habit.new_network or (looked and not like)):
            continue
        yield _draft(assets[asset], principal, soon, (first, share, looked), habit, reads.only(rows))


def _lists(store: Store, events: Any) -> dict[str, list[dict[str, Any]]]:
    table = allowed(events, LISTS)
    micros = microseconds(table.time)
    table = table.select("principal", "resource", "what", micros=micros, hour=micros // 3_600_000_000)
    rows = table.group_by("principal", "resource", "what", "hour").aggregate(first=table.micros.min())
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.table(rows.order_by("principal", "first", "resource", "what")).to_pylist():
        found[row["principal"]].append(row)
    return found


def _buckets(asset: Asset) -> frozenset[str]:
    """What a listing of the stores of an asset names: a listing names the bucket, whatever its prefix."""
    found = set()
    for place in asset.places:
        scheme, _, rest = place.partition("://")
        bucket = rest.partition("/")[0]
        if scheme == "s3":
            found |= {f"arn:{partition}:s3:::{bucket}" for partition in ("aws", "aws-cn", "aws-us-gov")}
        elif scheme == "gs":
            found |= {f"projects/_/buckets/{bucket}", f"//storage.googleapis.com/projects/_/buckets/{bucket}"}
        elif place.startswith("arn:"):
            found.add(place.partition("/")[0])
    return frozenset(found)


def _draft(
    asset: Asset,
    principal: str,
    soon: list[dict[str, Any]],
    what: tuple[int, float, bool],
    habit: Habit,
    read: Daily,
) -> Draft:
    first, share, looked = what
    new_network = habit.new_network
    # Alone it is little, whatever the asset; and where colleagues roam, a new network is no news.
    severity: Severity = "medium" if new_network and looked and not habit.roaming else "low"
    named = sorted({row["resource"] or row["what"] for row in soon})
    listed = min(row["first"] for row in soon)
    reasons: list[Reason] = [
        (
            "listing",
            f"It listed {len(named)} stores ({', '.join(named[:3])}) from {format_time(listed)}, and "
            f"{lasting(first - listed)} later read of {asset.name} for the first time.",
            "moderate" if looked else "weak",
        ),
        ("share", f"In the day from then on it read {percent(share)} of it.", "moderate"),
    ]
    if new_network:
        reasons.append(("network", f"It came from {new_network}, from where nobody read before.", "strong"))
    return Draft(
        kind="list-then-read",
        title=f"Listed, and then read {asset.name} for the first time",
        asset=asset,
        principal=principal,
        severity=severity,
        confidence=0.5 if new_network or looked else 0.3,
        techniques=["T1619"],
        phase="discovery",
        first=listed,
        last=int(np.max(read.last)),
        events=int(read.events.sum()),
        why="Whoever is new to a place looks around first. New colleagues do so too.",
        reasons=reasons,
        recommended=_STEPS,
    )
