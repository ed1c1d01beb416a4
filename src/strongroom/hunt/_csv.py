"""A verdict as CSV (RFC 4180): one row for each account in a campaign, related group or alert of its own.

Dismissed campaigns are left out: people act on lists. Names are whole, however long. `evidence` holds the kinds
of evidence of the whole group, `named_in` those whose list of subjects names this account; such a list may be cut.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@` (their full-width twins too), tab or a line break as
a formula, and names come from logs. Such a cell gets one `'` in front. The same is done after a `;`, tab or line
break inside a cell, because a spreadsheet whose locale separates by `;` starts a new cell there. A reader that
wants the original back removes that one `'` wherever `RESTORE` matches:

>>> neutral("=cmd()"), RESTORE.sub(r"\\1", neutral("=cmd()"))
("'=cmd()", '=cmd()')
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from strongroom.core.records import Evidence, Verdict

from ._answer import open_campaigns, open_findings, weak_findings

__all__ = ["COLUMNS", "RESTORE", "neutral", "render_csv"]

COLUMNS = (
    "kind",
    "group",
    "account",
    "status",
    "score",
    "p_value",
    "objective",
    "evidence",
    "named_in",
    "first_seen",
    "detected_at",
    "relation",
    "severity",
)

_DANGER = r"(?=[' ]*[=+\-@＝＋－＠\t\r\n])"
_NEUTRALISE = re.compile(rf"(^|[;\t\r\n]){_DANGER}")
RESTORE = re.compile(rf"(^|[;\t\r\n])'{_DANGER}")
"""Substituting `\\1` undoes `neutral`."""


def neutral(cell: str) -> str:
    """`cell`, so that no spreadsheet takes it or a part of it for a formula."""
    return _NEUTRALISE.sub(r"\1'", cell)


def render_csv(verdict: Verdict) -> str:
    """The whole list of accounts, with a header line; lines end in CR LF as RFC 4180 asks."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(COLUMNS)
    for row in _rows(verdict):
        writer.writerow([neutral(row.get(column, "")) for column in COLUMNS])
    # Lone surrogates (a JSON "\ud800") cannot be written as UTF-8: they become their escape.
    return out.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def _rows(verdict: Verdict) -> Iterator[dict[str, str]]:
    for campaign in open_campaigns(verdict):
        named = _kinds_by_account(campaign.evidence)
        for account in campaign.accounts:
            yield {
                "kind": "campaign",
                "group": campaign.id,
                "account": account,
                "status": campaign.status,
                "score": repr(float(campaign.score)),
                "p_value": repr(float(campaign.p_value)),
                "objective": campaign.objective,
                "evidence": _kinds(campaign.evidence),
                "named_in": " ".join(named.get(account, ())),
                "first_seen": campaign.first_seen,
                "detected_at": campaign.detected_at,
            }
    for finding in open_findings(verdict) + weak_findings(verdict):
        named = _kinds_by_account(finding.evidence)
        for principal in finding.subjects:
            yield {
                "kind": finding.kind,
                "group": finding.id,
                "account": principal,
                "status": finding.status,
                "score": repr(float(finding.confidence)),
                "evidence": _kinds(finding.evidence),
                "named_in": " ".join(named.get(principal, ())),
                "first_seen": finding.first_seen,
                "severity": finding.severity,
            }
    for flagged in verdict.accounts_flagged:
        yield {
            "kind": "flagged_account",
            "account": flagged.account,
            "p_value": repr(float(flagged.p_value)),
            "evidence": _kinds(flagged.evidence),
        }
    for place, group in enumerate(verdict.related_groups, 1):
        named = _kinds_by_account(group.evidence)
        for account in group.accounts:
            yield {
                "kind": "related_group",
                "group": f"related_{place}",
                "account": account,
                "evidence": _kinds(group.evidence),
                "named_in": " ".join(named.get(account, ())),
                "relation": group.relation,
            }


def _kinds(evidence: list[Evidence]) -> str:
    return " ".join(dict.fromkeys(_word(item) for item in evidence))


def _word(item: Evidence) -> str:
    """A kind as one word, so that a list of kinds can be split at spaces."""
    return "_".join(item.kind.split())


def _kinds_by_account(evidence: list[Evidence]) -> dict[str, dict[str, None]]:
    """The kinds of evidence that name each account, in order and each once."""
    kinds: dict[str, dict[str, None]] = {}
    for item in evidence:
        for subject in item.subjects:
            kinds.setdefault(subject, {})[_word(item)] = None
    return kinds
