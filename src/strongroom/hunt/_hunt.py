"""The one order of a hunt: read logs, store rows, search, compare with what was said before, write the verdict."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any

import msgspec

from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.core.ids import new_id
from strongroom.core.records import Campaign, Entry, Finding, Verdict, Window
from strongroom.detect.campaign import AlertBudget, Found, Result, find_campaigns
from strongroom.detect.rules import Rules, curated_rules
from strongroom.ingest import IngestReport, Progress, Settings, SourceReport, ingest
from strongroom.ingest.reader import Reader
from strongroom.store import Store

from ._access import Accesses, findings_of, search_access
from ._remember import Earlier, earlier_campaigns, match
from .circumstances import Circumstances, InputFile, Link, Picture

__all__ = [
    "Hunt",
    "Watcher",
    "accesses_of",
    "campaign_of",
    "circumstances_of",
    "remember",
    "run_hunt",
    "store_findings",
    "verdict_of",
]

TECHNIQUES = ["AML.T0024.002"]
"""MITRE ATLAS: Exfiltration via AI Inference API: Extract AI Model."""
MAX_DAYS = 400
MAX_INPUTS = 10_000
HUNT = "strongroom.hunt/1"
MAX_RECORDED_INPUTS = 200
"""Inputs, and campaigns, that one entry of the ledger names: it has 65,535 bytes."""


@dataclass(frozen=True)
class Watcher:
    """Who is told how far a hunt is."""

    reading: Callable[[Progress], None] = lambda _: None
    step: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Hunt:
    """What to hunt in, and where."""

    words: Sequence[str]
    """Logs; none: what the store holds already."""
    store: Store
    settings: Settings
    command: str
    version: str
    site: str
    """Shown in the report; empty for a temporary one."""
    reader: Reader | None = None
    rejects: IO[str] | None = None
    rejects_path: str = ""
    workers: int | None = None
    budget: AlertBudget | None = None
    """False alerts that are acceptable, of all detectors together."""
    sensitivity: bool = False
    """Measure which campaigns would be found."""
    configuration: str = ""
    """`sha256:` of the site's configuration file."""
    assets: Sequence[Asset] = ()
    """What access events are about."""
    rules: Rules | None = None
    """What they are compared with; None: the curated rules."""
    record: Callable[[Entry], object] | None = None
    """Puts an entry on record (`Recorder.append`); None where there is no ledger."""

    @property
    def half_budget(self) -> AlertBudget | None:
        """For campaigns, and for what is found in access events: one budget holds for both together."""
        return self.budget.half() if self.budget else None


def run_hunt(hunt: Hunt, now: int, watcher: Watcher) -> tuple[Verdict, Circumstances]:
    """Reads, searches, and stores findings and verdict. `now`: microseconds since 1970.

    Raises InputError when nothing could be read, StrongroomError when it cannot be stored.
    """
    started = time.monotonic()
    report = IngestReport()
    if hunt.words:
        report = ingest(
            hunt.words,
            hunt.store,
            hunt.settings,
            reader=hunt.reader,
            rejects=hunt.rejects,
            progress=watcher.reading,
            workers=hunt.workers,
        )
    result = find_campaigns(
        hunt.store,
        since=hunt.settings.since,
        until=hunt.settings.until,
        budget=hunt.half_budget,
        sensitivity=hunt.sensitivity,
        progress=watcher.step,
    )
    earlier = earlier_campaigns(hunt.store)
    found = result.campaigns if result else []
    same = match([one.accounts for one in found], earlier)
    campaigns = [campaign_of(one, known, now, hunt.site) for one, known in zip(found, same, strict=True)]
    accesses = accesses_of(hunt, watcher.step)
    verdict = verdict_of(result, campaigns, report, accesses, findings_of(accesses, hunt.store, now))
    circumstances = circumstances_of(hunt, report, result, campaigns, now, time.monotonic() - started)
    remember(hunt, report, verdict, now)
    return verdict, circumstances


def accesses_of(hunt: Hunt, progress: Callable[[str], None]) -> Accesses | None:
    """What a hunt finds in the stored access events; None where there are none in its window."""
    return search_access(
        hunt.store,
        hunt.assets,
        hunt.rules or curated_rules(),
        since=hunt.settings.since,
        until=hunt.settings.until,
        budget=hunt.half_budget,
        progress=progress,
    )


