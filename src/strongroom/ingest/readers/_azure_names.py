"""Azure's two spellings of one record, and the names that public rules use.

Diagnostic settings write `{"operationName": …, "properties": {"userAgent": …}}`; Log Analytics has a column for each,
`OperationName` and `UserAgent`. `united` brings both into one shape, and `named` gives each field the names of both.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ._fields import CUT, MAX_FIELDS, MAX_VALUE, SEPARATOR, flat, mark_cut
from ._json import embedded

__all__ = ["named", "opened", "united"]

_BARE = ("userAgent", "conditionalAccessStatus", "targetResources.type", "category")
"""Public rules ask for these, which stand in `properties`, without it."""
# By service: a name that public rules use, and what has it. Only where both surely mean the same.
_ALIASES: dict[str, dict[str, str]] = {
    "auditlogs": {
        "properties.message": "activityDisplayName",
        "ActivityType": "activityDisplayName",
        "activityType": "activityDisplayName",
        "Status": "result",
        "properties.result": "result",
        "properties.targetResources": "targetResources",
        "TargetResources.ModifiedProperties.DisplayName": "targetResources.modifiedProperties.displayName",
        "TargetResources.ModifiedProperties.NewValue": "targetResources.modifiedProperties.newValue",
    },
    "signinlogs": {
        "Resultdescription": "resultDescription",
        "DeviceDetail.trusttype": "deviceDetail.trustType",
        "ClientApp": "clientAppUsed",
    },
    "activitylogs": {
        "OperationNameValue": "operationName",
        "CategoryValue": "category",
        "ActivityStatusValue": "resultType",
        "operationName": "operationNameValue",
        "category": "categoryValue",
    },
}
_CONSENT = "ConsentContext.IsAdminConsent"


def opened(record: dict[str, Any]) -> dict[str, Any]:
    """A record in which objects are objects where an export wrote them as text, also one level below `properties`.

    Whether something is a secret shows in the names that such a text hides.
    """
    found = {key: embedded(value) for key, value in record.items()}
    for key in ("properties", "Properties"):
        if isinstance(inside := found.get(key), dict):
            found[key] = {name: embedded(value) for name, value in inside.items()}
    return found


def united(record: dict[str, Any]) -> dict[str, Any]:
    """All fields on one level, named as diagnostic settings name them: `properties` and columns are opened.

    >>> united({"OperationName": "x", "Properties": {"a": 1}})
    {'a': 1, 'operationName': 'x', 'properties': {'a': 1}}
    """
    own = {_small(key): value for key, value in record.items()}
    properties = own.get("properties")
    inside = properties if isinstance(properties, dict) else {}
    found = {_small(key): value for key, value in inside.items()} | own
    # A directory's audit log calls itself so in `category`, and the activity's category is inside.
    if isinstance(inside.get("category"), str) and own.get("category") == "AuditLogs":
        found["category"] = inside["category"]
    return found


def named(
    record: dict[str, Any], row: dict[str, Any], service: str, without: Collection[str], secrets: bool
) -> dict[str, str]:
    """The fields of a record by its own names, by those of the other spelling, and by those of public rules.

    `row`: what `united` made of it.
    """
    found = flat(record, without, secrets=secrets)
    small = flat({key: value for key, value in row.items() if key != "properties"}, secrets=secrets)
    for field, value in small.items():
        if field == CUT:
            for what in value.split(","):
                mark_cut(found, "fields" if what == "fields" else "values")
        elif (large := _large(field)) not in without and large not in found:
            if len(found) < MAX_FIELDS:
                found[large] = value
            else:
                mark_cut(found, "fields")
    wanted = {name: name for name in _BARE} | _ALIASES.get(service, {})
    for alias, field in wanted.items():
        if field in small and alias not in without:
            found.setdefault(alias, small[field])
    if service == "signinlogs":
        succeeded = str(row.get("resultType", "")) == "0"
        word = "Success" if succeeded else "Failure"
        found["Status"] = SEPARATOR.join(filter(None, (found.get("Status", "")[: MAX_VALUE - 10], word)))
        if row.get("networkLocationDetails") == []:
            found["NetworkLocationDetails"] = "[]"
    elif service == "auditlogs":
        found |= _details(row)
        if (category := small.get("category")) and category != found.get("category"):
            found["category"] = SEPARATOR.join(filter(None, (found.get("category"), category)))[:MAX_VALUE]
    return found


def _details(row: dict[str, Any]) -> dict[str, str]:
    """Two facts of a directory's audit log that stand in lists of names and values."""
    found: dict[str, str] = {}
    for one in _objects(row.get("additionalDetails")):
        if one.get("key") == "Additional Info" and isinstance(value := one.get("value"), str):
            found |= flat({"additionalDetails.additionalInfo": value})
    for target in _objects(row.get("targetResources")):
        for one in _objects(target.get("modifiedProperties")):
            if one.get("displayName") == _CONSENT and isinstance(value := one.get("newValue"), str):
                found |= flat({_CONSENT: value.strip('"').lower()[:16]})
    return found


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _small(key: str) -> str:
    return key[:1].lower() + key[1:]


def _large(key: str) -> str:
    return key[:1].upper() + key[1:]
