"""An alert in words: what is unusual, compared with what, and where a person can check it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from strongroom.core.clock import format_time
from strongroom.core.records import Evidence, Example, Strength
from strongroom.detect.signals import Signal
from strongroom.store import microseconds

from ._alerts import Alert
from ._novelty import FirstSeen
from ._peers import LEARNT_EVERY
from ._read import DAY, Counts, network_of, tool_of
from ._score import FACETS, Scores
from ._techniques import techniques_of

if TYPE_CHECKING:
    from strongroom.store import Store

__all__ = ["DETECTOR", "EXAMPLES", "MOST_EVENTS", "NAMED", "STRONG", "TOLD", "signal_of"]

DETECTOR = "anomaly/1"
TOLD = 0.05
"""p-value of a facet up to which it is told."""
STRONG = 4
"""Facets that are unusual from which the severity is medium; below it is low."""
EXAMPLES = 5
"""Of one piece of evidence."""
NAMED = 6
"""Things named in one sentence."""
MOST_EVENTS = 5000
"""Events of an alert that are looked through for examples, the first ones of its first day."""

_TITLE = "Unlike its own past and its peers"
_WHY = (
    "What a principal does suddenly and unlike anybody in its place is how stolen credentials and misuse look from"
    " outside. It is also how a new duty looks: an anomaly says what is unusual, not that it is wrong."
)
_RECOMMENDED = [
    "ask whoever answers for the principal whether they did this, by another way than the account itself",
    "look at the credentials and addresses that are new before the actions",
    "if nobody did it on purpose, revoke the sessions and credentials that are named, and look for what they created",
]
_REFUSED = " (refused)"


def signal_of(store: Store, events: Any, counts: Counts, scores: Scores, alert: Alert) -> Signal:
    """The signal of an alert."""
    told = _told(scores, alert.units[0])
    rows = _rows(store, events, counts, scores, alert)
    name = counts.principals[int(scores.units.principal[alert.units[0]])]
    evidence = [_together(name, scores, alert)]
    evidence += [_evidence(name, facet, rows, counts, scores, alert.units[0]) for facet in told]
    techniques, phase = techniques_of(_things("action", counts, scores, alert.units))
    strong = len(told) >= STRONG or bool(techniques)
    return Signal(
        detector=DETECTOR,
        kind="anomaly",
        title=_TITLE,
        principal=name,
        severity="medium" if strong else "low",
        confidence=round(0.5 + 0.4 * (1 - alert.p / alert.level), 2),
        techniques=techniques,
        phase=phase,
        first=rows.first,
        last=rows.last,
        events=rows.number,
        credentials=rows.names("credential"),
        sessions=rows.names("session"),
        addresses=rows.names("client_address"),
        resources=rows.names("resource"),
        why=_WHY,
        evidence=evidence,
        recommended=list(_RECOMMENDED),
    )


class _Rows:
    """The events of an alert: all are counted, the first ones are here."""

    def __init__(self, rows: list[dict[str, Any]], number: int, first: int, last: int) -> None:
        self.rows = rows
        self.number = number
        self.first = first
        self.last = last

    def names(self, column: str) -> frozenset[str]:
        return frozenset(row[column] for row in self.rows if row[column])

    def examples(self, principal: str, wanted: Iterable[tuple[str, str]]) -> list[Example]:
        """The first event of each of up to EXAMPLES pairs of a column and its value; of any event without pairs."""
        pairs = list(wanted)
        found: list[Example] = []
        for row in self.rows:
            hit = next((pair for pair in pairs if row[pair[0]] == pair[1]), None)
            if pairs and hit is None:
                continue
            if hit:
                pairs.remove(hit)
            where = f"{row['source']}:{row['position']}"
            found.append(Example(subject=principal, time=format_time(row["time"]), where=where))
            if len(found) == EXAMPLES or (hit and not pairs):
                break
        return found


def _rows(store: Store, events: Any, counts: Counts, scores: Scores, alert: Alert) -> _Rows:
    """The events of an alert's days."""
    name = counts.principals[int(scores.units.principal[alert.units[0]])]
    days = [int(scores.units.day[unit] + counts.day.min()) for unit in alert.units]
    own = events.filter(events.principal == name)
    own = own.mutate(us=microseconds(own.time))
    own = own.filter((own.us // DAY).isin(days))
    size = store.table(own.aggregate(number=own.count(), first=own.us.min(), last=own.us.max())).to_pylist()[0]
    picked = own.select(
        time=own.us,
        acted=own.action.fill_null("") + (own.outcome == "refused").fill_null(False).ifelse(_REFUSED, ""),
        asset=own.asset.fill_null(""),
        network=network_of(own.client_address.fill_null("")),
        tool=tool_of(own.user_agent.fill_null("")),
        credential=own.credential.fill_null(""),
        session=own.session.fill_null(""),
        client_address=own.client_address.fill_null(""),
        resource=own.resource.fill_null(""),
        source=own.source.fill_null(""),
        position=own.position.fill_null(0),
    )
    picked = picked.order_by("time", "source", "position").limit(MOST_EVENTS)
    return _Rows(store.table(picked).to_pylist(), size["number"], size["first"], size["last"])


def _told(scores: Scores, unit: int) -> list[str]:
    """The unusual facets of a unit, the most unusual first."""
    found = [facet for facet in FACETS if scores.ranks[facet].p[unit] <= TOLD]
    return sorted(found, key=lambda facet: float(scores.ranks[facet].p[unit]))


def _together(name: str, scores: Scores, alert: Alert) -> Evidence:
    unit = alert.units[0]
    ranks = scores.together
    past = int(scores.units.past[unit])
    summary = (
        f"taken together a day as unusual as this was seen {_times(int(ranks.own[unit]))} on the {past:,} days before"
        f" on which it did anything, and {_times(int(ranks.as_much[unit]))} in {int(ranks.compared[unit]):,} days of"
        f" principals with a comparable past (p = {alert.p:.1g}; alert at {alert.level:.1g})"
    )
    if len(alert.units) > 1:
        summary += f"; it went on for {len(alert.units):,} days"
    return Evidence("anomaly", summary, [name], _strength(alert.p))


def _evidence(name: str, facet: str, rows: _Rows, counts: Counts, scores: Scores, unit: int) -> Evidence:
    p = float(scores.ranks[facet].p[unit])
    if facet not in scores.seen:
        return Evidence(facet, _habit(facet, counts, scores, unit), [name], _strength(p), rows.examples(name, ()))
    things = _things(facet, counts, scores, [unit])
    column = {"action": "acted", "entry": "acted", "combination": "acted", "asset": "asset"}.get(facet, facet)
    values = dict.fromkeys(_value(facet, thing) for thing in things)
    examples = rows.examples(name, ((column, value) for value in values))
    return Evidence(facet, _firsts(facet, things, scores, unit), [name], _strength(p), examples)


def _value(facet: str, thing: str) -> str:
    """What stands in the column that a thing's examples are found by."""
    if facet == "combination":
        return thing.partition(" with ")[0].partition(" from ")[0]
    return thing.partition(" by ")[0] if facet == "asset" else thing


def _strength(p: float) -> Strength:
    return "strong" if p <= 0.001 else "moderate" if p <= 0.01 else "weak"


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number:,} times")


def _things(facet: str, counts: Counts, scores: Scores, units: list[int]) -> list[str]:
    """The names of what units had for the first time, the most surprising first."""
    seen = scores.seen[facet]
    rows = np.flatnonzero(np.isin(seen.unit, units))
    named = [(-float(seen.surprise[row]), _name(facet, int(seen.item[row]), counts)) for row in rows.tolist()]
    return [name for _, name in sorted(named)]


def _name(facet: str, item: int, counts: Counts) -> str:
    """The name of an item, which `_score` numbers as it does."""
    if facet in ("network", "tool"):
        return (counts.networks if facet == "network" else counts.tools)[item]
    if facet == "asset":
        return counts.assets[item // 3] + (" by looking", " by changing or opening", " by a refused attempt")[item % 3]
    if facet in ("action", "entry"):
        return _action(item, counts)
    acted, part = divmod(item, len(counts.networks) + len(counts.tools))
    place = part - len(counts.networks)
    return f"{_action(acted, counts)} " + (
        f"from {counts.networks[part]}" if place < 0 else f"with {counts.tools[place]}"
    )


def _action(item: int, counts: Counts) -> str:
    return counts.actions[item // 2] + (_REFUSED if item % 2 else "")


_NOUNS: dict[str, tuple[str, str]] = {
    "entry": ("action by a network or tool that was new to it", "actions by a network or tool that was new to it"),
    "action": ("action", "actions"),
    "combination": (
        "pair of a known action and a known network or tool",
        "pairs of a known action and a known network or tool",
    ),
    "asset": ("way to use an asset", "ways to use assets"),
    "network": ("network", "networks"),
    "tool": ("tool", "tools"),
}


def _firsts(facet: str, things: list[str], scores: Scores, unit: int) -> str:
    """`12 actions that it never had in 13 days before, 9 of them none of its 9 peers: iam:CreateUser, …`"""
    seen: FirstSeen = scores.seen[facet]
    rows = seen.unit == unit
    peers = _peers(scores, unit)
    new = int((seen.others[rows] == 0).sum())
    alone = int((seen.near[rows] == 0).sum())
    noun = _NOUNS[facet][len(things) != 1]
    past = int(scores.units.past[unit])
    text = f"{len(things):,} {noun} that it never had on the {past:,} days before on which it did anything"
    if peers:
        text += f"; {_of(alone, len(things))} none of its {peers:,} peers had"
    text += f", {_of(new, len(things))} nobody else"
    rest = f", … ({len(things) - NAMED:,} more)" if len(things) > NAMED else ""
    return f"{text}: {', '.join(thing[:200] for thing in things[:NAMED])}{rest}"


def _of(number: int, every: int) -> str:
    return "which" if number == every == 1 else f"{number:,} of these"


def _peers(scores: Scores, unit: int) -> int:
    """How many peers a unit's principal had by then."""
    principal, day = int(scores.units.principal[unit]), int(scores.units.day[unit])
    time = day // LEARNT_EVERY
    group = int(scores.peers.at(time)[principal])
    return int(scores.peers.members(scores.units, time)[group, day]) - 1 if group else 0


def _habit(facet: str, counts: Counts, scores: Scores, unit: int) -> str:
    """A sentence for a facet that compares a day with the days before."""
    units = scores.units
    past = int(units.past[unit])
    if facet == "hours":
        day = int(units.day[unit] + counts.day.min())
        rows = (counts.hour_principal == units.principal[unit]) & (counts.hour_day == day)
        found = ", ".join(f"{hour:02d}" for hour in sorted(set(counts.hour[rows].tolist())))
        return f"active in hours (UTC: {found}) of which one at least it hardly used on {past:,} days before"
    if facet == "order":
        return f"actions that it knows, in an order that was hardly seen on {past:,} days before or of anybody else"
    column = {"volume": counts.events, "bytes": counts.bytes, "refusals": counts.unanswered}[facet]
    daily = np.bincount(units.row, column.astype(np.float64), minlength=len(units))
    usual = daily[unit - past : unit]
    noun = {"volume": "events", "bytes": "bytes that left", "refusals": "refused or failed events"}[facet]
    most = f"at most {usual.max():,.0f} and {np.median(usual):,.0f} in the middle" if past else "no day"
    return f"{daily[unit]:,.0f} {noun} on a day, against {most} on {past:,} days before"
