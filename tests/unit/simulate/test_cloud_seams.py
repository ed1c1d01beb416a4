"""No column of metadata tells an intruder from honest people, beyond what the intrusion itself implies."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from strongroom.simulate import CloudPlan, StolenKey, cloud_truth, simulate_cloud

SEEDS = range(8)
INTRUDERS = 8
LOOKS_AND_READS = ("GetObject", "GetCallerIdentity", "ListBuckets", "ListObjects", "DescribeInstances", "ListKeys")


def plan_of(seed):
    stolen = tuple(
        StolenKey(begin_day=0.4 + number / 4, asset="acme/lyra-7b", discovery=40, pause_hours=0.1)
        for number in range(INTRUDERS)
    )
    return CloudPlan(
        seed=seed, days=3, events_per_day=3_000, administrators=2, engineers=10, on_call=2, auditors=1,
        intrusions=stolen,
    )  # fmt: skip


@pytest.fixture(scope="module")
def uses():
    """Each use of a lasting key once: seed, whether it is an intruder's, operation, and the columns' values."""
    found = set()
    for seed in SEEDS:
        plan = plan_of(seed)
        ids = cloud_truth(plan).event_ids
        for record in simulate_cloud(plan):
            identity, tls = record["userIdentity"], record.get("tlsDetails")
            if identity.get("accessKeyId", "").startswith("AKIA") and record["eventName"] in LOOKS_AND_READS and tls:
                stolen = record["eventID"] in ids
                who = record["sourceIPAddress"] if stolen else identity["arn"]
                agent = record["userAgent"].split("/")[0]
                values = record["eventVersion"], f"{tls['tlsVersion']}", record["awsRegion"], agent
                found.add((seed, stolen, record["eventName"], who, *values))
    return found


@pytest.mark.parametrize("column", ["eventVersion", "tls", "awsRegion", "userAgent"])
def test_a_column_alone_does_not_separate_intruders_from_honest_people(uses, column):
    index = 4 + ["eventVersion", "tls", "awsRegion", "userAgent"].index(column)
    found = []
    for half in (0, 1):
        bad, all_ = Counter(), Counter()
        for use in uses:
            if use[0] % 2 == half:
                all_[use[2], use[index]] += 1
                bad[use[2], use[index]] += use[1]
        for operation in LOOKS_AND_READS:
            rest = [use for use in uses if use[0] % 2 != half and use[2] == operation]
            truth = [use[1] for use in rest]
            if sum(truth) > 10 and len(truth) - sum(truth) > 10:
                scores = [(bad[operation, use[index]] + 0.5) / (all_[operation, use[index]] + 1) for use in rest]
                found.append(roc_auc_score(truth, scores))
    print(column, [round(each, 3) for each in found])
    assert len(found) >= 4
    assert 0.4 < np.mean(found) < 0.62
