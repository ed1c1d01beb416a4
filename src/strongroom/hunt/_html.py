"""A verdict as one page that stands alone: no resource from elsewhere, readable without scripts and on paper.

Its content security policy allows nothing but this page's own style sheet and script, by digest; there is no
style or script attribute anywhere. What came from logs is escaped by `_markup`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from importlib import resources

from strongroom.core.records import Verdict

from ._answer import dismissed, headline, lead, open_campaigns, open_findings, weak_findings
from ._html_campaign import accounts_list, campaign_section, evidence_items, figures
from ._html_examined import examined_section
from ._html_finding import finding_section
from ._markup import Child, Html, join, prose, raw, table, tag
from ._sentences import RELATED, WEAK_SIGNALS, amount, moment, number, objective, odds, plural, truth_in_words
from ._visible import cut, name, sentence
from .circumstances import Circumstances, Truth

__all__ = ["render_html"]

MAX_CARDS = 20
"""Campaigns with pictures and lists; further ones stand in the overview only."""
MAX_GROUPS = 200
_MAX_COMMAND = 2_000
_MAX_WRONG = 40
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@/:-]{0,79}")


def render_html(verdict: Verdict, circumstances: Circumstances) -> str:
    """The whole page."""
    found = open_campaigns(verdict)
    cards = [
        campaign_section(campaign, place, len(found), verdict, circumstances)
        for place, campaign in enumerate(found[:MAX_CARDS], 1)
    ]
    findings = open_findings(verdict)
    cards += [finding_section(one, place, len(findings)) for place, one in enumerate(findings[:MAX_CARDS], 1)]
    if len(findings) > MAX_CARDS:
        more = f"{plural(len(findings) - MAX_CARDS, 'more finding')}; --json and --csv hold them."
        cards.append(tag("p", more, class_="note"))
    # Where nothing was found, what could not be seen is what the reader needs next.
    rest = [
        _related(verdict) if verdict.related_groups else None,
        _weak(verdict) if weak_findings(verdict) else None,
        examined_section(verdict, circumstances),
    ]
    main = tag(
        "main",
        _answer(verdict, circumstances),
        _truth(verdict, circumstances.truth) if circumstances.truth else None,
        _overview(verdict) if len(found) > 1 else None,
        *cards,
        _flagged(verdict) if verdict.accounts_flagged else None,
        *(rest if found or findings else reversed(rest)),
        _reproduce(verdict, circumstances),
    )
    body = tag("body", _masthead(circumstances), main, _foot(circumstances), _script())
    page = tag("html", _head(verdict, circumstances), body, lang="en")
    return f"<!doctype html>\n{page}\n"


def _own(file: str) -> str:
    return resources.files("strongroom.hunt").joinpath(file).read_text("utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _head(verdict: Verdict, circumstances: Circumstances) -> Html:
    style = _own("report.css")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(_own('report.js'))}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    simulated = " (simulated)" if circumstances.truth else ""
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        # The digests hold only base64; quotes must stand as they are for readers that do not decode entities.
        raw(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"Strongroom hunt{simulated}: {headline(verdict)}"),
        raw(f"<style>{style}</style>"),
    )


def _script() -> Html:
    return raw(f"<script>{_own('report.js')}</script>")


def _masthead(circumstances: Circumstances) -> Html:
    return tag(
        "header",
        tag("p", tag("strong", "Strongroom"), " hunt report", class_="brand"),
        tag("p", tag("strong", "Simulated", class_="simulated")) if circumstances.truth else None,
        tag("p", moment(circumstances.created), class_="created"),
    )


def _answer(verdict: Verdict, circumstances: Circumstances) -> Html:
    first, *others = lead(verdict)
    silent = dismissed(verdict)
    return tag(
        "section",
        tag("h1", headline(verdict), id="answer"),
        tag("p", first, class_="lead"),
        *(tag("p", prose(line)) for line in others),
        tag("p", silent, class_="note") if silent else None,
        tag(
            "p",
            tag("strong", "Simulated. "),
            "Strongroom’s simulator made this traffic. No account, address or prompt in it belongs to anybody.",
            class_="simulation",
        )
        if circumstances.truth
        else None,
        class_="answer",
        aria_labelledby="answer",
    )


def _truth(verdict: Verdict, truth: Truth) -> Html:
    """What the simulator did, beside what was found."""
    made = set(truth.campaign_accounts)
    reported = {account for campaign in open_campaigns(verdict) for account in campaign.accounts}
    missed, wrong = sorted(made - reported), sorted(reported - made)
    rows: list[tuple[str, Child, Child]] = [
        ("Made by the simulator", number(len(made)), "campaign accounts"),
        ("Found", number(truth.found), f"{truth.found / len(made):.1%} of them" if made else None),
        ("Missed", number(len(made) - truth.found), None),
        ("Reported, though honest", number(truth.reported - truth.found), f"of {number(truth.reported)} reported"),
    ]
    return tag(
        "section",
        tag("h2", "Beside the truth", id="truth"),
        tag("p", truth_in_words(truth)[0]),
        figures(rows, "figures four"),
        _some("Missed", missed),
        _some("Reported and honest", wrong),
        tag("p", truth_in_words(truth)[-1]) if truth.intruders else None,
        aria_labelledby="truth",
        class_="truth",
    )


def _some(label: str, accounts: list[str]) -> Html | None:
    if not accounts:
        return None
    names: list[Child] = []
    for account in accounts[:_MAX_WRONG]:
        names += [", " if names else None, tag("bdi", name(account))]
    rest = len(accounts) - _MAX_WRONG
    return tag("p", f"{label}: ", *names, f" and {number(rest)} more" if rest > 0 else None, ".", class_="note")


def _overview(verdict: Verdict) -> Html:
    """All campaigns in one table, each linked to its section."""
    found = open_campaigns(verdict)
    rows: list[list[Child]] = []
    for place, campaign in enumerate(found, 1):
        label = name(campaign.id)
        rows.append(
            [
                tag("a", label, href=f"#c{place}") if place <= MAX_CARDS else label,
                number(len(campaign.accounts)),
                number(campaign.exchanges),
                amount(campaign.tokens_out) if campaign.tokens_out else "not in the logs",
                objective(campaign),
                moment(campaign.first_seen),
                f"{odds(campaign.p_value)}",
            ]
        )
    heads = ["Campaign", "Accounts", "Exchanges", "Output tokens", "Objective", "First seen", "How sure"]
    rest = len(found) - MAX_CARDS
    return tag(
        "section",
        tag("h2", "The campaigns", id="campaigns"),
        table("Each is a link to its section", heads, rows, frozenset({1, 2, 3})),
        tag("p", f"{plural(rest, 'campaign')} without a section; --json and --csv hold them.", class_="note")
        if rest > 0
        else None,
        aria_labelledby="campaigns",
    )


def _flagged(verdict: Verdict) -> Html:
    items = [
        tag(
            "article",
            tag("h3", tag("bdi", name(flagged.account))),
            tag("p", f"How sure: {odds(flagged.p_value).replace('groups look', 'accounts look')}.", class_="sure"),
            evidence_items(flagged.evidence),
        )
        for flagged in verdict.accounts_flagged[:MAX_GROUPS]
    ]
    rest = len(verdict.accounts_flagged) - MAX_GROUPS
    return tag(
        "section",
        tag("h2", "Accounts that are an alert alone", id="flagged"),
        *items,
        tag("p", f"{plural(rest, 'more account')}; --json and --csv hold them.", class_="note") if rest > 0 else None,
        aria_labelledby="flagged",
    )


def _related(verdict: Verdict) -> Html:
    items = [
        tag(
            "article",
            tag("h3", f"{plural(len(group.accounts), 'account')}: {sentence(group.relation)}"),
            tag("ul", *(tag("li", sentence(item.summary)) for item in group.evidence)) if group.evidence else None,
            accounts_list(group.accounts, "in this group", f"r{place}"),
        )
        for place, group in enumerate(verdict.related_groups[:MAX_GROUPS], 1)
    ]
    rest = len(verdict.related_groups) - MAX_GROUPS
    return tag(
        "section",
        tag("h2", "Openly related, not an alert", id="related"),
        tag("p", RELATED.partition(": ")[2][:1].upper() + RELATED.partition(": ")[2][1:]),
        *items,
        tag("p", f"{plural(rest, 'more group')}; --json and --csv hold them.", class_="note") if rest > 0 else None,
        aria_labelledby="related",
    )


def _weak(verdict: Verdict) -> Html:
    """What is no alert, one line each."""
    weak = weak_findings(verdict)
    rows: list[list[Child]] = [
        [tag("bdi", name(one.subjects[0])), one.severity, moment(one.first_seen), prose(sentence(one.summary))]
        for one in weak[:MAX_GROUPS]
    ]
    rest = len(weak) - MAX_GROUPS
    return tag(
        "section",
        tag("h2", "Weak signals, not an alert", id="weak"),
        tag("p", f"{WEAK_SIGNALS.partition(': ')[2][:1].upper()}{WEAK_SIGNALS.partition(': ')[2][1:]}"),
        table("Principals and what they did", ["Principal", "Severity", "First seen", "What"], rows),
        tag("p", f"{plural(rest, 'more', 'more')}; --json and --csv hold them.", class_="note") if rest > 0 else None,
        aria_labelledby="weak",
    )


def _reproduce(verdict: Verdict, circumstances: Circumstances) -> Html:
    site = f" --site {shlex.quote(circumstances.site)}" if circumstances.site else ""
    found = open_campaigns(verdict)
    further: list[Child] = []
    if found and circumstances.site:
        campaign = found[0]
        # A command is copied: only a name that a shell takes as it is stands in it.
        plain = next((account for account in campaign.accounts if _PLAIN.fullmatch(account)), "ACCOUNT")
        ask = f"strongroom explain {plain}{site}"
        silence = f"strongroom finding dismiss {shlex.quote(campaign.id)} --reason '…'{site}"
        further = [
            tag("p", "To ask why one account is linked, or is not:"),
            tag("pre", tag("code", cut(ask, _MAX_COMMAND))),
            tag("p", "To keep a campaign silent until there is new evidence:"),
            tag("pre", tag("code", cut(silence, _MAX_COMMAND))),
        ]
    kept = (
        f"Rows, findings and this verdict are kept in the site {name(circumstances.site)}."
        if circumstances.site
        else "The hunt worked in a temporary site that was removed when it ended: nothing but its outputs is kept."
    )
    return tag(
        "section",
        tag("h2", "How to reproduce this", id="reproduce"),
        tag("pre", tag("code", cut(circumstances.command, _MAX_COMMAND))),
        tag(
            "p",
            f"Strongroom {name(circumstances.version)}, {moment(circumstances.created)}, "
            f"{circumstances.seconds:,.1f} seconds. The same inputs and version give the same campaigns. {kept}",
        ),
        *further,
        aria_labelledby="reproduce",
    )


def _foot(circumstances: Circumstances) -> Html:
    words = join(
        [
            f"Made by Strongroom {name(circumstances.version)} on the machine that ran the hunt. ",
            "This page loads nothing and sends nothing. It names accounts: handle it as confidential.",
        ]
    )
    return tag("footer", tag("p", words))
