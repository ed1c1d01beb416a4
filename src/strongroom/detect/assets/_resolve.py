"""Events to assets: each distinct resource is resolved once, by asking for its parents.

A resource's address is cut at every depth that a pattern has, and what is cut is looked for among the patterns with a
hash join; so the work grows with distinct resources times depths, of which there are few, and not with patterns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from strongroom.core.assets import Asset
from strongroom.core.places import patterns

from ._addresses import address, wider_address

__all__ = ["resolve", "unresolved"]

# Patterns reach the engine as one text, as a long list of literals takes seconds to compile. Neither character can
# stand in a pattern.
_FIELD, _ROW = "\x1f", "\x1e"


def resolve(events: Any, assets: Iterable[Asset]) -> Any:
    """`events`, an Ibis table with the columns of ACCESS_EVENTS, with its column `asset` filled.

    The longest place that holds a resource wins, and one that names region and account, cluster or host over one
    that does not. An asset that the log itself named is kept. Null: none.
    """
    import ibis

    known = ibis.or_(events.asset.isnull(), events.asset == "").ifelse(ibis.null("string"), events.asset)
    table = _table_of(assets)
    if not table:
        return events.mutate(asset=known)
    found = _found(events, table)
    joined = events.mutate(asset=known).left_join(
        found,
        [
            events.resource == found.resource_,
            events.product.fill_null("") == found.product_,
            events.organization.fill_null("") == found.organization_,
        ],
    )
    columns = {name: joined[name] for name in events.columns if name != "asset"}
    filled = joined.asset.coalesce(joined.asset_)
    return joined.select(**columns, asset=filled).select(*events.columns)


def unresolved(resolved: Any) -> Any:
    """Of a table that `resolve` gave: `events`, and distinct `resources` of those that name a resource and resolve to
    no asset, by `product` and `service`, most first."""
    none = resolved.filter(resolved.asset.isnull(), resolved.resource.fill_null("") != "")
    counts = none.group_by("product", "service").aggregate(events=none.count(), resources=none.resource.nunique())
    return counts.order_by(counts.events.desc(), counts["product"], counts.service)


def _table_of(assets: Iterable[Asset]) -> dict[str, str]:
    """The asset of each pattern. What a log that says less would call two assets by resolves to neither."""
    own: dict[str, str] = {}
    other: dict[str, set[str]] = {}
    for asset in assets:
        for place in asset.places:
            first, *rest = patterns(place)
            own[first] = asset.name
            for text in rest:
                other.setdefault(text, set()).add(asset.name)
    alone = {text: names.pop() for text, names in other.items() if len(names) == 1}
    return alone | own


def _found(events: Any, table: dict[str, str]) -> Any:
    """Asset (`asset_`) by `product_`, `organization_` and `resource_`, for those that resolve."""
    import ibis

    named = events.filter(events.resource.fill_null("") != "", events.asset.fill_null("") == "")
    distinct = named.select(
        product_=named["product"].fill_null(""),
        organization_=named.organization.fill_null(""),
        resource_=named.resource,
    ).distinct()
    both = ibis.array(
        [
            address(distinct.product_, distinct.organization_, distinct.resource_),
            wider_address(distinct.product_, distinct.resource_),
        ]
    )
    addressed = distinct.mutate(address=both.unnest())
    addressed = addressed.filter(addressed.address.notnull())
    depths = sorted({text.count("/") for text in table})
    cuts = [addressed.address.re_extract(f"^(?:[^/]*/){{{depth}}}[^/]*", 0) for depth in depths]
    cut = addressed.mutate(text=ibis.array(cuts).unnest())  # an empty text where the address is not so deep
    rows = _rows(table)
    matched = cut.join(rows, cut.text == rows.pattern)
    return matched.group_by("product_", "organization_", "resource_").aggregate(
        asset_=matched.owner.argmax(matched.rank)
    )


def _rows(table: dict[str, str]) -> Any:
    """Patterns, their assets and their ranks as an Ibis table."""
    import ibis

    text = _ROW.join(_FIELD.join((pattern, name, str(_rank(pattern)))) for pattern, name in sorted(table.items()))
    split = ibis.literal(text).split(_ROW).unnest().name("row").as_table()
    fields = split.select(fields=split.row.split(_FIELD))
    return fields.select(pattern=fields.fields[0], owner=fields.fields[1], rank=fields.fields[2].cast("int64"))


def _rank(pattern: str) -> int:
    """Deeper first; at one depth, what has no `*`."""
    return 2 * pattern.count("/") + ("*" not in pattern)
