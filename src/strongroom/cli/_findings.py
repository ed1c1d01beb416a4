"""`strongroom explain` and `finding …`: what was said about accounts, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from strongroom.core.clock import now
from strongroom.core.errors import InputError
from strongroom.core.ids import check_id

from ._options import Json, SiteOption, need_site, window_of
from ._output import print_facts, print_json, print_table, tame

if TYPE_CHECKING:
    from strongroom.detect.campaign import Explanation
    from strongroom.hunt import PrincipalExplanation
    from strongroom.site import Site

__all__ = ["explain", "finding"]

finding = typer.Typer(help="What hunts on this site found.", no_args_is_help=True)


def explain(
    context: typer.Context,
    account: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help="An account, account/end_user, or a principal of access logs.")
    ],
    site: SiteOption = "",
    json: Json = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is older (a time, or 14d).")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is from then on.")] = "",
) -> None:
    """Say why an account is linked to others or a principal is in a finding, or why not. Needs the site of a hunt."""
    from strongroom.hunt import explain_principal

    window = window_of(since, until)
    opened = need_site(context, site)
    principal = explain_principal(opened.store, account, since=window[0], until=window[1])
    named = _explain_account(opened, account, window, needed=principal is None)
    if json and principal is not None and named is not None:
        print_json(structs.replace(principal, account_explanation=named))
    elif json:
        print_json(principal or named)
    else:
        if named is not None:
            _print_account(named)
        if principal is not None:
            _print_principal(principal)


def _explain_account(
    opened: Site, account: str, window: tuple[int | None, int | None], *, needed: bool
) -> Explanation | None:
    """What is told of an account. Where there is none: None, or InputError when it is `needed`."""
    from strongroom.detect.campaign import explain as explain_account

    try:
        return explain_account(opened.store, account, since=window[0], until=window[1])
    except InputError:
        if needed:
            raise
        return None


def _print_principal(found: PrincipalExplanation) -> None:
    for reason in found.reasons:
        sys.stdout.write(f"{tame(reason)}\n")
    print_facts(
        [
            ("principal", found.principal),
            ("access events", f"{found.events:,}"),
            ("first seen", found.first_seen),
            ("last seen", found.last_seen),
            ("bytes that left", f"{found.bytes:,}"),
            ("credentials", ", ".join(found.credentials) or "none named"),
            ("addresses", ", ".join(found.addresses) or "none named"),
        ]
    )
    print_table(
        ["action", "allowed", "refused", "failed", "first seen"],
        [(use.action, use.allowed, use.refused, use.failed, use.first_seen) for use in found.actions],
    )


def _print_account(found: Explanation) -> None:
    for reason in found.reasons:
        sys.stdout.write(f"{reason}\n")
    print_facts(
        [
            ("account", found.account),
            ("exchanges", f"{found.exchanges:,}"),
            ("distinct opening prompts", f"{found.texts:,}"),
            ("accounts in its campaign", f"{len(found.campaign):,}" if found.campaign else "none"),
        ]
    )
    if found.nearest:
        print_table(
            ["likeness", "account", "shares", "in a campaign", "openly related"],
            [
                (
                    f"{n.likeness:.2f}",
                    n.account,
                    ", ".join(n.shared) or "nothing",
                    "yes" if n.in_campaign else "no",
                    "yes" if n.openly_related else "no",
                )
                for n in found.nearest
            ],
        )


@finding.command("list")
def list_findings(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """List campaigns and findings in access logs, each as it was last reported."""
    rows = _latest(need_site(context, site))
    if json:
        print_json([{"id": r["id"], "status": r["status"], r["what"]: r["document"]} for r in rows])
        return
    if not rows:
        sys.stdout.write("nothing was found on this site\n")
    campaigns = [r for r in rows if r["what"] == "campaign"]
    findings = [r for r in rows if r["what"] == "finding"]
    if campaigns:
        print_table(
            ["id", "status", "accounts", "exchanges", "detected at", "score"],
            [
                (r["id"], r["status"], len(d["accounts"]), d["exchanges"], d["detected_at"], d["score"])
                for r in campaigns
                for d in (r["document"],)
            ],
        )
    if findings:
        print_table(
            ["id", "status", "kind", "severity", "principals", "first seen", "last seen"],
            [
                (r["id"], r["status"], d["kind"], d["severity"], len(d["subjects"]), d["first_seen"], d["last_seen"])
                for r in findings
                for d in (r["document"],)
            ],
        )


@finding.command("show")
def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The campaign's or finding's id.")],
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Show one campaign or finding with its evidence."""
    check_id(id)
    opened = need_site(context, site)
    row = next((r for r in _latest(opened) if r["id"] == id), None)
    if row is None:
        raise InputError(f"no finding {id} is stored", where=str(opened.path), next="see: strongroom finding list")
    document = row["document"]
    if json:
        print_json({"id": id, "status": row["status"], "reason": row["reason"], row["what"]: document})
        return
    names = document["accounts" if row["what"] == "campaign" else "subjects"]
    facts = [
        ("id", id),
        ("status", row["status"] + (f" ({row['reason']})" if row["reason"] else "")),
        ("accounts" if row["what"] == "campaign" else "principals", ", ".join(names[:20]) + (" …" * (len(names) > 20))),
    ]
    if row["what"] == "campaign":
        facts += [("exchanges", document["exchanges"]), ("detected at", document["detected_at"])]
    else:
        facts += [(each, document[each]) for each in ("kind", "severity", "summary")]
        facts.append(("techniques", ", ".join(document["techniques"])))
    print_facts([*facts, *[(f"evidence, {e['kind']}", e["summary"]) for e in document["evidence"]]])


@finding.command("dismiss")
def dismiss(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The campaign's or finding's id.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why this is no alert; it is kept.")],
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Silence a campaign or finding until there is new evidence.

    For a campaign that is other kinds, or a fifth more accounts or exchanges; for a finding in access logs another
    technique, principal or asset, or something more severe.
    """
    from strongroom.hunt import dismiss as dismiss_finding

    accounts = dismiss_finding(need_site(context, site).store, id, reason, now())
    if json:
        print_json({"id": id, "status": "dismissed", "accounts": accounts})
    else:
        whom = "accounts" if id.startswith("cmp_") else "principals"
        sys.stdout.write(f"{id}: dismissed ({accounts:,} {whom}), silent until there is new evidence\n")


def _latest(site: Site) -> list[dict[str, Any]]:
    """Campaigns, then findings in access logs, as they were last reported; `what` says which it is."""
    from strongroom.hunt import STORY

    rows = {row["id"]: {**row, "what": "campaign"} for row in site.store.findings("campaign")}
    found = [row for row in site.store.findings("finding") if row["document"]["detector"] == STORY]
    rows |= {row["id"]: {**row, "what": "finding"} for row in found}
    dismissals = {row["id"]: row for row in site.store.findings("dismissal")}
    for key, row in rows.items():
        dismissal = dismissals.get(key)
        # A later hunt that reports it again has found more than was dismissed.
        still = dismissal is not None and dismissal["time"] >= row["time"]
        row["status"] = "dismissed" if still else row["document"]["status"]
        row["reason"] = dismissal["document"]["reason"] if dismissal and row["status"] == "dismissed" else ""
    return list(rows.values())
