"""Strongroom's own ledger: access entries as `strongroom ledger export`, `show` and `tail` write them.

A file proves nothing: anybody can write one. `strongroom ledger verify` reads the log itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2s
from typing import Any

import msgspec

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access
from ._fields import flat
from ._json import load_object
from ._rows import each
from ._secrets import may_hold_secrets, without_secrets
from ._time import microseconds
from ._values import count, mapping, name

__all__ = ["LedgerReader"]

PRODUCT, SERVICE = "strongroom", "ledger"
_ACCESS = "strongroom.access/1"
_KEYS = (b'"type"', b'"body"', b'"principal"', b'"asset"', b'"outcome"', b'"id"', b'"index"')
_WITHOUT = frozenset(FIELD_COLUMNS[PRODUCT, SERVICE]) | {"id", "time", "principal", "credential", "bytes", "reason"}
_sorted = msgspec.json.Encoder(order="sorted").encode


class LedgerReader:
    """Reads access entries of the ledger."""

    name = "ledger"
    title = "Strongroom's ledger"
    reference = "https://c2sp.org/tlog-tiles"
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """100 for an entry of the ledger, whatever its type, also with its index or within a document."""
        return max((100 if _is_entry(entry) else 0 for _, entry in _entries(record)), default=0)

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The access of an entry, or those of a document; none of entries of other types. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        secrets = may_hold_secrets(raw)
        origin = record.get("origin")
        shown = [{"index": index, "entry": entry} for index, entry in _entries(record)]
        return each(shown, lambda row: _read(row, origin if isinstance(origin, str) else "", secrets))


def _is_entry(entry: Any) -> bool:
    kind = entry.get("type") if isinstance(entry, dict) else None
    return isinstance(kind, str) and kind.startswith("strongroom.") and "body" in entry


def _entries(record: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Entries with their index: of a document's `entries`, of one line of an export, or an entry by itself."""
    if isinstance(rows := record.get("entries"), list):
        for row in rows:
            yield (row.get("index"), row.get("entry")) if isinstance(row, dict) else (None, row)
    elif "entry" in record:
        yield record.get("index"), record["entry"]
    else:
        yield None, record


def _read(row: dict[str, Any], origin: str, secrets: bool) -> Iterator[LoggedAccess]:
    entry = row["entry"]
    if not _is_entry(entry):
        raise RecordError("required field missing", "this is no entry of the ledger")
    if entry["type"] != _ACCESS:
        return
    body = mapping(entry["body"], "body")
    time, action, asset = body.get("time", entry.get("time")), name(body, "action"), name(body, "asset")
    if time is None or not action:
        raise RecordError("required field missing", "no time or no action")
    outcome = body.get("outcome")
    if outcome not in ("allowed", "refused", "failed"):
        raise RecordError("wrong type", "outcome is none of allowed, refused and failed")
    told = {"index": row["index"], "origin": origin or None, "writer": entry.get("writer")}
    # By what it says and not by its id alone, so that no entry that was made up hides one that was not.
    digest = blake2s(_sorted(entry), digest_size=16).hexdigest()
    yield finished_access(
        LoggedAccess(
            time=microseconds(time),
            principal=name(body, "principal"),
            product=PRODUCT,
            service=SERVICE,
            action=action,
            provider=name(body, "source"),
            operation=action,
            outcome=outcome,
            reason=without_secrets(name(body, "reason")),
            id=f"{name(body, 'id')[:200]}/{digest}",
            credential=name(body, "credential"),
            organization=origin,
            client_address=name(body, "client_address"),
            asset=asset,
            asset_digest=name(body, "asset_digest"),
            bytes=count(body.get("bytes"), "bytes"),
            request_digest=name(body, "request_digest"),
            fields=flat(body | told, _WITHOUT, secrets=secrets),
        )
    )
