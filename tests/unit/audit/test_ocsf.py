"""Access events as OCSF API Activity: what OCSF 1.8 asks for is there (`ocsf_1_8`), and nothing empty."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import __version__
from strongroom.audit import OCSF_VERSION, Subjects, api_activity, entry_of, stored_activity
from strongroom.core.errors import RecordError

from .logs import START, event
from .ocsf_1_8 import problems

FULL = event(
    credential="key_7",
    client_address="203.0.113.7",
    asset_digest="sha256:" + "0f" * 32,
    request_digest="sha256:" + "1e" * 32,
    reason="a policy permits it",
    policy_ids=["policy0", "policy1"],
    lease="lse_019a3f20c1d47c3e8e00000000000003",
    purpose="serve",
    bytes=17,
    source="keyserver",
)
STRONGROOM = {"name": "Strongroom", "vendor_name": "Strongroom", "version": __version__}


def body(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(FULL, **fields))
    return found


def test_a_full_event_has_its_place_for_everything() -> None:
    made = api_activity(body(), index=7, log="log.example/a")
    assert problems(made) == []
    assert made == {
        "action": "Allowed",
        "action_id": 1,
        "activity_id": 2,
        "activity_name": "Read",
        "actor": {
            "user": {
                "uid": "ann@example.org",
                "credential_uid": "key_7",
                "programmatic_credentials": [{"uid": "key_7"}],
            },
            "authorizations": [
                {"decision": "allowed", "policy": {"uid": "policy0"}},
                {"decision": "allowed", "policy": {"uid": "policy1"}},
            ],
        },
        "api": {
            "operation": "open",
            "request": {"uid": "sha256:" + "1e" * 32},
            "service": {"name": "keyserver"},
        },
        "category_name": "Application Activity",
        "category_uid": 6,
        "class_name": "API Activity",
        "class_uid": 6003,
        "metadata": {
            "log_name": "log.example/a",
            "original_time": "2026-11-01T09:30:00.123Z",
            "product": STRONGROOM,
            "profiles": ["security_control"],
            "sequence": 7,
            "uid": FULL.id,
            "version": OCSF_VERSION,
        },
        "resources": [
            {
                "name": "acme/summariser",
                "uid": "sha256:" + "0f" * 32,
                "version": "2026-11",
                "type": "asset",
                "role": "Target",
                "role_id": 1,
            }
        ],
        "severity": "Informational",
        "severity_id": 1,
        "src_endpoint": {"ip": "203.0.113.7"},
        "status": "Success",
        "status_code": "allowed",
        "status_detail": "a policy permits it",
        "status_id": 1,
        "time": START // 1000,
        "type_uid": 600302,
        "unmapped": {"lease": "lse_019a3f20c1d47c3e8e00000000000003", "purpose": "serve", "bytes": 17},
    }


def test_a_ledger_entry_shows_digests_as_ids_and_never_as_an_address(subjects: Subjects) -> None:
    entry = entry_of(FULL, subjects, "door")
    made = api_activity(entry.body, index=0)
    assert made["src_endpoint"] == {"uid": entry.body["client_address"]}
    assert made["actor"]["user"]["uid"] == subjects.digest("ann@example.org")
    assert made["metadata"]["sequence"] == 0
    assert "203.0.113.7" not in json.dumps(made)


@pytest.mark.parametrize(
    ("client", "endpoint"),
    [
        ("203.0.113.7", {"ip": "203.0.113.7"}),
        ("2001:DB8::1", {"ip": "2001:db8::1"}),
        ("", {"name": "unknown"}),
        ("203.0.113.7:443", {"name": "203.0.113.7:443"}),
        ("host.example", {"domain": "host.example"}),
        ("ec2.amazonaws.com", {"domain": "ec2.amazonaws.com"}),
        ("AWS Internal", {"name": "AWS Internal"}),
        ("hmac-sha256:" + "0f" * 32, {"uid": "hmac-sha256:" + "0f" * 32}),
        ("fe80::1%eth0", {"ip": "fe80::1%eth0"}),
        ("fe80::1%\x1b[31m", {"name": "fe80::1%\x1b[31m"}),
        ("fe80::1%" + "e" * 40, {"name": "fe80::1%" + "e" * 40}),
        ("a." * 200 + "com", {"name": "a." * 200 + "com"}),
    ],
)
def test_the_source_is_an_address_only_where_it_is_one(client: str, endpoint: dict[str, str]) -> None:
    made = api_activity(body(client_address=client))
    assert made["src_endpoint"] == endpoint
    assert problems(made) == []


@pytest.mark.parametrize(
    ("action", "activity", "name"),
    [
        ("open", 2, "Read"),
        ("seal", 1, "Create"),
        ("grant_lease", 1, "Create"),
        ("Vault::rotateKey", 3, "Update"),
        ("lease.revoke", 4, "Delete"),
        ("openModel", 2, "Read"),
        ("OPEN", 2, "Read"),
        ("s3:GetObject", 2, "Read"),
        ("DescribeInstances", 2, "Read"),
        ("storage.objects.list", 2, "Read"),
        ("google.iam.admin.v1.CreateServiceAccountKey", 1, "Create"),
        ("pods/exec:create", 1, "Create"),
        ("deletecollection", 4, "Delete"),
        ("MICROSOFT.COMPUTE/DISKS/DELETE", 4, "Delete"),
        ("CHANGE_APPLICATION_SETTING", 3, "Update"),
        ("USER_END", 99, "USER_END"),
        ("Sign-in activity", 99, "Sign-in activity"),
        ("dance", 99, "dance"),
        ("reopen", 99, "reopen"),
    ],
)
def test_the_activity_is_the_actions_verb(action: str, activity: int, name: str) -> None:
    made = api_activity(body(action=action))
    assert (made["activity_id"], made["activity_name"]) == (activity, name)
    assert made["type_uid"] == 600300 + activity
    assert made["api"]["operation"] == action


@pytest.mark.parametrize(
    ("outcome", "status", "action"), [("allowed", 1, 1), ("refused", 2, 2), ("failed", 2, None), ("odd", 99, None)]
)
def test_the_outcome_is_the_status_and_a_refusal_is_told_from_a_failure(
    outcome: Any, status: int, action: int | None
) -> None:
    made = api_activity(body(outcome=outcome))
    assert (made["status_id"], made["status_code"], made.get("action_id")) == (status, outcome, action)
    assert problems(made) == []


@pytest.mark.parametrize("time", [None, 7, "", "yesterday"])
def test_an_event_without_a_time_is_one_bad_record(time: Any) -> None:
    with pytest.raises(RecordError) as error:
        api_activity(body() | {"time": time})
    assert error.value.reason == "no time"


def blank(value: Any) -> bool:
    if isinstance(value, dict):
        return not value or any(map(blank, value.values()))
    return value in ("", [], None)


VALUES = st.none() | st.integers() | st.text() | st.lists(st.text() | st.integers(), max_size=3) | st.booleans()


@given(changed=st.dictionaries(st.sampled_from([n for n in body() if n != "time"]), VALUES))
def test_whatever_a_log_holds_the_event_is_one(changed: dict[str, Any]) -> None:
    made = api_activity(body() | changed)
    assert problems(made) == []
    assert not [name for name, value in made.items() if name != "unmapped" and blank(value)]
    assert json.loads(json.dumps(made)) == made


# Rows of the store

ROW: dict[str, Any] = {
    "time": START + 456,
    "principal": "arn:aws:iam::111122223333:user/ann",
    "principal_kind": "IAMUser",
    "credential": "AKIAEXAMPLE",
    "session": "s-1",
    "organization": "111122223333",
    "client_address": "203.0.113.7",
    "user_agent": "aws-cli/2.15",
    "region": "eu-west-1",
    "id": "e-1/" + "0f" * 16,
    "action": "s3:GetObject",
    "provider": "s3.amazonaws.com",
    "operation": "GetObject",
    "resource": "arn:aws:s3:::weights/x",
    "asset": "acme/llama:v1",
    "asset_digest": None,
    "outcome": "refused",
    "reason": "AccessDenied",
    "bytes": 17,
    "request_digest": None,
    "product": "aws",
    "service": "cloudtrail",
    "fields": [("eventVersion", "1.08"), ("requestParameters", '{"key":"x"}'), ("requestParameters.key", "x")],
    "source": "trail.json.gz",
    "position": 7,
    "format": "cloudtrail",
    "line_key": 1,
    "record_key": -2,
}


def test_a_full_row_has_its_place_for_everything() -> None:
    made = stored_activity(ROW)
    assert problems(made) == []
    assert made == {
        "action": "Denied",
        "action_id": 2,
        "activity_id": 2,
        "activity_name": "Read",
        "actor": {
            "user": {
                "uid": "arn:aws:iam::111122223333:user/ann",
                "credential_uid": "AKIAEXAMPLE",
                "programmatic_credentials": [{"uid": "AKIAEXAMPLE"}],
                "type": "IAMUser",
                "type_id": 99,
            },
            "session": {"uid": "s-1"},
        },
        "api": {
            "operation": "GetObject",
            "response": {"error": "AccessDenied"},
            "service": {"name": "s3.amazonaws.com"},
        },
        "category_name": "Application Activity",
        "category_uid": 6,
        "class_name": "API Activity",
        "class_uid": 6003,
        "cloud": {"account": {"uid": "111122223333"}, "provider": "AWS", "region": "eu-west-1"},
        "http_request": {"user_agent": "aws-cli/2.15"},
        "metadata": {
            "log_format": "cloudtrail",
            "log_source": "trail.json.gz",
            "loggers": [{"name": "Strongroom", "product": STRONGROOM}],
            "original_event_uid": "e-1",
            "original_time": "2026-11-01T09:30:00.123456Z",
            "product": {"name": "CloudTrail", "vendor_name": "AWS", "version": "1.08"},
            "profiles": ["cloud", "security_control"],
            "sequence": 7,
            "uid": "e-1/" + "0f" * 16,
            "version": "1.8.0",
        },
        "resources": [
            {"uid": "arn:aws:s3:::weights/x", "role": "Target", "role_id": 1},
            {"name": "acme/llama", "version": "v1", "type": "asset", "role": "Target", "role_id": 1},
        ],
        "severity": "Informational",
        "severity_id": 1,
        "src_endpoint": {"ip": "203.0.113.7"},
        "status": "Failure",
        "status_code": "AccessDenied",
        "status_id": 2,
        "time": START // 1000,
        "type_uid": 600302,
        "unmapped": {
            "action": "s3:GetObject",
            "bytes": 17,
            "eventVersion": "1.08",
            "requestParameters.key": "x",
        },
    }


@pytest.mark.parametrize(
    ("product", "service", "place"),
    [
        ("gcp", "gcp.audit", lambda made: (made["cloud"]["provider"], made["cloud"]["account"]["uid"])),
        ("gcp", "google_workspace.login", lambda made: ("cloud" not in made, made["unmapped"]["organization"])),
        ("linux", "auditd", lambda made: (made["metadata"]["profiles"], made["device"]["hostname"])),
        ("kubernetes", "audit", lambda made: ("cloud" not in made, made["unmapped"]["organization"])),
    ],
)
def test_where_it_happened_has_a_place_that_fits(product: str, service: str, place: Any) -> None:
    made = stored_activity(ROW | {"product": product, "service": service})
    assert problems(made) == []
    assert place(made)[1] == "111122223333"
    assert place(made)[0] in ("GCP", True, ["host", "security_control"])
    assert (made["metadata"]["product"]["vendor_name"], made["metadata"]["product"]["name"]) == (product, service)


def test_a_row_of_the_ledger_is_strongrooms() -> None:
    made = stored_activity(ROW | {"product": "strongroom", "service": "ledger"})
    assert problems(made) == []
    assert made["metadata"]["product"] == {"name": "Strongroom", "vendor_name": "Strongroom"}


def test_what_went_well_has_no_error_whatever_its_reason() -> None:
    assert "response" not in stored_activity(ROW | {"outcome": "allowed", "reason": "a policy permits it"})["api"]


def test_a_record_that_is_not_kept_whole_says_so() -> None:
    made = stored_activity(ROW | {"fields": {"strongroom.cut": "values"}})
    assert problems(made) == []
    assert made["metadata"]["is_truncated"] is True
    assert made["unmapped"]["strongroom.cut"] == "values"


def test_a_row_without_an_id_is_known_by_its_key() -> None:
    assert stored_activity(ROW | {"id": None})["metadata"]["uid"] == "fffffffffffffffe"


def test_fields_keep_lists_and_secrets_that_were_held_back_and_say_nothing_twice() -> None:
    fields = {
        "a": '{"b":[{"c":"1"},{"c":"2"}],"password":"****"}',
        "a.b": '[{"c":"1"},{"c":"2"}]',
        "a.b.c": "1\x1f2",
        "a.password": "****",
        "d": "{}",
        "e": "[" + "x" * 4095,
        "e.f": "1",
        "bytes": "from the log",
        "action": "the log's own",
    }
    made = stored_activity(ROW | {"fields": fields, "bytes": None})["unmapped"]
    assert made == {
        "a.b": '[{"c":"1"},{"c":"2"}]',
        "a.b.c": ["1", "2"],
        "a.password": "****",
        "d": "{}",
        "e.f": "1",
        "bytes": "from the log",
        "action": "the log's own",
    }


@pytest.mark.parametrize("time", [None, "2026-11-01", 1 << 62, -(1 << 62)])
def test_a_row_without_a_time_is_one_bad_record(time: Any) -> None:
    with pytest.raises(RecordError) as error:
        stored_activity(ROW | {"time": time})
    assert error.value.reason == "no time"


TEXTS = st.none() | st.text() | st.sampled_from(["aws", "gcp", "linux", "kubernetes", "allowed", "failed", "1.2.3.4"])


@given(
    changed=st.dictionaries(st.sampled_from([n for n, value in ROW.items() if not isinstance(value, int)]), TEXTS),
    fields=st.dictionaries(st.text(), st.text()),
    sent=st.none() | st.integers(-1, 1 << 60),
)
def test_whatever_a_row_holds_the_event_is_one(changed: dict[str, Any], fields: dict[str, str], sent: Any) -> None:
    made = stored_activity(ROW | changed | {"fields": list(fields.items()), "bytes": sent})
    assert problems(made) == []
    assert not [name for name, value in made.items() if name != "unmapped" and blank(value)]
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize(
    "broken",
    [
        {"time": "2026"},
        {"actor": {}},
        {"cloud": {"region": "eu"}},
        {"metadata": {"version": "1.8.0", "product": {"name": "x"}}},
        {"severity_id": 7},
        {"status": "Success"},
        {"extra": 1},
        {"src_endpoint": {"ip": "host"}},
        {"type_uid": 600301},
    ],
    ids=str,
)
def test_the_table_of_what_is_valid_knows_what_is_not(broken: dict[str, Any]) -> None:
    assert problems(stored_activity(ROW) | broken) != []
