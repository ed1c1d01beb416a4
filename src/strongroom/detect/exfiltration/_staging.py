"""Copies of an asset that stay inside the cloud, in a place that is no asset or that another account may open.

A copy names its source in the request, so the source is resolved as any other resource is. What is then read from the
place is told with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.detect.assets import resolve
from strongroom.detect.signals import Severity
from strongroom.store import Store, microseconds

from ._actions import COPIES, LOOKS, READS, SHARES, WRITES, allowed, network
from ._daily import DAY_US, Daily, is_public
from ._drafts import Draft, Reason, lasting, models_too, percent, raised
from ._habits import ALIKE, PAST_DAYS, ROUTINE, Habits

__all__ = ["MOST_SHARES", "STAGED", "STAGED_OBJECTS", "copies_of", "find_staging"]

STAGED = 0.25
STAGED_OBJECTS = 8
MOST_SHARES = 100_000

_STEPS = [
    "ask the asset's owner whether this copy was agreed on",
    "keep the copy and the logs; deny reading from the place to everybody for the time being",
    "take back what was opened to other accounts",
    "if nobody knows of it: rotate the credential, and remove the copy once it is evidence",
]
# Fields of AWS's records: where a copy comes from, what was made, and to whom it was opened.
_SOURCE = "requestParameters.x-amz-copy-source"
_MADE = ("responseElements.snapshotId", "responseElements.imageId")
_SHARED_WITH = (
    "requestParameters.createVolumePermission.add.items.userId",
    "requestParameters.launchPermission.add.items.userId",
    "requestParameters.createVolumePermission.add.items.group",
    "requestParameters.launchPermission.add.items.group",
)
_WHY = "A copy in another place is outside of what guards the asset, and can be taken from there unseen."


def copies_of(events: Any, assets: Mapping[str, Asset]) -> Any:
    """Copies within an object store: `asset` is the source's, `place` the bucket and `target` the object made.

    Only those to places that are no asset.
    """
    import ibis

    table = resolve(allowed(events, COPIES), assets.values())
    table = table.filter(table.asset.isnull())
    source = table.fields.get(_SOURCE).fill_null("")
    # A version and the escape of a slash are cut; other escapes stay, and such a source resolves by its prefix.
    source = source.re_replace("^/|[?].*$", "").re_replace("%2[fF]", "/")
    table = table.mutate(
        target=table.resource,
        place=table.resource.re_extract("^arn:[^:]*:s3:::[^/]+", 0),
        resource=(source == "").ifelse("", ibis.literal("arn:aws:s3:::") + source),
        asset=ibis.null("string"),
    )
    table = table.filter(table.resource != "", table.place != "")
    resolved = resolve(table, assets.values())
    return resolved.filter(resolved.asset.notnull())


def find_staging(
    store: Store, events: Any, assets: Mapping[str, Asset], reads: Daily, habits: Habits, start: int, end: int
) -> Iterator[Draft]:
    """Drafts for copies made between `start` and `end`, microseconds since 1970."""
    with store.kept(copying(events)) as few, store.kept(copies_of(few, assets)) as copies:
        yield from _staged(store, events, copies, assets, reads, habits, start, end)
        yield from _shared(store, few, assets, start, end)


def copying(events: Any) -> Any:
    """What copies or shares among `events`, with those fields alone that are asked for here: records are wide."""
    import ibis

    rows = allowed(events, COPIES | SHARES).select(*events.columns)
    values = [rows.fields.get(name) for name in (_SOURCE, *_MADE, *_SHARED_WITH)]
    return rows.mutate(fields=ibis.map(ibis.array([_SOURCE, *_MADE, *_SHARED_WITH]), ibis.array(values)))


def _staged(
    store: Store,
    events: Any,
    copies: Any,
    assets: Mapping[str, Asset],
    reads: Daily,
    habits: Habits,
    start: int,
    end: int,
) -> Iterator[Draft]:
    known: dict[str, int] = defaultdict(int)
    for row in range(len(reads)):
        known[reads.asset[row]] = max(known[reads.asset[row]], int(reads.objects[row]))
    grouped = _grouped(store, copies)
    regular = _regular(grouped, known)
    used = _users(store, events, sorted({place for _, _, place in grouped}))
    for (asset, principal, place), rows in grouped.items():
        inside = [row for row in rows if row["last"] >= start and row["first"] < end]
        if asset not in assets or not inside or (principal, place) in regular:
            continue
        if len(used[place] - {principal}) >= ROUTINE:
            continue  # a place that others work with too, and no hiding place
        objects = sum(row["objects"] for row in inside)
        share = min(1.0, objects / max(known[asset], objects))
        if share < STAGED or (objects < STAGED_OBJECTS and objects > known[asset]):
            continue
        read = _read_there(store, events, copies, asset, principal, place)
        yield _copied(assets[asset], principal, place, inside, share, read, habits)


def _grouped(store: Store, copies: Any) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    micros = microseconds(copies.time)
    table = copies.select(
        "asset", "principal", "place", "resource", micros=micros, day=(micros // DAY_US).cast("int64")
    )
    objects = table.group_by("asset", "principal", "place", "day", "resource").aggregate(
        events=table.count(), first=table.micros.min(), last=table.micros.max()
    )
    days = objects.group_by("asset", "principal", "place", "day").aggregate(
        objects=objects.count(),
        events=objects.events.sum().cast("int64"),
        first=objects["first"].min(),
        last=objects["last"].max(),
    )
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in store.table(days.order_by("asset", "principal", "place", "day")).to_pylist():
        found[row["asset"], row["principal"], row["place"]].append(row)
    return found


def _regular(
    grouped: Mapping[tuple[str, str, str], list[dict[str, Any]]], known: Mapping[str, int]
) -> set[tuple[str, str]]:
    """Who copies much there on days that are a week or more apart: a replication or backup, of whichever asset's turn.

    Who copies an asset by and by is on many days too, and copies little on each.
    """
    days: dict[tuple[str, str], set[int]] = defaultdict(set)
    for (asset, principal, place), rows in grouped.items():
        days[principal, place] |= {row["day"] for row in rows if 0 < ALIKE * known[asset] <= row["objects"]}
    return {at for at, own in days.items() if len(own) >= ROUTINE and max(own) - min(own) >= PAST_DAYS}


def _users(store: Store, events: Any, places: list[str]) -> dict[str, set[str]]:
    """Everybody who wrote to a place or copied into it."""
    found: dict[str, set[str]] = defaultdict(set)
    if places:
        table = allowed(events, (WRITES - LOOKS) | COPIES)
        table = table.select("principal", place=table.resource.re_extract("^arn:[^:]*:s3:::[^/]+", 0))
        for row in store.table(table.filter(table.place.isin(places)).distinct()).to_pylist():
            found[row["place"]].add(row["principal"])
    return found


def _read_there(store: Store, events: Any, copies: Any, asset: str, principal: str, place: str) -> list[dict[str, Any]]:
    """By whom, and from which network, how many of the copied objects were read."""
    mine = copies.filter(copies.asset == asset, copies.principal == principal, copies.place == place)
    made = mine.select("target").distinct()
    reads = allowed(events, READS)
    joined = reads.join(made, reads.resource == made.target)
    joined = joined.mutate(network=network(joined.client_address), micros=microseconds(joined.time))
    return list(
        store.table(
            joined.group_by("principal", "network")
            .aggregate(
                objects=joined.resource.nunique(),
                first=joined.micros.min(),
                last=joined.micros.max(),
                address=joined.client_address.min(),
            )
            .order_by("principal", "network")
        ).to_pylist()
    )


def _copied(
    asset: Asset,
    principal: str,
    place: str,
    rows: list[dict[str, Any]],
    share: float,
    read: list[dict[str, Any]],
    habits: Habits,
) -> Draft:
    first, last = rows[0]["first"], rows[-1]["last"]
    objects, day = sum(row["objects"] for row in rows), first // DAY_US
    strange = [each for each in read if habits.is_new(each["network"], each["principal"], each["first"] // DAY_US)]
    taken = max((each["objects"] for each in read), default=0)
    severity: Severity = "high" if strange or taken >= STAGED * objects else "medium"
    reasons: list[Reason] = [
        (
            "copy",
            f"It copied {objects:,} objects, {percent(share)} of those known, to {place}, which is no asset, in "
            f"{lasting(last - first)} from {format_time(first)}.",
            "strong",
        ),
        (
            "past",
            f"It does not copy there regularly ({_date(day)} is the first day), and hardly anybody else does.",
            "moderate",
        ),
    ]
    for each in read:
        where = (
            f"{each['network']}, from where nobody read before" if each in strange else each["network"] or "somewhere"
        )
        reasons.append(
            (
                "taken",
                f"{each['objects']:,} of the copies were then read by {each['principal']} from {where}.",
                "strong",
            )
        )
    if not read:
        reasons.append(("taken", "No read of the copies is in the logs; the place may not be logged.", "weak"))
    return Draft(
        kind="staged-copy",
        title=f"{percent(share)} of {asset.name} copied to a place that is no asset",
        asset=asset,
        principal=principal,
        severity=raised(severity, asset),
        confidence=0.7 if strange else 0.5,
        techniques=models_too(["T1074.002"], asset) if strange else ["T1074.002"],
        phase="collection",
        first=first,
        last=last,
        events=sum(row["events"] for row in rows),
        why=_WHY,
        reasons=reasons,
        recommended=_STEPS,
        of="copies",
        addresses=frozenset(each["address"] for each in strange if is_public(each["network"])),
    )


def _date(day: int) -> str:
    return format_time(day * DAY_US)[:10]


# Snapshots and images


def _shared(store: Store, events: Any, assets: Mapping[str, Asset], start: int, end: int) -> Iterator[Draft]:
    """Snapshots and images of an asset's volume that are opened to another account."""
    made: dict[str, str] = {}
    opened: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in _openings(store, events, assets):
        if row["made"] and row["asset"]:
            made[row["made"]] = row["asset"]
        asset = row["asset"] or made.get(row["resource"].rpartition("/")[2])
        others = {each for each in (row["accounts"] or "").split("\x1f") if each} - {row["organization"]}
        if row["what"] in SHARES and asset is not None and asset in assets and others:
            opened[asset, row["principal"]].append({**row, "others": others})
    for (asset, principal), rows in sorted(opened.items()):
        inside = [row for row in rows if start <= row["micros"] < end]
        days = {row["micros"] // DAY_US for row in rows}
        if inside and not (len(days) > ROUTINE and max(days) - min(days) >= PAST_DAYS):
            yield _opened(assets[asset], principal, inside)


def _openings(store: Store, events: Any, assets: Mapping[str, Asset]) -> list[dict[str, Any]]:
    """Snapshots made and opened, in order of time."""
    import ibis

    table = allowed(events, SHARES | COPIES)
    table = resolve(table.filter(table.resource.re_search("^arn:[^:]*:ec2:")), assets.values())
    chosen = table.select(
        "asset",
        "principal",
        "what",
        "resource",
        "organization",
        micros=microseconds(table.time),
        made=ibis.coalesce(*(table.fields.get(name) for name in _MADE)),
        accounts=ibis.array([table.fields.get(name).fill_null("") for name in _SHARED_WITH]).join("\x1f"),
    )
    rows: list[dict[str, Any]] = store.table(chosen.order_by("micros", "resource").limit(MOST_SHARES)).to_pylist()
    return rows


def _opened(asset: Asset, principal: str, rows: list[dict[str, Any]]) -> Draft:
    others = sorted(set().union(*(row["others"] for row in rows)))
    first, last = min(row["micros"] for row in rows), max(row["micros"] for row in rows)
    named = sorted({row["resource"] for row in rows})
    return Draft(
        kind="staged-copy",
        title=f"A snapshot of {asset.name} opened to another account",
        asset=asset,
        principal=principal,
        severity=raised("high", asset),
        confidence=0.6,
        techniques=models_too(["T1537"], asset),
        phase="exfiltration",
        first=first,
        last=last,
        events=len(rows),
        why=_WHY,
        reasons=[
            (
                "shared",
                f"It opened {len(named)} snapshots or images ({', '.join(named[:3])}) to {', '.join(others[:5])}, on "
                f"{len({row['micros'] // DAY_US for row in rows})} days; a regular sharing would come on more than "
                f"{ROUTINE} days over {PAST_DAYS} days or more.",
                "strong",
            )
        ],
        recommended=_STEPS,
        of="copies",
    )
