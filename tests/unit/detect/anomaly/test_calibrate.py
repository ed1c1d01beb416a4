"""p-values of honest days are at most uniform, and they lead to as many alerts as the budget allows."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.detect.anomaly._alerts import alerts
from strongroom.detect.anomaly._calibrate import LEAST_REFERENCE, WARM_UP, ranks
from strongroom.detect.anomaly._units import Units
from strongroom.detect.campaign import AlertBudget


def units(principals: int, days: int, *, share: float = 1.0, seed: int = 0) -> Units:
    """Principals that are there on a share of the days."""
    there = np.random.default_rng(seed).random((principals, days)) < share
    principal, day = np.nonzero(there)
    past = (np.cumsum(there, axis=1) - 1)[principal, day]
    nothing = np.zeros(0, np.int64)
    return Units(principal, day, past, nothing, days, principals)


def everything(made: Units) -> np.ndarray:
    return np.ones(len(made), bool)


SCORES = {
    "exponential": lambda rng, number: rng.exponential(size=number),
    "normal": lambda rng, number: rng.normal(size=number),
    "mostly zero": lambda rng, number: rng.exponential(size=number) * (rng.random(number) < 0.05),
    "lognormal": lambda rng, number: rng.lognormal(sigma=1.5, size=number),
    "all alike": lambda rng, number: np.zeros(number),
}


@pytest.mark.parametrize("law", SCORES)
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_p_values_of_exchangeable_days_are_at_most_uniform(law: str, share: float) -> None:
    found = []
    for seed in range(20):
        made = units(40, 30, share=share, seed=seed)
        compared = ranks(made, SCORES[law](np.random.default_rng(seed), len(made)), everything(made))
        found.append(compared.p[compared.compared >= LEAST_REFERENCE])
    p = np.concatenate(found)
    assert len(p) > 5000
    for level in (0.5, 0.2, 0.05, 0.01):
        bound = level + 4 * np.sqrt(level * (1 - level) / len(p))
        assert (p <= level).mean() <= bound, f"{law} at {level}"


def test_p_values_beyond_what_ranks_can_give_are_not_too_small() -> None:
    """An exponential tail is what is assumed; a normal one is lighter and so judged strictly."""
    for law in ("exponential", "normal"):
        small = total = 0
        for seed in range(60):
            made = units(40, 30)
            compared = ranks(made, SCORES[law](np.random.default_rng(seed), len(made)), everything(made))
            p = compared.p[compared.compared >= 100]
            small, total = small + (p <= 0.0005).sum(), total + len(p)
        assert small / total <= 0.0005 + 4 * np.sqrt(0.0005 / total)


def test_what_somebody_does_every_week_is_not_unusual() -> None:
    made = units(50, 29)
    score = np.random.default_rng(1).exponential(size=len(made))
    weekly = (made.principal == 7) & (made.day % 7 == 0)
    score[weekly] = 50.0
    p = ranks(made, score, everything(made)).p
    assert p[weekly & (made.day >= 14)].min() >= 0.1
    assert p[weekly & (made.day == 7)] >= 0.1  # it was so on the first day
    score[weekly & (made.day < 28)] = 0.0
    assert ranks(made, score, everything(made)).p[weekly & (made.day == 28)] < 1e-4


def test_nothing_is_compared_in_the_warm_up_and_a_first_day_only_with_first_days() -> None:
    made = units(30, 10)
    compared = ranks(made, np.ones(len(made)), everything(made)).compared
    assert compared[made.day < WARM_UP].max() == 0
    assert compared[made.day == 9].min() == 30 * 5  # of days with four of past and more
    late = Units(np.append(made.principal, 30), np.append(made.day, 9), np.append(made.past, 0), made.row, 10, 31)
    assert ranks(late, np.ones(len(late)), everything(late)).compared[-1] == 0


@pytest.mark.parametrize("allowed", [1, 5])
def test_honest_streams_keep_the_budget(allowed: int) -> None:
    """Uniform p-values for 300 times 30 days: as many alerts as the budget allows, within four standard deviations."""
    runs, found = 300, 0
    for seed in range(runs):
        made = units(60, 30)
        p = np.random.default_rng(seed).random(len(made))
        found += len(alerts(made, p, everything(made), AlertBudget(allowed, 30.0)))
    assert found <= runs * allowed + 4 * np.sqrt(runs * allowed)
    assert found >= runs * allowed / 2


def test_days_near_each_other_are_one_alert() -> None:
    made = units(20, 30)
    p = np.ones(len(made))
    p[(made.principal == 3) & (made.day >= 10)] = 1e-9
    (alert,) = alerts(made, p, everything(made), None)
    assert len(alert.units) == 20
    p[(made.principal == 3) & (made.day > 10) & (made.day < 20)] = 1.0
    assert len(alerts(made, p, everything(made), None)) == 2
