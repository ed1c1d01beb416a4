"""Access events as OCSF 1.8 API Activity (class 6003), for whatever reads security logs. No IO.

Two inputs, one mapping: the body of an access entry of the ledger (`api_activity`), and a row of the store's table
`access_events` (`stored_activity`). Required in the class: activity_id, actor, api, category_uid, class_uid, metadata,
severity_id, src_endpoint, time, type_uid. What belongs to a profile (`cloud`, `host`, `security_control`) comes only
with the profile named in `metadata.profiles`. What OCSF has no place for stands in `unmapped`.

A client address is `src_endpoint.ip` only when it is an address; a keyed digest of one is `uid`, the name of a host or
service is `domain`, and any other text `name`. `actor.user.credential_uid` is deprecated since OCSF 1.6 in favour of
`programmatic_credentials`, and still what older readers look at; both are there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import __version__
from ..core.clock import format_time
from ..core.errors import RecordError
from ._body import text_of, time_of
from ._subjects import is_digest

__all__ = ["OCSF_VERSION", "api_activity", "stored_activity"]

OCSF_VERSION = "1.8.0"
CATEGORY, CLASS = 6, 6003
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
INFORMATIONAL = 1
SUCCESS, FAILURE, OTHER_STATUS = 1, 2, 99
ALLOWED, DENIED = 1, 2
TARGET = 1
OTHER_TYPE, UNKNOWN_DEVICE = 99, 0
MAX_ADDRESS = 40
"""Characters of OCSF's `ip_t`."""
MAX_DOMAIN = 253
SEPARATOR = "\x1f"
"""Between the values of one of a row's `fields`, as readers write them."""
LONG = 4000
"""Characters from which a list of objects in `fields` may have been cut (readers keep 4,096), so that it is no JSON."""
STRONGROOM = {"name": "Strongroom", "vendor_name": "Strongroom", "version": __version__}
CUT = "strongroom.cut"
"""The one of a row's `fields` in which a reader says that not all of the record is kept."""
_DIGESTED = re.compile(r"/[0-9a-f]{32}$")
"""What readers add to a log's own id, so that one that is used twice hides nothing."""
_NAMES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete"}
_VERBS = {
    CREATE: "add allocate approve copy create grant import init issue make publish put register run seal send sign "
    "upload write",
    READ: "ask check decrypt describe download export fetch find get head infer list lookup mount open query read "
    "release scan search select show stream test unseal unwrap use verify view watch",
    UPDATE: "associate attach authorize cancel change detach disable disassociate enable extend modify move patch "
    "reboot rename renew replace restore rewrap rotate set start stop tag untag update",
    DELETE: "delete deletecollection deregister destroy drop end erase expire forget leave prune purge remove revoke "
    "terminate",
}
_ACTIVITIES = {verb: activity for activity, verbs in _VERBS.items() for verb in verbs.split()}
_STATUSES = {"allowed": (SUCCESS, "Success"), "refused": (FAILURE, "Failure"), "failed": (FAILURE, "Failure")}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_NO_VERB = re.compile(r"USER_(?:START|END)|Sign-in.*")
"""Sessions of auditd's hosts and of Entra ID, whose names hold verbs."""
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
_PRODUCTS = {("aws", "cloudtrail"): ("AWS", "CloudTrail"), ("strongroom", "ledger"): ("Strongroom", "Strongroom")}
"""What the makers call it, where that is not what a row says; `CloudTrail` is how Amazon Security Lake is told."""
_CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "GCP"}
_NO_CLOUD = "google_workspace"
"""Rows of Google's other product have a customer, and no project, as their organization."""
_MAPPED = {
    *("version", "id", "time", "principal", "credential", "action", "asset", "asset_digest"),
    *("outcome", "reason", "policy_ids", "client_address", "source", "request_digest"),
}


@dataclass(frozen=True, slots=True)
class _Access:
    """What the mapping asks of either input. Empty text means: not known."""

    time: int
    """Microseconds since 1970-01-01T00:00:00Z."""
    original_time: str
    operation: str
    outcome: str
    principal: str
    product: dict[str, Any]
    unmapped: dict[str, Any]
    id: str = ""
    own_id: str = ""
    """What its own log calls it."""
    cut: bool = False
    principal_kind: str = ""
    credential: str = ""
    session: str = ""
    policies: list[str] = field(default_factory=list)
    provider: str = ""
    request: str = ""
    code: str = ""
    detail: str = ""
    error: str = ""
    client: str = ""
    user_agent: str = ""
    resource: str = ""
    asset: str = ""
    asset_digest: str = ""
    cloud: str = ""
    account: str = ""
    region: str = ""
    host: str = ""
    log: str = ""
    log_source: str = ""
    log_format: str = ""
    sequence: int | None = None


