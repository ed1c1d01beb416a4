"""The search in access events: every detector of intrusion and exfiltration, and the stories of their signals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.core.ids import new_id
from strongroom.core.records import Finding
from strongroom.detect.anomaly import find_anomalies
from strongroom.detect.assets import resolve, unresolved
from strongroom.detect.campaign import AlertBudget, parse_budget
from strongroom.detect.coverage import gaps, span_of
from strongroom.detect.exfiltration import find_exfiltration
from strongroom.detect.rules import Rules, match_rules
from strongroom.detect.signals import Signal
from strongroom.detect.story import ALERT, HIGHEST, Story, bar_for, stories
from strongroom.store import Store

from ._remember import STORY, EarlierStory, earlier_stories, match

__all__ = ["Accesses", "findings_of", "search_access"]

ISSUING = (
    *("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetSessionToken", "GetFederationToken"),
    *("CreateAccessKey", "AssumeRoot"),
)
"""AWS operations whose answer names a credential that somebody else will act with."""
MAX_ADDRESSES = 200
"""Addresses that a finding names."""
ODD = "3/30d"
"""Budget of what is only unusual. It is never an alert by itself; it adds to what other detectors say."""
_ISSUED = ("responseElements.credentials.accessKeyId", "responseElements.accessKey.accessKeyId")


@dataclass(frozen=True)
class Accesses:
    """What was found in access events, and in how many."""

    events: int
    principals: int
    start: str
    end: str
    stories: list[Story] = field(default_factory=list)
    not_examined: list[str] = field(default_factory=list)


def search_access(
    store: Store,
    assets: Sequence[Asset],
    rules: Rules,
    *,
    since: int | None = None,
    until: int | None = None,
    budget: AlertBudget | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Accesses | None:
    """Runs every detector over the stored access events of a window; None when it holds none.

    `budget`: false alerts that are acceptable of all these detectors together; None: as many as weigh `ALERT`.
    """
    span = span_of(store, store.access_events(None, until))
    every = store.access_events(since, until)
    seen = store.table(
        every.aggregate(n=every.count(), who=every.principal.nunique(), first=every.time.min(), last=every.time.max())
    ).to_pylist()[0]
    if span is None or not seen["n"]:
        return None
    start, end = max(_micros(seen["first"]), span.start), min(_micros(seen["last"]) + 1, span.end)
    cut: list[str] = [span.sentence] if span.strays else []
    if start >= end:  # only records with a wrong clock are in the window that was asked for
        start, end = _micros(seen["first"]), _micros(seen["last"]) + 1
        span = replace(span, start=start, end=end)
    progress("comparing access events with rules")
    signals = match_rules(store, rules, since=since, until=until, progress=progress, cut=cut.append)
    progress("measuring what was read of each asset")
    past = store.access_events(span.start, min(span.end, until or span.end))
    events = store.access_events(start, end)
    resolved = resolve(events, assets)
    taken = find_exfiltration(store, past, assets, start=start, end=end, progress=progress)
    progress("comparing principals with their past and their peers")
    odd = find_anomalies(
        store, resolve(past, assets), start=start, end=end, budget=parse_budget(ODD), progress=progress
    )
    signals = [*_with_assets(store, past, assets, [*signals, *odd.signals]), *taken.signals]
    issued, crowds = _ties(store, past, signals)
    bar = bar_for(budget.alerts, budget.days, _let_in(store, every)) if budget else ALERT
    told = stories(signals, issued=issued, crowds=crowds, bar=bar)
    return Accesses(
        events=seen["n"],
        principals=seen["who"],
        start=format_time(_micros(seen["first"])),
        end=format_time(_micros(seen["last"])),
        stories=told,
        not_examined=[
            *(_stricter(budget, bar) if budget else []),
            *map(_sentence, cut),
            *gaps(store, events, end - 1),
            *map(_sentence, [*taken.not_examined, *odd.not_examined]),
            *(_without_asset(store, resolved) if assets else []),
        ],
    )


def _with_assets(store: Store, events: Any, assets: Sequence[Asset], signals: list[Signal]) -> list[Signal]:
    """Signals that name resources, with the listed assets that these are of."""
    named = sorted({resource for signal in signals for resource in signal.resources})
    if not assets or not named:
        return signals
    resolved = resolve(events.filter(events.resource.isin(named)), assets)
    found: dict[str, set[str]] = defaultdict(set)
    pairs = resolved.filter(resolved.asset.notnull()).select("resource", "asset").distinct()
    for row in store.table(pairs).to_pylist():
        found[row["resource"]].add(row["asset"])
    return [
        replace(signal, assets=frozenset(name for each in signal.resources for name in found.get(each, ())))
        for signal in signals
    ]


def _let_in(store: Store, events: Any) -> int:
    """How many principals were let in: whoever is refused under invented names must not set what others are held to."""
    mine = events.filter((events.outcome == "allowed") | events.outcome.isnull())
    return int(store.table(mine.aggregate(n=mine.principal.nunique())).to_pylist()[0]["n"])


def _stricter(budget: AlertBudget, bar: float) -> list[str]:
    if bar <= ALERT:
        return []
    told = f"The alert budget of {budget} for access logs asks for a weight of {bar:.1f} instead of {ALERT:g}"
    beyond = ", the highest there is: more false alerts may come than it allows" if bar >= HIGHEST else ""
    return [f"{told}{beyond}; what weighs less is among the weak findings."]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def _without_asset(store: Store, resolved: Any) -> list[str]:
    """How much of each log is about nothing on the list of assets."""
    return [
        f"{row['events']:,} access events of {row['product']} {row['service']} name {row['resources']:,} resources "
        "that belong to no listed asset."
        for row in store.table(unresolved(resolved)).to_pylist()
    ]


def findings_of(accesses: Accesses | None, store: Store, now: int) -> list[Finding]:
    """What is told of the stories, worst first; one that an earlier hunt on this site told keeps its id."""
    if accesses is None or not accesses.stories:
        return []
    earlier = earlier_stories(store)
    same = match([story.principals for story in accesses.stories], earlier)
    return [
        # A part of what was dismissed as one story is dismissed too, though another part has its id.
        _finding(story, known, now, silent=any(one.silences(story) for one in [known, *earlier] if one))
        for story, known in zip(accesses.stories, same, strict=True)
    ]


def _finding(story: Story, same: EarlierStory | None, now: int, *, silent: bool) -> Finding:
    return Finding(
        id=same.id if same else new_id("fnd", now),
        time=format_time(now),
        detector=STORY,
        kind=story.kind,
        severity=story.severity,
        confidence=story.confidence,
        subjects=story.principals,
        techniques=story.techniques,
        summary=story.summary(),
        evidence=story.evidence(),
        recommended=story.recommended(),
        first_seen=format_time(story.first),
        last_seen=format_time(story.last),
        signals=len(story.signals),
        observed=story.observed,
        addresses=story.addresses[:MAX_ADDRESSES],
        status="dismissed" if silent else "known" if same else "new",
    )


def _issuers(events: Any) -> Any:
    """An Ibis table of credentials that a principal issued to another, with `issuer`. Services issue to everybody, so
    they are left out."""
    import ibis

    answers = [events.fields[name] for name in _ISSUED]
    asked = events.filter(
        (events["product"] == "aws") & events.operation.isin(ISSUING) & events.principal.startswith("arn:")
    )
    issued = asked.select(credential=ibis.coalesce(*answers), issuer=asked.principal)
    known = issued.filter(issued.credential.notnull())
    return known.group_by("credential").aggregate(issuer=known.issuer.min())


def _ties(store: Store, events: Any, signals: Sequence[Signal]) -> tuple[dict[str, str], dict[str, int]]:
    """By credential, who issued it; and by address that a signal names, how many principals acted from it, where one
    with what it issued to itself is one."""
    named = sorted({credential for signal in signals for credential in signal.credentials})
    addresses = sorted({address for signal in signals for address in signal.addresses})
    inside = events.filter(events.client_address.isin(addresses)).select("client_address", "credential", "principal")
    with store.kept(inside.distinct()) as pairs:
        issuers = _issuers(events)  # asks for fields of wide records: once
        wanted = issuers.credential.isin(named) | issuers.credential.isin(pairs.credential)
        issued = {row["credential"]: row["issuer"] for row in store.table(issuers.filter(wanted)).to_pylist()}
        who: dict[str, set[str]] = defaultdict(set)
        for batch in store.batches(pairs):
            for row in batch.to_pylist():
                who[row["client_address"]].add(issued.get(row["credential"], row["principal"]))
    return issued, {address: len(principals) for address, principals in who.items()}


def _micros(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", "UTC")).value)
