"""The benchmark's stores hold what they say, and verdicts on them are judged as an analyst would."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from strongroom.simulate import JUDGE, Truth
from strongroom.store import Store

FOLDER = Path(__file__).parents[3] / "benchmarks" / "campaigns"
ACCOUNTS = 60


@pytest.fixture(scope="module")
def parts(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(FOLDER)
    import baselines
    import judge
    import leaks
    import traffic

    patch.setattr(traffic, "CACHE", tmp_path_factory.mktemp("cache"))
    patch.setattr(traffic, "SHARED", shared)
    patch.setattr(traffic, "LAWS", {**traffic.LAWS, "usual": traffic.Law(days=3, mean=8.0)})
    yield SimpleNamespace(traffic=traffic, judge=judge, baselines=baselines, leaks=leaks)
    patch.undo()


def rows(place: Path) -> dict[str, int]:
    """Exchanges of each subject."""
    store = Store(place)
    table = store.exchanges()
    counts = store.table(table.group_by("subject").agg(n=table.count()))
    return dict(zip(counts["subject"].to_pylist(), counts["n"].to_pylist(), strict=True))


def test_a_level_is_its_honest_store_and_a_campaign(parts: SimpleNamespace) -> None:
    honest, nobody = parts.traffic.honest_store(JUDGE, 5, "usual", ACCOUNTS)
    place, told = parts.traffic.store_of(JUDGE, 5, "A2", ACCOUNTS)
    before, after = rows(honest), rows(place)
    assert not nobody.campaign_accounts
    assert len(told.campaign_accounts) == 12
    assert set(after) == set(told.roles)
    assert {subject: n for subject, n in after.items() if subject not in told.campaign_accounts} == before
    measured = parts.traffic.behaviour_of(place)
    assert set(measured.subjects) == set(after)
    assert measured.features.shape == (len(after), 35)
    assert parts.traffic.store_of(JUDGE, 5, "A2", ACCOUNTS)[0] == place, "from the cache"


def test_every_baseline_scores_every_account(parts: SimpleNamespace) -> None:
    place, told = parts.traffic.store_of(JUDGE, 5, "A2", ACCOUNTS)
    subjects, scores = parts.baselines.scores_of(place)
    assert set(subjects) == set(told.roles)
    assert set(scores) == set(parts.baselines.BASELINES)
    assert all(len(score) == len(subjects) for score in scores.values())


def test_one_key_is_over_any_limit_and_pools_share_addresses(parts: SimpleNamespace) -> None:
    place, told = parts.traffic.store_of(JUDGE, 5, "A0", ACCOUNTS)
    subjects, scores = parts.baselines.scores_of(place)
    assert {subjects[scores["per-key limit"].argmax()]} == told.campaign_accounts
    place, told = parts.traffic.store_of(JUDGE, 5, "A1", ACCOUNTS)
    subjects, scores = parts.baselines.scores_of(place)
    groups = dict(zip(subjects, scores["shared addresses"], strict=True))
    assert min(groups[account] for account in told.campaign_accounts) >= 4


def test_leaks_are_areas_of_every_column(parts: SimpleNamespace) -> None:
    found = parts.leaks.leaks(JUDGE, "A2", [5], 6, ACCOUNTS)
    assert set(found.columns) >= {"user_agent", "asn", "email_domain", "age"}
    assert all(0 <= area <= 1 for area in found.columns.values())
    assert parts.leaks.leaks(JUDGE, "A0", [5], 6, ACCOUNTS) is None


def test_a_campaign_is_true_when_most_of_its_accounts_are_the_attackers(
    parts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge: ModuleType = parts.judge
    told = Truth({"a", "b", "c", "d"}, {**dict.fromkeys("abcd", "campaign"), **dict.fromkeys("xyz", "learner")})
    reported = [
        {"accounts": ["a", "b", "x"], "detected_at": "2026-11-03T00:00:00.000Z", "exchanges": 9},
        {"accounts": ["c", "y"], "detected_at": "2026-11-02T00:00:00.000Z", "exchanges": 9},
    ]
    known = tmp_path / f"found-{judge._detector()}.json"
    known.write_text(json.dumps({"campaigns": reported, "seconds": 1.0, "gibibytes": 0.5}))
    monkeypatch.setattr(judge, "_before", lambda _place, _theirs, moment: float(moment > 0))
    outcome = judge.judge(tmp_path, told)
    assert (outcome.found, outcome.reported, outcome.true, outcome.attackers) == (2, 3, 1, 4)
    assert outcome.false == ({"campaign": 1, "learner": 1},), "half is not most"


def test_an_interval_of_nothing_in_twenty_reaches_a_sixth(parts: SimpleNamespace) -> None:
    low, high = parts.judge.interval(0, 20)
    assert (low, round(high, 3)) == (0.0, 0.168)
    assert parts.judge.interval(20, 20)[1] == 1.0
