"""Engines say of a condition what plain Python says of it, and never null."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.detect.rules._compile import Event, columns_of, plain
from strongroom.detect.rules._condition import (
    SEPARATOR,
    And,
    Cidr,
    Compare,
    Exists,
    Keyword,
    Like,
    Match,
    Node,
    Not,
    Or,
    Regex,
    SameAs,
    decode,
    encode,
    fold,
)
from strongroom.detect.rules._query import hits
from strongroom.detect.rules._regex import UnportableError, portable
from strongroom.store import ACCESS_EVENTS, Store

from .reference import holds
from .rows import AWS, batch, row

FIELDS = ["eventName", "sourceIPAddress", "a.b", "Name", "requestParameters"]
WORDS = [
    "",
    "a",
    "A",
    "ab",
    "%",
    "_",
    "a%",
    "\\",
    "'",
    "*",
    "é",
    "É",
    "İ",
    "ß",
    "Σ",
    "日",
    "a\nb",
    "10.0.0.1",
    "5",
    "5.0",
]
words = st.sampled_from(
    [*WORDS, "-7e2", "10.200.3.4", "fe80::1", "FE80:0::2%eth0", "GetObject", "getobject", "[x]", "("]
)
texts = st.one_of(words, st.text("aAbé%_\\'\".?*[(^$ \n5", max_size=5), st.tuples(words, words).map("".join))
several = st.lists(texts, min_size=1, max_size=3).map(SEPARATOR.join)
names = st.sampled_from(FIELDS)
hows = st.sampled_from(["equals", "startswith", "endswith", "contains"])
regexes = st.sampled_from(
    ["^a", "a$", "a.b", r"\d+\.\d", "(?i)É|a", "[^a]", r"\s", "^$", r"^[\w%]+$", "a|b%", r"x{2}|\\"]
)
networks = st.sampled_from(
    ["10.0.0.0/8", "10.192.0.0/10", "0.0.0.0/0", "10.0.0.1/32", "fe80::/10", "::/0", "fe80::1/128"]
)


def events() -> st.SearchStrategy[dict[str, str]]:
    # A column holds one value, and not an empty one: readers write that as null.
    in_column = texts.filter(bool)
    values = {name: (in_column if name in ("eventName", "sourceIPAddress") else several) for name in FIELDS}
    return st.fixed_dictionaries({}, optional=values)


def folded(how: Any) -> Any:
    return how.map(fold)


parts = st.lists(st.one_of(folded(texts).filter(bool), st.sampled_from([0, 1])), min_size=1, max_size=4).map(tuple)
leaf: st.SearchStrategy[Node] = st.one_of(
    st.builds(Match, names, hows, st.lists(folded(texts), min_size=1, max_size=3).map(tuple)),
    st.builds(Match, names, hows, st.lists(texts, min_size=1, max_size=2).map(tuple), st.just(True)),
    st.builds(Like, names, parts),
    st.builds(Regex, names, regexes.map(portable)),
    st.builds(Cidr, names, networks),
    st.builds(Compare, names, st.sampled_from(["lt", "lte", "gt", "gte", "eq"]), st.sampled_from([5, -700, 0, 4.5])),
    st.builds(Exists, names),
    st.builds(SameAs, names, hows, names),
    st.builds(Keyword, parts.filter(lambda found: any(isinstance(part, str) for part in found))),
)
conditions = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def engine() -> Any:
    return ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False)


@settings(max_examples=200)
@given(condition=conditions, found=st.lists(events(), min_size=1, max_size=6))
def test_engine_says_what_python_says(engine: Any, condition: Node, found: list[dict[str, str]]) -> None:
    rows = [row(event, AWS, i) for i, event in enumerate(found)]
    engine.con.register("events", batch(rows))
    table = engine.table("events")
    got = engine.con.sql(engine.compile(table.select(got=Event(table, AWS).holds(condition)))).fetchall()
    assert [each[0] for each in got] == [holds(condition, event) for event in found]


@settings(max_examples=100)
@given(asked=st.lists(conditions, min_size=1, max_size=4), found=st.lists(events(), min_size=1, max_size=6))
def test_what_is_left_out_early_is_what_no_condition_wants(
    engine: Any, asked: list[Node], found: list[dict[str, str]]
) -> None:
    engine.con.register("events", batch([row(event, AWS, i) for i, event in enumerate(found)]))
    expression = hits(engine.table("events"), AWS, asked, {}, ["position"])
    got = {each[0]: list(each[1:]) for each in engine.con.sql(engine.compile(expression)).fetchall()}
    wanted = {i: [holds(each, event) for each in asked] for i, event in enumerate(found)}
    assert got == {i: told for i, told in wanted.items() if any(told)}


@given(condition=conditions)
def test_condition_survives_json(condition: Node) -> None:
    assert decode(encode(condition)) == condition


@given(condition=conditions, event=events())
def test_bound_holds_wherever_the_condition_does(condition: Node, event: dict[str, str]) -> None:
    bounds = [plain(condition, AWS), plain(condition, AWS, frozenset({"operation"}))]
    if holds(condition, event):
        assert all(bound is True or (bound is not False and holds(bound, event)) for bound in bounds)
    for bound, columns in zip(bounds, [{"operation", "client_address"}, {"operation"}], strict=True):
        assert isinstance(bound, bool) or columns_of(bound, AWS) <= columns


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?=a)b", "group"),
        (r"(?<!a)b", "group"),
        (r"(a)\1", r"\1"),
        (r"a++", "RE2"),
        (r"(?m)^a", "each line"),
        (r"[[:alpha:]]", "named set"),
        (r"\Qa\E", r"\Q"),
        (r"(?P<n>a)", "group"),
        ("a" * 2001, "2000"),
        ("[a", "RE2|set"),
        ("(a", "RE2"),
        ("a{1001}", "RE2"),
    ],
)
def test_regex_that_one_engine_cannot_do_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(UnportableError) as error:
        portable(pattern)
    assert any(each in str(error.value) for each in why.split("|"))


@settings(max_examples=300)
@given(
    pattern=st.lists(
        st.sampled_from(
            ["a", ".", "^", "$", r"\s", r"\S", "[a-c]", "[^\\s]", "[]a]", "[&&a]", "{", "}", "{2}", "|", "(b)"]
        ),
        max_size=6,
    ).map("".join),
    text=st.text("abc{}&] \n\x0b\r", max_size=5),
)
def test_rewritten_regex_finds_what_the_written_one_does(pattern: str, text: str) -> None:
    import re2

    try:
        made = portable(pattern)
    except UnportableError:
        return
    assert (re2.search(made, text) is None) == (re2.search(pattern, text) is None)


def test_every_kind_of_leaf_compiles_for_spark(spark_sql: Any) -> None:
    table = ibis.table(ibis.Schema.from_pyarrow(ACCESS_EVENTS), name="access_events")
    kinds: list[Node] = [
        Match("a.b", "equals", ("x'\\", "y")),
        Like("a.b", ("a", 0, "b", 1)),
        Regex("a.b", portable(r"^\d+$")),
        Cidr("sourceIPAddress", "10.0.0.0/8"),
        Compare("a.b", "gte", 5),
        Not(Exists("eventName")),
        SameAs("a.b", "contains", "Name"),
        Keyword(("x",)),
    ]
    made = spark_sql(hits(table, AWS, kinds, {}, ["position"]))
    assert made.count("hit") >= len(kinds)


def test_store_runs_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_access_events([batch([row({"eventName": "GetObject", "x": "1"}, AWS, 1), row({"x": "2"}, AWS, 2)])])
    asked = [Match("x", "equals", ("2",))]
    found = store.table(hits(store.access_events(), AWS, asked, {"name": "eventName"}, ["position"]))
    assert found.to_pylist() == [{"position": 2, "hit0": True, "name": None}]
