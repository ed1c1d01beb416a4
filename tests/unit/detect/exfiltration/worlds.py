"""Small made worlds: an asset, its regular readers, and whoever a test is about."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from strongroom.core.assets import Asset
from strongroom.detect.exfiltration import Result, find_exfiltration
from strongroom.detect.signals import Signal
from strongroom.store import ACCESS_EVENTS, Store

DAY = 86_400_000_000
HOUR = DAY // 24
START = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
SHARDS = 40
SHARD = 4_000_000_000
KEY = "arn:aws:kms:eu-west-1:1:key/0f"
MODEL = Asset(name="acme/m", size=SHARDS * SHARD, places=["s3://weights/m/", f"kms:{KEY}", "ebs:vol-0a"])
ROLE = "arn:aws:sts::1:assumed-role"
TRAINING, BACKUP = f"{ROLE}/Training", f"{ROLE}/Backup"
ANN, BEN, EVE = (f"{ROLE}/Research/{name}@example.org" for name in ("ann", "ben", "eve"))
OUTSIDE, OFFICE, INSIDE = "203.0.113.9", "198.51.100.4", "10.0.0.7"


def shard(number: int) -> str:
    return f"arn:aws:s3:::weights/m/model-{number:05}.safetensors"


class World:
    """Events, in whatever order they are added."""

    def __init__(self, asset: Asset = MODEL, seed: int = 1) -> None:
        self.assets = [asset]
        self.rows: list[dict[str, Any]] = []
        self.random = random.Random(seed)

    def event(self, time: float, principal: str | None, operation: str, resource: str | None, **more: Any) -> None:
        """`time` in days from the start."""
        row = dict.fromkeys(ACCESS_EVENTS.names)
        service = {"Decrypt": "kms", "CreateSnapshot": "ec2", "ModifySnapshotAttribute": "ec2"}.get(operation, "s3")
        fields = more.pop("fields", {})
        row |= {
            "time": START + round(time * DAY),
            "principal": principal,
            "operation": operation,
            "action": f"{service}:{operation}",
            "resource": resource,
            "outcome": "allowed",
            "client_address": INSIDE,
            "credential": f"key of {principal}",
            "organization": "1",
            "product": "aws",
            "service": "cloudtrail",
            "source": "trail.json",
            "position": len(self.rows) + 1,
            "fields": list(fields.items()),
        }
        self.rows.append(row | more)

    def reads(self, time: float, principal: str | None, shards: Iterable[int], hours: float = 1, **more: Any) -> None:
        chosen = list(shards)
        for at, number in enumerate(chosen):
            self.event(
                time + hours / 24 * at / len(chosen), principal, "GetObject", shard(number), **{"bytes": SHARD, **more}
            )

    def usual(self, days: int = 21, keys: bool = False) -> World:
        """A nightly backup and a daily training job, and two people who read parts, who come back to them."""
        for day in range(days):
            for principal, hour in ((BACKUP, 1), (TRAINING, 8)):
                if keys:
                    self.event(day + hour / 24, principal, "Decrypt", KEY)
                self.reads(day + hour / 24, principal, range(SHARDS))
            for principal, own in ((ANN, range(3)), (BEN, range(3, 6))):
                if keys:
                    self.event(day + 10 / 24, principal, "Decrypt", KEY)
                self.reads(day + 10 / 24, principal, [self.random.choice(own)], client_address=OFFICE)
        return self

    def find(self, path: Path, *, start: float = 0, end: float = 21) -> Result:
        store = Store(path)
        if self.rows:
            store.append_access_events([pa.RecordBatch.from_pylist(self.rows, schema=ACCESS_EVENTS)])
        events = store.access_events()
        return find_exfiltration(
            store, events, self.assets, start=START + round(start * DAY), end=START + round(end * DAY)
        )

    def signals(self, path: Path, **window: float) -> list[Signal]:
        return self.find(path, **window).signals


def told(signals: Iterable[Signal]) -> list[tuple[str, str, str]]:
    return sorted((each.kind, each.principal, each.severity) for each in signals)
