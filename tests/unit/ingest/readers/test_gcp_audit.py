"""Google Cloud Audit Logs, and Google Workspace."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.readers.gcp_audit import GcpAuditReader
from strongroom.ingest.readers.gworkspace import GoogleWorkspaceReader
from strongroom.store import Store

READER = GcpAuditReader()
PAYLOAD: dict[str, Any] = {
    "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
    "serviceName": "storage.googleapis.com",
    "methodName": "storage.objects.get",
    "resourceName": "projects/_/buckets/b/objects/k",
    "authenticationInfo": {"principalEmail": "ann@example.org", "serviceAccountKeyName": "//iam/keys/1"},
    "authorizationInfo": [{"granted": True, "permission": "p1"}, {"granted": False, "permission": "p2"}],
    "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "gcloud"},
    "status": {},
}
RECORD: dict[str, Any] = {
    "insertId": "i1",
    "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Fdata_access",
    "timestamp": "2026-11-01T09:30:00.123456789Z",
    "resource": {"type": "gcs_bucket", "labels": {"project_id": "acme", "location": "eu"}},
    "httpRequest": {"responseSize": "12"},
}


def read_all(record: Any) -> list[LoggedAccess]:
    return list(READER.read(json.dumps(record).encode()))


def read(payload: dict[str, Any] | None = None, **changes: Any) -> LoggedAccess:
    (found,) = read_all(RECORD | {"protoPayload": PAYLOAD | (payload or {})} | changes)
    return found


def test_an_entry_arrives_whole() -> None:
    access = read()
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_123_456,
        principal="ann@example.org",
        product="gcp",
        service="gcp.audit",
        action="storage:storage.objects.get",
        provider="storage.googleapis.com",
        operation="storage.objects.get",
        id=access.id,
        credential="//iam/keys/1",
        organization="acme",
        client_address="203.0.113.7",
        user_agent="gcloud",
        region="eu",
        resource="projects/_/buckets/b/objects/k",
        bytes=12,
    )
    assert fields["data.protoPayload.authorizationInfo.permission"] == "p1\x1fp2"
    assert fields["protoPayload.authorizationInfo.granted"] == "true\x1ffalse"
    assert "protoPayload.methodName" not in fields, "it has a column"


def test_an_id_that_is_used_again_hides_nothing() -> None:
    assert read().id.startswith("projects/acme/logs/cloudaudit.googleapis.com%2Fdata_access/2026-11-01T09:30:00.12345")
    others = [{"methodName": "x"}, {"resourceName": "projects/x"}, {"request": {"a": 1}}, {"authenticationInfo": {}}]
    assert len({read().id, *(read(payload).id for payload in others)}) == 5
    assert read({"request": None}).id == read().id


def test_names_that_a_cluster_gives_bear_its_name() -> None:
    labels = {"project_id": "acme", "cluster_name": "gpu"}
    who, account = {"principalEmail": "system:node:n1"}, {"principalEmail": "ann@example.org"}
    for identity, principal in ((who, "system:node:n1@acme/gpu"), (account, "ann@example.org")):
        payload = {"serviceName": "k8s.io", "authenticationInfo": identity}
        assert read(payload, resource={"labels": labels}).principal == principal
    assert read({"authenticationInfo": who}, resource={"labels": labels}).principal == "system:node:n1"


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [(None, "allowed", ""), (0, "allowed", ""), (7, "refused", "7"), (16, "refused", "16"), (5, "failed", "5")],
)
def test_how_it_ended(code: Any, outcome: str, reason: str) -> None:
    access = read({"status": {"code": code}})
    assert (access.outcome, access.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("payload", "resource"),
    [
        (
            {"serviceName": "k8s.io", "resourceName": "core/v1/namespaces/n/pods/p"},
            "//k8s.io/core/v1/namespaces/n/pods/p",
        ),
        (
            {"resourceName": "projects/1", "metadata": {"resourceNames": ["projects/_/buckets/x"]}},
            "projects/_/buckets/x",
        ),
        ({"resourceName": "//cloudkms.googleapis.com/projects/p"}, "//cloudkms.googleapis.com/projects/p"),
        ({"resourceName": ""}, ""),
    ],
)
def test_what_it_was_done_to(payload: Any, resource: str) -> None:
    assert read(payload).resource == resource


def test_who_acted_and_where() -> None:
    assert read({"authenticationInfo": {"principalSubject": "principal://x"}}).principal == "principal://x"
    assert read({"authenticationInfo": {}}).principal == "storage.googleapis.com"
    assert read(resource={}, logName="organizations/12/logs/x").organization == "organizations/12"


def test_envelopes_are_opened_and_other_entries_passed_over() -> None:
    row = RECORD | {"protoPayload": PAYLOAD}
    message = {"data": base64.b64encode(json.dumps(row).encode()).decode(), "messageId": "1"}
    for envelope in (
        {"entries": [row]},
        {"message": message, "subscription": "s"},
        {"receivedMessages": [{"ackId": "a", "message": message}]},
        {"data": row},
    ):
        assert READER.claims(envelope) == 95
        assert len(read_all(envelope)) == 1
    assert read_all({"textPayload": "x", "timestamp": "2026-11-01T09:30:00Z"}) == []
    assert READER.claims({"message": {"data": "not base64"}}) == 0


@pytest.mark.parametrize("lines", [False, True])
def test_an_export_is_recognised(tmp_path: Path, lines: bool) -> None:
    rows = [RECORD | {"insertId": str(i), "protoPayload": PAYLOAD} for i in range(5)]
    text = "".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows, indent=2)
    (tmp_path / "log.json").write_text(text)
    report = ingest([str(tmp_path)], Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0)
    assert (report.sources[0].format, report.new) == ("gcp-audit", 5)


@pytest.mark.parametrize(
    "payload",
    [
        {
            "serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.secrets.create",
            "request": {"data": {"k": "hunter2222"}},
        },
        {
            "serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.serviceaccounts.token.create",
            "response": "hunter2222",
        },
        {"response": {"privateKeyData": "hunter2222"}},
        {"request": {"accessToken": "hunter2222", "note": "password=hunter2222"}},
    ],
)
def test_secrets_never_reach_a_field(payload: Any) -> None:
    row = RECORD | {"protoPayload": PAYLOAD | payload}
    wrapped = {"message": {"data": base64.b64encode(json.dumps(row).encode()).decode()}}
    for record in (row, wrapped):
        (access,) = read_all(record)
        assert "hunter2222" not in json.dumps(access.fields)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (RECORD | {"protoPayload": PAYLOAD | {"methodName": None}}, "required field missing"),
        (RECORD | {"protoPayload": PAYLOAD, "timestamp": None}, "required field missing"),
        (RECORD | {"protoPayload": PAYLOAD | {"authenticationInfo": []}}, "wrong type"),
        ({"message": {"data": "%"}}, "wrong type"),
        ({"message": {"data": "eA=="}}, "not JSON"),
    ],
)
def test_a_bad_entry_is_refused(record: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_all(record)
    assert caught.value.reason == reason


def event(name: str, *parameters: Any) -> dict[str, Any]:
    return {"eventName": name, "eventType": "T", "parameter": list(parameters)}


def test_workspace_in_cloud_logging_gives_one_event_for_each() -> None:
    events = [
        event("CHANGE_APPLICATION_SETTING", {"name": "SETTING_NAME", "value": "ContextAwareAccess"}),
        event("ALLOW_STRONG_AUTHENTICATION", {"name": "NEW_VALUE", "value": "false"}),
    ]
    payload = PAYLOAD | {"serviceName": "admin.googleapis.com", "metadata": {"@type": "x", "event": events}}
    first, second = read_all(RECORD | {"protoPayload": payload})
    assert (first.service, first.operation) == ("google_workspace.admin", "CHANGE_APPLICATION_SETTING")
    assert first.fields["setting_name"] == "ContextAwareAccess"
    assert second.fields["new_value"] == "false"
    assert "setting_name" not in second.fields
    assert first.id != second.id
    payload |= {"serviceName": "login.googleapis.com", "metadata": {"event": [event("login_failure")]}}
    (login,) = read_all(RECORD | {"protoPayload": payload})
    assert (login.service, login.operation, login.outcome) == ("google_workspace.login", "login_failure", "refused")
    assert login.provider == "login.googleapis.com"


ACTIVITY: dict[str, Any] = {
    "kind": "admin#reports#activity",
    "id": {"time": "2026-11-01T09:30:00Z", "uniqueQualifier": "1", "applicationName": "drive", "customerId": "C1"},
    "actor": {"callerType": "USER", "email": "ann@example.org"},
    "ipAddress": "203.0.113.7",
    "events": [
        {"type": "access", "name": "download", "parameters": [{"name": "doc_id", "value": "1abc"}]},
        {"type": "access", "name": "view", "parameters": [{"name": "visibility", "multiValue": ["a", "b"]}]},
    ],
}


def reports(record: Any) -> list[LoggedAccess]:
    return list(GoogleWorkspaceReader().read(json.dumps(record).encode()))


def test_activities_of_the_reports_api() -> None:
    first, second = reports(ACTIVITY)
    assert (first.service, first.action, first.provider) == (
        *("google_workspace.drive", "drive:download"),
        "drive.googleapis.com",
    )
    assert (first.principal, first.resource) == ("ann@example.org", "//drive.googleapis.com/1abc")
    assert (first.fields["eventName"], second.fields["visibility"]) == ("download", "a\x1fb")
    assert first.id != second.id
    (split,) = reports(ACTIVITY | {"events": ACTIVITY["events"][0]})
    assert split.id == first.id
    (other,) = reports(ACTIVITY | {"events": ACTIVITY["events"][0], "actor": {"email": "bob@example.org"}})
    assert other.id != first.id
    assert len(reports({"kind": "admin#reports#activities", "items": [ACTIVITY, ACTIVITY]})) == 4


def test_a_failed_login_is_refused_and_a_bad_activity_too() -> None:
    (login,) = reports(
        ACTIVITY | {"id": ACTIVITY["id"] | {"applicationName": "login"}, "events": [{"name": "login_failure"}]}
    )
    assert (login.outcome, login.operation) == ("refused", "login_failure")
    assert "eventName" not in login.fields, "it has a column"
    for changes in ({"id": {}}, {"events": [{"type": "x"}]}):
        with pytest.raises(RecordError) as caught:
            reports(ACTIVITY | changes)
        assert caught.value.reason == "required field missing"
