"""What a verdict says, in words: the same sentences on a terminal, in a pipe and on the page.

Content can show that accounts act as one; it cannot show who owns them or what they intend (design.md, security
rule 3). No sentence here says more.

>>> odds(0.00039)
'fewer than 1 in 2,500 comparable honest groups look like this'
>>> amount(61_204_553), number(61_204_553)
('61.2 million', '61,204,553')
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from strongroom.core.clock import parse_time
from strongroom.core.records import Campaign, Verdict

from ._visible import name, sentence, visible
from .circumstances import Circumstances, InputFile, Truth

__all__ = [
    "CAUTION",
    "CAUTION_ACCESS",
    "RELATED",
    "WEAK_SIGNALS",
    "amount",
    "delay",
    "evidence_title",
    "exact",
    "listed",
    "moment",
    "number",
    "objective",
    "odds",
    "plural",
    "score_in_words",
    "sensitivity_rows",
    "skipped_in_words",
    "technique",
    "truth_in_words",
    "unseen",
]

CAUTION = (
    "Proposed, for a person to decide. Content can show that accounts act as one; it cannot show who owns them "
    "or what they intend. Prompts can be imitated to have somebody else cut off: check the examples first."
)
CAUTION_ACCESS = (
    "Proposed, for a person to decide. Logs show which credential acted and from where; they cannot show who held it "
    "or why. Ask the owner of the credential and of the asset first; to disable a credential can be undone."
)
RELATED = "Openly related, not an alert: these accounts do not hide that they belong together."
WEAK_SIGNALS = "Weak signals, not an alert: what these principals did has honest reasons more often than not."

_TITLES = {
    "address": "Shared addresses",
    "client_address": "Shared addresses",
    "payment": "Shared payment",
    "email_domain": "Shared mail domain",
    "signup": "Sign-ups alike",
    "tls": "Shared TLS fingerprint",
    "tls_fingerprint": "Shared TLS fingerprint",
    "credential": "Shared credential",
    "user_agent": "Same client software",
    "template": "Shared template",
    "distribution": "Interchangeable questions",
    "division": "Divided work",
    "indicator": "What the prompts ask for",
    "objective": "Same objective",
    "timing": "Times alike",
    "organization": "Same organization",
    "end_user": "Named end users",
    "open relation": "Open relation",
}
_MEASURES = {
    "smallest_campaign": "Smallest group that is reported, in accounts",
    "least_texts_per_account": "Distinct prompts that an account needs to be compared",
    "least_likeness": "Least likeness that counts, from 0 to 1",
    "largest_p_value": "Largest p-value that counts",
    "accounts_compared": "Accounts that could be compared",
    "measured": "Measured by simulated insertions into this traffic",
    "alert_budget": "Alert budget, in false campaigns",
}
_TECHNIQUES = {
    "AML.T0024": "Exfiltration via AI Inference API",
    "AML.T0024.000": "Infer Training Data Membership",
    "AML.T0024.001": "Invert AI Model",
    "AML.T0024.002": "Extract AI Model",
    "AML.T0040": "AI Model Inference API Access",
}
_LARGE = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"))
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_MINUTE_US = 60_000_000
_MAX_ROWS = 60
"""Rows shown of `sensitivity`, whose content is the detector's own."""


def number(value: int) -> str:
    """Exact, with thousands separated."""
    return f"{value:,}"


