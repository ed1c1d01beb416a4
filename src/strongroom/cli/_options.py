"""Options that several commands have, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strongroom.core.clock import now, parse_duration, parse_time
from strongroom.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from strongroom.site import Site

__all__ = ["Json", "SiteOption", "check_writable", "given_site", "moment", "need_site"]

SiteOption = Annotated[
    str, typer.Option("--site", metavar="DIR", help="The site's directory (or STRONGROOM_SITE).", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]


def given_site(context: typer.Context, after: str) -> str | None:
    """The site named after the verb, or before the noun."""
    return after or (context.find_root().params.get("site") or None)


def need_site(context: typer.Context, after: str) -> Site:
    """Opens the site. Raises InputError when none is named."""
    from strongroom.site import Site

    site = Site.find(given_site(context, after))
    if site is None:
        raise InputError(
            "this command needs a site",
            next="name one with --site DIR or STRONGROOM_SITE, or make one: strongroom init",
        )
    return site


def moment(text: str, option: str) -> int | None:
    """A time, a date, or a duration back from now, to microseconds since 1970; None for ''. Raises UsageError."""
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        pass
    try:
        return now() - parse_duration(text)
    except UsageError:
        raise UsageError(
            f"'{text}' is no time",
            where=option,
            next="write 2026-11-01, 2026-11-01T09:30:00Z, or 14d for 14 days ago",
        ) from None


def check_writable(path: Path | None, option: str) -> None:
    """Raises UsageError now rather than after an hour of work."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError("this is a directory", where=f"{option} {path}", next="name a file")
    if not path.parent.is_dir():
        raise UsageError("there is no such directory", where=f"{option} {path}", next=f"mkdir {path.parent}")
