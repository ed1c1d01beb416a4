"""Copies, listings and keys; and what cannot be seen."""

from __future__ import annotations

from pathlib import Path

from strongroom.core.assets import Asset

from .worlds import ANN, BACKUP, BEN, EVE, KEY, OFFICE, OUTSIDE, ROLE, SHARDS, TRAINING, World, shard, told

VOLUME, SNAPSHOT = "arn:aws:ec2:eu-west-1:1:volume/vol-0a", "arn:aws:ec2:eu-west-1:1:snapshot/snap-0b"
MADE = {"responseElements.snapshotId": "snap-0b"}


def shared_with(account: str) -> dict[str, str]:
    return {"requestParameters.createVolumePermission.add.items.userId": account}


def copy_all(world: World, time: float, principal: str, bucket: str = "elsewhere") -> None:
    for number in range(SHARDS):
        source = shard(number).removeprefix("arn:aws:s3:::")
        world.event(
            time + number / 5000,
            principal,
            "CopyObject",
            f"arn:aws:s3:::{bucket}/x/{number}",
            fields={"requestParameters.x-amz-copy-source": f"/{source}?versionId=1"},
        )


def test_a_copy_to_a_place_that_is_no_asset_is_found_with_who_read_it_there(tmp_path: Path) -> None:
    world = World().usual()
    copy_all(world, 15, EVE)
    for number in range(SHARDS):
        world.event(16, "somebody", "GetObject", f"arn:aws:s3:::elsewhere/x/{number}", client_address=OUTSIDE)
    (signal,) = world.signals(tmp_path)
    assert (signal.kind, signal.principal, signal.severity) == ("staged-copy", EVE, "high")
    assert (signal.techniques, signal.phase) == (["T1074.002", "AML.T0025"], "collection")
    assert OUTSIDE in signal.addresses
    assert "copied 40 objects, 100 % of those known, to arn:aws:s3:::elsewhere" in signal.evidence[0].summary
    assert "40 of the copies were then read by somebody" in signal.evidence[2].summary
    assert signal.evidence[0].examples


def test_a_copy_that_nobody_reads_is_told_less_severely(tmp_path: Path) -> None:
    world = World().usual()
    copy_all(world, 15, EVE)
    assert told(world.signals(tmp_path)) == [("staged-copy", EVE, "medium")]


def test_a_weekly_backup_and_a_place_where_others_work_are_no_signal(tmp_path: Path) -> None:
    world = World().usual()
    for day in (2, 9, 16):
        copy_all(world, day, BACKUP, "backup")
    copy_all(world, 15, ANN, "checkpoints")
    for principal in (EVE, TRAINING):
        world.event(3, principal, "PutObject", "arn:aws:s3:::checkpoints/y")
    assert world.signals(tmp_path) == []


def test_a_copy_into_another_asset_or_of_no_asset_is_no_signal(tmp_path: Path) -> None:
    world = World().usual()
    world.assets.append(Asset(name="acme/replica", places=["s3://replica"]))
    copy_all(world, 15, EVE, "replica")
    world.event(15, EVE, "CopyObject", "arn:aws:s3:::z/1", fields={"requestParameters.x-amz-copy-source": "other/1"})
    assert world.signals(tmp_path) == []


def test_a_snapshot_opened_to_another_account_is_found(tmp_path: Path) -> None:
    world = World().usual()
    world.event(15, EVE, "CreateSnapshot", VOLUME, fields=MADE)
    world.event(15.1, EVE, "ModifySnapshotAttribute", SNAPSHOT, fields=shared_with("999"))
    (signal,) = world.signals(tmp_path)
    assert (signal.kind, signal.severity, signal.techniques) == ("staged-copy", "high", ["T1537", "AML.T0025"])
    assert "to 999" in signal.evidence[0].summary


