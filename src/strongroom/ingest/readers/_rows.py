"""Records that hold several exchanges, of which one may be bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange

__all__ = ["each"]


def each(rows: Iterable[Any], read: Callable[[dict[str, Any]], Iterable[Exchange]]) -> Iterator[Exchange]:
    """The exchanges of every row that is good, then the first row's error, so that one spoils no others.

    Raises RecordError after the last good exchange.
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
