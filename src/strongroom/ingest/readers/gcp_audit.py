"""Google Cloud Audit Logs: entries with an AuditLog, as sinks, Pub/Sub and gcloud give them.

Also what Google Workspace's administrators and logins leave in Cloud Logging.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, local_name, record_id
from ._bodies import holds_secrets, without_values
from ._fields import flat
from ._json import load_object
from ._rows import each
from ._secrets import may_hold_secrets
from ._time import microseconds
from ._values import count, mapping, name
from ._workspace import parameters, workspace_outcome

__all__ = ["GcpAuditReader"]

PRODUCT, SERVICE = "gcp", "gcp.audit"
_TYPE = "type.googleapis.com/google.cloud.audit.AuditLog"
_KEYS = (b'"protoPayload"', b'"insertId"', b'"logName"', b'"methodName"', b'"serviceName"', b'"principalEmail"')
_ALWAYS_WITHOUT = frozenset({"insertId", "timestamp", "protoPayload.@type"})
_WORKSPACE = {"admin.googleapis.com": "google_workspace.admin", "login.googleapis.com": "google_workspace.login"}
_COPIED = ("protoPayload.authorizationInfo.permission", "protoPayload.authorizationInfo.granted")
"""Public rules ask for these with `data.` before them."""
_DENIED = (7, 16)
"""PERMISSION_DENIED and UNAUTHENTICATED of google.rpc.Code."""


class GcpAuditReader:
    """Reads Google Cloud's audit logs."""

    name = "gcp-audit"
    title = "Google Cloud Audit Logs"
    reference = "https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """95 for an entry with an AuditLog, also within an envelope."""
        try:
            return max((95 if _is_audit(row) else 0 for row in _rows(record)), default=0)
        except RecordError:
            return 0

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access of an entry, or those of an envelope; none of entries of other logs. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        # What Pub/Sub wraps is in base64, in which no mark of a secret shows.
        secrets = "protoPayload" not in record or may_hold_secrets(raw)
        return each(_rows(record), lambda row: _read(row, secrets))


def _is_audit(row: Any) -> bool:
    payload = row.get("protoPayload") if isinstance(row, dict) else None
    if not isinstance(payload, dict):
        return False
    return payload.get("@type") == _TYPE or "methodName" in payload or "serviceName" in payload


def _rows(record: dict[str, Any]) -> Iterator[Any]:
    """The entries of `entries`, of Pub/Sub's messages, of `data`, or the record itself."""
    if isinstance(rows := record.get("entries"), list):
        yield from rows
    elif isinstance(messages := record.get("receivedMessages"), list):
        for message in messages:
            if isinstance(message, dict):
                yield from _rows(message)
    elif isinstance(message := record.get("message"), dict):
        yield _opened(message)
    elif isinstance(data := record.get("data"), dict):
        yield data
    else:
        yield record


def _opened(message: dict[str, Any]) -> Any:
    """The entry in a message of Pub/Sub. Raises RecordError for what is not base64 of JSON."""
    data = message.get("data")
    if not isinstance(data, str):
        raise RecordError("required field missing", "the message has no data")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise RecordError("wrong type", "the message's data is not base64") from None
    check_duplicate_keys(raw, _KEYS)
    return load_object(raw)


def _read(row: dict[str, Any], secrets: bool) -> Iterator[LoggedAccess]:
    if not _is_audit(row):
        return
    payload = row["protoPayload"]
    operation, provider = name(payload, "methodName"), name(payload, "serviceName")
    if not operation or row.get("timestamp") is None:
        raise RecordError("required field missing", "no methodName or no timestamp")
    identity = mapping(payload.get("authenticationInfo"), "authenticationInfo")
    request = mapping(payload.get("requestMetadata"), "requestMetadata")
    resource = mapping(row.get("resource"), "resource")
    labels = mapping(resource.get("labels"), "resource.labels")
    outcome, reason = _outcome(payload)
    insert_id, log = name(row, "insertId"), name(row, "logName")
    time, target = microseconds(row["timestamp"]), _resource(payload, provider)
    who = name(identity, "principalEmail", "principalSubject")
    if provider == "k8s.io" and (cluster := name(labels, "cluster_name")):
        who = local_name(who, f"{_project(labels, log)}/{cluster}")
    credential, address = name(identity, "serviceAccountKeyName"), name(request, "callerIp", "callerIP")
    agent, told = name(request, "callerSuppliedUserAgent"), (payload.get("request"), payload.get("metadata"))
    # Alone, an insertId is of one log and one instant.
    own = f"{log}/{row['timestamp']}/{insert_id}" if insert_id else ""
    access = LoggedAccess(
        time=time,
        principal=who or provider or "unknown",
        product=PRODUCT,
        service=_WORKSPACE.get(provider, SERVICE),
        action=f"{provider.partition('.')[0]}:{operation}",
        provider=provider,
        operation=operation,
        outcome=outcome,
        reason=reason,
        id=record_id(own, time, who, credential, provider, operation, reason, target, address, agent, *told),
        credential=credential,
        organization=_project(labels, log),
        client_address=address,
        user_agent=agent,
        region=_region(labels, payload),
        resource=target,
        bytes=_bytes(row.get("httpRequest")),
    )
    if access.service == SERVICE:
        access.fields = _fields(row, secrets)
        yield finished_access(access)
    else:
        yield from _workspace(row, access, secrets)


