"""A campaign's accounts behave as everybody does: trained with the truth, a classifier cannot tell them apart."""

from __future__ import annotations

import numpy as np
import pytest

from strongroom.simulate import Campaign, Plan, bundled_material, simulate, truth

from .features import COLUMNS, SIGNUP, behaviour, by_account, truth_of

HONEST, CAMPAIGN = 450, 150


def traffic(seed: int, campaign: Campaign) -> tuple[dict, set[str]]:
    material = bundled_material(seed, accounts=HONEST)
    plan = Plan(seed=seed, honest_accounts=HONEST, campaign=campaign, days=7, mean_per_active_day=16)
    return by_account(simulate(plan, material)), truth(plan, material).campaign_accounts


LEVELS = {
    "separate addresses": Campaign(accounts=CAMPAIGN),
    "separate addresses, one template": Campaign(
        accounts=CAMPAIGN, template="Reason step by step before you answer.\n{instruction}\nFinal answer:"
    ),
    "shared addresses": Campaign(accounts=CAMPAIGN, level="shared_addresses"),
}


@pytest.fixture(scope="module")
def seeds() -> list[tuple[dict, set[str]]]:
    return [traffic(seed, LEVELS["separate addresses"]) for seed in (11, 12)]


def true_positives(scores: np.ndarray, truth: np.ndarray, false_positive_rate: float) -> float:
    threshold = np.quantile(scores[truth == 0], 1 - false_positive_rate, method="higher")
    return float(np.mean(scores[truth == 1] > threshold))


@pytest.mark.parametrize("level", LEVELS)
def test_behaviour_alone_does_not_tell_a_campaign(level: str, seeds: list[tuple[dict, set[str]]]) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    if level != "separate addresses":
        seeds = [traffic(seed, LEVELS[level]) for seed in (11, 12)]
    (train, train_truth), (test, test_truth) = seeds
    x, y = np.array([behaviour(r) for r in train.values()]), truth_of(train, train_truth)
    u, v = np.array([behaviour(r) for r in test.values()]), truth_of(test, test_truth)
    assert x.shape[1] >= 25
    scores = HistGradientBoostingClassifier(random_state=0).fit(x, y).predict_proba(u)[:, 1]
    auc, tpr = roc_auc_score(v, scores), true_positives(scores, v, 0.002)
    # 150 against 450: chance alone moves the area by ±.054 (two standard errors). A template makes prompts longer
    # than the shortest of the law, for programs' users as for a campaign.
    assert auc < 0.65, f"AUC {auc:.3f}"
    assert tpr < 0.15, f"TPR {tpr:.3f} at FPR .002"


@pytest.mark.parametrize("column", [*COLUMNS, *SIGNUP])
def test_no_metadata_column_alone_tells_a_campaign(seeds: list[tuple[dict, set[str]]], column: str) -> None:
    """Score of a value: the share of campaign accounts among those that had it in the other seed."""
    from sklearn.metrics import roc_auc_score

    def values(records: list[dict]) -> set[object]:
        return {r["signup"][column] if column in SIGNUP else r[column] for r in records}

    (train, train_truth), (test, test_truth) = seeds
    seen: dict[object, list[int]] = {}
    for account, records in train.items():
        for value in values(records):
            seen.setdefault(value, []).append(account.rstrip("/") in train_truth)
    share = {value: (sum(own) + 0.25) / (len(own) + 1) for value, own in seen.items()}
    scores = [np.mean([share.get(value, 0.25) for value in values(records)]) for records in test.values()]
    auc = roc_auc_score(truth_of(test, test_truth), scores)
    assert 0.38 < auc < 0.62, f"{column}: AUC {auc:.3f}"