def test_snapshots_alone_to_oneself_or_shared_every_week_are_no_signal(tmp_path: Path) -> None:
    world = World().usual()
    for day in range(0, 21, 3):
        world.event(day, BACKUP, "CreateSnapshot", VOLUME, fields=MADE)
        world.event(day + 0.1, BACKUP, "ModifySnapshotAttribute", SNAPSHOT, fields=shared_with("777"))
    world.event(15.1, EVE, "ModifySnapshotAttribute", SNAPSHOT, fields=shared_with("1"))
    assert world.signals(tmp_path) == []


def test_looking_around_before_the_first_read_is_told_at_low_severity(tmp_path: Path) -> None:
    world = World().usual()
    world.event(15, "stranger", "ListBuckets", "")
    world.event(15.1, "stranger", "ListObjectsV2", "arn:aws:s3:::weights")
    world.reads(15.2, "stranger", range(4))
    (signal,) = world.signals(tmp_path)
    assert (signal.kind, signal.severity, signal.phase) == ("list-then-read", "low", "discovery")
    assert signal.techniques == ["T1619"]
    assert "4 h 48 min later read of acme/m for the first time" in signal.evidence[0].summary


def test_a_new_colleague_of_readers_who_lists_is_no_signal(tmp_path: Path) -> None:
    world = World().usual()
    world.event(15, EVE, "ListObjectsV2", "arn:aws:s3:::weights")
    world.reads(15.2, EVE, range(4), client_address=OFFICE)
    assert world.signals(tmp_path) == []


def test_a_key_without_reads_and_reads_without_a_key_are_found(tmp_path: Path) -> None:
    world = World().usual(keys=True)
    world.event(15, "taker", "Decrypt", KEY)
    for _ in range(30):
        world.event(15, "hasty", "Decrypt", KEY)
    world.reads(15, f"{ROLE}/Training2", range(SHARDS))
    for day in (13, 16):
        world.reads(day, f"{ROLE}/Training3", range(SHARDS))
    found = told(world.signals(tmp_path))
    assert ("keys-without-reads", "taker", "low") in found
    assert ("keys-without-reads", "hasty", "medium") in found
    assert ("reads-without-keys", f"{ROLE}/Training2", "low") in found, "a store keeps keys for a while"
    assert ("reads-without-keys", f"{ROLE}/Training3", "medium") in found


def test_the_vaults_releases_are_asked_for_apart_from_the_key_services(tmp_path: Path) -> None:
    world = World().usual(keys=True)
    for day in range(21):
        for principal in (BACKUP, TRAINING, ANN, BEN):
            world.event(day, principal, "", None, action="OpenWeights", asset="acme/m")
    world.event(15, f"{ROLE}/Training2", "Decrypt", KEY)
    world.reads(15, f"{ROLE}/Training2", range(SHARDS))
    (signal,) = [each for each in world.signals(tmp_path) if each.kind == "reads-without-keys"]
    assert "took no key from the vault" in signal.evidence[0].summary


def test_where_keys_and_reads_do_not_go_together_nothing_is_said(tmp_path: Path) -> None:
    world = World().usual()
    for day in range(21):
        world.event(day, BACKUP, "Decrypt", KEY)
    world.event(15, "taker", "Decrypt", KEY)
    assert {each.kind for each in world.signals(tmp_path)} <= {"keys-without-reads"}


def test_what_cannot_be_seen_is_said(tmp_path: Path) -> None:
    (text,) = World().find(tmp_path / "a").not_examined
    assert "no read is recorded of acme/m" in text
    (text,) = World(Asset(name="acme/m", places=["s3://weights"], classification="public")).find(tmp_path).not_examined
    assert "nothing to look for" in text


def test_bytes_that_no_read_can_have_overflow_nothing(tmp_path: Path) -> None:
    world = World().usual()
    for number in range(20):
        world.event(15, "liar", "GetObject", f"arn:aws:s3:::weights/m/{number}", bytes=1 << 62)
    assert ("bulk-read", "liar") in {(kind, principal) for kind, principal, _ in told(world.signals(tmp_path))}
