"""A condition evaluated in plain Python on one event: what the engines are held to. Regular expressions are RE2's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import re2

from strongroom.detect.rules._condition import (
    ANY_TEXT,
    SEPARATOR,
    And,
    Cidr,
    Compare,
    Exists,
    Keyword,
    Like,
    Match,
    Node,
    Not,
    Or,
    Regex,
    fold,
)

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def holds(node: Node, event: Mapping[str, str]) -> bool:
    """Whether a condition holds for an event with these fields; several values have SEPARATOR between them."""
    if isinstance(node, And):
        return all(holds(each, event) for each in node.of)
    if isinstance(node, Or):
        return any(holds(each, event) for each in node.of)
    if isinstance(node, Not):
        return not holds(node.of, event)
    if isinstance(node, Keyword):
        return any(
            like((ANY_TEXT, *node.parts, ANY_TEXT), value, node.cased)
            for text in event.values()
            for value in split(text)
        )
    if node.field not in event:
        return False
    if isinstance(node, Exists):
        return True
    return any(_value(node, value, event) for value in split(event[node.field]))


def split(text: str) -> list[str]:
    return text.split(SEPARATOR)


def _value(node: Any, value: str, event: Mapping[str, str]) -> bool:
    if isinstance(node, Match):
        return any(related(value if node.cased else fold(value), node.how, text) for text in node.values)
    if isinstance(node, Like):
        return like(node.parts, value, node.cased)
    if isinstance(node, Regex):
        return re2.search(node.pattern, value) is not None
    if isinstance(node, Cidr):
        return within(value, node.network)
    if isinstance(node, Compare):
        return compared(value, node)
    if node.other not in event:
        return False
    others = split(event[node.other])
    if not node.cased:
        value, others = fold(value), [fold(other) for other in others]
    return any(related(value, node.how, other) for other in others)


def related(value: str, how: str, other: str) -> bool:
    return {
        "equals": value == other,
        "startswith": value.startswith(other),
        "endswith": value.endswith(other),
        "contains": other in value,
    }[how]


def like(parts: tuple[str | int, ...], value: str, cased: bool) -> bool:
    pattern = "".join(
        re.escape(part) if isinstance(part, str) else (".*" if part == ANY_TEXT else ".") for part in parts
    )
    return re.fullmatch(pattern, value if cased else fold(value), re.DOTALL) is not None


def within(value: str, network: str) -> bool:
    address, mark, zone = value.partition("%")
    if mark and not (":" in address and re.fullmatch(r"[0-9A-Za-z._-]{1,64}", zone)):
        return False
    if ":" in address and "." in address:  # not looked into
        return False
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:
        return False


def compared(value: str, node: Compare) -> bool:
    if not NUMBER.fullmatch(value):
        return False
    number = float(value)
    return {
        "lt": number < node.number,
        "lte": number <= node.number,
        "gt": number > node.number,
        "gte": number >= node.number,
        "eq": number == node.number,
    }[node.operator]
