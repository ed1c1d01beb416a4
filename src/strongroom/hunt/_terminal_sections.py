"""What the terminal shows of a verdict, in order and without form; `_terminal` gives it one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from strongroom.core.records import Campaign, Evidence, Finding, Verdict

from ._answer import dismissed, open_campaigns, open_findings, weak_findings
from ._sentences import (
    CAUTION,
    CAUTION_ACCESS,
    RELATED,
    WEAK_SIGNALS,
    delay,
    evidence_title,
    exact,
    listed,
    number,
    objective,
    odds,
    plural,
    score_in_words,
    sensitivity_rows,
    technique,
    truth_in_words,
    unseen,
)
from ._visible import name, sentence
from .circumstances import Circumstances

__all__ = ["Bullets", "Facts", "Lines", "Section", "sections", "told"]

MAX_CAMPAIGNS = 10
MAX_FINDINGS = 10
MAX_WEAK = 10
MAX_NAMES = 8
MAX_EXAMPLES = 3
MAX_GROUPS = 5
MAX_FLAGGED = 10
MAX_INPUTS = 10
_WHOLE = "--report FILE.html, --csv FILE or --json lists all"


@dataclass(frozen=True)
class Facts:
    """Labels with values."""

    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Lines:
    """Sentences; quiet ones are of second rank."""

    lines: list[str]
    quiet: bool = False


@dataclass(frozen=True)
class Bullets:
    """Items, each with lines below it."""

    items: list[tuple[str, list[str]]]
    title: str = ""
    numbered: bool = False


@dataclass(frozen=True)
class Section:
    """A titled part of the verdict; `panel` sets it apart."""

    title: str
    parts: list[Facts | Lines | Bullets] = field(default_factory=list)
    panel: bool = False


def sections(verdict: Verdict, circumstances: Circumstances) -> list[Section]:
    """Everything under the answer."""
    found = open_campaigns(verdict)
    parts = [_truth(circumstances)] if circumstances.truth else []
    for place, campaign in enumerate(found[:MAX_CAMPAIGNS], 1):
        parts.append(_campaign(campaign, place, len(found)))
    if len(found) > MAX_CAMPAIGNS:
        parts.append(Section(f"{plural(len(found) - MAX_CAMPAIGNS, 'more campaign')}; {_WHOLE}."))
    if verdict.accounts_flagged:
        parts.append(_flagged(verdict))
    findings = open_findings(verdict)
    parts += [_finding(finding, place, len(findings)) for place, finding in enumerate(findings[:MAX_FINDINGS], 1)]
    if len(findings) > MAX_FINDINGS:
        parts.append(Section(f"{plural(len(findings) - MAX_FINDINGS, 'more finding')}; {_WHOLE}."))
    if caution := [CAUTION] * bool(found or verdict.accounts_flagged) + [CAUTION_ACCESS] * bool(findings):
        parts.append(Section("Before anything is done", [Lines(caution)]))
    if verdict.related_groups:
        parts.append(_related(verdict))
    if weak_findings(verdict):
        parts.append(_weak(verdict))
    if silent := dismissed(verdict):
        parts.append(Section("Dismissed", [Lines([silent])]))
    if reasons := _unseen(verdict, circumstances):
        parts.append(reasons)
    parts.append(_examined(verdict, circumstances))
    return parts


def told(one: Campaign | Finding, change: str) -> Section:
    """One campaign or finding alone, as a watch tells it; `change` is what happened to it."""
    if isinstance(one, Campaign):
        return replace(_campaign(one, 1, 1), title=f"{change}: {name(one.id)}")
    return replace(_finding(one, 1, 1), title=f"{change}, {name(one.kind)}: {name(one.id)}")


def _truth(circumstances: Circumstances) -> Section:
    assert circumstances.truth
    return Section("Beside the truth", [Lines(truth_in_words(circumstances.truth))])


def _campaign(campaign: Campaign, place: int, total: int) -> Section:
    chance = odds(campaign.p_value)
    later = delay(campaign.first_seen, campaign.detected_at)
    names = listed(campaign.accounts, MAX_NAMES)
    rest = len(campaign.accounts) - MAX_NAMES
    rows = [
        ("Accounts", number(len(campaign.accounts))),
        ("Exchanges", number(campaign.exchanges)),
        ("Output tokens", number(campaign.tokens_out) if campaign.tokens_out else "not in the logs"),
        ("Objective", f"{objective(campaign)} (what the prompts ask for)"),
        ("How sure", f"{chance[:1].upper()}{chance[1:]}."),
        ("How alike", f"{score_in_words(campaign.score)}."),
        ("First seen", exact(campaign.first_seen)),
        ("Last seen", exact(campaign.last_seen)),
        (
            "Detected at",
            f"{exact(campaign.detected_at)}, when a live watch would have raised it"
            f"{f': {later} after the first exchange' if later else ''}.",
        ),
    ]
    if campaign.techniques:
        rows.append(("Technique", ", ".join(technique(identifier) for identifier in campaign.techniques[:8])))
    rows.append(("Which", f"{names}{f' … and {number(rest)} more; {_WHOLE}.' if rest > 0 else ''}"))
    before = ", reported before" if campaign.status == "known" else ""
    steps: list[tuple[str, list[str]]] = [(sentence(step), []) for step in campaign.recommended]
    return Section(
        f"Campaign {place} of {total}{before}: {name(campaign.id)}",
        [
            Facts(rows),
            Bullets(_evidence(campaign.evidence), "Evidence", numbered=True),
            *([Bullets(steps, "What to do", numbered=True)] if steps else []),
        ],
        panel=True,
    )


def _finding(finding: Finding, place: int, total: int) -> Section:
    names = listed(finding.subjects, MAX_NAMES)
    rest = len(finding.subjects) - MAX_NAMES
    rows = [
        ("Principals", f"{names}{f' … and {number(rest)} more; {_WHOLE}.' if rest > 0 else ''}"),
        ("Severity", finding.severity),
        ("How sure", f"{finding.confidence:.2f} on a scale from 0 to 1"),
        ("First seen", exact(finding.first_seen)),
        ("Last seen", exact(finding.last_seen)),
    ]
    if finding.techniques:
        rows.append(("Techniques", ", ".join(technique(identifier) for identifier in finding.techniques)))
    before = ", reported before" if finding.status == "known" else ""
    steps: list[tuple[str, list[str]]] = [(sentence(step), []) for step in finding.recommended]
    kind = name(finding.kind)
    return Section(
        f"{kind[:1].upper()}{kind[1:]} {place} of {total}{before}: {name(finding.id)}",
        [
            Lines([sentence(finding.summary)]),
            Facts(rows),
            Bullets(_evidence(finding.evidence), "Timeline", numbered=True),
            *([Bullets(steps, "What to do", numbered=True)] if steps else []),
        ],
        panel=True,
    )


def _weak(verdict: Verdict) -> Section:
    """What is no alert, one line each."""
    weak = weak_findings(verdict)
    items: list[tuple[str, list[str]]] = [
        (f"{finding.severity}: {sentence(finding.summary)}", []) for finding in weak[:MAX_WEAK]
    ]
    if len(weak) > MAX_WEAK:
        items.append((f"{plural(len(weak) - MAX_WEAK, 'more', 'more')}; {_WHOLE}.", []))
    return Section(WEAK_SIGNALS, [Bullets(items)])


def _evidence(evidence: list[Evidence]) -> list[tuple[str, list[str]]]:
    """Each reason with a few places where it can be checked."""
    items = []
    for item in evidence:
        below = []
        for example in item.examples[:MAX_EXAMPLES]:
            excerpt = f'  "{sentence(example.excerpt)}"' if example.excerpt else ""
            when = name(example.time) if example.time else "time not known"
            below.append(f"{name(example.subject)}  {when}  {name(example.where)}{excerpt}")
        rest = len(item.examples) - MAX_EXAMPLES
        if rest > 0:
            below.append(f"and {plural(rest, 'more example')}")
        items.append((f"{evidence_title(item.kind)} ({item.strength}): {sentence(item.summary)}", below))
    return items


def _flagged(verdict: Verdict) -> Section:
    items = []
    for flagged in verdict.accounts_flagged[:MAX_FLAGGED]:
        chance = odds(flagged.p_value).replace("groups look", "accounts look")
        reasons = [f"{line}" for line, _ in _evidence(flagged.evidence)]
        items.append((f"{name(flagged.account)}: {chance}.", reasons))
    rest = len(verdict.accounts_flagged) - MAX_FLAGGED
    more = [Lines([f"and {number(rest)} more; {_WHOLE}."], quiet=True)] if rest > 0 else []
    return Section("Accounts that are an alert alone", [Bullets(items), *more])


def _related(verdict: Verdict) -> Section:
    items: list[tuple[str, list[str]]] = []
    for group in verdict.related_groups[:MAX_GROUPS]:
        names = listed(group.accounts, 4)
        more = f" … and {number(len(group.accounts) - 4)} more" if len(group.accounts) > 4 else ""
        items.append((f"{plural(len(group.accounts), 'account')}: {sentence(group.relation)} ({names}{more})", []))
    rest = len(verdict.related_groups) - MAX_GROUPS
    if rest > 0:
        items.append((f"{plural(rest, 'more group')}; {_WHOLE}.", []))
    return Section(RELATED, [Bullets(items)])


def _examined(verdict: Verdict, circumstances: Circumstances) -> Section:
    inputs: list[tuple[str, list[str]]] = []
    for source in circumstances.inputs[:MAX_INPUTS]:
        kind = name(source.format) if source.format else "not recognised"
        skipped = f", {number(source.skipped)} skipped" if source.skipped else ""
        counts = f"{plural(source.records, 'record')}, {number(source.new)} new{skipped}"
        inputs.append((f"{name(source.path)} ({kind}): {counts}", []))
    rest = circumstances.inputs[MAX_INPUTS:]
    if rest:
        records = plural(sum(source.records for source in rest), "record")
        inputs.append((f"{plural(len(rest), 'more file')}: {records}", []))
    if not inputs:
        inputs.append(("no input was read", []))
    rows = [
        ("Exchanges", number(verdict.exchanges)),
        ("Accounts", number(verdict.accounts)),
        ("Access events", number(verdict.access_events)),
        ("Principals", number(verdict.principals)),
        ("From", exact(verdict.window.start)),
        ("To", exact(verdict.window.end)),
        ("Time taken", f"{circumstances.seconds:,.1f} s"),
    ]
    where = f"Kept in the site {name(circumstances.site)}." if circumstances.site else "Worked in a temporary site."
    return Section("What was examined", [Facts(rows), Bullets(inputs), Lines([where], quiet=True)])


def _unseen(verdict: Verdict, circumstances: Circumstances) -> Section | None:
    reasons: list[tuple[str, list[str]]] = [(reason, []) for reason in unseen(verdict, circumstances)]
    rows = sensitivity_rows(verdict.sensitivity)
    if not reasons and not rows:
        return None
    facts: list[Facts | Lines | Bullets] = [Lines(["", "Limits of this hunt:"]), Facts(rows)] if rows else []
    return Section("What could not be seen", [Bullets(reasons), *facts])
