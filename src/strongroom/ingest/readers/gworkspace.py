"""Google Workspace: activities as the Reports API gives them (`admin#reports#activity`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, record_id
from ._fields import flat
from ._json import load_object
from ._rows import each
from ._secrets import may_hold_secrets
from ._time import microseconds
from ._values import mapping, name
from ._workspace import parameters, workspace_outcome

__all__ = ["GoogleWorkspaceReader"]

PRODUCT = "gcp"
_KEYS = (b'"actor"', b'"uniqueQualifier"', b'"applicationName"', b'"events"')
_RESOURCES = ("doc_id", "user_email", "group_email", "app_name", "application_name", "domain_name", "org_unit_name")


class GoogleWorkspaceReader:
    """Reads the activities of Workspace's Reports API."""

    name = "gworkspace"
    title = "Google Workspace activity reports"
    reference = "https://developers.google.com/workspace/admin/reports/reference/rest/v1/activities/list"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """95 for an activity, also within a page of them."""
        return max((95 if _is_activity(row) else 0 for row in _rows(record)), default=0)

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """One access for each event of an activity. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        secrets = may_hold_secrets(raw)
        return each(_rows(record), lambda row: _read(row, secrets))


def _rows(record: dict[str, Any]) -> Iterator[Any]:
    if record.get("kind") == "admin#reports#activities" and isinstance(rows := record.get("items"), list):
        yield from rows
    else:
        yield record


def _is_activity(row: Any) -> bool:
    return isinstance(row, dict) and row.get("kind") == "admin#reports#activity" and isinstance(row.get("id"), dict)


def _read(row: dict[str, Any], secrets: bool) -> Iterator[LoggedAccess]:
    key = mapping(row.get("id"), "id")
    application, events = name(key, "applicationName"), row.get("events")
    events = [events] if isinstance(events, dict) else events  # collectors split an activity into its events
    if not application or key.get("time") is None or not isinstance(events, list):
        raise RecordError("required field missing", "no id.applicationName, no id.time or no events")
    actor = mapping(row.get("actor"), "actor")
    time, qualifier = microseconds(key["time"]), name(key, "uniqueQualifier")
    principal = name(actor, "email", "key", "profileId") or name(actor, "callerType") or "unknown"
    address, own = name(row, "ipAddress"), f"{application}/{time}/{qualifier}" if qualifier else ""
    service, provider = f"google_workspace.{application}", f"{application}.googleapis.com"
    columns = FIELD_COLUMNS.get((PRODUCT, service), {})
    for event in events:
        event = mapping(event, "events")  # noqa: PLW2901
        operation, details = name(event, "name"), parameters(event, "parameters")
        if not operation:
            raise RecordError("required field missing", "an event has no name")
        told = {"eventName": operation, "eventService": provider, "eventType": event.get("type")}
        rest = {field: value for field, value in row.items() if field != "events"}
        yield finished_access(
            LoggedAccess(
                time=time,
                principal=principal,
                product=PRODUCT,
                service=service,
                action=f"{application}:{operation}",
                provider=provider,
                operation=operation,
                outcome=workspace_outcome(operation),
                # One activity has one qualifier, and may have several events.
                id=record_id(own, principal, address, event),
                principal_kind=name(actor, "callerType"),
                organization=name(key, "customerId"),
                client_address=address,
                resource=_resource(application, details),
                fields=flat(details | told | rest, columns, secrets=secrets),
            )
        )


def _resource(application: str, details: dict[str, Any]) -> str:
    """What the event is about, under the application's name."""
    for parameter in _RESOURCES:
        value = details.get(parameter)
        if isinstance(value, str) and value:
            return f"//{application}.googleapis.com/{value}"
    return ""
