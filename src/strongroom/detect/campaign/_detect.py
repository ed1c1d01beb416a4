"""The order of detection: questions, ties, links, groups, judgement; then when each would have been seen first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._distance import Questions, group_likeness, read_questions
from ._features import Features
from ._groups import MIN_GROUP, Links, Repeats, find_groups, link, refine
from ._judge import MIN_LIKENESS, Judge, Judged
from ._ties import Openly, Tie, find_ties, openly_related

__all__ = ["Related", "Snapshot", "detect", "first_seen_at"]

Index = npt.NDArray[np.intp]
SEED = 2605_05725
"""Comparisons draw subjects at random; on one site the same traffic gives the same verdict. Between sites, whose
digests have different keys, a filter that forgets one text in a hundred forgets others."""


@dataclass(frozen=True)
class Related:
    """Subjects that are tied, ask alike, and openly belong together."""

    members: Index
    relation: str


@dataclass
class Snapshot:
    """Everything that was found in the first slices of the features."""

    questions: Questions
    ties: list[Tie]
    openly: Openly
    links: Links
    campaigns: list[Judged]
    related: list[Related]
    outside: int
    """Able subjects with which candidates were compared."""


def detect(features: Features, slices: int) -> Snapshot:
    """Looks at the traffic as it stood after `slices` slices, and at nothing later."""
    rng = np.random.default_rng(SEED)
    questions = read_questions(features, slices, rng)
    openly = openly_related(features, slices)
    ties = [] if questions.uniform else find_ties(features, slices, questions.able)
    repeats = Repeats(features, slices, questions.texts)
    links = link(questions, ties, openly, repeats)
    hidden = links.take(~links.open)
    n = len(features.subjects)
    candidates = _distinct(
        refine(group, questions, ties, openly, repeats) for group in find_groups(hidden, n, questions)
    )
    # Whoever may be in a campaign must not be what campaigns are compared with.
    taken = np.zeros(n, dtype=bool)
    for group in candidates:
        taken[group] |= group_likeness(questions, group)[0] >= MIN_LIKENESS
    outside = np.flatnonzero(questions.able & ~taken)
    judge = Judge(questions, outside, rng)
    judged = [judge.judge(group, ties) for group in candidates]
    campaigns, related = _sort_out(judged, openly)
    related += _open_groups(links, openly)
    return Snapshot(questions, ties, openly, links, campaigns, related, len(outside))


def _distinct(groups: Iterable[Index]) -> list[Index]:
    found: dict[bytes, Index] = {}
    for group in groups:
        if len(group) >= MIN_GROUP:
            found.setdefault(group.tobytes(), group)
    return list(found.values())


def _sort_out(judged: list[Judged], openly: Openly) -> tuple[list[Judged], list[Related]]:
    """Surest first; what overlaps a surer campaign by more than half is that campaign again."""
    campaigns: list[Judged] = []
    related: list[Related] = []
    for each in sorted(
        (j for j in judged if j.is_campaign), key=lambda j: (-len(j.members) * max(j.likeness, 0), j.p_value)
    ):
        if any(len(np.intersect1d(each.members, c.members)) * 2 > len(each.members) for c in campaigns):
            continue
        relation = _relation(each.members, openly)
        if relation:
            related.append(Related(each.members, relation))
        else:
            campaigns.append(each)
    return campaigns, related


def _relation(members: Index, openly: Openly) -> str:
    """What most members openly share, or ''."""
    for labels, names, what in (
        (openly.organization, openly.organizations, "organisation"),
        (openly.domain, openly.domains, "mail domain"),
    ):
        own = labels[members]
        if (own >= 0).any():
            value, count = np.unique(own[own >= 0], return_counts=True)
            if count.max() * 2 > len(members):
                return f"same {what} {names[int(value[count.argmax()])]}"
    if len(np.unique(openly.account[members])) * 2 <= len(members):
        return "end users of the same account"
    return ""


def _open_groups(links: Links, openly: Openly) -> list[Related]:
    """Groups that are linked and openly belong together: reported as such, so that nobody wonders."""
    found: list[Related] = []
    open_links = links.take(links.open)
    for labels, names, what in (
        (openly.organization, openly.organizations, "organisation"),
        (openly.domain, openly.domains, "mail domain"),
    ):
        same = (labels[open_links.a] == labels[open_links.b]) & (labels[open_links.a] >= 0)
        pairs = open_links.take(same)
        for label in np.unique(labels[pairs.a]) if len(pairs.a) else ():
            one = pairs.take(labels[pairs.a] == label)
            members = np.union1d(one.a, one.b)
            mostly = len(members) * 2 >= int((labels == label).sum())
            if len(members) >= 3 and mostly and not any(len(np.setdiff1d(members, r.members)) == 0 for r in found):
                found.append(Related(members, f"same {what} {names[int(label)]}"))
    return found


def first_seen_at(features: Features, campaign: Judged) -> int:
    """The first slice after which the same detection, blind to all that came later, reports the campaign.

    A search by halves: it assumes that a campaign once seen stays seen, and so may name a later slice than a
    watch at every slice would have, never an earlier one than the detector can show.
    """
    low, high = 0, len(features.edges)  # seen after `high`, not known to be seen after `low`
    while high - low > 1:
        middle = (low + high) // 2
        seen = any(
            len(np.intersect1d(campaign.members, other.members)) * 2 > len(other.members)
            for other in detect(features, middle).campaigns
        )
        low, high = (low, middle) if seen else (middle, high)
    return high
