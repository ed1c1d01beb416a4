"""Rows of the state database as they go on record: keyed digests of which row it is, and of what it holds.

A principal in a row stands in it as the digest that the ledger has of it (`Subjects`), so that erasing a principal's
key takes from everybody, the site too, the means to say which rows were about it. All is keyed by the site's key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import rfc8785

from ..state import Cell, Personal, Rows
from ._subjects import Subjects

__all__ = ["NO_ROW", "RowDigests", "changes"]

NO_ROW = "-"
"""What is on record where a change alters no row."""
_WIDTH = 32
"""Hexadecimal digits of a digest: 128 bits, which nobody without the key can aim at."""


class RowDigests:
    """Digests rows. No principal's key is made unless `create`; then it may not be called inside a transaction."""

    def __init__(self, subjects: Subjects, site_key: bytes, *, create: bool) -> None:
        self._subjects = subjects
        self._site_key = site_key
        self._key = hmac.digest(site_key, b"strongroom rows 1", "sha256")
        self._create = create
        self._known: dict[str, str] = {}

    def on_record(self, rows: Mapping[tuple[Cell, ...], tuple[Cell, ...] | None]) -> list[str]:
        """What a change of rows puts on record; None is a row that goes."""
        return [f"{self.row(key)}:{self.value(key, value) if value else ''}" for key, value in rows.items()]

    def row(self, key: tuple[Cell, ...]) -> str:
        """Which row it is."""
        return self._digest("row", key)

    def value(self, key: tuple[Cell, ...], value: tuple[Cell, ...]) -> str:
        """What the row holds."""
        return self._digest("value", (*key, *value))

    def change(self, change: Mapping[str, Any]) -> str:
        """The digest of all of a change, by which it can be proved."""
        return f"sha256:{hmac.digest(self._site_key, rfc8785.dumps(dict(change)), 'sha256').hex()}"

    def principal(self, name: str) -> str:
        """The digest of a principal in the ledger; empty where it has no key, and none is made."""
        if name not in self._known:
            found = self._subjects.digest(name) if self._create else self._subjects.find(name)
            self._known[name] = found or ""
        return self._known[name]

    def _digest(self, what: str, cells: Iterable[Cell]) -> str:
        message = rfc8785.dumps([what, *self._plain(cells)])
        return hmac.digest(self._key, message, "sha256").hex()[:_WIDTH]

    def _plain(self, cells: Iterable[Cell]) -> Iterator[str | bool | list[str]]:
        for cell in cells:
            if isinstance(cell, Personal):
                yield self.principal(cell)
            elif isinstance(cell, tuple):
                yield list(cell)
            else:
                yield cell if isinstance(cell, bool) else str(cell)


def changes(before: Rows, after: Rows) -> dict[tuple[Cell, ...], tuple[Cell, ...] | None]:
    """The rows that differ, as they are after."""
    found: dict[tuple[Cell, ...], tuple[Cell, ...] | None] = {
        key: value for key, value in after.items() if before.get(key) != value
    }
    found.update({key: None for key in before if key not in after})
    return found
