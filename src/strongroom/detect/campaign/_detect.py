"""The order of detection: cells, ties, starts, sources, judgement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ._candidates import MIN_GROUP, find_candidates
from ._cells import learn_centres, nearest
from ._features import Features
from ._judge import MAX_P, Comparisons, Evidence, Judge, Measured
from ._sample import Sample
from ._sources import Source
from ._starts import starts
from ._ties import Openly, Tie, bystanders, find_ties, openly_related, tied_members
from ._touches import Touches, as_flags, read_touches, units_of
from ._vectors import Vectors

__all__ = [
    "INTERCHANGEABLE",
    "SEED",
    "Ground",
    "Group",
    "Related",
    "Snapshot",
    "View",
    "conclude",
    "detect",
    "hinted",
    "lay",
    "look",
    "search",
]

SEED = 2605_05725
"""Every random choice: the same traffic gives the same verdict."""
INTERCHANGEABLE = 0.78
"""Likeness of a campaign's members, less two standard errors."""
INTERCHANGEABLE_TIED = 0.74
"""The same when most of them share something of the network, of money, or a template."""
ONE_LIST = 0.9
"""Likeness that a group must not be shown to be below: with two standard errors more than was measured it reaches it.

Many who work on one thing, each on their own part of it, come near a campaign's likeness, and being many they are
measured well. Whoever is dealt shares of one list is at 1 but for the few others that a group picks up.
"""
REPEATS = 0.05
"""Share of a unit's texts that it sends word for word like another member, on average over these: it is left out."""
ONE_PRODUCT = 0.8
"""Share of a group that must be end users of one account, and most of them, to be taken for its product's users."""

Index = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """A group of subjects that share a source, and what was measured of it."""

    members: Index
    """Subjects."""
    units: Index
    source: Source
    measured: Measured
    p_value: float = 1.0
    tied: dict[str, float] = field(default_factory=dict)
    """Share of members tied by each kind of thing. Empty when nothing ties most of them."""

    @property
    def score(self) -> float:
        """How interchangeable the members are at least."""
        return self.measured.score


@dataclass(frozen=True)
class Related:
    """Subjects that ask alike and openly belong together."""

    members: Index
    relation: str


@dataclass
class Snapshot:
    """Everything that was found in the first slices of the features."""

    evidence: Evidence
    ties: list[Tie]
    openly: Openly
    texts: npt.NDArray[np.int64]
    """Sampled opening texts of each subject, (subjects,)."""
    campaigns: list[Group]
    related: list[Related]
    outside: int
    """Units with which candidates were compared."""
    uniform: bool
    """Nothing that is asked tells who asked it, so nobody was compared."""
    raised: float = 0.0
    """What the alert budget adds to the least score of a campaign."""
    taken: Index = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    """Subjects of the others."""
    comparisons: Comparisons = field(default_factory=dict)
    """Scores of groups that candidates were compared with, by size."""


@dataclass(frozen=True)
class Ground:
    """Texts, their vectors, and the cells that they fall into."""

    sample: Sample
    vectors: Vectors
    centres: npt.NDArray[np.float32]
    cell: npt.NDArray[np.int32]


@dataclass(frozen=True)
class View:
    """The ground with everybody who stands on it."""

    features: Features
    openly: Openly
    texts: npt.NDArray[np.int64]
    evidence: Evidence

    @property
    def touches(self) -> Touches:
        return self.evidence.touches

    @property
    def able(self) -> Flags:
        """Subjects of which there is a text."""
        return np.asarray(self.texts > 0)


def detect(features: Features, slices: int, raised: float = 0.0) -> Snapshot:
    """Looks at the traffic as it stood after `slices` slices, and at nothing later.

    `raised` is added to what the score of a campaign must be.
    """
    rng = np.random.default_rng(SEED)
    return search(features, slices, lay(features, slices, rng), rng, raised=raised)


