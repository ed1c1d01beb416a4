"""The list of assets: functions over a connection; `State` gives each its transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select

from ..core.assets import Asset, check_asset
from ..core.errors import UsageError
from ..core.places import patterns
from ._tables import asset_places, assets

__all__ = ["MAX_ASSETS", "AssetsTaken", "put_assets", "read_assets", "remove_asset"]

MAX_ASSETS = 10_000
"""On one site."""
_AT_ONCE = 500
"""Values in one statement; SQLite takes 32,766."""
_SHOWN = 20
_T = TypeVar("_T")
_READ = (
    select(assets, asset_places.c.place)
    .join(asset_places, asset_places.c.asset == assets.c.name)
    .order_by(assets.c.name, asset_places.c.position)
)
_NAMED = _READ.where(assets.c.name.in_(bindparam("names", expanding=True)))


class AssetsTaken(UsageError):
    """Names or places that other assets have already. `problems`: by the name of each asset that cannot be put."""

    def __init__(self, problems: dict[str, str]) -> None:
        shown = [f"{name}: {problem}" for name, problem in list(problems.items())[:_SHOWN]]
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        super().__init__(
            "; ".join(shown) + more,
            next="--replace replaces what has the same name; a place is one asset's, a longer one may be another's",
        )
        self.problems = problems


def put_assets(connection: Connection, given: Sequence[Asset], *, replace: bool) -> int:
    """Puts all on the list. Returns how many of them replaced an older one.

    Raises RefusedError and UsageError for what is no asset, AssetsTaken.
    """
    by_name = {check_asset(asset).name: asset for asset in given}
    if len(by_name) != len(given):
        raise UsageError("an asset is given twice", next="leave one out")
    known = set(_existing(connection, list(by_name)))
    problems = {} if replace else dict.fromkeys(sorted(known), "is on the list already")
    for names in _some(sorted(known)):
        connection.execute(delete(asset_places).where(asset_places.c.asset.in_(names)))
        connection.execute(delete(assets).where(assets.c.name.in_(names)))
    problems.update(_taken(connection, by_name, problems))
    if problems:
        raise AssetsTaken(problems)  # which rolls back what was deleted
    count = connection.scalar(select(func.count()).select_from(assets)) or 0
    if count + len(by_name) > MAX_ASSETS:
        raise UsageError(f"a site lists {MAX_ASSETS:,} assets at most", next="name prefixes that hold several")
    if by_name:
        connection.execute(insert(assets), [_columns(asset) for asset in by_name.values()])
        connection.execute(insert(asset_places), [row for asset in by_name.values() for row in _places(asset)])
    return len(known)


def read_assets(connection: Connection, *names: str) -> list[Asset]:
    """All assets, by name, or those of these names that there are."""
    rows = connection.execute(_NAMED, {"names": names}).all() if names else connection.execute(_READ).all()
    return [_asset(list(group)) for _, group in groupby(rows, key=lambda row: row.name)]


def remove_asset(connection: Connection, name: str) -> bool:
    """Takes an asset off the list. Returns whether it was on it."""
    connection.execute(delete(asset_places).where(asset_places.c.asset == name))
    return connection.execute(delete(assets).where(assets.c.name == name)).rowcount > 0


def _existing(connection: Connection, names: list[str]) -> Iterator[str]:
    for some in _some(names):
        yield from connection.scalars(select(assets.c.name).where(assets.c.name.in_(some)))


def _taken(connection: Connection, given: dict[str, Asset], known: dict[str, str]) -> dict[str, str]:
    """Which of `given` want a place of another, on the list or among them."""
    wanted = [(row["pattern"], row["place"], name) for name, asset in given.items() for row in _places(asset)]
    owners: dict[str, str] = {}
    for some in _some(wanted):
        query = select(asset_places.c.pattern, asset_places.c.asset)
        rows = connection.execute(query.where(asset_places.c.pattern.in_([pattern for pattern, _, _ in some])))
        owners.update((row.pattern, row.asset) for row in rows)
    found = {}
    for pattern, place, name in wanted:
        owner = owners.setdefault(pattern, name)
        if owner != name and name not in known:
            found[name] = f"{owner} lies at {place[:120]} already"
    return found


def _some(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def _columns(asset: Asset) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(asset).items() if name != "places"}


def _places(asset: Asset) -> list[dict[str, Any]]:
    return [
        {"pattern": patterns(place)[0], "asset": asset.name, "position": position, "place": place}
        for position, place in enumerate(asset.places)
    ]


def _asset(rows: list[Row[Any]]) -> Asset:
    """Its rows, one for each place, as a record; msgspec refuses what has another type, which `told` tells."""
    columns = {name: rows[0]._mapping[name] for name in Asset.__struct_fields__ if name != "places"}
    return msgspec.convert({**columns, "places": [row.place for row in rows]}, Asset)
