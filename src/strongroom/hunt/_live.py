"""A hunt that goes on: each cycle reads what was added to the logs, searches, and tells what is new.

A campaign, and an alert in access events, is told when it first appears, and again when it has grown by the rule of
`_remember`; what is told is stored and goes on record then, and only then. What an earlier hunt or watch of the site
told is not told again.

Exchanges are searched in every cycle that got some, by what is new in them. Access events are searched as a whole,
which takes minutes where there are many, so not in every cycle: see `REST`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from strongroom.core.clock import format_time
from strongroom.core.records import Campaign, Finding, Verdict
from strongroom.detect.campaign import Found, Result, Spotted, Watch
from strongroom.detect.signals import SEVERITIES
from strongroom.ingest import Follower, Progress
from strongroom.store import Store

from ._access import Accesses, findings_of
from ._answer import ALERTS
from ._hunt import Hunt, Watcher, accesses_of, campaign_of, circumstances_of, remember, store_findings, verdict_of
from ._remember import STORY, Earlier, EarlierStory, earlier_campaigns, match
from .circumstances import Circumstances

__all__ = ["CampaignEvent", "Cycle", "CycleEvent", "FindingEvent", "LiveHunt"]

MANY_FILES = 200
"""Data files of a table beyond which a cycle that takes longer anyway merges them."""
REST = 3.0
"""After a search in access events the next one waits this many times as long as it took: a watch spends at most a
quarter of its time on them, and goes on reading and searching exchanges in the rest."""
TELL_STEPS = 10.0
"""Seconds that the last search took from which on the steps of the next one are told."""


class CampaignEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign appeared or grew."""

    version: int = 1
    event: Literal["campaign"] = "campaign"
    change: Literal["new", "grown"]
    time: str
    """When the cycle began, by the clock."""
    campaign: Campaign


class FindingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in access events appeared or grew."""

    version: int = 1
    event: Literal["finding"] = "finding"
    change: Literal["new", "grown"]
    time: str
    """When the cycle began, by the clock."""
    finding: Finding


class CycleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle ended."""

    version: int = 1
    event: Literal["cycle"] = "cycle"
    time: str
    read_to: str
    """The last event time that was read, of access events that was searched; empty before there is one."""
    new: int
    """Exchanges that came in."""
    exchanges: int
    accounts: int
    skipped: dict[str, int]
    """Records left out since the watch began, by reason."""
    campaigns: int
    """Campaigns that are not dismissed."""
    access_events: int = 0
    """Access events that the last search in them examined."""
    principals: int = 0
    """Who acted in these."""
    waiting: int = 0
    """Access events that came in since, and wait for the next search."""
    findings: int = 0
    """Alerts in access events that are not dismissed."""
    full: bool
    """Whether everything was learnt and searched anew."""
    seconds: float


@dataclass
class Cycle:
    """What came of a cycle."""

    summary: CycleEvent
    told: list[CampaignEvent | FindingEvent] = field(default_factory=list)
    verdict: Verdict | None = None
    """All campaigns as they were last told, and findings as they are, when something of them is another than in the
    verdict before; the first cycle has one."""
    circumstances: Circumstances | None = None
    """Of the verdict."""


def _told_before(store: Store) -> dict[str, EarlierStory | None]:
    """All that hunts and watches of this site told of each alert, by id. Of one that was dismissed only what was told
    since, None for nothing: whether there is more in it than was dismissed is what its status says."""
    dismissed = {row["id"]: row["time"] for row in store.findings("dismissal")}
    told: dict[str, EarlierStory | None] = {}
    for row in store.findings("finding"):
        identifier, known = row["id"], row["document"]
        if known["detector"] != STORY or known["severity"] not in ALERTS or known["status"] == "dismissed":
            continue
        before = told.setdefault(identifier, None)
        if identifier not in dismissed or row["time"] > dismissed[identifier]:
            told[identifier] = EarlierStory(
                id=identifier,
                accounts=frozenset(known["subjects"]).union(before.accounts if before else ()),
                techniques=frozenset(known["techniques"]).union(before.techniques if before else ()),
                severity=max(SEVERITIES.index(known["severity"]), before.severity if before else 0),
                dismissed=False,
                observed=frozenset(known.get("observed", ())).union(before.observed if before else ()),
            )
    return told


def _is_alert(finding: Finding) -> bool:
    return finding.severity in ALERTS and finding.status != "dismissed"


