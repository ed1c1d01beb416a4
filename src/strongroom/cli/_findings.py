"""`strongroom explain` and `finding …`: what was said about accounts, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.clock import now
from strongroom.core.errors import InputError
from strongroom.core.ids import check_id

from ._options import Json, SiteOption, need_site, window_of
from ._output import print_facts, print_json, print_table

if TYPE_CHECKING:
    from strongroom.site import Site

__all__ = ["explain", "finding"]

finding = typer.Typer(help="What hunts on this site found.", no_args_is_help=True)


def explain(
    context: typer.Context,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An account, or account/end_user.")],
    site: SiteOption = "",
    json: Json = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is older (a time, or 14d).")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Leave out what is from then on.")] = "",
) -> None:
    """Say why an account is linked to others, or why not. Needs the site of a hunt."""
    from strongroom.detect.campaign import explain as explain_account

    window = window_of(since, until)
    opened = need_site(context, site)
    found = explain_account(opened.store, account, since=window[0], until=window[1])
    if json:
        print_json(found)
        return
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
    """List campaigns, each as it was last reported."""
    rows = _latest(need_site(context, site))
    if json:
        print_json([{"id": r["id"], "status": r["status"], "campaign": r["document"]} for r in rows])
    elif not rows:
        sys.stdout.write("no campaign was reported on this site\n")
    else:
        print_table(
            ["id", "status", "accounts", "exchanges", "detected at", "score"],
            [
                (
                    r["id"],
                    r["status"],
                    len(r["document"]["accounts"]),
                    r["document"]["exchanges"],
                    r["document"]["detected_at"],
                    r["document"]["score"],
                )
                for r in rows
            ],
        )


@finding.command("show")
def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The campaign's id.")],
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Show one campaign with its evidence."""
    check_id(id)
    opened = need_site(context, site)
    row = next((r for r in _latest(opened) if r["id"] == id), None)
    if row is None:
        raise InputError(f"no finding {id} is stored", where=str(opened.path), next="see: strongroom finding list")
    if json:
        print_json({"id": id, "status": row["status"], "reason": row["reason"], "campaign": row["document"]})
        return
    campaign = row["document"]
    print_facts(
        [
            ("id", id),
            ("status", row["status"] + (f" ({row['reason']})" if row["reason"] else "")),
            ("accounts", ", ".join(campaign["accounts"][:20]) + (" …" if len(campaign["accounts"]) > 20 else "")),
            ("exchanges", campaign["exchanges"]),
            ("detected at", campaign["detected_at"]),
            *[(f"evidence, {e['kind']}", e["summary"]) for e in campaign["evidence"]],
        ]
    )


@finding.command("dismiss")
def dismiss(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The campaign's id.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why this is no campaign; it is kept.")],
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Silence a campaign until there is new evidence: other kinds, or a fifth more accounts or exchanges."""
    from strongroom.hunt import dismiss as dismiss_finding

    accounts = dismiss_finding(need_site(context, site).store, id, reason, now())
    if json:
        print_json({"id": id, "status": "dismissed", "accounts": accounts})
    else:
        sys.stdout.write(f"{id}: dismissed ({accounts:,} accounts), silent until there is new evidence\n")


def _latest(site: Site) -> list[dict[str, Any]]:
    rows = {row["id"]: row for row in site.store.findings("campaign")}
    dismissals = {row["id"]: row for row in site.store.findings("dismissal")}
    for key, row in rows.items():
        dismissal = dismissals.get(key)
        # A later hunt that reports it again has found more than was dismissed.
        still = dismissal is not None and dismissal["time"] >= row["time"]
        row["status"] = "dismissed" if still else row["document"]["status"]
        row["reason"] = dismissal["document"]["reason"] if dismissal and row["status"] == "dismissed" else ""
    return list(rows.values())
