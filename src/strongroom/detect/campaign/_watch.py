"""The search again and again while traffic comes in: what was learnt stays in memory, and only new rows are read.

A *full* cycle is an ordinary detection of everything, as `find_campaigns` makes it. A cycle between two of those
keeps what the last one learnt: what everybody has in common, passages, cells, which templates tie whom, and the groups
that candidates are compared with. Into these it places what is new, and searches from the groups that are known and
from the other starts, a few of either in turn: all have been tried after `Watch.turns` cycles. Full cycles come when
the traffic grew by a tenth, after `FULL_AFTER` cycles with something new, and always while there is little to look at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from strongroom.core.records import RelatedGroup
from strongroom.store import Store

from ._budget import AlertBudget
from ._cells import nearest
from ._detect import SEED, Ground, Group, Snapshot, View, conclude, hinted, lay, look, search
from ._features import Features, Reader
from ._find import Found, Result, gather, raised_by, related_groups, result_of
from ._sensitivity import glance
from ._starts import DIRECTIONS, ends, scaled, tied
from ._ties import Tie, fact_ties
from ._touches import Touches
from ._whole import Change, Whole

__all__ = ["Spotted", "Watch"]

GROWN = 1.1
"""Times as many rows as at the last full cycle that make the next one full."""
FULL_AFTER = 480
"""Cycles with new rows after which the next is full, however little came."""
ALWAYS_FULL = 20_000
"""Texts of the sample up to which every cycle is full: it takes about a second."""
WORK = 2_500_000
"""Entries of the matrix times starts that one cycle looks at, about; and the same again for known groups."""
SPARE = 8
"""Directions that are kept besides those which are searched, so that these are found sooner."""
SETTLED = 8
"""Iterations that find the leading directions from nothing; later one a cycle follows them."""

Index = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spotted:
    """A campaign in the cycle that found it. `Watch.evidence` makes all that is told of it."""

    accounts: list[str]
    exchanges: int
    group: Group


class Watch:
    """What a watch knows of a store. Nobody but the watch's owner may write exchanges meanwhile."""

    def __init__(
        self, store: Store, *, since: int | None = None, until: int | None = None, budget: AlertBudget | None = None
    ) -> None:
        self._store, self._since, self._until, self._budget = store, since, until, budget
        self._forget()

    def _forget(self) -> None:
        self._files: frozenset[str] = frozenset()
        self._whole: Whole | None = None
        self._ground: Ground | None = None
        self._snapshot: Snapshot | None = None
        self._known: list[Index] = []
        self._related: list[RelatedGroup] | None = None
        self._turn: _Turn | None = None
        self._full_at = self._cycles = self._idle = 0
        self.full = False
        """Whether the last cycle was full."""
        self.new = 0
        """Rows that the last cycle took in."""
        self.turns = 1
        """Cycles after which all starts have been tried."""

    @property
    def _raised(self) -> float:
        assert self._whole is not None
        return raised_by(self._budget, self._whole.features)

    @property
    def features(self) -> Features | None:
        """What is known of each account; None before there is a row."""
        return self._whole.features if self._whole else None

    def cycle(self, progress: Callable[[str], None] = lambda _: None) -> list[Spotted]:
        """Takes in what was appended, searches, and returns the campaigns that were found in this cycle.

        A campaign that an earlier cycle found may be missing unless this cycle was full.
        """
        change = self._take_in(progress)
        self._idle = 0 if self.new else self._idle + 1
        if self._whole is None or self._idle > self.turns:  # all starts were tried on just this
            self.full = False
            return []
        if change is not None:
            self._known = [change.renumbered[members] for members in self._known]
        self._cycles += bool(self.new)
        self.full = self._due()
        if self.full:
            self._search_all(progress)
            self._idle = self.turns
        else:
            self._search_some(change)
        return [self._spotted(group) for group in self._current.campaigns]

    @property
    def _current(self) -> Snapshot:
        assert self._snapshot is not None
        return self._snapshot

    def _take_in(self, progress: Callable[[str], None]) -> Change | None:
        appended = self._store.appended(self._files, self._since, self._until)
        if appended is None:
            self._forget()
            appended = self._store.appended(self._files, self._since, self._until)
            assert appended is not None
        table, files = appended
        self.new = 0
        if files == self._files:
            return None
        if self._whole is None:
            progress("reading what each account asks")
        reader = Reader(self._store, table)
        self.new, change = reader.rows, None
        if reader.rows and self._whole is None:
            self._whole = Whole(reader)
        elif reader.rows and self._whole is not None:
            change = self._whole.add(reader)
        self._files = files
        return change

    def _due(self) -> bool:
        assert self._whole is not None
        features = self._whole.features
        if self._ground is None or len(features.sample) <= ALWAYS_FULL:
            return self._ground is None or self.new > 0
        return features.rows >= GROWN * self._full_at or self._cycles >= FULL_AFTER

    def _search_all(self, progress: Callable[[str], None]) -> None:
        assert self._whole is not None
        features = self._whole.features
        if len(features.sample) > ALWAYS_FULL or self._ground is None:
            progress(f"comparing all {len(features.subjects):,} accounts anew: this cycle takes longer")
        rng = np.random.default_rng(SEED)
        self._ground = None  # what the last cycle made need not lie beside what this one makes
        self._ground = lay(features, 1, rng)
        self._snapshot = search(features, 1, self._ground, rng, self._known, self._raised)
        self._known = [group.members for group in self._snapshot.campaigns]
        self._related, self._turn = None, _Turn(self._snapshot.evidence.touches)
        self._full_at, self._cycles = features.rows, 0

    def _search_some(self, change: Change | None) -> None:
        assert self._whole is not None
        assert self._ground is not None
        assert self._turn is not None
        features, before = self._whole.features, self._current
        if change is not None:
            self._ground = _followed(self._ground, features, change)
            before = _renumbered(before, change.renumbered)
        view = look(features, 1, self._ground)
        ties = [*fact_ties(features, 1, view.able), *(tie for tie in before.ties if tie.kind == "template")]
        count = int(np.clip(WORK // max(len(view.touches.unit), 1), 1, 4 * DIRECTIONS))
        known = self._known[:count]
        self._known = self._known[count:] + known
        sets = [*hinted(known, view), *self._turn.next(view, ties, count)]
        self.turns = max(self._turn.cycles(count), -(-len(self._known) // count))
        snapshot = conclude(view, ties, sets, np.random.default_rng(SEED), before, self._raised)
        snapshot.related = before.related
        self._known = _united(self._known, [group.members for group in snapshot.campaigns])
        self._snapshot = snapshot

    def _spotted(self, group: Group) -> Spotted:
        assert self._whole is not None
        features = self._whole.features
        names = [features.subjects[i] for i in group.members]
        return Spotted(names, int(features.exchanges[group.members].sum()), group)

    def evidence(self, spotted: Spotted) -> Found:
        """A campaign of the last cycle with its evidence: this reads stored rows. `detected_at` is the event time up
        to which the watch has read."""
        assert self._whole is not None
        return gather(spotted.group, 1, self._current, self._whole.features, self._store)

    def result(self, found: list[Found], progress: Callable[[str], None] = lambda _: None) -> Result | None:
        """What was found in all, beside what was looked at; of nothing, with one look at what would have been found.
        None when there are no exchanges."""
        if self._whole is None:
            return None
        if self._related is None:
            self._related = related_groups(self._whole.features, self._current, self._store)
        result = result_of(self._whole.features, self._current, found, self._related, self._budget)
        if not found:
            result.sensitivity.update(glance(self._whole.features, raised=self._raised, progress=progress))
        return result

    def compacted(self) -> None:
        """Tells that the store's files were written anew, with the same rows, after the last cycle."""
        appended = self._store.appended(frozenset())
        assert appended is not None
        self._files = appended[1]


def _followed(ground: Ground, features: Features, change: Change) -> Ground:
    """The same vectors and cells for a sample that changed."""
    vectors = ground.vectors.following(features.sample, change.origin, change.renumbered)
    new = np.flatnonzero(change.origin < 0)
    cell = ground.cell[change.origin] if len(ground.cell) else np.zeros(len(change.origin), dtype=np.int32)
    cell[new] = nearest(vectors, new, ground.centres)
    return Ground(features.sample, vectors, ground.centres, cell)


def _renumbered(snapshot: Snapshot, numbers: Index) -> Snapshot:
    """What a cycle keeps of an earlier snapshot, with the subjects' numbers as they are now."""
    ties = [dataclasses.replace(tie, members=numbers[tie.members].astype(np.int32)) for tie in snapshot.ties]
    related = [dataclasses.replace(group, members=numbers[group.members]) for group in snapshot.related]
    return dataclasses.replace(snapshot, ties=ties, related=related, taken=numbers[snapshot.taken])


def _united(known: list[Index], found: list[Index]) -> list[Index]:
    """Known groups that were not found again, then those that were found: whose turn was now is the last."""
    kept = [old for old in known if not any(2 * len(np.intersect1d(old, new)) > len(old) for new in found)]
    return kept + found


class _Turn:
    """Which starts are next, and the directions that they are ends of, for each of the two scalings.

    The leading directions are followed from cycle to cycle by subspace iteration (Rutishauser, Numerische Mathematik
    13, 1969) on the side of the cells, whose numbers stay.
    """

    def __init__(self, touches: Touches) -> None:
        self._bases = [self._leading(_scaled(touches, which)) for which in range(2)]
        self._next = [0, 0]
        self._cycle = 0
        self._starts = [0, 0]

    def cycles(self, count: int) -> int:
        """After how many cycles of `count` starts each has been tried."""
        return sum(-(-starts // count) for starts in self._starts) + 1

    def next(self, view: View, ties: Sequence[Tie], count: int) -> list[Flags]:
        """The next `count` starts."""
        touches, which = view.touches, self._cycle % 2
        self._cycle += 1
        found = [*ends(self._directions(touches, which))]
        if which == 0:
            found = [*tied(touches, ties, view.evidence.unit), *found]
        self._starts[which] = len(found)
        if not found:
            return []
        first = self._next[which] % len(found)
        self._next[which] = first + min(count, len(found))
        return [found[(first + i) % len(found)] for i in range(min(count, len(found)))]

    def _directions(self, touches: Touches, which: int) -> Floats:
        matrix = _scaled(touches, which)
        self._bases[which] = basis = _orthogonal(matrix.T @ (matrix @ self._bases[which]))
        left = matrix @ basis
        sizes, turned = np.linalg.eigh(left.T @ left)
        order = np.argsort(-sizes)[1 : DIRECTIONS + 1]  # the first is the same for everybody
        return np.asarray(left @ turned[:, order])

    @staticmethod
    def _leading(matrix: csr_matrix) -> Floats:
        most = min(DIRECTIONS + 1 + SPARE, *matrix.shape)
        basis = np.random.default_rng(SEED).normal(size=(matrix.shape[1], most))
        for _ in range(SETTLED):
            basis = _orthogonal(matrix.T @ (matrix @ basis))
        return basis


def _scaled(touches: Touches, which: int) -> csr_matrix:
    return scaled(touches.matrix(np.ones(len(touches.unit)) if which == 0 else 1 / touches.count)).tocsr()


def _orthogonal(vectors: Floats) -> Floats:
    return np.asarray(np.linalg.qr(vectors)[0])
