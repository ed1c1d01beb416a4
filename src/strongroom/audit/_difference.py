"""Where the tables and the ledger say different things."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ..state import Cell

__all__ = ["MAX_DIFFERENCES", "Comparison", "Difference"]

MAX_DIFFERENCES = 1000
"""That are told; then they are counted."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One row, or one entry, that the other side does not bear out."""

    kind: str
    """`lease`, `budget`, `approval`, `sealer`, `clock`, or which kind of row `Administer` changes."""
    row: str
    """What people call it."""
    what: str
    entry: int = -1
    """The ledger's entry that it is compared with; -1 where there is none."""
    next: str
    """The command that mends it."""
    sure: bool = True
    """False: what a crash between the ledger and the tables, or an older Strongroom, leaves looks the same."""


@dataclass
class Comparison:
    """What was compared, and what differs."""

    entries: int = 0
    events: int = 0
    """Of the entries, those about access that the site wrote."""
    differences: list[Difference] = field(default_factory=list)
    more: int = 0
    """Differences beyond those that are listed."""
    rows: dict[tuple[Cell, ...], tuple[Cell, ...]] = field(default_factory=dict)
    """Rows that no entry bears out as they are."""
    gone: list[str] = field(default_factory=list)
    """Digests of rows that are on record and not in the tables."""
    outdated: dict[tuple[Cell, ...], tuple[Cell, ...]] = field(default_factory=dict)
    """Rows that are as the ledger left them before the entry that was asked for, and were changed since."""
    outdated_gone: list[str] = field(default_factory=list)
    """Digests of rows that were made since."""
    recorded: dict[str, int] = field(default_factory=dict)
    """From the entry on that was asked for: changes on record, by what kind they are."""
    forgiven: list[range] = field(default_factory=list)
    """Entries whose effects a restored backup does not have, which is on record."""
    erased: int = -1
    """The last entry that says that a principal's key was erased."""

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, or nothing that must."""
        return not self.more and not any(one.sure for one in self.differences)

    def add(self, *found: Difference) -> None:
        """Adds what differs; beyond a bound it is counted."""
        for one in found:
            if any(one.entry in entries for entries in self.forgiven):
                continue
            if len(self.differences) < MAX_DIFFERENCES:
                self.differences.append(one)
            else:
                self.more += 1
