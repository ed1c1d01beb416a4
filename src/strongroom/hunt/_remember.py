"""What earlier hunts said: the same campaign keeps its id, and a dismissed one is silent until there is more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from strongroom.core.errors import InputError, UsageError
from strongroom.core.ids import check_id
from strongroom.detect.campaign import Found
from strongroom.store import Store

__all__ = ["Earlier", "dismiss", "earlier_campaigns", "match"]

SAME = 0.5
"""Two campaigns are one when the smaller shares this share of its accounts with the other."""
MORE = 1.2
"""A dismissed campaign speaks again when its accounts or its exchanges grew by this factor."""


class Seen(Protocol):
    """A campaign as far as it matters here."""

    @property
    def accounts(self) -> list[str]: ...

    @property
    def exchanges(self) -> int: ...


@dataclass(frozen=True)
class Told:
    """What was last said of a campaign."""

    accounts: frozenset[str]
    exchanges: int
    detected_at: str

    def outgrown(self, found: Seen) -> bool:
        """Whether `found` is so much more than this that it is said again."""
        return (
            len(found.accounts) > MORE * len(self.accounts)
            or len(set(found.accounts) - self.accounts) > (MORE - 1) * len(self.accounts)
            or found.exchanges > MORE * self.exchanges
        )


@dataclass(frozen=True)
class Earlier:
    """A campaign as it was last reported, and as it was dismissed, if it was."""

    id: str
    accounts: frozenset[str]
    exchanges: int
    kinds: frozenset[str]
    dismissed: bool
    told: Told = field(default_factory=lambda: Told(frozenset(), 0, ""))
    """As it was reported last, dismissed or not."""

    def silences(self, found: Found) -> bool:
        """Whether `found` is this campaign, dismissed, and nothing new."""
        kinds = {evidence.kind for evidence in found.evidence}
        return self.dismissed and kinds <= self.kinds and not Told(self.accounts, self.exchanges, "").outgrown(found)


def earlier_campaigns(store: Store) -> list[Earlier]:
    """Every campaign that was reported on this site, latest first. A dismissed one stands as it was dismissed."""
    latest = {row["id"]: row["document"] for row in store.findings("campaign")}
    dismissed = {row["id"]: row["document"]["campaign"] for row in store.findings("dismissal")}
    found = []
    for identifier, document in latest.items():
        known = dismissed.get(identifier, document)
        found.append(
            Earlier(
                id=identifier,
                accounts=frozenset(known["accounts"]),
                exchanges=known["exchanges"],
                kinds=frozenset(evidence["kind"] for evidence in known["evidence"]),
                dismissed=identifier in dismissed,
                told=Told(frozenset(document["accounts"]), document["exchanges"], document["detected_at"]),
            )
        )
    return found[::-1]


def match(found: Sequence[Seen], earlier: list[Earlier]) -> list[Earlier | None]:
    """For each campaign the earlier one that it is, by its accounts. No earlier one is two: most in common first."""
    pairs = []
    for place, one in enumerate(found):
        own = set(one.accounts)
        for number, other in enumerate(earlier):
            common = len(own & other.accounts)
            if common and common >= SAME * min(len(own), len(other.accounts)):
                pairs.append((-common, place, number))
    matched: list[Earlier | None] = [None] * len(found)
    taken: set[int] = set()
    for _, place, number in sorted(pairs):
        if matched[place] is None and number not in taken:
            matched[place] = earlier[number]
            taken.add(number)
    return matched


def dismiss(store: Store, identifier: str, reason: str, now: int) -> int:
    """Puts a dismissal on record and returns the number of accounts it is about.

    Raises InputError when no such campaign was reported, UsageError without a reason.
    """
    check_id(identifier)
    if not reason.strip():
        raise UsageError("a dismissal needs a reason", next="add --reason 'an evaluation of our own'")
    latest = [row for row in store.findings("campaign") if row["id"] == identifier]
    if not latest:
        raise InputError(
            f"no finding {identifier} is stored", where=str(store.root), next="see: strongroom finding list"
        )
    campaign = latest[-1]["document"]
    store.append_findings(
        [
            {
                "time": now,
                "hunt": latest[-1]["hunt"],
                "kind": "dismissal",
                "id": identifier,
                "subjects": campaign["accounts"],
                "document": {"version": 1, "reason": reason.strip(), "campaign": campaign},
            }
        ]
    )
    return len(campaign["accounts"])
