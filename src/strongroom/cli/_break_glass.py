"""`strongroom breakglass …`: credentials for the night on which nobody is there to grant anything."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.clock import format_time, now, parse_duration
from strongroom.core.errors import InputError, StrongroomError, UsageError

from ._logs import PassphraseFile
from ._options import Json, SiteOption, need_site
from ._output import print_facts, print_json, print_notice, print_table
from ._vault_door import Purpose, administration_of, check_purpose, passphrases

if TYPE_CHECKING:
    from strongroom.core.leases import BreakGlass
    from strongroom.identity import Share

__all__ = ["breakglass"]

breakglass = typer.Typer(
    help="Opening in an emergency: split credentials, used after a delay, announced, on record.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The credential's id, of 8 letters and digits.")]
MAX_SHARE_BYTES = 4096


@breakglass.command("issue")
def issue(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the shares' files are written.")],
    assets: Annotated[
        list[str], typer.Option("--assets", metavar="ASSET", help="org/name[:tag], or org/*; repeat it.")
    ],
    shares: Annotated[int, typer.Option("--shares", metavar="N", help="How many shares there are; at most 32.")] = 5,
    need: Annotated[int, typer.Option("--need", metavar="K", help="How many are needed; at least 2.")] = 3,
    delay: Annotated[
        str, typer.Option("--delay", metavar="DURATION", help="From asking to opening: 5m to 24h.")
    ] = "30m",
    lasts: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long it can be used; at most 366d.")
    ] = "90d",
    unannounced: Annotated[
        bool, typer.Option("--unannounced", help="Although breakglass.announce tells nobody when it is used.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Make a break-glass credential: files with its shares, one for each holder. The site keeps a digest of it."""
    from strongroom.access import make_break_glass
    from strongroom.identity import SHARE_SECRET_BYTES, make_shares, new_credential_id

    opened = need_site(context, site)
    with contextlib.closing(opened):
        if not opened.configuration.announce and not unannounced:
            raise UsageError(
                "nobody would be told when it is used",
                where="breakglass.announce in strongroom.toml",
                next="name the program that tells the owners, or give --unannounced",
            )
        id, secret, time = new_credential_id(secrets.token_bytes), secrets.token_bytes(SHARE_SECRET_BYTES), now()
        made = make_break_glass(
            id,
            secret,
            assets=assets,
            shares=shares,
            need=need,
            delay=parse_duration(delay) // 1_000_000,
            seconds=parse_duration(lasts) // 1_000_000,
            unannounced=unannounced,
            by=opened.local_principal,
            time=time,
        )
        split = make_shares(id, secret, shares=shares, need=need, random=secrets.token_bytes)
        change = {"change": "issues a break-glass credential", **_told(made), "digest": made.digest}
        with _written(out, split) as files:
            administration_of(opened, passphrase_file).change(change, lambda t: t.break_glass.put(made))
    if json:
        print_json({**_told(made), "files": [str(file) for file in files]})
        return
    print_facts([*_facts(made), *(("share", file) for file in files)])
    print_notice("give each share to one holder, and remove the files: whoever has enough of them can ask")


