"""The simulated organisation in AWS: its records are CloudTrail's, in time order, and the truth agrees with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import msgspec
import pytest

from strongroom.core.assets import Asset, check_asset
from strongroom.ingest.readers.cloudtrail import CloudTrailReader
from strongroom.simulate import (
    BucketOpened,
    CheckpointCopied,
    CloudPlan,
    DecryptBurst,
    Insider,
    InstanceCredentials,
    SnapshotShared,
    StolenKey,
    TrailStopped,
    UnreleasedReads,
    cloud_releases,
    cloud_truth,
    simulate_cloud,
    simulate_cloud_columns,
    simulate_cloud_lines,
)

HOUR_MS = 3_600_000
ALL = (
    StolenKey(begin_day=2.4, networks=2), Insider(), SnapshotShared(begin_day=3.1), SnapshotShared(image=True),
    BucketOpened(begin_day=5.2), CheckpointCopied(begin_day=6.3), CheckpointCopied(begin_day=7.3, replication=True),
    InstanceCredentials(begin_day=8.5), DecryptBurst(begin_day=10.2), UnreleasedReads(begin_day=11.0),
)  # fmt: skip
PLAN = CloudPlan(seed=3, events_per_day=9_000, intrusions=ALL)
SMALL = CloudPlan(seed=5, days=3, events_per_day=6_500)


@pytest.fixture(scope="module")
def records():
    return list(simulate_cloud(PLAN))


@pytest.fixture(scope="module")
def truth():
    return cloud_truth(PLAN)


def by_id(records, ids):
    return [record for record in records if record["eventID"] in ids]


def test_the_same_plan_gives_the_same_records_and_another_seed_others():
    first = list(simulate_cloud_lines(SMALL))
    assert first == list(simulate_cloud_lines(SMALL))
    assert not set(first) & set(simulate_cloud_lines(replace(SMALL, seed=6)))


def test_an_intrusion_leaves_every_honest_record_as_it_was():
    plan = replace(SMALL, intrusions=(StolenKey(begin_day=1.2),))
    ids = cloud_truth(plan).event_ids
    honest = [text for text in simulate_cloud_lines(plan) if msgspec.json.decode(text)["eventID"] not in ids]
    assert honest == list(simulate_cloud_lines(SMALL))


def test_records_are_in_time_order_within_the_plan_and_have_ids_of_their_own(records):
    times = [record["eventTime"] for record in records]
    assert all(before <= after for before, after in pairwise(times))
    start = datetime.fromisoformat(times[0]).timestamp() * 1000
    end = datetime.fromisoformat(times[-1]).timestamp() * 1000
    assert PLAN.start_ms <= start < PLAN.start_ms + HOUR_MS
    assert PLAN.end_ms - HOUR_MS < end < PLAN.end_ms
    assert len({record["eventID"] for record in records}) == len(records)


def test_every_record_is_read_and_columns_say_what_the_reader_says():
    reader = CloudTrailReader()
    plan = replace(PLAN, days=7, events_per_day=2_000, engineers=4, intrusions=tuple(
        replace(each, begin_day=0.4 + number / 2) for number, each in enumerate(ALL)))  # fmt: skip
    rows = (dict(zip(batch, values, strict=True)) for batch in simulate_cloud_columns(plan, 1_000)
            for values in zip(*batch.values(), strict=True))  # fmt: skip
    count = 0
    for text, row in zip(simulate_cloud_lines(plan), rows, strict=True):
        raw = text.encode()
        assert reader.claims(msgspec.json.decode(raw)) == 95
        (access,) = reader.read(raw)
        said = {name: getattr(access, name) for name in row}
        said["id"] = access.id.partition("/")[0]  # the reader adds a digest of what happened
        assert said == row, text
        count += 1
    assert count > 10_000


def test_truth_names_events_credentials_and_addresses_that_are_in_the_records(records, truth):
    found = by_id(records, truth.event_ids)
    assert len(found) == len(truth.event_ids) > 300
    used = {record["userIdentity"].get("accessKeyId") for record in found} - {None}
    assert used == truth.credentials
    assert truth.addresses <= {record["sourceIPAddress"] for record in found}
    assert {step.intrusion for step in truth.steps} == {type(intrusion).__name__ for intrusion in ALL}
    assert truth.techniques >= {"T1078.004", "T1580", "T1619", "T1530", "T1537", "T1098.001", "AML.T0025", "T1552.005"}
    times = {record["eventID"]: datetime.fromisoformat(record["eventTime"]).timestamp() * 1000 for record in found}
    for step in truth.steps:
        assert all(step.first_ms - 1000 <= times[id] <= step.last_ms for id in step.event_ids)


def test_assets_are_assets_of_strongroom_and_of_realistic_size(truth):
    for asset in truth.assets:
        check_asset(
            Asset(name=asset.name, kind=asset.kind, classification=asset.classification, size=asset.size,
                  places=list(asset.places))
        )  # fmt: skip
        if asset.shards:
            assert sum(size for _, size in asset.shards) == asset.size
    sizes = [asset.size for asset in truth.assets if asset.kind == "model"]
    assert min(sizes) > 14e9
    assert 700e9 < max(sizes) < 850e9


def test_a_stolen_key_takes_the_model_in_full_from_networks_of_its_own():
    plan = replace(SMALL, intrusions=(StolenKey(begin_day=0.5, bytes_per_hour=400e9),))
    truth = cloud_truth(plan)
    (name,) = truth.stolen_assets
    asset = next(asset for asset in truth.assets if asset.name == name)
    assert truth.bytes_taken["StolenKey"] >= asset.size
    honest = {r["sourceIPAddress"] for r in simulate_cloud(plan) if r["eventID"] not in truth.event_ids}
    assert not truth.addresses & honest


def test_an_insider_reads_a_few_shards_each_day_from_addresses_that_are_their_own(records):
    plan = replace(PLAN, intrusions=(Insider(shards_per_day=2.0),))
    truth = cloud_truth(plan)
    days = Counter(
        record["eventTime"][:10] for record in simulate_cloud(plan) if record["eventID"] in truth.event_ids
        and record["eventName"] == "GetObject"
    )  # fmt: skip
    assert len(days) >= 5
    (principal,) = truth.principals
    others = {r["sourceIPAddress"] for r in records
              if r["userIdentity"].get("arn") == principal and r["eventID"] not in truth.event_ids}  # fmt: skip
    assert truth.addresses & others


def test_a_sealed_model_is_read_with_a_release_except_by_the_intruder():
    plan = replace(SMALL, intrusions=(UnreleasedReads(begin_day=1.0, bytes_per_hour=900e9),))
    truth = cloud_truth(plan)
    sealed = {asset.bucket + "/" + key: asset.name for asset in truth.assets if asset.sealed for key, _ in asset.shards}
    released: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in cloud_releases(plan):
        released[each["principal"], each["asset"]].append(each["time_ms"])
    reader = CloudTrailReader()
    without = set()
    for text in simulate_cloud_lines(plan):
        (access,) = reader.read(text.encode())
        asset = sealed.get(access.resource.removeprefix("arn:aws:s3:::"))
        if access.action == "s3:GetObject" and asset and access.outcome == "allowed":
            before = [time for time in released[access.principal, asset] if time <= access.time / 1000 + 1000]
            if not before:
                without.add(access.id.partition("/")[0])
    assert without
    assert without <= truth.event_ids


def test_while_the_trail_is_stopped_nothing_is_written_and_truth_counts_what_is_lost():
    plan = replace(
        SMALL, events_per_day=15_000, intrusions=(TrailStopped(begin_day=1.0, hours=3.0), StolenKey(begin_day=1.02))
    )
    truth = cloud_truth(plan)
    assert truth.unlogged > 20
    times = [datetime.fromisoformat(record["eventTime"]).timestamp() for record in simulate_cloud(plan)]
    assert 2.8 * 3600 < max(after - before for before, after in pairwise(times)) < 3.9 * 3600
    kept = replace(plan, intrusions=(TrailStopped(begin_day=1.0, hours=3.0, selectors=True),))
    begin, end = (plan.start_ms + day * 86_400_000 for day in (1.02, 1.1))
    between = [record for record in simulate_cloud(kept)
               if begin < datetime.fromisoformat(record["eventTime"]).timestamp() * 1000 < end]  # fmt: skip
    assert between
    assert not any(record["eventCategory"] == "Data" for record in between)


def test_each_kind_of_principal_writes_a_plausible_share(truth):
    kinds: Counter[str] = Counter()
    for batch in simulate_cloud_columns(PLAN):
        honest = (who for who, id in zip(batch["principal"], batch["id"], strict=True) if id not in truth.event_ids)
        kinds.update(who.split("assumed-role/")[-1].split("/")[0] for who in honest)
    total = kinds.total()
    assert 0.6 < total / (PLAN.days * PLAN.events_per_day) < 1.6
    assert kinds["TrainingJob"] == max(kinds.values())
    assert kinds["TrainingJob"] > 0.1 * total
    for role in ("InferenceServing", "BuildDeploy", "BackupOperator", "SecurityAudit", "ContractorMigration",
                 "NotebookExecution", "ExternalAudit", "Administrator", "OnCall"):  # fmt: skip
        assert kinds[role] > 20, role


def test_honest_life_has_what_looks_like_each_technique(truth, records):
    names = Counter(record["eventName"] for record in records if record["eventID"] not in truth.event_ids)
    for name in ("CreateAccessKey", "ModifySnapshotAttribute", "ModifyImageAttribute", "PutBucketPolicy", "CopyObject",
                 "PutBucketReplication", "StopLogging", "PutEventSelectors", "PutBucketPublicAccessBlock", "CreateUser",
                 "Decrypt", "GetCallerIdentity", "ListBuckets", "GetBucketPolicy", "ConsoleLogin"):  # fmt: skip
        assert names[name] > 0, name
    errors = Counter(record.get("errorCode", "") for record in records)
    assert {"AccessDenied", "SlowDown", "Client.UnauthorizedOperation"} <= set(errors)
    assert 0.001 < 1 - errors[""] / len(records) < 0.05
    failed = [
        r for r in records if r["eventName"] == "ConsoleLogin" and r["responseElements"]["ConsoleLogin"] == "Failure"
    ]
    assert failed
