"""Whatever a log holds, a reader answers with exchanges or RecordError."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange, LoggedAccess
from strongroom.ingest.reader import Reader
from strongroom.ingest.readers import MappedReader, builtin_readers

PAGES = Path(__file__).parents[4] / "docs" / "readers"
MAPPED = MappedReader({"account": "a.b", "time": "t", "prompt": "p", "status": "s.0", "logprobs": "l", "turn": "n"})
READERS: list[Reader] = [*builtin_readers(), MAPPED]
ENCODER = msgspec.json.Encoder()

SAMPLES = [
    json.loads(block)
    for path in sorted(PAGES.glob("*.md"))
    for block in re.findall(r"```json\n(.*?)```", path.read_text(), re.DOTALL)
]

LINES = [
    line.replace("\\x1d", "\x1d").encode()
    for path in sorted(PAGES.glob("*.md"))
    for block in re.findall(r"```text\n(.*?)```", path.read_text(), re.DOTALL)
    for line in block.splitlines()
]
"""Of logs that are no JSON."""


def bedrock(body: Any) -> dict[str, Any]:
    sample = next(sample for sample in SAMPLES if "schemaType" in sample)
    return sample | {"input": {"inputBodyJson": body}}


def span(attributes: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    own = {"gen_ai.system": "x", "user.id": "ann"} | attributes
    return {"startTimeUnixNano": "1793525400123456789", "attributes": own, "events": events}


SAMPLES += [
    bedrock({"prompt": "\n\nHuman: a\n\nAssistant:", "max_gen_len": 5}),
    bedrock({"message": "a", "chat_history": [{"role": "USER", "message": "b"}], "preamble": "c"}),
    bedrock({"inputText": "a", "textGenerationConfig": {"maxTokenCount": 5, "temperature": 1}}),
    {"logEvents": [{"message": json.dumps(bedrock({"prompt": "a"}))}]},
    span({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "[{}]", "llm.invocation_parameters": "{}"}, []),
    span({"llm.input_messages.0.message.contents.0.message_content.text": "a"}, [{"name": "x", "attributes": {}}]),
    span({}, [{"name": "gen_ai.user.message", "attributes": {"gen_ai.event.content": '{"content":[]}'}}]),
    {
        "a": {"b": "x"},
        "t": 1793525400,
        "p": [{"role": "user", "parts": [{"text": "a"}]}],
        "s": [200],
        "l": 1,
        "n": "2",
    },
]


def keys_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_in(inner) for inner in value.values()))
    return set().union(*(keys_in(inner) for inner in value)) if isinstance(value, list) else set()


KEYS = sorted(
    set().union(*(keys_in(sample) for sample in SAMPLES)) | {"a", "b", "t", "p", "s", "parts", "type", "kwargs"}
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -(10**400), 10**4000, 2**63, 1e308])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["user", "[", "{}", '"x"', '{"messages":[]}', "-", "2026-11-01T09:30:00Z", "sk-0123456789ab1", "\0"]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def must_survive(raw: bytes) -> None:
    reasons: list[str] = []
    for reader in READERS:
        try:
            found = list(reader.read(raw))
        except RecordError as error:
            reasons.append(error.reason)
            continue
        for row in found:
            assert isinstance(row, Exchange | LoggedAccess)
            if isinstance(row, Exchange):
                assert row.account
                assert row.turn >= 1 or reader is MAPPED
            else:
                assert row.principal
            decoded = msgspec.json.decode(ENCODER.encode(row), type=type(row))  # types and encodings hold
            assert decoded == row
            assert b"\\u0000" not in ENCODER.encode(row)
    assert all(reason and len(reason) < 60 for reason in reasons)


def claims_must_survive(record: Any) -> None:
    if isinstance(record, dict):
        assert all(0 <= reader.claims(record) <= 100 for reader in READERS)


@QUICK
@given(VALUES)
def test_any_json_is_read_or_refused(value: Any) -> None:
    must_survive(json.dumps(value).encode())
    claims_must_survive(value)


def mutate(value: Any, path: list[int], replacement: Any) -> Any:
    """The value with one place, chosen by `path`, replaced."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return replacement
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = keys[path[0] % len(keys)]
    changed = value.copy()
    changed[key] = mutate(value[key], path[1:], replacement)
    return changed


