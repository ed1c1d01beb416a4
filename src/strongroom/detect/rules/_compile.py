"""Conditions to Ibis expressions over `access_events`, the same for DuckDB and Spark.

An expression is never null: a leaf whose field is missing is false, and `Not` of it is true. Fields are looked up in
the columns first (`strongroom.store.FIELD_COLUMNS`), then in the map `fields`; `strongroom.<column>` names a column
by itself. The map is the dear part of a row, so `plain` makes of a condition what it needs of the columns alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

from strongroom.store import ACCESS_EVENTS, FIELD_COLUMNS

from ._cidr import network_regex
from ._condition import (
    ANY_CHARACTER,
    SEPARATOR,
    And,
    Cidr,
    Compare,
    Exists,
    How,
    Keyword,
    Leaf,
    Like,
    Match,
    Node,
    Not,
    Or,
    Regex,
    SameAs,
    leaves,
)

__all__ = ["OWN", "Event", "any_of", "column_of", "columns_of", "plain"]

OWN = "strongroom."
"""Before the name of a column of `access_events`, where a rule asks for it by that name and not by the log's."""

_TEXT_COLUMNS = frozenset(field.name for field in ACCESS_EVENTS if field.type == "string")
_LOWER = "lower_"
_NUMBER = r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?\z"
_ESCAPED = frozenset(r"\.+*?()|[]{}^$")


def column_of(log: tuple[str, str], field: str) -> str | None:
    """The column that has a field of a log, or None when only the map can have it. Raises KeyError for a column that
    there is not."""
    if field.startswith(OWN):
        name = field.removeprefix(OWN)
        if name not in _TEXT_COLUMNS:
            raise KeyError(name)
        return name
    return FIELD_COLUMNS.get(log, {}).get(field)


class Event:
    """The fields of one log's events, as expressions over a table, and conditions over them."""

    def __init__(self, table: Any, log: tuple[str, str]) -> None:
        """`table`: an Ibis table with the columns of ACCESS_EVENTS, or what `lowered` made of one; `log`: product and
        service."""
        self._table = table
        self._log = log

    @classmethod
    def lowered(cls, table: Any, log: tuple[str, str]) -> Event:
        """With the log's columns also in lower case: many conditions ask for these, and it is made once."""
        columns = FIELD_COLUMNS.get(log, {}).values()
        return cls(table.mutate(**{_LOWER + column: table[column].lower() for column in columns}), log)

    @property
    def table(self) -> Any:
        """The Ibis table that the expressions are over."""
        return self._table

    def text(self, field: str) -> Any:
        """The field as the record has it; null where it is missing."""
        column = column_of(self._log, field)
        return self._table.fields.get(field) if column is None else self._table[column].nullif("")

    def _folded(self, field: str) -> Any:
        """The same in lower case."""
        column = column_of(self._log, field)
        if column is not None and _LOWER + column in self._table.columns:
            return self._table[_LOWER + column].nullif("")
        return self.text(field).lower()

    def holds(self, condition: Node) -> Any:
        """Where a condition holds: a boolean expression that is never null."""
        import ibis

        return ibis.coalesce(self._node(condition, negated=False), False)

    def _node(self, node: Node, *, negated: bool) -> Any:
        import ibis

        if isinstance(node, And):
            return _balanced(lambda a, b: a & b, [self._node(each, negated=negated) for each in node.of])
        if isinstance(node, Or):
            return any_of([self._node(each, negated=negated) for each in node.of])
        if isinstance(node, Not):
            return ~self._node(node.of, negated=True)
        made = self._leaf(node)
        # Null counts as false where nothing negates it: and, or and the root's coalesce keep it so.
        return ibis.coalesce(made, False) if negated else made

    def _leaf(self, node: Leaf) -> Any:
        if isinstance(node, Keyword):
            return self._everything(node.cased).re_search(_like(node.parts))
        if isinstance(node, Match | Like):
            return self._text_leaf(node)
        many = column_of(self._log, node.field) is None
        value = self.text(node.field)
        if isinstance(node, Exists):
            return value.notnull()
        if isinstance(node, Regex | Cidr):
            pattern = node.pattern if isinstance(node, Regex) else network_regex(node.network)
            return _each(value, many, lambda one: one.re_search(pattern))
        if isinstance(node, Compare):
            return _each(value, many, lambda one: _compared(one, node))
        return self._same(node, value, many)

    def _text_leaf(self, node: Match | Like) -> Any:
        value = self.text(node.field) if node.cased else self._folded(node.field)
        if isinstance(node, Like):
            return value.re_search(rf"(?:\A|\x1f){_like(node.parts)}(?:\x1f|\z)")
        return any_of(list(_matches(value, node, column_of(self._log, node.field) is None)))

    def _same(self, node: SameAs, value: Any, many: bool) -> Any:
        other = self.text(node.other)
        if not node.cased:
            value, other = value.lower(), other.lower()
        others = column_of(self._log, node.other) is None
        return _each(value, many, lambda one: _each(other, others, lambda its: _related(one, node.how, its)))

    def _everything(self, cased: bool) -> Any:
        """All values of the record, with SEPARATOR between."""
        import ibis

        columns = [self._table[name].fill_null("") for name in dict.fromkeys(FIELD_COLUMNS.get(self._log, {}).values())]
        values = self._table.fields.values().join(SEPARATOR).fill_null("")
        joined = reduce(lambda before, value: before + ibis.literal(SEPARATOR) + value, columns, values)
        return joined if cased else joined.lower()


