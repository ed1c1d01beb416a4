"""A hunt that goes on: each cycle reads what was added to the logs, searches, and tells what is new.

A campaign is told when it first appears, and again when it has grown by the rule of `_remember`; what is told is
stored and goes on record then, and only then. What an earlier hunt or watch of the site told is not told again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from strongroom.core.clock import format_time
from strongroom.core.records import Campaign, Verdict
from strongroom.detect.campaign import Found, Result, Spotted, Watch
from strongroom.ingest import Follower, Progress

from ._hunt import Hunt, Watcher, campaign_of, circumstances_of, remember, verdict_of
from ._remember import Earlier, earlier_campaigns, match
from .circumstances import Circumstances

__all__ = ["CampaignEvent", "Cycle", "CycleEvent", "LiveHunt"]

MANY_FILES = 200
"""Data files of the store beyond which a cycle that takes longer anyway merges them."""


class CampaignEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign appeared or grew."""

    version: int = 1
    event: Literal["campaign"] = "campaign"
    change: Literal["new", "grown"]
    time: str
    """When the cycle began, by the clock."""
    campaign: Campaign


class CycleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle ended."""

    version: int = 1
    event: Literal["cycle"] = "cycle"
    time: str
    read_to: str
    """The last event time that was read; empty before there is an exchange."""
    new: int
    """Exchanges that came in."""
    exchanges: int
    accounts: int
    skipped: dict[str, int]
    """Records left out since the watch began, by reason."""
    campaigns: int
    """Campaigns that are not dismissed."""
    full: bool
    """Whether everything was learnt and searched anew."""
    seconds: float


@dataclass
class Cycle:
    """What came of a cycle."""

    summary: CycleEvent
    told: list[CampaignEvent] = field(default_factory=list)
    verdict: Verdict | None = None
    """All campaigns as they were last told, when it differs from the verdict before; the first cycle has one."""
    circumstances: Circumstances | None = None
    """Of the verdict."""


class LiveHunt:
    """Holds what a watch knows between cycles. One at a time for a site."""

    def __init__(self, hunt: Hunt) -> None:
        self._hunt, self._watcher = hunt, Watcher()
        self._logs = Follower(
            hunt.words,
            hunt.store,
            hunt.settings,
            reader=hunt.reader,
            rejects=hunt.rejects,
            progress=self._reading,
            workers=hunt.workers,
        )
        self._watch = Watch(hunt.store, since=hunt.settings.since, until=hunt.settings.until, budget=hunt.budget)
        self._current: dict[str, tuple[Found, Campaign]] = {}
        self._begun = self._measured = False

    def _reading(self, at: Progress) -> None:
        self._watcher.reading(at)

    def cycle(self, now: int, watcher: Watcher) -> Cycle:
        """One cycle. `now`: microseconds since 1970. What it tells is to be kept once it was shown (`keep`).

        Raises InputError when the logs are unusable from the beginning, StrongroomError when rows cannot be written.
        """
        started = time.monotonic()
        self._watcher = watcher
        new = self._logs.read()
        spotted = self._watch.cycle(self._watcher.step)
        told, changed = self._compare(spotted, now)
        cycle = Cycle(self._summary(new, now, 0), told)
        silent = self._watch.full and not self._current and not self._measured  # traffic came to measure it in
        if changed or silent or not self._begun:
            self._conclude(cycle, now, time.monotonic() - started)
        self._begun = True
        if self._watch.full:
            self._merge_files()
        cycle.summary = self._summary(new, now, time.monotonic() - started)
        return cycle

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

    def _conclude(self, cycle: Cycle, now: int, seconds: float) -> None:
        """The verdict, and what is kept of it when something was told."""
        ordered = sorted(self._current.values(), key=lambda pair: -pair[1].exchanges)
        result: Result | None = self._watch.result([found for found, _ in ordered], self._watcher.step)
        self._measured = result is not None and bool(result.sensitivity["measured"])
        campaigns = [campaign for _, campaign in ordered]
        cycle.verdict = verdict_of(result, campaigns, self._logs.report)
        cycle.circumstances = circumstances_of(self._hunt, self._logs.report, result, campaigns, now, seconds)

    def keep(self, cycle: Cycle, now: int) -> None:
        """Stores what a cycle told, and has it go on record. After it was shown: who is interrupted between the two
        hears it twice, rather than never."""
        if cycle.told and cycle.verdict is not None:
            remember(self._hunt, self._logs.report, cycle.verdict, now)

    def _merge_files(self) -> None:
        """Every cycle with something new leaves a small file."""
        if self._hunt.store.files() > MANY_FILES:
            self._watcher.step("merging the store's small files")
            self._hunt.store.compact()
            self._watch.compacted()

    def _summary(self, new: int, now: int, seconds: float) -> CycleEvent:
        features = self._watch.features
        return CycleEvent(
            time=format_time(now),
            read_to=format_time(int(features.edges[-1]) - 1) if features else "",
            new=new,
            exchanges=features.rows if features else 0,
            accounts=len(features.subjects) if features else 0,
            skipped=dict(self._logs.report.skipped.most_common()),
            campaigns=sum(campaign.status != "dismissed" for _, campaign in self._current.values()),
            full=self._watch.full,
            seconds=round(seconds, 1),
        )
