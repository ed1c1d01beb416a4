"""LiteLLM's StandardLoggingPayload and SpendLogs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.readers.litellm import LiteLLMReader

READER = LiteLLMReader()
HASH = hashlib.sha256(b"sk-0f4cu5t0mer7").hexdigest()
KEY = "key:" + HASH[:12]
PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "trace_id": "t",
    "call_type": "acompletion",
    "status": "success",
    "prompt_tokens": 21,
    "completion_tokens": 180,
    "startTime": 1_793_525_400.123,
    "model": "gpt-4o",
    "metadata": {"user_api_key_hash": HASH, "user_api_key_user_id": "ann", "user_api_key_team_id": "team"},
    "messages": [{"role": "user", "content": "Sort."}],
    "model_parameters": {"max_tokens": 5, "logprobs": True, "top_logprobs": 5},
}
ROW: dict[str, Any] = {
    "request_id": "r1",
    "call_type": "aembedding",
    "api_key": HASH,
    "startTime": "2026-11-01 09:30:00.123",
    "model": "m",
    "user": "",
    "metadata": "{}",
    "messages": "{}",
    "response": "{}",
    "proxy_server_request": "{}",
    "prompt_tokens": 3,
    "completion_tokens": 0,
    "team_id": "team",
}


def read(record: dict[str, Any], **changes: Any) -> Exchange:
    (exchange,) = READER.read(json.dumps(record | changes).encode())
    return exchange


def refused(record: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(RecordError) as error:
        list(READER.read(json.dumps(record | changes).encode()))
    return error.value.reason


def test_a_payload_arrives_whole() -> None:
    assert read(PAYLOAD) == Exchange(
        time=1_793_525_400_123_000,
        account="ann",
        text="Sort.",
        id="chatcmpl-1",
        organization="team",
        credential=KEY,
        session="t",
        operation="acompletion",
        model="gpt-4o",
        input_tokens=21,
        output_tokens=180,
        status=200,
        max_tokens=5,
        logprobs=True,
    )


def test_a_row_without_prompt_keeps_its_counts() -> None:
    exchange = read(ROW)
    assert (exchange.text, exchange.input_tokens, exchange.account, exchange.id) == ("", 3, KEY, "r1")


def test_a_rows_prompt_is_found_where_it_is_stored() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    assert read(ROW, messages=json.dumps(messages)).text == "q"
    request = {"model": "m", "messages": messages, "max_tokens": 9}
    exchange = read(ROW, proxy_server_request=json.dumps(request))
    assert (exchange.text, exchange.system, exchange.max_tokens) == ("q", "s", 9)
    assert read(ROW, proxy_server_request={"url": "http://x", "body": request}).text == "q"
    assert read(ROW, messages={"input": ["a", "b"]}).text == "a\nb"


def test_redacted_messages_are_no_text() -> None:
    assert read(PAYLOAD, messages=[{"role": "user", "content": "redacted-by-litellm"}]).text == ""
    assert read(PAYLOAD, messages="redacted-by-litellm").text == ""


def test_the_administrators_stand_in_is_nobodys_account() -> None:
    metadata = {"user_api_key_hash": HASH, "user_api_key_user_id": "default_user_id"}
    assert read(PAYLOAD, metadata=metadata).account == KEY
    assert read(ROW, user="default_user_id").account == KEY


def test_the_team_is_the_account_where_there_is_neither_user_nor_key() -> None:
    assert read(ROW, api_key="").account == "team"
    assert refused(ROW, api_key="", team_id=None) == "no account"


def test_a_key_in_the_clear_becomes_the_digest_that_its_hash_has() -> None:
    exchange = read(ROW, api_key="sk-0f4cu5t0mer7")
    assert exchange.credential == exchange.account == KEY
    assert read(PAYLOAD, metadata={"user_api_key_user_id": "sk-0f4cu5t0mer7"}).account == KEY


def test_the_error_of_a_failure_is_its_status() -> None:
    assert read(PAYLOAD, status="failure", error_information={"error_code": "429"}).status == 429
    assert read(PAYLOAD, status="failure", error_information={"error_code": "oops"}).status == -1
    failed = {"user_api_key": HASH, "status": "failure", "error_information": {"error_code": 400}}
    assert read(ROW, metadata=json.dumps(failed)).status == 400


def test_the_longest_user_agent_tag_is_kept() -> None:
    tags = ["User-Agent: curl", "prod", "User-Agent: curl/8.5"]
    assert read(PAYLOAD, request_tags=tags).user_agent == "curl/8.5"
    assert read(ROW, request_tags=json.dumps(tags)).user_agent == "curl/8.5"


def test_calls_of_tools_are_not_exchanges() -> None:
    assert list(READER.read(json.dumps(PAYLOAD | {"call_type": "call_mcp_tool"}).encode())) == []


def test_what_the_proxy_wrote_wrongly_is_refused() -> None:
    assert refused(PAYLOAD, metadata=5) == "wrong type"
    assert refused(PAYLOAD, prompt_tokens=-1) == "prompt_tokens out of range"
    assert refused(PAYLOAD, prompt_tokens="many") == "wrong type"
    assert refused(PAYLOAD, startTime=None) == "required field missing"
    assert refused(PAYLOAD, startTime=0) == "time out of range"


def test_what_the_client_sent_wrongly_is_not() -> None:
    exchange = read(PAYLOAD, messages={"x": [1]}, model_parameters={"max_tokens": {}, "temperature": "hot"})
    assert (exchange.text, exchange.max_tokens, exchange.temperature) == ("", -1, -1.0)
