"""Entries: one form each, the same by both ways of telling it, and what cannot be one is said."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.errors import InputError
from strongroom.core.records import Entry
from strongroom.ledger import canonicalise, check_entry, decode_entry, encode_entry
from strongroom.ledger._entry import MAX_DEPTH, MAX_INPUT_BYTES, MAX_INTEGER, _canonical, _is_plain
from strongroom.ledger._tiles import MAX_ENTRY_BYTES

TIME, TYPE = "2026-11-01T09:30:00.123Z", "strongroom.test/1"

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
plain_text = st.text(st.characters(max_codepoint=0x7F), max_size=12)
integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) <= MAX_INTEGER or abs(x) >= 1e21)


def values(texts: st.SearchStrategy[str], numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )


def entries(texts: st.SearchStrategy[str], numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    body = st.dictionaries(texts, values(texts, numbers), max_size=4)
    writer = texts.filter(bool)
    return body.flatmap(lambda b: writer.map(lambda w: {"type": TYPE, "time": TIME, "writer": w, "body": b}))


anything = entries(text, integers | floats)
plain = entries(plain_text, integers)


def raw(body: str = "{}", **other: str) -> bytes:
    """An entry's text whose members are given as JSON."""
    members = {"body": body, "time": f'"{TIME}"', "type": f'"{TYPE}"', "writer": '"w"'} | other
    return ("{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}").encode()


@given(anything)
@settings(max_examples=300, deadline=None)
def test_an_entry_is_exactly_what_rfc_8785_makes_of_it(value: dict[str, Any]) -> None:
    expected = rfc8785.dumps(value)
    assert encode_entry(Entry(**value)) == expected
    assert canonicalise(json.dumps(value).encode()) == expected
    assert canonicalise(json.dumps(value, ensure_ascii=False, indent=1).encode()) == expected
    check_entry(expected)
    assert rfc8785.dumps(json.loads(expected)) == expected


@given(plain)
@settings(max_examples=300, deadline=None)
def test_the_fast_way_says_what_the_slow_way_says(value: dict[str, Any]) -> None:
    expected = rfc8785.dumps(value)
    assert _is_plain(expected) == (_canonical(expected, "") == expected)
    assert _is_plain(expected), "all but deep, fractional and non-ASCII entries are told the fast way"


@given(anything, st.data())
@settings(max_examples=400, deadline=None)
def test_whatever_is_accepted_is_the_canonical_form_of_itself(value: dict[str, Any], data: st.DataObject) -> None:
    other = data.draw(st.sampled_from(["dumps", "spaces", "sorted", "byte", "cut", "double"]))
    good = rfc8785.dumps(value)
    at = data.draw(st.integers(0, len(good) - 1))
    tried = {
        "dumps": json.dumps(value).encode(),
        "spaces": json.dumps(value, indent=1, sort_keys=True).encode(),
        "sorted": json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        "byte": good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :],
        "cut": good[:at],
        "double": good[:at] + good[at:] * 2,
    }[other]
    try:
        check_entry(tried)
    except InputError:
        assert not _is_plain(tried)
    else:
        assert rfc8785.dumps(json.loads(tried)) == tried


@given(anything)
@settings(max_examples=100, deadline=None)
def test_making_canonical_twice_changes_nothing(value: dict[str, Any]) -> None:
    once = canonicalise(json.dumps(value).encode())
    assert canonicalise(once) == once


@pytest.mark.parametrize("number", ["1e16", "9007199254740992.0", "-1e20", "123456789012345678901.0", "1E+20"])
def test_a_number_whose_canonical_form_nobody_could_check_is_refused(number: str) -> None:
    # RFC 8785 writes 1e16 as an integer, which is larger than any that it allows.
    with pytest.raises(InputError, match="integer"):
        canonicalise(raw(f'{{"n":{number}}}'))
    with pytest.raises(InputError, match="integer"):
        encode_entry(Entry(type=TYPE, time=TIME, writer="w", body={"n": float(number)}))


