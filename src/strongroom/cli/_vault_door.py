"""The door that the command line goes through: a site's, or one made of the key files that were named."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.errors import UsageError
from strongroom.core.ids import check_id
from strongroom.core.leases import MAX_PURPOSE_CHARACTERS

from ._logs import read_passphrase
from ._options import given_site
from ._output import print_notice

if TYPE_CHECKING:
    from strongroom.site import Administration, Site
    from strongroom.vault import Door, Recipient

__all__ = [
    "KeyFiles",
    "Lease",
    "Purpose",
    "Signers",
    "administration_of",
    "check_purpose",
    "door_of",
    "passphrases",
    "recipients_of",
]

KeyFiles = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="FILE", help="A private key (NAME.key); without a site p256 signs; repeat it."),
]
Signers = Annotated[
    list[Path] | None, typer.Option("--signer", metavar="FILE", help="Believe this signer too (NAME.pub); repeat it.")
]
Purpose = Annotated[str, typer.Option("--purpose", metavar="TEXT", help="What for; goes on record.")]
Lease = Annotated[str, typer.Option("--lease", metavar="LEASE", help="Under this lease: lse_….")]


def _site_of(context: typer.Context, after: str) -> Site | None:
    """The site, where one is named."""
    from strongroom.site import Site

    return Site.find(given_site(context, after))


@contextlib.contextmanager
def door_of(
    context: typer.Context,
    site: str,
    *,
    keys: list[Path] | None = None,
    signers: list[Path] | None = None,
    passphrase_file: Path | None = None,
    purpose: str = "",
    lease: str = "",
    object: Path | None = None,
) -> Iterator[Door]:
    """The door of the site that is named, with the keys and signers that are named beside; or the one that leads to
    the key service that `object`, or else STRONGROOM_KEYSERVER names.

    Raises InputError, UsageError.
    """
    from strongroom.site import named_use
    from strongroom.vault import Door, KeyFiles, Keys, PrivateKey, PublicKey, harden_process

    own_purpose, own_lease = named_use()
    purpose, lease = purpose or own_purpose, lease or own_lease
    check_purpose(purpose)
    if lease:
        check_id(lease)
    harden_process()
    service = _service_of(context, site, object)
    if service:
        if keys or signers:
            raise UsageError("a key service has its own keys", where=service, next="leave --key and --signer out")
        from strongroom.site import service_door

        yield service_door(service, notify=print_notice, purpose=purpose, lease=lease)
        return
    opened = _site_of(context, site)
    passphrase = passphrases(passphrase_file)
    given = [PrivateKey.read(path, passphrase=passphrase(path)) for path in keys or []]
    trusted = [PublicKey.read(path) for path in signers or []]
    if opened is None:
        if not trusted and not given:
            raise UsageError(
                "no keys are named",
                next="name a site with --site DIR or STRONGROOM_SITE, or --key FILE and --signer FILE",
            )
        own = [one.public for one in given if one.public.kind == "p256"]
        door = Door(
            keys=KeyFiles(*given), trusted=[*own, *trusted], signer=own[0] if own else None, notify=print_notice
        )
        yield dataclasses.replace(door, purpose=purpose)
        return
    with contextlib.closing(opened):
        door = opened.door(passphrase=passphrase, notify=print_notice, purpose=purpose, lease=lease)
        yield dataclasses.replace(door, keys=Keys(KeyFiles(*given), door.keys), trusted=[*door.trusted, *trusted])


def _service_of(context: typer.Context, site: str, object: Path | None) -> str:
    """The key service that is to be asked; empty where it is none."""
    from strongroom.site import named_service
    from strongroom.vault import ServicePath

    named = ServicePath.parse(object) if object is not None else None
    if named is not None:
        return named.host
    return "" if given_site(context, site) else named_service()


def check_purpose(text: str) -> None:
    """Raises UsageError for what cannot go on record as one."""
    if len(text) > MAX_PURPOSE_CHARACTERS or not text.isprintable():
        raise UsageError(
            f"a purpose is one line of at most {MAX_PURPOSE_CHARACTERS} characters",
            where="--purpose",
            next="shorten it",
        )


def passphrases(file: Path | None) -> Callable[[Path], str]:
    """Asks once: a site's keys are sealed with one passphrase."""
    known: list[str] = []

    def ask(path: Path) -> str:
        text = known[0] if known else read_passphrase(path, file)
        if text and not known:
            known.append(text)
        return text

    return ask


def recipients_of(context: typer.Context, site: str, names: list[str]) -> list[Recipient]:
    """Recipients as they were named on the command line. Raises InputError, UsageError."""
    from strongroom.vault import named_recipient

    opened = _site_of(context, site)
    if opened is None:
        return [named_recipient(name) for name in names]
    with contextlib.closing(opened):
        return [opened.recipient(name) for name in names]


def administration_of(site: Site, passphrase_file: Path | None) -> Administration:
    """Changes who may do what on a site; what a person should know is told."""
    return site.administration(passphrase=passphrases(passphrase_file), notify=print_notice)
