"""Bulk reads and slow reads are found, and what jobs and colleagues do every day is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.core.assets import Asset
from strongroom.core.clock import parse_time

from .worlds import (
    ANN,
    BACKUP,
    EVE,
    INSIDE,
    MODEL,
    OFFICE,
    OUTSIDE,
    ROLE,
    SHARD,
    SHARDS,
    START,
    TRAINING,
    World,
    shard,
    told,
)


def test_jobs_and_colleagues_are_no_signal(tmp_path: Path) -> None:
    assert World().usual().signals(tmp_path) == []


def test_a_stolen_key_that_reads_a_whole_model_within_hours_is_found(tmp_path: Path) -> None:
    world = World().usual()
    world.reads(15.5, EVE, range(SHARDS), hours=3, client_address=OUTSIDE, session="s-1")
    (signal,) = world.signals(tmp_path)
    assert (signal.kind, signal.principal, signal.severity) == ("bulk-read", EVE, "high")
    assert (signal.techniques, signal.phase) == (["T1530", "AML.T0025"], "exfiltration")
    assert signal.events == SHARDS
    assert (signal.first, signal.addresses) == (START + 15 * 86_400_000_000 + 43_200_000_000, {OUTSIDE})
    assert (signal.credentials, signal.sessions) == ({f"key of {EVE}"}, {"s-1"})
    share, past, network = (each.summary for each in signal.evidence)
    assert "read 40 of 40 objects, 100 % of 160 GB, in 2 h 56 min" in share
    assert f"it never read the asset; outside of {BACKUP}, {TRAINING} nobody else read more than 2 %" in past
    assert "203.0.113.0/24, from where nobody read anything in the 15 days before" in network
    examples = signal.evidence[0].examples
    assert len(examples) == 5
    assert examples[0].subject == EVE
    assert parse_time(examples[0].time) == signal.first
    assert examples[0].where.startswith("trail.json:")
    assert world.rows[int(examples[0].where.partition(":")[2]) - 1]["resource"] == shard(0)


def test_a_job_of_which_the_credential_is_used_elsewhere_is_found(tmp_path: Path) -> None:
    world = World().usual()
    world.reads(15.5, TRAINING, range(SHARDS), hours=3, client_address=OUTSIDE)
    (signal,) = world.signals(tmp_path)
    assert (signal.principal, signal.severity, signal.addresses) == (TRAINING, "high", {OUTSIDE})
    assert signal.events == SHARDS, "only what was read from there"


def test_a_colleague_who_reads_parts_and_then_all_is_found(tmp_path: Path) -> None:
    world = World().usual()
    world.reads(15.5, ANN, range(SHARDS), hours=3, client_address=OFFICE)
    assert told(world.signals(tmp_path)) == [("bulk-read", ANN, "high")]


def test_several_who_share_one_new_network_add_up(tmp_path: Path) -> None:
    world = World().usual()
    who = [f"{ROLE}/Research/{name}" for name in ("p", "q", "r", "s", "t")]
    for at, principal in enumerate(who):
        world.reads(15.5, principal, range(at * 8, at * 8 + 8), hours=2, client_address=OUTSIDE)
    found = world.signals(tmp_path)
    assert told(found) == [("bulk-read", each, "high") for each in who]
    assert "With 4 others from 203.0.113.0/24" in found[0].evidence[0].summary


def test_somebody_who_reads_every_part_once_in_a_fortnight_is_found(tmp_path: Path) -> None:
    world = World().usual()
    for day in range(14):
        world.reads(5.4 + day, EVE, range(3 * day, min(SHARDS, 3 * day + 3)), client_address=OFFICE)
    (signal,) = world.signals(tmp_path)
    assert (signal.kind, signal.principal) == ("slow-read", EVE)
    assert "read 40 of 40 objects, 100 % of 160 GB, in 13 d" in signal.evidence[0].summary


def test_an_object_in_many_small_reads_counts_as_far_as_it_was_read(tmp_path: Path) -> None:
    world = World().usual()
    for hour in range(160):
        world.reads(15 + hour / 1000, EVE, [hour % SHARDS], client_address=OUTSIDE, bytes=SHARD // 4)
    assert told(world.signals(tmp_path)) == [("bulk-read", EVE, "high")]


def coming_back(world: World) -> None:
    for day in range(14):
        world.reads(5.4 + day, EVE, range(12), client_address=OFFICE, bytes=SHARD // 2)


def new_hire(world: World) -> None:
    for day in range(6):
        world.reads(12.4 + day, EVE, range(2 * day, 2 * day + 3), client_address=OFFICE)


def heads_of_files(world: World) -> None:
    world.reads(15, EVE, range(SHARDS), client_address=OFFICE, bytes=100_000)


def one_shard_again_and_again(world: World) -> None:
    for time in range(10, 16):
        world.reads(time, ANN, [1] * 12, client_address=OFFICE)


def sessions_of_a_job(world: World) -> None:
    for day in range(1, 20):
        world.reads(day, f"{ROLE}/Nightly/job-{day}", range(SHARDS), client_address=INSIDE)


def refused(world: World) -> None:
    world.reads(15, EVE, range(SHARDS), client_address=OUTSIDE, outcome="refused")


@pytest.mark.parametrize(
    "add", [coming_back, new_hire, heads_of_files, one_shard_again_and_again, sessions_of_a_job, refused]
)
def test_what_looks_alike_and_is_work_is_no_signal(tmp_path: Path, add: object) -> None:
    world = World().usual()
    add(world)  # type: ignore[operator]
    assert told(world.signals(tmp_path)) == []


def test_a_new_job_is_told_at_low_severity_and_a_single_run_at_medium(tmp_path: Path) -> None:
    world = World().usual()
    for day in range(7):
        world.reads(10.4 + day, f"{ROLE}/Migration", range(SHARDS))
    world.reads(16, f"{ROLE}/Once", range(SHARDS))
    assert told(world.signals(tmp_path)) == [
        ("bulk-read", f"{ROLE}/Migration", "low"),
        ("bulk-read", f"{ROLE}/Once", "medium"),
    ]


def test_who_reads_other_models_whole_is_told_for_the_story_only(tmp_path: Path) -> None:
    world = World().usual()
    world.assets.append(Asset(name="acme/n", size=8 * SHARD, places=["s3://other-weights"]))
    for day in (4, 6, 8):
        for number in range(8):
            world.event(
                day, EVE, "GetObject", f"arn:aws:s3:::other-weights/{number}", bytes=SHARD, client_address=OFFICE
            )
    world.reads(15.5, EVE, range(SHARDS), hours=3, client_address=OFFICE)
    assert ("bulk-read", EVE, "informational") in told(world.signals(tmp_path))


def test_without_a_past_little_is_said(tmp_path: Path) -> None:
    world = World().usual(days=4)
    world.reads(2.5, EVE, range(SHARDS), client_address=OFFICE)
    result = world.find(tmp_path, end=4)
    assert told(result.signals) == [("bulk-read", EVE, "low")]
    assert any("less than 7 days before" in text for text in result.not_examined)


def test_how_dear_an_asset_is_moves_what_is_sure_enough(tmp_path: Path) -> None:
    expected = {"crown": ["critical"], "restricted": ["high"], "internal": ["medium"], "public": []}
    for classification, severities in expected.items():
        world = World(Asset(name="acme/m", size=MODEL.size, places=MODEL.places, classification=classification)).usual()  # type: ignore[arg-type]
        world.reads(15.5, EVE, range(SHARDS), hours=3, client_address=OUTSIDE)
        assert [each.severity for each in world.signals(tmp_path / classification)] == severities


def test_without_sizes_or_bytes_shares_are_of_objects(tmp_path: Path) -> None:
    world = World(Asset(name="acme/m", places=MODEL.places)).usual()
    world.reads(15.5, EVE, range(SHARDS), hours=3, client_address=OUTSIDE, bytes=None)
    result = world.find(tmp_path)
    assert told(result.signals) == [("bulk-read", EVE, "high")]
    assert "100 % of those known" in result.signals[0].evidence[0].summary
    assert any("size of acme/m is not known" in text for text in result.not_examined)
    assert any("have no bytes" in text for text in result.not_examined)


def test_of_a_few_objects_without_a_size_nothing_is_said(tmp_path: Path) -> None:
    world = World(Asset(name="acme/m", places=MODEL.places))
    for day in range(15):
        world.reads(day, ANN, [0])
    world.reads(15, EVE, range(5), client_address=OUTSIDE)
    assert world.signals(tmp_path) == []


def test_only_what_is_in_the_window_is_judged_and_the_rest_is_the_past(tmp_path: Path) -> None:
    world = World().usual()
    world.reads(9.5, EVE, range(SHARDS), hours=3, client_address=OUTSIDE)
    assert told(world.signals(tmp_path / "a", start=14)) == []
    assert told(world.signals(tmp_path / "b", start=9, end=10)) == [("bulk-read", EVE, "high")]


@pytest.mark.parametrize("old", [[-20.0], [-59.0 * n for n in range(1, 20)]], ids=["one", "a chain"])
def test_old_records_make_no_past(tmp_path: Path, old: list[float]) -> None:
    """What comes from a new network in a log's first days is not new because of a record from long before."""
    world = World()
    for time in old:
        world.event(time, "somebody", "DescribeImages", None, client_address=OFFICE)
    for day in range(3):
        world.reads(day, BACKUP, range(SHARDS))
    world.reads(3, EVE, range(SHARDS), client_address=OUTSIDE)
    assert [signal.severity for signal in world.signals(tmp_path) if signal.severity in ("high", "critical")] == []


@pytest.mark.parametrize(
    ("principal", "outcome"), [("anonymous", "refused"), ("anonymous", "allowed"), (EVE, "refused")]
)
def test_whoever_is_not_let_in_makes_no_network_known(tmp_path: Path, principal: str, outcome: str) -> None:
    world = World().usual()
    world.event(2, principal, "GetObject", shard(0), client_address=OUTSIDE, outcome=outcome)
    world.reads(15, EVE, range(SHARDS), client_address=OUTSIDE)
    (found,) = [signal for signal in world.signals(tmp_path) if signal.kind == "bulk-read" and signal.principal == EVE]
    assert found.severity == "high"
