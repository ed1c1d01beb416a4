"""`strongroom lease …`: short, purpose-bound rights to use a key, and who agreed to them."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strongroom.core.clock import format_time, now, parse_duration
from strongroom.core.errors import InputError, UsageError

from ._logs import PassphraseFile
from ._options import Json, SiteOption, need_site
from ._output import print_facts, print_json, print_notice, print_table
from ._vault_door import Purpose, administration_of, check_purpose, passphrases

if TYPE_CHECKING:
    from strongroom.core.leases import Approval, Lease

__all__ = ["lease"]

lease = typer.Typer(help="Rights to use a key: for one purpose, for a short time.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="LEASE", help="Its id: lse_….")]
MAX_SIGNATURE_BYTES = 65_536


@lease.command("request")
def request(
    context: typer.Context,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="ExportWeights, OpenWeights or ReadDataset.")],
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="org/name[:tag].")],
    duration: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long it holds once it is used.")
    ] = "8h",
    object: Annotated[
        Path | None, typer.Option("--object", metavar="OBJECT", help="This sealed object alone, as it is now.")
    ] = None,
    purpose: Purpose = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Ask for a lease in advance, so that others can approve it. They sign exactly what is asked for here."""
    from strongroom.access import request_lease

    check_purpose(purpose)
    opened = need_site(context, site)
    with contextlib.closing(opened):
        digest = ""
        if object is not None:
            from strongroom.vault import read_manifest

            manifest = read_manifest(object, opened.door(notify=print_notice).trusted).manifest
            if manifest.line != asset:
                raise UsageError(f"this is {manifest.line}, not {asset}", where=str(object))
            digest = manifest.root_digest
        made = request_lease(
            opened.access(notify=print_notice),
            opened.local_principal,
            action,
            asset,
            digest=digest,
            purpose=purpose,
            seconds=parse_duration(duration) // 1_000_000,
        )
    if json:
        print_json(_told(made, []))
        return
    print_facts([*_facts(made, []), ("approve with", f"strongroom lease approve {made.id} --key ~/.ssh/id_ed25519")])


@lease.command("approve")
def approve(
    context: typer.Context,
    id: Id,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Sign with this SSH key, or the agent's of this .pub.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option("--signature", metavar="FILE", help="A signature that was made elsewhere.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Agree to somebody else's lease, with a signature over exactly what it asks for."""
    from strongroom.access import approve_lease, find_lease
    from strongroom.identity import APPROVAL, sign_message
    from strongroom.policy import signed_request

    if (key is None) == (signature is None):
        raise UsageError("either sign here or bring a signature", next="give --key FILE or --signature FILE")
    opened = need_site(context, site)
    with contextlib.closing(opened):
        access = opened.access(passphrase=passphrases(passphrase_file), notify=print_notice)
        if key is not None:
            with opened.state.transaction(write=False) as transaction:
                asked = find_lease(transaction, id)
            if not json:
                print_facts(_facts(asked, []))
            text = sign_message(signed_request(asked, opened.name), key, namespace=APPROVAL)
        else:
            assert signature is not None
            text = _signature(signature)

        made, person, count = approve_lease(access, id, text)
    if json:
        print_json({"lease": made.id, "approved_by": person, "approvals": count})
    else:
        print_facts([("approved", made.id), ("by", person), ("approvals", count)])


@lease.command("list")
def list_leases(
    context: typer.Context,
    state: Annotated[
        str, typer.Option("--state", metavar="STATE", help="requested, pending, active, used or revoked.")
    ] = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """List leases, the newest first, with who approved."""
    from strongroom.core.leases import LEASE_STATES

    if state and state not in LEASE_STATES:
        raise UsageError(f"'{state[:40]}' is no state", where="--state", next=f"choose {', '.join(LEASE_STATES)}")
    opened = need_site(context, site)
    with contextlib.closing(opened), opened.state.transaction(write=False) as transaction:
        found = [(one, transaction.leases.approvals(one.id)) for one in transaction.leases.all(state=state)]
    if json:
        print_json([_told(one, given) for one, given in found])
    elif not found:
        sys.stdout.write("there are no leases\n")
    else:
        print_table(
            ["lease", "state", "principal", "action", "asset", "purpose", "approved by", "until"],
            [
                (o.id, _state(o), o.principal, o.action, o.asset, o.purpose, ", ".join(a.principal for a in given),
                 format_time(o.expires) if o.expires else "")
                for o, given in found
            ],
        )  # fmt: skip


@lease.command("show")
def show(
    context: typer.Context,
    id: Id,
    request: Annotated[
        bool, typer.Option("--request", help="The exact bytes to sign: ssh-keygen -Y sign -n strongroom-approval.")
    ] = False,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Show one lease, and what those who approve sign."""
    from strongroom.access import find_lease
    from strongroom.policy import signed_request

    opened = need_site(context, site)
    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            found = find_lease(transaction, id)
            given = transaction.leases.approvals(id)
        name = opened.name
    if request:
        sys.stdout.buffer.write(signed_request(found, name))
        sys.stdout.buffer.flush()
    elif json:
        print_json(_told(found, given))
    else:
        print_facts(_facts(found, given))


@lease.command("revoke")
def revoke(
    context: typer.Context,
    id: Id,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """End a lease, your own or as an owner anybody's. Keys that were released cannot be recalled."""
    from strongroom.access import find_lease, revoke_lease, withdraw_lease

    opened = need_site(context, site)
    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            found = find_lease(transaction, id)
        administration = administration_of(opened, passphrase_file)
        if found.principal == opened.local_principal:
            revoked = withdraw_lease(administration.access, found)
        else:
            change = {"change": "revokes a lease", "lease": id}
            revoked = administration.change(change, lambda transaction: revoke_lease(transaction, id, now()))
    if json:
        print_json({"revoked": revoked.id})
    else:
        print_facts([("revoked", revoked.id)])


def _signature(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SIGNATURE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"the signature cannot be read: {why}", where=str(path)) from None


def _state(lease: Lease) -> str:
    return "expired" if lease.state == "active" and lease.expires <= now() else lease.state


def _facts(lease: Lease, given: list[Approval]) -> list[tuple[str, object]]:
    return [
        ("lease", lease.id),
        ("state", _state(lease)),
        ("who", lease.principal),
        ("what", f"{lease.action} of {lease.asset}"),
        *([("object", lease.asset_digest)] if lease.asset_digest else []),
        ("what for", lease.purpose),
        ("how long", f"{lease.seconds / 3600:g} h"),
        *(("approved by", one.principal) for one in given),
        *([("by breaking glass", lease.breakglass)] if lease.breakglass else []),
        *([("not before", format_time(lease.not_before))] if lease.not_before else []),
        *([("until", format_time(lease.expires))] if lease.expires else []),
    ]


def _told(lease: Lease, given: list[Approval]) -> dict[str, Any]:
    import msgspec

    times = {
        name: format_time(time) if time else ""
        for name, time in (
            ("requested", lease.requested),
            ("expires", lease.expires),
            ("not_before", lease.not_before),
        )
    }
    return {
        **msgspec.structs.asdict(lease),
        **times,
        "state": _state(lease),
        "approved_by": [one.principal for one in given],
    }
