"""Does the simulation give its campaign away? Classifiers that are trained with the truth, on what must not tell.

Gradient boosting on each account's behaviour alone, and each metadata column alone, trained on some seeds and tested on
others. From level A2 on all of them must be near chance; where they are not, figures of detection mean nothing.

    python benchmarks/campaigns/leaks.py WORLD SEEDS [LEVEL ...]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from traffic import LEVELS, WORLDS, behaviour_of, shared_texts, store_of

from strongroom.simulate import Truth, World
from strongroom.store import Store

COLUMNS = (
    "user_agent", "asn", "tls_fingerprint", "model", "operation", "status", "email_domain", "country", "max_tokens",
    "temperature",
)  # fmt: skip
FALSE_POSITIVE_RATE = 0.002
MAX_TPR = 0.15
NEAR_CHANCE = 0.12
"""How far from .5 the area of one column may be."""


@dataclass(frozen=True)
class Leaks:
    """What a classifier with the truth makes of one level."""

    tpr: float
    area: float
    breadth: float
    language: float
    """What the sketch says of the texts: code or a language. Not metadata, for it follows from the texts."""
    columns: dict[str, float]
    twice: dict[str, tuple[float, float]] = field(default_factory=dict)
    """See `shared_texts`."""

    def __str__(self) -> str:
        far = sorted(self.columns.items(), key=lambda item: -abs(item[1] - 0.5))
        columns = " ".join(f"{name} {area:.2f}" for name, area in far)
        return (
            f"behaviour TPR {self.tpr:.3f} AUC {self.area:.2f}; breadth AUC {self.breadth:.2f}, "
            f"language {self.language:.2f}; {columns}; in two accounts: {self.in_two}"
        )

    @property
    def in_two(self) -> str:
        """Shares of whole texts and of shingles that two accounts have."""
        return ", ".join(f"{name} {texts:.4f} {pieces:.2f}" for name, (texts, pieces) in self.twice.items())

    @property
    def furthest(self) -> tuple[str, float]:
        """The column that tells most."""
        return max(self.columns.items(), key=lambda item: abs(item[1] - 0.5))


def leaks(world: World, level: str, train: Sequence[int], test: int, accounts: int) -> Leaks | None:
    """What tells in `test` after training on the seeds of `train`; None for a single account."""
    places = [store_of(world, seed, level, accounts) for seed in [*train, test]]
    if len(places[-1][1].campaign_accounts) < 2:
        return None
    tables = [_behaviour(*place) for place in places]
    x, y = np.vstack([t[0] for t in tables[:-1]]), np.concatenate([t[1] for t in tables[:-1]])
    u, v, breadth = tables[-1]
    scores = HistGradientBoostingClassifier(random_state=0).fit(x, y).predict_proba(u)[:, 1]
    known = breadth > 0
    areas = _columns(places)
    return Leaks(
        tpr=true_positives(scores[v == 1], scores[v == 0]),
        area=float(roc_auc_score(v, scores)),
        breadth=float(roc_auc_score(v[known], breadth[known])) if v[known].any() else float("nan"),
        language=areas.pop("language"),
        columns=areas,
        twice=shared_texts(*places[-1]),
    )


def true_positives(campaign: np.ndarray, honest: np.ndarray, rate: float = FALSE_POSITIVE_RATE) -> float:
    """Share of the campaign's scores above all but `rate` of the honest ones."""
    return float(np.mean(campaign > np.quantile(honest, 1 - rate, method="higher")))


def _behaviour(place: Path, told: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    measured = behaviour_of(place)
    own = np.array([subject in told.campaign_accounts for subject in measured.subjects], dtype=int)
    return measured.features, own, measured.breadth


def _columns(places: Sequence[tuple[Path, Truth]]) -> dict[str, float]:
    """Area under the curve of each column; a value scores its share of campaign accounts in the training seeds."""
    found = {}
    for column in (*COLUMNS, "organization", "age", "language"):
        seen: dict[object, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for place, told in places[:-1]:
            for subject, values in _values(place, column).items():
                for value in values:
                    seen[value][0] += subject in told.campaign_accounts
                    seen[value][1] += 1
        base = sum(own for own, _ in seen.values()) / max(sum(count for _, count in seen.values()), 1)
        share = {value: (own + base) / (count + 1) for value, (own, count) in seen.items()}
        place, told = places[-1]
        tested = _values(place, column)
        scores = [float(np.mean([share.get(value, base) for value in values])) for values in tested.values()]
        found[column] = float(roc_auc_score([s in told.campaign_accounts for s in tested], scores))
    return found


def _values(place: Path, column: str) -> dict[str, set[object]]:
    """The values that each subject showed; of an organisation whether there is one, of the sign-up its age."""
    store = Store(place)
    rows = store.exchanges()
    if column == "age":
        chosen = rows.group_by("subject").agg(value=rows.signup_time.min())
        table = store.table(chosen)
        days = (table["value"].cast("int64").to_numpy() - _START) // 86_400_000_000
        bins = np.sign(days) * np.ceil(np.log2(np.abs(days) + 1))
        return {subject: {float(day)} for subject, day in zip(table["subject"].to_pylist(), bins, strict=True)}
    value = rows.organization.notnull() if column == "organization" else rows[column]
    table = store.table(rows.select("subject", value=value).distinct())
    found: dict[str, set[object]] = defaultdict(set)
    for subject, shown in zip(table["subject"].to_pylist(), table["value"].to_pylist(), strict=True):
        found[subject].add(shown)
    return found


_START = 1_793_491_200_000_000


if __name__ == "__main__":
    name, count, *levels = sys.argv[1:]
    size = 1_500
    if levels and levels[0].isdigit():
        size = int(levels.pop(0))
    for chosen in levels or LEVELS:
        seeds = list(range(1, int(count) + 1))
        print(chosen, leaks(WORLDS[name], chosen, seeds[:-1], seeds[-1], size) or "one account", flush=True)
