"""What a rule asks of one event, as a small tree that is stored as JSON and evaluated by any engine.

Leaves ask for a field by the name that the log gives it. A field may have several values (`SEPARATOR` stands between
them in the table); a leaf holds where one of them does. A field that is missing makes every leaf but `Not` false.
Letters of either case are equal unless `cased`.

>>> decode(encode(Not(Match("eventName", "startswith", ("Get",)))))
Not(of=Match(field='eventName', how='startswith', values=('Get',), cased=False))
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

__all__ = [
    "ANY_CHARACTER",
    "ANY_TEXT",
    "SEPARATOR",
    "And",
    "Cidr",
    "Compare",
    "Exists",
    "How",
    "Keyword",
    "Like",
    "Match",
    "Node",
    "Not",
    "Or",
    "Regex",
    "SameAs",
    "decode",
    "encode",
    "fold",
    "leaves",
]

SEPARATOR = "\x1f"
"""Between the values of a field that has several."""

How = Literal["equals", "startswith", "endswith", "contains"]
Operator = Literal["lt", "lte", "gt", "gte", "eq"]

ANY_TEXT = 0
"""In `Like.parts`: any characters, or none (Sigma's `*`)."""
ANY_CHARACTER = 1
"""In `Like.parts`: one character (Sigma's `?`)."""


class _Node(msgspec.Struct, frozen=True, tag_field="is"):
    """Common to all."""


class And(_Node, frozen=True, tag="and"):
    """Every one holds."""

    of: tuple[Node, ...]


class Or(_Node, frozen=True, tag="or"):
    """One holds."""

    of: tuple[Node, ...]


class Not(_Node, frozen=True, tag="not"):
    """It does not hold, also because a field is missing."""

    of: Node


class Match(_Node, frozen=True, tag="match", omit_defaults=True):
    """A value of the field is, begins with, ends with or contains one of `values`."""

    field: str
    how: How
    values: tuple[str, ...]
    cased: bool = False


class Like(_Node, frozen=True, tag="like", omit_defaults=True):
    """A value of the field is a text with wildcards between its letters."""

    field: str
    parts: tuple[str | int, ...]
    """Text, ANY_TEXT or ANY_CHARACTER."""
    cased: bool = False


class Regex(_Node, frozen=True, tag="regex"):
    """A regular expression is found in a value of the field, anywhere in it. Both engines read `pattern` alike."""

    field: str
    pattern: str


class Cidr(_Node, frozen=True, tag="cidr"):
    """A value of the field is an address in a network."""

    field: str
    network: str


class Compare(_Node, frozen=True, tag="compare"):
    """A value of the field is a number, and less or more than another."""

    field: str
    operator: Operator
    number: int | float


class Exists(_Node, frozen=True, tag="exists"):
    """The record has the field, and not as null."""

    field: str


class SameAs(_Node, frozen=True, tag="same_as", omit_defaults=True):
    """A value of the field is, begins with, ends with or contains a value of another field of the event."""

    field: str
    how: How
    other: str
    cased: bool = False


class Keyword(_Node, frozen=True, tag="keyword", omit_defaults=True):
    """Some value of the event contains a text, with wildcards or without."""

    parts: tuple[str | int, ...]
    cased: bool = False


Leaf = Match | Like | Regex | Cidr | Compare | Exists | SameAs | Keyword
Node = And | Or | Not | Leaf
HOWS: tuple[How, ...] = get_args(How)

_encode = msgspec.json.Encoder(order="deterministic").encode
_DECODER: msgspec.json.Decoder[Node] = msgspec.json.Decoder(Node)


def encode(node: Node) -> bytes:
    """A condition as JSON."""
    return _encode(node)


def decode(raw: bytes) -> Node:
    """The condition in JSON that `encode` made. Raises msgspec.DecodeError."""
    return _DECODER.decode(raw)


def leaves(node: Node) -> Iterator[Leaf]:
    """All leaves, left to right."""
    if isinstance(node, And | Or):
        for inner in node.of:
            yield from leaves(inner)
    elif isinstance(node, Not):
        yield from leaves(node.of)
    else:
        yield node


def fold(text: str) -> str:
    """Text in which letters of either case are equal, letter by letter as DuckDB's `lower` makes it.

    >>> fold("İΣẞK")
    'iσßk'
    """
    return text.lower() if text.isascii() else "".join(letter.lower()[:1] for letter in text)
