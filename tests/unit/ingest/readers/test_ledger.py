"""Strongroom's own ledger, and that no other log can speak for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from strongroom.audit import api_activity
from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.reader import Reader
from strongroom.ingest.readers import MappedReader, builtin_readers
from strongroom.ingest.readers.ledger import LedgerReader
from strongroom.store import Store

READER = LedgerReader()
BODY: dict[str, Any] = {
    "id": "evt_019a8f0c3a0070008000000000000001",
    "time": "2026-11-01T09:30:00.123Z",
    "principal": "hmac-sha256:6f1e",
    "action": "open",
    "asset": "acme/model:v1",
    "asset_digest": "sha256:00",
    "outcome": "refused",
    "reason": "no lease; token=abcdefgh",
    "lease": "lse_1",
    "purpose": "serving",
    "policy_ids": ["p1", "p2"],
    "bytes": 0,
    "source": "door",
}
ENTRY: dict[str, Any] = {"type": "strongroom.access/1", "time": BODY["time"], "writer": "door", "body": BODY}
OTHERS: list[Reader] = [
    *(one for one in builtin_readers() if one.name != "ledger"),
    MappedReader({"account": "account", "time": "time"}),
]
PAGES = Path(__file__).parents[4] / "docs" / "readers"


def read_all(record: Any) -> list[LoggedAccess]:
    return list(READER.read(json.dumps(record).encode()))


def test_an_entry_arrives_whole() -> None:
    (access,) = read_all({"index": 7, "entry": ENTRY})
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_123_000,
        principal="hmac-sha256:6f1e",
        product="strongroom",
        service="ledger",
        action="open",
        provider="door",
        operation="open",
        outcome="refused",
        reason="no lease; token=****",
        id=access.id,
        asset="acme/model:v1",
        asset_digest="sha256:00",
        bytes=0,
    )
    assert (fields["lease"], fields["purpose"], fields["index"]) == ("lse_1", "serving", "7")
    assert fields["policy_ids"] == "p1\x1fp2"


def test_every_form_of_an_export_is_one_event(tmp_path: Path) -> None:
    forms: dict[str, Any] = {
        "export": {"index": 7, "entry": ENTRY},
        "show": {"index": 7, "leaf": "ab", "entry": ENTRY, "origin": "example.com/log", "size": 9},
        "plain": dict(sorted(ENTRY.items())),
        "document": {"origin": "example.com/log", "size": 9, "entries": [{"index": 7, "entry": ENTRY}]},
    }
    for name, form in forms.items():
        assert READER.claims(form) == 100
        (tmp_path / f"{name}.json").write_text(json.dumps(form))
    report = ingest([str(tmp_path)], Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0)
    assert {source.format for source in report.sources} == {"ledger"}
    assert (report.new, report.skipped["same id again"]) == (1, 3)


def test_entries_of_other_types_are_passed_over() -> None:
    assert READER.claims(ENTRY | {"type": "strongroom.lease/1"}) == 100
    assert read_all(ENTRY | {"type": "strongroom.lease/1"}) == []


def test_an_entry_that_was_made_up_hides_none(tmp_path: Path) -> None:
    forged = ENTRY | {"body": BODY | {"outcome": "allowed", "purpose": "none"}}
    (tmp_path / "a.jsonl").write_text(json.dumps({"index": 7, "entry": forged}) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"index": 7, "entry": ENTRY}) + "\n")
    report = ingest(
        [str(tmp_path)], store := Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0
    )
    assert report.new == 2
    assert sorted(store.table(store.access_events())["outcome"].to_pylist()) == ["allowed", "refused"]


def samples() -> list[Any]:
    texts = [path.read_text() for path in sorted(PAGES.glob("*.md"))]
    return [json.loads(block) for text in texts for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def claiming(record: dict[str, Any]) -> dict[str, Any]:
    """A record that says of itself, wherever its format lets it, that it is the ledger's."""
    own = {
        "product": "strongroom",
        "service": "ledger",
        "format": "ledger",
        "source": "strongroom",
        "Type": "strongroom",
    }
    claimed = record | {key: value for key, value in own.items() if key not in record}
    if isinstance(metadata := record.get("metadata"), dict) and "product" in metadata:
        claimed["metadata"] = metadata | {"product": {"name": "strongroom", "vendor_name": "strongroom"}}
    return claimed


@pytest.mark.parametrize("reader", OTHERS, ids=lambda reader: reader.name)
def test_no_other_log_can_claim_to_be_the_ledger(reader: Reader) -> None:
    ledger = [ENTRY, {"index": 7, "entry": ENTRY}, api_activity(BODY, index=7, log="example.com/log")]
    for record in [*ledger, *samples(), *map(claiming, samples())]:
        try:
            rows = list(reader.read(json.dumps(record).encode()))
        except RecordError:
            continue
        for row in rows:
            assert not isinstance(row, LoggedAccess) or (row.product, row.asset) != ("strongroom", "acme/model:v1")
            assert not isinstance(row, LoggedAccess) or row.product != "strongroom"


def test_a_record_of_another_log_with_the_ledgers_id_shadows_nothing(tmp_path: Path) -> None:
    (genuine,) = read_all(ENTRY)
    forged = {
        "eventVersion": "1.08",
        "eventTime": "2026-11-01T09:30:00Z",
        "eventID": genuine.id,
        "eventName": "open",
        "eventSource": "strongroom",
        "userIdentity": {"type": "Root", "arn": "arn:aws:iam::1:root"},
    }
    (tmp_path / "a.json").write_text(json.dumps(forged))
    (tmp_path / "b.json").write_text(json.dumps(ENTRY))
    report = ingest(
        [str(tmp_path)], store := Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0
    )
    assert report.new == 2
    events = store.access_events()
    (row,) = store.table(events.filter(events.product == "strongroom")).to_pylist()
    assert (row["outcome"], row["asset"], row["format"]) == ("refused", "acme/model:v1", "ledger")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"index": 1, "entry": "bm8ganNvbg=="}, "required field missing"),
        (ENTRY | {"body": BODY | {"outcome": "maybe"}}, "wrong type"),
        (ENTRY | {"body": BODY | {"action": None}}, "required field missing"),
        (ENTRY | {"body": BODY | {"principal": ""}}, "no principal"),
        (ENTRY | {"body": []}, "wrong type"),
    ],
)
def test_a_bad_entry_is_refused(record: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_all(record)
    assert caught.value.reason == reason
