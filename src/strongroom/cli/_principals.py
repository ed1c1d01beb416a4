"""`strongroom principal …` and `strongroom grant …`: who acts, and what they may do for how long."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from strongroom.core.clock import format_time, now, parse_duration
from strongroom.core.errors import InputError, UsageError

from ._logs import PassphraseFile
from ._options import Json, SiteOption, need_site
from ._output import print_facts, print_json, print_notice, print_table
from ._vault_door import administration_of

if TYPE_CHECKING:
    from strongroom.core.principals import Principal
    from strongroom.identity import SshKey
    from strongroom.state import Transaction

__all__ = ["grant", "principal"]

principal = typer.Typer(help="Who acts: people, workloads, customers, and their groups.", no_args_is_help=True)
grant = typer.Typer(help="Standing permissions that expire.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as ada@acme.example or spiffe://acme.example/train.")]
Subject = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="A principal, or group:NAME.")]
Action = Annotated[str, typer.Argument(metavar="ACTION", help="Such as OpenWeights.")]
Asset = Annotated[str, typer.Argument(metavar="ASSET", help="org/name[:tag], or org/* for all of an organization.")]
MAX_GRANT_DAYS = 366
MAX_KEY_BYTES = 16_384


@principal.command("add")
def add(
    context: typer.Context,
    name: Name,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="person, workload or customer.")] = "person",
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME", help="Such as members or owners; repeat it.")
    ] = None,
    ssh_key: Annotated[
        list[Path] | None, typer.Option("--ssh-key", metavar="FILE", help="A public key to approve with; repeat it.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the kind and the groups of one that is there, and add keys.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Make somebody known: a person, a workload or a customer's account."""
    from strongroom.core.principals import Principal, check_principal

    made = check_principal(Principal(name=name, kind=cast("Any", kind), groups=list(dict.fromkeys(group or []))))
    keys = [_key(path) for path in ssh_key or []]
    if keys and kind != "person":
        raise UsageError("only people sign with SSH keys", where="--ssh-key", next="leave it out")
    opened = need_site(context, site)

    def apply(transaction: Transaction) -> None:
        known = transaction.principals.get(name)
        if known is not None and not replace:
            raise UsageError(f"there is a principal '{name}' already", next="--replace changes it")
        suspended = known is not None and known.suspended  # that is `resume`'s to change
        transaction.principals.put(Principal(name=name, kind=made.kind, groups=made.groups, suspended=suspended))
        own = {fingerprint for owner, fingerprint in transaction.principals.fingerprints() if owner == name}
        for key in keys:
            if key.fingerprint in own:
                continue
            transaction.principals.add_ssh_key(name, key.fingerprint, key.line, now())

    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            same = [one.name for one in transaction.principals.all() if _person(one.name) == _person(name) != ""]
        if kind == "person" and set(same) - {name}:
            print_notice(
                f"warning: {', '.join(set(same) - {name})} is known too; if that is the same person, they could approve"
                " what they asked for themselves: remove one"
            )
        change = {"change": "adds a principal", "name": name, "kind": kind, "groups": made.groups,
                  "keys": [key.fingerprint for key in keys]}  # fmt: skip
        administration_of(opened, passphrase_file).change(change, apply)
    if json:
        print_json({"name": name, "kind": kind, "groups": made.groups, "ssh_keys": [key.fingerprint for key in keys]})
    else:
        print_facts(
            [
                ("principal", f"{name}, {kind}"),
                ("groups", ", ".join(made.groups) or "none"),
                *(("ssh key", key.fingerprint) for key in keys),
            ]
        )


