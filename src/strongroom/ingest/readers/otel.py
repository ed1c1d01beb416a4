"""OpenTelemetry spans of calls to models: `gen_ai.*` old and new, OpenLLMetry, OpenInference, Vercel's AI SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import check_duplicate_keys

from ._json import embedded, load_object
from ._otel_text import conversation_of_span
from ._otlp import attributes_of, field, spans
from ._rows import each
from ._secrets import digest
from ._time import microseconds
from ._values import add_settings, count, finished, first, name

__all__ = ["OpenTelemetryReader"]

_KEYS = (b'"resourceSpans"', b'"scopeSpans"', b'"startTimeUnixNano"', b'"attributes"')
_USERS = (
    "enduser.id",
    "user.id",
    "enduser.pseudo.id",
    "gen_ai.user.id",
    "gen_ai.request.user",
    "llm.user",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "traceloop.association.properties.userId",
    "ai.telemetry.metadata.userId",
)
_SESSIONS = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
)
_ADDRESSES = ("client.address", "http.client_ip", "source.address", "net.sock.peer.addr", "net.peer.ip")
_ORGANIZATIONS = (
    "organization.id",
    "tenant.id",
    "traceloop.association.properties.organization_id",
    "service.namespace",
)
_MODELS = (
    "gen_ai.request.model",
    "llm.request.model",
    "llm.model_name",
    "embedding.model_name",
    "gen_ai.response.model",
)
_INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
)
_OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
)
_OPERATIONS = ("gen_ai.operation.name", "llm.request.type", "openinference.span.kind")
_STARTS = ("gen_ai.", "llm.", "embedding.")
# Steps around a call: the call has a span of its own, and would count twice.
_AROUND = frozenset({"execute_tool", "create_agent", "invoke_workflow", "plan"})
_OWN_SPAN_KINDS = frozenset({"llm", "embedding", "unknown"})
_CLIENT = (3, "3", "SPAN_KIND_CLIENT")


class OpenTelemetryReader:
    """Reads OTLP/JSON traces."""

    name = "otel"
    title = "OpenTelemetry gen_ai spans (OTLP JSON)"
    reference = "https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/"
    metadata_only = False

    def claims(self, record: dict[str, Any]) -> int:
        """95 for an export request of traces, 80 for a span alone with attributes of a model call."""
        if field(record, "resourceSpans") is not None:
            return 95
        if "attributes" not in record or not _start_time(record):
            return 0
        try:
            return 80 if _is_model_call(attributes_of(record["attributes"]), record) else 0
        except RecordError:
            return 0

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The exchanges of a record, one for each span of a model call. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        return each(({"span": span, "resource": resource} for span, resource in spans(record)), _read)


def _read(pair: dict[str, Any]) -> Iterator[Exchange]:
    span, resource = pair["span"], pair["resource"]
    attributes = attributes_of(span.get("attributes"))
    if not _is_model_call(attributes, span):
        return
    everything = resource | attributes if resource else attributes
    text, system, turn = conversation_of_span(attributes, span)
    start = _start_time(span)
    if start is None:
        raise RecordError("required field missing", "no startTimeUnixNano")
    exchange = Exchange(
        time=microseconds(start),
        account=_account(everything),
        text=text,
        system=system,
        turn=turn,
        id=_identifier(span),
        organization=name(everything, *_ORGANIZATIONS),
        credential=_credential(everything),
        session=name(everything, *_SESSIONS),
        client_address=name(everything, *_ADDRESSES),
        user_agent=name(everything, "user_agent.original", "http.user_agent"),
        operation=name(attributes, *_OPERATIONS).lower(),
        model=name(attributes, *_MODELS),
        input_tokens=count(first(attributes, *_INPUT_TOKENS), "input tokens"),
        output_tokens=count(first(attributes, *_OUTPUT_TOKENS), "output tokens"),
        status=count(first(everything, "http.response.status_code", "http.status_code"), "status"),
    )
    add_settings(exchange, _request(attributes))
    yield finished(exchange)


def _is_model_call(attributes: dict[str, Any], span: dict[str, Any]) -> bool:
    if not any(key.startswith(_STARTS) for key in attributes):
        return False
    operation = attributes.get("gen_ai.operation.name")
    if operation == "invoke_agent":  # an agent elsewhere; one in this process makes its calls in its own spans
        return span.get("kind") in _CLIENT
    if isinstance(operation, str):
        return operation not in _AROUND
    kind = attributes.get("openinference.span.kind")
    if isinstance(kind, str):
        return kind.lower() in _OWN_SPAN_KINDS
    return "traceloop.span.kind" not in attributes or first(attributes, *_MODELS) is not None


def _start_time(span: dict[str, Any]) -> Any:
    start = field(span, "startTimeUnixNano")
    return start if start is not None else field(span, "startTime")


def _account(attributes: dict[str, Any]) -> str:
    """A named user, else the key, else the client's address, the conversation, the service."""
    user = name(attributes, *_USERS) or _credential(attributes)
    if user:
        return user
    for kind, keys in (("address", _ADDRESSES), ("session", _SESSIONS), ("service", ("service.name",))):
        found = name(attributes, *keys)
        if found:
            return f"{kind}:{found}"
    return ""


def _credential(attributes: dict[str, Any]) -> str:
    """A digest of the key, where an instrumentation recorded request headers."""
    for header in ("authorization", "x-api-key", "api-key"):
        value = attributes.get(f"http.request.header.{header}", attributes.get(f"llm.headers.{header}"))
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value.strip():
            return digest(value)
    return name(attributes, "gen_ai.request.api_key_id", "api_key.id")


def _identifier(span: dict[str, Any]) -> str:
    context = span.get("context")
    holder = context if isinstance(context, dict) else span
    trace, own = field(holder, "traceId"), field(holder, "spanId")
    return f"{trace}:{own}" if isinstance(trace, str) and isinstance(own, str) else ""


def _request(attributes: dict[str, Any]) -> dict[str, Any]:
    parameters = embedded(attributes.get("llm.invocation_parameters"))
    found: dict[str, Any] = dict(parameters) if isinstance(parameters, dict) else {}
    for key in ("max_tokens", "temperature", "logprobs", "top_logprobs"):
        value = first(attributes, f"gen_ai.request.{key}", f"llm.request.{key}", f"llm.{key}")
        if value is not None:
            found[key] = value
    return found
