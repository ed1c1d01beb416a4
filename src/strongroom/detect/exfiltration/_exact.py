"""How much exactly a few principals read of an asset within any hour, any day and any fortnight.

Rows are grouped by object and hour by the engine. A window's amount is, where the size of the asset is known and the
log has bytes, the sum of what was read of each object, each counted at most once whole; else the number of distinct
objects. Both grow only, whatever more is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.assets import Asset
from strongroom.detect.assets import resolve
from strongroom.store import Store, microseconds

from ._actions import READS, WRITES, allowed, believable, network
from ._daily import DAY_US

__all__ = ["HOUR_US", "PART", "Cells", "Peak", "Suspect", "measure", "peak", "read_cells"]

HOUR_US = 3_600_000_000
PART = 0.01

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Suspect:
    """Whose reading of what is measured."""

    asset: str
    principals: tuple[str, ...]
    """One, or all who came from a network that is new."""
    network: str = ""
    """Only what was read from here; empty: all."""
    days: tuple[int, ...] = ()
    """The days that are suspicious, since 1970; none: all of them together."""


@dataclass(frozen=True)
class Cells:
    """What was read of each object in each hour; arrays have shape (cells,), in order of the hour."""

    object: Int64s
    """Numbers from 0."""
    hour: Int64s
    """Hours since 1970."""
    bytes: Floats
    """An event without any counts as the whole object: less would hide it."""
    logged: Floats
    """Bytes as the log has them."""
    cap: Floats
    """The most that anybody read of the object in a day, in bytes: about its size."""
    alone: npt.NDArray[np.bool_]
    """Nobody else read or wrote the object."""
    first: Int64s
    """Microseconds since 1970, and so is the next."""
    last: Int64s
    events: Int64s
    known: int
    """Distinct objects of the asset that anybody read or wrote."""
    size: int
    """Of the asset in bytes, where shares are of bytes; 0: they are of objects."""

    def only(self, chosen: Any) -> Cells:
        """The cells that `chosen` picks, as NumPy does."""
        names = ("object", "hour", "bytes", "logged", "cap", "alone", "first", "last", "events")
        return Cells(**{name: getattr(self, name)[chosen] for name in names}, known=self.known, size=self.size)


@dataclass(frozen=True)
class Peak:
    """The window in which most was read."""

    share: float
    objects: int
    bytes: int
    """As the log has them."""
    first: int
    """Microseconds since 1970 of the first event in it, and so is the next."""
    last: int
    events: int
    days: int
    """Days with any event."""
    alone: float
    """Share of its objects that nobody else read or wrote."""
    repeats: float
    """On how many days an object in it was read, on average."""


def read_cells(
    store: Store, events: Any, suspects: Sequence[Suspect], assets: Mapping[str, Asset], start: int, end: int
) -> dict[Suspect, Cells]:
    """The cells of suspects between `start` and `end`, microseconds since 1970."""
    if not suspects:
        return {}
    rows = store.table(_cells(events, suspects, assets.values(), start, end))
    rows = rows.sort_by([("asset", "ascending"), ("hour", "ascending"), ("principal", "ascending")])
    columns = {name: rows[name].to_numpy() for name in ("hour", "events", "first", "last", "known", "others")}
    columns["bytes"] = rows["bytes"].cast(pa.float64()).to_numpy()
    columns["cap"] = rows["cap"].cast(pa.float64()).to_numpy()
    columns["object"] = _codes(rows["resource"])
    texts = {name: rows[name].to_numpy(zero_copy_only=False) for name in ("asset", "principal", "network")}
    found = {}
    for suspect in suspects:
        mine = (texts["asset"] == suspect.asset) & np.isin(texts["principal"], suspect.principals)
        if suspect.network:
            mine &= texts["network"] == suspect.network
        if mine.any():
            found[suspect] = _of_one({name: column[mine] for name, column in columns.items()}, assets[suspect.asset])
    return found


def _cells(events: Any, suspects: Sequence[Suspect], assets: Iterable[Asset], start: int, end: int) -> Any:
    table = resolve(allowed(events, READS | WRITES), assets)
    table = table.filter(table.asset.isin(sorted({each.asset for each in suspects})))
    micros = microseconds(table.time)
    table = table.select(
        "asset", "principal", "resource", "client_address", "what", bytes=believable(table.bytes), micros=micros
    )
    daily = table.group_by("asset", "resource", "principal", day=table.micros // DAY_US).aggregate(
        bytes=table.bytes.sum().cast("int64")
    )
    caps = daily.group_by("asset", "resource").aggregate(cap=daily.bytes.max(), others=daily.principal.nunique())
    import ibis

    caps = caps.mutate(known=caps.count().over(ibis.window(group_by=caps.asset)))
    own = table.filter(
        table.what.isin(sorted(READS)),
        table.principal.isin(sorted({name for each in suspects for name in each.principals})),
        table.micros >= start,
        table.micros < end,
    )
    own = own.mutate(hour=(own.micros // HOUR_US).cast("int64"), network=network(own.client_address))
    cells = own.group_by("asset", "principal", "network", "resource", "hour").aggregate(
        events=own.count(), bytes=own.bytes.sum().cast("int64"), first=own.micros.min(), last=own.micros.max()
    )
    joined = cells.join(caps, ["asset", "resource"])
    return joined.select(*cells.columns, "cap", "others", "known")


def _of_one(columns: Mapping[str, Any], asset: Asset) -> Cells:
    known = int(columns["known"].max())
    by_size = asset.size > 0 and bool(np.nanmax(np.nan_to_num(columns["cap"])) > 0)
    usual = asset.size / known if by_size else 1.0
    cap = np.where(np.nan_to_num(columns["cap"]) > 0, columns["cap"], usual)
    return Cells(
        object=columns["object"],
        hour=columns["hour"],
        bytes=np.where(np.isnan(columns["bytes"]), cap, columns["bytes"]),
        logged=np.nan_to_num(columns["bytes"]),
        cap=cap,
        alone=columns["others"] <= 1,
        first=columns["first"],
        last=columns["last"],
        events=columns["events"],
        known=known,
        size=asset.size if by_size else 0,
    )


def measure(cells: Cells) -> float:
    """The share of an asset that cells hold, from 0 to 1.

    Of objects, one counts of which at least `PART` was read: so the heads of files, which hold no weights, do not.
    """
    objects, at = np.unique(cells.object, return_inverse=True)
    read = np.bincount(at, cells.bytes, len(objects))
    cap = np.zeros(len(objects))
    cap[at] = cells.cap
    if cells.size:
        return float(min(1.0, np.minimum(read, cap).sum() / cells.size))
    return float(min(1.0, (read >= PART * cap).sum() / max(1, cells.known)))


def peak(cells: Cells, hours: int, step: int) -> Peak:
    """The window of `hours` consecutive hours in which most was read; windows end every `step` hours."""
    best, chosen = -1.0, slice(0, 0)
    ends = np.unique(-(-(cells.hour + 1) // step) * step)
    for end in ends:
        window = slice(*np.searchsorted(cells.hour, [end - hours, end]))
        share = measure(cells.only(window))
        if share > best:
            best, chosen = share, window
    inside = cells.only(chosen)
    objects, at = np.unique(inside.object, return_index=True)
    days = inside.first // DAY_US
    return Peak(
        share=best,
        objects=len(objects),
        bytes=int(inside.logged.sum()),
        first=int(inside.first.min()),
        last=int(inside.last.max()),
        events=int(inside.events.sum()),
        days=len(np.unique(days)),
        alone=float(inside.alone[at].mean()),
        repeats=len(np.unique(np.stack([inside.object, days]), axis=1)[0]) / len(objects),
    )


def _codes(column: pa.ChunkedArray) -> Int64s:
    encoded = column.combine_chunks().dictionary_encode()
    codes: Int64s = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
