"""The public search: from a store to campaigns with their evidence, related groups, and what was not examined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from strongroom.core.clock import format_time
from strongroom.core.records import Evidence, RelatedGroup
from strongroom.store import Store

from ._budget import AlertBudget
from ._candidates import MIN_GROUP
from ._detect import INTERCHANGEABLE, SEED, Group, Related, Snapshot, lay, search
from ._evidence import evidence_of, examples
from ._features import Fact, Features, read_features
from ._judge import MAX_P, MIN_OUTSIDE
from ._links import drawn
from ._objective import objective
from ._replay import Replay
from ._sensitivity import INTERRUPTED, UNMEASURED, glance, measure_sensitivity

__all__ = ["Found", "Result", "find_campaigns", "gather", "raised_by", "related_groups", "result_of"]

FEW_TEXTS = 4
"""Distinct opening prompts below which hardly any account reaches the score of a member."""

Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Found:
    """One campaign."""

    accounts: list[str]
    exchanges: int
    tokens_out: int
    detected_at: str
    first_seen: str
    last_seen: str
    score: float
    p_value: float
    objective: str
    evidence: list[Evidence]
    links: list[tuple[str, str, str, float]]
    """(account, account, kind, likeness), the strongest; some lead outside."""


@dataclass(frozen=True)
class Result:
    """What a search found and what it looked at."""

    exchanges: int
    accounts: int
    start: str
    end: str
    compared: int
    """Accounts with enough prompts to be compared."""
    campaigns: list[Found]
    related: list[RelatedGroup]
    sensitivity: dict[str, object]
    not_examined: list[str]


def find_campaigns(
    store: Store,
    *,
    since: int | None = None,
    until: int | None = None,
    budget: AlertBudget | None = None,
    sensitivity: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Result | None:
    """Searches the stored exchanges between `since` and `until` (microseconds since 1970).

    `budget` makes it stricter where its false alerts would be too many. With `sensitivity`, measures which campaigns
    would be found in this traffic; where nothing is found, one look at that is taken anyway. `progress` is told what
    is being done. None when there are no exchanges.
    """
    progress("reading what each account asks")
    features = read_features(store, since=since, until=until)
    if features is None:
        return None
    progress("comparing accounts")
    raised = raised_by(budget, features)
    rng, slices = np.random.default_rng(SEED), len(features.edges)
    ground = lay(features, slices, rng)
    snapshot = search(features, slices, ground, rng, raised=raised)
    replay, found = Replay(features, ground, snapshot), []
    for campaign in snapshot.campaigns:
        progress("finding out when a live watch would have seen it")
        seen = replay.first_seen(campaign)
        progress("gathering evidence")
        found.append(gather(campaign, seen, snapshot, features, store))
    result = result_of(features, snapshot, found, related_groups(features, snapshot, store), budget)
    if sensitivity or not found:
        result.sensitivity.update(_would_be_found(features, raised, progress, thorough=sensitivity))
    return result


def raised_by(budget: AlertBudget | None, features: Features) -> float:
    """What a budget adds to the least score of a campaign among the accounts of which there is a prompt."""
    return budget.raised(len(np.unique(features.sample.subject))) if budget else 0.0


def _would_be_found(
    features: Features, raised: float, progress: Callable[[str], None], *, thorough: bool
) -> dict[str, object]:
    """What would be found. Who has no patience for it has the verdict all the same."""
    try:
        return (measure_sensitivity if thorough else glance)(features, raised=raised, progress=progress)
    except KeyboardInterrupt:
        return {"measured": False, "summary": INTERRUPTED}


def result_of(
    features: Features,
    snapshot: Snapshot,
    found: list[Found],
    related: list[RelatedGroup],
    budget: AlertBudget | None = None,
) -> Result:
    """What was found, beside what was looked at."""
    exchanges = features.exchanges.sum(axis=1)
    compared = 0 if snapshot.uniform else int((snapshot.texts > 0).sum())
    return Result(
        exchanges=features.rows,
        accounts=len(features.subjects),
        start=format_time(features.start),
        end=format_time(int(features.edges[-1]) - 1),
        compared=compared,
        campaigns=sorted(found, key=lambda one: -one.exchanges),
        related=related,
        sensitivity={
            "smallest_campaign": MIN_GROUP,
            "least_likeness": round(INTERCHANGEABLE + snapshot.raised, 4),
            "largest_p_value": MAX_P,
            "accounts_compared": compared,
            "measured": False,
            "summary": UNMEASURED,
            **({"alert_budget": str(budget)} if budget else {}),
        },
        not_examined=_not_examined(features, snapshot, exchanges) + _beyond(budget, compared),
    )


def _beyond(budget: AlertBudget | None, accounts: int) -> list[str]:
    if budget is None or not budget.raised(accounts):
        return []
    if budget.holds_for(accounts):
        bar = INTERCHANGEABLE + budget.raised(accounts)
        return [f"The alert budget of {budget} makes the hunt stricter: a likeness of at least {bar:.2f} is asked for."]
    return [
        f"The alert budget of {budget} is stricter than was ever measured for {accounts:,} accounts: the bars are "
        "raised as far as they can be, and more false alerts may come than it allows."
    ]


def gather(campaign: Group, slices: int, snapshot: Snapshot, features: Features, store: Store) -> Found:
    """A campaign that was detected after `slices` slices, with its evidence."""
    members = campaign.members
    accounts = [features.subjects[i] for i in members]
    first, last = _span(accounts, features, store)
    return Found(
        accounts=accounts,
        exchanges=int(features.exchanges[members].sum()),
        tokens_out=int(features.tokens_out[members].sum()),
        detected_at=format_time(int(features.edges[slices - 1])),
        first_seen=first,
        last_seen=last,
        score=round(float(np.clip(campaign.score, 0, 1)), 4),
        p_value=round(campaign.p_value, 4),
        objective=objective(members, features),
        evidence=evidence_of(campaign, snapshot, features, store),
        links=drawn(campaign, snapshot, features),
    )


def _span(accounts: list[str], features: Features, store: Store) -> tuple[str, str]:
    import pyarrow as pa

    table = store.exchanges(features.start, int(features.edges[-1]))
    inside = table.filter(table.subject.isin(accounts))
    row = store.table(inside.aggregate(first=inside.time.min(), last=inside.time.max()))
    first, last = row["first"].cast(pa.int64())[0].as_py(), row["last"].cast(pa.int64())[0].as_py()
    return format_time(first), format_time(last)


def related_groups(features: Features, snapshot: Snapshot, store: Store) -> list[RelatedGroup]:
    """The openly related groups of a snapshot, with examples."""
    return [_related(each, features, store) for each in snapshot.related]


def _related(group: Related, features: Features, store: Store) -> RelatedGroup:
    names = [features.subjects[i] for i in group.members]
    return RelatedGroup(
        accounts=names,
        relation=group.relation,
        evidence=[
            Evidence(
                kind="open relation",
                summary=(
                    f"{len(names):,} accounts ask alike, and say openly that they belong together: {group.relation}."
                ),
                subjects=names[:400],
                strength="strong",
                examples=examples(store, features, names[:3]),
            )
        ],
    )


def _not_examined(features: Features, snapshot: Snapshot, exchanges: npt.NDArray[np.int64]) -> list[str]:
    texts = snapshot.texts
    said = []
    if features.without_text:
        said.append(
            f"{features.without_text:,} exchanges carry no prompt text (metadata only, or prompts not logged): their "
            "accounts are counted, not compared by what they ask."
        )
    few = (texts < FEW_TEXTS) & (exchanges > 0)
    if few.any():
        said.append(
            f"{int(few.sum()):,} of {len(texts):,} accounts sent fewer than {FEW_TEXTS} distinct opening prompts of "
            f"five words or more ({int(exchanges[few].sum()):,} exchanges): too few to tell whom they belong to."
        )
    if snapshot.uniform:
        said.append(
            "All accounts ask much the same: two prompts of one account have no more in common than those of "
            "strangers, so nothing could be told from what is asked, and no account was compared."
        )
    elif 0 < snapshot.outside < MIN_OUTSIDE:
        said.append(
            f"Only {snapshot.outside:,} accounts that can be compared are outside the groups that ask alike; below "
            f"{MIN_OUTSIDE} there is nobody to compare a group with, and none is reported."
        )
    elif 0 < int((texts > 0).sum()) < 2 * MIN_OUTSIDE:
        said.append(
            f"Only {int((texts > 0).sum()):,} accounts can be compared: of a campaign that is half of them or more, "
            "there is nobody to compare a group with, and it is not reported."
        )
    missing = [name for name, fact in _facts(features) if not len(fact.names)]
    if missing:
        said.append(f"The logs carry no {', no '.join(missing)}: ties of these kinds could not be seen.")
    said.append("Single accounts are not judged by themselves; use per-key limits for those.")
    return said


def _facts(features: Features) -> list[tuple[str, Fact]]:
    words = {"client_address": "client addresses", "payment_digest": "payment digests"}
    words |= {"tls_fingerprint": "TLS fingerprints", "credential": "credentials"}
    return [(word, features.facts[kind]) for kind, word in words.items()]
