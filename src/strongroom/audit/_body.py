"""The body of an access entry as it stands in a log, where somebody else wrote it. No IO.

Reading is lenient, because a log cannot be mended: what has another type than it must have counts as empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..core.clock import parse_time

__all__ = ["ACCESS", "access_body", "text_of", "time_of"]

ACCESS = "strongroom.access/1"


class _Head(msgspec.Struct, gc=False):
    type: str = ""
    body: msgspec.Raw = msgspec.Raw(b"{}")


_head = msgspec.json.Decoder(_Head)


def access_body(entry: bytes) -> dict[str, Any] | None:
    """The body of an access entry; None for an entry that is something else.

    >>> access_body(b'{"type": "strongroom.access/1", "body": {"asset": "acme/m"}}')
    {'asset': 'acme/m'}
    >>> access_body(b'{"type": "strongroom.lease/1", "body": {"asset": "acme/m"}}')
    """
    try:
        head = _head.decode(entry)
        if head.type != ACCESS:
            return None
        body = msgspec.json.decode(head.body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return body if isinstance(body, dict) else {}


def text_of(body: Mapping[str, Any], field: str) -> str:
    """A field that should be text; empty when it is not."""
    value = body.get(field)
    return value if isinstance(value, str) else ""


def time_of(body: Mapping[str, Any]) -> int | None:
    """The event's time in microseconds since 1970; None when it cannot be read."""
    try:
        return parse_time(text_of(body, "time"))
    except (ValueError, OverflowError):
        return None
