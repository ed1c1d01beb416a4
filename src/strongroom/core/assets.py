"""The record of an asset: a model, dataset, training environment or endpoint, and where it lies.

>>> check_asset(Asset(name="acme/llama:70b", kind="model", classification="crown", places=["s3://acme-weights/llama/"])).name
'acme/llama:70b'
>>> parse_size("1.5TiB"), parse_size("140GB"), format_size(140 * 10**9)
(1649267441664, 140000000000, '140 GB')
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

import msgspec

from .errors import StrongroomError, UsageError
from .ids import check_asset_name, check_digest
from .places import check_text, patterns

__all__ = [
    "CLASSIFICATIONS",
    "KINDS",
    "MAX_NOTE_BYTES",
    "MAX_PLACES",
    "MAX_SIZE",
    "Asset",
    "Classification",
    "Kind",
    "check_asset",
    "format_size",
    "parse_size",
]

Kind = Literal["model", "dataset", "environment", "endpoint"]
KINDS: tuple[Kind, ...] = ("model", "dataset", "environment", "endpoint")
Classification = Literal["public", "internal", "restricted", "crown"]
CLASSIFICATIONS: tuple[Classification, ...] = ("public", "internal", "restricted", "crown")
"""From what anybody may have to what would end the company's lead if it were taken."""

MAX_PLACES = 64
"""Of one asset."""
MAX_NOTE_BYTES = 2_000
MAX_SIZE = 2**63 - 1
"""In bytes."""

_SIZE = re.compile(r"([0-9]{1,19})(\.[0-9]{1,9})?\s*((?:[kKMGTPE]i?)?B)?")
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


class Asset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asset v1: what is guarded, how dear it is, and where it lies."""

    version: int = 1
    name: str
    """`org/name`, or `org/name:tag`."""
    kind: Kind = "model"
    classification: Classification = "restricted"
    size: int = -1
    """In bytes; -1: unknown."""
    digest: str = ""
    """Of its manifest: `sha256:…` or `blake3:…`; empty: unknown."""
    places: list[str]
    """Where it lies, each as `strongroom.core.places` reads it."""
    note: str = ""


def check_asset(asset: Asset) -> Asset:
    """Returns `asset` if all of it can be. Raises RefusedError for its name, UsageError for anything else."""
    check_asset_name(asset.name)
    if asset.version != 1:
        raise UsageError(
            f"version {asset.version} of an asset is not known here", next="write 1, or upgrade Strongroom"
        )
    if asset.kind not in KINDS:
        raise UsageError(f"'{asset.kind[:40]}' is no kind of asset", next=f"write {' or '.join(KINDS)}")
    if asset.classification not in CLASSIFICATIONS:
        raise UsageError(
            f"'{asset.classification[:40]}' is no classification", next=f"write {' or '.join(CLASSIFICATIONS)}"
        )
    if not -1 <= asset.size <= MAX_SIZE:
        raise UsageError(f"{asset.size} is no size in bytes", next="write a whole number; leave it out when unknown")
    if asset.digest:
        try:
            check_digest(asset.digest)
        except StrongroomError as error:
            raise UsageError(error.message, next=error.next) from None
    check_text(asset.note, "a note", MAX_NOTE_BYTES)
    if not 0 < len(asset.places) <= MAX_PLACES:
        raise UsageError(f"an asset has 1 to {MAX_PLACES} places, not {len(asset.places):,}")
    seen: dict[str, str] = {}
    for place in asset.places:
        own = patterns(place)[0]
        if own in seen:
            raise UsageError(f"the places '{seen[own][:120]}' and '{place[:120]}' are the same", next="leave one out")
        seen[own] = place
    return asset


def parse_size(text: str) -> int:
    """`140GB`, `1.5TiB`, or a number of bytes. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"'{text[:40]}' is no size", next="write 140GB, 1.5TiB, or a number of bytes")
    unit = match[3] or "B"
    power = "BKMGTPE".index(unit[0].upper())
    size = Fraction(match[1] + (match[2] or "")) * (1024 if "i" in unit else 1000) ** power
    if size.denominator != 1 or size > MAX_SIZE:
        raise UsageError(f"'{text[:40]}' is no whole number of bytes, or too many", next="write 140GB or 1.5TiB")
    return int(size)


def format_size(size: int) -> str:
    """A size in bytes as people read it, three digits; `unknown` for -1."""
    if size < 1000:
        return "unknown" if size < 0 else f"{size} B"
    power = (len(str(size)) - 1) // 3
    return f"{float(f'{size / 1000**power:.3g}'):g} {_UNITS[power - 1]}"
