"""Kubernetes: audit events of the API server, `audit.k8s.io/v1`, one a line or in an EventList.

Also as AKS writes them into Azure's diagnostic logs, and EKS into CloudWatch Logs. One request gives one event,
although the API server writes a line at each stage of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, local_name, outcome_of_status, record_id
from ._bodies import holds_secrets, without_values
from ._fields import flat
from ._json import embedded, load_object
from ._rows import each
from ._secrets import may_hold_secrets
from ._time import microseconds
from ._values import first, mapping, name

__all__ = ["KubernetesAuditReader"]

PRODUCT, SERVICE = "kubernetes", "audit"
_VERSION = "audit.k8s.io/"
_KEYS = (b'"auditID"', b'"verb"', b'"stage"', b'"objectRef"', b'"username"', b'"impersonatedUser"', b'"requestURI"')
_BODIES = ("requestObject", "responseObject")
_WITHOUT = frozenset(FIELD_COLUMNS[PRODUCT, SERVICE]) | {
    *("kind", "apiVersion", "requestReceivedTimestamp", "stageTimestamp", "timestamp"),
    *(f"{body}.metadata.managedFields" for body in _BODIES),
}
# Sessions: what is done in them begins with ResponseStarted, and they may last for days.
_SESSIONS = frozenset({"exec", "attach", "portforward", "proxy"})
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_EKS_GROUP = re.compile(r"/aws/eks/([^/]+)/cluster")
_AKS_CLUSTER = re.compile(r"/managedclusters/([^/]+)", re.IGNORECASE)
# Names that public rules use for what the record calls otherwise.
_ALIASES = {
    "hostPath": "requestObject.spec.volumes.hostPath.path",
    "capabilities": "requestObject.spec.containers.securityContext.capabilities.add",
}


class KubernetesAuditReader:
    """Reads the audit log of a Kubernetes API server."""

    name = "kubernetes-audit"
    title = "Kubernetes audit log"
    reference = "https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """95 for an event of the API group `audit.k8s.io`, also within an envelope."""
        return max((95 if _is_event(row) else 0 for row in _rows(record)), default=0)

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access of a record, or those of an EventList; none of a stage that says less than a later one.

        Raises RecordError.
        """
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        secrets = may_hold_secrets(raw)
        cluster = _cluster(record)
        return each(_rows(record), lambda row: _read(row, cluster, secrets))


