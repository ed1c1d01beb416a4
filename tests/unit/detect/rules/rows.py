"""Rows of `access_events` from raw records or from flat fields, without the readers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from strongroom.core.clock import parse_time
from strongroom.detect.rules._condition import SEPARATOR
from strongroom.store import ACCESS_EVENTS, FIELD_COLUMNS

AWS = ("aws", "cloudtrail")


def flat(record: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a record as the readers write them."""
    found: dict[str, list[str]] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            put(path, json.dumps(value, separators=(",", ":"), ensure_ascii=False))
            for key, inner in value.items():
                add(f"{path}.{key}", inner)
        elif isinstance(value, list):
            if any(isinstance(inner, dict | list) for inner in value):
                put(path, json.dumps(value, separators=(",", ":"), ensure_ascii=False))
            for inner in value:
                if isinstance(inner, dict):
                    for key, deeper in inner.items():
                        add(f"{path}.{key}", deeper)
                elif not isinstance(inner, list):
                    add(path, inner)
        elif value is not None:
            put(path, value if isinstance(value, str) else json.dumps(value))

    def put(path: str, text: str) -> None:
        found.setdefault(path, []).append(text)

    for key, value in record.items():
        add(key, value)
    return {path: SEPARATOR.join(texts) for path, texts in found.items()}


def row(
    fields: Mapping[str, str], log: tuple[str, str], number: int, *, time: int = 0, principal: str = "p", **more: Any
) -> dict[str, Any]:
    """One row; fields that stand in a column go there."""
    columns = FIELD_COLUMNS.get(log, {})
    return {
        "time": time,
        "principal": principal,
        "product": log[0],
        "service": log[1],
        "fields": [(name, text) for name, text in fields.items() if name not in columns],
        **{column: fields.get(name) or None for name, column in columns.items()},
        "source": "a.json",
        "position": number,
        "line_key": number,
        "record_key": number,
        **more,
    }


def cloudtrail(records: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows of CloudTrail records, in order."""
    rows = []
    for number, record in enumerate(records, start=1):
        identity = record.get("userIdentity", {})
        arn = identity.get("arn", "") or identity.get("invokedBy", "") or "unknown"
        session = identity.get("principalId") if identity.get("type") == "AssumedRole" else None
        if ":assumed-role/" in arn:
            arn = arn.rpartition("/")[0]
        when = parse_time(record["eventTime"])
        rows.append(
            row(flat(record), AWS, number, time=when, principal=arn, session=session, organization="123456789012")
        )
    return batch(rows)


def records(
    found: Iterable[Mapping[str, Any]], log: tuple[str, str], *, time: str = "2026-01-01T00:00:00Z"
) -> pa.RecordBatch:
    """Rows of records of another log, a second apart."""
    start = parse_time(time)
    return batch(
        [row(flat(each), log, n, time=start + n * 1_000_000, principal="someone") for n, each in enumerate(found, 1)]
    )


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """A batch with the columns of ACCESS_EVENTS."""
    return pa.RecordBatch.from_pylist(rows, schema=ACCESS_EVENTS)
