"""AWS Bedrock's invocation logs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.readers.bedrock import BedrockReader

READER = BedrockReader()
RECORD: dict[str, Any] = {
    "schemaType": "ModelInvocationLog",
    "schemaVersion": "1.0",
    "timestamp": "2026-11-01T09:30:00Z",
    "accountId": "123456789012",
    "identity": {"arn": "arn:aws:iam::123456789012:user/ann"},
    "requestId": "r1",
    "operation": "InvokeModel",
    "modelId": "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-v1:0",
    "input": {"inputBodyJson": {"prompt": "x"}, "inputTokenCount": 15},
    "output": {"outputTokenCount": 60},
}


def read_all(record: dict[str, Any]) -> list[Exchange]:
    return list(READER.read(json.dumps(record).encode()))


def read(body: Any = None, **changes: Any) -> Exchange:
    (exchange,) = read_all(RECORD | {"input": {"inputBodyJson": body, "inputTokenCount": 15}} | changes)
    return exchange


def said(body: Any) -> tuple[str, str, int]:
    exchange = read(body)
    return exchange.text, exchange.system, exchange.turn


def test_a_record_arrives_whole() -> None:
    assert read({"prompt": "Hello", "max_gen_len": 64, "temperature": 0.5}) == Exchange(
        time=1_793_525_400_000_000,
        account="arn:aws:iam::123456789012:user/ann",
        text="Hello",
        id="r1",
        organization="123456789012",
        credential="arn:aws:iam::123456789012:user/ann",
        operation="InvokeModel",
        model="eu.anthropic.claude-v1:0",
        input_tokens=15,
        output_tokens=60,
        max_tokens=64,
        temperature=0.5,
    )


BODIES: dict[str, tuple[Any, tuple[str, str, int]]] = {
    "anthropic messages": (
        {
            "anthropic_version": "bedrock-2023-05-31",
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": [{"type": "image", "source": {}}, {"type": "text", "text": "c"}]},
            ],
        },
        ("c", "Be brief.", 2),
    ),
    "anthropic system parts": (
        {"system": [{"type": "text", "text": "s"}], "messages": [{"role": "user", "content": "a"}]},
        ("a", "s", 1),
    ),
    "anthropic text": ({"prompt": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"}, ("c", "", 2)),
    "converse": (
        {
            "system": [{"text": "s"}],
            "messages": [{"role": "user", "content": [{"text": "a"}, {"guardContent": {"text": {"text": "g"}}}]}],
        },
        ("a\ng", "s", 1),
    ),
    "converse with a tool's result": (
        {
            "messages": [
                {"role": "user", "content": [{"text": "a"}]},
                {"role": "assistant", "content": [{"toolUse": {"name": "t"}}]},
                {"role": "user", "content": [{"toolResult": {"content": [{"text": "42"}]}}]},
            ]
        },
        ("a", "", 1),
    ),
    "nova": (
        {
            "schemaVersion": "messages-v1",
            "system": [{"text": "s"}],
            "messages": [{"role": "user", "content": [{"text": "a"}]}],
        },
        ("a", "s", 1),
    ),
    "titan": ({"inputText": "a", "textGenerationConfig": {"maxTokenCount": 5}}, ("a", "", 1)),
    "titan turns": ({"inputText": "User: a\nBot: b\nUser: c\nBot:"}, ("c", "", 2)),
    "llama 3": (
        {
            "prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
        },
        ("a", "s", 1),
    ),
    "llama 2": ({"prompt": "<s>[INST] <<SYS>>\ns\n<</SYS>>\n\na [/INST] b </s><s>[INST] c [/INST]"}, ("c", "s", 2)),
    "mistral": ({"prompt": "<s>[INST] a [/INST]", "max_tokens": 5}, ("a", "", 1)),
    "cohere command": (
        {"message": "c", "preamble": "s", "chat_history": [{"role": "USER", "message": "a"}]},
        ("c", "s", 2),
    ),
    "cohere embed": ({"texts": ["a", "b"], "input_type": "search_query"}, ("a\nb", "", 1)),
    "body as text": (json.dumps({"messages": [{"role": "user", "content": "a"}]}), ("a", "", 1)),
    "absent, as when it is an object of its own": (None, ("", "", 1)),
}


@pytest.mark.parametrize("case", BODIES)
def test_every_models_body_is_understood(case: str) -> None:
    body, expected = BODIES[case]
    assert said(body) == expected


def test_a_large_body_is_counted_without_text() -> None:
    (exchange,) = read_all(RECORD | {"input": {"inputBodyS3Path": "s3://b/k", "inputTokenCount": 30_000}})
    assert (exchange.text, exchange.input_tokens) == ("", 30_000)


@pytest.mark.parametrize(
    ("session", "kept"),
    [
        ("ann@example.org", True),
        ("i-0abc", True),
        ("my-function", True),
        ("botocore-session-1762000000", False),
        ("aws-go-sdk-1762000000000000000", False),
        ("aws-sdk-js-session-1762", False),
        ("5c1f9a1e-0000-4000-8000-000000000001", False),
        ("1762000000123456789", False),
    ],
)
def test_a_session_is_part_of_the_account_unless_software_made_it_up(session: str, kept: bool) -> None:
    exchange = read(identity={"arn": f"arn:aws:sts::1:assumed-role/App/{session}"})
    assert exchange.account == "arn:aws:sts::1:assumed-role/App" + (f"/{session}" if kept else "")
    assert exchange.credential == "arn:aws:iam::1:role/App"


def test_the_clients_own_metadata_names_end_user_and_session() -> None:
    exchange = read(requestMetadata={"userId": "u", "sessionId": "s", "user": {"x": 1}})
    assert (exchange.end_user, exchange.session) == ("u", "s")
    assert read(requestMetadata="x").end_user == ""


def test_errors_have_the_status_of_their_code() -> None:
    assert read(errorCode="ThrottlingException").status == 429
    assert read(errorCode="SomethingNew").status == -1


def test_records_inside_events_of_cloudwatch_are_read() -> None:
    message = json.dumps(RECORD)
    for record in ({"timestamp": 1, "message": message}, {"logEvents": [{"id": "1", "message": message}]}):
        assert READER.claims(record) == 90
        assert [exchange.id for exchange in read_all(record)] == ["r1"]


def test_one_bad_event_of_a_batch_does_not_spoil_the_others() -> None:
    bad = json.dumps(RECORD | {"timestamp": "1970-01-01T00:00:00Z"})
    found = iter(READER.read(json.dumps({"logEvents": [{"message": bad}, {"message": json.dumps(RECORD)}]}).encode()))
    assert next(found).id == "r1"
    with pytest.raises(RecordError, match="2015"):
        next(found)


def test_other_messages_are_not_exchanges() -> None:
    assert read_all({"message": '{"level":"info"}'}) == []


def test_a_record_without_identity_has_no_account() -> None:
    with pytest.raises(RecordError) as error:
        read(identity=None)
    assert error.value.reason == "no account"
