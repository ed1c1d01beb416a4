"""Langfuse: observations and traces, from its user interface, its API or its export to a bucket.

The same columns come as camelCase and as snake_case, and from CSV with JSON in text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import check_duplicate_keys

from ._json import embedded, load_object
from ._rows import each
from ._secrets import key_name
from ._shapes import conversation_of
from ._time import microseconds
from ._values import add_settings, count, finished, first, name

__all__ = ["LangfuseReader"]

_KEYS = (b'"userId"', b'"user_id"', b'"startTime"', b'"start_time"', b'"traceId"', b'"trace_id"', b'"input"')
_TYPES = frozenset(
    ("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
)
_USERS = ("userId", "user_id", "traceUserId", "trace_user_id")
_SESSIONS = ("sessionId", "session_id")
_TRACES = ("traceId", "trace_id")
_STARTS = ("startTime", "start_time", "timestamp")
_MODELS = ("model", "providedModelName", "provided_model_name", "internalModel", "modelName")
_INPUTS = ("input", "promptTokens", "prompt_tokens", "inputTokens", "input_tokens", "inputUsage", "input_usage")
_OUTPUTS = ("output", "completionTokens", "completion_tokens", "outputTokens", "output_tokens", "outputUsage")


class LangfuseReader:
    """Reads Langfuse's exports."""

    name = "langfuse"
    title = "Langfuse export (generations and traces)"
    reference = "https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields"
    metadata_only = False

    def claims(self, record: dict[str, Any]) -> int:
        """90 for an observation, 85 for a trace, also inside a page of the API."""
        nested = record.get("data")
        if isinstance(nested, list) and nested and isinstance(nested[0], dict) and "meta" in record:
            record = nested[0]
        kind = record.get("type")
        observed = first(record, *_TRACES) and first(record, "startTime", "start_time")
        if isinstance(kind, str) and kind.upper() in _TYPES and observed:
            return 90
        return 85 if _is_trace(record) else 0

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The exchange of a generation, or of a trace without its observations; of others none.

        Raises RecordError.
        """
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        page = record.get("data")
        rows = page if isinstance(page, list) and "meta" in record else [record]
        return each((part for row in rows for part in _with_observations(row)), _read)


def _is_trace(record: dict[str, Any]) -> bool:
    known = ("projectId", "project_id", "bookmarked", "release", "tags", "externalId", "observations")
    return (
        "timestamp" in record
        and "type" not in record
        and ("input" in record or "observations" in record)
        and ("userId" in record or "user_id" in record or "sessionId" in record or "session_id" in record)
        and sum(key in record for key in known) >= 2
    )


def _with_observations(row: Any) -> Iterator[Any]:
    """A trace that holds its observations stands for them, and lends them its user and session."""
    observations = embedded(row.get("observations")) if isinstance(row, dict) else None
    if not (isinstance(observations, list) and any(isinstance(each, dict) for each in observations)):
        yield row
        return
    for observation in observations:
        if not isinstance(observation, dict):  # the list API names them only
            continue
        lent = {"userId": first(row, *_USERS), "sessionId": first(row, *_SESSIONS), "metadata": row.get("metadata")}
        yield lent | {key: value for key, value in observation.items() if value is not None}


def _read(record: dict[str, Any]) -> Iterator[Exchange]:
    kind = name(record, "type")
    if kind.upper() != "GENERATION" and not _is_trace(record):
        return
    start = first(record, *_STARTS)
    if start is None:
        raise RecordError("required field missing", "no startTime")
    text, system, turn = conversation_of(record.get("input"))
    session = name(record, *_SESSIONS)
    user = name(record, *_USERS)
    metadata = embedded(record.get("metadata"))
    metadata = metadata if isinstance(metadata, dict) else {}
    exchange = Exchange(
        time=microseconds(start),
        account=user or (f"session:{session}" if session else ""),
        text=text,
        system=system,
        turn=turn,
        id=name(record, "id"),
        session=session or name(record, *_TRACES),
        client_address=_from_litellm(metadata, "requester_ip_address"),
        credential=_credential(metadata),
        organization=_from_litellm(metadata, "user_api_key_org_id", "user_api_key_team_id"),
        operation=kind.lower() or "trace",
        model=name(record, *_MODELS),
        input_tokens=_tokens(record, _INPUTS),
        output_tokens=_tokens(record, _OUTPUTS),
    )
    add_settings(exchange, embedded(first(record, "modelParameters", "model_parameters")))
    yield finished(exchange)


def _tokens(record: dict[str, Any], keys: tuple[str, ...]) -> int:
    """From `usageDetails`, `usage` or a column; `input` and `output` of the record itself are texts."""
    for field in ("usageDetails", "usage_details", "usage"):
        usage = embedded(record.get(field))
        if isinstance(usage, dict):
            value = first(usage, *keys)
            if value is not None:
                return count(value, keys[0] + " tokens")
    return count(first(record, *keys[1:]), keys[0] + " tokens")


def _credential(metadata: dict[str, Any]) -> str:
    hashed = _from_litellm(metadata, "user_api_key_hash")
    return key_name(hashed) if hashed else _from_litellm(metadata, "user_api_key_alias")


def _from_litellm(metadata: dict[str, Any], *keys: str) -> str:
    """LiteLLM, which often writes to Langfuse, adds these to the metadata; other software may use the names."""
    return next((value for key in keys if isinstance(value := metadata.get(key), str)), "")
