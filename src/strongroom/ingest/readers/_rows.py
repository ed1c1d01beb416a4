"""Records that hold several exchanges or access events, of which one may be bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from strongroom.core.errors import RecordError

__all__ = ["each"]

Row = TypeVar("Row")
"""Exchange or LoggedAccess."""


def each(rows: Iterable[Any], read: Callable[[dict[str, Any]], Iterable[Row]]) -> Iterator[Row]:
    """What is read of every row that is good, then the first row's error, so that one spoils no others.

    Raises RecordError after the last good one.
    """
    failed: RecordError | None = None
    for row in rows:
        try:
            if not isinstance(row, dict):
                raise RecordError("wrong type", "a row is not a JSON object")
            yield from read(row)
        except RecordError as error:
            failed = failed or error
        except RecursionError:
            failed = failed or RecordError("nested too deep")
    if failed is not None:
        raise failed