@settings(QUICK, max_examples=400)
@given(st.sampled_from(SAMPLES), st.lists(st.integers(0, 40), max_size=8), VALUES)
def test_a_record_with_one_value_replaced_is_read_or_refused(sample: Any, path: list[int], value: Any) -> None:
    changed = mutate(sample, path, value)
    must_survive(json.dumps(changed).encode())
    claims_must_survive(changed)


RAW = [*(json.dumps(sample).encode() for sample in SAMPLES), *LINES]


@settings(QUICK, max_examples=300)
@given(st.sampled_from(RAW), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_record_with_damaged_bytes_is_read_or_refused(sample: bytes, damage: list[tuple[int, int]]) -> None:
    raw = bytearray(sample)
    for place, byte in damage:
        raw[place % len(raw)] = byte
    must_survive(bytes(raw))


@QUICK
@given(st.sampled_from(RAW), st.integers(0, 5000))
def test_a_record_that_was_cut_off_is_refused(raw: bytes, end: int) -> None:
    must_survive(raw[: end % len(raw)])


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw: bytes) -> None:
    must_survive(raw)


NESTS = [b'{"a":', b"[", b'{"input":', b'{"messages":[', b'{"kvlistValue":{"values":[{"key":"k","value":']


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("depth", [150, 700, 950, 20_000])
def test_nesting_bombs_are_read_or_refused(nest: bytes, depth: int) -> None:
    close = {b"{": b"}", b"[": b"]"}
    closing = b"".join(close[bytes([byte])] for byte in reversed(nest) if bytes([byte]) in close)
    bomb = nest * depth + b"1" + closing * depth
    for sample in SAMPLES:
        for key in ({"messages", "input", "metadata", "attributes", "resourceSpans"} & sample.keys()) | {"p"}:
            start = json.dumps({name: value for name, value in sample.items() if name != key}).encode()[:-1]
            must_survive(start + b',"' + key.encode() + b'":' + bomb + b"}")
            must_survive(start + b',"' + key.encode() + b'":' + json.dumps(bomb.decode()).encode() + b"}")


@pytest.mark.parametrize("piece", ["\n", "\nHuman", "[INST]", "<|start_header_id|>user", "{", '["', "\\", "a,", "1-"])
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    text = piece * (400_000 // len(piece))  # by the square of its length this would take hours
    for sample in SAMPLES:
        for key in {
            "messages",
            "prompt",
            "input",
            "x_forwarded_for",
            "path",
            "p",
            "timestamp",
            "account",
        } & sample.keys():
            must_survive(json.dumps(sample | {key: text}).encode())
    must_survive(json.dumps(bedrock({"prompt": text})).encode())


@pytest.mark.parametrize(
    "piece", ["a", "a=", 'a="', "a='", "a={", "a=41 ", "old ", "\x1d", "a0=2D2D70 ", "--password\x1f"]
)
def test_long_lines_take_time_in_proportion(piece: str) -> None:
    for line in LINES:
        must_survive(line + b" " + (piece * (1_000_000 // len(piece))).encode())


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_half_a_surrogate_pair_hides_no_exchange_in_any_format(half: str) -> None:
    checked = 0
    for sample in SAMPLES:
        whole = json.dumps(sample)
        # JSON inside of text has the backslash of its escapes escaped once more.
        raw = whole.replace('\\"What is', f'\\"What \\{half} is').replace('"What is', f'"What {half} is')
        for reader in READERS:
            expected = survivors(reader, whole.encode())
            assert len(survivors(reader, raw.encode())) == len(expected)
            checked += len(expected) if raw != whole else 0
    assert checked >= 5


def survivors(reader: Reader, raw: bytes) -> list[Exchange]:
    try:
        return list(reader.read(raw))
    except RecordError:
        return []
