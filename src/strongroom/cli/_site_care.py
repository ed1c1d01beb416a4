"""`strongroom site …`: what is wrong with a site, what of its rows is right as it is, backups."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from strongroom.core.assets import format_size
from strongroom.core.clock import now
from strongroom.core.errors import InputError, IntegrityError

from ._logs import PassphraseFile, log_source, read_input
from ._options import Json, SiteOption, given_site, need_site
from ._output import counting, print_facts, print_json, print_notice, print_table
from ._vault_door import administration_of, passphrases

__all__ = ["site"]

site = typer.Typer(help="Looking after a site: what is wrong, backups.", no_args_is_help=True)

FOUND = 1
MAX_NOTE_BYTES = 1_000_000


@site.command("doctor")
def doctor(context: typer.Context, place: SiteOption = "", json: Json = False) -> None:
    """Say what is wrong with a site, where, and the command that mends it. Changes nothing."""
    from strongroom.site import Site, examine

    path = Site.named(given_site(context, place))
    if path is None:
        raise InputError("this command needs a site", next="name one with --site DIR or STRONGROOM_SITE")
    with counting("comparing entries") as count:
        found = examine(path, now(), count)
    if json:
        print_json({"problems": found})
    elif found:
        print_table(
            ["severity", "check", "what", "where", "mend it with"],
            [(one.severity, one.check, one.what, one.where, one.next) for one in found],
        )
    else:
        print_facts([("problems", "none")])
    if found:
        raise typer.Exit(IntegrityError.exit_code if any(o.severity == "integrity" for o in found) else FOUND)


@site.command("accept")
def accept(
    context: typer.Context,
    passphrase_file: PassphraseFile = None,
    place: SiteOption = "",
    json: Json = False,
) -> None:
    """Put on record that rows which differ from the ledger are right as they are. See 'site doctor' first."""
    from strongroom.site import accept_rows, compare_site

    opened = need_site(context, place)
    with contextlib.closing(opened):
        with counting("comparing entries") as count:
            found = compare_site(opened, progress=count)
        accepted = accept_rows(administration_of(opened, passphrase_file), found)
    if json:
        print_json({"accepted": accepted})
    else:
        print_facts([("accepted rows", f"{accepted:,}")])


@site.command("backup")
def backup(
    context: typer.Context,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A directory that is not there yet.")],
    store: Annotated[
        bool, typer.Option("--store", help="The tables of logs and findings too; no hunt may run meanwhile.")
    ] = False,
    place: SiteOption = "",
    json: Json = False,
) -> None:
    """Copy a site, while it is used, into a directory that is whole or not there. It holds the private keys."""
    from strongroom.site import back_up

    opened = need_site(context, place)
    with contextlib.closing(opened), counting("copying") as count:
        manifest, unsealed = back_up(opened, destination, now(), store=store, progress=count)
    if unsealed:
        print_notice(f"warning: not sealed with a passphrase: {', '.join(unsealed)}; keep it where secrets belong")
    size = sum(one.bytes for one in manifest.files)
    if json:
        facts = {"backup": str(destination), "files": len(manifest.files), "bytes": size, "entries": manifest.size}
        print_json({**facts, "left_out": manifest.left_out, "unsealed": unsealed})
        return
    print_facts(
        [
            ("backup", destination),
            ("files", f"{len(manifest.files):,}, {format_size(size)}"),
            ("ledger", f"{manifest.size:,} entries"),
            ("left out", ", ".join(manifest.left_out)),
        ]
    )


@site.command("restore")
def restore_site(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="What 'site backup' made.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; a new or empty directory.")],
    ledger: Annotated[
        str, typer.Option("--ledger", metavar="LOG", help="A newer copy of its ledger: a directory or an address.")
    ] = "",
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="A newer checkpoint of its ledger.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make a site of a backup. Leases that could still be used are revoked; what was lost since is told."""
    from strongroom.site import restore

    source = log_source(ledger) if ledger else None
    note = read_input(str(checkpoint), MAX_NOTE_BYTES) if checkpoint else None
    with counting("restoring") as count:
        done = restore(
            backup,
            directory,
            passphrase=passphrases(passphrase_file),
            ledger=source,
            checkpoint=note,
            notify=print_notice,
            progress=count,
        )
    for one in done.differences:
        print_notice(f"differs from the ledger: {one.kind} {one.row}: {one.what}; {one.next}")
    if done.ahead:
        print_notice(
            f"warning: {done.ahead}; nothing can be appended until they are: copy the newer ledger's public files into"
            f" {directory}/ledger/public, or restore anew with --ledger"
        )
    elif not done.compared:
        print_notice(
            "warning: nobody was asked for a newer checkpoint; if one is known elsewhere, stop, and restore with"
            " --ledger or --checkpoint: what is appended now would be another history"
        )
    facts: dict[str, object] = {
        "site": str(directory.absolute()),
        "from": done.manifest.time,
        "entries": done.manifest.size,
        "newer_entries": done.newer,
        "revoked_leases": done.revoked,
        "lost_changes": done.lost,
        "may_append": not done.ahead,
    }
    if json:
        print_json({**facts, "differences": done.differences})
    else:
        lost = ", ".join(f"{count} × {kind}" for kind, count in sorted(done.lost.items())) or "none that is known"
        print_facts([(name.replace("_", " "), value) for name, value in (facts | {"lost_changes": lost}).items()])
    if any(one.sure for one in done.differences):
        raise typer.Exit(IntegrityError.exit_code)
    if done.ahead or done.lost:
        raise typer.Exit(FOUND)
