"""A first time surprises less the more others had it, and least a newcomer."""

from __future__ import annotations

import numpy as np

from strongroom.detect.anomaly._novelty import FirstSeen, first_seen, sums
from strongroom.detect.anomaly._peers import Peers, family_of, reads
from strongroom.detect.anomaly._read import Counts
from strongroom.detect.anomaly._units import Units, units_of

NOTHING = np.zeros(0, np.int64)


def counts(rows: list[tuple[int, int, int]], principals: int, kinds: list[str] | None = None) -> Counts:
    """Counts of rows of principal, day and action."""
    principal, day, action = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    zero, one = np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64)
    return Counts(
        principals=[f"p{number}" for number in range(principals)],
        kinds=kinds or ["IAMUser"] * principals,
        actions=[f"s3:GetThing{number}" for number in range(int(action.max()) + 1)],
        networks=["unknown"], tools=["unknown"], assets=[""],
        principal=principal, day=day, action=action, refused=zero, asset=zero, network=zero, tool=zero,
        events=one, unanswered=zero, bytes=zero, first=day, hour_principal=principal, hour_day=day, hour=zero,
    )  # fmt: skip


def seen_in(made: Counts) -> tuple[Units, FirstSeen]:
    units = units_of(made)
    return units, first_seen(units, Peers(made, units), units.row, made.action, np.zeros(len(made.actions), np.int64))


def surprise_of(rows: list[tuple[int, int, int]], principal: int, day: int, action: int) -> float:
    units, seen = seen_in(counts(rows, 12))
    unit = int(units.of(np.array([principal]), np.array([day]))[0])
    return float(seen.surprise[(seen.unit == unit) & (seen.item == action)][0])


USUAL = [(principal, day, 0) for principal in range(12) for day in range(12)]


def test_what_more_others_had_surprises_less() -> None:
    found = [
        surprise_of([*USUAL, *((other, 3, 1) for other in range(had)), (11, 11, 1)], 11, 11, 1) for had in range(11)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 6
    assert found[0] > found[-1] + 2


def test_a_newcomer_is_not_surprising_in_what_all_others_do() -> None:
    rows = [*((principal, day, 0) for principal in range(11) for day in range(12)), (11, 11, 0)]
    assert surprise_of(rows, 11, 11, 0) < 0.2


def test_what_comes_to_many_at_one_time_surprises_little() -> None:
    alone = surprise_of([*USUAL, (11, 11, 1)], 11, 11, 1)
    together = surprise_of([*USUAL, *((principal, 11, 1) for principal in range(6)), (11, 11, 1)], 11, 11, 1)
    rolled = surprise_of([*USUAL, *((principal, 10, 1) for principal in range(6)), (11, 11, 1)], 11, 11, 1)
    assert together < 1 < alone
    assert rolled < 1


def test_only_first_times_count_once() -> None:
    units, seen = seen_in(counts([*USUAL, *USUAL], 12))
    assert len(units) == 144
    assert len(seen.unit) == 12


def test_of_things_alike_the_second_counts_half() -> None:
    units = units_of(counts([(0, 0, 0)], 1))
    seen = FirstSeen(np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([2.0, 4.0, 6.0]), NOTHING, NOTHING)
    assert sums(units, seen, np.array([0, 0, 0])).tolist() == [6 + 4 / 2 + 2 / 3]
    assert sums(units, seen, np.array([0, 1, 2])).tolist() == [12.0]


def test_peers_are_those_of_one_kind_that_do_alike() -> None:
    rows = [(principal, day, 0) for principal in range(40) for day in range(10)]
    made = counts(rows, 40, kinds=["IAMUser"] * 20 + ["AWSService"] * 20)
    made.actions = ["s3:GetObject", "iam:CreateUser"]
    made.action = np.where(made.principal % 20 < 10, 0, 1)
    group = Peers(made, units_of(made)).at(1)
    assert len({*group.tolist()}) == 4
    assert all(len({*group[part : part + 10].tolist()}) == 1 for part in range(0, 40, 10))


def test_a_session_without_a_past_is_of_its_role() -> None:
    made = counts([(principal, day, 0) for principal in range(3) for day in range(3 if principal < 2 else 9)], 3)
    made.principals = ["arn:aws:sts::1:assumed-role/App/late", "u", "arn:aws:sts::1:assumed-role/App/early"]
    made.day = np.where(made.principal == 0, made.day + 7, made.day)
    group = Peers(made, units_of(made)).at(1)
    assert group[0] == group[2] > 0
    assert family_of(made.principals[0]) == family_of(made.principals[2]) != family_of("u")


def test_what_only_looks() -> None:
    looking = ("s3:ListBuckets", "ec2:DescribeInstances", "pods:get", "s3:HeadObject")
    acting = ("s3:PutObject", "secretsmanager:GetSecretValue", "ssm:GetParameters", "pods/exec:create", "", ":")
    assert all(map(reads, looking))
    assert not any(map(reads, acting))
