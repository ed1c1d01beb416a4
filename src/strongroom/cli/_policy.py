"""`strongroom policy …`: what is permitted, why, and what another set of policies would change."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.clock import format_time, now
from strongroom.core.errors import InputError, RefusedError, UsageError

from ._logs import PassphraseFile
from ._options import Json, SiteOption, given_site, need_site
from ._output import counting, print_facts, print_json, print_notice, print_table
from ._vault_door import Purpose, administration_of

if TYPE_CHECKING:
    from strongroom.policy import Case, Decision, Policies

__all__ = ["policy"]

policy = typer.Typer(help="Who may do what to which asset, as Cedar policies.", no_args_is_help=True)

SHOWN = 50
File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Cedar policies; SITE/policies/site.cedar by default.")
]
Table = Annotated[
    Path | None, typer.Option("--table", metavar="FILE", help="CSV; beside the policies, named .csv, by default.")
]


@policy.command("check")
def check(
    context: typer.Context,
    principal: Annotated[str, typer.Option("--principal", metavar="NAME", help="Who asks.")],
    action: Annotated[str, typer.Option("--action", metavar="ACTION", help="Such as OpenWeights.")],
    asset: Annotated[str, typer.Option("--asset", metavar="ASSET", help="org/name[:tag].")],
    lease: Annotated[str, typer.Option("--lease", metavar="LEASE", help="Under this lease.")] = "",
    purpose: Purpose = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """May they? Exit code 0 or 4, with the policies that decide. Nothing is recorded or released."""
    from strongroom.access import preview
    from strongroom.core.ids import check_asset_name, check_id
    from strongroom.core.principals import check_principal_name
    from strongroom.core.records import AccessEvent
    from strongroom.policy import ACTIONS

    check_principal_name(principal)
    check_asset_name(asset)
    if lease:
        check_id(lease)
    if action not in ACTIONS:
        raise RefusedError(f"'{action[:80]}' is no action", next=f"actions are {', '.join(ACTIONS)}; case counts")
    opened, time = need_site(context, site), now()
    event = AccessEvent(
        id="",
        time=format_time(time),
        principal=principal,
        action=action,
        asset=asset,
        outcome="allowed",
        purpose=purpose,
        lease=lease,
    )
    access = opened.access(notify=print_notice)
    with opened.state.transaction(write=False) as transaction:
        policies = access.policies.current(transaction)
        decision = preview(transaction, policies, event, access.approvals, time)
    opened.close()
    mode = opened.configuration.policy.mode
    if mode != "enforce":
        print_notice(f"note: the site's mode is {mode}, which refuses nothing of this")
    _tell(decision, policies, json=json)


def _tell(decision: Decision, policies: Policies, *, json: bool) -> None:
    because = {one.id: one.because for one in policies.policies}
    if json:
        print_json(
            {
                "allowed": decision.allowed,
                "reason": decision.reason,
                "policies": [{"id": id, "because": because[id]} for id in decision.policies],
            }
        )
    else:
        print_facts(
            [
                ("decision", "allowed" if decision.allowed else "refused"),
                ("reason", decision.reason.partition(": ")[2]),
                *(("policy", f"{id}: {because[id]}") for id in decision.policies),
            ]
        )
    if not decision.allowed:
        raise typer.Exit(RefusedError.exit_code)


@policy.command("show")
def show(
    context: typer.Context,
    text: Annotated[bool, typer.Option("--text", help="The text alone, as it was published.")] = False,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """The policies in force: version, who published them, and each with its reason."""
    opened = need_site(context, site)
    access = opened.access(notify=print_notice)
    with opened.state.transaction(write=False) as transaction:
        policies = access.policies.current(transaction)
        newest = transaction.policies.newest()
    opened.close()
    assert newest is not None
    listed = [{"id": one.id, "effect": _effect(one.permits), "because": one.because} for one in policies.policies]
    if json:
        published = {"published": format_time(newest.published), "by": newest.by, "signer": newest.signer}
        print_json({"version": newest.version} | published | {"policies": listed, "text": policies.text})
    elif text:
        sys.stdout.write(policies.text)
    else:
        print_facts(
            [
                ("version", newest.version),
                ("published", f"{format_time(newest.published)} by {newest.by}"),
                ("mode", opened.configuration.policy.mode),
            ]
        )
        print_table(["policy", "effect", "because"], [(o["id"], o["effect"], o["because"]) for o in listed])


def _effect(permits: bool) -> str:
    return "permit" if permits else "forbid"


@policy.command("test")
def try_table(
    context: typer.Context,
    file: File = None,
    table: Table = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Do policies decide as their table says? Exit code 1 when one does not."""
    path = _path(context, site, file)
    policies = _read(path)
    cases, failed = _run(policies, _table(path, table))
    if json:
        told = [{"line": case.line, "reason": decision.reason} for case, decision in failed]
        print_json({"policies": len(policies.policies), "cases": len(cases), "failed": told})
    else:
        _tell_failed(failed)
        print_facts([("policies", len(policies.policies)), ("cases", f"{len(cases):,}"), ("failed", len(failed))])
    if failed:
        raise typer.Exit(1)