def any_of(conditions: Sequence[Any]) -> Any:
    """Where one of the boolean expressions holds; false when there is none."""
    import ibis

    return _balanced(lambda a, b: a | b, conditions) if conditions else ibis.literal(False)


def _balanced(join: Callable[[Any, Any], Any], items: Sequence[Any]) -> Any:
    """Joined as a balanced tree: a hundred in a row would nest deeper than SQL's parsers like."""
    items = list(items)
    while len(items) > 1:
        pairs = [join(*items[i : i + 2]) for i in range(0, len(items) - 1, 2)]
        items = pairs + items[2 * len(pairs) :]
    return items[0]


def _matches(value: Any, node: Match, many: bool) -> Iterable[Any]:
    """Without splitting: where a field has several values, SEPARATOR stands at their ends."""
    if node.how == "equals":
        # Not `isin`: of five values on, DuckDB makes a join of it, through which the map of every row is copied.
        yield from (value == text for text in node.values)
        if many:
            wrapped = SEPARATOR + value + SEPARATOR
            yield value.contains(SEPARATOR) & any_of(
                [wrapped.contains(SEPARATOR + text + SEPARATOR) for text in node.values]
            )
    for text in node.values if node.how != "equals" else ():
        if node.how == "contains":
            yield value.contains(text)
        elif node.how == "startswith":
            yield value.startswith(text)
            if many:
                yield value.contains(SEPARATOR + text)
        else:
            yield value.endswith(text)
            if many:
                yield value.contains(text + SEPARATOR)


def _each(value: Any, many: bool, test: Callable[[Any], Any]) -> Any:
    """Where a test holds for one of a field's values. Few have several, so that the dear way is seldom gone."""
    import ibis

    if not many:
        return test(value)
    one_of = value.split(SEPARATOR).filter(test).length() > 0
    return ibis.ifelse(value.contains(SEPARATOR), one_of, test(value))


def _compared(value: Any, node: Compare) -> Any:
    # Engines take different texts for numbers, so the pattern decides what is one.
    number = value.try_cast("float64")
    return (
        value.re_search(_NUMBER)
        & {
            "lt": lambda: number < node.number,
            "lte": lambda: number <= node.number,
            "gt": lambda: number > node.number,
            "gte": lambda: number >= node.number,
            "eq": lambda: number == node.number,
        }[node.operator]()
    )


def _related(value: Any, how: How, other: Any) -> Any:
    if how == "equals":
        return value == other
    return {"startswith": value.startswith, "endswith": value.endswith, "contains": value.contains}[how](other)


def _like(parts: Sequence[str | int]) -> str:
    """Text with wildcards as a regular expression within one value."""
    made = []
    for part in parts:
        if isinstance(part, str):
            made.append("".join(f"\\{letter}" if letter in _ESCAPED else letter for letter in part))
        else:
            made.append(r"[^\x1f]" if part == ANY_CHARACTER else r"[^\x1f]*")
    return "".join(made)


# What a condition needs of the columns alone


def plain(node: Node, log: tuple[str, str], only: frozenset[str] = _TEXT_COLUMNS) -> Node | bool:
    """A condition over columns only, and of these over `only`, that holds wherever `node` does; True when it needs
    nothing of them, False when it never holds."""
    return _bound(node, log, only, upper=True)


def _bound(node: Node, log: tuple[str, str], only: frozenset[str], *, upper: bool) -> Node | bool:
    """The narrowest condition over columns above `node`, or the widest below it. Under `Not` they change places."""
    if isinstance(node, Not):
        inner = _bound(node.of, log, only, upper=not upper)
        return (not inner) if isinstance(inner, bool) else Not(inner)
    if not isinstance(node, And | Or):
        return node if columns_of(node, log) <= only else upper
    parts = [_bound(each, log, only, upper=upper) for each in node.of]
    settles = isinstance(node, Or)  # a True settles an Or, a False an And
    kept = tuple(part for part in parts if not isinstance(part, bool))
    if any(part is settles for part in parts):
        return settles
    if len(kept) < 2:
        return kept[0] if kept else not settles
    return Or(kept) if isinstance(node, Or) else And(kept)


def columns_of(node: Node, log: tuple[str, str]) -> frozenset[str | None]:
    """The columns that a condition asks for, and None where it asks for the map."""
    found: set[str | None] = set()
    for leaf in leaves(node):
        if isinstance(leaf, Keyword):
            found.add(None)
            continue
        found.add(column_of(log, leaf.field))
        if isinstance(leaf, SameAs):
            found.add(column_of(log, leaf.other))
    return frozenset(found)