def api_activity(body: dict[str, Any], *, index: int | None = None, log: str = "") -> dict[str, Any]:
    """The body of an access entry (or a plain access event) as an OCSF event.

    `index` and `log` say where it stands: its number in the ledger, and the ledger's origin. Raises RecordError
    for a body without a readable time, without which there is no event.

    >>> event = api_activity({"time": "2026-11-01T09:30:00.123Z", "action": "OpenWeights", "outcome": "refused"})
    >>> event["type_uid"], event["activity_name"], event["status_id"], event["time"]
    (600302, 'Read', 2, 1793525400123)
    """
    time = time_of(body)
    if time is None:
        raise RecordError("no time", "an access event has no time that can be read")
    policies, outcome = body.get("policy_ids"), text_of(body, "outcome")
    return _event(
        _Access(
            time=time,
            original_time=text_of(body, "time"),
            operation=text_of(body, "action"),
            outcome=outcome,
            principal=text_of(body, "principal"),
            product=STRONGROOM,
            unmapped={name: value for name, value in body.items() if name not in _MAPPED},
            id=text_of(body, "id"),
            credential=text_of(body, "credential"),
            policies=[each for each in policies if isinstance(each, str) and each]
            if isinstance(policies, list)
            else [],
            provider=text_of(body, "source"),
            request=text_of(body, "request_digest"),
            code=outcome,
            detail=text_of(body, "reason"),
            client=text_of(body, "client_address"),
            asset=text_of(body, "asset"),
            asset_digest=text_of(body, "asset_digest"),
            log=log,
            sequence=index,
        )
    )


