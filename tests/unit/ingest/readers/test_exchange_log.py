"""Exchange log v1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.readers.exchange_log import ExchangeLogReader

READER = ExchangeLogReader()
NOON = 1_793_534_400_000_000
FULL: dict[str, Any] = {
    "id": "x1",
    "time": "2026-11-01T12:00:00.123Z",
    "account": "acct_1",
    "organization": "org_9",
    "credential": "key_3",
    "end_user": "u-5",
    "session": "s1",
    "client_address": "203.0.113.7",
    "asn": 64500,
    "tls_fingerprint": "t13d",
    "user_agent": "curl/8",
    "operation": "chat",
    "model": "m-1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "42"},
        {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": "line"}]},
    ],
    "response": "fine",
    "input_tokens": 120,
    "output_tokens": 800,
    "status": 200,
    "request": {"max_tokens": 1024, "temperature": 0.5, "logprobs": True},
    "signup": {
        "time": "2026-10-01T00:00:00Z",
        "payment_digest": "p",
        "email_domain": "example.org",
        "country": "NL",
    },
    "something_else": {"a": [1]},
}


def read(**changes: Any) -> Exchange:
    record = {"time": "2026-11-01T12:00:00Z", "account": "a", "prompt": "hello"} | changes
    (exchange,) = READER.read(json.dumps(record).encode())
    return exchange


def refused(raw: bytes) -> str:
    with pytest.raises(RecordError) as error:
        list(READER.read(raw))
    return error.value.reason


def refused_with(**changes: Any) -> str:
    return refused(json.dumps({"time": "2026-11-01T12:00:00Z", "account": "a", "prompt": "x"} | changes).encode())


def test_every_field_arrives() -> None:
    (exchange,) = READER.read(json.dumps(FULL).encode())
    assert exchange == Exchange(
        time=NOON + 123_000,
        account="acct_1",
        text="second\nline",
        system="Be brief.",
        turn=2,
        id="x1",
        organization="org_9",
        credential="key_3",
        end_user="u-5",
        session="s1",
        client_address="203.0.113.7",
        asn=64500,
        tls_fingerprint="t13d",
        user_agent="curl/8",
        operation="chat",
        model="m-1",
        input_tokens=120,
        output_tokens=800,
        status=200,
        max_tokens=1024,
        temperature=0.5,
        logprobs=True,
        signup_time=1_790_812_800_000_000,
        payment_digest="p",
        email_domain="example.org",
        country="NL",
    )


def test_a_minimal_record_has_defaults_elsewhere() -> None:
    assert read() == Exchange(time=NOON, account="a", text="hello")


def test_null_is_absent() -> None:
    nulls = dict.fromkeys(FULL.keys() - {"time", "account", "prompt"})
    assert read(**nulls) == Exchange(time=NOON, account="a", text="hello")


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-01T12:00:00Z",
        "2026-11-01T14:00:00+02:00",
        "2026-11-01 12:00:00.000000000Z",
        "2026-11-01T12:00:00",
        NOON // 10**6,
        NOON / 10**6,
        NOON // 10**3,
        NOON,
        NOON * 1000,
        str(NOON // 10**6),
        "01/Nov/2026:12:00:00 +0000",
        "2026-11-01 12:00:00 UTC",
        "2026-11-01T11:59:60Z",
    ],
)
def test_spellings_of_one_time_are_one_time(time: Any) -> None:
    assert read(time=time).time == NOON


@pytest.mark.parametrize(
    "time",
    ["1970-01-01T00:00:00Z", 0, -5, 10**30, "yesterday", "", "2101-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
)
def test_times_outside_2015_to_2100_are_refused(time: Any) -> None:
    assert refused_with(time=time) == "time out of range"


def test_missing_required_fields_are_refused() -> None:
    assert refused(b'{"account":"a","prompt":"x"}') == "required field missing"
    assert refused(b'{"time":1793534400,"prompt":"x"}') == "required field missing"
    assert refused(b'{"time":1793534400,"account":"a"}') == "required field missing"


@pytest.mark.parametrize("account", ["", "  "])
def test_an_empty_account_is_refused(account: str) -> None:
    assert refused_with(account=account) == "no account"


def test_negative_tokens_are_refused() -> None:
    assert refused_with(input_tokens=-1) == "input_tokens out of range"


def test_wrong_types_are_refused() -> None:
    for change in ({"account": 5}, {"messages": "x"}, {"messages": [5]}, {"time": []}, {"signup": 1}, {"model": {}}):
        assert refused_with(**change) == "wrong type"


def test_broken_json_is_refused_by_kind() -> None:
    assert refused(b'{"time":') == "truncated JSON"
    assert refused(b"time=1") == "not JSON"
    assert refused(b'{"time":"\0"}') == "NUL byte"
    assert refused(b'{"time":"\xff"}') == "invalid UTF-8"
    assert refused(b'{"x":' * 100_000) == "nested too deep"


def test_a_key_named_twice_is_refused_and_one_in_a_text_or_in_signup_is_not() -> None:
    assert refused(b'{"time":1793534400,"account":"a","account":"b","prompt":"x"}') == "duplicate key"
    assert refused(b'{"time":1793534400,"time":1793534401,"account":"a","prompt":"x"}') == "duplicate key"
    assert read(prompt='say "account":"b","account"', signup={"time": NOON}).account == "a"
    assert read(extra={"account": "b"}).account == "a"


def test_what_clients_choose_never_costs_the_record_its_place() -> None:
    exchange = read(request={"max_tokens": -1, "temperature": "hot", "logprobs": {"x": 1}})
    assert (exchange.max_tokens, exchange.temperature, exchange.logprobs) == (-1, -1.0, False)
    assert read(request={"top_logprobs": 5, "max_completion_tokens": 7}).logprobs
    assert read(request={"max_completion_tokens": 7}).max_tokens == 7


def test_nul_in_a_text_becomes_a_space() -> None:
    exchange = read(prompt="a\0b", model="m\0")
    assert (exchange.text, exchange.model) == ("a b", "m ")


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ud83d\\ud83d", "\\ude00\\ud83d", "\\\\\\ud83d"])
def test_half_a_surrogate_pair_hides_no_exchange(half: str) -> None:
    raw = f'{{"time":1793534400,"account":"a","prompt":"x {half} y \\ud83d\\ude00 z"}}'.encode()
    (exchange,) = READER.read(raw)
    assert "\ufffd" in exchange.text
    assert exchange.text.endswith("y \U0001f600 z")
    assert exchange.text.encode("utf-8")


def test_images_and_tool_calls_are_no_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:…"}}
    assert read(messages=[{"role": "user", "content": [image]}]).text == ""
    assert read(messages=[{"role": "user", "content": [image, "what is it?"]}]).text == "what is it?"
    assert read(messages=[{"role": "user", "content": None}]).text == ""
    assert read(messages=[]).turn == 1


def test_results_of_tools_belong_to_the_turn_before_them() -> None:
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}]}
    exchange = read(messages=[{"role": "user", "content": "question"}, {"role": "assistant"}, result])
    assert (exchange.text, exchange.turn) == ("question", 1)


def test_prompts_may_be_lists_of_texts_or_tokens() -> None:
    assert read(prompt=["a", "b"]).text == "a\nb"
    assert read(prompt=[1, 2, 3]).text == ""


def test_too_many_messages_are_refused() -> None:
    assert refused_with(messages=[{"role": "user", "content": ""}] * 10_001) == "too many messages"


def test_long_names_are_cut() -> None:
    assert len(read(end_user="u" * 5000).end_user) == 1024


def test_asn_is_read_in_both_spellings() -> None:
    assert read(asn="AS64500").asn == 64500
    assert refused_with(asn="ASx") == "wrong type"


def test_it_claims_its_own_records_only() -> None:
    assert READER.claims(FULL) == 90
    assert READER.claims({"time": 1, "messages": []}) == 0
