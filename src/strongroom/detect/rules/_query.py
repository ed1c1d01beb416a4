"""Many conditions in one expression: few passes over the events of a log, and the map `fields` is read for few.

The map is nine tenths of a row, and engines read it in blocks of rows or not at all. So conditions go in passes: those
over columns only, which never read it, and the rest, where blocks without the operations that all of them name are not
read. In each pass, rows that no condition can want are left out by columns alone, and a condition is asked behind what
it needs of the columns, so that fields are taken out of the map only where that holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._compile import Event, any_of, columns_of, plain
from ._condition import Node

__all__ = ["CONDITIONS_AT_ONCE", "Log", "hits", "logs_present", "of_log", "passes"]

CONDITIONS_AT_ONCE = 250
"""Conditions of one pass over a log; more make several passes, because engines plan ever longer for one."""

Log = tuple[str, str]
"""Product and service."""

_OPERATION = frozenset({"operation"})


def passes(log: Log, asked: Sequence[Node], reads_map: Sequence[bool]) -> list[list[int]]:
    """Indexes of the conditions of each pass. `reads_map`: whether what is shown of a hit of each needs the map."""
    by_columns: list[int] = []
    rest: list[int] = []
    for i, (condition, reads) in enumerate(zip(asked, reads_map, strict=True)):
        needs_map = reads or None in columns_of(condition, log)
        (rest if needs_map else by_columns).append(i)
    groups = [by_columns, rest]
    size = CONDITIONS_AT_ONCE
    return [group[first : first + size] for group in groups for first in range(0, len(group), size)]


def logs_present(table: Any) -> Any:
    """An expression for the distinct (product, service) of a table."""
    return table.select("product", "service").distinct()


def of_log(table: Any, log: Log) -> Any:
    """The events of one log."""
    return table.filter(table.product == log[0], table.service == log[1])


def hits(table: Any, log: Log, asked: Sequence[Node], fields: Mapping[str, str], kept: Sequence[str]) -> Any:
    """The events of a log in which one of the conditions holds.

    The expression has the columns `kept`, one boolean `hit<i>` per condition, and for each name in `fields` the text
    of the field that it stands for.
    """
    table = of_log(table, log)
    # By the operation alone first: what asks for one column, DuckDB asks while it reads, before it reads the others.
    for only in (_OPERATION, None):
        needs = [plain(each, log, only) if only else plain(each, log) for each in asked]
        if True not in [each for each in needs if isinstance(each, bool)]:
            event = Event(table, log)
            table = table.filter(
                any_of([event.holds(each) for each in dict.fromkeys(needs) if not isinstance(each, bool)])
            )
    event = Event.lowered(table, log)
    made = {f"hit{i}": _guarded(event, log, condition) for i, condition in enumerate(asked)}
    made |= {name: event.text(field) for name, field in fields.items()}
    found = event.table.select(*kept, **made)
    return found.filter(any_of([found[f"hit{i}"] for i in range(len(asked))]))


def _guarded(event: Event, log: Log, condition: Node) -> Any:
    """The condition behind what it needs of the columns. A case is evaluated for the rows that come to it only."""
    import ibis

    needs = plain(condition, log)
    if isinstance(needs, bool):
        return event.holds(condition) if needs else ibis.literal(False)
    return event.holds(needs) if needs == condition else ibis.ifelse(event.holds(needs), event.holds(condition), False)
