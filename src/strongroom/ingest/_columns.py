"""Exchanges and access events to batches of rows for the store; a sketch stands in the place of each text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.core.records import Exchange, LoggedAccess
from strongroom.sketch import FLAGS, NO_SHINGLE, Sketcher
from strongroom.store import ACCESS_EVENTS, EXCHANGES

__all__ = ["access_batch", "to_batch"]

_TEXTS = [
    *("account", "end_user", "organization", "credential", "session", "client_address", "tls_fingerprint"),
    *("user_agent", "payment_digest", "email_domain", "country", "id", "operation", "model"),
]
_ACCESS_TEXTS = [
    *("principal", "principal_kind", "credential", "session", "organization", "client_address", "user_agent", "region"),
    *("id", "action", "provider", "operation", "resource", "asset", "asset_digest", "outcome", "reason"),
    *("request_digest", "product", "service"),
]
_NUMBERS = ["status", "input_tokens", "output_tokens", "max_tokens", "turn"]


def to_batch(
    exchanges: Sequence[Exchange],
    *,
    places: Sequence[int],
    line_keys: npt.NDArray[np.int64],
    record_keys: npt.NDArray[np.int64],
    source: str,
    format: str,
    sketcher: Sketcher,
    keep_text: bool,
) -> pa.RecordBatch:
    """Rows with the columns of EXCHANGES, one per exchange, in order. `keep_text` keeps the texts themselves."""
    if not exchanges:
        return pa.RecordBatch.from_pylist([], schema=EXCHANGES)
    columns = {name: _text(exchanges, name) for name in _TEXTS}
    columns |= {name: _number(exchanges, name) for name in _NUMBERS}
    columns |= _sketches(exchanges, sketcher)
    n = len(exchanges)
    columns["time"] = pa.array([e.time for e in exchanges], pa.timestamp("us", "UTC"))
    columns["subject"] = pa.array([f"{e.account}/{e.end_user}" if e.end_user else e.account for e in exchanges])
    columns["asn"] = pa.array([e.asn or None for e in exchanges], pa.int64())
    columns["signup_time"] = pa.array(
        [None if e.signup_time < 0 else e.signup_time for e in exchanges], pa.timestamp("us", "UTC")
    )
    columns["temperature"] = pa.array([None if e.temperature < 0 else e.temperature for e in exchanges], pa.float32())
    columns["text"] = pa.array([(e.text or None) if keep_text else None for e in exchanges], pa.string())
    columns |= _origin(n, source, format, places, line_keys, record_keys)
    return pa.RecordBatch.from_arrays([columns[name] for name in EXCHANGES.names], schema=EXCHANGES)


def access_batch(
    events: Sequence[LoggedAccess],
    *,
    places: Sequence[int],
    line_keys: npt.NDArray[np.int64],
    record_keys: npt.NDArray[np.int64],
    source: str,
    format: str,
) -> pa.RecordBatch:
    """Rows with the columns of ACCESS_EVENTS, one per event, in order."""
    if not events:
        return pa.RecordBatch.from_pylist([], schema=ACCESS_EVENTS)
    columns = {name: _text(events, name) for name in _ACCESS_TEXTS}
    columns["time"] = pa.array([e.time for e in events], pa.timestamp("us", "UTC"))
    columns["bytes"] = pa.array([None if e.bytes < 0 else e.bytes for e in events], pa.int64())
    columns["fields"] = pa.array([list(e.fields.items()) for e in events], ACCESS_EVENTS.field("fields").type)
    columns |= _origin(len(events), source, format, places, line_keys, record_keys)
    return pa.RecordBatch.from_arrays([columns[name] for name in ACCESS_EVENTS.names], schema=ACCESS_EVENTS)


def _origin(
    n: int,
    source: str,
    format: str,
    places: Sequence[int],
    line_keys: npt.NDArray[np.int64],
    record_keys: npt.NDArray[np.int64],
) -> dict[str, pa.Array]:
    """Where rows came from."""
    same = pa.array(np.zeros(n, dtype=np.int32))
    return {
        "source": pa.array([source]).take(same),
        "format": pa.array([format]).take(same),
        "position": pa.array(places, pa.int64()),
        "line_key": pa.array(line_keys, pa.int64()),
        "record_key": pa.array(record_keys, pa.int64()),
    }


def _text(rows: Sequence[Exchange | LoggedAccess], name: str) -> pa.Array:
    return pa.array([getattr(row, name) or None for row in rows], pa.string())


def _number(exchanges: Sequence[Exchange], name: str) -> pa.Array:
    values = [None if (value := getattr(e, name)) < 0 else value for e in exchanges]
    return pa.array(values, EXCHANGES.field(name).type)


def _sketches(exchanges: Sequence[Exchange], sketcher: Sketcher) -> dict[str, pa.Array]:
    sketches = sketcher.sketch([e.text for e in exchanges])
    # Asking for log-probabilities is a flag of the request, whatever the text says.
    probing = np.array([e.logprobs for e in exchanges], dtype=np.int32) * FLAGS["logprob_probing"]
    n = len(exchanges)
    empty = np.array([not e.text for e in exchanges], dtype=bool)
    systems = {system: sketcher.digest(system) for system in {e.system for e in exchanges} if system}
    minhash, shingles = sketches.minhash, sketches.minhash != NO_SHINGLE
    offsets = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(shingles.sum(axis=1), out=offsets[1:])
    size = sketches.embedding.shape[1]
    places = np.arange(n + 1, dtype=np.int32) * size
    buffers = [None, pa.py_buffer(places), pa.py_buffer(np.ascontiguousarray(sketches.embedding))]
    return {
        "text_digest": pa.array(sketches.digest, mask=empty),
        "system_digest": pa.array([systems.get(e.system) for e in exchanges], pa.int64()),
        "head": pa.array(sketches.head, mask=empty | (sketches.words == 0)),
        "tail": pa.array(sketches.tail, mask=empty | (sketches.words == 0)),
        "minhash": pa.ListArray.from_arrays(pa.array(offsets), pa.array(minhash[shingles])),
        # A text without words has an embedding of zeros, which adds nothing to any sum.
        "embedding": pa.Array.from_buffers(pa.binary(), n, buffers),
        "words": pa.array(sketches.words),
        "language": pa.array([name or None for name in sketches.language], pa.string()),
        "flags": pa.array(sketches.flags | probing),
    }
