"""The public search: from a store to campaigns with their evidence, related groups, and what was not examined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from strongroom.core.clock import format_time
from strongroom.core.records import Evidence, RelatedGroup
from strongroom.store import Store

from ._detect import Related, Snapshot, detect, first_seen_at
from ._distance import MIN_TEXTS
from ._evidence import evidence_of, examples
from ._features import Fact, Features, read_features
from ._groups import MIN_GROUP
from ._judge import MAX_P, MIN_LIKENESS, MIN_OUTSIDE, Judged
from ._objective import objective

__all__ = ["Found", "Result", "find_campaigns"]

DRAWN_LINKS = 1_500

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
    progress: Callable[[str], None] = lambda _: None,
) -> Result | None:
    """Searches the stored exchanges between `since` and `until` (microseconds since 1970).

    `progress` is told what is being done. None when there are no exchanges.
    """
    progress("reading what each account asks")
    features = read_features(store, since=since, until=until)
    if features is None:
        return None
    progress("comparing accounts")
    snapshot = detect(features, len(features.edges))
    found = []
    for campaign in snapshot.campaigns:
        progress("finding out when a live watch would have seen it")
        slices = first_seen_at(features, campaign)
        progress("gathering evidence")
        found.append(_found(campaign, slices, snapshot, features, store))
    exchanges = features.exchanges.sum(axis=1)
    compared = 0 if snapshot.questions.uniform else int(snapshot.questions.able.sum())
    return Result(
        exchanges=features.rows,
        accounts=len(features.subjects),
        start=format_time(features.start),
        end=format_time(int(features.edges[-1]) - 1),
        compared=compared,
        campaigns=sorted(found, key=lambda one: -one.exchanges),
        related=[_related(each, features, store) for each in snapshot.related],
        sensitivity={
            "smallest_campaign": MIN_GROUP,
            "least_texts_per_account": MIN_TEXTS,
            "least_likeness": MIN_LIKENESS,
            "largest_p_value": MAX_P,
            "accounts_compared": compared,
            "measured": False,
        },
        not_examined=_not_examined(features, snapshot, exchanges),
    )


def _found(campaign: Judged, slices: int, snapshot: Snapshot, features: Features, store: Store) -> Found:
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
        score=round(float(np.clip(campaign.likeness - 2 * campaign.error, 0, 1)), 4),
        p_value=round(campaign.p_value, 4),
        objective=objective(members, features),
        evidence=evidence_of(campaign, snapshot, features, store),
        links=_drawn(members, snapshot, features),
    )


def _span(accounts: list[str], features: Features, store: Store) -> tuple[str, str]:
    import pyarrow as pa

    table = store.exchanges(features.start, int(features.edges[-1]))
    inside = table.filter(table.subject.isin(accounts))
    row = store.table(inside.aggregate(first=inside.time.min(), last=inside.time.max()))
    first, last = row["first"].cast(pa.int64())[0].as_py(), row["last"].cast(pa.int64())[0].as_py()
    return format_time(first), format_time(last)


def _drawn(members: Index, snapshot: Snapshot, features: Features) -> list[tuple[str, str, str, float]]:
    links = snapshot.links
    inside = np.isin(links.a, members).astype(int) + np.isin(links.b, members)
    touching = np.flatnonzero(inside >= 1)
    # Links that lead outside are few and worth seeing; then each account's strongest.
    order = touching[np.lexsort((-links.likeness[touching], inside[touching]))]
    outside = order[inside[order] == 1][: DRAWN_LINKS // 10]
    both = order[inside[order] == 2]
    drawn = np.concatenate([outside, _spread(both, links.a, links.b, DRAWN_LINKS - len(outside))])
    return [
        (
            features.subjects[links.a[i]],
            features.subjects[links.b[i]],
            snapshot.ties[links.tie[i]].kind,
            round(float(np.clip(links.likeness[i], 0, 1)), 3),
        )
        for i in drawn
    ]


def _spread(chosen: Index, a: Index, b: Index, most: int) -> Index:
    """At most `most` of `chosen` (strongest first), few for each account, so that a picture shows all of them."""
    if len(chosen) <= most:
        return chosen
    used: dict[int, int] = {}
    kept: list[int] = []
    for limit in (3, 8, 1 << 30):
        for i in chosen:
            one, two = int(a[i]), int(b[i])
            if used.get(one, 0) < limit and used.get(two, 0) < limit and len(kept) < most:
                used[one] = used.get(one, 0) + 1
                used[two] = used.get(two, 0) + 1
                kept.append(i)
        if len(kept) >= most // 2:
            break
    return np.unique(np.array(kept, dtype=np.intp))


def _related(group: Related, features: Features, store: Store) -> RelatedGroup:
    names = [features.subjects[i] for i in group.members]
    return RelatedGroup(
        accounts=names,
        relation=group.relation,
        evidence=[
            Evidence(
                kind="open relation",
                summary=(
                    f"{len(names):,} accounts are tied and ask alike, and say openly that they belong together: "
                    f"{group.relation}."
                ),
                subjects=names[:400],
                strength="strong",
                examples=examples(store, features, names[:3]),
            )
        ],
    )


def _not_examined(features: Features, snapshot: Snapshot, exchanges: npt.NDArray[np.int64]) -> list[str]:
    able = snapshot.questions.able
    said = []
    if features.without_text:
        said.append(
            f"{features.without_text:,} exchanges carry no prompt text (metadata only, or prompts not logged): their "
            "accounts are counted, not compared by what they ask."
        )
    few = int((~able & (exchanges > 0)).sum())
    if few:
        said.append(
            f"{few:,} of {len(able):,} accounts sent fewer than {MIN_TEXTS} distinct opening prompts of five words "
            f"or more ({int(exchanges[~able].sum()):,} exchanges): too few to compare."
        )
    if able.sum() >= 2 and snapshot.questions.uniform:
        said.append(
            "All accounts ask much the same: strangers' prompts are no farther apart than those of one account at "
            "different times, so nothing could be told from what is asked, and no account was compared."
        )
    elif 0 < snapshot.outside < MIN_OUTSIDE:
        said.append(
            f"Only {snapshot.outside:,} accounts that can be compared are outside the groups that ask alike; below "
            f"{MIN_OUTSIDE} there is nobody to compare a group with, and none is reported."
        )
    missing = [name for name, fact in _facts(features) if not len(fact.names)]
    if missing:
        said.append(f"The logs carry no {', no '.join(missing)}: ties of these kinds could not be seen.")
    said.append(
        "Groups that share nothing but their subject (no address, payment, TLS fingerprint, credential or passage) "
        "are not reported: this version cannot tell them from people with one interest."
    )
    said.append("Single accounts are not judged by themselves; use per-key limits for those.")
    return said


def _facts(features: Features) -> list[tuple[str, Fact]]:
    words = {"client_address": "client addresses", "payment_digest": "payment digests"}
    words |= {"tls_fingerprint": "TLS fingerprints", "credential": "credentials"}
    return [(word, features.facts[kind]) for kind, word in words.items()]
