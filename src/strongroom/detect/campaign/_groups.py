"""From ties to candidate groups: subjects that are tied *and* ask alike, closed up and cleaned.

Two independent reasons for every link is what keeps unrelated users of one program (tied, but each asks about
their own work) and people who study one subject (alike, but not tied) out of a campaign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from ._distance import Questions
from ._features import Features
from ._ties import Openly, Tie

__all__ = ["Links", "Repeats", "find_groups", "link", "refine"]

LINK = 0.6
"""Likeness from which two tied subjects are linked; strangers have a median of 0."""
STRICTER = (0.6, 0.75, 0.9)
"""A chance link can bridge two groups; what falls apart at a stricter likeness is looked at in parts too."""
KEEP, ADD = 0.5, 0.6
"""Likeness to the group from which a member stays, and from which a tied outsider joins."""
REPEATS = 0.3
"""Pairs of which one sends this share of its texts word for word like the other are left out: an assignment,
a public benchmark, a viral prompt."""
MERGE = 0.8
SMALL_TIE = 40
PAIRS_AT_ONCE = 200_000
MIN_GROUP = 5
ROUNDS = 4

Index = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass
class Links:
    """Linked pairs (a < b): likeness, the tie behind it, and whether the two openly belong together. (n,) each."""

    a: Index
    b: Index
    likeness: Floats
    tie: Index
    open: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def take(self, chosen: npt.NDArray[np.bool_]) -> Links:
        return Links(self.a[chosen], self.b[chosen], self.likeness[chosen], self.tie[chosen], self.open[chosen])


class Repeats:
    """Which share of their texts two subjects have word for word in common."""

    def __init__(self, features: Features, slices: int, texts: npt.NDArray[np.int64]) -> None:
        subject, text, at = features.shared_text
        known = at < slices
        subject, text = subject[known], text[known]
        shape = (len(features.subjects), int(text.max(initial=0)) + 1)
        self._matrix = csr_matrix((np.ones(len(subject), dtype=np.float32), (subject, text)), shape=shape)
        self._texts = texts

    def share(self, a: Index, b: Index) -> Floats:
        """(n,): of the subject with fewer texts."""
        if not len(a):
            return np.zeros(0)
        common = np.asarray(self._matrix[a].multiply(self._matrix[b]).sum(axis=1)).ravel()
        return np.asarray(common / np.maximum(np.minimum(self._texts[a], self._texts[b]), 1), dtype=np.float64)

    def with_others(self, members: Index) -> Floats:
        """(len(members),): share of each member's texts that some other member sent too."""
        inside = self._matrix[members]
        several = np.asarray(inside.sum(axis=0)).ravel() >= 2
        return np.asarray(inside[:, several].sum(axis=1)).ravel() / np.maximum(self._texts[members], 1)


def link(questions: Questions, ties: Sequence[Tie], openly: Openly, repeats: Repeats) -> Links:
    """All pairs that share a tie, ask alike, and do not merely repeat each other."""
    parts = [_small(questions, ties)] if ties else []
    parts += [_large(questions, number, tie) for number, tie in enumerate(ties) if len(tie.members) > SMALL_TIE]
    links = Links(
        np.concatenate([part.a for part in parts] or [np.zeros(0, np.intp)]),
        np.concatenate([part.b for part in parts] or [np.zeros(0, np.intp)]),
        np.concatenate([part.likeness for part in parts] or [np.zeros(0)]),
        np.concatenate([part.tie for part in parts] or [np.zeros(0, np.intp)]),
    )
    same = openly.account[links.a] == openly.account[links.b]
    for labels in (openly.organization, openly.domain):
        same |= (labels[links.a] == labels[links.b]) & (labels[links.a] >= 0)
    links.open = same
    return links.take(repeats.share(links.a, links.b) < REPEATS)


def _small(questions: Questions, ties: Sequence[Tie]) -> Links:
    """Small ties together: one matrix for each would cost more to make than to fill."""
    left: list[Index] = []
    right: list[Index] = []
    which: list[Index] = []
    corners = {size: np.triu_indices(size, 1) for size in range(2, SMALL_TIE + 1)}
    for number, tie in enumerate(ties):
        size = len(tie.members)
        if size <= SMALL_TIE:
            one, two = corners[size]
            left.append(tie.members[one].astype(np.intp))
            right.append(tie.members[two].astype(np.intp))
            which.append(np.full(len(one), number, dtype=np.intp))
    a = np.concatenate(left or [np.zeros(0, np.intp)])
    b = np.concatenate(right or [np.zeros(0, np.intp)])
    tie_of = np.concatenate(which or [np.zeros(0, np.intp)])
    value = np.zeros(len(a))
    for begin in range(0, len(a), PAIRS_AT_ONCE):
        part = slice(begin, begin + PAIRS_AT_ONCE)
        value[part] = questions.pair_likeness(a[part], b[part])
    near = value >= LINK
    return Links(a[near], b[near], value[near], tie_of[near])


