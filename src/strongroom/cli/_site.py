"""`strongroom init`, `store …`: making a site and looking after what it holds."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from strongroom.core.clock import format_time, now, parse_duration

from ._ledger import UNSEALED
from ._logs import PassphraseFile, new_passphrase
from ._options import Json, SiteOption, given_site, need_site
from ._output import print_facts, print_json, print_notice

__all__ = ["init", "store"]

store = typer.Typer(help="What the site keeps of the logs.", no_args_is_help=True)


def init(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where; ./strongroom-site by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing (implied without a terminal).")] = False,
    keep_text: Annotated[bool, typer.Option("--keep-text", help="Keep texts of prompts, not only sketches.")] = False,
    origin: Annotated[
        str, typer.Option("--origin", metavar="NAME", help="Name of its ledger, such as example.com/log.")
    ] = "",
    passphrase_file: PassphraseFile = None,
    json: Json = False,
    site: SiteOption = "",
) -> None:
    """Make a site: a directory that holds configuration, keys, and what hunts find."""
    from strongroom.site import Site

    path = directory or Site.named(given_site(context, site)) or Path("strongroom-site")
    if not yes and not json and sys.stdin.isatty():
        path = Path(typer.prompt("Directory of the site", default=str(path)))
        if not keep_text:
            keep_text = typer.confirm("Keep the texts of prompts (otherwise sketches alone)?", default=False)
    secret = new_passphrase(passphrase_file, ask=not yes and not json)
    made = Site.create(path, keep_text=keep_text, origin=origin or _origin(path), passphrase=secret)
    if not secret:
        print_notice(f"warning: {UNSEALED}")
    key = str(made.ledger.keys()[-1])
    facts = {"site": str(made.path.absolute()), "keep_text": made.configuration.keep_text, "ledger_key": key}
    if json:
        print_json(facts)
        return
    print_facts(
        [
            ("site", facts["site"]),
            ("texts of prompts", "kept" if keep_text else "not kept, sketches alone"),
            ("ledger's verifier key", key),
            ("owner", f"{made.local_principal}; policies: {path}/policies"),
        ]
    )
    sys.stdout.write(
        f"The key in {path}/keys/sketch.key keys every digest; it is not encrypted. Keep it where secrets belong.\n"
        f"What is sealed opens with {path}/keys/vault/recovery.key too: move it to where it survives this machine.\n"
        f"next: strongroom hunt LOGS… --site {path}\n"
    )


def _origin(path: Path) -> str:
    """A name that no other log has: of this machine and directory, and some chance."""
    import secrets

    words = [re.sub(r"[^A-Za-z0-9.-]", "-", word)[:60] for word in (socket.gethostname(), path.absolute().name)]
    return f"{words[0] or 'localhost'}/{words[1] or 'site'}-{secrets.token_hex(4)}"


@store.command("info")
def info(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """What is stored: rows, accounts, window, bytes."""
    found = need_site(context, site).store.info()
    if json:
        print_json(found)
        return
    exchanges, findings = found["exchanges"], found["findings"]
    print_facts(
        [
            ("exchanges", f"{exchanges['rows']:,}"),
            ("with text", f"{exchanges['with_text']:,}"),
            ("accounts", f"{exchanges['accounts']:,}"),
            ("first", exchanges["window"]["start"] or "none"),
            ("last", exchanges["window"]["end"] or "none"),
            ("findings", f"{findings['rows']:,}"),
            ("bytes", f"{exchanges['bytes'] + findings['bytes']:,}"),
            ("files", f"{exchanges['files'] + findings['files']:,}"),
            ("schema", exchanges["schema"]),
        ]
    )


@store.command("prune")
def prune(
    context: typer.Context,
    older_than: Annotated[str, typer.Option("--older-than", metavar="DURATION", help="Such as 90d.")],
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Delete exchanges older than a duration, and their bytes. Findings and verdicts stay."""
    before = now() - parse_duration(older_than)
    opened = need_site(context, site)
    with opened.exclusively():
        deleted = opened.store.prune(before)
    if json:
        print_json({"deleted": deleted, "before": format_time(before)})
    else:
        print_facts([("deleted", f"{deleted:,} exchanges"), ("before", format_time(before))])


@store.command("compact")
def compact(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """Merge small files and remove those that no longer hold rows."""
    opened = need_site(context, site)
    with opened.exclusively():
        done = opened.store.compact()
    if json:
        print_json(done)
        return
    for table, counts in done.items():
        print_facts([(f"{table}, {name.replace('_', ' ')}", count) for name, count in counts.items()])