@principal.command("list")
def list_principals(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """List who is known, with groups and keys."""
    opened = need_site(context, site)
    with contextlib.closing(opened), opened.state.transaction(write=False) as transaction:
        found = transaction.principals.all()
        keys: dict[str, list[str]] = {}
        for owner, fingerprint in transaction.principals.fingerprints():
            keys.setdefault(owner, []).append(fingerprint)
    if json:
        print_json([{**_as_dict(one), "ssh_keys": keys.get(one.name, [])} for one in found])
        return
    print_table(
        ["principal", "kind", "groups", "ssh keys", "state"],
        [
            (o.name, o.kind, ", ".join(o.groups), ", ".join(keys.get(o.name, [])), "suspended" * o.suspended)
            for o in found
        ],
    )


@principal.command("suspend")
def suspend(
    context: typer.Context,
    name: Name,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Refuse all that somebody asks from now on, and count none of their approvals."""
    _set_suspended(context, name, True, passphrase_file, site, json=json)


@principal.command("resume")
def resume(
    context: typer.Context,
    name: Name,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Take a suspension back."""
    _set_suspended(context, name, False, passphrase_file, site, json=json)


def _set_suspended(
    context: typer.Context, name: str, suspended: bool, passphrase_file: Path | None, site: str, *, json: bool
) -> None:
    import msgspec

    opened = need_site(context, site)
    if suspended and name == opened.local_principal:
        raise UsageError("that is yourself", where=name, next="another owner can do it")

    def apply(transaction: Transaction) -> None:
        transaction.principals.put(msgspec.structs.replace(_known(transaction, name), suspended=suspended))

    word = "suspends" if suspended else "resumes"
    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            _known(transaction, name)
        change = {"change": f"{word} a principal", "name": name}
        administration_of(opened, passphrase_file).change(change, apply)
    state = "suspended" if suspended else "active"
    if json:
        print_json({"name": name, "suspended": suspended})
    else:
        print_facts([("principal", name), ("state", state)])


@principal.command("remove")
def remove(
    context: typer.Context,
    name: Name,
    ssh_key: Annotated[
        str,
        typer.Option("--ssh-key", metavar="FINGERPRINT", help="Only this key, such as SHA256:…."),
    ] = "",
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Forget somebody, with their keys, groups and grants, or one of their SSH keys. The ledger keeps what they did."""
    opened = need_site(context, site)
    if name == opened.local_principal and not ssh_key:
        raise UsageError("that is yourself", where=name, next="another owner can do it")

    def apply(transaction: Transaction) -> None:
        if ssh_key:
            transaction.principals.remove_ssh_key(ssh_key)
        else:
            transaction.principals.remove(name)

    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            _known(transaction, name)
            if ssh_key and (name, ssh_key) not in transaction.principals.fingerprints():
                raise InputError(f"{name} has no such key", where=ssh_key[:80], next="see: strongroom principal list")
        change = {"change": "removes an SSH key" if ssh_key else "removes a principal", "name": name} | (
            {"key": ssh_key} if ssh_key else {}
        )
        administration_of(opened, passphrase_file).change(change, apply)
    if json:
        print_json({"removed": name} | ({"ssh_key": ssh_key} if ssh_key else {}))
    else:
        print_facts([("removed", f"{ssh_key} of {name}" if ssh_key else name)])


@grant.command("add")
def add_grant(
    context: typer.Context,
    subject: Subject,
    action: Action,
    asset: Asset,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="Such as 12h or 30d.")] = "30d",
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Permit one action on one asset, until it expires. What policies forbid stays forbidden."""
    from strongroom.core.leases import Grant

    _check_grant(subject, action, asset)
    lasts = parse_duration(duration)
    if not 0 < lasts <= MAX_GRANT_DAYS * 86_400_000_000:
        raise UsageError(f"a grant lasts at most {MAX_GRANT_DAYS} days", where="--for", next="give it anew in time")
    opened = need_site(context, site)
    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            if not subject.startswith("group:"):
                _known(transaction, subject)
        given = now()
        made = Grant(
            subject=subject, action=action, asset=asset, expires=given + lasts, given=given, by=opened.local_principal
        )
        expires = format_time(made.expires)
        change = {"change": "grants", "subject": subject, "action": action, "asset": asset, "expires": expires}
        administration_of(opened, passphrase_file).change(
            change, lambda transaction: transaction.principals.grant(made)
        )
    if json:
        print_json(_told(made))
    else:
        print_facts([("granted", f"{action} of {asset}"), ("to", subject), ("until", expires)])


@grant.command("list")
def list_grants(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """List what was granted, expired grants too."""
    opened = need_site(context, site)
    with contextlib.closing(opened), opened.state.transaction(write=False) as transaction:
        found = transaction.principals.grants()
    if json:
        print_json([_told(one) for one in found])
    elif not found:
        sys.stdout.write("nothing is granted; see: strongroom grant add --help\n")
    else:
        time = now()
        print_table(
            ["to", "action", "asset", "until", "by"],
            [
                (o.subject, o.action, o.asset, format_time(o.expires) + " (expired)" * (o.expires <= time), o.by)
                for o in found
            ],
        )


@grant.command("revoke")
def revoke(
    context: typer.Context,
    subject: Subject,
    action: Action,
    asset: Asset,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Take a grant back at once. Keys that were released cannot be recalled."""
    _check_grant(subject, action, asset)
    opened = need_site(context, site)

    def apply(transaction: Transaction) -> None:
        if not transaction.principals.revoke(subject, action, asset):
            raise InputError(f"{action} of {asset} was not granted to {subject}", next="see: strongroom grant list")

    with contextlib.closing(opened):
        change = {"change": "revokes", "subject": subject, "action": action, "asset": asset}
        administration_of(opened, passphrase_file).change(change, apply)
    if json:
        print_json({"revoked": {"subject": subject, "action": action, "asset": asset}})
    else:
        print_facts([("revoked", f"{action} of {asset}"), ("from", subject)])


def _person(name: str) -> str:
    """What stands before the `@`."""
    return name.partition("@")[0] if "@" in name else ""


def _check_grant(subject: str, action: str, asset: str) -> None:
    """Raises RefusedError, UsageError."""
    from strongroom.core.ids import check_asset_name
    from strongroom.core.principals import check_group, check_principal_name
    from strongroom.policy import ACTIONS

    if subject.startswith("group:"):
        check_group(subject.removeprefix("group:"))
    else:
        check_principal_name(subject)
    if action not in ACTIONS:
        raise UsageError(f"'{action[:80]}' is no action", next=f"actions are {', '.join(ACTIONS)}")
    check_asset_name(asset.removesuffix("*") + "all" if asset.endswith("/*") else asset)


def _known(transaction: Transaction, name: str) -> Principal:
    from strongroom.core.principals import check_principal_name

    check_principal_name(name)
    found = transaction.principals.get(name)
    if found is None:
        raise InputError(f"there is no principal '{name[:80]}'", next="see: strongroom principal list")
    return found


def _key(path: Path) -> SshKey:
    """A public key. Raises InputError, UsageError."""
    from strongroom.identity import SshKey

    try:
        with path.open("rb") as file:
            line = file.read(MAX_KEY_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"the key cannot be read: {why}", where=str(path)) from None
    if "PRIVATE KEY" in line:
        raise UsageError("this is a private key", where=str(path), next="name the .pub file")
    try:
        return SshKey.parse(line.strip())
    except UsageError as error:
        error.where = str(path)
        raise


def _as_dict(one: Any) -> dict[str, Any]:
    import msgspec

    return {name: value for name, value in msgspec.structs.asdict(one).items() if name != "version"}


def _told(one: Any) -> dict[str, Any]:
    return {**_as_dict(one), "expires": format_time(one.expires), "given": format_time(one.given)}
