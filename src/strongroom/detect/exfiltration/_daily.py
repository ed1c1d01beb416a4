"""Who read how much of which asset on which day, and from which network: the small table that all is judged on.

Objects are counted once for each asset, principal, network and day, exactly: rows are grouped by resource first, so
that both engines give the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.assets import Asset
from strongroom.core.records import ANONYMOUS
from strongroom.detect.assets import resolve
from strongroom.store import Store, microseconds

from ._actions import KEYS, READS, RELEASES, allowed, believable, network

__all__ = [
    "DAY_US",
    "LEAST_PAUSE",
    "THIN",
    "Activity",
    "Daily",
    "Seen",
    "is_public",
    "read_daily",
    "read_seen",
    "role_of",
    "stretches",
    "wider",
]

DAY_US = 86_400_000_000
THIN = 0.02
LEAST_PAUSE = 10

Int64s = npt.NDArray[np.int64]
Strings = npt.NDArray[np.object_]

_SESSION = re.compile(r"(arn:aws[\w-]*:sts::\d*:assumed-role/[^/]+)/.+", re.DOTALL)


@dataclass(frozen=True)
class Daily:
    """Rows of one kind of action, reads or key releases; every array has shape (rows,)."""

    asset: Strings
    principal: Strings
    role: Strings
    network: Strings
    day: Int64s
    """Days since 1970."""
    objects: Int64s
    events: Int64s
    bytes: Int64s
    missing: Int64s
    """Events without bytes."""
    first: Int64s
    """Microseconds since 1970, and so is the next."""
    last: Int64s
    share: npt.NDArray[np.float64]
    """Of the asset, from 0 to 1, at most what was read: what was read again within the day counts again."""

    def only(self, chosen: npt.NDArray[np.bool_]) -> Daily:
        """The rows where `chosen` holds."""
        return Daily(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def __len__(self) -> int:
        return len(self.day)


@dataclass(frozen=True)
class Activity:
    """What was done with assets."""

    reads: Daily
    keys: Daily
    """Uses of their keys in the cloud's key service."""
    releases: Daily
    """Releases of their keys by our vault, as the ledger has them."""


@dataclass(frozen=True)
class Seen:
    """Who came from which network, in all access events."""

    begins: Sequence[int]
    """The first days, since 1970, of each stretch of days in which logs are there (`stretches`), in order."""
    first: Mapping[str, int]
    """The first day of each network, and of the wider one around it."""
    users: Mapping[str, set[str]]
    """The principals that came from it."""
    days: Mapping[str, Mapping[str, int]]
    """By principal and network: on how many days."""
    roles: Mapping[str, Mapping[int, set[str]]]
    """By role and day: the public networks that it came from."""

    def begin(self, day: int) -> int:
        """The first day of the stretch that a day is in."""
        return max((each for each in self.begins if each <= day), default=self.begins[0] if self.begins else 0)


def role_of(principal: str) -> str:
    """Who has the permissions: an assumed role without the session that acts; others as they are.

    >>> role_of("arn:aws:sts::1:assumed-role/Training/job-7")
    'arn:aws:sts::1:assumed-role/Training'
    """
    match = _SESSION.fullmatch(principal)
    return match[1] if match else principal


def is_public(name: str) -> bool:
    """Whether a network is one of the internet's, and neither private nor a service of the cloud."""
    return name.endswith(("/24", "/48"))


def wider(name: str) -> str:
    """The /16 of a /24 and the /32 of a /48, about what a provider deals its addresses from; others as they are.

    >>> wider("203.0.113.0/24"), wider("2001:db8:7::/48"), wider("private")
    ('203.0.0.0/16', '2001:db8::/32', 'private')
    """
    if name.endswith("/24"):
        return ".".join(name.split(".")[:2]) + ".0.0/16"
    return ":".join(name.split(":")[:2]) + "::/32" if name.endswith("/48") else name


