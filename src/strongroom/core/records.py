"""The records that folders hand to each other. Versioned; docs/schemas/ holds a schema for each contract.

`Exchange` is what a reader makes of one log record; it lives until its text has become a sketch. `Finding`,
`Campaign` and `Verdict` are what detection says. `Entry` is what goes on record in the ledger, and
`AccessEvent` what doors will write there; none does yet.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "AccessEvent",
    "Campaign",
    "Entry",
    "Evidence",
    "Example",
    "Exchange",
    "Finding",
    "FlaggedAccount",
    "RelatedGroup",
    "Strength",
    "Verdict",
    "Window",
]

Strength = Literal["weak", "moderate", "strong"]


class Exchange(msgspec.Struct, gc=False):
    """One request to a model and its answer, as a reader understood it. Empty text means: not in the log."""

    time: int
    """Microseconds since 1970-01-01T00:00:00Z."""
    account: str
    """The account that is charged; with `end_user`, the subject is `account/end_user`."""
    text: str = ""
    """What the user added in this exchange: the last user message. Earlier turns are not repeated."""
    system: str = ""
    """The system prompt."""
    turn: int = 1
    """1 for the first user message of a conversation, 2 for the second, …"""
    id: str = ""
    organization: str = ""
    credential: str = ""
    """The name or a digest of the credential, never the secret itself."""
    end_user: str = ""
    session: str = ""
    client_address: str = ""
    asn: int = 0
    tls_fingerprint: str = ""
    user_agent: str = ""
    operation: str = ""
    """`chat`, `completion`, `embedding`, …, as the log calls it; metadata-only logs: the path."""
    model: str = ""
    input_tokens: int = -1
    """-1: not in the log. The same for the other numbers below."""
    output_tokens: int = -1
    status: int = -1
    max_tokens: int = -1
    temperature: float = -1.0
    logprobs: bool = False
    """The request asked for token log-probabilities."""
    signup_time: int = -1
    """Microseconds since 1970."""
    payment_digest: str = ""
    email_domain: str = ""
    country: str = ""


class Example(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place where a person can check the evidence."""

    subject: str
    time: str
    where: str
    """A file and line, a row, or a ledger index."""
    excerpt: str = ""
    """Only where the site keeps texts (`keep_text = true`)."""


class Evidence(msgspec.Struct, frozen=True):
    """One reason, in a sentence, with examples."""

    kind: str
    summary: str
    subjects: list[str]
    strength: Strength
    examples: list[Example] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Finding v1: what a detector says (OCSF Detection Finding)."""

    version: int = 1
    id: str
    time: str
    detector: str
    kind: str
    severity: Literal["informational", "low", "medium", "high", "critical"]
    confidence: float
    """From 0 to 1: how sure the detector is, not how bad it is."""
    subjects: list[str]
    techniques: list[str]
    """MITRE ATLAS or ATT&CK ids."""
    summary: str
    evidence: list[Evidence]
    recommended: list[str]


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """Several accounts that act as one and hide it."""

    id: str
    accounts: list[str]
    exchanges: int
    tokens_out: int
    """Output tokens taken; exchanges without a token count add nothing."""
    detected_at: str
    """Event time at which a live watch would have raised it."""
    score: float
    """From 0 to 1: how interchangeable the accounts are."""
    p_value: float
    """Share of comparable honest groups that look at least as much like a campaign."""
    objective: str
    techniques: list[str]
    evidence: list[Evidence]
    recommended: list[str]
    first_seen: str = ""
    last_seen: str = ""
    status: Literal["new", "known", "dismissed"] = "new"


class RelatedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts that openly belong together; never an alert."""

    accounts: list[str]
    relation: str
    evidence: list[Evidence] = []


class FlaggedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One account that is an alert by itself."""

    account: str
    p_value: float
    evidence: list[Evidence]


class Window(msgspec.Struct, frozen=True):
    """First and last event time that were examined, RFC 3339; empty when nothing was."""

    start: str
    end: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`strongroom hunt --json`, version 1."""

    version: int = 1
    exchanges: int
    accounts: int
    window: Window
    skipped: dict[str, int]
    campaigns: list[Campaign]
    related_groups: list[RelatedGroup]
    accounts_flagged: list[FlaggedAccount]
    sensitivity: dict[str, Any]
    not_examined: list[str]


class AccessEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Access event v1: one action of a principal on an asset, with its outcome (OCSF API Activity).

    Empty fields are left out when it is encoded; the version stands in its ledger type or its table.
    """

    version: int = 1
    id: str
    time: str
    principal: str
    credential: str = ""
    action: str
    """A Cedar action id."""
    asset: str
    asset_digest: str = ""
    outcome: Literal["allowed", "refused", "failed"]
    reason: str = ""
    policy_ids: list[str] = []
    lease: str = ""
    purpose: str = ""
    client_address: str = ""
    bytes: int = 0
    source: str = ""
    request_digest: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger entry before canonicalisation (RFC 8785); at most 65,535 bytes once encoded."""

    type: str
    """`strongroom.<what>/<version>`, such as `strongroom.access/1`."""
    time: str
    writer: str
    body: dict[str, Any]