def stored_activity(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `access_events` as an OCSF event.

    `row` has that table's columns as Python's values (null: None), but `time` in microseconds since 1970. Product and
    vendor are those of the log that the row was read from; Strongroom is among `metadata.loggers`. Raises RecordError
    for a row without a time.

    >>> event = stored_activity({"time": 1793525400123456, "principal": "ann", "product": "kubernetes",
    ...     "service": "audit", "operation": "delete", "outcome": "refused", "fields": [("objectRef.name", "serve")]})
    >>> event["type_uid"], event["action"], event["metadata"]["original_time"], event["unmapped"]
    (600304, 'Denied', '2026-11-01T09:30:00.123456Z', {'objectRef.name': 'serve'})
    """
    time = row.get("time")
    if not isinstance(time, int):
        raise RecordError("no time", "a stored access event has no time")
    fields = dict(row.get("fields") or ())
    product, service = text_of(row, "product"), text_of(row, "service")
    organization, region, reason = (text_of(row, name) for name in ("organization", "region", "reason"))
    cloud = "" if service.startswith(_NO_CLOUD) else _CLOUDS.get(product, "")
    host = organization if product == "linux" else ""
    apart = {
        "action": text_of(row, "action"),
        "organization": "" if cloud or host else organization,
        "region": "" if cloud else region,
    }
    outcome = text_of(row, "outcome")
    return _event(
        _Access(
            time=time,
            original_time=_exact(time),
            operation=text_of(row, "operation") or apart["action"],
            outcome=outcome,
            principal=text_of(row, "principal"),
            product=_product(product, service, fields),
            unmapped=_unmapped(fields, row.get("bytes"), apart),
            id=text_of(row, "id") or _key(row.get("record_key")),
            own_id=_DIGESTED.sub("", text_of(row, "id")),
            cut=CUT in fields,
            principal_kind=text_of(row, "principal_kind"),
            credential=text_of(row, "credential"),
            session=text_of(row, "session"),
            provider=text_of(row, "provider"),
            request=text_of(row, "request_digest"),
            code=reason,
            # What went well has no error, whatever its log gives as a reason.
            error="" if outcome == "allowed" else reason,
            client=text_of(row, "client_address"),
            user_agent=text_of(row, "user_agent"),
            resource=text_of(row, "resource"),
            asset=text_of(row, "asset"),
            asset_digest=text_of(row, "asset_digest"),
            cloud=cloud,
            account=organization,
            region=region,
            host=host,
            log_source=text_of(row, "source"),
            log_format=text_of(row, "format"),
            sequence=row.get("position"),
        )
    )


def _event(access: _Access) -> dict[str, Any]:
    activity = _activity(access.operation)
    status_id, status = _STATUSES.get(access.outcome, (OTHER_STATUS, access.outcome or "unknown"))
    decided = {"allowed": (ALLOWED, "Allowed"), "refused": (DENIED, "Denied")}.get(access.outcome)
    cloud = {"account": _filled({"uid": access.account}), "provider": access.cloud, "region": access.region}
    event = {
        "action": decided[1] if decided else "",
        "activity_id": activity,
        "activity_name": _NAMES.get(activity, access.operation or "unknown"),
        "actor": _actor(access),
        "api": _api(access),
        "category_name": "Application Activity",
        "category_uid": CATEGORY,
        "class_name": "API Activity",
        "class_uid": CLASS,
        "cloud": _filled(cloud) if access.cloud else {},
        "device": {"hostname": access.host, "type_id": UNKNOWN_DEVICE} if access.host else {},
        "http_request": _filled({"user_agent": access.user_agent}),
        "metadata": _metadata(access, security_control=decided is not None),
        "resources": _resources(access),
        "severity": "Informational",
        "severity_id": INFORMATIONAL,
        "src_endpoint": _endpoint(access.client),
        "status": status,
        "status_code": access.code,
        "status_detail": access.detail,
        "status_id": status_id,
        "time": access.time // 1000,
        "type_uid": CLASS * 100 + activity,
        "unmapped": access.unmapped,
    }
    return _filled(event | ({"action_id": decided[0]} if decided else {}))


def _activity(action: str) -> int:
    """By the first word of the action that is a verb we know: `open`, `grant_lease`, `Lease::revoke`, `rotateKey`."""
    if _NO_VERB.fullmatch(action):
        return OTHER
    words = (word.lower() for word in _WORD.findall(action))
    return next((_ACTIVITIES[word] for word in words if word in _ACTIVITIES), OTHER)


def _actor(access: _Access) -> dict[str, Any]:
    user: dict[str, Any] = {"uid": access.principal or "unknown", "credential_uid": access.credential}
    if access.credential:
        user["programmatic_credentials"] = [{"uid": access.credential}]
    if access.principal_kind:  # as its log calls it
        user |= {"type": access.principal_kind, "type_id": OTHER_TYPE}
    decision = access.outcome or "unknown"
    return _filled(
        {
            "user": _filled(user),
            "session": _filled({"uid": access.session}),
            "authorizations": [{"decision": decision, "policy": {"uid": each}} for each in access.policies],
        }
    )


def _api(access: _Access) -> dict[str, Any]:
    return _filled(
        {
            "operation": access.operation or "unknown",
            "request": _filled({"uid": access.request}),
            "response": _filled({"error": access.error}),
            "service": _filled({"name": access.provider}),
        }
    )


def _metadata(access: _Access, *, security_control: bool) -> dict[str, Any]:
    profiles = {"cloud": bool(access.cloud), "host": bool(access.host), "security_control": security_control}
    found = {
        "log_format": access.log_format,
        "log_name": access.log,
        "log_source": access.log_source,
        # Whoever reads the product's own name still sees who made an OCSF event of its log.
        "loggers": [] if access.product is STRONGROOM else [{"name": "Strongroom", "product": STRONGROOM}],
        "original_event_uid": access.own_id,
        "original_time": access.original_time,
        "product": access.product,
        "profiles": [name for name, used in profiles.items() if used],
        "uid": access.id,
        "version": OCSF_VERSION,
    }
    numbers = {"sequence": access.sequence, "is_truncated": True if access.cut else None}
    return _filled(found) | {name: value for name, value in numbers.items() if value is not None}


def _resources(access: _Access) -> list[dict[str, Any]]:
    """What the log names, and then the asset of ours that it is."""
    name, _, tag = access.asset.partition(":")
    asset = _filled({"name": name, "uid": access.asset_digest, "version": tag})
    found = [{"uid": access.resource}] if access.resource else []
    found += [asset | {"type": "asset"}] if "name" in asset or "uid" in asset else []
    return [each | {"role": "Target", "role_id": TARGET} for each in found]


def _endpoint(client: str) -> dict[str, str]:
    """OCSF requires one, with something in it."""
    if not client:
        return {"name": "unknown"}
    if is_digest(client):
        return {"uid": client}
    try:
        address = str(ipaddress.ip_address(client))
    except ValueError:
        address = ""
    if address and len(address) <= MAX_ADDRESS and address.isprintable():  # a zone after % may be any text
        return {"ip": address}
    return {"domain" if len(client) <= MAX_DOMAIN and _DOMAIN.fullmatch(client) else "name": client}


def _product(product: str, service: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    vendor, name = _PRODUCTS.get((product, service), (product, service))
    version = fields.get("eventVersion") if product == "aws" else ""
    return _filled({"name": name or vendor or "unknown", "vendor_name": vendor, "version": version or ""})


def _unmapped(fields: Mapping[str, Any], sent: Any, apart: Mapping[str, str]) -> dict[str, Any]:
    """A row's `fields`, several values as a list, and what else has no place; a log's own field goes before ours.

    The text of an object is left out, as its parts stand beside it: that halves the output. Lists of objects stay.
    """
    holders = {name.rpartition(".")[0] for name in fields}
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None and not (name in holders and (value.startswith("{") or len(value) >= LONG)):
            found[name] = value.split(SEPARATOR) if SEPARATOR in value else value
    if isinstance(sent, int) and sent >= 0:
        found["bytes"] = sent
    return _filled(dict(apart)) | found


def _key(key: Any) -> str:
    """A row's own key, for one whose log gave it no id."""
    return f"{key & (1 << 64) - 1:016x}" if isinstance(key, int) else ""


def _exact(time: int) -> str:
    """RFC 3339 with the microseconds that OCSF's `time` has no place for. Raises RecordError."""
    try:
        return f"{format_time(time)[:-1]}{time % 1000:03d}Z"
    except OverflowError:
        raise RecordError("no time", "a stored access event has a time that no calendar has") from None


def _filled(parts: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: OCSF leaves out what is not known."""
    return {name: value for name, value in parts.items() if value not in ("", [], {})}
