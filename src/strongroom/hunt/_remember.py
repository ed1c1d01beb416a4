"""What earlier hunts said: what is the same keeps its id, and what was dismissed is silent until there is more."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from strongroom.core.errors import InputError, UsageError
from strongroom.core.ids import check_id
from strongroom.detect.campaign import Found
from strongroom.detect.signals import SEVERITIES
from strongroom.detect.story import Story
from strongroom.store import Store

__all__ = ["STORY", "Earlier", "EarlierStory", "dismiss", "earlier_campaigns", "earlier_stories", "match"]

STORY = "story/1"
"""The detector of findings in access events."""

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


@dataclass(frozen=True)
class EarlierStory:
    """A finding in access events as it was last reported, and as it was dismissed, if it was."""

    id: str
    accounts: frozenset[str]
    """Its principals."""
    techniques: frozenset[str]
    severity: int
    dismissed: bool
    observed: frozenset[str] = frozenset()
    """What was observed, and of which asset (`Signal.observed`)."""

    def outgrown(self, story: Story) -> bool:
        """Whether `story` is more than this: somebody else, another technique or asset, or something worse."""
        return bool(
            set(story.principals) - self.accounts
            or set(story.techniques) - self.techniques
            or set(story.observed) - self.observed
            or SEVERITIES.index(story.severity) > self.severity
        )

    def silences(self, story: Story) -> bool:
        """Whether `story` is this one or a part of it, dismissed, and nothing new."""
        return self.dismissed and not self.outgrown(story)


def earlier_stories(store: Store) -> list[EarlierStory]:
    """Every finding in access events of this site, latest first. A dismissed one stands as it was dismissed."""
    rows = [row for row in store.findings("finding") if row["document"]["detector"] == STORY]
    latest = {row["id"]: row["document"] for row in rows}
    dismissed = _dismissed(store, "finding")
    return [
        EarlierStory(
            id=identifier,
            accounts=frozenset(known["subjects"]),
            techniques=frozenset(known["techniques"]),
            severity=SEVERITIES.index(known["severity"]),
            dismissed=identifier in dismissed,
            observed=frozenset(known.get("observed", ())),
        )
        for identifier, known in ((key, dismissed.get(key, latest[key])) for key in reversed(latest))
    ]


def _dismissed(store: Store, what: str) -> dict[str, dict[str, Any]]:
    """By id, each campaign or finding that was dismissed, as it was then."""
    rows = store.findings("dismissal")
    return {row["id"]: row["document"][what] for row in rows if what in row["document"]}


def earlier_campaigns(store: Store) -> list[Earlier]:
    """Every campaign that was reported on this site, latest first. A dismissed one stands as it was dismissed."""
    latest = {row["id"]: row["document"] for row in store.findings("campaign")}
    dismissed = _dismissed(store, "campaign")
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


class Group(Protocol):
    """Something that was told of a group of accounts or principals."""

    @property
    def accounts(self) -> frozenset[str]: ...


Known = TypeVar("Known", bound=Group)


def match(found: Sequence[Sequence[str]], earlier: Sequence[Known]) -> list[Known | None]:
    """For each group of accounts the earlier one that it is. No earlier one is two: most in common first."""
    pairs = []
    named: dict[str, list[int]] = defaultdict(list)
    for number, other in enumerate(earlier):
        for account in other.accounts:
            named[account].append(number)
    for place, accounts in enumerate(found):
        own = set(accounts)
        shared = Counter(number for account in own for number in named.get(account, ()))
        for number, common in shared.items():
            if common >= SAME * min(len(own), len(earlier[number].accounts)):
                pairs.append((-common, place, number))
    matched: list[Known | None] = [None] * len(found)
    taken: set[int] = set()
    for _, place, number in sorted(pairs):
        if matched[place] is None and number not in taken:
            matched[place] = earlier[number]
            taken.add(number)
    return matched


def dismiss(store: Store, identifier: str, reason: str, now: int) -> int:
    """Puts a dismissal on record and returns the number of accounts or principals it is about.

    Raises InputError when no such campaign or finding was reported, UsageError without a reason.
    """
    check_id(identifier)
    if not reason.strip():
        raise UsageError("a dismissal needs a reason", next="add --reason 'an evaluation of our own'")
    what = "campaign" if identifier.startswith("cmp_") else "finding"
    latest = [row for row in store.findings(what) if row["id"] == identifier]
    if not latest or (what == "finding" and latest[-1]["document"]["detector"] != STORY):
        raise InputError(
            f"no finding {identifier} is stored", where=str(store.root), next="see: strongroom finding list"
        )
    document, subjects = latest[-1]["document"], latest[-1]["subjects"]
    store.append_findings(
        [
            {
                "time": now,
                "hunt": latest[-1]["hunt"],
                "kind": "dismissal",
                "id": identifier,
                "subjects": subjects,
                "document": {"version": 1, "reason": reason.strip(), what: document},
            }
        ]
    )
    return len(subjects)