def _workspace(row: dict[str, Any], access: LoggedAccess, secrets: bool) -> Iterator[LoggedAccess]:
    """One event for each in an activity of Workspace, by its own name instead of the method's."""
    metadata = row["protoPayload"].get("metadata")
    events = metadata.get("event") if isinstance(metadata, dict) else None
    events = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    without = _ALWAYS_WITHOUT | frozenset(FIELD_COLUMNS[PRODUCT, access.service])
    for ordinal, event in enumerate(events or [{}]):
        operation = name(event, "eventName") or access.operation
        own = dict(row)
        own["protoPayload"] = row["protoPayload"] | {"metadata": dict(metadata or {}, event=[event])}
        one = LoggedAccess(**{field: getattr(access, field) for field in LoggedAccess.__struct_fields__})
        one.operation, one.action = operation, f"{access.action.partition(':')[0]}:{operation}"
        one.id = f"{access.id}/{ordinal}" if access.id and ordinal else access.id
        one.outcome = workspace_outcome(operation) if access.outcome == "allowed" else access.outcome
        one.fields = flat(parameters(event, "parameter") | own, without, secrets=secrets)
        yield finished_access(one)


def _outcome(payload: Mapping[str, Any]) -> tuple[Literal["allowed", "refused", "failed"], str]:
    code = count(mapping(payload.get("status"), "status").get("code"), "status.code")
    if code <= 0:
        return "allowed", ""
    return "refused" if code in _DENIED else "failed", str(code)


def _project(labels: Mapping[str, Any], log: str) -> str:
    """The project, else the folder or organisation whose log it is: `organizations/123`."""
    if project := name(labels, "project_id"):
        return project
    kind, _, rest = log.partition("/")
    owner = rest.partition("/")[0]
    return owner if kind == "projects" else f"{kind}/{owner}" if owner else ""


def _region(labels: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    location = payload.get("resourceLocation")
    places = location.get("currentLocations") if isinstance(location, dict) else None
    first = places[0] if isinstance(places, list) and places else ""
    return name(labels, "location", "zone", "region") or (first if isinstance(first, str) else "")


def _resource(payload: Mapping[str, Any], provider: str) -> str:
    """The name of what was acted on, with the service where it does not begin with its project or the like."""
    resource, metadata = name(payload, "resourceName"), payload.get("metadata")
    # What a service perimeter refused names the project above and the object here.
    names = metadata.get("resourceNames") if isinstance(metadata, dict) else None
    if isinstance(names, list) and names and isinstance(names[0], str):
        resource = names[0]
    if not resource or resource.startswith(("projects/", "organizations/", "folders/", "//")):
        return resource
    return f"//{provider}/{resource.lstrip('/')}"


def _bytes(request: Any) -> int:
    size = request.get("responseSize") if isinstance(request, dict) else None
    return count(size, "responseSize") if isinstance(size, (int, str)) and not isinstance(size, bool) else -1


def _fields(row: dict[str, Any], secrets: bool) -> dict[str, str]:
    payload = dict(row["protoPayload"])
    if payload.get("serviceName") == "k8s.io":
        # io.k8s.core.v1.secrets.create: the bodies of GKE's API server
        parts = str(payload.get("methodName")).split(".")
        resource, sub = parts[-2] if len(parts) > 1 else "", "token" if "token" in parts else ""
        resources = {resource, parts[-3] if len(parts) > 2 else ""}
        for body in ("request", "response"):
            if body in payload:
                secret = any(holds_secrets(one, sub, payload[body]) for one in resources)
                payload[body] = None if secret else without_values(payload[body])
    without = _ALWAYS_WITHOUT | frozenset(FIELD_COLUMNS[PRODUCT, SERVICE])
    found = flat(row | {"protoPayload": payload}, without, secrets=secrets)
    for field in _COPIED:
        if field in found:
            found[f"data.{field}"] = found[field]
    return found
