"""`strongroom vault rekey|forget`: who may open an object, and what the site believes of an asset's versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.errors import InputError, UsageError

from ._logs import PassphraseFile
from ._options import Json, SiteOption, need_site
from ._output import moving, print_facts, print_json, print_notice
from ._vault import Object, Threads, facts_of, vault, warn_of_one
from ._vault_door import KeyFiles, Lease, Purpose, Signers, door_of, recipients_of

if TYPE_CHECKING:
    from strongroom.vault import Manifest, Recipient

__all__ = ["forget", "rekey_object"]


@vault.command("rekey")
def rekey_object(
    context: typer.Context,
    object: Object,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="RECIPIENT", help="Who may open it from now on; repeat it.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="NAME", help="Who may no more, by name or key; repeat it.")
    ] = None,
    rotate_data: Annotated[
        bool, typer.Option("--rotate-data", help="Encrypt all data anew, so that old keys open nothing of it.")
    ] = False,
    threads: Threads = 0,
    key: KeyFiles = None,
    signer: Signers = None,
    passphrase_file: PassphraseFile = None,
    purpose: Purpose = "",
    lease: Lease = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Change who may open a sealed object, without touching its data, or with --rotate-data under new keys."""
    from strongroom.vault import check_change, open_object, rekey, rotate

    added, removed = recipients_of(context, site, add or []), remove or []
    if not added and not removed and not rotate_data:
        raise UsageError("nothing is to change", next="give --add, --remove or --rotate-data")
    reason = _changes(added, removed, rotate_data)

    def before(manifest: Manifest) -> None:
        check_change(manifest, added, removed)
        if door.authorizer is not None and not all(door.keys.holds(one.key) for one in added):
            # Whoever has a key that the site does not hold opens the object without asking: it is an export.
            door.permit(
                "ExportWeights",
                manifest.line,
                length=manifest.length,
                digest=manifest.root_digest,
                reason=reason,
                object=manifest.object,
            )

    with (
        door_of(
            context, site, keys=key, signers=signer, passphrase_file=passphrase_file, purpose=purpose, lease=lease
        ) as door,
        open_object(
            object,
            door=door,
            action="Rekey",
            reason=reason,
            before=before,
        ) as sealed,
    ):
        if rotate_data:
            kept = [one for one in sealed.manifest.keys[0] if not {one.name, one.key} & set(removed)]
            with moving("rotating", sealed.manifest.length) as progress:
                signed = rotate(sealed, [*door.known_all(kept), *added], door, threads=threads, progress=progress)
        else:
            signed = rekey(sealed, door, add=added, remove=removed)
    if removed and not rotate_data:
        print_notice(
            "note: whoever was removed and opened it before may have kept its keys, and copies of the old object still"
            " name them; that cannot be recalled. --rotate-data encrypts the data under new keys"
        )
    names = [one.name for one in signed.manifest.keys[0]]
    warn_of_one(names)
    if json:
        print_json(facts_of(signed, object))
        return
    print_facts([("object", object), ("version", signed.manifest.version), ("opens for", ", ".join(names))])


def _changes(added: Sequence[Recipient], removed: Sequence[str], rotate: bool) -> str:
    """What goes on record."""
    parts = [f"adds {one.name} ({one.key[:40]})" for one in added] + [f"removes {name}" for name in removed]
    return ", ".join(parts + ["encrypts the data anew"] * rotate)


@vault.command("forget")
def forget(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ASSET", help="org/name[:tag], or sealed/… of an object without.")],
    passphrase_file: PassphraseFile = None,
    purpose: Purpose = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Forget which versions of an asset the site has seen, and who signed them: the next one opened is believed."""
    from strongroom.core.ids import check_asset_name

    check_asset_name(name)
    opened = need_site(context, site)
    with door_of(context, site, passphrase_file=passphrase_file, purpose=purpose) as door:
        known = opened.state.highest_version(name)
        if known is None:
            raise InputError(f"no version of '{name}' is on record", next="see: strongroom vault info OBJECT")
        door.permit("Administer", name, length=0, reason=f"forgets version {known[0]}, signed by {known[2]}")
        opened.state.forget_versions(name)
    opened.close()
    if json:
        print_json({"forgotten": name, "version": known[0], "signer": known[2]})
    else:
        print_facts([("forgotten", name), ("version", known[0]), ("signed by", known[2])])
