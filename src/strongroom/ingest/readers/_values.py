"""Values as logs write them: names, counts, settings of a request, secrets."""

from __future__ import annotations

import math
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import whole_number

__all__ = ["MAX_NAME", "count", "limit", "temperature", "tidy", "wants_logprobs"]

MAX_NAME = 1024
"""Characters kept of an account, an address, a model name …; clients choose some of them."""

_TEXTS = ("text", "system")
_NAMES = tuple(
    name for name in Exchange.__struct_fields__ if Exchange.__annotations__[name] == "str" and name not in _TEXTS
)


def tidy(exchange: Exchange) -> Exchange:
    """Puts a space where a text or name holds NUL (many stores end there) and cuts names to MAX_NAME."""
    for name in _TEXTS:
        text = getattr(exchange, name)
        if "\0" in text:
            setattr(exchange, name, text.replace("\0", " "))
    for name in _NAMES:
        text = getattr(exchange, name)
        if "\0" in text or len(text) > MAX_NAME:
            setattr(exchange, name, text[:MAX_NAME].replace("\0", " "))
    return exchange


def count(value: Any, name: str) -> int:
    """A number that the provider's side wrote: -1 when absent; `12`, `12.0`, `"12"` are one.

    Raises RecordError when it is no number, negative or absurd.
    """
    if value is None or value == "":
        return -1
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise RecordError("wrong type", f"{name} is not a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordError("wrong type", f"{name} is not a number")
    return whole_number(value, name)


def limit(value: Any) -> int:
    """`max_tokens` of a request: -1 when absent or useless.

    The client writes it, so that nothing in it may cost the record its place: some send -1 for "no limit".
    """
    number = _number(value)
    return int(number) if 0 <= number <= 1 << 40 else -1


def temperature(value: Any) -> float:
    """`temperature` of a request, which the client writes: -1.0 when absent or useless."""
    number = _number(value)
    return number if 0 <= number <= 1000 else -1.0


def wants_logprobs(logprobs: Any, top_logprobs: Any = None) -> bool:
    """Whether the request asked for token log-probabilities: `true`, or a number of alternatives."""
    return any(value is True or value == "true" or _number(value) > 0 for value in (logprobs, top_logprobs))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return -1.0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return -1.0
    return number if math.isfinite(number) else -1.0