def search(
    features: Features,
    slices: int,
    ground: Ground,
    rng: np.random.Generator,
    hints: Sequence[Index] = (),
    raised: float = 0.0,
) -> Snapshot:
    """`detect` on a ground that is laid. `hints`: groups of subjects to begin with, beside those that it finds."""
    view = look(features, slices, ground)
    ties = find_ties(features, slices, view.able)
    sets = [*hinted(hints, view), *starts(view.touches, ties, view.evidence.unit, SEED)]
    snapshot = conclude(view, ties, sets, rng, raised=raised)
    snapshot.related += _open_groups(view)
    return snapshot


def lay(features: Features, slices: int, rng: np.random.Generator) -> Ground:
    """Learns what everybody has in common, and the cells."""
    sample = features.sample
    if slices < len(features.edges):
        sample = sample.take(sample.slice < slices)
    vectors = Vectors(sample, len(features.subjects))
    centres = learn_centres(sample, vectors, rng)
    return Ground(sample, vectors, centres, nearest(vectors, np.arange(len(sample)), centres))


def look(features: Features, slices: int, ground: Ground) -> View:
    """Who asks in which cell, and who openly belongs together."""
    openly = openly_related(features, slices)
    unit = units_of(openly)
    touches = read_touches(ground.sample, ground.cell, max(len(ground.centres), 1), unit)
    texts = np.bincount(ground.sample.subject, minlength=len(features.subjects))
    return View(features, openly, texts, Evidence(ground.sample, ground.vectors, touches, unit))


def conclude(
    view: View,
    ties: list[Tie],
    sets: Iterable[Flags],
    rng: np.random.Generator,
    before: Snapshot | None = None,
    raised: float = 0.0,
) -> Snapshot:
    """Searches from `sets` of units. With `before`, candidates are compared with the groups of that snapshot."""
    evidence, openly = view.evidence, view.openly
    comparisons = before.comparisons if before else {}
    taken = np.zeros(view.touches.units, dtype=bool)
    if before:
        taken[evidence.unit[before.taken]] = True
    uniform = evidence.uniform()
    found = [] if uniform else _measured(find_candidates(view.touches, sets), evidence)
    for source, measured in found:
        if measured.likeness >= INTERCHANGEABLE_TIED:
            taken[source.units] = True
    outside = np.flatnonzero(~taken & (view.touches.texts > 0))
    judge = Judge(evidence, outside, rng, comparisons)
    alerts, related = _sort_out(_judged(found, evidence, ties, view.able, judge, raised), openly)
    subjects = np.flatnonzero(taken[evidence.unit])
    return Snapshot(
        evidence, ties, openly, view.texts, alerts, related, len(outside), uniform, raised, subjects, comparisons
    )


def hinted(hints: Sequence[Index], view: View) -> Iterator[Flags]:
    """Groups of subjects as sets of units."""
    for subjects in hints:
        yield as_flags(view.evidence.unit[subjects], view.touches.units)


def _measured(found: list[Source], evidence: Evidence) -> list[tuple[Source, Measured]]:
    return [(source, evidence.measure(source, source.units)) for source in found]


def _judged(
    found: list[tuple[Source, Measured]], evidence: Evidence, ties: list[Tie], able: Flags, judge: Judge, raised: float
) -> list[Group]:
    """Candidates that pass every condition; `raised` is added to what their score must be."""
    passed: list[Group] = []
    for source, measured in found:
        if measured.score < INTERCHANGEABLE_TIED + raised:
            continue
        group = _cleaned(source, evidence)
        if group is None:
            continue
        tied = tied_members(group.members, int(able.sum()), ties)
        members = group.members[~bystanders(group.members, int(able.sum()), ties)]
        units = np.unique(evidence.unit[members])
        shares = {kind: float(np.isin(members, own).mean()) for kind, own in tied.items()}
        least = INTERCHANGEABLE_TIED if shares else INTERCHANGEABLE
        if group.score < least + raised or group.measured.most < ONE_LIST or len(units) < MIN_GROUP:
            continue
        p_value = judge.p_value(group.measured, len(group.units))
        if p_value <= MAX_P:
            passed.append(Group(members, units, source, group.measured, p_value, shares))
    return passed