def _large(questions: Questions, number: int, tie: Tie) -> Links:
    members = tie.members.astype(np.intp)
    rows: list[Index] = []
    columns: list[Index] = []
    values: list[Floats] = []
    for begin in range(0, len(members), 512):
        likeness = questions.likeness(members[begin : begin + 512], members)
        row, column = np.nonzero(likeness >= LINK)
        upper = column > row + begin
        row, column = row[upper], column[upper]
        rows.append(members[row + begin])
        columns.append(members[column])
        values.append(likeness[row, column])
    a, b = np.concatenate(rows), np.concatenate(columns)
    return Links(a, b, np.concatenate(values), np.full(len(a), number, dtype=np.intp))


def find_groups(links: Links, n: int, questions: Questions) -> Iterator[Index]:
    """Candidate groups, each at least MIN_GROUP subjects (sorted). One subject may be in several."""
    seen: set[bytes] = set()
    for threshold in STRICTER:
        strong = links.likeness >= threshold
        groups = _components(links.a[strong], links.b[strong], n)
        for group in _merge_alike(groups, questions):
            if len(group) >= MIN_GROUP and group.tobytes() not in seen:
                seen.add(group.tobytes())
                yield group


def _components(a: Index, b: Index, n: int) -> list[Index]:
    if not len(a):
        return []
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    linked = np.unique(np.concatenate([a, b]))
    order = linked[np.argsort(label[linked], kind="stable")]
    cuts = np.flatnonzero(np.diff(label[order])) + 1
    return [np.sort(group) for group in np.split(order, cuts) if len(group) >= 3]


def _merge_alike(groups: list[Index], questions: Questions, most: int = 400) -> list[Index]:
    """Groups that ask alike are one: a campaign on ten pools of addresses is tied only within each pool."""
    groups = sorted(groups, key=len, reverse=True)
    big, rest = groups[:most], groups[most:]
    if len(big) < 2:
        return groups
    mean = np.array([questions.mean[g].mean(axis=0, dtype=np.float64) for g in big])
    within = np.array([_inside(questions, g) for g in big])
    spread = np.array([questions.spread[g].mean() for g in big])
    distance = within[:, None] + within[None, :] - 2 * mean @ mean.T
    likeness = 1 - distance / (spread[:, None] + spread[None, :]) / questions.typical
    alike = np.triu(likeness >= MERGE, 1)
    _, label = connected_components(csr_matrix(alike), directed=False)
    merged = [np.unique(np.concatenate([big[i] for i in np.flatnonzero(label == one)])) for one in np.unique(label)]
    return merged + rest


def _inside(questions: Questions, group: Index) -> float:
    """Unbiased squared length of the group's mean."""
    mean = questions.mean[group].astype(np.float64)
    total = mean.sum(axis=0)
    product = float(total @ total) - float((mean**2).sum())
    return (product + float(questions.within[group].sum())) / len(group) ** 2


def refine(group: Index, questions: Questions, ties: Sequence[Tie], openly: Openly, repeats: Repeats) -> Index:
    """Drops members that do not ask like the rest, adds outsiders who do and share what the group shares."""
    member_lists = [tie.members for tie in ties]
    for _ in range(ROUNDS):
        before = group
        group = group[questions.likeness_to_group(group, group) >= KEEP]
        if len(group) < MIN_GROUP:
            return group
        group = np.union1d(group, _joining(group, member_lists, questions, openly))
        group = group[repeats.with_others(group) < REPEATS]
        if len(group) < MIN_GROUP or np.array_equal(group, before):
            break
    return group


def _joining(group: Index, ties: Sequence[npt.NDArray[np.int32]], questions: Questions, openly: Openly) -> Index:
    inside = np.zeros(len(questions.texts), dtype=bool)
    inside[group] = True
    tied = np.zeros(len(questions.texts), dtype=bool)
    for members in ties:
        shared = int(inside[members].sum())
        if shared >= 3 and shared < len(members):
            tied[members] = True
    outsiders = np.flatnonzero(tied & ~inside & questions.able)
    if not len(outsiders):
        return outsiders
    near = outsiders[questions.likeness_to_group(outsiders, group) >= ADD]
    if not len(near):
        return near
    return near[~openly.related(near, group).any(axis=1)]
