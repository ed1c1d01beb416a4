"""Rows as records, and conditions of statements.

msgspec refuses what has another type, which `told` tells as damage. Statements that decide an opening are made once,
when their module is imported: making one takes five times as long as running it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Row, and_, bindparam

__all__ = ["equal", "record_of"]

T = TypeVar("T")


def equal(*columns: Column[Any]) -> ColumnElement[bool]:
    """Each is what the parameter `of_` and its name says."""
    return and_(*(column == bindparam(f"of_{column.name}") for column in columns))


def record_of(row: Row[Any], kind: type[T], **more: Any) -> T:
    """A row whose columns are the record's fields, with what stands in other tables. Raises msgspec.MsgspecError."""
    columns = {str(name): value for name, value in row._mapping.items()}
    return msgspec.convert({**columns, **more}, kind)