def _is_event(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    # The items of a list need not repeat what the list says of them.
    version = row.get("apiVersion")
    return version.startswith(_VERSION) if isinstance(version, str) else "auditID" in row and "stage" in row


def _rows(record: dict[str, Any]) -> Iterator[Any]:
    """The events of an EventList, of CloudWatch Logs or of Azure's diagnostic logs, or the record itself."""
    properties = record.get("properties")
    if record.get("kind") == "EventList" and isinstance(items := record.get("items"), list):
        yield from items
    elif isinstance(properties, dict) and "log" in properties:
        yield embedded(properties["log"])
    elif isinstance(events := record.get("logEvents"), list):
        for event in events:
            message = event.get("message") if isinstance(event, dict) else event
            # Components of the control plane write their plain lines into the same log group.
            if not isinstance(message, str) or message.startswith("{"):
                yield embedded(message)
    elif isinstance(message := record.get("message", record.get("@message")), str) and _VERSION in message:
        yield embedded(message)
    else:
        yield record


def _cluster(record: dict[str, Any]) -> str:
    """The cluster, where an envelope names it: the API server does not."""
    group, resource = record.get("logGroup"), record.get("resourceId")
    match = _EKS_GROUP.match(group) if isinstance(group, str) else None
    if match is None and isinstance(resource, str):
        match = _AKS_CLUSTER.search(resource)
        return match[1].lower() if match else ""
    return match[1] if match else ""


def _read(row: dict[str, Any], cluster: str, secrets: bool) -> Iterator[LoggedAccess]:
    if not _is_event(row):
        return  # CloudWatch's log group and Azure's category hold other lines too
    verb, stage = name(row, "verb"), name(row, "stage")
    if not verb or not stage:
        raise RecordError("required field missing", "no verb or no stage")
    target = mapping(row.get("objectRef"), "objectRef")
    subresource = name(target, "subresource")
    if stage not in ("ResponseComplete", "Panic") and not (stage == "ResponseStarted" and subresource in _SESSIONS):
        return
    asked_at = first(row, "requestReceivedTimestamp", "stageTimestamp", "timestamp")
    if asked_at is None:
        raise RecordError("required field missing", "no requestReceivedTimestamp")
    time = microseconds(asked_at)
    user = mapping(row.get("user"), "user")
    status = mapping(row.get("responseStatus"), "responseStatus")
    outcome, reason = _outcome(row, status, stage)
    kind = name(target, "resource")
    yield finished_access(
        LoggedAccess(
            time=time,
            # Where nobody could be authenticated, no user is written.
            principal=local_name(name(user, "username"), cluster) or "unauthenticated",
            product=PRODUCT,
            service=SERVICE,
            action=f"{kind or 'nonresource'}{'/' if subresource else ''}{subresource}:{verb}",
            provider=name(target, "apiGroup"),
            operation=verb,
            outcome=outcome,
            reason=reason,
            id=_id(row, time),
            credential=_text(mapping(user.get("extra"), "user.extra").get(_CREDENTIAL)),
            organization=cluster,
            # All but the last address are what the client says.
            client_address=_text(row.get("sourceIPs"), -1),
            user_agent=name(row, "userAgent"),
            resource=_resource(row, target),
            fields=_fields(row, secrets),
        )
    )


def _id(row: Mapping[str, Any], time: int) -> str:
    """The audit ID, and what a client cannot choose with it.

    A client may send an ID of its own (the header `Audit-ID`); alone, one that was used would hide its next request.
    """
    audit_id = name(row, "auditID")
    asked = (row.get("verb"), row.get("requestURI"), row.get("user"), row.get("impersonatedUser"))
    return record_id(f"{audit_id[:64]}/{time}" if audit_id else "", *asked)


def _outcome(row: Mapping[str, Any], status: Mapping[str, Any], stage: str) -> tuple[Any, str]:
    code = status.get("code")
    code = code if isinstance(code, int) else 0
    reason = name(status, "reason") or (str(code) if code >= 400 else "")
    annotations = row.get("annotations")
    if isinstance(annotations, dict) and annotations.get("authorization.k8s.io/decision") == "forbid":
        return "refused", reason or "Forbidden"
    if stage == "Panic":
        return "failed", reason or "Panic"
    return outcome_of_status(code), reason


def _resource(row: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """`namespace/kind/name/subresource`, the namespace empty for what has none; else the path that was asked for."""
    kind = name(target, "resource")
    if not kind:
        return name(row, "requestURI").partition("?")[0]
    parts = [name(target, "namespace"), kind]
    if named := name(target, "name"):
        parts += [named, *filter(None, [name(target, "subresource")])]
    return "/".join(parts)


def _text(values: Any, place: int = 0) -> str:
    """One text of a list of texts."""
    value = values[place] if isinstance(values, list) and values else ""
    return value if isinstance(value, str) else ""


def _fields(row: dict[str, Any], secrets: bool) -> dict[str, str]:
    row = row.copy()
    target = row.get("objectRef")
    target = target if isinstance(target, dict) else {}
    for body in _BODIES:
        if body in row:
            if holds_secrets(target.get("resource"), target.get("subresource"), row[body]):
                del row[body]
            else:
                row[body] = without_values(row[body])
    found = flat(row, _WITHOUT, secrets=secrets)
    for alias, field in _ALIASES.items():
        if field in found:
            found[alias] = found[field]
    return found
