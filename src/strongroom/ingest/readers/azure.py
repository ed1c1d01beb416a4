"""Azure: the activity log, Entra's sign-ins, audit log and risk detections, and the logs of storage accounts.

As diagnostic settings export them to storage accounts and event hubs, and as rows of Log Analytics' tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, outcome_of_status, record_id
from ._azure_names import named, opened, united
from ._json import load_object
from ._rows import each
from ._secrets import may_hold_secrets
from ._time import microseconds, microseconds_or_absent
from ._values import count, first, mapping, name

__all__ = ["AzureReader"]

PRODUCT = "azure"
_KEYS = (b'"operationName"', b'"OperationName"', b'"category"', b'"resourceId"', b'"callerIpAddress"', b'"ResultType"')
# By category or table, in small letters.
_SERVICES = {
    **dict.fromkeys(("administrative", "policy", "security", "write", "delete", "action"), "activitylogs"),
    "azureactivity": "activitylogs",
    **dict.fromkeys(
        (
            *("signinlogs", "noninteractiveusersigninlogs", "serviceprincipalsigninlogs", "adfssigninlogs"),
            *("managedidentitysigninlogs", "microsoftserviceprincipalsigninlogs", "aadnoninteractiveusersigninlogs"),
            *("aadserviceprincipalsigninlogs", "aadmanagedidentitysigninlogs"),
        ),
        "signinlogs",
    ),
    "auditlogs": "auditlogs",
    **dict.fromkeys(("userriskevents", "serviceprincipalriskevents", "aaduserriskevents"), "riskdetection"),
    "aadserviceprincipalriskevents": "riskdetection",
    **dict.fromkeys(("storageread", "storagewrite", "storagedelete", "storagebloblogs"), "storagelogs"),
}
_SUBSCRIPTION = re.compile(r"/subscriptions/([^/]+)", re.IGNORECASE)
_PROVIDER = re.compile(r"/providers/([^/]+)", re.IGNORECASE)
_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_OBJECT = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_REFUSED = re.compile(r"forbidden|unauthorized|denied|authorizationfailed", re.IGNORECASE)
_TIMES = ("time", "timeGenerated", "activityDateTime", "createdDateTime", "detectedDateTime")


class AzureReader:
    """Reads Azure's and Entra's logs."""

    name = "azure"
    title = "Azure activity, Entra and storage logs"
    reference = "https://learn.microsoft.com/azure/azure-monitor/platform/activity-log-schema"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """90 for a known category or table, also within `records`."""
        return max((90 if _service(row) else 0 for row in _rows(record)), default=0)

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access of a record, or those in `records`; none of another category. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        secrets = may_hold_secrets(raw)
        return each(_rows(record), lambda row: _read(row, secrets))


def _rows(record: dict[str, Any]) -> Iterator[Any]:
    if isinstance(rows := record.get("records"), list):
        yield from rows
    else:
        yield record


def _service(row: Any) -> str:
    """The log that a record is of, empty when it is none of ours."""
    if not isinstance(row, dict):
        return ""
    table, category = row.get("Type"), row.get("category", row.get("CategoryValue"))
    if "TimeGenerated" in row and isinstance(table, str):
        return _SERVICES.get(table.lower(), "")
    if not isinstance(row.get("operationName"), str) or not isinstance(category, str) or "time" not in row:
        return ""
    resource = row.get("resourceId")
    directory = isinstance(resource, str) and "/providers/microsoft.aadiam" in resource.lower()
    found = _SERVICES.get(category.lower(), "")
    # Older exports of the directory have the activity's own category, such as Policy.
    return "auditlogs" if directory and found in ("", "activitylogs") and "properties" in row else found


def _read(record: dict[str, Any], secrets: bool) -> Iterator[LoggedAccess]:
    service = _service(record)
    if not service:
        if isinstance(record.get("operationName", record.get("OperationName")), str):
            return
        raise RecordError("required field missing", "no operationName or no category")
    record = opened(record)
    row = united(record)
    time = _time(row)
    operation = name(row, "riskEventType" if service == "riskdetection" else "operationName", "operationNameValue")
    principal, kind = _WHO[service](row)
    outcome, reason = _outcome(row, service)
    resource_id, tenant = name(row, "resourceId", "_ResourceId"), name(row, "tenantId", "aADTenantId")
    subscription = _SUBSCRIPTION.search(resource_id)
    row_id = name(row, "eventDataId") if service == "activitylogs" else name(row, "id")
    resource, address = _resource(row, service, resource_id, tenant), _address(row)
    agent = name(row, "userAgent", "userAgentHeader")
    told = (row.get("targetResources"), row.get("requestbody"), row.get("additionalDetails"))
    # A risk is told of again under its id when it changes.
    own = f"{service}/{time}/{row_id}" if row_id and service != "storagelogs" else ""
    yield finished_access(
        LoggedAccess(
            time=time,
            principal=principal or "unknown",
            product=PRODUCT,
            service=service,
            action=f"{service}:{operation}",
            provider=_provider(resource_id, row),
            operation=operation,
            outcome=outcome,
            reason=reason,
            id=record_id(own, principal, operation, outcome, reason, resource, address, agent, *told),
            principal_kind=kind,
            session=name(row, "sessionId") if service == "signinlogs" else "",
            organization=subscription[1].lower() if subscription else tenant,
            client_address=address,
            user_agent=agent,
            region=name(row, "location") if isinstance(row.get("location"), str) else "",
            resource=resource,
            bytes=count(row.get("responseBodySize"), "responseBodySize") if service == "storagelogs" else -1,
            fields=named(record, row, service, frozenset(FIELD_COLUMNS.get((PRODUCT, service), ())), secrets),
        )
    )


def _time(row: Mapping[str, Any]) -> int:
    """The first time that can be used: some exports write `8/22/2022 6:07:16 PM` in the first place."""
    for field in _TIMES:
        if (time := microseconds_or_absent(row.get(field))) >= 0:
            return time
    return microseconds(first(row, *_TIMES) or "")


def _caller(row: Mapping[str, Any]) -> tuple[str, str]:
    """Of the activity log: the caller, or the claims of its token."""
    identity = row.get("identity")
    identity = identity if isinstance(identity, dict) else {}
    claims = identity.get("claims", row.get("claims"))
    claims = claims if isinstance(claims, dict) else {}
    authorization = identity.get("authorization", row.get("authorization"))
    evidence = authorization.get("evidence") if isinstance(authorization, dict) else None
    evidence = evidence if isinstance(evidence, dict) else {}
    who = name(row, "caller") or name(claims, f"{_CLAIMS}upn", f"{_CLAIMS}emailaddress", f"{_CLAIMS}name")
    return who or name(claims, _OBJECT, "appid") or name(evidence, "principalId"), name(evidence, "principalType")


def _signed_in(row: Mapping[str, Any]) -> tuple[str, str]:
    if user := name(row, "userPrincipalName", "userId"):
        return user, name(row, "userType")
    return name(row, "servicePrincipalName", "servicePrincipalId", "appDisplayName", "appId"), "ServicePrincipal"


def _initiator(row: Mapping[str, Any]) -> tuple[str, str]:
    by = mapping(row.get("initiatedBy"), "initiatedBy")
    if user := name(mapping(by.get("user"), "initiatedBy.user"), "userPrincipalName", "id"):
        return user, "User"
    app = name(mapping(by.get("app"), "initiatedBy.app"), "servicePrincipalId", "appId", "displayName")
    identity = row.get("identity")
    return app or (identity if isinstance(identity, str) else ""), "ServicePrincipal" if app else ""


def _requester(row: Mapping[str, Any]) -> tuple[str, str]:
    """Of a storage account: who, where a token says it; a key or a signed address tells nobody apart."""
    identity = row.get("identity")
    identity = identity if isinstance(identity, dict) else {}
    requester = identity.get("requester")
    requester = requester if isinstance(requester, dict) else {}
    kind = name(identity, "type") or name(row, "authenticationType")
    who = name(requester, "upn", "objectId", "appId") or name(
        row, "requesterUpn", "requesterObjectId", "requesterAppId"
    )
    return who or kind, kind


_WHO = {
    "activitylogs": _caller,
    "signinlogs": _signed_in,
    "auditlogs": _initiator,
    "riskdetection": _signed_in,
    "storagelogs": _requester,
}


def _outcome(row: Mapping[str, Any], service: str) -> tuple[Literal["allowed", "refused", "failed"], str]:
    if service == "riskdetection":
        return "allowed", ""
    if service == "storagelogs":
        code = count(row.get("statusCode"), "statusCode")
        return outcome_of_status(code), name(row, "statusText") if code >= 400 else ""
    if service == "signinlogs":
        code_text = name(row, "resultType")
        return ("allowed", "") if code_text in ("", "0", "Success") else ("refused", code_text)
    result = (name(row, "result") or name(row, "resultType", "activityStatusValue")).lower()
    if not result.startswith("fail"):
        return "allowed", ""
    reason = name(row, "resultSignature", "activitySubstatusValue", "resultReason", "resultDescription")
    return "refused" if _REFUSED.search(reason) else "failed", "" if reason == "None" else reason


def _provider(resource_id: str, row: Mapping[str, Any]) -> str:
    """`Microsoft.Compute`, from the resource, else from the operation."""
    value = name(row, "resourceProviderValue", "loggedByService")
    match = _PROVIDER.search(resource_id)
    return value or (match[1] if match else "")


def _address(row: Mapping[str, Any]) -> str:
    address = name(row, "callerIpAddress", "ipAddress", "iPAddress")
    by = row.get("initiatedBy")
    user = by.get("user") if isinstance(by, dict) else None
    if not address and isinstance(user, dict):
        address = name(user, "ipAddress")
    match = _PORT.fullmatch(address)
    return match[1] if match else address


def _resource(row: Mapping[str, Any], service: str, resource_id: str, tenant: str) -> str:
    if service == "activitylogs":
        return resource_id
    if service == "storagelogs":
        if uri := name(row, "uri"):
            return uri.partition("?")[0]
        account, _, key = name(row, "objectKey").lstrip("/").partition("/")
        kind = name(row, "serviceType") or "blob"
        return f"https://{account}.{kind}.core.windows.net/{key}" if account else resource_id
    if service == "signinlogs":
        properties = row.get("properties")
        inside = properties if isinstance(properties, dict) else {}
        asked = name(inside, "resourceId") or name(row, "resourceIdentity")
        return f"/tenants/{tenant}/servicePrincipals/{asked}" if asked else ""
    targets = row.get("targetResources")
    target = targets[0] if isinstance(targets, list) and targets and isinstance(targets[0], dict) else {}
    found = name(target, "id", "displayName")
    return f"/tenants/{tenant}/{name(target, 'type') or 'objects'}/{found}" if found else ""
