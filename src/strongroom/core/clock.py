"""Time as an argument: RFC 3339 in UTC with `Z` and milliseconds outside, microseconds since 1970 inside.

>>> format_time(parse_time("2026-11-01T10:30:00.1239+01:00"))
'2026-11-01T09:30:00.123Z'
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .errors import UsageError

__all__ = ["Clock", "format_time", "now", "parse_duration", "parse_time"]

Clock = Callable[[], int]
"""Returns microseconds since 1970-01-01T00:00:00Z."""

MAX_DURATION = 100 * 366 * 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def now() -> int:
    """Microseconds since 1970, from this machine's clock. Only the outermost layer calls it."""
    return (datetime.now(UTC) - _EPOCH) // _MICROSECOND


def parse_time(text: str) -> int:
    """RFC 3339 text, or a date alone (its first instant in UTC), to microseconds since 1970.

    Raises ValueError for anything else; a time without an offset is taken as UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def format_time(time_us: int) -> str:
    """Microseconds since 1970 to RFC 3339 UTC with `Z` and milliseconds (cut, not rounded)."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_duration(text: str) -> int:
    """`90d`, `12h`, `2w` to microseconds. Raises UsageError.

    >>> parse_duration("1h") // 1_000_000
    3600
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"'{text}' is not a duration", next="write a number and s, m, h, d or w, such as 90d")
    seconds = int(match[1][:12]) * _UNIT_SECONDS[match[2]]
    if len(match[1]) > 12 or seconds > MAX_DURATION:
        raise UsageError(f"'{text[:40]}' is too long", next="a hundred years are the longest duration")
    return seconds * 1_000_000