@breakglass.command("list")
def list_credentials(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """List break-glass credentials, the newest first. What is needed to use one is not kept."""
    opened = need_site(context, site)
    with contextlib.closing(opened), opened.state.transaction(write=False) as transaction:
        found = transaction.break_glass.all()
    if json:
        print_json([_told(one) for one in found])
    elif not found:
        sys.stdout.write("there are no break-glass credentials\n")
    else:
        print_table(
            ["credential", "state", "assets", "needs", "delay", "until", "lease", "wrong shares"],
            [
                (o.id, _state(o), ", ".join(o.assets), f"{o.need} of {o.shares}", f"{o.delay // 60} min",
                 format_time(o.expires), o.lease, o.wrong)
                for o in found
            ],
        )  # fmt: skip


@breakglass.command("use")
def use(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="org/name[:tag].")],
    share: Annotated[
        list[Path], typer.Option("--share", metavar="FILE", help="A holder's share, as it was typed; repeat it.")
    ],
    purpose: Purpose = "",
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Ask for a lease with enough shares. It is on record and announced now, and can be used after the delay."""
    from strongroom.access import use_break_glass
    from strongroom.identity import join_shares

    check_purpose(purpose)
    credential, secret = join_shares([_read(path) for path in share])
    opened = need_site(context, site)
    with contextlib.closing(opened):
        announce = opened.announcer()
        made = use_break_glass(
            opened.access(passphrase=passphrases(passphrase_file), notify=print_notice),
            opened.local_principal,
            asset,
            purpose=purpose,
            credential=credential,
            secret=secret,
            announce=announce,
        )
    if announce is None:
        print_notice("WARNING: NOBODY WAS TOLD: no breakglass.announce is configured; tell the owners yourself, now")
    when = format_time(made.not_before)
    if json:
        print_json(
            {"lease": made.id, "action": made.action, "asset": made.asset, "not_before": when,
             "announced": announce is not None}
        )  # fmt: skip
        return
    print_facts(
        [
            ("lease", made.id),
            ("what", f"{made.action} of {made.asset}"),
            ("from", when),
            ("how long", f"{made.seconds // 60} min from its first use"),
            ("open with", f"--lease {made.id}, or STRONGROOM_LEASE"),
            ("stop with", f"strongroom lease revoke {made.id}"),
        ]
    )


@breakglass.command("unlock")
def unlock(
    context: typer.Context,
    id: Id,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Take shares of a credential again that was locked after too many wrong ones."""
    from strongroom.access import unlock_break_glass

    opened = need_site(context, site)
    with contextlib.closing(opened):
        change = {"change": "unlocks a break-glass credential", "id": id}
        administration_of(opened, passphrase_file).change(change, lambda t: unlock_break_glass(t, id))
    if json:
        print_json({"unlocked": id})
    else:
        print_facts([("unlocked", id)])


@breakglass.command("revoke")
def revoke(
    context: typer.Context,
    id: Id,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Make a credential useless, whoever has its shares. A lease that was made with it is ended by lease revoke."""
    from strongroom.access import revoke_break_glass

    opened = need_site(context, site)
    with contextlib.closing(opened):
        change = {"change": "revokes a break-glass credential", "id": id}
        administration_of(opened, passphrase_file).change(change, lambda t: revoke_break_glass(t, id))
    if json:
        print_json({"revoked": id})
    else:
        print_facts([("revoked", id)])


@contextlib.contextmanager
def _written(folder: Path, shares: list[Share]) -> Iterator[list[Path]]:
    """Files with the shares, each its owner's alone, durable before the credential is; gone where it is not made."""
    files = [folder / f"{share.credential}-{share.number}.share" for share in shares]
    made: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, share in zip(files, shares, strict=True):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(file)
            with os.fdopen(descriptor, "w") as written:
                written.write(_paper(share))
                written.flush()
                os.fsync(written.fileno())
        yield files
    except BaseException as error:
        for file in made:
            file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StrongroomError(f"the shares cannot be written: {error.strerror}", where=str(folder)) from error
        raise


def _paper(share: Share) -> str:
    return (
        f"# Share {share.number} of Strongroom's break-glass credential {share.credential}.\n"
        f"# {share.need} shares open it. Keep this one on paper or in a safe.\n{share.text()}\n"
    )


def _read(path: Path) -> Share:
    from strongroom.identity import read_share

    try:
        with path.open("rb") as file:
            return read_share(file.read(MAX_SHARE_BYTES).decode())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"the share cannot be read: {why}", where=str(path)) from None
    except InputError as error:
        error.where = str(path)
        raise


def _state(one: BreakGlass) -> str:
    return "expired" if one.state in ("issued", "locked") and one.expires <= now() else one.state


def _facts(one: BreakGlass) -> list[tuple[str, object]]:
    return [
        ("credential", one.id),
        ("assets", ", ".join(one.assets)),
        ("opens with", f"{one.need} of {one.shares} shares"),
        ("delay", f"{one.delay // 60} min"),
        ("until", format_time(one.expires)),
        ("announced", "no" if one.unannounced else "yes"),
    ]


def _told(one: BreakGlass) -> dict[str, Any]:
    import msgspec

    told = {name: value for name, value in msgspec.structs.asdict(one).items() if name not in ("digest", "wrong_day")}
    times = {"issued": format_time(one.issued), "expires": format_time(one.expires)}
    return {**told, **times, "state": _state(one)}
