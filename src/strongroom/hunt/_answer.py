"""The answer of a verdict: the headline, and the sentences under it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from strongroom.core.records import Campaign, Finding, Verdict

from ._sentences import amount, moment, number, odds, plural
from ._visible import name, sentence

__all__ = ["alarming", "dismissed", "headline", "lead", "open_campaigns", "open_findings", "scope", "weak_findings"]

ALERTS = ("high", "critical")
"""Severities of findings that wake somebody."""


def open_campaigns(verdict: Verdict) -> list[Campaign]:
    """Campaigns that nobody dismissed."""
    return [campaign for campaign in verdict.campaigns if campaign.status != "dismissed"]


def open_findings(verdict: Verdict) -> list[Finding]:
    """Findings in access events that are alerts, and that nobody dismissed."""
    return [one for one in verdict.findings if one.status != "dismissed" and one.severity in ALERTS]


def weak_findings(verdict: Verdict) -> list[Finding]:
    """Findings that weigh too little for an alert, and that nobody dismissed."""
    return [one for one in verdict.findings if one.status != "dismissed" and one.severity not in ALERTS]


def alarming(verdict: Verdict) -> bool:
    """Whether the answer is yes."""
    return bool(open_campaigns(verdict) or open_findings(verdict))


def dismissed(verdict: Verdict) -> str:
    """One line about what was dismissed, or an empty string."""
    campaigns = [campaign.id for campaign in verdict.campaigns if campaign.status == "dismissed"]
    findings = [finding.id for finding in verdict.findings if finding.status == "dismissed"]
    silent = campaigns + findings
    if not silent:
        return ""
    ids = ", ".join(name(identifier) for identifier in silent[:5])
    more = f" and {plural(len(silent) - 5, 'more', 'more')}" if len(silent) > 5 else ""
    without = "it has" if len(silent) == 1 else "they have"
    what = "finding" if findings else "campaign"
    return f"{plural(len(silent), what)} dismissed earlier; {without} no new evidence: {ids}{more}."


def headline(verdict: Verdict) -> str:
    """The answer, in one short sentence."""
    found = open_campaigns(verdict)
    kinds = Counter(finding.kind for finding in open_findings(verdict))
    flagged = len(verdict.accounts_flagged)
    parts = [plural(len(found), "campaign")] if found else []
    parts += [plural(count, name(kind)) for kind, count in sorted(kinds.items())]
    if parts:
        return f"Yes: {_and(parts)}."
    if flagged:
        stands = "is an alert" if flagged == 1 else "are alerts"
        return f"No campaign was found; {plural(flagged, 'account')} {stands} alone."
    if not verdict.exchanges:
        return _no_intrusion(verdict) if verdict.access_events else "No answer: no exchange was examined."
    if _compared(verdict) == 0:
        without = "No answer about campaigns: no account could be compared." if verdict.access_events else ""
        return f"{_no_intrusion(verdict)} {without}" if without else "No answer: no account could be compared."
    if verdict.access_events:
        return "No new campaign or intrusion was found." if dismissed(verdict) else _NEITHER
    return "No new campaign was found." if verdict.campaigns else "No campaign was found."


_NEITHER = "No campaign and no intrusion was found."


def _no_intrusion(verdict: Verdict) -> str:
    dismissed_only = any(one.status == "dismissed" for one in verdict.findings)
    return "No new intrusion was found." if dismissed_only else "No intrusion was found."


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def lead(verdict: Verdict, when: Callable[[str], str] = moment) -> list[str]:
    """The sentences under the answer."""
    found, findings = open_campaigns(verdict), open_findings(verdict)
    if found or findings:
        told = []
        if found:
            chance = odds(found[0].p_value)
            told = [_taken(found), *([f"{chance[:1].upper()}{chance[1:]}."] if len(found) == 1 else [])]
        if findings:
            told.append(sentence(findings[0].summary))
        return [*told, f"Examined: {scope(verdict, when)}."]
    if not verdict.access_events and (not verdict.exchanges or _compared(verdict) == 0):
        told = ["This says nothing about the traffic: what was read, and why it gave nothing, is listed below."]
        return [*told, f"Examined: {scope(verdict, when)}."] if verdict.exchanges else told
    nothing = [
        *([_NO_GROUP] if verdict.exchanges and _compared(verdict) != 0 else []),
        *([_NO_STORY] if verdict.access_events else []),
    ]
    return [
        *nothing,
        f"Examined: {scope(verdict, when)}.",
        "That is not proof of absence: what could not be seen is listed below.",
    ]


_NO_GROUP = "No group that hides its relation acts as one more than comparable honest groups do."
_NO_STORY = "No principal's access gave signals that together are worth a person's time."


def _taken(found: list[Campaign]) -> str:
    accounts = plural(len({account for campaign in found for account in campaign.accounts}), "account")
    exchanges = plural(sum(campaign.exchanges for campaign in found), "exchange")
    tokens = sum(campaign.tokens_out for campaign in found)
    least = "at least " if not all(campaign.tokens_out for campaign in found) else ""
    took = f", {least}{amount(tokens)} output tokens" if tokens else "; the logs hold no count of output tokens"
    if len(found) == 1:
        return f"{accounts} act as one: {exchanges}{took}."
    return f"{accounts} act as {number(len(found))} groups, each as one: {exchanges}{took}."


def scope(verdict: Verdict, when: Callable[[str], str] = moment) -> str:
    """How much was examined, and from when to when."""
    compared = _compared(verdict)
    share = f" ({number(compared)} could be compared)" if compared is not None else ""
    start, end = verdict.window.start, verdict.window.end
    period = f", from {when(start)} to {when(end)}" if start and end else ""
    exchanges = f"{plural(verdict.exchanges, 'exchange')} of {plural(verdict.accounts, 'account')}{share}"
    if not verdict.access_events:
        return exchanges + period
    events = f"{plural(verdict.access_events, 'access event')} of {plural(verdict.principals, 'principal')}"
    return (f"{exchanges} and {events}" if verdict.exchanges else events) + period


def _compared(verdict: Verdict) -> int | None:
    """How many accounts had enough prompts to be compared, where the detector says it."""
    compared = verdict.sensitivity.get("accounts_compared")
    return compared if isinstance(compared, int) and not isinstance(compared, bool) else None
