"""Events become counts: networks and tools are read as people name them, and what is cut is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.detect.anomaly import _read, find_anomalies
from strongroom.detect.anomaly._read import read_counts

from .worlds import DAY, START, event, honest, store_of

NETWORKS = {
    "203.0.113.77": "203.0.113.0/24",
    "2001:DB8:1:2::7": "2001:db8:1::/48",
    "2001:db8::7": "2001:db8::/48",
    "::1": "::/48",
    "::ffff:203.0.113.7": "::/48",
    "AWS Internal": "service",
    "s3.amazonaws.com": "service",
    "": "unknown",
    None: "unknown",
}
TOOLS = {
    "aws-cli/2.15.1 Python/3.11": "aws-cli",
    "[Boto3/1.34.1 md/Botocore#1.34]": "boto3",
    "APN/1.0 HashiCorp/1.0 Terraform/1.5.0 (+https://www.terraform.io)": "terraform",
    "Mozilla/5.0 (X11; Linux x86_64)": "mozilla",
    "stratus-red-team_0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f": "stratus-red-team",
    "cloudformation.amazonaws.com": "cloudformation.amazonaws.com",
    "AWS Internal": "aws",
    "///": "unknown",
    None: "unknown",
}


@pytest.mark.parametrize(("address", "network"), NETWORKS.items())
def test_an_address_becomes_its_network(address: str | None, network: str, tmp_path: Path) -> None:
    store = store_of(tmp_path, [event("a", 0, 1, "x:Y", client_address=address)])
    counts = read_counts(store, store.access_events())
    assert counts is not None
    assert counts.networks == [network]


@pytest.mark.parametrize(("agent", "tool"), TOOLS.items())
def test_a_user_agent_becomes_its_tool(agent: str | None, tool: str, tmp_path: Path) -> None:
    store = store_of(tmp_path, [event("a", 0, 1, "x:Y", user_agent=agent)])
    counts = read_counts(store, store.access_events())
    assert counts is not None
    assert counts.tools == [tool]


def test_equal_combinations_of_a_day_are_one_row(tmp_path: Path) -> None:
    rows = [event("a", day, hour, "x:Y", bytes=size) for day in (0, 1) for hour, size in ((1, 5), (2, None), (3, -1))]
    store = store_of(
        tmp_path, [*rows, event("a", 1, 4, "x:Y", outcome="refused"), event("a", 1, 5, "x:Y", outcome="failed")]
    )
    counts = read_counts(store, store.access_events())
    assert counts is not None
    found = sorted(
        zip(counts.day - START // DAY, counts.refused, counts.events, counts.unanswered, counts.bytes, strict=True)
    )
    assert [tuple(map(int, row)) for row in found] == [(0, 0, 3, 0, 5), (1, 0, 4, 1, 5), (1, 1, 1, 1, 0)]
    assert sorted(set(zip((counts.hour_day - START // DAY).tolist(), counts.hour.tolist(), strict=True))) == [
        *((0, hour) for hour in (1, 2, 3)), *((1, hour) for hour in (1, 2, 3, 4, 5))
    ]  # fmt: skip


def test_a_flood_of_combinations_is_cut_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_read, "MAX_EACH", 10)
    rows = [*honest(1, days=8), *(event("flood", 7, number / 100, f"x:Get{number}") for number in range(500))]
    store = store_of(tmp_path, rows)
    counts = read_counts(store, store.access_events())
    assert counts is not None
    flood = counts.principal == counts.principals.index("flood")
    assert flood.sum() == 10
    assert counts.first[flood].max() < START + 7 * DAY + 3_600_000_000
    assert any("only the first" in sentence for sentence in find_anomalies(store, store.access_events()).not_examined)


def test_beyond_all_combinations_the_oldest_days_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_read, "MAX_ROWS", 500)
    store = store_of(tmp_path, honest(1, days=10))
    counts = read_counts(store, store.access_events())
    assert counts is not None
    assert len(counts.day) <= 500
    assert counts.day.max() == START // DAY + 9
    assert counts.hour_day.min() >= counts.day.min()
    assert any("oldest days" in sentence for sentence in find_anomalies(store, store.access_events()).not_examined)
