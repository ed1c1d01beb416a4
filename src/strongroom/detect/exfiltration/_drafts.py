"""A signal before the engine is asked for its examples, and how severe it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from strongroom.core.assets import Asset, format_size
from strongroom.core.clock import format_time
from strongroom.core.records import Strength
from strongroom.detect.signals import SEVERITIES, Phase, Severity

from ._exact import Peak

__all__ = ["Draft", "Events", "Reason", "lasting", "models_too", "percent", "raised", "share_text"]

Events = Literal["reads", "keys", "releases", "copies"]
Reason = tuple[str, str, Strength]
"""Kind, sentence and strength of a piece of evidence."""


@dataclass(frozen=True)
class Draft:
    """One observation about one principal and one asset."""

    kind: str
    title: str
    asset: Asset
    principal: str
    severity: Severity
    confidence: float
    techniques: list[str]
    phase: Phase
    first: int
    last: int
    events: int
    why: str
    reasons: list[Reason]
    recommended: list[str]
    of: Events = "reads"
    """Which events are its examples."""
    network: str = ""
    """Only those from here; empty: any."""
    addresses: frozenset[str] = field(default_factory=frozenset)
    """Beside those of its events."""


def raised(severity: Severity, asset: Asset) -> Severity:
    """A severity for a `restricted` asset, one higher for the crown's and one lower for an internal one.

    What is low stays so: that an asset is dear makes nothing surer.
    """
    if severity in ("informational", "low"):
        return severity
    step = {"crown": 1, "internal": -1}.get(asset.classification, 0)
    at = SEVERITIES.index(severity) + step
    return SEVERITIES[max(0, min(at, len(SEVERITIES) - 1))]


def models_too(techniques: list[str], asset: Asset) -> list[str]:
    """With ATLAS's exfiltration where it is a model that leaves."""
    return [*techniques, "AML.T0025"] if asset.kind == "model" else techniques


def percent(share: float) -> str:
    """A share as people read it: whole percents, and none that is 0 or 100 by rounding.

    >>> percent(0.984), percent(0.999), percent(0.001), percent(0)
    ('98 %', 'over 99 %', 'under 1 %', '0 %')
    """
    rounded = round(100 * share)
    if 0 < share < 1 and rounded in (0, 100):
        return "over 99 %" if rounded else "under 1 %"
    return f"{rounded} %"


def lasting(microseconds: int) -> str:
    """A duration in its two largest units, from days to minutes.

    >>> lasting(11_400_000_000), lasting(30_000_000), lasting(90_000_000_000)
    ('3 h 10 min', '1 min', '1 d 1 h')
    """
    minutes = max(1, round(microseconds / 60_000_000))
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min"


def share_text(peak: Peak, known: int, size: int) -> str:
    """What was read in a window, and when.

    `size` is the asset's in bytes where the share is of bytes, else 0.
    """
    parts = f"read {peak.objects:,} of {known:,} objects, {percent(peak.share)}"
    if size:
        parts += f" of {format_size(size)}"
    elif peak.bytes:
        parts += f" of those known ({format_size(peak.bytes)})"
    else:
        parts += " of those known"
    return f"{parts}, in {lasting(peak.last - peak.first)} from {format_time(peak.first)}"
