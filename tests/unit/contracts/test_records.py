"""The records of core have the fields, the types and the required fields that their schemas say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from strongroom.audit.posture import Posture, Problem, Result
from strongroom.core import records
from strongroom.core.assets import Asset
from strongroom.hunt import CampaignEvent, CycleEvent, FindingEvent

from .schemas import problems, resolve, schema, valid

CONTRACTS: list[tuple[type[msgspec.Struct], str, str]] = [
    (Asset, "asset-1.json", ""),
    (records.AccessEvent, "access-event-1.json", ""),
    (records.Entry, "ledger-entry-1.json", ""),
    (records.Finding, "finding-1.json", ""),
    (records.Evidence, "finding-1.json", "#/$defs/evidence"),
    (records.Example, "finding-1.json", "#/$defs/example"),
    (records.Verdict, "hunt-1.json", ""),
    (records.Window, "hunt-1.json", "#/properties/window"),
    (records.Campaign, "hunt-1.json", "#/$defs/campaign"),
    (records.RelatedGroup, "hunt-1.json", "#/$defs/related_group"),
    (records.FlaggedAccount, "hunt-1.json", "#/$defs/flagged_account"),
    (Posture, "posture-1.json", ""),
    (Result, "posture-1.json", "#/$defs/claim"),
    (Problem, "posture-1.json", "#/$defs/problem"),
    (CampaignEvent, "watch-1.json", "#/$defs/campaign_event"),
    (FindingEvent, "watch-1.json", "#/$defs/finding_event"),
    (CycleEvent, "watch-1.json", "#/$defs/cycle_event"),
]
EACH = pytest.mark.parametrize(("struct", "file", "pointer"), CONTRACTS, ids=lambda each: getattr(each, "__name__", ""))

NOW = "2026-11-01T09:30:00.123Z"
LATER = "2026-11-14T23:59:59.999Z"
DIGEST = "sha256:" + "0f" * 32

EXAMPLE = records.Example("acct_1", NOW, "logs/a.jsonl:17")
EVIDENCE = records.Evidence("address", "5 accounts share 1 address.", ["acct_1", "acct_2"], "strong", [EXAMPLE])
CAMPAIGN = records.Campaign(
    id="cmp_019a3f20c1d47c3e8e00000000000001",
    accounts=["acct_1", "acct_2"],
    exchanges=52,
    tokens_out=9000,
    detected_at=LATER,
    score=0.91,
    p_value=0.002,
    objective="code",
    techniques=["AML.T0024.002"],
    evidence=[EVIDENCE],
    recommended=["Look at the examples."],
    first_seen=NOW,
    last_seen=LATER,
)
FINDING = records.Finding(
    id="fnd_019a3f20c1d47c3e8e00000000000002",
    time=NOW,
    detector="campaign",
    kind="campaign",
    severity="high",
    confidence=0.9,
    subjects=["acct_1", "acct_2"],
    techniques=["AML.T0024.002", "T1078"],
    summary="2 accounts act as one.",
    evidence=[EVIDENCE],
    recommended=[],
)
SAMPLES: dict[str, msgspec.Struct] = {
    "hunt-1.json": records.Verdict(
        exchanges=100,
        accounts=9,
        window=records.Window(NOW, LATER),
        skipped={"not JSON": 2},
        campaigns=[CAMPAIGN],
        findings=[FINDING],
        access_events=40,
        principals=2,
        related_groups=[records.RelatedGroup(accounts=["a", "b"], relation="same organisation org_9")],
        accounts_flagged=[records.FlaggedAccount(account="a", p_value=0.01, evidence=[EVIDENCE])],
        sensitivity={"smallest_campaign": 5},
        not_examined=["Single accounts are not judged by themselves."],
    ),
    "finding-1.json": FINDING,
    "asset-1.json": Asset(name="acme/summariser:2026-11", places=["s3://acme-weights/summariser/"], digest=DIGEST),
    "access-event-1.json": records.AccessEvent(
        id="evt_019a3f20c1d47c3e8e00000000000003",
        time=NOW,
        principal="ann@example.org",
        action="open",
        asset="acme/summariser:2026-11",
        asset_digest=DIGEST,
        outcome="allowed",
        policy_ids=["policy0"],
        bytes=1 << 40,
    ),
    "ledger-entry-1.json": records.Entry(
        type="strongroom.access/1",
        time=NOW,
        writer="keyserver",
        body={
            "id": "evt_019a3f20c1d47c3e8e00000000000003",
            "time": NOW,
            "principal": "ann@example.org",
            "action": "open",
            "asset": "acme/summariser",
            "outcome": "refused",
        },
    ),
}
EMPTY = records.Verdict(
    exchanges=0,
    accounts=0,
    window=records.Window("", ""),
    skipped={},
    campaigns=[],
    related_groups=[],
    accounts_flagged=[],
    sensitivity={},
    not_examined=["The window holds no exchange."],
)

EVENTS = [
    CampaignEvent(change="new", time=NOW, campaign=CAMPAIGN),
    FindingEvent(change="grown", time=NOW, finding=FINDING),
    CycleEvent(
        time=NOW,
        read_to="",
        new=0,
        exchanges=0,
        accounts=0,
        skipped={"not JSON": 1},
        campaigns=0,
        full=False,
        seconds=0.1,
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.event))
def test_events_of_a_watch_are_as_their_schema_says(event: msgspec.Struct) -> None:
    assert problems("watch-1.json", msgspec.to_builtins(event)) == []


def document(name: str) -> Any:
    return msgspec.to_builtins(SAMPLES[name])


def kinds(node: dict[str, Any]) -> set[str]:
    """The JSON types that a schema takes."""
    if "type" in node:
        return {node["type"]} if isinstance(node["type"], str) else set(node["type"])
    values = node.get("enum", [node["const"]] if "const" in node else [])
    if values:
        return {{str: "string", int: "integer", bool: "boolean"}[type(value)] for value in values}
    return set().union(*(kinds(resolve(each, "ids-1.json")[0]) for each in node.get("anyOf", node.get("allOf", ()))))


def described(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """What msgspec itself says of a struct, as JSON Schema."""
    (_,), parts = msgspec.json.schema_components([struct], ref_template="{name}")
    own: dict[str, Any] = parts[struct.__name__]
    return own


@EACH
def test_a_record_has_the_fields_of_its_schema(struct: type[msgspec.Struct], file: str, pointer: str) -> None:
    ours, _ = resolve({"$ref": file + pointer}, file)
    assert set(ours["properties"]) == set(struct.__struct_fields__)
    assert ours["additionalProperties"] is False


@EACH
def test_a_field_has_the_type_that_the_schema_says(struct: type[msgspec.Struct], file: str, pointer: str) -> None:
    ours, base = resolve({"$ref": file + pointer}, file)
    for name, theirs in described(struct)["properties"].items():
        own, _ = resolve(ours["properties"][name], base)
        if "$ref" in theirs:
            assert kinds(own) == {"object"}, name
            continue
        assert kinds(own) == kinds(theirs), name
        if "enum" in theirs:
            assert set(own["enum"]) == set(theirs["enum"]), name


@EACH
def test_what_is_always_written_is_required(struct: type[msgspec.Struct], file: str, pointer: str) -> None:
    ours, _ = resolve({"$ref": file + pointer}, file)
    left_out = struct.__struct_config__.omit_defaults
    defaults = {name for name in struct.__struct_fields__ if name not in described(struct).get("required", ())}
    always = set(struct.__struct_fields__) - (defaults if left_out else set())
    assert set(ours["required"]) == always


@pytest.mark.parametrize("name", SAMPLES)
def test_a_record_is_written_as_its_schema_says(name: str) -> None:
    assert problems(name, document(name)) == []
    decoded = msgspec.convert(document(name), type(SAMPLES[name]))
    assert decoded == SAMPLES[name]


def test_a_verdict_on_nothing_is_valid() -> None:
    assert problems("hunt-1.json", msgspec.to_builtins(EMPTY)) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_every_required_field_is_missed_and_an_unknown_one_refused(name: str) -> None:
    for field in schema(name)["required"]:
        broken = document(name)
        del broken[field]
        assert not valid(name, broken), field
    assert not valid(name, document(name) | {"colour": "red"})


BROKEN: list[tuple[str, list[str | int], Any]] = [
    ("hunt-1.json", ["version"], 2),
    ("hunt-1.json", ["exchanges"], -1),
    ("hunt-1.json", ["exchanges"], 1.5),
    ("hunt-1.json", ["window", "start"], "2026-11-01"),
    ("hunt-1.json", ["window", "end"], None),
    ("hunt-1.json", ["skipped", "not JSON"], 0),
    ("hunt-1.json", ["campaigns", 0, "id"], "fnd_019a3f20c1d47c3e8e00000000000001"),
    ("hunt-1.json", ["campaigns", 0, "p_value"], 1.01),
    ("hunt-1.json", ["campaigns", 0, "score"], -0.1),
    ("hunt-1.json", ["campaigns", 0, "accounts"], ["alone"]),
    ("hunt-1.json", ["campaigns", 0, "detected_at"], "2026-13-01T00:00:00.000Z"),
    ("hunt-1.json", ["campaigns", 0, "status"], "closed"),
    ("hunt-1.json", ["campaigns", 0, "techniques"], ["AML.T24"]),
    ("hunt-1.json", ["campaigns", 0, "evidence", 0, "strength"], "certain"),
    ("hunt-1.json", ["campaigns", 0, "evidence", 0, "examples", 0, "where"], ""),
    ("hunt-1.json", ["campaigns", 0, "evidence", 0, "examples", 0, "line"], 17),
    ("hunt-1.json", ["related_groups", 0, "relation"], ""),
    ("hunt-1.json", ["accounts_flagged", 0, "p_value"], "0.01"),
    ("hunt-1.json", ["not_examined"], "nothing"),
    ("finding-1.json", ["confidence"], 90),
    ("finding-1.json", ["severity"], "severe"),
    ("finding-1.json", ["id"], "cmp_019a3f20c1d47c3e8e00000000000002"),
    ("finding-1.json", ["time"], "2026-11-01T09:30:00Z"),
    ("finding-1.json", ["summary"], ""),
    ("asset-1.json", ["name"], "../../etc/passwd"),
    ("asset-1.json", ["kind"], "weights"),
    ("asset-1.json", ["classification"], "secret"),
    ("asset-1.json", ["size"], "140GB"),
    ("asset-1.json", ["size"], -2),
    ("asset-1.json", ["digest"], "md5:00"),
    ("asset-1.json", ["places"], []),
    ("asset-1.json", ["places", 0], "ftp://host/x"),
    ("asset-1.json", ["places", 0], "s3://bucket/\n"),
    ("access-event-1.json", ["outcome"], "granted"),
    ("access-event-1.json", ["asset"], "../../etc/passwd"),
    ("access-event-1.json", ["asset_digest"], "md5:00"),
    ("access-event-1.json", ["bytes"], -1),
    ("access-event-1.json", ["principal"], ""),
    ("access-event-1.json", ["version"], 2),
    ("ledger-entry-1.json", ["type"], "strongroom.access"),
    ("ledger-entry-1.json", ["type"], "strongroom.access/0"),
    ("ledger-entry-1.json", ["type"], "other.access/1"),
    ("ledger-entry-1.json", ["body"], []),
    ("ledger-entry-1.json", ["body", "outcome"], "granted"),
    ("ledger-entry-1.json", ["body", "secret"], "x"),
]


@pytest.mark.parametrize(("name", "path", "value"), BROKEN, ids=str)
def test_an_absurd_value_is_invalid(name: str, path: list[str | int], value: Any) -> None:
    whole = document(name)
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert not valid(name, whole)


def test_an_entry_of_a_type_unknown_here_keeps_its_body() -> None:
    entry = document("ledger-entry-1.json") | {"type": "strongroom.lease/1", "body": {"anything": True}}
    assert problems("ledger-entry-1.json", entry) == []