def test_numbers_at_the_bounds_are_entries() -> None:
    for number, form in {
        "9007199254740991.0": "9007199254740991",
        "-9007199254740991": "-9007199254740991",
        "1e21": "1e+21",
        "1.7976931348623157e308": "1.7976931348623157e+308",
        "5e-324": "5e-324",
        "-0.0": "0",
        "-0": "0",
        "1.0": "1",
        "0.1": "0.1",
        "1e-7": "1e-7",
        "0.000001": "0.000001",
    }.items():
        made = canonicalise(raw(f'{{"n":{number}}}'))
        assert made == raw(f'{{"n":{form}}}')
        check_entry(made)


def test_keys_are_ordered_by_utf_16_and_not_by_code_point() -> None:
    made = canonicalise(raw('{"\\uff5a":1,"\\ud83d\\ude00":2,"é":3,"z":4}'))
    assert list(json.loads(made)["body"]) == ["z", "é", "😀", "ｚ"]
    assert made == encode_entry(decode_entry(made))
    ordered_by_code_point = raw('{"z":4,"é":3,"ｚ":1,"😀":2}')
    with pytest.raises(InputError, match="canonical form"):
        check_entry(ordered_by_code_point)


DEEP = MAX_DEPTH - 1  # the entry itself is one


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON"),
        (b"null", "exactly the keys"),
        (b"[]", "exactly the keys"),
        (b"{}", "exactly the keys"),
        (b"\xff\xfe", "no JSON"),
        (b"\xef\xbb\xbf" + raw(), "no JSON"),
        (raw() + b"x", "no JSON"),
        (raw(more="1"), "exactly the keys"),
        (raw().replace(b',"writer":"w"', b""), "exactly the keys"),
        (raw('{"a":1,"a":1}'), "twice"),
        (raw('{"a":{"b":1,"\\u0062":2}}'), "twice"),
        (raw().replace(b'"writer"', b'"type":"strongroom.test/1","writer"'), "twice"),
        (raw("[]"), "body is no object"),
        (raw("null"), "body is no object"),
        (raw('{"n":NaN}'), "no JSON"),
        (raw('{"n":Infinity}'), "no JSON"),
        (raw('{"n":-Infinity}'), "no JSON"),
        (raw('{"n":1e999}'), "no JSON"),
        (raw('{"n":9007199254740992}'), "no JSON"),
        (raw('{"n":-9007199254740992}'), "no JSON"),
        (raw('{"n":' + "9" * 5000 + "}"), "no JSON"),
        (raw('{"n":01}'), "no JSON"),
        (raw('{"n":+1}'), "no JSON"),
        (raw('{"n":.5}'), "no JSON"),
        (raw('{"s":"\\ud800"}'), "no JSON"),
        (raw('{"\\udfff":1}'), "no JSON"),
        (raw('{"s":"\\x41"}'), "no JSON"),
        (raw('{"s":"a\nb"}'), "no JSON"),
        (raw("{'a':1}"), "no JSON"),
        (raw('{"a":1,}'), "no JSON"),
        (raw('{"a":' * DEEP + "1" + "}" * DEEP), "deeper than"),
        (raw('{"a":' + "[" * 60_000 + "]" * 60_000 + "}"), "deeper than"),
        (raw(time='"2026-11-01T09:30:00Z"'), "time"),
        (raw(time='"2026-11-01T09:30:00.1234Z"'), "time"),
        (raw(time='"2026-11-01T09:30:00.123+00:00"'), "time"),
        (raw(time='"2026-02-30T09:30:00.123Z"'), "time"),
        (raw(time='"2026-11-01T24:00:00.000Z"'), "time"),
        (raw(time='"2026-11-01 09:30:00.123Z"'), "time"),
        (raw(time='"２026-11-01T09:30:00.123Z"'), "time"),
        (raw(time='"2026-11-01T09:30:00.12３Z"'), "time"),
        (raw(time="1793525400"), "time"),
        (raw(type='"test/1"'), "type"),
        (raw(type='"strongroom.test"'), "type"),
        (raw(type='"strongroom.test/0"'), "type"),
        (raw(type='"strongroom.test/01"'), "type"),
        (raw(type='"strongroom.Test/1"'), "type"),
        (raw(type='"strongroom.test/1\\n"'), "type"),
        (raw(type='"strongroom.' + "a" * 100 + '/1"'), "type"),
        (raw(type="1"), "type"),
        (raw(writer='""'), "writer"),
        (raw(writer='"' + "w" * 256 + '"'), "writer"),
        (raw(writer="7"), "writer"),
        (raw(writer="null"), "writer"),
        (raw('{"s":"' + "x" * MAX_ENTRY_BYTES + '"}'), "more than 65,535"),
        (raw('{"s":"' + "é" * 33_000 + '"}'), "more than 65,535"),
        (b" " * (MAX_INPUT_BYTES + 1), "longer than"),
    ],
)
def test_what_cannot_be_an_entry_is_said_and_where(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        canonicalise(data, where="line 7")
    assert refused.value.where == "line 7"
    assert len(str(refused.value)) < 500
    with pytest.raises(InputError):
        check_entry(data)
    with pytest.raises(InputError):
        decode_entry(data)
    assert not _is_plain(data)


@pytest.mark.parametrize(
    "data",
    [
        raw() + b"\n",
        b" " + raw(),
        raw().replace(b":", b": ", 1),
        raw('{"b":1,"a":2}'),
        raw('{"s":"\\u0041"}'),
        raw('{"s":"\\/"}'),
        raw('{"s":"\\u001F"}'),
        raw('{"s":"\\u0008"}'),
        raw('{"s":"\\u00e9"}'),
        raw('{"n":1.0}'),
        raw('{"n":1e2}'),
        raw('{"n":-0}'),
        b'{"type":"strongroom.test/1","time":"' + TIME.encode() + b'","writer":"w","body":{}}',
    ],
)
def test_what_is_not_canonical_is_refused_as_it_is_and_made_so_on_request(data: bytes) -> None:
    with pytest.raises(InputError, match=r"not in canonical form \(RFC 8785\)"):
        check_entry(data)
    check_entry(canonicalise(data))


def test_escapes_are_those_of_rfc_8785() -> None:
    every = "".join(map(chr, range(0x80)))
    made = encode_entry(Entry(type=TYPE, time=TIME, writer="w", body={every: every}))
    assert made == rfc8785.dumps({"type": TYPE, "time": TIME, "writer": "w", "body": {every: every}})
    assert _is_plain(made)


def test_an_entry_of_the_largest_size_is_one_and_one_byte_more_is_none() -> None:
    room = MAX_ENTRY_BYTES - len(raw('{"s":""}'))
    check_entry(canonicalise(raw('{"s":"' + "x" * room + '"}')))
    with pytest.raises(InputError, match="65,536 bytes"):
        canonicalise(raw('{"s":"' + "x" * (room + 1) + '"}'))
    # Escapes shrink: what is long as text may be short enough.
    check_entry(canonicalise(raw('{"s":"' + "\\u0041" * room + '"}')))


def test_a_body_may_be_as_deep_as_the_bound_and_not_deeper() -> None:
    deepest = DEEP - 1
    for depth, good in ((deepest, True), (deepest + 1, False)):
        body = '{"a":' * depth + "1" + "}" * depth
        if good:
            check_entry(canonicalise(raw(body)))
        else:
            with pytest.raises(InputError, match="deeper"):
                canonicalise(raw(body))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("inside", [lambda x: x, lambda x: [x], lambda x: {"a": [None, {"b": (x,)}]}])
def test_what_is_no_number_is_refused_and_not_put_on_record_as_null(number: float, inside: Any) -> None:
    with pytest.raises(InputError, match="no JSON"):
        encode_entry(Entry(type=TYPE, time=TIME, writer="w", body={"n": inside(number)}))
    made = Entry(type=TYPE, time=TIME, writer="w", body={"n": inside(None)})
    check_entry(encode_entry(made))


@pytest.mark.parametrize("value", [object(), 2**63, 2**53, {1, object()}, {"a": {1: 1, "1": 2}}, "\ud800"])
def test_values_that_json_has_not_are_refused(value: Any) -> None:
    with pytest.raises(InputError):
        encode_entry(Entry(type=TYPE, time=TIME, writer="w", body={"n": value}))


def test_a_value_that_holds_itself_is_refused() -> None:
    body: dict[str, Any] = {}
    body["self"] = body
    with pytest.raises(InputError):
        encode_entry(Entry(type=TYPE, time=TIME, writer="w", body=body))
