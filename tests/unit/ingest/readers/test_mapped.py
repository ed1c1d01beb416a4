"""Records read by a mapping."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from strongroom.core.errors import RecordError, UsageError
from strongroom.core.records import Exchange
from strongroom.ingest.readers import MappedReader, parse_mapping

MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]


def read(record: dict[str, Any], *pairs: str) -> Exchange:
    reader = MappedReader(parse_mapping(["account=a", "time=t", *pairs]))
    (exchange,) = reader.read(json.dumps({"a": "ann", "t": "1793525400"} | record).encode())
    return exchange


def test_numbers_in_text_are_numbers() -> None:
    exchange = read(
        {"i": "3", "o": "4.0", "m": "5", "l": "true", "s": "200", "w": ""},
        *("input_tokens=i", "output_tokens=o", "max_tokens=m", "logprobs=l", "status=s", "asn=w"),
    )
    assert exchange == Exchange(
        time=1_793_525_400_000_000,
        account="ann",
        input_tokens=3,
        output_tokens=4,
        max_tokens=5,
        logprobs=True,
        status=200,
    )


@pytest.mark.parametrize("target", ["prompt", "messages"])
@pytest.mark.parametrize("value", [MESSAGES, json.dumps(MESSAGES), {"messages": MESSAGES}])
def test_a_conversation_is_understood(target: str, value: Any) -> None:
    exchange = read({"p": value}, f"{target}=p")
    assert (exchange.text, exchange.system) == ("q", "s")


def test_a_text_is_taken_as_it_is() -> None:
    assert read({"p": json.dumps(MESSAGES)}, "text=p").text == json.dumps(MESSAGES)
    exchange = read({"p": "q", "s": "system", "n": 4}, "prompt=p", "system=s", "turn=n")
    assert (exchange.text, exchange.system, exchange.turn) == ("q", "system", 4)


def test_paths_enter_objects_lists_and_json_in_text() -> None:
    record = {"b": {"c": [{"d": "x"}]}, "j": '{"k": [1, 2]}', "e.f": "dotted"}
    assert read(record, "session=b.c.0.d").session == "x"
    assert read(record, "session=j.k.1").session == "2"
    assert read(record, "session=e.f").session == "dotted"
    assert read(record, "session=b.c.7.d").session == ""
    assert read(record, "session=b.x.y").session == ""


def test_account_and_time_are_required_of_mapping_and_record() -> None:
    with pytest.raises(UsageError, match="lacks account and time; add --map account=FIELD --map time=FIELD"):
        MappedReader({})
    with pytest.raises(RecordError) as error:
        read({"a": None})
    assert error.value.reason == "no account"
    with pytest.raises(RecordError) as error:
        read({"t": ""})
    assert error.value.reason == "required field missing"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("acount=x", "nothing is called 'acount'; map one of account, asn"),
        ("account", "not a mapping"),
        ("account=", "not a mapping"),
        ("=x", "not a mapping"),
        ("id=" + "a." * 50, "more than 16 steps"),
    ],
)
def test_a_wrong_mapping_is_answered_with_the_right_form(pair: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_mapping([pair])


def test_one_target_takes_one_field() -> None:
    with pytest.raises(UsageError, match="two fields are mapped to 'id'"):
        parse_mapping(["id=a", "id=b"])


def test_without_a_text_it_is_metadata_only() -> None:
    assert MappedReader({"account": "a", "time": "t"}).metadata_only
    assert not MappedReader({"account": "a", "time": "t", "prompt": "p"}).metadata_only


def test_it_travels_between_processes_and_claims_nothing() -> None:
    reader = pickle.loads(pickle.dumps(MappedReader({"account": "a", "time": "t"})))
    assert reader.mapping == {"account": "a", "time": "t"}
    assert reader.claims({"a": 1, "t": 1}) == 0


def test_secrets_are_not_kept() -> None:
    exchange = read({"a": "sk-0f4cu5t0mer7", "k": "Bearer abc.def"}, "credential=k")
    assert exchange.account.startswith("key:")
    assert exchange.credential.startswith("key:")
