"""What an account does, in numbers; nothing of what it says or where it comes from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np

COLUMNS = ("user_agent", "asn", "tls_fingerprint", "model", "operation", "status")
SIGNUP = ("email_domain", "country")


def by_account(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        found[record["account"] + "/" + record.get("end_user", "")].append(record)
    return found


def behaviour(records: list[dict[str, Any]]) -> list[float]:
    """More than 25 features of one account's behaviour."""
    times = np.array([datetime.fromisoformat(r["time"]).timestamp() for r in records])
    hours, days = times / 3600 % 24, times // 86_400
    users = [[m["content"] for m in r["messages"] if m["role"] == "user"] for r in records]
    last = [u[-1] for u in users]
    turns = np.array([len(u) for u in users])
    opening = [u[0] for u in users if len(u) == 1] or [""]
    lengths = np.array([len(t) for t in last], dtype=float)
    openings = np.array([len(t) for t in opening], dtype=float)
    gaps = np.diff(np.sort(times)) if len(times) > 1 else np.zeros(1)
    per_day = np.array(list(Counter(days).values()), dtype=float)
    outputs = np.array([r["output_tokens"] for r in records], dtype=float)
    inputs = np.array([r["input_tokens"] for r in records], dtype=float)
    systems = [r["messages"][0]["content"] for r in records if r["messages"][0]["role"] == "system"]
    statuses = np.array([r["status"] for r in records])
    return [
        len(records),
        len(per_day),
        per_day.mean(),
        per_day.std(),
        per_day.max(),
        hours.mean(),
        hours.std(),
        float(np.mean((hours > 8) & (hours < 18))),
        turns.mean(),
        turns.max(),
        float(np.mean(turns > 1)),
        lengths.mean(),
        lengths.std(),
        openings.mean(),
        openings.std(),
        float(np.median(openings)),
        outputs.mean(),
        outputs.std(),
        inputs.mean(),
        inputs.std(),
        len(set(last)) / len(last),
        len(set(opening)) / len(opening),
        len(systems) / len(records),
        float(np.mean([len(s) for s in systems])) if systems else 0.0,
        float(np.median(gaps)),
        float(np.quantile(gaps, 0.9)),
        float(records[0]["request"].get("temperature", -1)),
        float(records[0]["request"].get("max_tokens", -1)),
        float(np.mean(statuses != 200)),
        len({r["model"] for r in records}),
        len({r["user_agent"] for r in records}),
        len({r["client_address"] for r in records}),
        float("session" in records[0]),
        days.min(),
        days.max(),
    ]


def truth_of(accounts: Iterable[str], campaign: set[str]) -> np.ndarray:
    return np.array([account.rstrip("/") in campaign for account in accounts], dtype=int)
