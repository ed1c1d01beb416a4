"""`strongroom vault keys …`: for whom is sealed, and who signs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.errors import InputError, UsageError

from ._ledger import UNSEALED
from ._logs import PassphraseFile, new_passphrase
from ._options import Json, SiteOption, need_site
from ._output import print_facts, print_json, print_notice, print_table
from ._vault import vault

if TYPE_CHECKING:
    from strongroom.vault import KeyFolder, PublicKey

__all__ = ["keys"]

keys = typer.Typer(help="Whom is sealed to, and whose signatures are believed.", no_args_is_help=True)
vault.add_typer(keys, name="keys")

Name = Annotated[str, typer.Argument(metavar="NAME", help="a-z, digits, '.', '_', '-'.")]


@keys.command("new")
def new(
    context: typer.Context,
    name: Name,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="mlkem768-x25519 or x25519 (recipients), p256 (signs).")
    ] = "mlkem768-x25519",
    directory: Annotated[
        Path | None, typer.Option("--directory", metavar="DIR", help="Where the files go; the site's keys by default.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Make a key: NAME.key, which is private, and NAME.pub, which others seal to or verify with."""
    from strongroom.vault import KINDS, PrivateKey, check_key_name

    check_key_name(name)
    if kind not in KINDS:
        raise UsageError(f"'{kind[:40]}' is no kind of key", where="--kind", next=f"choose {', '.join(KINDS)}")
    folder = directory or need_site(context, site).vault_keys
    if directory is None:
        folder.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise InputError("there is no such directory", where=str(folder), next=f"mkdir {folder}")
    for suffix in ("key", "pub"):
        if (folder / f"{name}.{suffix}").exists():
            raise UsageError(f"there is a key '{name}' already", where=str(folder), next="choose another name")
    secret = new_passphrase(passphrase_file, ask=not json)
    made = PrivateKey.generate(kind, name)
    made.write(folder, passphrase=secret)
    if not secret:
        print_notice(f"warning: {UNSEALED}")
    facts = _document(made.public, held=True) | {
        "private": str(folder / f"{name}.key"),
        "public": str(folder / f"{name}.pub"),
    }
    if json:
        print_json(facts)
    else:
        print_facts([(field, value) for field, value in facts.items() if field != "held"])


@keys.command("list")
def list_keys(context: typer.Context, site: SiteOption = "", json: Json = False) -> None:
    """List the keys that the site knows: its own, and others'."""
    folder = _folder(context, site)
    if json:
        print_json([_document(key, held=folder.held(key)) for key in folder.public])
    else:
        print_table(
            ["name", "kind", "use", "private key", "key"],
            [
                (
                    one.name,
                    one.kind,
                    "signs" if one.kind == "p256" else "opens",
                    "here" if folder.held(one) else "",
                    one.key,
                )
                for one in folder.public
            ],
        )


@keys.command("show")
def show(
    context: typer.Context,
    name: Name,
    pem: Annotated[bool, typer.Option("--pem", help="A signing key in PEM, for other tools.")] = False,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Print a public key, as the line of NAME.pub."""
    folder = _folder(context, site)
    key = folder.find(name)
    if key is None:
        raise InputError(
            f"there is no key '{name[:80]}'", where=str(folder.path), next="see: strongroom vault keys list"
        )
    text = key.pem().decode() if pem else ""
    if json:
        print_json(_document(key, held=folder.held(key)) | {"line": key.line()} | ({"pem": text} if pem else {}))
    else:
        sys.stdout.write(text or key.line() + "\n")


@keys.command("add")
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NAME.pub, from its owner.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Call it so here.")] = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Let the site know somebody's public key. What a signer has signed is believed from then on."""
    import dataclasses

    from strongroom.vault import PublicKey, check_key_name

    key = PublicKey.read(file)
    if name:
        key = dataclasses.replace(key, name=check_key_name(name))
    folder = _folder(context, site)
    folder.add(key)
    if key.kind == "p256":
        print_notice(f"note: manifests that {key.name} signs are believed on this site from now on")
    if json:
        print_json(_document(key, held=False))
    else:
        print_facts([(field, value) for field, value in _document(key, held=False).items() if field != "held"])


def _folder(context: typer.Context, site: str) -> KeyFolder:
    from strongroom.vault import KeyFolder

    folder = KeyFolder(need_site(context, site).vault_keys)
    if not folder.path.is_dir():
        raise InputError("this site has no vault keys", where=str(folder.path), next="strongroom vault keys new site")
    return folder


def _document(key: PublicKey, *, held: bool) -> dict[str, object]:
    return {"name": key.name, "kind": key.kind, "key": key.key, "held": held}
