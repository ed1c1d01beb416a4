"""The exchange log's reader takes whatever its schema takes, and requires what its schema requires."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import RecordError
from strongroom.ingest.readers import exchange_log
from strongroom.ingest.readers._time import EARLIEST, LATEST

from .schemas import problems, schema, valid

NAME = "exchange-log-1.json"
READER = exchange_log.ExchangeLogReader()
MINIMAL: dict[str, Any] = {"time": "2026-11-01T09:30:00.123Z", "account": "acct_1", "prompt": "hello"}

moments = st.datetimes(datetime(2015, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.one_of(
    st.builds(lambda at, zone, sep: at.astimezone(zone).isoformat(sep), moments, offsets, st.sampled_from("T ")),
    moments.map(lambda at: at.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")),
    st.builds(lambda at, unit: int(at.timestamp() * unit), moments, st.sampled_from([1, 10**3, 10**6, 10**9])),
    moments.map(lambda at: at.timestamp()),
)
texts = st.text(max_size=30)
names = st.none() | texts
tokens = st.none() | st.integers(0, 1 << 40)
parts = st.one_of(
    texts,
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "tool_result", "x"])}, optional={"text": names}
    ),
)
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.none() | st.sampled_from(["user", "system", "assistant", "tool", "developer", ""]),
            "content": names | st.lists(parts, max_size=3),
            "tool_calls": st.just([{"id": "1"}]),
        },
    ),
    max_size=4,
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
fields = {
    "id": names | st.integers(-(1 << 40), 1 << 62),
    "organization": names,
    "credential": names,
    "end_user": names,
    "session": names,
    "client_address": names,
    "asn": st.none() | st.integers(0, (1 << 32) - 1) | st.sampled_from(["AS64500", "64500", "as1"]),
    "tls_fingerprint": names,
    "user_agent": names,
    "operation": names,
    "model": names,
    "messages": st.none() | messages,
    "prompt": names | st.lists(texts | st.integers(), max_size=3),
    "response": names,
    "input_tokens": tokens,
    "output_tokens": tokens,
    "status": st.none() | st.integers(0, 999),
    "request": st.none()
    | st.dictionaries(st.sampled_from(["max_tokens", "temperature", "logprobs", "top_logprobs", "n"]), anything),
    "signup": st.none()
    | st.fixed_dictionaries(
        {},
        optional={
            "time": names | st.integers(-10, 1 << 60) | st.floats(allow_nan=False, allow_infinity=False),
            "payment_digest": names,
            "email_domain": names,
            "country": names,
        },
    ),
    "something_else": anything,
}
records = st.fixed_dictionaries({"time": times, "account": texts.filter(str.strip)}, optional=fields).map(
    lambda record: (
        record
        if record.get("messages") is not None or record.get("prompt") is not None
        else record | {"prompt": "hello"}
    )
)


def reason(record: Any) -> str:
    with pytest.raises(RecordError) as error:
        list(READER.read(json.dumps(record).encode()))
    return error.value.reason


@given(records)
def test_the_reader_takes_what_the_schema_takes(record: dict[str, Any]) -> None:
    assert problems(NAME, record) == []
    (exchange,) = READER.read(json.dumps(record).encode())
    assert exchange.account
    assert EARLIEST <= exchange.time < LATEST


def test_the_schema_has_the_fields_that_the_reader_reads() -> None:
    own = schema(NAME)["properties"]
    assert set(own) == {*exchange_log._Record.__struct_fields__, "response"}
    assert set(own["request"]["properties"]) == set(exchange_log._Request.__struct_fields__)
    assert set(own["signup"]["properties"]) == set(exchange_log._Signup.__struct_fields__)
    assert set(schema(NAME)["required"]) == {
        field.name for field in msgspec.structs.fields(exchange_log._Record) if field.required
    }


@pytest.mark.parametrize("missing", ["time", "account", "prompt"])
def test_a_missing_required_field_is_named(missing: str) -> None:
    record = {key: value for key, value in MINIMAL.items() if key != missing}
    assert not valid(NAME, record)
    assert reason(record) == "required field missing"
    with pytest.raises(RecordError, match=missing):
        list(READER.read(json.dumps(record).encode()))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"time": "1970-01-01T00:00:00Z"}, "time out of range"),
        ({"time": "2100-01-02T00:00:00Z"}, "time out of range"),
        ({"time": "2026-13-01T00:00:00Z"}, "time out of range"),
        ({"time": "yesterday"}, "time out of range"),
        ({"time": 0}, "time out of range"),
        ({"time": -1}, "time out of range"),
        ({"time": 1e300}, "time out of range"),
        ({"time": None}, "wrong type"),
        ({"time": True}, "wrong type"),
        ({"time": []}, "wrong type"),
        ({"account": ""}, "no account"),
        ({"account": " \t"}, "no account"),
        ({"account": None}, "wrong type"),
        ({"account": 7}, "wrong type"),
        ({"input_tokens": -1}, "input_tokens out of range"),
        ({"output_tokens": 1 << 60}, "output_tokens out of range"),
        ({"output_tokens": "many"}, "wrong type"),
        ({"status": -200}, "status out of range"),
        ({"organization": 9}, "wrong type"),
        ({"id": {}}, "wrong type"),
        ({"prompt": None}, "required field missing"),
        ({"prompt": 3}, "wrong type"),
        ({"prompt": None, "messages": "hello"}, "wrong type"),
        ({"messages": [{"role": "user", "content": 3}]}, "wrong type"),
        ({"messages": [{"role": 1, "content": "x"}]}, "wrong type"),
        ({"messages": ["hello"]}, "wrong type"),
        ({"messages": [{"content": [{"text": {"value": "x"}}]}]}, "wrong type"),
        ({"messages": [{}] * 10_001}, "too many messages"),
        ({"request": []}, "wrong type"),
        ({"signup": "yesterday"}, "wrong type"),
        ({"signup": {"country": 31}}, "wrong type"),
    ],
    ids=lambda each: str(each)[:50],
)
def test_an_absurd_record_is_invalid_and_refused(change: dict[str, Any], why: str) -> None:
    assert not valid(NAME, MINIMAL | change)
    assert reason(MINIMAL | change) == why


def test_a_line_that_is_no_object_is_invalid_and_refused() -> None:
    lines: list[Any] = [[], "x", 3, None]
    for line in lines:
        assert not valid(NAME, line)
        assert reason(line) == "wrong type"