def amount(value: int) -> str:
    """Rounded for reading: three significant digits from a million on."""
    for size, word in _LARGE:
        if value >= size:
            return f"{value / size:.3g} {word}" if value < 1000 * size else f"{value // size:,} {word}"
    return number(value)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 account`, `198 accounts`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def moment(text: str) -> str:
    """`2026-11-03 04:12 UTC`, or the text itself where it is not a time; `not known` where it is empty."""
    if not text:
        return "not known"
    if _time(text) is None:
        return name(text)
    return f"{text[:10]} {text[11:16] or '00:00'} UTC" if text.endswith("Z") else name(text)


def exact(text: str) -> str:
    """A time as the record has it (RFC 3339), for output that may be read by programs."""
    return name(text) if text else "not known"


def delay(earlier: str, later: str) -> str:
    """`1 day 5 hours` between two times; empty where either is unknown or they are the wrong way round."""
    start, end = _time(earlier), _time(later)
    if start is None or end is None or end < start:
        return ""
    days, rest = divmod(end - start, _DAY_US)
    hours, rest = divmod(rest, _HOUR_US)
    if days:
        return plural(days, "day") + (f" {plural(hours, 'hour')}" if hours else "")
    minutes = rest // _MINUTE_US
    if hours:
        return plural(hours, "hour") + (f" {plural(minutes, 'minute')}" if minutes else "")
    return plural(minutes, "minute")


def _time(text: str) -> int | None:
    try:
        return parse_time(text)
    except ValueError:
        return None


def odds(p_value: float) -> str:
    """A p-value as a share of comparable honest groups. Rounding never makes it look rarer than it is."""
    if math.isnan(p_value) or not 0.0 <= p_value <= 1.0:
        return "how many comparable honest groups look like this was not measured"
    if p_value == 0.0:
        return "no comparable honest group looks like this"
    if p_value > 0.5:
        return "most comparable honest groups look like this"
    inverse = 1.0 / p_value
    scale = 10.0 ** max(0, math.floor(math.log10(inverse)) - 1)
    one_in = int(math.floor(inverse / scale + 1e-9) * scale)
    bound = "fewer than" if p_value * one_in < 1.0 - 1e-9 else "at most"
    return f"{bound} 1 in {number(one_in)} comparable honest groups look like this"


def score_in_words(score: float) -> str:
    """The score with its scale."""
    if not 0.0 <= score <= 1.0:
        return "not measured"
    return f"{score:.2f} on a scale from 0 (unrelated) to 1 (cannot be told apart)"


def evidence_title(kind: str) -> str:
    """A heading for a kind of evidence."""
    known = _TITLES.get(kind)
    words = name(kind.replace("_", " ").replace("-", " "))
    return known or words[:1].upper() + words[1:]


def objective(campaign: Campaign) -> str:
    """What the prompts ask for."""
    return name(campaign.objective.replace("_", " ")) if campaign.objective else "not recognised"


def technique(identifier: str) -> str:
    """A technique's id with its name, where we know it."""
    known = _TECHNIQUES.get(identifier)
    return f"{identifier} {known}" if known else name(identifier)


def skipped_in_words(verdict: Verdict) -> list[tuple[str, int]]:
    """Skipped records by reason, most first."""
    rows = sorted(verdict.skipped.items(), key=lambda row: (-row[1], row[0]))
    return [(name(reason.replace("_", " ")), count) for reason, count in rows[:_MAX_ROWS] if count]


def sensitivity_rows(sensitivity: dict[str, Any]) -> list[tuple[str, str]]:
    """`sensitivity` flattened to label and value; `summary`, where it has one, is not among them."""
    rows: list[tuple[str, str]] = []
    trials = [_trial(each) for each in _trials(sensitivity)]
    told = {"summary", "trials"} if trials and None not in trials else {"summary"}
    _flatten("", {key: value for key, value in sensitivity.items() if key not in told}, rows)
    return rows + [row for row in trials if row is not None and "trials" in told]


def _trials(sensitivity: dict[str, Any]) -> list[dict[str, Any]]:
    trials = sensitivity.get("trials")
    return trials if isinstance(trials, list) and all(isinstance(each, dict) for each in trials) else []


def _trial(trial: dict[str, Any]) -> tuple[str, str] | None:
    """How often campaigns of one size were found; None for a dictionary of another kind."""
    names = ("accounts", "prompts_per_account", "found", "trials")
    counts = [number(count) for key in names if isinstance(count := trial.get(key), int)]
    if len(counts) < len(names):
        return None
    accounts, prompts, found, trials = counts
    return f"Made campaigns of {accounts} accounts, {prompts} prompts each", f"{found} of {trials} found"


def _flatten(label: str, value: Any, rows: list[tuple[str, str]]) -> None:
    if len(rows) >= _MAX_ROWS:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            word = _MEASURES.get(key) or visible(str(key)[:60]).replace("_", " ")
            _flatten(f"{label}, {word}" if label else word, inner, rows)
    elif isinstance(value, list | tuple) and any(isinstance(inner, dict | list) for inner in value):
        for place, inner in enumerate(value, 1):
            _flatten(f"{label} {place}", inner, rows)
    else:
        rows.append((label, _scalar(value)))


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list | tuple):
        return sentence(", ".join(_scalar(inner) for inner in value[:50]))
    return "not known" if value is None else sentence(str(value))


OUTSIDE = "outside the window"


def unseen(verdict: Verdict, circumstances: Circumstances) -> list[str]:
    """What could not be seen, in sentences: the reasons why silence is not proof."""
    told = [sentence(reason) for reason in verdict.not_examined]
    outside = verdict.skipped.get(OUTSIDE, 0)
    if outside:
        told.append(f"{plural(outside, 'exchange')} outside the window that was asked for.")
    skipped = sum(verdict.skipped.values()) - outside
    if skipped:
        unusable = [row for row in skipped_in_words(verdict) if row[0] != OUTSIDE]
        reasons = ", ".join(f"{number(count)} {reason}" for reason, count in unusable[:8])
        where = f" Their places stand in {name(circumstances.rejects_file)}." if circumstances.rejects_file else ""
        told.append(f"{plural(skipped, 'record')} could not be used: {reasons}.{where}")
    left = [source for source in circumstances.inputs if source.reason or not source.format]
    told.extend(_left_out(source) for source in left[:_MAX_ROWS])
    if len(left) > _MAX_ROWS:
        told.append(f"{plural(len(left) - _MAX_ROWS, 'more file')} could not be read, or not to the end.")
    summary = verdict.sensitivity.get("summary")
    if isinstance(summary, str) and summary:
        told.append(sentence(summary))
    return told


def _left_out(source: InputFile) -> str:
    if not source.reason:
        return f"{name(source.path)} was not recognised as a log."
    how = "not to its end" if source.records else "not"
    return f"{name(source.path)} was {'read, but ' if source.records else ''}{how} read: {name(source.reason)}."


def truth_in_words(truth: Truth) -> list[str]:
    """The verdict beside what the simulator did."""
    made = len(set(truth.campaign_accounts))
    told = [f"This traffic is simulated, so the truth is known. {sentence(truth.description)}".strip()]
    if not made:
        wrong = f"{plural(truth.reported, 'account')} reported, all of them wrongly"
        told.append(f"The simulator made no campaign; {wrong if truth.reported else 'none was reported'}.")
    else:
        share = f" ({truth.found / truth.reported:.0%} of the reported)" if truth.reported else ""
        told.append(
            f"The simulator made {plural(made, 'campaign account')}; {number(truth.found)} of them were found. "
            f"{plural(truth.reported, 'account')} reported, {number(truth.found)} of them rightly{share}."
        )
    if truth.intruders:
        others = plural(truth.other_alerts, "alert") if truth.other_alerts else "No alert"
        told.append(
            f"The simulator had {plural(len(truth.intruders), 'principal')} intrude; {number(truth.intruders_found)} "
            f"{'is' if truth.intruders_found == 1 else 'are'} named in alerts. {others} about anybody else."
        )
    return told


def listed(names: Iterable[str], count: int) -> str:
    """The first `count` names, joined."""
    return ", ".join(name(one) for _, one in zip(range(count), names, strict=False))
