"""OpenTelemetry spans in OTLP/JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.readers.otel import OpenTelemetryReader

READER = OpenTelemetryReader()
MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]


def value_of(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [value_of(each) for each in value]}}
        case dict():
            return {"kvlistValue": {"values": attributes(value)}}
        case _:
            return {"stringValue": value}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value_of(value)} for key, value in values.items()]


def span(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "traceId": "5b8e",
        "spanId": "eee1",
        "startTimeUnixNano": "1793525400123456789",
        "attributes": attributes({"user.id": "ann", "gen_ai.request.model": "m"} | values),
    } | more


def export(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    scope = {"scope": {}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource or {})}, "scopeSpans": [scope]}]}


def read_all(record: dict[str, Any]) -> list[Exchange]:
    return list(READER.read(json.dumps(record).encode()))


def read(values: dict[str, Any], *, resource: dict[str, Any] | None = None, **more: Any) -> Exchange:
    (exchange,) = read_all(export(span(values, **more), resource=resource))
    return exchange


def test_a_span_arrives_whole() -> None:
    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "q"}]}]),
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "s"}]),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.conversation.id": "c",
        "client.address": "203.0.113.7",
        "http.response.status_code": 200,
    }
    assert read(values, resource={"service.namespace": "shop"}) == Exchange(
        time=1_793_525_400_123_456,
        account="ann",
        text="q",
        system="s",
        id="5b8e:eee1",
        organization="shop",
        session="c",
        client_address="203.0.113.7",
        operation="chat",
        model="m",
        input_tokens=3,
        output_tokens=4,
        status=200,
        max_tokens=5,
        temperature=0.5,
    )


CONTENTS: dict[str, dict[str, Any]] = {
    "input messages as JSON": {"gen_ai.input.messages": json.dumps(MESSAGES)},
    "input messages as a structure": {"gen_ai.input.messages": MESSAGES},
    "prompt as JSON": {"gen_ai.prompt": json.dumps(MESSAGES)},
    "numbered prompts": {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "s",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "q",
    },
    "numbered prompts with parts as JSON": {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "s",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": json.dumps([{"type": "text", "text": "q"}]),
    },
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "s",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "q",
    },
    "OpenInference input value": {"llm.model_name": "m", "input.value": json.dumps({"messages": MESSAGES})},
    "Vercel's AI SDK": {"ai.prompt.messages": json.dumps(MESSAGES)},
}


@pytest.mark.parametrize("case", CONTENTS)
def test_every_place_of_the_conversation_is_read(case: str) -> None:
    exchange = read(CONTENTS[case])
    assert (exchange.text, exchange.system, exchange.turn) == ("q", "s", 1)


EVENTS: dict[str, list[dict[str, Any]]] = {
    "one event for each message": [
        {"name": "gen_ai.system.message", "attributes": attributes({"content": "s"})},
        {"name": "gen_ai.user.message", "attributes": attributes({"content": "q"})},
        {"name": "gen_ai.choice", "attributes": attributes({"content": "answer"})},
    ],
    "messages as JSON": [
        {"name": "gen_ai.system.message", "attributes": attributes({"gen_ai.event.content": '{"content":"s"}'})},
        {"name": "gen_ai.user.message", "attributes": attributes({"gen_ai.event.content": '{"content":"q"}'})},
    ],
    "the whole prompt": [
        {"name": "gen_ai.content.prompt", "attributes": attributes({"gen_ai.prompt": json.dumps(MESSAGES)})}
    ],
    "details of the operation": [
        {
            "name": "gen_ai.client.inference.operation.details",
            "attributes": attributes({"gen_ai.input.messages": json.dumps(MESSAGES)}),
        }
    ],
}


@pytest.mark.parametrize("case", EVENTS)
def test_events_of_a_span_hold_the_conversation_too(case: str) -> None:
    exchange = read({}, events=EVENTS[case])
    assert (exchange.text, exchange.system) == ("q", "s")


def test_older_names_of_counts_are_read() -> None:
    exchange = read({"gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.completion_tokens": 4})
    assert (exchange.input_tokens, exchange.output_tokens) == (3, 4)
    exchange = read({"llm.token_count.prompt": 3, "llm.invocation_parameters": '{"top_logprobs": 5}'})
    assert (exchange.input_tokens, exchange.logprobs) == (3, True)


def test_older_envelopes_and_single_spans_are_read() -> None:
    one = span({})
    older = {"resourceSpans": [{"instrumentationLibrarySpans": [{"spans": [one]}]}]}
    snake = {"resource_spans": [{"scope_spans": [{"spans": [one]}]}]}
    console = {
        "name": "chat",
        "context": {"trace_id": "0x1", "span_id": "0x2"},
        "start_time": "2026-11-01T09:30:00.5Z",
        "attributes": {"gen_ai.system": "openai", "user.id": "ann"},
    }
    for record in (older, snake, one, console):
        assert READER.claims(record) >= 80
        assert [exchange.account for exchange in read_all(record)] == ["ann"]


NOT_CALLS: dict[str, dict[str, Any]] = {
    "database": {"db.system": "postgresql"},
    "tool": {"gen_ai.operation.name": "execute_tool"},
    "agent in this process": {"gen_ai.operation.name": "invoke_agent"},
    "chain": {"openinference.span.kind": "CHAIN", "llm.model_name": "m"},
}


@pytest.mark.parametrize("case", NOT_CALLS)
def test_spans_that_are_no_calls_of_a_model_are_not_exchanges(case: str) -> None:
    record = export({"startTimeUnixNano": "1793525400123456789", "attributes": attributes(NOT_CALLS[case])})
    assert read_all(record) == []


def test_a_workflow_step_of_openllmetry_is_not_an_exchange() -> None:
    values = {"traceloop.span.kind": "workflow", "gen_ai.agent.name": "x"}
    assert read_all(export({"startTimeUnixNano": "1793525400123456789", "attributes": attributes(values)})) == []


def test_an_agent_elsewhere_is_an_exchange() -> None:
    assert read({"gen_ai.operation.name": "invoke_agent"}, kind=3).operation == "invoke_agent"


ACCOUNTS: list[tuple[dict[str, Any], str]] = [
    ({"enduser.id": "e", "user.id": "u"}, "e"),
    ({"user.id": "u", "client.address": "203.0.113.7"}, "u"),
    ({"client.address": "203.0.113.7", "session.id": "s"}, "address:203.0.113.7"),
    ({"gen_ai.conversation.id": "c"}, "session:c"),
    ({}, "service:bot"),
]


@pytest.mark.parametrize(("values", "account"), ACCOUNTS)
def test_the_surest_account_is_taken(values: dict[str, Any], account: str) -> None:
    one = {"startTimeUnixNano": 1793525400123456789, "attributes": attributes({"gen_ai.system": "x"} | values)}
    (exchange,) = read_all(export(one, resource={"service.name": "bot"}))
    assert exchange.account == account


def test_a_recorded_key_is_kept_as_digest_only() -> None:
    values = {"gen_ai.system": "x", "http.request.header.authorization": ["Bearer sk-0f4cu5t0mer7"]}
    (exchange,) = read_all(export({"startTimeUnixNano": "1793525400123456789", "attributes": attributes(values)}))
    assert exchange.account == exchange.credential
    assert exchange.credential.startswith("key:")
    assert "customer" not in repr(exchange)


def test_one_bad_span_does_not_spoil_the_others() -> None:
    found = iter(READER.read(json.dumps(export(span({}, startTimeUnixNano="1"), span({}))).encode()))
    assert next(found).account == "ann"
    with pytest.raises(RecordError) as error:
        next(found)
    assert error.value.reason == "time out of range"


def test_an_attribute_that_nests_without_end_is_refused() -> None:
    nested: Any = {"stringValue": "x"}
    for _ in range(60):
        nested = {"arrayValue": {"values": [nested]}}
    with pytest.raises(RecordError) as error:
        read_all(export({"startTimeUnixNano": "1", "attributes": [{"key": "gen_ai.prompt", "value": nested}]}))
    assert error.value.reason == "nested too deep"