def circumstances_of(
    hunt: Hunt, report: IngestReport, result: Result | None, campaigns: list[Campaign], now: int, seconds: float
) -> Circumstances:
    """`campaigns` in the order of the result's."""
    return Circumstances(
        created=format_time(now),
        version=hunt.version,
        command=hunt.command,
        inputs=[_input(source) for source in report.sources[:MAX_INPUTS]],
        rejects_file=hunt.rejects_path if report.rejects_written else "",
        seconds=round(seconds, 1),
        site=hunt.site,
        **_pictures(hunt.store, result, campaigns, hunt.settings.since, hunt.settings.until),
    )


def _entry(hunt: Hunt, report: IngestReport, verdict: Verdict, now: int) -> Entry:
    """What goes on record of a hunt: digests, so that whoever has the logs and the verdict can show what was found."""
    inputs = [
        {"digest": source.digest, "bytes": source.bytes, "records": source.records, "new": source.new}
        for source in report.sources[:MAX_RECORDED_INPUTS]
    ]
    window = [format_time(time) if time is not None else "" for time in (hunt.settings.since, hunt.settings.until)]
    return Entry(
        type=HUNT,
        time=format_time(now),
        writer="strongroom",
        body={
            "inputs": inputs,
            "inputs_in_all": len(report.sources),
            "configuration": hunt.configuration,
            "version": hunt.version,
            "since": window[0],
            "until": window[1],
            "verdict": f"sha256:{hashlib.sha256(msgspec.json.encode(verdict)).hexdigest()}",
            "campaigns": [campaign.id for campaign in verdict.campaigns[:MAX_RECORDED_INPUTS]],
            "findings": [finding.id for finding in verdict.findings[:MAX_RECORDED_INPUTS]],
            "exchanges": verdict.exchanges,
            "accounts": verdict.accounts,
            "access_events": verdict.access_events,
        },
    )


def _input(source: SourceReport) -> InputFile:
    return InputFile(
        source.path, source.format, source.records, source.new, source.skipped, source.bytes, source.reason
    )


def campaign_of(found: Found, same: Earlier | None, now: int, site: str) -> Campaign:
    """What is told of a campaign; `same` is what was told of it before."""
    return Campaign(
        id=same.id if same else new_id("cmp", now),
        accounts=found.accounts,
        exchanges=found.exchanges,
        tokens_out=found.tokens_out,
        detected_at=found.detected_at,
        score=found.score,
        p_value=found.p_value,
        objective=found.objective,
        techniques=TECHNIQUES,
        evidence=found.evidence,
        recommended=_recommended(found, site),
        first_seen=found.first_seen,
        last_seen=found.last_seen,
        status=("dismissed" if same.silences(found) else "known") if same else "new",
    )


def _recommended(found: Found, site: str) -> list[str]:
    kinds = {evidence.kind for evidence in found.evidence}
    explain = f"`{shlex.join(['strongroom', 'explain', 'ACCOUNT', '--site', site])}`"
    if not site:
        explain = "`strongroom explain ACCOUNT --site DIR` (after a hunt with `--site`; see `strongroom init`)"
    steps = [
        f"Look at the examples in the logs, and at two or three accounts with {explain}, before anything is done to "
        "them.",
        "Keep the logs of these accounts from deletion; they are evidence.",
    ]
    if kinds & {"address", "payment", "tls", "credential"}:
        steps.append("Compare the accounts' sign-up and payment records: what they share in the logs may go on there.")
    steps += [
        "Propose graded limits (a lower rate, a question to the customer, then suspension) to whoever decides; "
        "all are reversible, and an imitation of somebody's prompts can frame them.",
        "Hunt again after any measure: accounts that are replaced show up as new members of the same group.",
    ]
    return steps


def verdict_of(
    result: Result | None,
    campaigns: list[Campaign],
    report: IngestReport,
    accesses: Accesses | None = None,
    findings: Sequence[Finding] = (),
) -> Verdict:
    """`campaigns` and `findings` beside what was looked at; None for nothing."""
    windows = [(part.start, part.end) for part in (result, accesses) if part]
    start, end = min((start for start, _ in windows), default=""), max((end for _, end in windows), default="")
    without = "No exchange with a model was in these logs: campaigns were not looked for."
    nothing = [without] if accesses else ["The window holds no exchange."]
    not_examined = list(result.not_examined) if result else nothing
    if report.cut:
        not_examined.append(
            f"The records of {report.cut:,} access events that were read now have more or longer fields than are kept: "
            "rules do not see what was cut."
        )
    return Verdict(
        exchanges=result.exchanges if result else 0,
        accounts=result.accounts if result else 0,
        window=Window(start, end),
        skipped=dict(report.skipped.most_common()),
        campaigns=campaigns,
        findings=list(findings),
        access_events=accesses.events if accesses else 0,
        principals=accesses.principals if accesses else 0,
        related_groups=result.related if result else [],
        accounts_flagged=[],
        sensitivity=result.sensitivity if result else {},
        not_examined=not_examined + (accesses.not_examined if accesses else []),
    )


