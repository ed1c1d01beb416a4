"""What is usual for an asset: who reads it whole, from which networks, and how long that can be known already."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from strongroom.core.assets import Asset

from ._daily import Daily, Seen, is_public, role_of, wider

__all__ = ["ALIKE", "NEARLY_ALL", "PAST_DAYS", "ROUTINE", "USUAL", "VARIED", "Habit", "Habits", "group_of"]

PAST_DAYS = 7
ROUTINE = 2
ALIKE = 0.4
USUAL = 0.25
NEARLY_ALL = 0.75
VARIED = 0.5

_USER = re.compile(r"(arn:aws[\w-]*:iam::\d*:user)/.+", re.DOTALL)


def group_of(principal: str) -> str:
    """Whose like a principal is: the sessions of one role, the users of one account; others are alone.

    >>> group_of("arn:aws:iam::1:user/ann"), group_of("arn:aws:sts::1:assumed-role/Training/job-7")
    ('arn:aws:iam::1:user', 'arn:aws:sts::1:assumed-role/Training')
    """
    match = _USER.fullmatch(principal)
    return match[1] if match else role_of(principal)


@dataclass(frozen=True)
class Habit:
    """What is known of a principal's reading of an asset on the day when it read much."""

    routine: bool
    """It reads as much of the asset regularly, or nearly all of its like do of such assets."""
    common: bool
    """It does so of other such assets, or not a few of its like do, each now and then."""
    later: int
    """Days after that one on which it read as much again."""
    past: int
    """Days of which anything is known of the asset before."""
    before: float
    """The most that it read on an earlier day, from 0 to 1; -1: it never read it."""
    mobile: bool
    """It came from several public networks before, as people do and machines do not."""
    roaming: bool
    """Its like come from networks that are new to all every other day, as colleagues do who travel."""
    new_network: str
    """From where nobody came before; empty: from known networks, or it cannot be told."""

    @property
    def known(self) -> bool:
        """Whether the past is long enough to tell what is new."""
        return self.past >= PAST_DAYS

    @property
    def recurs(self) -> bool:
        """Whether it went on, as jobs do: it is new, and regular since."""
        return self.later >= ROUTINE


