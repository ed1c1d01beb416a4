"""What a peer did on one day before is one event; what no peer did on one day counts in full."""

from __future__ import annotations

import numpy as np

from strongroom.detect.anomaly._novelty import first_seen
from strongroom.detect.anomaly._peers import Peers
from strongroom.detect.anomaly._precedent import Precedents, precedents
from strongroom.detect.anomaly._units import units_of

from .test_novelty import counts

USUAL = [(principal, day, 0) for principal in range(12) for day in range(14)]
BOOT = (1, 2, 3, 4)


def left(rows: list[tuple[int, int, int]], principal: int, day: int) -> tuple[float, float, Precedents]:
    """The surprise of a unit before and after its precedent is looked for."""
    made = counts(rows, 12)
    units = units_of(made)
    peers = Peers(made, units)
    had = {"action": (units.row, made.action)}
    seen = {"action": first_seen(units, peers, units.row, made.action, np.zeros(len(made.actions), np.int64))}
    found = precedents(units, peers, seen, had, np.ones(len(units), np.int64))
    mine = seen["action"].unit == units.of(np.array([principal]), np.array([day]))[0]
    return float(seen["action"].surprise[mine].sum()), float(found.surprise["action"][mine].sum()), found


def test_a_day_like_a_peers_is_one_event() -> None:
    rows = [*USUAL, *((5, 9, action) for action in BOOT), *((11, 13, action) for action in BOOT)]
    every, rest, found = left(rows, 11, 13)
    assert rest < every / 3
    assert rest > 2
    assert found.whole[-1]
    assert found.explains(np.ones(len(found.unit), np.int64))[-1]
    amount = np.ones(len(found.unit), np.int64)
    amount[-1] = 100
    assert not found.explains(amount)[-1]


def test_what_peers_did_on_several_days_counts_in_full_but_for_one() -> None:
    rows = [*USUAL, *((action, 9, action) for action in BOOT), *((11, 13, action) for action in BOOT)]
    every, rest, found = left(rows, 11, 13)
    assert rest == every  # the one thing that the precedent holds stands for itself
    assert not found.whole[-1]


def test_what_nobody_did_has_no_precedent_and_the_future_gives_none() -> None:
    alone = [*USUAL, *((11, 12, action) for action in BOOT)]
    every, rest, _ = left(alone, 11, 12)
    assert rest == every
    later = [*alone, *((5, 13, action) for action in BOOT)]
    assert left(later, 11, 12)[1] == rest
