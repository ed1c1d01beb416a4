"""What a report shows beside the verdict: how it was reached, and what the pictures need. Not a contract."""

from __future__ import annotations

import msgspec

__all__ = ["Circumstances", "InputFile", "Link", "Picture", "Truth"]


class InputFile(msgspec.Struct, frozen=True):
    """One input that was read."""

    path: str
    format: str
    """The reader's name; empty when nothing could be recognised."""
    records: int
    """Records read, the skipped ones included."""
    new: int
    """Records that were not in the store before."""
    skipped: int
    bytes: int
    reason: str = ""
    """Why it could not be read, or not to its end."""


class Link(msgspec.Struct, frozen=True):
    """One pair of accounts and what ties them. Only the strongest links of a campaign are kept."""

    a: str
    b: str
    kind: str
    """`address`, `payment`, `template`, `distribution`, … as in Evidence.kind."""
    weight: float
    """From 0 to 1."""


class Picture(msgspec.Struct, frozen=True):
    """What is drawn for one campaign."""

    campaign: str
    links: list[Link]
    per_day: list[int]
    """The campaign's exchanges on each day of `Circumstances.days`."""
    accounts_per_day: list[int]
    """Its active accounts on each day."""
    neighbours: list[str] = []
    """Accounts outside the campaign that appear in `links`: looked at, and not part of it."""


class Truth(msgspec.Struct, frozen=True):
    """In the demo and in drills only: what the simulator did."""

    campaign_accounts: list[str]
    description: str
    found: int
    """Campaign accounts in reported campaigns."""
    reported: int
    """All accounts in reported campaigns."""
    intruders: list[str] = []
    """Principals of the simulated intrusion."""
    intruders_found: int = 0
    """Of these, those that an alert names."""
    other_alerts: int = 0
    """Alerts in access events that name none of them."""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """How the verdict was reached."""

    created: str
    """RFC 3339."""
    version: str
    command: str
    """The command line, to repeat it; holds no secret."""
    inputs: list[InputFile]
    rejects_file: str
    """Where the place of each rejected record stands; empty when none was rejected."""
    days: list[str]
    """Dates, ISO 8601, oldest first; at most 400."""
    exchanges_per_day: list[int]
    """All traffic that was examined."""
    seconds: float
    site: str
    """The site's directory, or empty when the hunt worked in a temporary one."""
    pictures: list[Picture]
    truth: Truth | None = None
