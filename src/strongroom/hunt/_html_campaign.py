"""One campaign as a section of the report: figures, when, who is linked to whom, evidence, what to do, accounts."""

from __future__ import annotations

from strongroom.core.records import Campaign, Evidence, Example, Verdict

from ._markup import Child, Html, join, prose, table, tag
from ._sentences import (
    CAUTION,
    delay,
    evidence_title,
    moment,
    number,
    objective,
    odds,
    plural,
    score_in_words,
    technique,
)
from ._svg import graph, links_by_kind, strongest
from ._timeline import timeline
from ._visible import name, sentence
from .circumstances import Circumstances, Link, Picture

__all__ = ["accounts_list", "campaign_section", "evidence_items", "figures", "steps_to_take"]

MAX_EXAMPLES = 12
MAX_ACCOUNTS = 20_000
_WIDE, _NARROW = 960, 360


def figures(rows: list[tuple[str, Child, Child]], style: str = "figures") -> Html:
    """Label, figure and a small note, as a definition list."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", label), tag("dd", figure, tag("small", note) if note else None))
            for label, figure, note in rows
        ),
        class_=style,
    )


def campaign_section(
    campaign: Campaign, place: int, total: int, verdict: Verdict, circumstances: Circumstances
) -> Html:
    """The card of one campaign; `place` counts from 1."""
    prefix = f"c{place}"
    picture = next((one for one in circumstances.pictures if one.campaign == campaign.id), None)
    before = " · reported before" if campaign.status == "known" else ""
    return tag(
        "section",
        tag("p", f"Campaign {place} of {total}{before} · ", tag("code", name(campaign.id)), class_="eyebrow"),
        tag("h2", f"{plural(len(campaign.accounts), 'account')} that act as one", id=prefix),
        _figures(campaign, verdict, picture),
        _sureness(campaign),
        _when(campaign, picture, circumstances, prefix) if picture else None,
        _graph(campaign, picture, prefix) if picture and picture.links else None,
        tag("h3", "Evidence"),
        evidence_items(campaign.evidence),
        steps_to_take(campaign.recommended, CAUTION),
        tag("h3", "Accounts"),
        accounts_list(campaign.accounts, "in this campaign", prefix),
        class_="campaign",
        aria_labelledby=prefix,
    )


def _figures(campaign: Campaign, verdict: Verdict, picture: Picture | None) -> Html:
    share = f"{campaign.exchanges / verdict.exchanges:.1%} of all examined" if verdict.exchanges else None
    active = sum(picture.accounts_per_day) if picture else 0
    pace = f"{sum(picture.per_day) / active:.0f} a day per active account" if picture and active else None
    of_all = f"of {number(verdict.accounts)} examined" if verdict.accounts else None
    tokens = number(campaign.tokens_out) if campaign.tokens_out else "not in the logs"
    later = delay(campaign.first_seen, campaign.detected_at)
    return figures(
        [
            ("Accounts", number(len(campaign.accounts)), of_all),
            ("Exchanges", number(campaign.exchanges), " · ".join(part for part in (share, pace) if part) or None),
            ("Output tokens", tokens, None),
            ("Objective", objective(campaign), "what the prompts ask for"),
            ("First seen", _time(campaign.first_seen), f"last seen {moment(campaign.last_seen)}"),
            (
                "A live watch would have raised it",
                _time(campaign.detected_at),
                f"{later} after the first exchange" if later else None,
            ),
        ]
    )


def _time(when: str) -> Html:
    shown = moment(when)
    return tag("time", shown, datetime=when) if shown.endswith(" UTC") else tag("span", shown)


def _sureness(campaign: Campaign) -> Html:
    chance = odds(campaign.p_value)
    named = ", ".join(technique(identifier) for identifier in campaign.techniques[:8])
    return tag(
        "p",
        tag("strong", "How sure: "),
        f"{chance[:1].upper()}{chance[1:]}. How alike the accounts are: {score_in_words(campaign.score)}.",
        f" Technique: {named}." if named else None,
        class_="sure",
    )


def _when(campaign: Campaign, picture: Picture, circumstances: Circumstances, prefix: str) -> Html | None:
    if not circumstances.days:
        return None
    return tag(
        "figure",
        tag("h3", "When"),
        tag("div", timeline(campaign, picture, circumstances, f"{prefix}w", _WIDE), class_="wide"),
        tag("div", timeline(campaign, picture, circumstances, f"{prefix}n", _NARROW), class_="narrow"),
        tag("figcaption", "Days are UTC. Each row has its own scale."),
    )


def _graph(campaign: Campaign, picture: Picture, prefix: str) -> Html:
    members = set(campaign.accounts)
    drawn = strongest(picture.links, members)
    linked, nodes = _ends(picture.links), _ends(drawn)
    inside, outside = len(nodes & members), len(nodes - members)
    undrawn = len(members) - inside
    notes = ["A dot is an account, a line is one reason to link two. Only the strongest links are drawn."]
    if inside < len(linked & members):
        notes.append(f"Drawn: the {number(inside)} of {number(len(members))} accounts that hang together most.")
    elif undrawn:
        notes.append(f"{plural(undrawn, 'account')} of the campaign {'has' if undrawn == 1 else 'have'} none of them.")
    if outside:
        notes.append("Hollow: looked at, and not part of the campaign.")
    legend = [
        tag("li", tag("i", class_=f"swatch k{colour}"), f"{title} ", tag("small", f"{links} links, {ends} accounts"))
        for title, colour, links, ends in links_by_kind(drawn)
    ]
    return tag(
        "figure",
        tag("h3", "Who is linked to whom"),
        tag("ul", *legend, class_="legend"),
        graph(campaign, picture, prefix),
        tag("figcaption", " ".join(notes)),
    )


def _ends(links: list[Link]) -> set[str]:
    return {link.a for link in links} | {link.b for link in links}


def evidence_items(evidence: list[Evidence], subject: str = "Account") -> Html:
    """Each reason as a sentence with its examples, in which `subject` heads the first column."""
    if not evidence:
        return tag("p", "No evidence was recorded.")
    return tag("ol", *(_evidence(item, subject) for item in evidence), class_="evidence")


def _evidence(item: Evidence, subject: str) -> Html:
    title = evidence_title(item.kind)
    return tag(
        "li",
        tag("h4", title, " ", tag("span", item.strength, class_=f"strength {_strength_class(item)}")),
        tag("p", prose(sentence(item.summary))),
        _examples(item.examples, "Examples", subject) if item.examples else None,
    )


def _strength_class(item: Evidence) -> str:
    return item.strength if item.strength in ("weak", "moderate", "strong") else "weak"


def _examples(examples: list[Example], caption: str, subject: str) -> Html:
    excerpts = any(example.excerpt for example in examples)
    rows: list[list[Child]] = []
    for example in examples[:MAX_EXAMPLES]:
        row: list[Child] = [
            tag("bdi", name(example.subject)),
            prose(name(example.time)) if example.time else "",
            tag("code", name(example.where)),
        ]
        if excerpts:
            row.append(tag("bdi", sentence(example.excerpt)))
        rows.append(row)
    heads = [subject, "Time", "Where", *(["Excerpt"] if excerpts else [])]
    rest = len(examples) - MAX_EXAMPLES
    more = tag("p", f"{plural(rest, 'more example')} not shown.", class_="note") if rest > 0 else None
    return join([table(caption, heads, rows), more])


def steps_to_take(recommended: list[str], caution: str) -> Html:
    """What is proposed, and the caution under it."""
    steps = [tag("li", prose(sentence(step))) for step in recommended]
    return tag(
        "div",
        tag("h3", "What to do"),
        tag("ol", *steps) if steps else tag("p", "Nothing is recommended."),
        tag("p", caution, class_="note"),
        class_="todo",
    )


def accounts_list(accounts: list[str], where: str, prefix: str, one: str = "account") -> Html:
    """All accounts (or whatever `one` of them is called), folded; a filter appears where scripts run."""
    shown = [tag("li", tag("bdi", name(account))) for account in accounts[:MAX_ACCOUNTS]]
    rest = len(accounts) - MAX_ACCOUNTS
    more = f"{plural(rest, f'more {one}')} not shown here; --json and --csv list all." if rest > 0 else None
    field = tag("input", type="search", id=f"{prefix}-filter", placeholder="part of a name", autocomplete="off")
    return tag(
        "details",
        tag("summary", f"All {plural(len(accounts), one)} {where}"),
        tag("p", tag("label", "Filter ", field), tag("output", ""), class_="filter", hidden="hidden"),
        tag("ul", *shown, class_="accounts"),
        tag("p", more, class_="note") if more else None,
    )
