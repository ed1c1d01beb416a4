"""A budget raises what a campaign's score must be, never lowers it, and says where it cannot hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import UsageError
from strongroom.detect.campaign import AlertBudget, _budget, parse_budget
from strongroom.detect.campaign._budget import HIGHEST, RATE, SCALE
from strongroom.detect.campaign._detect import INTERCHANGEABLE, detect
from strongroom.detect.campaign._find import _beyond

from .worlds import SLICES, World


@pytest.mark.parametrize(
    ("text", "alerts", "days"), [("1/30d", 1, 30), (" 3/52w ", 3, 364), ("12/24h", 12, 1), ("1/3650d", 1, 3650)]
)
def test_a_budget_is_alerts_in_a_time(text: str, alerts: int, days: float) -> None:
    assert parse_budget(text) == AlertBudget(alerts, days)


@pytest.mark.parametrize(
    "text", ["", "1", "1/", "/30d", "0/30d", "-1/30d", "1.5/30d", "1/30", "1/1h", "1/3651d", "9999999/1d"]
)
def test_what_is_no_budget_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        parse_budget(text)


BUDGETS = st.builds(AlertBudget, st.integers(1, 999_999), st.floats(1, 3650))


@given(budget=BUDGETS, accounts=st.integers(0, 10**8))
def test_the_bars_are_never_lowered_and_as_many_alerts_as_are_allowed_pass(budget: AlertBudget, accounts: int) -> None:
    raised = budget.raised(accounts)
    assert 0 <= raised <= HIGHEST
    passing = RATE * accounts * budget.days * math.exp(-raised / SCALE)
    assert (passing <= budget.alerts * (1 + 1e-9)) == budget.holds_for(accounts)


@given(budget=BUDGETS, accounts=st.integers(1, 10**6))
def test_more_accounts_or_fewer_alerts_ask_for_more(budget: AlertBudget, accounts: int) -> None:
    assert budget.raised(2 * accounts) >= budget.raised(accounts)
    assert AlertBudget(2 * budget.alerts, budget.days).raised(accounts) <= budget.raised(accounts)


def test_a_campaign_below_the_raised_bar_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "HIGHEST", 0.3)
    world = World(3)
    world.people(150, 40)
    world.workers(24, world.list_of(), 40)
    features = world.features()
    (found,) = detect(features, SLICES).campaigns
    over = found.score - INTERCHANGEABLE
    assert over < 0.3
    days = math.exp((over + 0.01) / SCALE) / (RATE * len(world.texts))
    assert detect(features, SLICES, AlertBudget(1, days).raised(len(world.texts))).campaigns == []
    assert len(detect(features, SLICES, AlertBudget(1, 30).raised(len(world.texts))).campaigns) == 1


def test_a_budget_that_cannot_hold_is_told() -> None:
    assert _beyond(None, 10**9) == _beyond(AlertBudget(1, 30), 1_000) == []
    (said,) = _beyond(AlertBudget(1, 365), 1_500)
    assert "a likeness of at least 0.91 is asked for" in said
    (said,) = _beyond(AlertBudget(1, 3650), 20_000)
    assert "1 in 3650 days" in said
    assert "20,000 accounts" in said
