"""Azure's logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.readers.azure import AzureReader
from strongroom.store import Store

READER = AzureReader()
TIME = "2026-11-01T09:30:00.1234567Z"
SUBSCRIPTION = "/SUBSCRIPTIONS/S1/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.STORAGE/STORAGEACCOUNTS/A"
DIRECTORY = "/tenants/t1/providers/Microsoft.aadiam"
UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
ACTIVITY: dict[str, Any] = {
    "time": TIME,
    "category": "Administrative",
    "operationName": "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
    "resourceId": SUBSCRIPTION,
    "resultType": "Success",
    "resultSignature": "Succeeded.",
    "callerIpAddress": "203.0.113.7",
    "location": "global",
    "identity": {"claims": {UPN: "ann@example.org"}, "authorization": {"evidence": {"principalType": "User"}}},
}
SIGNIN: dict[str, Any] = {
    "time": TIME,
    "category": "NonInteractiveUserSignInLogs",
    "operationName": "Sign-in activity",
    "resourceId": DIRECTORY,
    "tenantId": "t1",
    "resultType": "0",
    "callerIpAddress": "203.0.113.7",
    "identity": "Ann",
    "properties": {
        "id": "s1",
        "userPrincipalName": "ann@example.org",
        "userType": "Member",
        "userAgent": "azurehound/1",
        "resourceId": "r1",
        "status": {"errorCode": 0, "additionalDetails": "MFA Denied"},
        "authenticationRequirement": "singleFactorAuthentication",
        "conditionalAccessStatus": "success",
        "deviceDetail": {"deviceId": "", "isCompliant": False, "trustType": "x"},
        "networkLocationDetails": [],
    },
}
AUDIT: dict[str, Any] = {
    "time": TIME,
    "category": "AuditLogs",
    "operationName": "Consent to application",
    "resourceId": DIRECTORY,
    "tenantId": "t1",
    "properties": {
        "id": "Directory_1",
        "activityDisplayName": "Consent to application",
        "category": "ApplicationManagement",
        "loggedByService": "Core Directory",
        "result": "success",
        "initiatedBy": {"user": {"userPrincipalName": "ann@example.org", "ipAddress": "203.0.113.7"}},
        "additionalDetails": [{"key": "Additional Info", "value": "Successfully recovered"}],
        "targetResources": [
            {
                "id": "o1",
                "type": "ServicePrincipal",
                "modifiedProperties": [{"displayName": "ConsentContext.IsAdminConsent", "newValue": '"False"'}],
            }
        ],
    },
}
STORAGE: dict[str, Any] = {
    "time": TIME,
    "category": "StorageRead",
    "operationName": "GetBlob",
    "resourceId": SUBSCRIPTION + "/blobServices/default",
    "statusCode": 200,
    "uri": "https://a.blob.core.windows.net/c/k?sv=1&sig=abcdefgh",
    "callerIpAddress": "203.0.113.7:41",
    "identity": {"type": "OAuth", "requester": {"upn": "ann@example.org"}},
    "properties": {"responseBodySize": 12, "userAgentHeader": "azcopy"},
}


def read_all(record: Any) -> list[LoggedAccess]:
    return list(READER.read(json.dumps(record).encode()))


def read(record: dict[str, Any], properties: Any = None, **changes: Any) -> LoggedAccess:
    inside = {"properties": record["properties"] | properties} if properties else {}
    (found,) = read_all(record | inside | changes)
    return found


def test_the_activity_log_arrives_whole() -> None:
    access = read(ACTIVITY)
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_123_456,
        principal="ann@example.org",
        product="azure",
        service="activitylogs",
        action="activitylogs:MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
        provider="MICROSOFT.STORAGE",
        operation="MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
        principal_kind="User",
        organization="s1",
        client_address="203.0.113.7",
        region="global",
        resource=SUBSCRIPTION,
    )
    assert fields["CategoryValue"] == "Administrative"
    assert fields["ResourceId"] == fields["resourceId"] == SUBSCRIPTION
    assert not {"operationName", "OperationNameValue"} & fields.keys(), "they have a column"


def test_a_sign_in_has_the_names_of_both_exports() -> None:
    access = read(SIGNIN)
    assert (access.service, access.principal, access.principal_kind) == ("signinlogs", "ann@example.org", "Member")
    assert (access.user_agent, access.organization) == ("azurehound/1", "t1")
    assert access.resource == "/tenants/t1/servicePrincipals/r1"
    fields = access.fields
    assert fields["ResultType"] == fields["resultType"] == "0"
    assert fields["AuthenticationRequirement"] == fields["properties.authenticationRequirement"]
    assert fields["conditionalAccessStatus"] == "success"
    assert (fields["DeviceDetail.isCompliant"], fields["DeviceDetail.deviceId"]) == ("false", "")
    assert fields["DeviceDetail.trusttype"] == "x"
    assert fields["NetworkLocationDetails"] == "[]"
    text, word = fields["Status"].split("\x1f")
    assert "MFA Denied" in text
    assert word == "Success"


def test_a_row_of_a_table_reads_as_the_export_does() -> None:
    row = {key[:1].upper() + key[1:]: value for key, value in SIGNIN["properties"].items()}
    row |= {"TimeGenerated": TIME, "Type": "AADNonInteractiveUserSignInLogs", "OperationName": "Sign-in activity"}
    row |= {"ResultType": "50057", "IPAddress": "203.0.113.7", "AADTenantId": "t1", "ResourceIdentity": "r1"}
    row |= {"DeviceDetail": json.dumps(row["DeviceDetail"]), "NetworkLocationDetails": "[]"}
    del row["ResourceId"]
    table, export = read(row), read(SIGNIN, resultType="50057")
    assert (table.outcome, table.reason) == (export.outcome, export.reason) == ("refused", "50057")
    for column in ("principal", "client_address", "user_agent", "service", "resource", "operation", "id"):
        assert getattr(table, column) == getattr(export, column)
    for field in ("AuthenticationRequirement", "DeviceDetail.isCompliant", "NetworkLocationDetails"):
        assert table.fields[field] == export.fields[field]


def test_the_directorys_audit_log() -> None:
    access = read(AUDIT)
    assert (access.service, access.provider, access.principal) == ("auditlogs", "Core Directory", "ann@example.org")
    assert (access.client_address, access.resource) == ("203.0.113.7", "/tenants/t1/ServicePrincipal/o1")
    fields = access.fields
    assert fields["properties.message"] == fields["ActivityDisplayName"] == "Consent to application"
    assert (fields["Status"], fields["Category"]) == ("success", "ApplicationManagement")
    assert fields["category"].split("\x1f") == ["AuditLogs", "ApplicationManagement"]
    assert fields["ConsentContext.IsAdminConsent"] == "false"
    assert fields["TargetResources.ModifiedProperties.DisplayName"] == "ConsentContext.IsAdminConsent"
    assert fields["additionalDetails.additionalInfo"] == "Successfully recovered"
    older = read(AUDIT, category="Policy")
    assert older.service == "auditlogs"


def test_a_risk_detection_with_an_american_time() -> None:
    properties = {"id": "r", "riskEventType": "passwordSpray", "userPrincipalName": "ann", "activityDateTime": TIME}
    row = {"category": "UserRiskEvents", "operationName": "User Risk Detection", "time": "11/1/2026 9:30:00 AM"}
    access = read(row | {"resourceId": DIRECTORY, "tenantId": "t1", "properties": properties})
    assert (access.service, access.operation, access.time) == ("riskdetection", "passwordSpray", 1_793_525_400_123_456)


def test_reads_of_blobs_have_bytes_and_no_signature() -> None:
    access = read(STORAGE)
    assert (access.service, access.bytes, access.client_address) == ("storagelogs", 12, "203.0.113.7")
    assert (access.resource, access.user_agent) == ("https://a.blob.core.windows.net/c/k", "azcopy")
    assert "abcdefgh" not in json.dumps(access.fields)
    shared = read(
        STORAGE, identity={"type": "SAS", "tokenHash": "x"}, statusCode=403, statusText="AuthorizationFailure"
    )
    assert (shared.principal, shared.outcome, shared.reason) == ("SAS", "refused", "AuthorizationFailure")
    named = read(STORAGE, {"objectKey": "/a/c/k"}, uri=None)
    assert named.resource == access.resource


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"resultType": "Start", "resultSignature": "Started."}, "allowed"),
        ({"resultType": "Failure", "resultSignature": "Failed.Forbidden"}, "refused"),
        ({"resultType": "Failed", "resultSignature": "Failed.NotFound"}, "failed"),
    ],
)
def test_how_it_ended(changes: Any, outcome: str) -> None:
    assert read(ACTIVITY, **changes).outcome == outcome


def test_envelopes_are_opened_and_other_categories_passed_over(tmp_path: Path) -> None:
    assert len(read_all({"records": [ACTIVITY, SIGNIN, ACTIVITY | {"category": "ResourceHealth"}]})) == 2
    text = json.dumps({"records": [ACTIVITY | {"correlationId": str(i)} for i in range(5)]})
    (tmp_path / "PT1H.json").write_text(text)
    report = ingest([str(tmp_path)], Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0)
    assert (report.sources[0].format, report.new) == ("azure", 5)


@pytest.mark.parametrize(
    "properties",
    [
        {"requestbody": '{"properties":{"adminPassword":"hunter2222"}}'},
        {"responseBody": {"connectionString": "hunter2222"}},
        {"note": "AccountKey=x;password=hunter2222"},
    ],
)
def test_secrets_never_reach_a_field(properties: Any) -> None:
    (access,) = read_all(ACTIVITY | {"properties": properties})
    assert "hunter2222" not in json.dumps(access.fields)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"time": TIME, "category": "AuditLogs"}, "required field missing"),
        (ACTIVITY | {"time": "yesterday"}, "time out of range"),
        (AUDIT | {"properties": AUDIT["properties"] | {"initiatedBy": "x"}}, "wrong type"),
    ],
)
def test_a_bad_record_is_refused(record: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_all(record)
    assert caught.value.reason == reason


@pytest.mark.parametrize("record", [ACTIVITY | {"properties": {"eventDataId": "d1"}}, SIGNIN, AUDIT])
def test_an_id_that_is_used_again_hides_nothing(record: dict[str, Any]) -> None:
    access = read(record)
    assert "/" in access.id
    others = [{"operationName": "x"}, {"callerIpAddress": "198.51.100.9"}]
    who = [
        {"caller": "bob@example.org", "userPrincipalName": "bob@example.org", "initiatedBy": {"app": {"appId": "a"}}}
    ]
    assert len({access.id, *(read(record, **changes).id for changes in others), read(record, who[0]).id}) == 4


def test_fields_that_are_not_kept_are_told() -> None:
    assert read(SIGNIN, {str(i): "x" for i in range(600)}).fields["strongroom.cut"] == "fields"
    assert "strongroom.cut" not in read(SIGNIN).fields


def test_fields_that_two_values_make_are_bounded() -> None:
    status = read(SIGNIN, Status="x" * 5000).fields["Status"]
    assert len(status) <= 4096
    assert status.endswith("\x1fSuccess"), "what rules ask for stays"


def test_consent_holds_no_nul() -> None:
    changed = [{"displayName": "ConsentContext.IsAdminConsent", "newValue": '"tr\0ue"'}]
    targets = [{"id": "o1", "type": "ServicePrincipal", "modifiedProperties": changed}]
    assert read(AUDIT, {"targetResources": targets}).fields["ConsentContext.IsAdminConsent"] == "tr ue"
