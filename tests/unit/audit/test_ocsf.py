"""Access events as OCSF API Activity: what the class requires is there, and nothing empty."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import __version__
from strongroom.audit import OCSF_VERSION, Subjects, api_activity, entry_of
from strongroom.core.errors import RecordError

from .logs import START, event

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
REQUIRED = {
    *("activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint"),
    *("time", "type_uid"),
}
"""schema.ocsf.io, 1.8.0, api_activity and base_event."""


def body(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(FULL, **fields))
    return found


def test_a_full_event_has_its_place_for_everything() -> None:
    assert api_activity(body(), index=7, log="log.example/a") == {
        "activity_id": 2,
        "activity_name": "Read",
        "actor": {
            "user": {"uid": "ann@example.org", "credential_uid": "key_7"},
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
            "product": {"name": "Strongroom", "vendor_name": "Strongroom", "version": __version__},
            "sequence": 7,
            "uid": FULL.id,
            "version": OCSF_VERSION,
        },
        "resources": [
            {
                "name": "acme/summariser",
                "uid": "sha256:" + "0f" * 32,
                "version": "2026-11",
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
        ("203.0.113.7:443", {"uid": "203.0.113.7:443"}),
        ("host.example", {"uid": "host.example"}),
    ],
)
def test_the_source_is_an_address_only_where_it_is_one(client: str, endpoint: dict[str, str]) -> None:
    assert api_activity(body(client_address=client))["src_endpoint"] == endpoint


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
        ("dance", 99, "dance"),
        ("reopen", 99, "reopen"),
    ],
)
def test_the_activity_is_the_actions_verb(action: str, activity: int, name: str) -> None:
    made = api_activity(body(action=action))
    assert (made["activity_id"], made["activity_name"]) == (activity, name)
    assert made["type_uid"] == 600300 + activity
    assert made["api"]["operation"] == action


@pytest.mark.parametrize(("outcome", "status"), [("allowed", 1), ("refused", 2), ("failed", 2)])
def test_the_outcome_is_the_status(outcome: Any, status: int) -> None:
    made = api_activity(body(outcome=outcome))
    assert (made["status_id"], made["status_code"]) == (status, outcome)


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
    assert set(made) >= REQUIRED
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert made["actor"]["user"]
    assert made["api"]["operation"]
    assert made["src_endpoint"]
    assert not [name for name, value in made.items() if name != "unmapped" and blank(value)]
    assert json.loads(json.dumps(made)) == made
