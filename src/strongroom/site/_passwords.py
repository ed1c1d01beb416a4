"""Secrets that somebody put into a file of their own."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import InputError

__all__ = ["first_line"]

MAX_BYTES = 1024


def first_line(path: Path, what: str) -> str:
    """The first line of a file. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode().split("\n")[0].removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{what} cannot be read: {why}", where=str(path)) from None