def _pictures(
    store: Store, result: Result | None, campaigns: list[Campaign], since: int | None, until: int | None
) -> dict[str, Any]:
    if result is None:
        return {"days": [], "exchanges_per_day": [], "pictures": []}
    table = store.exchanges(since, until)
    day = table.time.date()
    per = store.table(table.group_by(day=day).aggregate(n=table.count()).order_by("day")).to_pylist()
    counts = {row["day"]: row["n"] for row in per}
    # Days without traffic have their place in a timeline too.
    span = (per[-1]["day"] - per[0]["day"]).days + 1
    dates = [per[-1]["day"] - timedelta(days=back) for back in range(min(span, MAX_DAYS) - 1, -1, -1)]
    days = [date.isoformat() for date in dates]
    pictures = []
    for found, campaign in zip(result.campaigns, campaigns, strict=True):
        inside = table.filter(table.subject.isin(found.accounts))
        rows = store.table(
            inside.group_by(day=inside.time.date()).aggregate(n=inside.count(), a=inside.subject.nunique())
        ).to_pylist()
        by_day = {row["day"].isoformat(): row for row in rows}
        members = set(found.accounts)
        pictures.append(
            Picture(
                campaign=campaign.id,
                links=[Link(*link) for link in found.links],
                per_day=[by_day[d]["n"] if d in by_day else 0 for d in days],
                accounts_per_day=[by_day[d]["a"] if d in by_day else 0 for d in days],
                neighbours=sorted({name for a, b, *_ in found.links for name in (a, b)} - members),
            )
        )
    return {"days": days, "exchanges_per_day": [counts.get(date, 0) for date in dates], "pictures": pictures}


def remember(hunt: Hunt, report: IngestReport, verdict: Verdict, now: int) -> None:
    """Into the store, and on record where there is a ledger."""
    _store(hunt.store, verdict, now)
    if hunt.record is not None:
        hunt.record(_entry(hunt, report, verdict, now))


def _store(store: Store, verdict: Verdict, now: int) -> None:
    """One commit, so that a verdict that is there has its campaigns, and each campaign its finding."""
    hunt = new_id("fnd", now)
    rows: list[dict[str, Any]] = []
    for campaign in verdict.campaigns:
        finding = _finding(campaign, now)
        common = {"time": now, "hunt": hunt, "subjects": campaign.accounts}
        rows.append({**common, "kind": "campaign", "id": campaign.id, "document": campaign})
        rows.append({**common, "kind": "finding", "id": finding.id, "document": finding})
    rows += _rows(verdict.findings, hunt, now)
    summary = msgspec.structs.replace(verdict, campaigns=[], findings=[])
    rows.append({"time": now, "hunt": hunt, "kind": "verdict", "id": hunt, "subjects": [], "document": summary})
    store.append_findings(rows)


def store_findings(store: Store, findings: Sequence[Finding], now: int) -> None:
    """Findings in access events alone, which then can be shown and dismissed, and keep their ids."""
    store.append_findings(_rows(findings, new_id("fnd", now), now))


def _rows(findings: Sequence[Finding], hunt: str, now: int) -> list[dict[str, Any]]:
    common = {"time": now, "hunt": hunt, "kind": "finding"}
    return [{**common, "id": one.id, "subjects": one.subjects, "document": one} for one in findings]


def _finding(campaign: Campaign, now: int) -> Finding:
    """The campaign as every detector reports what it found."""
    return Finding(
        id=new_id("fnd", now),
        time=format_time(now),
        detector="campaign/1",
        kind="campaign",
        severity="informational" if campaign.status == "dismissed" else "high",
        confidence=campaign.score,
        subjects=campaign.accounts,
        techniques=campaign.techniques,
        summary=f"{campaign.id}: {len(campaign.accounts):,} accounts act as one ({campaign.exchanges:,} exchanges)",
        evidence=campaign.evidence,
        recommended=campaign.recommended,
        first_seen=campaign.first_seen,
        last_seen=campaign.last_seen,
        status=campaign.status,
    )
