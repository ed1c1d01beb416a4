"""Who is whose peer: principals of one kind that do alike, learnt again every few days from what was before.

All sessions of one role are peers. A profile, of a role or of a principal that is none, is how often it used each
service to look and to change, as logarithms brought to length 1. Profiles of one kind are put into groups by spherical
k-means (Dhillon and Modha, Machine Learning 42, 2001), begun with those farthest from each other, so that neither
names nor the order of rows decide. Who has no past, and no role that has, belongs to nobody: it is compared with all.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import numpy.typing as npt

from ._read import Counts, Ints
from ._units import Units

__all__ = ["GROUP", "LEARNT_EVERY", "MAX_GROUPS", "MAX_SERVICES", "READING", "ROUNDS", "Peers", "family_of", "reads"]

LEARNT_EVERY = 7
"""Days between two times that groups are learnt."""
GROUP = 8
"""Roles, and principals that are none, of a group on average."""
MAX_GROUPS = 16
"""Of one kind."""
MAX_SERVICES = 100
"""The most used ones, that profiles are made of."""
ROUNDS = 8
"""Of k-means."""

READING = re.compile(
    r"(?:Describe|List|Get|Head|Lookup|Search|View|Check|Validate|Simulate|BatchGet|Query|Scan|Select|Estimate|Preview"
    r"|Detect|get|list|watch|head|read|describe|search)"
)
"""How the names of operations begin that change nothing and hand out no secret."""
_HANDS_OUT = re.compile(r"Get(?:SecretValue|Parameter|PasswordData|FederationToken|SessionToken|AuthorizationToken)")
_SESSION = re.compile(r"(arn:[^:]*:sts::\d*:assumed-role/[^/]+)/.+")

Floats = npt.NDArray[np.float64]


class Peers:
    """The group of each principal at each time that groups were learnt."""

    def __init__(self, counts: Counts, units: Units) -> None:
        self._group = [
            _learnt(counts, units, LEARNT_EVERY * time) for time in range((units.days - 1) // LEARNT_EVERY + 1)
        ]
        self.groups = 1 + max(int(group.max()) for group in self._group)

    @property
    def times(self) -> int:
        """How often groups were learnt."""
        return len(self._group)

    def at(self, time: int) -> Ints:
        """The group of each principal at the `time`-th learning. Group 0 are those that have none."""
        return self._group[time]

    def of(self, units: Units) -> Ints:
        """The group of each unit's principal, as it was learnt last before the unit's day."""
        return np.stack(self._group)[units.day // LEARNT_EVERY, units.principal]

    def members(self, units: Units, time: int) -> Ints:
        """How many principals of each group there were by the end of each day: groups in rows, days in columns."""
        table = np.zeros((self.groups, units.days), np.int64)
        new = units.past == 0
        np.add.at(table, (self._group[time][units.principal[new]], units.day[new]), 1)
        return np.cumsum(table, axis=1)


def family_of(principal: str) -> str:
    """The role of an assumed role's session; of others, themselves.

    >>> family_of("arn:aws:sts::1:assumed-role/App/i-0abc")
    'arn:aws:sts::1:assumed-role/App'
    """
    match = _SESSION.fullmatch(principal)
    return match[1] if match else principal


def reads(action: str) -> bool:
    """Whether an action looks only: `s3:ListBuckets`.

    >>> reads("ec2:DescribeInstances"), reads("iam:CreateUser"), reads("secretsmanager:GetSecretValue")
    (True, False, False)
    """
    operation = action.rpartition(":")[2]
    return bool(READING.match(operation)) and not _HANDS_OUT.match(operation)


def _learnt(counts: Counts, units: Units, day: int) -> Ints:
    """The group of each principal by what was before `day`; 0: none."""
    past = units.day[units.row] < day
    names = [f"{kind}\0{family_of(name)}" for kind, name in zip(counts.kinds, counts.principals, strict=True)]
    families, family = np.unique(np.array(names, dtype=object), return_inverse=True)
    if not past.any():
        return np.zeros(units.principals, np.int64)
    profile = _profiles(counts, past, family, len(families))
    known = profile.any(axis=1)
    kinds = np.array([name.partition("\0")[0] for name in families], dtype=object)
    group = np.zeros(len(families), np.int64)
    next_group = 1
    for kind in sorted(set(counts.kinds)):
        members = np.flatnonzero(known & (kinds == kind))
        if len(members):
            found = _parted(profile[members], min(MAX_GROUPS, max(1, len(members) // GROUP)))
            group[members] = next_group + found
            next_group += int(found.max()) + 1
    return group[family]


def _profiles(counts: Counts, past: npt.NDArray[np.bool_], family: Ints, families: int) -> Floats:
    """Logarithms of how many combinations of each service and class a family had, as rows of length 1."""
    services = Counter[str]()
    used = np.bincount(counts.action[past], minlength=len(counts.actions))
    for action, number in zip(counts.actions, used.tolist(), strict=True):
        services[action.partition(":")[0]] += number
    kept = sorted(services, key=lambda name: (-services[name], name))[:MAX_SERVICES]
    place = {name: 2 * index for index, name in enumerate(kept)}
    column = np.array(
        [place.get(action.partition(":")[0], -2) + (not reads(action)) for action in counts.actions], np.int64
    )[counts.action[past]]
    inside = column >= 0
    cell = family[counts.principal[past][inside]] * 2 * len(kept) + column[inside]
    profile = np.log1p(np.bincount(cell, minlength=families * 2 * len(kept)).reshape(families, -1))
    return _unit_length(profile)


def _unit_length(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float64)


def _parted(profile: Floats, wanted: int) -> Ints:
    """The group of each row, from 0, of at most so many."""
    centres = [profile[np.argmin(profile @ profile.mean(axis=0).round(9))]]
    nearest = profile @ centres[0]
    while len(centres) < wanted and nearest.min() < 1 - 1e-6:
        centres.append(profile[np.argmin(nearest.round(9))])
        nearest = np.maximum(nearest, profile @ centres[-1])
    centre = np.stack(centres)
    for _ in range(ROUNDS):
        found = np.argmax((profile @ centre.T).round(9), axis=1)
        sums = np.zeros_like(centre)
        np.add.at(sums, found, profile)
        centre = np.where(sums.any(axis=1, keepdims=True), _unit_length(sums), centre)
    return np.unique(np.argmax((profile @ centre.T).round(9), axis=1), return_inverse=True)[1]
