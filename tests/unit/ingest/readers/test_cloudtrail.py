"""AWS CloudTrail."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.readers._fields import CUT, MAX_FIELDS, MAX_VALUE, SEPARATOR, flat
from strongroom.ingest.readers.cloudtrail import CloudTrailReader
from strongroom.store import Store

READER = CloudTrailReader()
USER = {
    "type": "IAMUser",
    "arn": "arn:aws:iam::123456789012:user/ann",
    "accountId": "123456789012",
    "accessKeyId": "AKIAEXAMPLE",
    "userName": "ann",
}
RECORD: dict[str, Any] = {
    "eventVersion": "1.08",
    "eventTime": "2026-11-01T09:30:00Z",
    "eventID": "e1",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "awsRegion": "eu-west-1",
    "eventCategory": "Data",
    "recipientAccountId": "123456789012",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "aws-cli/2.15",
    "userIdentity": USER,
    "requestParameters": {"bucketName": "acme", "key": "m/1.safetensors"},
    "additionalEventData": {"bytesTransferredOut": 12.0},
}


def read_all(record: Any) -> list[LoggedAccess]:
    return list(READER.read(json.dumps(record).encode()))


def read(**changes: Any) -> LoggedAccess:
    (found,) = read_all({key: value for key, value in (RECORD | changes).items() if value is not ...})
    return found


def test_a_record_arrives_whole() -> None:
    access = read()
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_000_000,
        principal="arn:aws:iam::123456789012:user/ann",
        product="aws",
        service="cloudtrail",
        action="s3:GetObject",
        provider="s3.amazonaws.com",
        operation="GetObject",
        id=access.id,
        principal_kind="IAMUser",
        credential="AKIAEXAMPLE",
        organization="123456789012",
        client_address="203.0.113.7",
        user_agent="aws-cli/2.15",
        region="eu-west-1",
        resource="arn:aws:s3:::acme/m/1.safetensors",
        bytes=12,
    )
    assert fields["requestParameters.key"] == "m/1.safetensors"
    assert fields["userIdentity.userName"] == "ann"
    assert "eventName" not in fields, "it has a column"


@pytest.mark.parametrize(
    ("identity", "principal", "session"),
    [
        ({"type": "Root", "arn": "arn:aws:iam::1:root"}, "arn:aws:iam::1:root", ""),
        (
            {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/R/ann", "principalId": "AROA1:ann"},
            "arn:aws:sts::1:assumed-role/R/ann",
            "AROA1:ann",
        ),
        (
            {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/R/botocore-session-1762000000"},
            "arn:aws:sts::1:assumed-role/R",
            "",
        ),
        ({"type": "IAMUser", "accountId": "1", "userName": "bob"}, "arn:aws:iam::1:user/bob", ""),
        ({"type": "AWSService", "invokedBy": "rds.amazonaws.com"}, "rds.amazonaws.com", ""),
        ({"type": "AWSAccount", "principalId": "AIDA2", "accountId": "2"}, "AIDA2", ""),
        (None, "s3.amazonaws.com", ""),
    ],
)
def test_who_acted(identity: Any, principal: str, session: str) -> None:
    access = read(userIdentity=identity)
    assert (access.principal, access.session) == (principal, session)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"errorCode": "AccessDenied"}, "refused"),
        ({"errorCode": "Client.UnauthorizedOperation"}, "refused"),
        ({"errorCode": "NoSuchKey"}, "failed"),
        ({"responseElements": {"ConsoleLogin": "Failure"}}, "refused"),
        ({"responseElements": {"ConsoleLogin": "Success"}}, "allowed"),
    ],
)
def test_how_it_ended(changes: Any, outcome: str) -> None:
    assert read(**changes).outcome == outcome


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        ({"requestParameters": {"bucketName": "b"}}, "arn:aws:s3:::b"),
        (
            {"requestParameters": {"snapshotId": "snap-1"}, "resources": ...},
            "arn:aws:ec2:eu-west-1:123456789012:snapshot/snap-1",
        ),
        ({"requestParameters": None, "resources": [{"ARN": "arn:aws:kms:x:1:key/k"}]}, "arn:aws:kms:x:1:key/k"),
        ({"requestParameters": {"secretId": "arn:aws:s:x"}}, "arn:aws:s:x"),
        ({"requestParameters": None}, ""),
    ],
)
def test_what_it_was_done_to(changes: Any, resource: str) -> None:
    assert read(**changes).resource == resource


def test_envelopes_are_opened_and_other_records_passed_over() -> None:
    assert len(read_all({"Records": [RECORD, RECORD | {"eventID": "e2"}]})) == 2
    assert len(read_all({"detail-type": "AWS API Call via CloudTrail", "detail": RECORD})) == 1
    assert len(read_all({"logEvents": [{"message": json.dumps(RECORD)}]})) == 1
    assert len(read_all({"@message": json.dumps(RECORD)})) == 1
    assert read_all(RECORD | {"eventCategory": "Insight"}) == []
    assert read_all({"awsAccountId": "1", "digestS3Object": "x"}) == []


def test_one_bad_record_of_an_envelope_spoils_no_other() -> None:
    rows = [RECORD, {"eventName": "x"}, RECORD | {"eventID": "2"}]
    found: list[LoggedAccess] = []
    with pytest.raises(RecordError) as caught:
        found.extend(READER.read(json.dumps({"Records": rows}).encode()))
    assert len(found) == 2
    assert caught.value.reason == "required field missing"


@pytest.mark.parametrize("lines", [False, True])
def test_a_file_as_it_lies_in_the_bucket(tmp_path: Path, lines: bool) -> None:
    rows = [RECORD | {"eventID": str(i)} for i in range(30_000)]
    text = "".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps({"Records": rows})
    (tmp_path / "ct.json.gz").write_bytes(gzip.compress(text.encode()))
    store = Store(tmp_path / "store")
    report = ingest([str(tmp_path / "ct.json.gz")], store, Settings(b"k" * 16), workers=0)
    assert (report.new, dict(report.skipped)) == (30_000, {})
    assert report.sources[0].format == "cloudtrail"
    again = ingest([str(tmp_path / "ct.json.gz")], store, Settings(b"k" * 16), workers=0)
    assert (again.new, again.known) == (0, 30_000)
    events = store.access_events()
    (row,) = store.table(events.filter(events.id.startswith("29999/"))).to_pylist()
    assert row["position"] == 30_000
    assert dict(row["fields"])["requestParameters.bucketName"] == "acme"


def test_a_file_that_ends_inside_a_record_gives_what_came_before(tmp_path: Path) -> None:
    text = json.dumps({"Records": [RECORD | {"eventID": str(i)} for i in range(10)]})
    (tmp_path / "cut.json").write_text(text[: len(text) - 40])
    report = ingest([str(tmp_path / "cut.json")], Store(tmp_path / "store"), Settings(b"k" * 16), workers=0)
    assert (report.new, dict(report.skipped)) == (9, {"truncated JSON": 1})


def test_one_event_in_two_trails_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"Records": [RECORD]}))
    (tmp_path / "b.json").write_text(json.dumps({"Records": [RECORD | {"sharedEventID": "s"}]}))
    report = ingest([str(tmp_path)], store := Store(tmp_path / "s.d"), Settings(b"k" * 16), workers=0)
    assert (report.new, report.skipped["same id again"]) == (1, 1)
    assert store.table(store.access_events()).num_rows == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"eventName": "DeleteObject"},
        {"eventTime": "2026-11-01T09:30:01Z"},
        {"userIdentity": USER | {"arn": "arn:aws:iam::123456789012:user/bob"}},
        {"requestParameters": {"bucketName": "acme", "key": "m/1.safetensors", "versionId": "2"}},
        {"errorCode": "AccessDenied"},
        {"sourceIPAddress": "198.51.100.9"},
    ],
)
def test_an_id_that_is_used_again_hides_nothing(tmp_path: Path, changes: Any) -> None:
    forged = RECORD | changes
    (tmp_path / "a.json").write_text(json.dumps({"Records": [forged, RECORD]}))
    report = ingest([str(tmp_path / "a.json")], Store(tmp_path / "s.d"), Settings(b"k" * 16), workers=0)
    assert (report.new, dict(report.skipped)) == (2, {})


def test_one_record_on_several_ways_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"Records": [RECORD | {"errorCode": None, "tlsDetails": None}]}))
    shuffled = dict(reversed([*RECORD.items()]))
    (tmp_path / "b.json").write_text(json.dumps({"detail-type": "x", "detail": shuffled}))
    (tmp_path / "c.json").write_text(json.dumps({"logEvents": [{"message": json.dumps(RECORD, indent=1)}]}))
    report = ingest([str(tmp_path)], Store(tmp_path / "s.d"), Settings(b"k" * 16), workers=0)
    assert (report.new, report.skipped["same id again"]) == (1, 2)


def test_secrets_never_reach_a_field() -> None:
    access = read(
        requestParameters={"masterUserPassword": "hunter22", "env": {"API_KEY": "x", "note": "token=abcdef"}},
        userIdentity=USER | {"accessKeyId": "Bearer abcdefghijkl"},
        responseElements={"credentials": {"sessionToken": "IQoJb3Jp", "accessKeyId": "ASIA1"}, "k": "sk-abc123def456"},
    )
    kept = json.dumps(access.fields) + access.credential
    assert not any(secret in kept for secret in ("hunter22", "abcdef", "IQoJb3Jp", "sk-abc"))
    assert access.fields["responseElements.credentials.accessKeyId"] == "ASIA1"


def test_fields_are_flat_and_bounded() -> None:
    fields = flat({"a": [{"b": "x"}, {"b": "y\x1fz", "c": 1.5}], "l": ["p", None, "q"], "e": {}, "n": None})
    assert fields == {
        "a": '[{"b":"x"},{"b":"y\\u001fz","c":1.5}]',
        "a.b": f"x{SEPARATOR}y z",
        "a.c": "1.5",
        "l": f"p{SEPARATOR}q",
        "e": "{}",
    }
    assert max(map(len, flat({"a": {"b": "x" * 10**6}, "c": ["y" * 100] * 1000}).values())) <= MAX_VALUE


@pytest.mark.parametrize("secrets", [True, False])
@pytest.mark.parametrize(
    ("record", "cut"),
    [
        ({str(i): "x" for i in range(MAX_FIELDS)}, None),
        ({str(i): "x" for i in range(MAX_FIELDS + 1)}, "fields"),
        ({"a": "x" * MAX_VALUE}, None),
        ({"a": "x" * (MAX_VALUE + 1)}, "values"),
        ({"a": ["x" * 100] * 100}, "values"),
        ({"a": "password=" + "x" * MAX_VALUE}, "values"),
        ({"a": ["--password", "x" * MAX_VALUE + "y"]}, "values"),
        ({"a": "x" * (MAX_VALUE + 1)} | {str(i): "x" for i in range(MAX_FIELDS)}, "fields,values"),
        ({str(i): "x" for i in range(MAX_FIELDS + 9)} | {"0": "x" * (MAX_VALUE + 1)}, "fields,values"),
        ({"a": {"b": "x" * 4000, "c": "y" * 4000}}, None),
        ({"strongroom.cut": "fields", "strongroom": {"cut": "fields"}, "a": "b"}, None),
    ],
)
def test_what_is_not_kept_is_told(record: Any, cut: str | None, secrets: bool) -> None:
    fields = flat(record, secrets=secrets)
    assert fields.get(CUT) == cut
    assert len(fields) <= MAX_FIELDS + (CUT in fields)


def test_a_name_that_is_cut_is_told() -> None:
    assert read(userAgent="x" * 1025).fields[CUT] == "values"
    assert CUT not in read(userAgent="x" * 1024).fields


def test_secrets_of_other_names_and_in_addresses_are_held_back() -> None:
    access = read(
        requestParameters={
            "apiKey": "abcd1234",
            "token": "t0k3n",
            "password": 87654321,
            "url": "https://ann:hunter22@host/x",
            "command": "PGPASSWORD=hunter22 psql",
            "json": '{"adminPassword":"hunter22"}',
        },
        userAgent="curl/8 Bearer sk-abc123def456",
    )
    kept = json.dumps(access.fields) + access.user_agent
    assert not any(secret in kept for secret in ("abcd1234", "t0k3n", "87654321", "hunter22", "sk-abc"))
    assert "https://ann:****@host/x" in kept


def test_an_odd_list_of_resources_costs_nothing() -> None:
    assert read(requestParameters=None, resources=5).resource == ""


def test_a_notification_of_s3_is_not_claimed() -> None:
    assert READER.claims({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}) == 0


def test_a_file_that_is_cut_between_two_records_says_so(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"Records":[' + json.dumps(RECORD) + ",")
    report = ingest([str(tmp_path / "cut.json")], Store(tmp_path / "store"), Settings(b"k" * 16), workers=0)
    assert (report.new, dict(report.skipped)) == (1, {"truncated JSON": 1})
