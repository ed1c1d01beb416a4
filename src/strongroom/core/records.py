"""The records that folders hand to each other. Versioned; docs/schemas/ holds a schema for each contract.

`Exchange` and `LoggedAccess` are what a reader makes of one log record; the first lives until its text has become a
sketch. `Finding`,
`Campaign` and `Verdict` are what detection says. `Entry` is what goes on record in the ledger, and
`AccessEvent` what doors write there.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "ANONYMOUS",
    "FIELD_COLUMNS",
    "AccessEvent",
    "Campaign",
    "Entry",
    "Evidence",
    "Example",
    "Exchange",
    "Finding",
    "FlaggedAccount",
    "LoggedAccess",
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


ANONYMOUS = frozenset({"unknown", "unauthenticated", "anonymous", "system:anonymous", "nobody"})
"""Principals that are whoever, wherever that is: what is tied to them is tied to nobody."""


class LoggedAccess(msgspec.Struct, gc=False):
    """One access event in a log from elsewhere, as a reader understood it. Empty text means: not in the log."""

    time: int
    """Microseconds since 1970-01-01T00:00:00Z."""
    principal: str
    """Who acted, by the log's own name; a role without the session names that software makes up."""
    product: str
    """What wrote the log, as Sigma's `logsource.product` calls it: `aws`, `kubernetes`, …"""
    service: str
    """Sigma's `logsource.service`: `cloudtrail`, `audit`, …"""
    action: str = ""
    """What was done, service first: `s3:GetObject`, `pods/exec:create`."""
    provider: str = ""
    """The service that was asked, as the log writes it: `s3.amazonaws.com`."""
    operation: str = ""
    """What it was asked, as the log writes it: `GetObject`."""
    outcome: Literal["allowed", "refused", "failed"] = "allowed"
    reason: str = ""
    """The log's error code."""
    id: str = ""
    principal_kind: str = ""
    """As the log writes it: `IAMUser`, `AssumedRole`, …"""
    credential: str = ""
    """The name or a digest of the credential, never the secret itself."""
    session: str = ""
    organization: str = ""
    """The cloud account, project, subscription, cluster or host where it happened."""
    client_address: str = ""
    user_agent: str = ""
    region: str = ""
    resource: str = ""
    """What it was done to, as the log names it."""
    asset: str = ""
    """Only where the log itself names one of our assets; others are resolved when they are looked for."""
    asset_digest: str = ""
    bytes: int = -1
    """Bytes that left; -1: not in the log."""
    request_digest: str = ""
    fields: dict[str, str] = {}
    """The rest of the record, flat: `requestParameters.bucketName`. Rules ask for them by these names."""


_WORKSPACE = {
    "eventName": "operation",
    "protoPayload.metadata.event.eventName": "operation",
    "eventService": "provider",
    "protoPayload.serviceName": "provider",
    "protoPayload.Servicename": "provider",
}
FIELD_COLUMNS: dict[tuple[str, str], dict[str, str]] = {
    ("aws", "cloudtrail"): {
        "eventName": "operation",
        "eventSource": "provider",
        "errorCode": "reason",
        "sourceIPAddress": "client_address",
        "userAgent": "user_agent",
        "awsRegion": "region",
        "userIdentity.type": "principal_kind",
        "userIdentity.accessKeyId": "credential",
    },
    ("kubernetes", "audit"): {
        "verb": "operation",
        "objectRef.apiGroup": "provider",
        "apiGroup": "provider",
        "userAgent": "user_agent",
    },
    ("linux", "auditd"): {"type": "operation", "node": "organization", "addr": "client_address"},
    ("linux", "falco"): {"rule": "operation", "hostname": "organization"},
    ("gcp", "gcp.audit"): {
        "protoPayload.methodName": "operation",
        "data.protoPayload.methodName": "operation",
        "gcp.audit.method_name": "operation",
        "protoPayload.serviceName": "provider",
        "data.protoPayload.serviceName": "provider",
        "gcp.audit.service_name": "provider",
        "protoPayload.requestMetadata.callerIp": "client_address",
        "protoPayload.requestMetadata.callerSuppliedUserAgent": "user_agent",
    },
    ("gcp", "google_workspace.admin"): _WORKSPACE,
    ("gcp", "google_workspace.login"): _WORKSPACE,
    ("azure", "activitylogs"): {
        "operationName": "operation",
        "OperationName": "operation",
        "OperationNameValue": "operation",
        "ResourceProviderValue": "provider",
    },
    ("azure", "signinlogs"): {
        "operationName": "operation",
        "OperationName": "operation",
        "userAgent": "user_agent",
        "UserAgent": "user_agent",
        "properties.userAgent": "user_agent",
    },
    ("azure", "auditlogs"): {"operationName": "operation", "OperationName": "operation", "LoggedByService": "provider"},
    ("azure", "riskdetection"): {
        "riskEventType": "operation",
        "RiskEventType": "operation",
        "properties.riskEventType": "operation",
    },
    ("azure", "storagelogs"): {"operationName": "operation", "OperationName": "operation"},
    ("huggingface", "audit"): {
        "type": "operation",
        "author.type": "principal_kind",
        "ip": "client_address",
        "userAgent": "user_agent",
    },
    ("strongroom", "ledger"): {
        "action": "action",
        "asset": "asset",
        "asset_digest": "asset_digest",
        "outcome": "outcome",
        "client_address": "client_address",
        "request_digest": "request_digest",
    },
}
"""By product and service of a log: which of its fields stand unchanged in a column, and so not in `fields`."""


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
    first_seen: str = ""
    """Event time of the first thing that it is about, RFC 3339; empty where there is none."""
    last_seen: str = ""
    signals: int = 0
    """How many observations it is made of; evidence shows the most severe."""
    observed: list[str] = []
    """What was observed, each once: detector, kind and, where it is about one, asset, with `:` between."""
    addresses: list[str] = []
    """From which its principals acted, most signals first, at most 200."""
    status: Literal["new", "known", "dismissed"] = "new"


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
    findings: list[Finding] = []
    """What was found in access events: intrusion and exfiltration. Most severe first."""
    access_events: int = 0
    principals: int = 0
    """Distinct principals in the access events."""
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
    changed: list[str] = []
    """Of `Administer`: for each row that changes, keyed digests of which it is and of what it holds then."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger entry before canonicalisation (RFC 8785); at most 65,535 bytes once encoded."""

    type: str
    """`strongroom.<what>/<version>`, such as `strongroom.access/1`."""
    time: str
    writer: str
    body: dict[str, Any]
