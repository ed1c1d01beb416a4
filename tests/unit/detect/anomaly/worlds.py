"""Small worlds of access events, made by hand: each principal has habits, and what departs from them is put in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from strongroom.store import ACCESS_EVENTS, Store

DAY = 86_400_000_000
START = 20_500 * DAY
"""Midnight UTC of the first day. Every day of the week is alike."""

TOOLS = ("aws-cli/2.15.1 Python/3.11", "Boto3/1.34 md/Botocore", "Mozilla/5.0 (X11; Linux)")
ACTIONS = [f"s{i % 8}:{'Describe' if i % 3 else 'Put'}Thing{i}" for i in range(120)]


def event(principal: str, day: int, hour: float, action: str, **more: Any) -> dict[str, Any]:
    return {
        "time": START + day * DAY + int(hour * 3_600_000_000),
        "principal": principal,
        "principal_kind": "IAMUser",
        "action": action,
        "outcome": "allowed",
        "client_address": "203.0.113.5",
        "user_agent": TOOLS[0],
        **more,
    }


def honest(
    seed: int, *, days: int = 21, people: int = 30, name: str = "arn:aws:iam::1:user/u{}"
) -> list[dict[str, Any]]:
    """People of four roles, each with its own hours, amounts, network and tool, and now and then something new."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for person in range(people):
        usual = ACTIONS[(person % 4) * 15 :][:15]
        shares = rng.dirichlet(np.full(15, 0.5))
        middle, busy = rng.integers(8, 14), rng.lognormal(2.5, 0.6)
        for day in range(days):
            for _ in range(1 + rng.poisson(rng.gamma(4, busy / 4))):
                new = rng.random(3) < 0.01
                rows.append(
                    event(
                        name.format(person),
                        day,
                        (middle + rng.normal(0, 2.2)) % 24,
                        ACTIONS[rng.integers(120)] if new[0] else usual[rng.choice(15, p=shares)],
                        client_address=f"10.{rng.integers(60) if new[1] else person}.9.9",
                        user_agent=TOOLS[person % 3],
                        outcome="refused" if new[2] else "allowed",
                        bytes=int(rng.integers(0, 9999)),
                    )
                )
    return rows


def stolen(principal: str, day: int) -> list[dict[str, Any]]:
    """A stolen credential: another network, another tool, at night, looking around, staying and taking."""
    actions = ("iam:ListUsers", "iam:CreateAccessKey", "sts:GetCallerIdentity", "s3:ListBuckets", "s3:GetObject")
    return [
        event(
            principal,
            day,
            2 + number / 180,
            actions[number % 5],
            client_address="185.7.7.7",
            user_agent="python-requests/2.31",
            outcome="allowed" if number % 5 else "refused",
            bytes=10**8 if number % 5 == 4 else None,
        )
        for number in range(60)
    ]


def store_of(folder: Path, rows: Iterable[dict[str, Any]]) -> Store:
    """A store with these events; what a row lacks is null, and its position is its place."""
    store = Store(folder / "store")
    numbered = [{"source": "a.json", "position": place, **row} for place, row in enumerate(rows, 1)]
    store.append_access_events([pa.RecordBatch.from_pylist(numbered, schema=ACCESS_EVENTS)])
    return store
