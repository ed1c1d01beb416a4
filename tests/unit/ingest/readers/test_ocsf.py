"""OCSF, and CloudTrail through Amazon Security Lake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.readers.cloudtrail import CloudTrailReader
from strongroom.ingest.readers.ocsf import OcsfReader
from strongroom.store import Store

READER = OcsfReader()
TRAIL: dict[str, Any] = {
    "class_uid": 6003,
    "time": 1793525400000,
    "metadata": {
        "version": "1.1.0",
        "uid": "e1",
        "product": {"name": "CloudTrail", "vendor_name": "AWS", "version": "1"},
    },
    "actor": {
        "user": {
            "type": "AssumedRole",
            "uid": "arn:aws:sts::1:assumed-role/R/ann",
            "uid_alt": "AROA1:ann",
            "credential_uid": "ASIA1",
            "account": {"uid": "1"},
        },
        "session": {"issuer": "arn:aws:iam::1:role/R", "is_mfa": False},
        "invoked_by": None,
    },
    "api": {
        "operation": "GetObject",
        "service": {"name": "s3.amazonaws.com"},
        "request": {"uid": "r1", "data": '{"bucketName":"b","key":"k"}'},
        "response": {"error": "AccessDenied", "message": "no", "data": None},
    },
    "cloud": {"region": "eu-west-1"},
    "src_endpoint": {"ip": "203.0.113.7"},
    "http_request": {"user_agent": "aws-cli"},
    "resources": [{"uid": "arn:aws:s3:::b", "type": "AWS::S3::Bucket", "owner": {"account": {"uid": "1"}}}],
    "unmapped": {
        "recipientAccountId": "2",
        "additionalEventData.bytesTransferredOut": "12",
        "userIdentity.sessionContext.sessionIssuer.userName": "R",
        "eventName": "Forged",
    },
}
ORIGINAL: dict[str, Any] = {
    "eventVersion": "1",
    "eventTime": "2026-11-01T09:30:00Z",
    "eventID": "e1",
    "eventName": "GetObject",
    "eventSource": "s3.amazonaws.com",
    "errorCode": "AccessDenied",
    "errorMessage": "no",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "aws-cli",
    "recipientAccountId": "2",
    "requestID": "r1",
    "requestParameters": {"bucketName": "b", "key": "k"},
    "additionalEventData": {"bytesTransferredOut": 12},
    "resources": [{"ARN": "arn:aws:s3:::b", "type": "AWS::S3::Bucket"}],
    "userIdentity": {
        "type": "AssumedRole",
        "arn": "arn:aws:sts::1:assumed-role/R/ann",
        "principalId": "AROA1:ann",
        "accountId": "1",
        "accessKeyId": "ASIA1",
        "sessionContext": {
            "attributes": {"mfaAuthenticated": False},
            "sessionIssuer": {"arn": "arn:aws:iam::1:role/R", "userName": "R"},
        },
    },
}
LOGIN: dict[str, Any] = {
    "class_uid": 3002,
    "class_name": "Authentication",
    "activity_name": "Logon",
    "time": 1793525400000,
    "metadata": {"version": "1.3.0", "uid": "m1", "product": {"name": "System Log", "vendor_name": "Okta, Inc."}},
    "user": {"name": "ann@example.org"},
    "actor": {"user": {"name": "-"}},
    "status_id": 1,
}


def read_all(record: Any) -> list[LoggedAccess]:
    return list(READER.read(json.dumps(record).encode()))


def read(record: dict[str, Any], **changes: Any) -> LoggedAccess:
    (found,) = read_all(record | changes)
    return found


def test_cloudtrail_comes_back_as_it_was() -> None:
    (original,) = CloudTrailReader().read(json.dumps(ORIGINAL).encode())
    access = read(TRAIL)
    texts = {name for name in original.fields if not name.endswith((".sessionContext", "userIdentity"))}
    assert texts <= access.fields.keys()
    assert {name: access.fields[name] for name in texts if "{" not in original.fields[name]} == {
        name: original.fields[name] for name in texts if "{" not in original.fields[name]
    }
    original.fields = access.fields = {}
    assert access == original


def test_a_parquet_file_of_security_lake(tmp_path: Path) -> None:
    rows = [TRAIL | {"unmapped": list(TRAIL["unmapped"].items()), "accountid": str(i)} for i in range(3)]
    rows = [row | {"metadata": TRAIL["metadata"] | {"uid": str(i)}} for i, row in enumerate(rows)]
    inner = pa.array([row["unmapped"] for row in rows], pa.map_(pa.string(), pa.string()))
    table = pa.Table.from_pylist([{key: value for key, value in row.items() if key != "unmapped"} for row in rows])
    pq.write_table(table.append_column("unmapped", inner), tmp_path / "x.gz.parquet")
    report = ingest(
        [str(tmp_path)], store := Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0
    )
    assert (report.sources[0].format, report.new, dict(report.skipped)) == ("ocsf", 3, {})
    row = store.table(store.access_events()).to_pylist()[0]
    assert (row["product"], row["service"], row["operation"], row["bytes"]) == ("aws", "cloudtrail", "GetObject", 12)
    assert (row["resource"], row["outcome"]) == ("arn:aws:s3:::b/k", "refused")
    assert dict(row["fields"])["userIdentity.sessionContext.sessionIssuer.userName"] == "R"


def test_other_products_under_their_own_names() -> None:
    access = read(LOGIN)
    assert (access.product, access.service, access.principal) == ("okta_inc", "system_log", "ann@example.org")
    assert (access.action, access.outcome) == ("Authentication:Logon", "allowed")
    github = read(
        LOGIN,
        class_uid=6003,
        api={"operation": "git.clone"},
        actor={"user": {"name": "ann", "uid": "5"}},
        resources=[{"name": "acme/dynamite", "uid": "3"}],
    )
    assert (github.principal, github.operation, github.resource) == ("ann", "git.clone", "//okta_inc/acme/dynamite")
    file = read(LOGIN, class_uid=1001, file={"path": "/tmp/../srv/m"}, device={"hostname": "gpu-7"})
    assert (file.resource, file.organization) == ("/srv/m", "gpu-7")


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"status_id": 2, "status_detail": "INVALID"}, "refused", "INVALID"),
        ({"class_uid": 6003, "status": "Failure"}, "failed", ""),
        ({"class_uid": 6003, "status_id": 2, "status_code": "AccessDenied"}, "refused", "AccessDenied"),
        ({"class_uid": 6003, "api": {"operation": "x", "response": {"code": 403}}}, "refused", "403"),
        ({"class_uid": 6003, "api": {"operation": "x", "response": {"error": "Throttled"}}}, "failed", "Throttled"),
        ({"action_id": 2}, "refused", ""),
    ],
)
def test_how_it_ended(changes: Any, outcome: str, reason: str) -> None:
    access = read(LOGIN, **changes)
    assert (access.outcome, access.reason) == (outcome, reason)


@pytest.mark.parametrize("product", [{"name": "Strongroom", "vendor_name": "Strongroom"}, {"name": "STRONGROOM!"}, {}])
def test_no_event_claims_to_be_the_ledgers(product: Any) -> None:
    access = read(LOGIN, metadata={"version": "1", "product": product})
    assert (access.product, access.service) == ("ocsf", "ocsf")


def test_other_classes_are_passed_over() -> None:
    assert read_all(LOGIN | {"class_uid": 4001}) == []
    assert read_all(LOGIN | {"class_uid": 2004}) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"class_uid": "3002"}, "required field missing"), ({"time": None}, "required field missing")],
)
def test_a_bad_event_is_refused(changes: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read(LOGIN, **changes)
    assert caught.value.reason == reason


def test_an_id_that_is_used_again_hides_nothing() -> None:
    record = LOGIN | {"metadata": LOGIN["metadata"] | {"uid": "u1"}}
    others = [{"api": {"operation": "x"}}, {"src_endpoint": {"ip": "198.51.100.9"}}, {"status_id": 2}]
    assert len({read(record).id, *(read(record, **changes).id for changes in others)}) == 4


def test_users_of_files_are_of_their_host() -> None:
    host = {"actor": {"user": {"name": "root"}}, "device": {"hostname": "gpu-7"}}
    assert read(LOGIN, class_uid=1001, user=None, **host).principal == "root@gpu-7"
    assert read(LOGIN, class_uid=3002, user=None, **host).principal == "root", "it may be the laptop of who signs in"
