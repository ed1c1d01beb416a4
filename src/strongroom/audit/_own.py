"""The entries of a log that the site itself wrote about access, decoded for comparing. No IO."""

from __future__ import annotations

import msgspec

from ..core.clock import parse_time
from ._body import ACCESS

__all__ = ["ERASURE", "Event", "own_event"]

ERASURE = "strongroom.erasure/1"
OWN_WRITER = "strongroom"
"""What the site's own commands write as."""


class Event(msgspec.Struct, gc=False, frozen=True):
    """An access event as it stands in the log; what has another type than it must have makes it no event of ours."""

    time: str = ""
    principal: str = ""
    action: str = ""
    asset: str = ""
    asset_digest: str = ""
    outcome: str = ""
    reason: str = ""
    policy_ids: list[str] = []
    lease: str = ""
    purpose: str = ""
    bytes: int = 0
    source: str = ""
    request_digest: str = ""
    changed: list[str] = []

    @property
    def at(self) -> int:
        """Its time in microseconds since 1970; 0 when it cannot be read."""
        try:
            return parse_time(self.time)
        except (ValueError, OverflowError):
            return 0


class _Entry(msgspec.Struct, gc=False):
    type: str = ""
    writer: str = ""
    body: msgspec.Raw = msgspec.Raw(b"{}")


_entry = msgspec.json.Decoder(_Entry)
_event = msgspec.json.Decoder(Event)


def own_event(entry: bytes) -> Event | str | None:
    """An access event that the site wrote, or `ERASURE`; None for anything else."""
    try:
        head = _entry.decode(entry)
        if head.type == ERASURE:
            return ERASURE
        return _event.decode(head.body) if head.type == ACCESS and head.writer == OWN_WRITER else None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
