"""Rows as records; msgspec refuses what has another type, which `told` tells as damage."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

__all__ = ["record_of"]

T = TypeVar("T")


def record_of(row: Row[Any], kind: type[T], **more: Any) -> T:
    """A row whose columns are the record's fields, with what stands in other tables. Raises msgspec.MsgspecError."""
    columns = {str(name): value for name, value in row._mapping.items()}
    return msgspec.convert({**columns, **more}, kind)
