"""Times as logs write them, to microseconds since 1970.

>>> microseconds("2026-11-01T10:30:00.5+01:00") == microseconds(1793525400.5) == 1793525400500000
True
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from strongroom.core.errors import RecordError

__all__ = ["EARLIEST", "LATEST", "microseconds", "microseconds_or_absent"]

EARLIEST = 1_420_070_400_000_000
"""2015-01-01; an earlier time is a default or a fault, not the time of an exchange with a model."""
LATEST = 4_102_444_800_000_000
"""2100-01-01."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,3})?")
_NGINX = re.compile(r"\d{2}/[A-Za-z]{3}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}")
# (below this, the factor to microseconds): seconds, milliseconds, microseconds, then nanoseconds
_MAGNITUDES = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))


def microseconds(value: object) -> int:
    """A time in any usual spelling to microseconds since 1970.

    Text is RFC 3339 with any offset (UTC where it has none), nginx's `01/Nov/2026:09:30:00 +0000`, or a
    number; numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told by magnitude.
    Raises RecordError: "time out of range" before 2015 or after 2100 and for what is no time at all,
    "wrong type" for other JSON types.
    """
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            since = moment - _EPOCH
        except (ValueError, OverflowError):
            return _unusual(value)
        time = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        time = _from_number(value)
    else:
        raise RecordError("wrong type", "time is neither text nor a number")
    if EARLIEST <= time < LATEST:
        return time
    raise RecordError("time out of range", "the time is not between 2015 and 2100")


def microseconds_or_absent(value: object) -> int:
    """The same for a time that only adds to a record: -1 where there is none that can be used."""
    if value is None:
        return -1
    try:
        return microseconds(value)
    except RecordError:
        return -1


def _from_number(value: float) -> int:
    if not -1e19 < value < 1e19:  # also what is no number, and what no float holds
        return -1
    for limit, factor in _MAGNITUDES:
        if value < limit:
            return round(value * factor)
    return int(value) // 1000


def _unusual(text: str) -> int:
    """What `fromisoformat` does not know: numbers in text, leap seconds, a trailing "UTC", nginx."""
    text = text.strip()[:64]
    if _NUMBER.fullmatch(text):
        return microseconds(float(text) if "." in text or "e" in text.lower() else int(text))
    if _NGINX.fullmatch(text):
        try:
            return microseconds(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").isoformat())
        except ValueError:
            pass
    elif text.endswith((" UTC", " GMT")):
        return microseconds(text[:-4] + "Z")
    elif text[16:19] == ":60":
        return microseconds(text[:17] + "59" + text[19:]) + 1_000_000
    raise RecordError("time out of range", "the text is not a time")