def _run(policies: Policies, table: Path) -> tuple[list[Case], list[tuple[Case, Decision]]]:
    from strongroom.policy import failures, read_cases

    cases = read_cases(_text(table), where=str(table), time=now())
    return cases, list(failures(policies, cases))


def _tell_failed(failed: list[tuple[Case, Decision]]) -> None:
    if not failed:
        return
    rows = [
        (case.line, case.request.principal.name, case.request.action, case.request.asset.name, decision.reason)
        for case, decision in failed[:SHOWN]
    ]
    print_table(["line", "principal", "action", "asset", "decided otherwise"], rows)


@policy.command("diff")
def diff(
    context: typer.Context,
    file: File = None,
    purpose: Purpose = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """What would change for whom if these policies were published. Exit code 1 when something would."""
    from strongroom.access import differences
    from strongroom.policy import ACTIONS

    after = _read(_path(context, site, file))
    opened, time = need_site(context, site), now()
    access = opened.access(notify=print_notice)
    assets = [*(one.name for one in opened.state.assets()), "unlisted/asset", "strongroom/site"]
    changed, number = [], 0
    with opened.state.transaction(write=False) as transaction, counting("requests") as count:
        before = access.policies.current(transaction)
        total = len(transaction.principals.all()) * len(assets) * len(ACTIONS) * len({purpose, "any"})
        for said in dict.fromkeys((purpose, "any")):
            for one in differences(transaction, before, after, assets, access.approvals, time, said):
                number += 1
                if one is not None:
                    changed.append(one)
                if number % 1000 == 0:
                    count(number, total)
    opened.close()
    by_id = [{one.id: one.form for one in policies.policies} for policies in (before, after)]
    edits = {
        "added": sorted(by_id[1].keys() - by_id[0].keys()),
        "removed": sorted(by_id[0].keys() - by_id[1].keys()),
        "edited": sorted(id for id in by_id[0].keys() & by_id[1].keys() if by_id[0][id] != by_id[1][id]),
    }
    people = {(one.principal, one.action, one.asset): one for one in changed}
    if json:
        told = [
            {"principal": one.principal, "action": one.action, "asset": one.asset, "allowed": one.after.allowed,
             "reason": one.after.reason}
            for one in people.values()
        ]  # fmt: skip
        print_json({"compared": total, "changed": told, **edits})
    else:
        rows = [(o.principal, o.action, o.asset, o.after.reason) for o in list(people.values())[:SHOWN]]
        if rows:
            print_table(["principal", "action", "asset", "from then on"], rows)
        print_facts(
            [
                ("compared", f"{total:,} requests, of now"),
                ("changed", f"{len(people):,}"),
                *((f"{word} policies", ", ".join(ids) or "none") for word, ids in edits.items()),
            ]
        )
    if changed or any(edits.values()):
        raise typer.Exit(1)


@policy.command("publish")
def publish(
    context: typer.Context,
    file: File = None,
    default: Annotated[bool, typer.Option("--default", help="The policies that a new site begins with.")] = False,
    table: Table = None,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Sign policies, put them on record and into force at once; their table must hold."""
    from strongroom.policy import DEFAULT

    if default and (file or table):
        raise UsageError("the default policies are no file of yours", where="--default", next="leave one out")
    path = DEFAULT if default else _path(context, site, file)
    policies = _read(path)
    _, failed = _run(policies, _table(path, table))
    if failed:
        _tell_failed(failed)
        raise InputError(
            f"{len(failed):,} of the table's lines are decided otherwise",
            where=str(_table(path, table)),
            next="mend the policies or the table; nothing was published",
        )
    opened = need_site(context, site)
    version = administration_of(opened, passphrase_file).publish(policies.text)
    opened.close()
    if json:
        print_json({"version": version, "policies": len(policies.policies)})
    else:
        print_facts([("in force", f"version {version}"), ("policies", len(policies.policies))])


@policy.command("reset-clock")
def reset_clock(
    context: typer.Context,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Believe this machine's clock again, after it had run ahead and was set back. Look at it first."""
    opened = need_site(context, site)
    with contextlib.closing(opened):
        time = now()
        administration_of(opened, passphrase_file).change(
            {"change": "believes the clock", "time": format_time(time)},
            lambda transaction: transaction.leases.see_time(time, back=True),
        )
    if json:
        print_json({"time": format_time(time)})
    else:
        print_facts([("the time is", format_time(time))])


def _path(context: typer.Context, site: str, file: Path | None) -> Path:
    """The file that was named, or the site's own. Raises InputError where neither is."""
    from strongroom.site import Site

    if file is not None:
        return file
    place = Site.named(given_site(context, site))
    if place is None:
        raise InputError("no policies are named", next="name a file, or a site with --site DIR or STRONGROOM_SITE")
    return place / "policies" / "site.cedar"


def _table(path: Path, given: Path | None) -> Path:
    return given or path.with_suffix(".csv")


def _read(path: Path) -> Policies:
    from strongroom.policy import Policies

    return Policies.parse(_text(path), where=str(path))


def _text(path: Path) -> str:
    """Raises InputError."""
    from strongroom.policy import MAX_TEXT_BYTES

    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
        if len(data) > MAX_TEXT_BYTES:
            raise InputError(f"the file has more than {MAX_TEXT_BYTES:,} bytes", where=str(path))
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InputError(f"the file cannot be read: {why}", where=str(path)) from None
