"""What one principal did, and which findings it is in: for whoever has to ask it, or answer for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa

from strongroom.core.clock import format_time
from strongroom.detect.campaign import Explanation
from strongroom.store import Store

from ._remember import STORY

__all__ = ["PrincipalExplanation", "explain_principal"]

MAX_ACTIONS = 50
MAX_NAMES = 20


class Use(msgspec.Struct, frozen=True):
    """One kind of action, and how often it ended how."""

    action: str
    allowed: int
    refused: int
    failed: int
    first_seen: str


class PrincipalExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """A principal of access logs."""

    version: int = 1
    principal: str
    events: int
    first_seen: str
    last_seen: str
    bytes: int
    """That left, as far as the logs say."""
    credentials: list[str]
    addresses: list[str]
    """From which it acted; most used first, at most 20 of each."""
    actions: list[Use]
    """Most used first, at most 50."""
    findings: list[str]
    """Ids of findings that name it, latest first."""
    reasons: list[str]
    account_explanation: Explanation | msgspec.UnsetType = msgspec.UNSET
    """What is told of an account of exchange logs that has the same name; left out where there is none."""


def explain_principal(
    store: Store, principal: str, *, since: int | None = None, until: int | None = None
) -> PrincipalExplanation | None:
    """What is stored of `principal`; None when no access event names it. An account of its name is not asked for."""
    events = store.access_events(since, until)
    own = events.filter(events.principal == principal)
    row = store.table(
        own.aggregate(n=own.count(), first=own.time.min(), last=own.time.max(), bytes=own.bytes.sum())
    ).to_pylist()[0]
    if not row["n"]:
        return None
    named = [row for row in store.findings("finding") if row["document"]["detector"] == STORY]
    newest = {row["id"]: row for row in named}  # oldest first, so the newest of each stays
    ordered = sorted(newest.values(), key=lambda row: row["time"])
    latest = {row["id"]: row["document"] for row in ordered if principal in row["subjects"]}
    return PrincipalExplanation(
        principal=principal,
        events=row["n"],
        first_seen=_time(row["first"]),
        last_seen=_time(row["last"]),
        bytes=int(row["bytes"] or 0),
        credentials=_most(store, own, "credential"),
        addresses=_most(store, own, "client_address"),
        actions=_uses(store, own),
        findings=list(latest)[::-1],
        reasons=_reasons(principal, latest),
    )


def _most(store: Store, own: Any, column: str) -> list[str]:
    known = own.filter(own[column].notnull())
    counts = known.group_by(column).aggregate(n=known.count())
    rows = store.table(counts.order_by(counts.n.desc(), counts[column]).limit(MAX_NAMES)).to_pylist()
    return [row[column] for row in rows]


def _uses(store: Store, own: Any) -> list[Use]:
    ended = {how: (own.outcome == how).sum() for how in ("allowed", "refused", "failed")}
    counts = own.group_by("action").aggregate(n=own.count(), first=own.time.min(), **ended)
    rows = store.table(counts.order_by(counts.n.desc(), counts.action).limit(MAX_ACTIONS)).to_pylist()
    return [
        Use(
            row["action"] or "",
            int(row["allowed"] or 0),
            int(row["refused"] or 0),
            int(row["failed"] or 0),
            _time(row["first"]),
        )
        for row in rows
    ]


def _reasons(principal: str, findings: dict[str, Any]) -> list[str]:
    """In sentences: which findings name it and for what."""
    if not findings:
        return ["It is in no finding in access logs of this site."]
    told = []
    for identifier, document in list(findings.items())[::-1]:
        told.append(f"It is in {identifier} ({document['kind']}, {document['severity']}): {document['summary']}")
        told += [piece["summary"] for piece in document["evidence"] if principal in piece["subjects"]]
    return told


def _time(moment: Any) -> str:
    return format_time(pa.scalar(moment, pa.timestamp("us", "UTC")).value)