def read_daily(store: Store, events: Any, assets: Mapping[str, Asset]) -> Activity:
    """Reads and key releases of `assets` among access events."""
    table = resolve(allowed(events, READS | KEYS | RELEASES), assets.values())
    table = table.filter(table.asset.notnull())
    micros = microseconds(table.time)
    table = table.select(
        "asset",
        "principal",
        "resource",
        bytes=believable(table.bytes),
        micros=micros,
        day=(micros // DAY_US).cast("int64"),
        network=network(table.client_address),
        way=table.what.isin(sorted(READS)).ifelse("reads", table.what.isin(sorted(KEYS)).ifelse("keys", "releases")),
    )
    by = ["asset", "principal", "network", "day", "way"]
    objects = table.group_by(*by, "resource").aggregate(
        events=table.count(),
        bytes=table.bytes.sum().fill_null(0).cast("int64"),
        missing=table.bytes.isnull().sum().fill_null(0).cast("int64"),
        first=table.micros.min(),
        last=table.micros.max(),
    )
    sums = objects.group_by(*by).aggregate(
        objects=objects.count(),
        first=objects["first"].min(),
        last=objects["last"].max(),
        **{name: objects[name].sum().cast("int64") for name in ("events", "bytes", "missing")},
    )
    rows = store.table(sums.order_by(*by))
    keep = np.array([name in assets for name in rows["asset"].to_pylist()], dtype=bool)
    rows = rows.filter(pa.array(keep))
    ways = np.array(rows["way"].to_pylist(), dtype=object)
    return Activity(
        **{way: _daily(rows.filter(pa.array(ways == way)), assets) for way in ("reads", "keys", "releases")}
    )


def read_seen(store: Store, events: Any) -> Seen:
    """Who came from where, of whom the log says a name, and who were let in: whoever was refused without one, a scanner
    or an intruder who prepares the ground, makes no network known."""
    named = ~events.principal.fill_null("unknown").isin(sorted(ANONYMOUS))
    let_in = events.filter(named, (events.outcome == "allowed") | events.outcome.isnull())
    table = let_in.select(
        "client_address",
        principal=let_in.principal.fill_null("unknown"),
        day=(microseconds(let_in.time) // DAY_US).cast("int64"),
    )
    # Each address is looked at once.
    by_address = table.group_by("client_address", "principal", "day").aggregate(events=table.count())
    per_day = by_address.group_by("day").aggregate(n=by_address.events.sum())
    counts = {row["day"]: int(row["n"]) for row in store.table(per_day).to_pylist()}
    distinct = by_address.select("principal", "day", network=network(by_address.client_address)).distinct()
    rows = store.table(distinct.order_by("day", "principal", "network"))
    first: dict[str, int] = {}
    users: dict[str, set[str]] = {}
    days: dict[str, dict[str, int]] = {}
    roles: dict[str, dict[int, set[str]]] = {}
    for row in rows.to_pylist():
        first.setdefault(row["network"], row["day"])
        first.setdefault(wider(row["network"]), row["day"])
        users.setdefault(row["network"], set()).add(row["principal"])
        own = days.setdefault(row["principal"], {})
        own[row["network"]] = own.get(row["network"], 0) + 1
        if is_public(row["network"]):
            roles.setdefault(role_of(row["principal"]), {}).setdefault(row["day"], set()).add(row["network"])
    return Seen(begins=stretches(counts), first=first, users=users, days=days, roles=roles)


def stretches(counts: Mapping[int, int]) -> list[int]:
    """The first day of each stretch of days of a log, from the number of events of each day.

    A stretch ends with LEAST_PAUSE days or more on which less came than THIN of what comes on a usual day (half of all
    events come on days with at least as much). So one old record, or a chain of them, makes no past.

    >>> stretches({1: 1, 20: 900, 21: 1000, 22: 1000, 50: 800})
    [20, 50]
    """
    if not counts:
        return []
    ordered = sorted(counts.values(), reverse=True)
    usual = ordered[int(np.searchsorted(np.cumsum(ordered), sum(ordered) / 2))]
    dense = [day for day in sorted(counts) if counts[day] >= THIN * usual]
    return [
        day for day, before in zip(dense, [None, *dense], strict=False) if before is None or day - before > LEAST_PAUSE
    ]


def _daily(rows: pa.Table, assets: Mapping[str, Asset]) -> Daily:
    asset, principal, network_ = (_strings(rows[name].to_pylist()) for name in ("asset", "principal", "network"))
    numbers = {
        name: rows[name].to_numpy().astype(np.int64)
        for name in ("day", "objects", "events", "bytes", "missing", "first", "last")
    }
    return Daily(
        asset=asset,
        principal=principal,
        role=_strings([role_of(each) for each in principal]),
        network=network_,
        share=_shares(asset, principal, numbers, assets),
        **numbers,
    )


def _shares(asset: Strings, principal: Strings, numbers: Mapping[str, Int64s], assets: Mapping[str, Asset]) -> Any:
    """Of bytes where the asset's size is known and bytes are in the log; else of the most objects of one day."""
    found = np.zeros(len(asset))
    for name in set(asset):
        own = np.flatnonzero(asset == name)
        size = assets[name].size
        if size > 0 and numbers["bytes"][own].sum() > 0:
            found[own] = np.minimum(1, _with_missing(own, numbers, size) / size)
            continue
        most: dict[tuple[str, int], int] = {}
        for row in own:
            at = (principal[row], int(numbers["day"][row]))
            most[at] = max(most.get(at, 0), int(numbers["objects"][row]))
        found[own] = np.minimum(1, numbers["objects"][own] / max(most.values(), default=1))
    return found


def _with_missing(own: Int64s, numbers: Mapping[str, Int64s], size: int) -> npt.NDArray[np.float64]:
    """Bytes read; a row whose events mostly lack them is taken as the asset's size by its objects."""
    most = max(1, int(numbers["objects"][own].max()))
    lacks = numbers["missing"][own] * 2 > numbers["events"][own]
    return np.where(lacks, numbers["objects"][own] / most * size, numbers["bytes"][own])


def _strings(values: Sequence[str]) -> Strings:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
