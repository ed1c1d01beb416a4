"""The links that a report draws: each member's nearest, by what they share or, where nothing is, by what they ask."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from ._detect import Group, Snapshot
from ._features import Features
from ._judge import Evidence

__all__ = ["cosines", "drawn"]

DRAWN_LINKS = 1_500
"""Links of one campaign that are drawn at most."""
EACH = 3
"""Of one account, to those that ask most alike."""
BLOCK = 512

Index = npt.NDArray[np.intp]
Link = tuple[str, str, str, float]


def drawn(campaign: Group, snapshot: Snapshot, features: Features) -> list[Link]:
    """(account, account, kind, likeness), the strongest first."""
    members = campaign.members
    chosen: dict[tuple[int, int], tuple[str, float]] = {}
    near = _nearest(campaign, snapshot)
    for a, b, likeness in near:
        chosen[a, b] = ("distribution", likeness)
    inside = set(members.tolist())
    for tie in sorted(snapshot.ties, key=lambda tie: len(tie.members)):
        tied = [int(i) for i in tie.members if int(i) in inside]
        if tie.kind not in campaign.tied or len(chosen) > DRAWN_LINKS:
            continue
        for a, b in itertools.pairwise(tied):
            chosen[a, b] = (tie.kind, max(chosen.get((a, b), ("", 0.0))[1], 0.5))
    order = sorted(chosen.items(), key=lambda item: (item[1][0] == "distribution", -item[1][1], item[0]))
    return [
        (features.subjects[a], features.subjects[b], kind, round(min(likeness, 1.0), 3))
        for (a, b), (kind, likeness) in order[:DRAWN_LINKS]
    ]


def _nearest(campaign: Group, snapshot: Snapshot) -> list[tuple[int, int, float]]:
    """Pairs of members, each with those it has most cells in common with: cosine of touched cells."""
    evidence = snapshot.evidence
    touches = evidence.touches
    values = campaign.source.holds(touches).astype(np.float64)
    length = np.sqrt(np.maximum(touches.by_unit(values), 1e-9))
    matrix = touches.matrix(values / length[touches.unit])[campaign.units]
    first = {
        int(unit): int(member) for member, unit in zip(campaign.members, evidence.unit[campaign.members], strict=True)
    }
    pairs: dict[tuple[int, int], float] = {}
    for at in range(0, len(campaign.units), BLOCK):
        common = np.asarray((matrix[at : at + BLOCK] @ matrix.T).todense())
        common[np.arange(len(common)), at + np.arange(len(common))] = -1
        for row, values_of in enumerate(common):
            for other in np.argsort(-values_of, kind="stable")[:EACH]:
                if values_of[other] > 0:
                    a, b = sorted((first[int(campaign.units[at + row])], first[int(campaign.units[other])]))
                    pairs[a, b] = float(values_of[other])
    return [(a, b, likeness) for (a, b), likeness in pairs.items()]


def cosines(evidence: Evidence, unit: int) -> npt.NDArray[np.float64]:
    """How many cells each unit has in common with one, rare ones weighing more, 0 to 1, (units,)."""
    matrix = evidence.scaled()
    return np.asarray((matrix @ matrix[unit].T).todense()).ravel()
