"""An access event as OCSF 1.8 API Activity (class 6003), for whatever reads security logs. No IO.

Required there: activity_id, actor, api, category_uid, class_uid, metadata, severity_id, src_endpoint, time, type_uid.
What OCSF has no place for stands in `unmapped`. A client address is `src_endpoint.ip` only when it is an address;
a keyed digest of one is `src_endpoint.uid`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from .. import __version__
from ..core.errors import RecordError
from ._body import text_of, time_of

__all__ = ["OCSF_VERSION", "api_activity"]

OCSF_VERSION = "1.8.0"
CATEGORY, CLASS = 6, 6003
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
INFORMATIONAL = 1
SUCCESS, FAILURE, OTHER_STATUS = 1, 2, 99
TARGET = 1
_NAMES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete"}
_VERBS = {
    CREATE: "add approve create grant import init issue make publish register seal sign upload write",
    READ: "ask decrypt download export fetch find get infer list mount open query read release show stream unseal "
    "unwrap use verify view",
    UPDATE: "change extend move rename renew replace rewrap rotate set tag update",
    DELETE: "delete destroy drop end erase expire forget prune purge remove revoke",
}
_ACTIVITIES = {verb: activity for activity, verbs in _VERBS.items() for verb in verbs.split()}
_STATUSES = {"allowed": (SUCCESS, "Success"), "refused": (FAILURE, "Failure"), "failed": (FAILURE, "Failure")}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_MAPPED = {
    *("version", "id", "time", "principal", "credential", "action", "asset", "asset_digest"),
    *("outcome", "reason", "policy_ids", "client_address", "source", "request_digest"),
}


def api_activity(body: dict[str, Any], *, index: int | None = None, log: str = "") -> dict[str, Any]:
    """The body of an access entry (or a plain access event) as an OCSF event.

    `index` and `log` say where it stands: its number in the ledger, and the ledger's origin. Raises RecordError
    for a body without a readable time, without which there is no event.

    >>> event = api_activity({"time": "2026-11-01T09:30:00.123Z", "action": "open", "outcome": "refused"})
    >>> event["type_uid"], event["activity_name"], event["status_id"], event["time"]
    (600302, 'Read', 2, 1793525400123)
    """
    time = time_of(body)
    if time is None:
        raise RecordError("no time", "an access event has no time that can be read")
    action, outcome = text_of(body, "action"), text_of(body, "outcome")
    activity = _activity(action)
    status_id, status = _STATUSES.get(outcome, (OTHER_STATUS, outcome or "unknown"))
    event = {
        "activity_id": activity,
        "activity_name": _NAMES.get(activity, action or "unknown"),
        "actor": _actor(body, outcome),
        "api": _api(body, action),
        "category_name": "Application Activity",
        "category_uid": CATEGORY,
        "class_name": "API Activity",
        "class_uid": CLASS,
        "metadata": _metadata(body, index, log),
        "resources": _resources(body),
        "severity": "Informational",
        "severity_id": INFORMATIONAL,
        "src_endpoint": _endpoint(text_of(body, "client_address")),
        "status": status,
        "status_code": outcome,
        "status_detail": text_of(body, "reason"),
        "status_id": status_id,
        "time": time // 1000,
        "type_uid": CLASS * 100 + activity,
        "unmapped": {name: value for name, value in body.items() if name not in _MAPPED},
    }
    return _filled(event)


def _activity(action: str) -> int:
    """By the first word of the action that is a verb we know: `open`, `grant_lease`, `Lease::revoke`, `rotateKey`."""
    words = (word.lower() for word in _WORD.findall(action))
    return next((_ACTIVITIES[word] for word in words if word in _ACTIVITIES), OTHER)


def _actor(body: dict[str, Any], outcome: str) -> dict[str, Any]:
    user = {"uid": text_of(body, "principal") or "unknown", "credential_uid": text_of(body, "credential")}
    policies = body.get("policy_ids")
    named = [each for each in policies if isinstance(each, str)] if isinstance(policies, list) else []
    return _filled(
        {
            "user": _filled(user),
            "authorizations": [{"decision": outcome or "unknown", "policy": {"uid": each}} for each in named],
        }
    )


def _api(body: dict[str, Any], action: str) -> dict[str, Any]:
    source, request = text_of(body, "source"), text_of(body, "request_digest")
    return _filled(
        {
            "operation": action or "unknown",
            "request": {"uid": request} if request else {},
            "service": {"name": source} if source else {},
        }
    )


def _metadata(body: dict[str, Any], index: int | None, log: str) -> dict[str, Any]:
    found = {
        "log_name": log,
        "original_time": text_of(body, "time"),
        "product": {"name": "Strongroom", "vendor_name": "Strongroom", "version": __version__},
        "uid": text_of(body, "id"),
        "version": OCSF_VERSION,
    }
    return _filled(found) | ({} if index is None else {"sequence": index})


def _resources(body: dict[str, Any]) -> list[dict[str, Any]]:
    name, _, tag = text_of(body, "asset").partition(":")
    found = _filled({"name": name, "uid": text_of(body, "asset_digest"), "version": tag})
    return [{**found, "role": "Target", "role_id": TARGET}] if "name" in found or "uid" in found else []


def _endpoint(client: str) -> dict[str, str]:
    """OCSF requires one, with something in it."""
    if not client:
        return {"name": "unknown"}
    try:
        return {"ip": str(ipaddress.ip_address(client))}
    except ValueError:
        return {"uid": client}


def _filled(parts: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: OCSF leaves out what is not known."""
    return {name: value for name, value in parts.items() if value not in ("", [], {})}
