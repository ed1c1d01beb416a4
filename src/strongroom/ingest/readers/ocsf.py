"""OCSF events: JSON, and Amazon Security Lake's Parquet. CloudTrail's come back under CloudTrail's own names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, local_name, outcome_of, outcome_of_status, record_id
from ._fields import MAX_VALUE, flat
from ._json import load_object
from ._rows import each
from ._secrets import may_hold_secrets
from ._security_lake import cloudtrail_row, table
from ._time import microseconds
from ._values import count, name
from .cloudtrail import read_event

__all__ = ["OcsfReader"]

_KEYS = (b'"class_uid"', b'"metadata"', b'"actor"', b'"api"', b'"time"', b'"src_endpoint"')
_CATEGORIES = frozenset({3, 6})
"""Identity and access management, application activity."""
_FILES, _AUTHENTICATION = 1001, 3002
"""File System Activity; Authentication, where `user` is who signs in."""
_UNCLEAN = re.compile(r"[^a-z0-9]+")
_RESERVED = "strongroom"
"""Only the ledger's reader gives events of this product: no record of another log can claim to be the ledger's."""


class OcsfReader:
    """Reads OCSF's events about access."""

    name = "ocsf"
    title = "OCSF events, Amazon Security Lake"
    reference = "https://schema.ocsf.io/1.5.0/classes/api_activity"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """90 for an event of any class."""
        metadata = record.get("metadata")
        versioned = isinstance(metadata, dict) and "product" in metadata and "version" in metadata
        return 90 if versioned and isinstance(record.get("class_uid"), int) and "time" in record else 0

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access of an event; none of classes that are about no access. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        return each([record], lambda row: _read(row, may_hold_secrets(raw)))


def _read(row: dict[str, Any], secrets: bool) -> Iterator[LoggedAccess]:
    class_uid = row.get("class_uid")
    if not isinstance(class_uid, int) or row.get("time", row.get("time_dt")) is None:
        raise RecordError("required field missing", "no class_uid or no time")
    if class_uid // 1000 not in _CATEGORIES and class_uid != _FILES:
        return
    product = table(table(row.get("metadata")).get("product"))
    if name(product, "name").lower() == "cloudtrail":
        for event in read_event(cloudtrail_row(row), secrets):
            # The answer of a login that failed may be left out; then only OCSF's own status says so.
            if event.outcome == "allowed" and _failed(row):
                event.outcome = "refused" if class_uid == _AUTHENTICATION else "failed"
            yield event
        return
    actor, api = table(row.get("actor")), table(row.get("api"))
    user, session = table(actor.get("user")), table(actor.get("session"))
    request, cloud = table(row.get("http_request")), table(row.get("cloud"))
    provider = name(table(api.get("service")), "name")
    operation = name(api, "operation") or name(row, "activity_name") or str(row.get("activity_id", ""))
    outcome, reason = _outcome(row, class_uid, table(api.get("response")))
    made_by, service = _slug(name(product, "vendor_name") or name(product, "name")), _slug(name(product, "name"))
    time, uid = _time(row), name(table(row.get("metadata")), "uid")
    principal, resource = _principal(row, class_uid, actor, user), _resource(row, made_by)
    address, agent = name(table(row.get("src_endpoint")), "ip", "domain"), name(request, "user_agent")
    host = name(table(row.get("device")), "hostname", "name")
    if class_uid == _FILES:  # elsewhere `device` may be the laptop from which somebody signs in to a directory
        principal = local_name(principal, host)
    facts = (class_uid, principal, provider, operation, outcome, reason, resource, address, agent)
    # Some products number their events anew each day.
    own = f"{made_by}/{service}/{time}/{uid}" if uid else ""
    yield finished_access(
        LoggedAccess(
            time=time,
            principal=principal,
            product=made_by,
            service=service,
            action=f"{provider or name(row, 'class_name') or class_uid}:{operation}",
            provider=provider,
            operation=operation,
            outcome=outcome,
            reason=reason,
            id=record_id(own, *facts, api.get("request"), row.get("resources")),
            principal_kind=name(user, "type"),
            credential=name(user, "credential_uid") or name(session, "credential_uid"),
            session=name(session, "uid"),
            organization=name(table(cloud.get("account")), "uid") or name(cloud, "account_uid") or host,
            client_address=address,
            user_agent=agent,
            region=name(cloud, "region"),
            resource=resource,
            bytes=count(table(row.get("traffic")).get("bytes_out"), "bytes_out"),
            fields=flat(row | {"unmapped": table(row.get("unmapped"))}, secrets=secrets),
        )
    )


def _slug(text: str) -> str:
    """A name as rules write it: `GitHub Audit Log` is `github_audit_log`."""
    made = _UNCLEAN.sub("_", text.lower()[:200]).strip("_")
    return "ocsf" if not made or _RESERVED in made else made


def _time(row: Mapping[str, Any]) -> int:
    return microseconds(row["time"] if row.get("time") is not None else row["time_dt"])


def _principal(row: Mapping[str, Any], class_uid: int, actor: Mapping[str, Any], user: Mapping[str, Any]) -> str:
    if class_uid == _AUTHENTICATION and (who := _named(table(row.get("user")))):
        return who
    return (
        _named(user)
        or name(actor, "invoked_by", "app_name")
        or name(table(actor.get("process")), "name")
        or _named(table(row.get("user")))
        or "unknown"
    )


def _named(user: Mapping[str, Any]) -> str:
    uid = name(user, "uid")
    return uid if uid.startswith("arn:") else name(user, "name", "email_addr") or uid


def _outcome(
    row: Mapping[str, Any], class_uid: int, response: Mapping[str, Any]
) -> tuple[Literal["allowed", "refused", "failed"], str]:
    error, code = name(response, "error"), response.get("code")
    if row.get("action_id") == 2 or row.get("disposition_id") == 2:  # denied, blocked
        return "refused", error or name(row, "status_code")
    if error:
        return outcome_of(error), error
    if isinstance(code, int) and code >= 400:
        return outcome_of_status(code), str(code)
    if _failed(row):
        reason = name(row, "status_code", "status_detail")
        refused = class_uid == _AUTHENTICATION or outcome_of(reason or "x") == "refused"
        return "refused" if refused else "failed", reason
    return "allowed", ""


def _failed(row: Mapping[str, Any]) -> bool:
    return row.get("status_id") == 2 or name(row, "status").lower().startswith("fail")


def _resource(row: Mapping[str, Any], made_by: str) -> str:
    """The file, or the first resource: an ARN or an address as it is, else under the product that names it."""
    path = name(table(row.get("file")), "path")[:MAX_VALUE]
    if path.startswith("/"):
        return "/" + posixpath.normpath(path).lstrip("/")
    resources = row.get("resources")
    first = table(resources[0]) if isinstance(resources, list) and resources else {}
    found = name(first, "uid") if name(first, "uid").startswith("arn:") else name(first, "name", "uid")
    if not found or "://" in found or found.startswith(("arn:", "/subscriptions/", "projects/")):
        return found
    return f"//{made_by}/{found.lstrip('/')}"
