"""Langfuse exports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.readers.langfuse import LangfuseReader

READER = LangfuseReader()
MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
GENERATION: dict[str, Any] = {
    "id": "o1",
    "traceId": "t1",
    "type": "GENERATION",
    "startTime": "2026-11-01T09:30:00.123Z",
    "model": "m",
    "input": MESSAGES,
    "modelParameters": {"temperature": 0.5, "max_tokens": "9", "logprobs": "true"},
    "usageDetails": {"input": 3, "output": 4},
    "userId": "ann",
    "sessionId": "s1",
}
TRACE: dict[str, Any] = {
    "id": "t1",
    "timestamp": "2026-11-01T09:30:00Z",
    "projectId": "p",
    "tags": [],
    "userId": "ann",
    "sessionId": "s1",
    "input": "q",
}


def read_all(record: dict[str, Any]) -> list[Exchange]:
    return list(READER.read(json.dumps(record).encode()))


def read(**changes: Any) -> Exchange:
    (exchange,) = read_all(GENERATION | changes)
    return exchange


def test_a_generation_arrives_whole() -> None:
    assert read() == Exchange(
        time=1_793_525_400_123_000,
        account="ann",
        text="q",
        system="s",
        id="o1",
        session="s1",
        operation="generation",
        model="m",
        input_tokens=3,
        output_tokens=4,
        max_tokens=9,
        temperature=0.5,
        logprobs=True,
    )


INPUTS: dict[str, Any] = {
    "messages": MESSAGES,
    "JSON": json.dumps(MESSAGES),
    "an object": {"messages": MESSAGES},
    "JSON of an object in JSON": json.dumps(json.dumps({"messages": MESSAGES})),
    "text": "q",
    "a prompt": {"prompt": "q"},
    "one message": {"role": "user", "content": "q"},
    "an application's own object": {"question": "q", "depth": 3},
    "messages of LangChain": [[{"type": "human", "data": {"content": "q"}}]],
    "serialised messages of LangChain": [
        {"type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": "q"}}
    ],
    "items of the Responses API": {
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]}]
    },
    "contents of Gemini": {
        "contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]
    },
    "pairs": [["human", "q"]],
}


@pytest.mark.parametrize("case", INPUTS)
def test_every_shape_of_input_is_understood(case: str) -> None:
    assert read(input=INPUTS[case]).text == "q"


def test_a_text_that_is_json_but_no_conversation_is_the_users_text() -> None:
    assert read(input="[1, 2]").text == "[1, 2]"
    assert read(input="{not json}").text == "{not json}"
    assert read(input='{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}').text == ""


def test_a_row_of_csv_is_read() -> None:
    row = {
        "id": "o1",
        "trace_id": "t1",
        "type": "GENERATION",
        "start_time": "2026-11-01 09:30:00.123000",
        "provided_model_name": "m",
        "input": json.dumps(MESSAGES),
        "model_parameters": '{"max_tokens": 9}',
        "usage_details": '{"input": 3, "output": 4}',
        "user_id": "ann",
        "session_id": "",
    }
    (exchange,) = read_all(row)
    assert (exchange.time, exchange.text, exchange.input_tokens, exchange.max_tokens) == (
        1_793_525_400_123_000,
        "q",
        3,
        9,
    )


def test_counts_of_older_versions_are_read() -> None:
    exchange = read(usageDetails=None, usage={"promptTokens": 3, "completionTokens": 4, "unit": "TOKENS"})
    assert (exchange.input_tokens, exchange.output_tokens) == (3, 4)
    assert read(usageDetails={}, promptTokens=5).input_tokens == 5


def test_without_a_user_the_session_is_the_account() -> None:
    assert read(userId=None).account == "session:s1"
    with pytest.raises(RecordError) as error:
        read(userId=None, sessionId="")
    assert error.value.reason == "no account"


def test_other_observations_and_scores_are_not_exchanges() -> None:
    assert read_all(GENERATION | {"type": "SPAN"}) == []
    assert read_all({"id": "s", "timestamp": "2026-11-01T09:30:00Z", "value": 1, "name": "accuracy"}) == []


def test_a_trace_is_one_exchange_or_stands_for_its_generations() -> None:
    assert [exchange.operation for exchange in read_all(TRACE)] == ["trace"]
    part = {key: value for key, value in GENERATION.items() if key not in ("userId", "sessionId")} | {"userId": None}
    (exchange,) = read_all(TRACE | {"observations": [part, part | {"type": "SPAN"}]})
    assert (exchange.operation, exchange.account, exchange.session) == ("generation", "ann", "s1")
    assert [exchange.operation for exchange in read_all(TRACE | {"observations": ["o1", "o2"]})] == ["trace"]


def test_a_page_of_the_api_is_read() -> None:
    page = {"data": [GENERATION, GENERATION | {"type": "EVENT"}], "meta": {"page": 1}}
    assert READER.claims(page) == 90
    assert len(read_all(page)) == 1


def test_what_litellm_writes_into_the_metadata_is_used() -> None:
    exchange = read(metadata={"user_api_key_hash": "ab" * 32, "requester_ip_address": "203.0.113.7", "x": {}})
    assert (exchange.credential, exchange.client_address) == ("key:abababababab", "203.0.113.7")
