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

__all__ = ["LIFT", "MIN_GROUP", "Links", "Repeats", "find_groups", "lift", "link", "refine", "tied_members"]

LINK = 0.6
"""Likeness from which two tied subjects are linked; strangers have a median of 0."""
STRICTER = (0.6, 0.75, 0.9)
"""A chance link can bridge two groups; what falls apart at a stricter likeness is looked at in parts too."""
KEEP, ADD = 0.5, 0.6
"""Likeness to the group from which a member stays, and from which a tied outsider joins."""
REPEATS = 0.3
"""Pairs of which one sends this share of its texts word for word like the other are left out: an assignment,
a public benchmark, a viral prompt."""
REPEATS_ON_AVERAGE = 0.05
"""The same for a member and the rest of its group, pair by pair on average. A campaign that asks each prompt
twice has far less; people who each run a part of one benchmark have more."""
MERGE = 0.8
CLASSES: tuple[tuple[str, ...], ...] = (("address", "payment", "tls", "credential"), ("template",))
CORE = 0.5
MIN_TIED = 0.6
"""Share of a group that what it shares must tie."""
LIFT = 5.0
"""How many times as common a shared thing must be in a group as among all others before it ties the group."""
SMALL_TIE = 8
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

    def with_each(self, members: Index) -> Floats:
        """(len(members),): the share of its texts that a member has in common with another one, on average."""
        inside = self._matrix[members]
        senders = np.asarray(inside.sum(axis=0)).ravel()
        others = np.asarray(inside @ np.maximum(senders - 1, 0)).ravel()
        return np.asarray(others / np.maximum(self._texts[members], 1) / max(len(members) - 1, 1))


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
    links.open = openly.related(links.a, links.b)
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
        value[part] = questions.least_likeness(a[part], b[part])
    near = value >= LINK
    a, b = a[near], b[near]
    return Links(a, b, questions.pair_likeness(a, b), tie_of[near])


def _large(questions: Questions, number: int, tie: Tie) -> Links:
    members = tie.members.astype(np.intp)
    near = np.zeros((len(members), len(members)), dtype=bool)
    for begin in range(0, len(members), 512):
        near[begin : begin + 512] = questions.least_likeness_matrix(members[begin : begin + 512], members) >= LINK
    np.fill_diagonal(near, False)
    core = dense_core(near)
    row, column = np.nonzero(np.triu(near[np.ix_(core, core)], 1))
    a, b = members[core[row]], members[core[column]]
    return Links(a, b, questions.pair_likeness(a, b), np.full(len(a), number, dtype=np.intp))


def dense_core(near: npt.NDArray[np.bool_]) -> Index:
    """Members who are near to at least half of one another: the least connected are taken away until that holds.

    A thing that many unrelated people share always joins some who ask alike; they are scattered, a campaign
    is not.
    """
    alive = np.ones(len(near), dtype=bool)
    degree = near.sum(axis=1)
    size = len(near)
    while size >= 3:
        worst = int(np.argmin(np.where(alive, degree, len(near) + 1)))
        if degree[worst] >= CORE * (size - 1):
            return np.flatnonzero(alive)
        alive[worst] = False
        degree = degree - near[worst]
        size -= 1
    return np.zeros(0, dtype=np.intp)


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
    """Drops members that do not ask like the rest or share nothing with it, adds outsiders who do both."""
    member_lists = [tie.members for tie in ties]
    for _ in range(ROUNDS):
        before = group
        group = group[questions.likeness_to_group(group, group) >= KEEP]
        if len(group) < MIN_GROUP:
            return group
        group = np.union1d(group, _joining(group, member_lists, questions, openly))
        group = group[repeats.with_each(group) < REPEATS_ON_AVERAGE]
        if len(group) >= MIN_GROUP:
            tied = tied_members(group, int(questions.able.sum()), ties)
            group = np.unique(np.concatenate([*tied.values(), np.zeros(0, np.intp)]))
        if len(group) < MIN_GROUP or np.array_equal(group, before):
            break
    return group


def tied_members(members: Index, able: int, ties: Sequence[Tie]) -> dict[str, Index]:
    """The members tied by each kind, through things that are far commoner among them than among all others.

    Kinds count when they tie most of the group: what is shared of the network and of money together, and
    templates. A stock phrase that some members have in common ties nobody.
    """
    inside = np.zeros(int(members.max(initial=0)) + 1, dtype=bool)
    inside[members] = True
    found: dict[str, list[npt.NDArray[np.int32]]] = {}
    for tie in ties:
        shared = tie.members[tie.members < len(inside)]
        shared = shared[inside[shared]]
        outside = len(tie.members) - len(shared)
        if len(shared) >= 2 and lift(len(shared), len(members), outside, able - len(members)) >= LIFT:
            found.setdefault(tie.kind, []).append(shared)
    kinds = {kind: np.unique(np.concatenate(parts)).astype(np.intp) for kind, parts in found.items()}
    counted: dict[str, Index] = {}
    for of_class in CLASSES:
        together = {kind: kinds[kind] for kind in of_class if kind in kinds}
        covered = np.unique(np.concatenate([*together.values(), np.zeros(0, np.intp)]))
        if len(covered) >= MIN_TIED * len(members):
            counted |= together
    return counted


def lift(shared: int, size: int, outside: int, others: int) -> float:
    """How many times as common a thing is in a group (shared of size) as among others (outside of others)."""
    return (shared / max(size, 1)) / ((outside + 1) / max(others, 1))


def _joining(group: Index, ties: Sequence[npt.NDArray[np.int32]], questions: Questions, openly: Openly) -> Index:
    inside = np.zeros(len(questions.texts), dtype=bool)
    inside[group] = True
    tied = np.zeros(len(questions.texts), dtype=bool)
    others = int(questions.able.sum()) - len(group)
    for members in ties:
        shared = int(inside[members].sum())
        if 3 <= shared < len(members) and lift(shared, len(group), len(members) - shared, others) >= LIFT:
            tied[members] = True
    outsiders = np.flatnonzero(tied & ~inside & questions.able)
    if not len(outsiders):
        return outsiders
    near = outsiders[questions.likeness_to_group(outsiders, group) >= ADD]
    if not len(near):
        return near
    return near[~openly.related(near[:, None], group[None, :]).any(axis=1)]
