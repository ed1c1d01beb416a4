"""Hugging Face Hub's audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import Settings, ingest
from strongroom.ingest.readers.huggingface_audit import HuggingFaceAuditReader
from strongroom.store import Store

READER = HuggingFaceAuditReader()
RECORD: dict[str, Any] = {
    "_id": "e1",
    "type": "repo.update_settings",
    "createdAt": "2026-11-01T09:30:00.000Z",
    "author": {"_id": "u1", "type": "user", "user": "ann", "avatarUrl": "/a.svg"},
    "message": "made acme/llama public with hf_abcdefghijklmnopqrstuvwxyzabcdefgh",
    "ip": "203.0.113.0",
    "userAgent": "curl/8",
    "location": {"formatted": "NL", "country": "NL"},
    "data": {"repo": "acme/llama"},
}


def read(**changes: Any) -> LoggedAccess:
    (found,) = READER.read(json.dumps(RECORD | changes).encode())
    return found


def test_an_entry_arrives_whole() -> None:
    access = read()
    fields = access.fields
    access.fields = {}
    assert access == LoggedAccess(
        time=1_793_525_400_000_000,
        principal="ann",
        product="huggingface",
        service="audit",
        action="repo.update_settings",
        provider="repo",
        operation="repo.update_settings",
        id=access.id,
        principal_kind="user",
        client_address="203.0.113.0",
        user_agent="curl/8",
        resource="acme/llama",
    )
    assert fields["location.country"] == "NL"
    assert "hf_abc" not in fields["message"]


def test_an_id_that_is_used_again_hides_nothing() -> None:
    others = [{"type": "repo.delete"}, {"data": {"repo": "acme/x"}}, {"author": {"user": "bob"}}, {"ip": "203.0.113.1"}]
    assert len({read().id, *(read(**changes).id for changes in others)}) == 5
    assert read().id.startswith("e1/")


@pytest.mark.parametrize(
    ("data", "resource"),
    [
        ({"repo": {"name": "acme/llama", "type": "model"}}, "acme/llama"),
        ({"name": "datasets/acme/talks"}, "datasets/acme/talks"),
        ({"repo": "../../x/y"}, ""),
        ({"name": "just a name"}, ""),
        (["acme/llama"], ""),
    ],
)
def test_which_repository(data: Any, resource: str) -> None:
    assert read(data=data).resource == resource


def test_a_download_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(json.dumps([RECORD | {"_id": str(i)} for i in range(3)], indent=1))
    report = ingest([str(tmp_path)], Store(tmp_path.parent / f"{tmp_path.name}-store"), Settings(b"k" * 16), workers=0)
    assert (report.sources[0].format, report.new) == ("huggingface-audit", 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": None}, "required field missing"),
        ({"createdAt": None}, "required field missing"),
        ({"author": "ann"}, "wrong type"),
    ],
)
def test_a_bad_entry_is_refused(changes: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read(**changes)
    assert caught.value.reason == reason
