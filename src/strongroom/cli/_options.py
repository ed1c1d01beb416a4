"""Options that several commands have, and what they mean."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from strongroom.core.clock import now, parse_duration, parse_time
from strongroom.core.errors import InputError, StrongroomError, UsageError

if TYPE_CHECKING:
    from strongroom.site import Site

__all__ = ["Json", "SiteOption", "check_writable", "given_site", "need_site", "whole_file", "window_of", "write_output"]

EARLIEST, LATEST = 0, 7_258_118_400_000_000
"""1970 and 2200, in microseconds since 1970."""

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
        time = parse_time(text)
    except (ValueError, OverflowError):
        pass
    else:
        if not EARLIEST <= time < LATEST:
            raise UsageError(f"'{text}' is out of range", where=option, next="times lie between 1970 and 2200")
        return time
    try:
        return now() - parse_duration(text)
    except UsageError:
        raise UsageError(
            f"'{text}' is no time",
            where=option,
            next="write 2026-11-01, 2026-11-01T09:30:00Z, or 14d for 14 days ago",
        ) from None


def window_of(since: str, until: str) -> tuple[int | None, int | None]:
    """What `--since` and `--until` say. Raises UsageError, also for a window that can hold nothing."""
    first, last = moment(since, "--since"), moment(until, "--until")
    if first is not None and last is not None and first >= last:
        raise UsageError("the window ends before it begins", where="--since, --until", next="exchange the two")
    return first, last


def check_writable(path: Path | None, option: str) -> None:
    """Raises UsageError now rather than after an hour of work."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError("this is a directory", where=f"{option} {path}", next="name a file")
    if not path.parent.is_dir():
        raise UsageError("there is no such directory", where=f"{option} {path}", next=f"mkdir {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError("this may not be written to", where=f"{option} {path}", next="name another file")


def write_output(path: Path, text: str | Iterable[str]) -> int:
    """Writes text to a `whole_file`. Returns how many pieces of it were written. Raises StrongroomError."""
    count = 0
    with whole_file(path) as file:
        for piece in [text] if isinstance(text, str) else text:
            file.write(piece.encode())
            count += 1
    return count


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A regular file is there whole or not at all, an older one stays until then; a device or pipe is written to.

    Raises StrongroomError where it cannot be written, such as on a full disk.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        # Under a name that nobody can foresee: in a directory that others may write to, a link could wait there.
        number, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        temporary = Path(name)
        try:
            with open(number, "wb") as file:  # noqa: PTH123 - it is open already
                os.fchmod(number, _mode(target))
                yield file
            temporary.replace(target)
        except BaseException:  # Ctrl-C too
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise StrongroomError(
            f"the file cannot be written: {error.strerror or error}",
            where=str(path),
            next="check space and permissions",
        ) from error


def _mode(target: Path) -> int:
    """Of the file that is replaced, or as one is made anew."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