def _cleaned(source: Source, evidence: Evidence) -> Group | None:
    """The group without those who only repeat others' texts; None when it is too small."""
    core = source.units[_repeats(evidence, source.units) < REPEATS]
    if len(core) < MIN_GROUP:
        return None
    units = np.union1d(core, np.flatnonzero(source.mannered))
    units = units[_repeats(evidence, units) < REPEATS]
    if len(units) < MIN_GROUP:
        return None
    members = np.flatnonzero(np.isin(evidence.unit, units) & _active(evidence))
    return Group(members, units, source, evidence.measure(source, core))


def _active(evidence: Evidence) -> Flags:
    """Subjects of which there is a text."""
    return np.bincount(evidence.sample.subject, minlength=len(evidence.unit)) > 0


def _repeats(evidence: Evidence, units: Index) -> npt.NDArray[np.float64]:
    """The share of its texts that each unit sends word for word like another of the group, on average over these."""
    from scipy.sparse import csr_matrix

    owner = evidence.unit[evidence.sample.subject]
    rows = np.flatnonzero(np.isin(owner, units))
    _, number = np.unique(evidence.sample.digest[rows], return_inverse=True)
    place = np.searchsorted(units, owner[rows])
    sent = csr_matrix((np.ones(len(rows), dtype=np.float32), (place, number)))
    sent.data[:] = 1
    texts = np.asarray(sent.sum(axis=1)).ravel()
    senders = np.asarray(sent.sum(axis=0)).ravel()
    with_others = np.asarray(sent @ (senders - 1)).ravel()  # for each text, the others who sent it
    return np.asarray(with_others / np.maximum(texts, 1) / max(len(units) - 1, 1), dtype=np.float64)


def _sort_out(passed: list[Group], openly: Openly) -> tuple[list[Group], list[Related]]:
    """Surest first; what overlaps a surer one by more than half is that one again."""
    campaigns: list[Group] = []
    related: list[Related] = []
    for each in sorted(passed, key=lambda g: -g.source.score[g.units].sum()):
        if any(_again(each, one) for one in campaigns):
            continue
        relation = _relation(each.members, openly)
        if relation:
            if not any(_again(each, one) for one in related):
                related.append(Related(each.members, relation))
        else:
            campaigns.append(each)
    return campaigns, related


def _again(group: Group, other: Group | Related) -> bool:
    return len(np.intersect1d(group.members, other.members)) * 2 > len(group.members)


def _relation(members: Index, openly: Openly) -> str:
    """What most members openly share, or ''."""
    for labels, names, what in _labels(openly):
        own = labels[members]
        if (own >= 0).any():
            value, count = np.unique(own[own >= 0], return_counts=True)
            if count.max() * 2 > len(members):
                return f"same {what} {names[int(value[count.argmax()])]}"
    # A program whose end users all ask alike is one product; a part of a reseller's end users that does is not.
    account, count = np.unique(openly.account[members], return_counts=True)
    most = account[count.argmax()]
    if count.max() > max(ONE_PRODUCT * len(members), 1) and count.max() * 2 > int((openly.account == most).sum()):
        return "most end users of one account"
    return ""


def _labels(openly: Openly) -> list[tuple[npt.NDArray[np.int32], list[str], str]]:
    return [
        (openly.organization, openly.organizations, "organisation"),
        (openly.domain, openly.domains, "mail domain"),
    ]


def _open_groups(view: View) -> list[Related]:
    """Openly related subjects that ask alike: said, so that nobody wonders why they are no alert."""
    found: list[Related] = []
    for labels, names, what in _labels(view.openly):
        known = (labels >= 0) & (view.texts >= 2)
        values, count = np.unique(labels[known], return_counts=True)
        for label in values[count >= 3].tolist():
            members = np.flatnonzero(known & (labels == label))
            if any(len(np.setdiff1d(members, other.members)) == 0 for other in found):
                continue
            if view.evidence.likeness_of_subjects(members) >= INTERCHANGEABLE_TIED:
                found.append(Related(members, f"same {what} {names[label]}"))
    return found
