"""Does an alert budget hold? The alerts of a hundred worlds of honest traffic that nothing was set on.

    python benchmarks/budget.py [WORLDS]

Each world has 300 accounts with all look-alikes, 14 days, 7 exchanges on an active day on average. A budget is kept
when the rate that it allows is above the 95 % interval of the rate that was seen (Poisson: Garwood, Biometrika 28,
1936), exceeded when it is below it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scipy.stats import chi2

sys.path.append(str(Path(__file__).parent / "campaigns"))

from report import record, table
from traffic import JUDGE, LAWS, honest_store

from strongroom.detect.campaign import AlertBudget, parse_budget
from strongroom.detect.campaign._detect import INTERCHANGEABLE, INTERCHANGEABLE_TIED, detect
from strongroom.detect.campaign._features import read_features
from strongroom.store import Store

LAW, ACCOUNTS, FIRST, WORLDS = "few", 300, 1001, 100
BUDGETS = ("1/30d", "1/3650d")
"""The first asks nothing more of 300 accounts than the fixed bars do, the second raises them."""


def scores_in(seed: int) -> list[tuple[float, bool]]:
    """The scores of the false campaigns of one world under the fixed bars, and whether something ties their members."""
    place, _ = honest_store(JUDGE, seed, LAW, ACCOUNTS)
    features = read_features(Store(place), since=None, until=None)
    assert features is not None
    return [(round(group.score, 3), bool(group.tied)) for group in detect(features, len(features.edges)).campaigns]


def passing(found: list[tuple[float, bool]], budget: AlertBudget) -> int:
    """How many of these pass the bars that a budget raises."""
    raised = budget.raised(ACCOUNTS)
    return sum(score >= raised + (INTERCHANGEABLE_TIED if tied else INTERCHANGEABLE) for score, tied in found)


def interval(count: int, days: float) -> tuple[float, float]:
    """Events in 30 days, 95 %."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return low * 30 / days, float(chi2.ppf(0.975, 2 * count + 2)) / 2 * 30 / days


def main(worlds: int) -> None:
    found: list[tuple[float, bool]] = []
    for seed in range(FIRST, FIRST + worlds):
        here = scores_in(seed)
        found += here
        print(f"seed {seed}: {len(here)} {here or ''}", flush=True)
    days = worlds * LAWS[LAW].days
    rows: list[list[object]] = []
    for text in BUDGETS:
        budget = parse_budget(text)
        alerts = passing(found, budget)
        low, high = interval(alerts, days)
        allowed = 30 * budget.alerts / budget.days
        verdict = "exceeded" if allowed < low else "kept" if allowed >= high else "not refuted: too few days to tell"
        rows.append([text, f"{budget.raised(ACCOUNTS):.3f}", worlds, f"{ACCOUNTS * worlds:,}", f"{days:,.0f}", alerts,
                     f"{alerts * 30 / days:.2f} [{low:.2f}, {high:.2f}]", f"{allowed:.3f}", verdict])  # fmt: skip
    header = ["budget", "bars raised by", "worlds", "accounts", "days", "false campaigns", "in 30 days [95 %]",
              "allowed", "verdict"]  # fmt: skip
    record("budget", table(header, rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else WORLDS)
