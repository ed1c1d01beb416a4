"""Why a campaign is one, in sentences that a person can check, each with places in the logs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.clock import format_time
from strongroom.core.records import Evidence, Example, Strength
from strongroom.sketch import FLAGS
from strongroom.store import Store

from ._detect import Group, Snapshot
from ._features import Features
from ._judge import COMPARISONS
from ._ties import LIFT, Tie, lift

__all__ = ["evidence_of", "examples"]

EXAMPLES = 3
ACCOUNTS_NAMED = 400
"""Accounts listed with one piece of evidence."""
LIFT_TOLD = 2.0
"""Times as often as others that a group touches a subject which the sentence counts."""
RAISED = 5.0
"""An indicator is evidence when the campaign raises it so many times as often as others do."""

Index = npt.NDArray[np.intp]

_SHARED = {
    "address": "network addresses",
    "payment": "payment digests",
    "tls": "TLS fingerprints",
    "credential": "credentials",
}
_FLAG_WORDS = {
    "reasoning_elicitation": "ask for the model's hidden reasoning",
    "rubric_grading": "ask the model to grade by a rubric",
    "logprob_probing": "ask for token probabilities",
    "repetition_attack": "ask for endless repetition",
    "synthetic_data": "ask for training data",
}


def evidence_of(campaign: Group, snapshot: Snapshot, features: Features, store: Store) -> list[Evidence]:
    """Every reason, strongest first."""
    found = [_alike(campaign, snapshot, features, store)]
    found += _templates(campaign, snapshot, features, store)
    found += _shared_facts(campaign, snapshot, features, store)
    found += _division(campaign, snapshot, features)
    found += _indicators(campaign, features, store)
    rank = {"strong": 0, "moderate": 1, "weak": 2}
    return sorted(found, key=lambda evidence: rank[evidence.strength])


def _alike(campaign: Group, snapshot: Snapshot, features: Features, store: Store) -> Evidence:
    size, measured = len(campaign.members), campaign.measured
    share = float(np.median(campaign.source.share[campaign.units]))
    subjects = int((campaign.source.lift > LIFT_TOLD).sum())
    closer = round(campaign.p_value * (COMPARISONS + 1)) - 1
    return Evidence(
        kind="distribution",
        summary=(
            f"The {size:,} accounts draw from one source: {_most(share)} of what each asks falls into {subjects:,} "
            f"subjects that hardly anybody else touches, spread over them as by dealing out one list. There, from "
            f"{measured.texts:,} prompts, it cannot be told which account sent one: likeness {measured.likeness:.2f} ± "
            f"{measured.error:.2f}, where 1 means not at all and people with a common interest have about 0.5. "
            f"Of {COMPARISONS} groups made of the other accounts that ask most alike, {_number(closer)} came as close."
        ),
        subjects=_names(campaign.members, features),
        strength="strong" if campaign.score > 0.8 else "moderate",
        examples=examples(store, features, _names(campaign.members[:: max(size // EXAMPLES, 1)], features)),
    )


def _most(share: float) -> str:
    return "nearly all" if share >= 0.9 else f"about {share:.0%}"


def _templates(campaign: Group, snapshot: Snapshot, features: Features, store: Store) -> list[Evidence]:
    ties = _inside(campaign, snapshot, lambda tie: tie.kind == "template")
    if not ties:
        return []
    tie, members = ties[0]
    outside = len(tie.members) - len(members)
    share = _template_share(tie, members, features)
    also = f" {len(ties) - 1} more such passages tie parts of it." if len(ties) > 1 else ""
    return [
        Evidence(
            kind="template",
            summary=(
                f"{len(members):,} of the {len(campaign.members):,} accounts send prompts around one common "
                f"passage: {share:.0%} of their distinct opening prompts hold it, each with other content. "
                f"Outside the campaign {_number(outside)} of the accounts use it.{also}"
            ),
            subjects=_names(members, features),
            strength=_strength(len(members), len(campaign.members), outside),
            examples=examples(store, features, _names(members[:20], features), shingles=tie.shingles),
        )
    ]


def _template_share(tie: Tie, members: Index, features: Features) -> float:
    """Median over members of the share of texts with the template's most used shingle."""
    sample = features.sample
    rows = np.flatnonzero(np.isin(sample.subject, members))
    owner, own = sample.subject[rows], np.bincount(sample.subject[rows], minlength=len(features.subjects))
    best = 0.0
    for one in tie.shingles[:4]:
        held = (sample.head[rows] == one) | (sample.tail[rows] == one) | (sample.minhash[rows] == one).any(axis=1)
        counts = np.bincount(owner[held], minlength=len(features.subjects))
        best = max(best, float(np.median(counts[members] / np.maximum(own[members], 1))))
    return min(best, 1.0)


