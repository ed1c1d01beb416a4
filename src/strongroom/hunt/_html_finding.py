"""One finding in access events as a section of the report: who, how sure, the timeline, what to do."""

from __future__ import annotations

from strongroom.core.records import Finding

from ._html_campaign import accounts_list, evidence_items, figures, steps_to_take
from ._markup import Html, tag
from ._sentences import CAUTION_ACCESS, delay, moment, number, plural, technique
from ._visible import name, sentence

__all__ = ["finding_section"]


def finding_section(finding: Finding, place: int, total: int) -> Html:
    """The card of one finding; `place` counts from 1."""
    prefix = f"f{place}"
    before = " · reported before" if finding.status == "known" else ""
    kind = name(finding.kind)
    title = f"{kind[:1].upper()}{kind[1:]} {place} of {total}{before} · "
    signals = finding.signals or len(finding.evidence)
    counts = f"{plural(len(finding.subjects), 'principal')}, {plural(signals, 'signal')}"
    took = delay(finding.first_seen, finding.last_seen)
    return tag(
        "section",
        tag(
            "p",
            title,
            tag("code", name(finding.id)),
            class_="eyebrow",
        ),
        tag("h2", counts, id=prefix),
        tag("p", sentence(finding.summary), class_="sure"),
        figures(
            [
                ("Severity", finding.severity, None),
                ("How sure", f"{finding.confidence:.2f}", "from 0 to 1"),
                ("Principals", number(len(finding.subjects)), None),
                ("First seen", moment(finding.first_seen), None),
                ("Last seen", moment(finding.last_seen), f"{took} later" if took else None),
            ]
        ),
        tag("p", tag("strong", "Techniques: "), ", ".join(technique(one) for one in finding.techniques), class_="sure")
        if finding.techniques
        else None,
        tag("h3", "Timeline"),
        evidence_items(finding.evidence, "Principal"),
        steps_to_take(finding.recommended, CAUTION_ACCESS),
        tag("h3", "Principals"),
        accounts_list(finding.subjects, "in this finding", prefix, "principal"),
        class_="campaign",
        aria_labelledby=prefix,
    )