class _AccessWatch:
    """What a watch knows of access events: what the last search found, and when the next one may begin."""

    def __init__(self, hunt: Hunt, clock: Callable[[], float]) -> None:
        self._hunt, self._clock = hunt, clock
        self._begun = False
        self._took = self._next = 0.0
        self.accesses: Accesses | None = None
        self.findings: list[Finding] = []
        self.waiting = 0
        """Access events that came in since the last search began."""
        self.files = 0
        """Data files that hold access events, about."""

    @property
    def due(self) -> bool:
        """Whether to search now. The first time always: an earlier hunt may have left something in the store."""
        return not self._begun or (self.waiting > 0 and self._clock() >= self._next)

    @property
    def alerts(self) -> list[Finding]:
        """What somebody is to be woken by."""
        return [one for one in self.findings if _is_alert(one)]

    def take(self, came: int) -> None:
        """Tells that so many access events were stored."""
        self.waiting += came
        self.files += came > 0

    def search(self, now: int, progress: Callable[[str], None]) -> tuple[list[FindingEvent], bool]:
        """What is to be told, and whether the verdict is another than before. Raises StrongroomError."""
        hunt, started, before = self._hunt, self._clock(), self._gist()
        tells = not self._begun or self._took >= TELL_STEPS
        self.accesses = accesses_of(hunt, progress if tells else lambda _: None)
        self.look_again(now)
        if not self._begun and self.accesses is not None:
            self.files = hunt.store.info()["access_events"]["files"]
        self._begun, self.waiting = True, 0
        self._took = self._clock() - started
        self._next = self._clock() + REST * self._took
        told = self._changes(now)
        return told, bool(told) or self._gist() != before  # only what is in a verdict is kept

    def look_again(self, now: int) -> None:
        """Compares what the last search found with what is stored by now: its findings, and dismissals."""
        self.findings = findings_of(self.accesses, self._hunt.store, now)

    def _gist(self) -> object:
        """What a verdict says of access events, without counts and times, which change with every event."""
        sets = [(frozenset(one.subjects), frozenset(one.techniques), frozenset(one.observed)) for one in self.findings]
        words = [(one.id, one.severity, one.status == "dismissed") for one in self.findings]
        return self.accesses is None, set(zip(words, sets, strict=True))

    def _changes(self, now: int) -> list[FindingEvent]:
        if self.accesses is None or not self.alerts:
            return []
        before = _told_before(self._hunt.store)
        told = []
        for alert, story in zip(self.findings, self.accesses.stories, strict=True):
            # A part of what was told as one story was told too, though another part has its id.
            known = any(one is not None and not one.outgrown(story) for one in before.values())
            if _is_alert(alert) and not known:
                change: Literal["new", "grown"] = "grown" if alert.id in before else "new"
                told.append(FindingEvent(change=change, time=format_time(now), finding=alert))
        return told


