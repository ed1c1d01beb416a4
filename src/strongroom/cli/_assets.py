"""`strongroom asset …`: what is guarded, and where it lies."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from strongroom.core.errors import RefusedError, UsageError

from ._logs import PassphraseFile, read_input
from ._options import Json, SiteOption, need_site, window_of
from ._output import print_facts, print_json, print_notice, print_table
from ._vault_door import administration_of

if TYPE_CHECKING:
    from strongroom.core.assets import Asset, Classification, Kind
    from strongroom.detect.assets import Proposal
    from strongroom.site import Site
    from strongroom.state import State, Transaction

__all__ = ["asset"]

T = TypeVar("T")

asset = typer.Typer(help="What is guarded: models, datasets, and where they lie.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="org/name, or org/name:tag.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what is on the list by the same name.")]


@asset.command("add")
def add(
    context: typer.Context,
    name: Name,
    at: Annotated[
        list[str], typer.Option("--at", metavar="PLACE", help="Where it lies, such as s3://bucket/prefix/; repeat it.")
    ],
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="model, dataset, environment or endpoint.")
    ] = "model",
    classification: Annotated[
        str, typer.Option("--classification", metavar="WORD", help="public, internal, restricted or crown.")
    ] = "restricted",
    size: Annotated[str, typer.Option("--size", metavar="SIZE", help="Such as 140GB or 1.5TiB.")] = "",
    digest: Annotated[
        str, typer.Option("--digest", metavar="DIGEST", help="Of its manifest: sha256:… or blake3:….")
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What people should know of it.")] = "",
    replace: Replace = False,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Put a model, a dataset or what works with it on the list, with the places where it lies."""
    import msgspec

    from strongroom.core.assets import Asset, check_asset, parse_size

    made = check_asset(
        Asset(
            name=name,
            kind=cast("Kind", kind),
            classification=cast("Classification", classification),
            size=parse_size(size) if size else -1,
            digest=digest,
            places=at,
            note=note,
        )
    )
    _change(
        context,
        site,
        passphrase_file,
        {"change": "lists an asset", "asset": msgspec.to_builtins(made)},
        lambda transaction: transaction.put_assets([made], replace=replace),
    )
    if json:
        print_json(made)
    else:
        print_facts(_facts(made))


@asset.command("list")
def list_assets(
    context: typer.Context,
    proposed: Annotated[
        bool, typer.Option("--proposed", help="What the site's logs name and the list does not hold.")
    ] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="With --proposed: leave out what is older.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="With --proposed: leave out what is from then on.")] = "",
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """List what is guarded; with --proposed what the logs say should perhaps be."""
    if not proposed and (since or until):
        raise UsageError("a list has no window", where="--since, --until", next="give --proposed with them")
    if proposed:
        _list_proposed(need_site(context, site), window_of(since, until), json=json)
        return
    with _state(context, site) as state:
        found = state.assets()
    if json:
        print_json(found)
    elif not found:
        sys.stdout.write("no asset is listed; see: strongroom asset list --proposed\n")
    else:
        from strongroom.core.assets import format_size

        print_table(
            ["asset", "kind", "classification", "size", "places"],
            [(o.name, o.kind, o.classification, format_size(o.size), ", ".join(o.places)) for o in found],
        )


@asset.command("show")
def show(context: typer.Context, name: Name, site: SiteOption = "", json: Json = False) -> None:
    """Show one asset."""
    from strongroom.core.ids import check_asset_name

    check_asset_name(name)
    with _state(context, site) as state:
        found = state.asset(name)
    if found is None:
        raise _unknown(name)
    if json:
        print_json(found)
    else:
        print_facts(_facts(found))


@asset.command("remove")
def remove(
    context: typer.Context,
    name: Name,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Take an asset off the list. Events that are stored stay as they are."""
    from strongroom.core.ids import check_asset_name

    check_asset_name(name)

    def apply(transaction: Transaction) -> None:
        if not transaction.remove_asset(name):
            raise _unknown(name)

    _change(context, site, passphrase_file, {"change": "takes an asset off the list", "asset": name}, apply)
    if json:
        print_json({"removed": name})
    else:
        print_facts([("removed", name)])


@asset.command("import")
def import_assets(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with a header, JSON, or JSON Lines; - is stdin.")],
    replace: Replace = False,
    passphrase_file: PassphraseFile = None,
    site: SiteOption = "",
    json: Json = False,
) -> None:
    """Put all assets of a file on the list, or none where a row cannot be used."""
    import msgspec

    from strongroom.state import AssetsTaken

    from ._asset_files import MAX_FILE_BYTES, read_assets, unusable

    need_site(context, site)  # before a pipe is read
    rows = read_assets(read_input(file, MAX_FILE_BYTES), file)
    given = list(rows.values())
    change = {"change": "lists assets", "assets": [msgspec.to_builtins(one) for one in given]}
    try:
        replaced = _change(
            context, site, passphrase_file, change, lambda transaction: transaction.put_assets(given, replace=replace)
        )
    except AssetsTaken as error:
        row_of = {one.name: row for row, one in rows.items()}
        problems = {row_of[name]: f"{name} {problem}" for name, problem in error.problems.items()}
        raise unusable(problems, file) from None
    if json:
        print_json({"imported": len(rows), "replaced": replaced})
    else:
        print_facts([("imported", f"{len(rows):,}"), ("of them replaced", f"{replaced:,}")])


def _change(
    context: typer.Context,
    site: str,
    passphrase_file: Path | None,
    change: dict[str, Any],
    apply: Callable[[Transaction], T],
) -> T:
    """Changes the list, as somebody who may: how dear an asset is decides who may have it."""
    with contextlib.closing(need_site(context, site)) as opened:
        return administration_of(opened, passphrase_file).change(change, apply)


@contextlib.contextmanager
def _state(context: typer.Context, site: str) -> Iterator[State]:
    opened = need_site(context, site)
    try:
        yield opened.state
    finally:
        opened.close()


def _unknown(name: str) -> RefusedError:
    return RefusedError(f"no asset '{name}' is listed", next="see: strongroom asset list")


def _facts(found: Asset) -> list[tuple[str, object]]:
    from strongroom.core.assets import format_size

    return [
        ("asset", found.name),
        ("kind", found.kind),
        ("classification", found.classification),
        ("size", format_size(found.size)),
        ("digest", found.digest or "unknown"),
        *[("lies at", place) for place in found.places],
        *([("note", found.note)] if found.note else []),
    ]


def _list_proposed(site: Site, window: tuple[int | None, int | None], *, json: bool) -> None:
    from strongroom.core.assets import format_size
    from strongroom.detect.assets import propose

    with contextlib.closing(site):
        found = propose(site.store, window[0], window[1], site.state.assets())
    if json:
        print_json([{**_document(one), "command": _command(one)} for one in found])
        return
    if not found:
        sys.stdout.write("the site's access events name nothing that looks like weights or a dataset\n")
        return
    print_table(
        ["command", "events", "principals", "bytes", "why"],
        [(_command(o), f"{o.events:,}", f"{o.principals:,}", format_size(o.bytes), o.why) for o in found],
    )
    print_notice(f"{len(found):,} guesses from names: choose, name and classify them; nothing is listed by itself")


def _document(one: Proposal) -> dict[str, object]:
    import dataclasses

    return dataclasses.asdict(one)


def _command(one: Proposal) -> str:
    return f"strongroom asset add {one.name} --kind {one.kind} --at {shlex.quote(one.place)}"
