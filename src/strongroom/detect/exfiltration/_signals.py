"""Drafts become signals: the engine is asked once for the first events of each, and for what they were done with."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.core.records import Evidence, Example
from strongroom.detect.assets import resolve
from strongroom.detect.signals import Signal
from strongroom.store import Store, microseconds

from ._actions import KEYS, READS, RELEASES, allowed, network
from ._daily import DAY_US
from ._drafts import Draft, Events
from ._staging import copies_of

__all__ = ["DETECTOR", "EXAMPLES", "signals_of"]

DETECTOR = "exfiltration/1"
EXAMPLES = 5

_SETS = {"credentials": "credential", "sessions": "session", "addresses": "client_address"}


def signals_of(store: Store, events: Any, assets: Mapping[str, Asset], drafts: Sequence[Draft]) -> list[Signal]:
    """The signals of drafts, in their order."""
    made: dict[int, Signal] = {}
    tables: dict[Events, Callable[[Any], Any]] = {
        "reads": lambda mine: resolve(allowed(mine, READS), assets.values()),
        "keys": lambda mine: resolve(allowed(mine, KEYS), assets.values()),
        "releases": lambda mine: resolve(allowed(mine, RELEASES), assets.values()),
        "copies": lambda mine: copies_of(mine, assets),
    }
    for kind, table in tables.items():
        chosen = [at for at, draft in enumerate(drafts) if draft.of == kind]
        if chosen:
            rows = _rows(store, table(_near(events, [drafts[at] for at in chosen])), [drafts[at] for at in chosen])
            made |= {at: _signal(drafts[at], rows[drafts[at].asset.name, drafts[at].principal]) for at in chosen}
    return [made[at] for at in range(len(drafts))]


def _near(events: Any, drafts: Sequence[Draft]) -> Any:
    """What the principals of drafts did: few events, so that few resources are resolved."""
    return events.filter(events.principal.fill_null("unknown").isin(sorted({each.principal for each in drafts})))


def _rows(store: Store, table: Any, drafts: Sequence[Draft]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By asset and principal: what was used on each day, with the first events of it."""
    import ibis

    micros = microseconds(table.time)
    mine = [
        (table.asset == each.asset.name)
        & (table.principal == each.principal)
        & (micros >= each.first)
        & (micros <= each.last)
        for each in drafts
    ]
    table = table.filter(functools.reduce(operator.or_, mine))
    used = list(_SETS.values())
    table = table.select(
        "asset",
        "principal",
        "resource",
        *[table[name].fill_null("").name(name) for name in used],
        micros=micros,
        network=network(table.client_address),
        where=table.source.fill_null("") + ":" + table.position.fill_null(0).cast("string"),
    )
    by = ["asset", "principal", "network", *used, table.micros // DAY_US]
    window = ibis.window(group_by=by, order_by=[table.micros, table.where])
    table = table.mutate(rank=ibis.row_number().over(window))
    first = table.filter(table["rank"] < EXAMPLES)
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in store.table(first.order_by("micros", "where")).to_pylist():
        found[row["asset"], row["principal"]].append(row)
    return found


def _signal(draft: Draft, rows: Sequence[Mapping[str, Any]]) -> Signal:
    mine = [row for row in rows if draft.first <= row["micros"] <= draft.last and draft.network in ("", row["network"])]
    examples = [
        Example(subject=draft.principal, time=format_time(row["micros"]), where=row["where"]) for row in mine[:EXAMPLES]
    ]
    sets: dict[str, Any] = {
        name: frozenset(row[column] for row in mine if row[column]) for name, column in _SETS.items()
    }
    sets["addresses"] |= draft.addresses
    return Signal(
        detector=DETECTOR,
        kind=draft.kind,
        title=draft.title,
        principal=draft.principal,
        severity=draft.severity,
        confidence=draft.confidence,
        techniques=draft.techniques,
        phase=draft.phase,
        first=draft.first,
        last=draft.last,
        events=draft.events,
        assets=frozenset({draft.asset.name}),
        resources=frozenset(row["resource"] for row in mine if row["resource"]),
        why=draft.why,
        evidence=[
            Evidence(
                kind=kind,
                summary=summary,
                subjects=[draft.principal],
                strength=strength,
                examples=examples if at == 0 else [],
            )
            for at, (kind, summary, strength) in enumerate(draft.reasons)
        ],
        recommended=draft.recommended,
        **sets,
    )