class LiveHunt:
    """Holds what a watch knows between cycles. One at a time for a site."""

    def __init__(self, hunt: Hunt, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds from any beginning on."""
        self._hunt, self._clock, self._watcher = hunt, clock, Watcher()
        self._logs = Follower(
            hunt.words,
            hunt.store,
            hunt.settings,
            reader=hunt.reader,
            rejects=hunt.rejects,
            progress=self._reading,
            workers=hunt.workers,
        )
        self._watch = Watch(hunt.store, since=hunt.settings.since, until=hunt.settings.until, budget=hunt.half_budget)
        self._access = _AccessWatch(hunt, clock)
        self._current: dict[str, tuple[Found, Campaign]] = {}
        self._result: Result | None = None
        """Of the last verdict."""
        self._exchanges = self._new = 0
        self._begun = self._measured = False

    def _reading(self, at: Progress) -> None:
        self._watcher.reading(at)

    def cycle(self, now: int, watcher: Watcher) -> Cycle:
        """One cycle. `now`: microseconds since 1970. What it tells is to be kept once it was shown (`keep`).

        Raises InputError when the logs are unusable from the beginning, StrongroomError when rows cannot be written.
        """
        started = self._clock()
        self._watcher = watcher
        spotted = self._take_in()
        told, changed = self._compare(spotted, now)
        searched = self._access.due
        found, other = self._access.search(now, watcher.step) if searched else ([], False)
        cycle = Cycle(self._summary(now, 0), [*told, *found])
        silent = self._watch.full and not self._current and not self._measured  # traffic came to measure it in
        if changed or silent or not self._begun:
            self._weigh()
            other = True
        if other:
            if not searched:
                self._access.look_again(now)
            self._conclude(cycle, now, self._clock() - started)
        self._begun = True
        if self._watch.full or searched:
            self._merge_files()
        cycle.summary = self._summary(now, self._clock() - started)
        return cycle

    def _take_in(self) -> list[Spotted]:
        """Reads what was added, and searches the exchanges in it."""
        if not self._begun:
            before = self._hunt.store.exchanges(self._hunt.settings.since, self._hunt.settings.until)
            self._exchanges = self._hunt.store.table(before.aggregate(n=before.count()))["n"][0].as_py()
        came = self._logs.read()
        spotted = self._watch.cycle(self._watcher.step)
        rows = self._watch.features.rows if self._watch.features else 0
        self._new, self._exchanges = max(rows - self._exchanges, 0), rows
        self._access.take(max(came - self._new, 0))  # readers yield exchanges and access events, and nothing else
        return spotted

    def _compare(self, spotted: list[Spotted], now: int) -> tuple[list[CampaignEvent], bool]:
        """What is to be told, and whether the verdict is another than before."""
        earlier = earlier_campaigns(self._hunt.store) if spotted else []
        told: list[CampaignEvent] = []
        seen: set[str] = set()
        changed = False
        for one, known in zip(spotted, match([one.accounts for one in spotted], earlier), strict=True):
            again = known is None or known.told.outgrown(one)
            if known is not None:
                seen.add(known.id)
                if not again and known.id in self._current and not self._freshly_dismissed(known):
                    continue
            campaign = self._take(one, known, now)
            seen.add(campaign.id)
            changed = True
            if again and campaign.status != "dismissed":
                change: Literal["new", "grown"] = "grown" if known else "new"
                told.append(CampaignEvent(change=change, time=format_time(now), campaign=campaign))
        if self._watch.full and not seen.issuperset(self._current):
            self._current = {identifier: kept for identifier, kept in self._current.items() if identifier in seen}
            changed = True
        return told, changed

    def _freshly_dismissed(self, known: Earlier) -> bool:
        return known.dismissed and self._current[known.id][1].status != "dismissed"

    def _take(self, one: Spotted, known: Earlier | None, now: int) -> Campaign:
        found = self._watch.evidence(one)
        campaign = campaign_of(found, known, now, self._hunt.site)
        if known is not None:  # it was detected when it was first told
            campaign = msgspec.structs.replace(campaign, detected_at=known.told.detected_at)
        self._current[campaign.id] = found, campaign
        return campaign

    def _weigh(self) -> None:
        """What is said of exchanges beside the campaigns. Of nothing found it is dear: it measures what would be."""
        self._result = self._watch.result([found for found, _ in self._ordered()], self._watcher.step)
        self._measured = self._result is not None and bool(self._result.sensitivity["measured"])

    def _ordered(self) -> list[tuple[Found, Campaign]]:
        return sorted(self._current.values(), key=lambda pair: -pair[1].exchanges)

    def _conclude(self, cycle: Cycle, now: int, seconds: float) -> None:
        """The verdict, and what is kept of it when something was told."""
        report, campaigns = self._logs.report, [campaign for _, campaign in self._ordered()]
        cycle.verdict = verdict_of(self._result, campaigns, report, self._access.accesses, self._access.findings)
        cycle.circumstances = circumstances_of(self._hunt, report, self._result, campaigns, now, seconds)

    def keep(self, cycle: Cycle, now: int) -> None:
        """Stores what a cycle told, and has it go on record. After it was shown: who is interrupted between the two
        hears it twice, rather than never. Findings that are no alert are stored only, so that they keep their ids."""
        if cycle.verdict is None:
            return
        if cycle.told:
            remember(self._hunt, self._logs.report, cycle.verdict, now)
        elif weak := [finding for finding in cycle.verdict.findings if finding.status == "new"]:
            store_findings(self._hunt.store, weak, now)

    def _merge_files(self) -> None:
        """Every cycle with something new leaves a small file."""
        if self._hunt.store.files() > MANY_FILES or self._access.files > MANY_FILES:
            self._watcher.step("merging the store's small files")
            self._hunt.store.compact()
            self._watch.compacted()
            self._access.files = 1

    def _summary(self, now: int, seconds: float) -> CycleEvent:
        features, accesses = self._watch.features, self._access.accesses
        ends = [format_time(int(features.edges[-1]) - 1)] if features else []
        return CycleEvent(
            time=format_time(now),
            read_to=max([*ends, *([accesses.end] if accesses else [])], default=""),
            new=self._new,
            exchanges=features.rows if features else 0,
            accounts=len(features.subjects) if features else 0,
            skipped=dict(self._logs.report.skipped.most_common()),
            campaigns=sum(campaign.status != "dismissed" for _, campaign in self._current.values()),
            access_events=accesses.events if accesses else 0,
            principals=accesses.principals if accesses else 0,
            waiting=self._access.waiting,
            findings=len(self._access.alerts),
            full=self._watch.full,
            seconds=round(seconds, 1),
        )
