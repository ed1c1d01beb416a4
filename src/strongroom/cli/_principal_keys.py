"""`strongroom principal key …`: API keys, with which programs say who they are."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.clock import format_time, now, parse_duration
from strongroom.core.errors import InputError, UsageError

from ._logs import PassphraseFile
from ._options import Json, SiteOption, need_site
from ._output import print_facts, print_json, print_notice, print_table
from ._principals import principal
from ._vault_door import administration_of

if TYPE_CHECKING:
    from strongroom.core.principals import ApiKey
    from strongroom.identity import NewApiKey
    from strongroom.state import Transaction

__all__ = ["keys"]

keys = typer.Typer(help="API keys, with which programs say who they are.", no_args_is_help=True)
principal.add_typer(keys, name="key")

Id = Annotated[str, typer.Argument(metavar="ID", help="What stands between the two underscores of a key.")]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="How long it is accepted, such as 90d; at most 366d.")]
MAX_KEY_DAYS = 366
_DAY_US = 86_400_000_000


@keys.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Whose key it is.")],
    lasts: For = "90d",
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="What it is for.")] = "",
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Make an API key. It is shown now, on stdout, and never again; the site keeps a digest of it."""
    from strongroom.identity import API_KEY_RANDOM_BYTES, make_api_key

    opened = need_site(context, site)
    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            if transaction.principals.get(name) is None:
                raise InputError(f"there is no principal '{name[:80]}'", next=f"strongroom principal add {name[:80]}")
            held = transaction.principals.api_keys(name)
        random, time = secrets.token_bytes(API_KEY_RANDOM_BYTES), now()
        made = make_api_key(name, random=random, now=time, expires=time + _lasting(lasts), label=label, held=held)

        def apply(transaction: Transaction) -> None:
            again = transaction.principals.api_keys(name)  # another one may have been made meanwhile
            make_api_key(name, random=random, now=time, expires=made.record.expires, held=again)
            transaction.principals.put_api_key(made.record)

        change = {"change": "adds an API key", "name": name, "id": made.record.id, "digest": made.record.digest,
                  "expires": made.record.expires}  # fmt: skip
        administration_of(opened, passphrase_file).change(change, apply)
    _show(made, json=json)


@keys.command("list")
def list_keys(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """List API keys: whose, and until when each is accepted."""
    opened = need_site(context, site)
    with contextlib.closing(opened), opened.state.transaction(write=False) as transaction:
        found = transaction.principals.api_keys()
    time = now()
    if json:
        print_json([{**_told(one), "live": one.live(time)} for one in found])
        return
    print_table(
        ["id", "principal", "for", "expires", "state"],
        [(o.id, o.principal, o.label, _told(o)["expires"], "" if o.live(time) else "not accepted") for o in found],
    )


@keys.command("rotate")
def rotate(
    context: typer.Context,
    id: Id,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="TIME", help="How long the old one is accepted beside the new.")
    ] = "7d",
    lasts: For = "90d",
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Make a key in the place of another, which is accepted for a while yet."""
    from strongroom.identity import API_KEY_RANDOM_BYTES, rotate_api_key

    opened = need_site(context, site)
    random, time = secrets.token_bytes(API_KEY_RANDOM_BYTES), now()
    ends, expires = time + parse_duration(overlap), time + _lasting(lasts)

    def rotated(transaction: Transaction) -> tuple[NewApiKey, ApiKey]:
        old = _found(transaction, id)
        held = transaction.principals.api_keys(old.principal)
        return rotate_api_key(old, random=random, now=time, ends=ends, expires=expires, held=held)

    def apply(transaction: Transaction) -> None:
        made, old = rotated(transaction)
        transaction.principals.put_api_key(old)
        transaction.principals.put_api_key(made.record)

    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            made, old = rotated(transaction)
        change = {"change": "rotates an API key", "name": old.principal, "id": old.id, "ends": old.expires,
                  "new": made.record.id, "digest": made.record.digest, "expires": expires}  # fmt: skip
        administration_of(opened, passphrase_file).change(change, apply)
    _show(made, json=json, old=old)


@keys.command("revoke")
def revoke(
    context: typer.Context, id: Id, passphrase_file: PassphraseFile = None, site: SiteOption = "", json: Json = False
) -> None:
    """Accept a key no more, from now on."""
    from strongroom.identity import revoke_api_key

    opened, time = need_site(context, site), now()

    def apply(transaction: Transaction) -> None:
        transaction.principals.put_api_key(revoke_api_key(_found(transaction, id), now=time))

    with contextlib.closing(opened):
        with opened.state.transaction(write=False) as transaction:
            found = _found(transaction, id)
        change = {"change": "revokes an API key", "name": found.principal, "id": id}
        administration_of(opened, passphrase_file).change(change, apply)
    if json:
        print_json({"revoked": id, "principal": found.principal})
    else:
        print_facts([("revoked", id), ("of", found.principal)])


def _found(transaction: Transaction, id: str) -> ApiKey:
    """Raises InputError."""
    found = transaction.principals.api_key(id)
    if found is None:
        raise InputError("there is no API key of this id", where=id[:80], next="see: strongroom principal key list")
    return found


def _lasting(text: str) -> int:
    """Microseconds. Raises UsageError."""
    lasts = parse_duration(text)
    if not 0 < lasts <= MAX_KEY_DAYS * _DAY_US:
        raise UsageError(f"an API key is accepted for at most {MAX_KEY_DAYS} days", where="--for", next="write 90d")
    return lasts


def _told(key: ApiKey) -> dict[str, str]:
    ends = key.expires if key.revoked is None else key.revoked
    return {
        "id": key.id,
        "principal": key.principal,
        "label": key.label,
        "created": format_time(key.created),
        "expires": format_time(ends) if ends is not None else "",
        "state": "revoked" if key.revoked is not None else "",
    }


def _show(made: NewApiKey, *, json: bool, old: ApiKey | None = None) -> None:
    if json:
        print_json({**_told(made.record), "key": made.text})
        return
    ends = [("old key ends", _told(old)["expires"])] if old is not None else []
    print_facts([("key", made.text), ("id", made.record.id), ("expires", _told(made.record)["expires"]), *ends])
    print_notice("note: the key is not kept here and cannot be shown again")
