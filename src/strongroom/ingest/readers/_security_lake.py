"""CloudTrail's records out of OCSF, as Amazon Security Lake writes them (its source versions 1 and 2).

What CloudTrail wrote stands in OCSF's attributes, in `api.request.data` and `api.response.data` as text, and the rest
in `unmapped` under CloudTrail's dotted names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._fields import MAX_LEVELS
from ._json import embedded
from ._values import name

__all__ = ["cloudtrail_row", "table"]

_COUNT = re.compile(r"[0-9]{1,18}(?:\.0*)?")


def table(value: Any) -> dict[str, Any]:
    """An object, also one that a Parquet map became: a list of pairs. Empty for anything else.

    >>> table([["a", "1"], ["b", "2"]]), table(None)
    ({'a': '1', 'b': '2'}, {})
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {pair[0]: pair[1] for pair in value if _is_pair(pair)}
    return {}


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)


def cloudtrail_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as CloudTrail wrote it, as far as OCSF keeps it."""
    metadata, api = table(event.get("metadata")), table(event.get("api"))
    request, response = table(api.get("request")), table(api.get("response"))
    cloud, source = table(event.get("cloud")), table(event.get("src_endpoint"))
    row: dict[str, Any] = {
        "eventName": api.get("operation"),
        "eventSource": table(api.get("service")).get("name"),
        "eventTime": event.get("time") if event.get("time") is not None else event.get("time_dt"),
        "eventID": metadata.get("uid"),
        "eventVersion": table(metadata.get("product")).get("version"),
        "eventType": metadata.get("event_code"),
        "apiVersion": api.get("version"),
        "requestID": request.get("uid"),
        "awsRegion": cloud.get("region"),
        "sourceIPAddress": source.get("ip") or source.get("domain"),
        "vpcEndpointId": source.get("uid"),
        "userAgent": table(event.get("http_request")).get("user_agent"),
        "errorCode": response.get("error"),
        "errorMessage": response.get("message"),
        "recipientAccountId": name(table(cloud.get("account")), "uid") or name(cloud, "account_uid"),
        "userIdentity": _identity(table(event.get("actor"))),
        "requestParameters": embedded(request.get("data")),
        "responseElements": embedded(response.get("data")),
        "resources": _resources(event.get("resources")),
    }
    row = {key: value for key, value in row.items() if value not in (None, "", [], {})}
    for path, value in table(event.get("unmapped")).items():
        _put(row, path.split(".", MAX_LEVELS), value)
    extra = row.get("additionalEventData")
    if isinstance(extra, dict) and isinstance(sent := extra.get("bytesTransferredOut"), str):
        # Its values are texts, and this number is one with a fraction of zero.
        extra["bytesTransferredOut"] = int(sent.partition(".")[0]) if _COUNT.fullmatch(sent) else sent
    return row


def _identity(actor: Mapping[str, Any]) -> dict[str, Any]:
    user, session = table(actor.get("user")), table(actor.get("session"))
    texts = [name(user, key) for key in ("uid", "uuid")]
    arn = next((text for text in texts if text.startswith("arn:")), "")
    attributes = {
        "mfaAuthenticated": session.get("is_mfa", session.get("mfa")),
        "creationDate": session.get("created_time_dt"),
    }
    context = {
        "attributes": {key: value for key, value in attributes.items() if value is not None},
        "sessionIssuer": {"arn": session.get("issuer")} if session.get("issuer") else None,
    }
    found = {
        "type": user.get("type"),
        "arn": arn,
        "principalId": name(user, "uid_alt") or next((text for text in texts if text and text != arn), ""),
        "accountId": name(table(user.get("account")), "uid") or name(user, "account_uid"),
        "accessKeyId": user.get("credential_uid"),
        "userName": user.get("name"),
        "invokedBy": actor.get("invoked_by"),
        "identityProvider": table(actor.get("idp")).get("name"),
        "sessionContext": {key: value for key, value in context.items() if value},
    }
    return {key: value for key, value in found.items() if value not in (None, "", {})}


def _resources(listed: Any) -> list[dict[str, Any]]:
    found = []
    for resource in map(table, listed if isinstance(listed, list) else ()):
        one = {"ARN": name(resource, "uid", "name"), "type": resource.get("type")}
        one["accountId"] = name(table(resource.get("owner")), "account_uid") or name(resource, "account_uid")
        found.append({key: value for key, value in one.items() if value})
    return found


def _put(row: dict[str, Any], path: list[str], value: Any) -> None:
    """Puts a value under a dotted name, where nothing else stands: OCSF's own attributes count."""
    for key in path[:-1]:
        inner = row.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        row = inner
    if isinstance(value, dict) and isinstance(row.get(path[-1]), dict):
        for key, inner in value.items():
            _put(row[path[-1]], [key], inner)
    else:
        row.setdefault(path[-1], embedded(value))