class Habits:
    """Asks the daily table of reads, and the table of who came from where."""

    def __init__(self, reads: Daily, seen: Seen, assets: Mapping[str, Asset]) -> None:
        self._kind = {name: asset.kind for name, asset in assets.items()}
        self._first: dict[str, int] = {}
        self._days: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
        self._parts: dict[tuple[str, str], list[tuple[int, str, float]]] = defaultdict(list)
        self._seen = seen
        self._groups: dict[str, dict[int, set[str]]] = {}
        self.readers: dict[str, set[str]] = defaultdict(set)
        """Every principal that read an asset."""
        for row in range(len(reads)):
            asset, principal, day = reads.asset[row], reads.principal[row], int(reads.day[row])
            network, share = reads.network[row], float(reads.share[row])
            self._first[asset] = min(self._first.get(asset, day), day)
            self._days[asset, principal][day] += share
            self._parts[asset, principal].append((day, network, share))
            self.readers[asset].add(principal)
        # By kind of asset: the days on which a principal read much of one, each with the most.
        self._much: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        self._members: dict[tuple[str, str], set[str]] = defaultdict(set)
        for (asset, principal), days in self._days.items():
            kind = self._kind[asset]
            self._members[group_of(principal), kind].add(principal)
            own = self._much[principal, kind]
            for day in days:
                own[day] = max(own.get(day, 0.0), self.share(asset, principal, day))

    def share(self, asset: str, principal: str, day: int) -> float:
        """The share of an asset that a principal read on a day, at most 1."""
        return min(1.0, self._days.get((asset, principal), {}).get(day, 0.0))

    def days(self, asset: str, principal: str) -> list[int]:
        """The days on which a principal read an asset."""
        return sorted(self._days.get((asset, principal), {}))

    def total(self, asset: str, principal: str, first: int, last: int) -> float:
        """The sum of shares from the day `first` to `last`: at least what it read of it, as objects read on two days
        count twice."""
        return sum(share for day, share in self._days.get((asset, principal), {}).items() if first <= day <= last)

    def past(self, asset: str, day: int) -> int:
        """Of how many days before `day` reads of an asset are known."""
        return max(0, day - max(self._first.get(asset, day), self._seen.begin(day)))

    def of(self, asset: str, principal: str, day: int, share: float, last: int = 0) -> Habit:
        """The habit when `share` of `asset` was read on `day`, or from then until the day `last`."""
        enough = ALIKE * share
        alike = [each for each in self.days(asset, principal) if self.share(asset, principal, each) >= enough]
        # The day after may be the rest of one run over midnight.
        later = sum(each > day + 1 for each in alike)
        past = self.past(asset, day)
        like = self._like(principal, self._kind[asset], enough)
        own = self._much.get((principal, self._kind[asset]), {})
        mobile = self._mobile(role_of(principal), day)
        elsewhere = sum(most >= enough and each < day for each, most in own.items()) >= ROUTINE
        routine = (
            sum(each < day for each in alike) >= ROUTINE
            # What goes on after the log begins most likely went on before.
            or (past < PAST_DAYS and later >= ROUTINE)
            or (like >= NEARLY_ALL and not mobile)
        )
        earlier = [self.share(asset, principal, each) for each in self.days(asset, principal) if each < day]
        return Habit(
            routine=routine,
            common=not routine and (elsewhere or like >= USUAL),
            later=later,
            past=past,
            before=max(earlier, default=-1.0),
            mobile=mobile,
            roaming=self._roams(group_of(principal), day),
            new_network=self._new_network(asset, principal, (day, max(day, last)), share),
        )

    def _like(self, principal: str, kind: str, enough: float) -> float:
        """The share of the others of its group who read as much of some asset of the kind within a day.

        Later days count too: it is what the group is for that is asked, and not who was first.
        """
        others = self._members[group_of(principal), kind] - {principal}
        days, whole = set(), 0
        for other in others:
            much = [day for day, most in self._much[other, kind].items() if most >= enough]
            whole += bool(much)
            days.update(much)
        return whole / len(others) if min(whole, len(days)) >= ROUTINE else 0.0

    def _mobile(self, role: str, day: int) -> bool:
        before = [networks for each, networks in self._seen.roles.get(role, {}).items() if each < day]
        return len(set().union(*before)) >= ROUTINE

    def _roams(self, group: str, day: int) -> bool:
        """Whether on half of the days in the week before on which somebody of a group came from a public network,
        somebody came from one that was new to all. In a log's first days everything is: these say nothing."""
        seen, days, fresh = self._seen, 0, 0
        for each in range(max(day - PAST_DAYS, seen.begin(day) + ROUTINE), day):
            networks = self._group_networks(group).get(each, set())
            days += bool(networks)
            fresh += any(seen.first.get(network) == each for network in networks)
        return days >= ROUTINE and fresh >= VARIED * days

    def _group_networks(self, group: str) -> dict[int, set[str]]:
        """By day, the public networks that a group came from."""
        if group not in self._groups:
            found: dict[int, set[str]] = defaultdict(set)
            for role, days in self._seen.roles.items():
                if group_of(role) == group:
                    for day, networks in days.items():
                        found[day] |= networks
            self._groups[group] = found
        return self._groups[group]

    def _new_network(self, asset: str, principal: str, days: tuple[int, int], share: float) -> str:
        """A new network from where about as much was read; one from where little came is a journey."""
        read: dict[str, float] = defaultdict(float)
        for day, network, part in self._parts.get((asset, principal), ()):
            if days[0] <= day <= days[1]:
                read[network] += part
        for network in sorted(read, key=lambda each: (-read[each], each)):
            if read[network] >= ALIKE * share and (new := self.is_new(network, principal, days[0])):
                return new
        return ""

    def is_new(self, network: str, principal: str, day: int) -> str:
        """The network, or the wider one around it for whoever is in another one every day, if it is new; else "".

        A public network is new when nobody did anything from it until less than `PAST_DAYS` before `day`; where the
        past is too short to say so, when only `principal` ever did, on one day, and is elsewhere on several. For a role
        that comes from new networks all the time, wide ones too, none is.
        """
        seen, around = self._seen, network
        if not is_public(network):
            return ""
        if self._varies(role_of(principal), day, wide=False):
            around = wider(network)
            if self._varies(role_of(principal), day, wide=True):
                return ""
        if day - seen.begin(day) >= PAST_DAYS:
            return around if seen.first.get(around, day) > day - PAST_DAYS else ""
        days = seen.days.get(principal, {})
        once = seen.users.get(network, {principal}) == {principal} and days.get(network, 0) <= 1
        return network if once and max(days.values(), default=0) > ROUTINE else ""

    def _varies(self, role: str, day: int, *, wide: bool) -> bool:
        """Whether on half of its days in the week before it came from a public network that it had not come from."""
        known: set[str] = set()
        days, fresh = 0, 0
        for each, networks in sorted(self._seen.roles.get(role, {}).items()):
            if each >= day:
                break
            now = {wider(network) for network in networks} if wide else networks
            if known and each >= day - PAST_DAYS:
                days += 1
                fresh += bool(now - known)
            known |= now
        return days >= ROUTINE and fresh >= VARIED * days

    def peers(
        self, asset: str, principal: str, days: tuple[int, int], exact: Mapping[tuple[str, str], float]
    ) -> npt.NDArray[np.float64]:
        """The shares of everybody else who read the asset by and by between two days.

        `exact`, by asset and principal, where it was measured; else the sum of days, which is never too low.
        """
        found = []
        for other in sorted(self.readers[asset] - {principal}):
            shares = [self.share(asset, other, day) for day in self.days(asset, other) if days[0] <= day <= days[1]]
            if shares and max(shares) < ALIKE:
                found.append(min(1.0, exact.get((asset, other), sum(shares))))
        return np.array(found)