def _shared_facts(campaign: Group, snapshot: Snapshot, features: Features, store: Store) -> list[Evidence]:
    found = []
    for kind, words in _SHARED.items():
        ties = _inside(campaign, snapshot, lambda tie, kind=kind: tie.kind == kind)  # type: ignore[misc]
        if not ties:
            continue
        members = np.unique(np.concatenate([inside for _, inside in ties]))
        if len(members) * 10 < len(campaign.members):
            continue
        outside = np.unique(np.concatenate([np.setdiff1d(tie.members, inside) for tie, inside in ties]))
        sizes = [len(inside) for _, inside in ties]
        few = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
        shown = "" if kind == "credential" else ", such as " + ", ".join(tie.name for tie, _ in ties[:3])
        found.append(
            Evidence(
                kind=kind,
                summary=(
                    f"{len(members):,} of the {len(campaign.members):,} accounts share {len(ties):,} {words}, "
                    f"{few} accounts at each{shown}. "
                    f"Of the accounts outside the campaign {_number(len(outside))} were seen at them too."
                ),
                subjects=_names(members, features),
                strength=_strength(len(members), len(campaign.members), len(outside)),
                examples=examples(store, features, _names(ties[0][1][:EXAMPLES], features)),
            )
        )
    return found


def _inside(campaign: Group, snapshot: Snapshot, wanted: Callable[[Tie], bool]) -> list[tuple[Tie, Index]]:
    """Ties of one kind that are far commoner within the campaign than outside, those with most members first."""
    found = []
    size, others = len(campaign.members), int((snapshot.texts > 0).sum()) - len(campaign.members)
    for tie in snapshot.ties:
        if wanted(tie):
            inside = np.intersect1d(tie.members, campaign.members)
            outside = len(tie.members) - len(inside)
            if len(inside) >= 2 and lift(len(inside), size, outside, others) >= LIFT:
                found.append((tie, inside))
    return sorted(found, key=lambda pair: -len(pair[1]))


def _division(campaign: Group, snapshot: Snapshot, features: Features) -> list[Evidence]:
    """People with one interest meet the same texts now and then; a shared-out list never repeats."""
    sample = snapshot.evidence.sample
    rows = np.isin(sample.subject, campaign.members)
    _, senders = np.unique(sample.digest[rows], return_counts=True)
    repeated, texts = int((senders > 1).sum()), int(rows.sum())
    if repeated > 0.02 * texts or texts < 20 * len(campaign.members):
        return []
    return [
        Evidence(
            kind="division",
            summary=(
                f"The accounts divide the work: of {texts:,} distinct opening prompts {_number(repeated)} "
                "came from more than one of them, although they draw on the same subjects."
            ),
            subjects=_names(campaign.members, features),
            strength="weak",
        )
    ]


def _indicators(campaign: Group, features: Features, store: Store) -> list[Evidence]:
    inside = np.zeros(len(features.subjects), dtype=bool)
    inside[campaign.members] = True
    exchanges = features.exchanges.sum(axis=1)
    found = []
    for number, name in enumerate(FLAGS):
        own = features.flags[inside, number].sum() / max(exchanges[inside].sum(), 1)
        others = features.flags[~inside, number].sum() / max(exchanges[~inside].sum(), 1)
        if own < 0.02 or own < RAISED * others:
            continue
        flagged = campaign.members[features.flags[campaign.members, number] > 0]
        found.append(
            Evidence(
                kind="indicator",
                summary=(
                    f"{own:.0%} of the campaign's exchanges {_FLAG_WORDS[name]} ({name}), against {others:.1%} "
                    f"of all others; {len(flagged):,} of its accounts do."
                ),
                subjects=_names(flagged, features),
                strength="moderate",
                examples=examples(store, features, _names(flagged[:20], features), flag=FLAGS[name]),
            )
        )
    return found


def _number(count: int) -> str:
    return f"{count:,}" if count else "none"


def _strength(members: int, campaign: int, outside: int) -> Strength:
    """Of a shared thing, by how much of the campaign it covers and how many others share it."""
    if members * 2 > campaign and members > 4 * outside:
        return "strong"
    return "moderate" if members * 4 > campaign else "weak"


def _names(members: Index, features: Features) -> list[str]:
    return [features.subjects[i] for i in members[:ACCOUNTS_NAMED]]


def examples(
    store: Store, features: Features, subjects: list[str], *, shingles: tuple[int, ...] = (), flag: int = 0
) -> list[Example]:
    """The first exchange in the window of up to three of `subjects`, with a given shingle or flag if asked for."""
    table = store.exchanges(features.start, int(features.edges[-1]))
    rows = table.filter(table.subject.isin(subjects[:50]) & (table.words > 0))
    if flag:
        rows = rows.filter((rows.flags & flag) > 0)
    if shingles:
        one = rows["head"].isin(shingles) | rows["tail"].isin(shingles)
        for shingle in shingles[:4]:
            one |= rows.minhash.contains(shingle)
        rows = rows.filter(one)
    first = rows.group_by("subject").aggregate(
        time=rows.time.min(),
        source=rows.source.argmin(rows.time),
        position=rows.position.argmin(rows.time),
        text=rows.text.argmin(rows.time),
    )
    chosen = store.table(first.order_by("time", "subject").limit(EXAMPLES))
    times = chosen["time"].cast(pa.int64()).to_pylist()
    return [
        Example(
            subject=row["subject"],
            time=format_time(time),
            where=f"{row['source']}:{row['position']}",
            excerpt=(row["text"] or "")[:160],
        )
        for row, time in zip(chosen.to_pylist(), times, strict=True)
    ]
