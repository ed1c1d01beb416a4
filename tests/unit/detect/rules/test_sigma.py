"""Sigma's YAML to conditions: what is expressed, what is refused, and that no file does harm."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import ibis
import pytest

from strongroom.core.errors import InputError, UsageError
from strongroom.detect.rules import Rules, load_rules, match_rules
from strongroom.detect.rules._compile import Event
from strongroom.detect.rules._condition import (
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
)
from strongroom.detect.rules._query import hits
from strongroom.store import ACCESS_EVENTS, Store

from .rows import AWS, batch, row

HEAD = """\
title: A rule
id: 00000000-0000-4000-8000-000000000001
status: test
level: high
author: A. Author
tags: [attack.exfiltration, attack.t1537, attack.t1562.008, atlas.aml.t0024, attack.g0001]
logsource: {product: aws, service: cloudtrail}
"""


def load(folder: Path, text: str | bytes) -> Rules:
    path = folder / "rule.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_rules([path])


def condition(folder: Path, selection: str) -> Node:
    loaded = load(folder, f"{HEAD}detection: {{selection: {selection}, condition: selection}}\n")
    assert not loaded.refused, loaded.refused
    made = loaded.rules[0].condition
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ("{a: B}", Match("a", "equals", ("b",))),
        ("{a: [B, c]}", Match("a", "equals", ("b", "c"))),
        ("{a|cased: B}", Match("a", "equals", ("B",), True)),
        ("{a|contains: x}", Match("a", "contains", ("x",))),
        ("{a|startswith: x}", Match("a", "startswith", ("x",))),
        ("{a|endswith: x}", Match("a", "endswith", ("x",))),
        ("{a: '*x'}", Match("a", "endswith", ("x",))),
        ("{a: 'x*y?'}", Like("a", ("x", 0, "y", 1))),
        ("{a: 'x\\*%_'}", Match("a", "equals", ("x*%_",))),
        ("{a: '*'}", Exists("a")),
        ("{a: ''}", Match("a", "equals", ("",))),
        ("{a: null}", Not(Exists("a"))),
        ("{a|exists: false}", Not(Exists("a"))),
        ("{a: true}", Match("a", "equals", ("true",))),
        ("{a: 5}", Compare("a", "eq", 5)),
        ("{a|gte: 5}", Compare("a", "gte", 5)),
        ("{a|neq: x}", Not(Match("a", "equals", ("x",)))),
        ("{a|cidr: 10.0.0.0/8}", Cidr("a", "10.0.0.0/8")),
        ("{a|re|i: '^x.y$'}", Regex("a", r"(?i)\Ax[^\n]y\z")),
        ("{a|fieldref: b}", SameAs("a", "equals", "b")),
        ("{a|fieldref|contains: b}", SameAs("a", "contains", "b")),
        ("{a|contains|all: [x, y]}", And((Match("a", "contains", ("x",)), Match("a", "contains", ("y",))))),
        ("{a: x, b: y}", And((Match("a", "equals", ("x",)), Match("b", "equals", ("y",))))),
        ("[{a: x}, {b: y}]", Or((Match("a", "equals", ("x",)), Match("b", "equals", ("y",))))),
        ("[Word, 'x*y']", Or((Keyword(("word",)), Keyword(("x", 0, "y"))))),
        ("{a|base64: x}", Match("a", "equals", ("ea==",))),
    ],
)
def test_sigma_becomes_a_condition(selection: str, wanted: Node, tmp_path: Path) -> None:
    assert condition(tmp_path, selection) == wanted


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        ("{a|expand: '%x%'}", "placeholder"),
        ("{a|hour: 5}", "part of a time"),
        ("{a|re: '(?=x)'}", "perl operator"),
        ("{a|re: '(a)\\1'}", "pySigma|regular expression"),
        ("{a|nonsense: x}", "nonsense"),
        ("['*']", "without letters"),
        ("{a: 9007199254740993}", "2\\*\\*53"),
        ('{a: "x\\x1fy"}', "U\\+001F"),
        ("{strongroom.nothing: x}", "no column"),
        ("{a|cidr: nonsense}", "pySigma"),
    ],
)
def test_what_cannot_be_expressed_is_refused(selection: str, why: str, tmp_path: Path) -> None:
    import re

    loaded = load(tmp_path, f"{HEAD}detection: {{selection: {selection}, condition: selection}}\n")
    assert not loaded.rules
    assert re.search(why, loaded.refused[0].reason), loaded.refused[0].reason
    assert loaded.refused[0].title == "A rule"


SELECTION = "detection: {selection: {a: b}, condition: selection}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no rule"),
        ("- a\n- b\n", "no mapping"),
        ("a: [", "not YAML"),
        ("a: b\na: c\n", "Duplicate"),
        (b"\xff\xfe\x00a", "not UTF-8"),
        (b"title: \x07", "not YAML"),
        ("a: &a [*a]", "stands in"),
        ("a: " + "[" * 5000, "nested deeper"),
        ("a: [" + "x, " * 60_000 + "]", "more than"),
        ("x" * (1 << 20) + "x", "larger"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)), "aliases stand for"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("date: 2024-13-45\n", "not YAML|pySigma|condition"),
        (HEAD, "no condition"),
        (HEAD + "detection: [1]\n", "no condition"),
        (HEAD + "detection: {condition: [1]}\n", "no condition"),
        (HEAD + "detection: {selection: {a: b}, condition: other}\n", "pySigma"),
        (HEAD + f"detection: {{selection: {{a: b}}, condition: {'(' * 500}selection{')' * 500}}}\n", "parentheses"),
        (HEAD + f"detection: {{selection: {{a: b}}, condition: {'not ' * 400}selection}}\n", "nots"),
        (HEAD + f"detection: {{selection: {{a: b}}, condition: '{'x' * 3000}'}}\n", "characters"),
        (HEAD + "detection: {selection: {a: b}, condition: selection | count() > 5}\n", "aggregation"),
        (HEAD + f"detection: {{selection: {{a|contains|all: [{', '.join(f'x{i}' for i in range(3000))}]}}, condition: selection}}\n", "comparisons"),
        (HEAD.replace("aws", "windows") + SELECTION, "no reader"),
        (HEAD.replace("id: 0", "id: x") + SELECTION, "pySigma"),
        (HEAD.replace("status: test", "status: unsupported") + SELECTION, "unsupported"),
        (HEAD + "action: global\n" + SELECTION, "old kind"),
        (HEAD + "why: [1]\n" + SELECTION, "no text"),
        ("title: t\nfilter: {rules: any, selection: {a: b}, condition: selection}\n", "filter"),
    ],
)  # fmt: skip
def test_hostile_or_broken_file_is_a_refusal(text: str | bytes, why: str, tmp_path: Path) -> None:
    started = time.monotonic()
    loaded = load(tmp_path, text)
    assert not loaded.rules
    assert any(each in loaded.refused[0].reason for each in why.split("|")), loaded.refused[0].reason
    assert time.monotonic() - started < 60


def test_long_flat_condition_is_read(tmp_path: Path) -> None:
    names = [f"s{i}" for i in range(150)]
    parts = ", ".join(f"{name}: {{a: {name}}}" for name in names)
    loaded = load(tmp_path, f"{HEAD}detection: {{{parts}, condition: {' or '.join(names)}}}\n")
    assert not loaded.refused
    assert loaded.rules[0].condition == Match("a", "equals", tuple(names))


def test_rule_keeps_what_its_author_said(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, f"{HEAD}falsepositives: [Backups, Unknown]\ndescription: It happens.\nlicense: DRL 1.1\n{SELECTION}"
    )
    rule = loaded.rules[0]
    assert (rule.author, rule.license, rule.level, rule.phase) == ("A. Author", "DRL 1.1", "high", "exfiltration")
    assert rule.techniques == ("T1537", "T1562.008", "AML.T0024")
    assert rule.why == "It happens."
    assert rule.recommended == ("Find out whether it is: Backups",)


def test_second_rule_with_an_id_is_refused(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{HEAD}{SELECTION}---\n{HEAD}{SELECTION}")
    assert len(loaded.rules) == 1
    assert "another rule" in loaded.refused[0].reason


def test_directory_is_read_in_order_and_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.yaml").write_text(HEAD.replace("0001\n", "0002\n", 1) + SELECTION)
    (tmp_path / "a.yml").write_text(HEAD + SELECTION)
    (tmp_path / "readme.txt").write_text("[")
    loaded = load_rules([tmp_path])
    assert [rule.id[-1] for rule in loaded.rules] == ["1", "2"]
    assert not loaded.refused


def test_missing_path_and_missing_extra_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError):
        load_rules([tmp_path / "nowhere"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="sigma"):
        load_rules([tmp_path])


# The public rules


@pytest.fixture(scope="module")
def public(shared: Path) -> Rules:
    return load_rules([shared / "sigma" / "rules"])


def test_every_public_rule_loads_without_the_network(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    loaded = load_rules([shared / "sigma" / "rules"])
    assert [str(refusal) for refusal in loaded.refused] == []
    assert len(loaded.rules) == len(list((shared / "sigma" / "rules").rglob("*.yml")))
    assert not [name for name in sys.modules if name.startswith("sigma.data.mitre")]
    assert all(rule.author for rule in loaded.rules)


def test_every_public_rule_compiles_for_both_engines(public: Rules, spark_sql: Any) -> None:
    table = ibis.table(ibis.Schema.from_pyarrow(ACCESS_EVENTS), name="access_events")
    for log in sorted({(rule.product, rule.service) for rule in public.rules}):
        asked = [rule.condition for rule in public.rules if (rule.product, rule.service) == log and rule.condition]
        expression = hits(table, log, asked, {}, ["position"])
        assert "hit0" in spark_sql(expression)
        assert "hit0" in str(ibis.to_sql(expression, dialect="duckdb"))


def test_every_public_rule_runs(public: Rules, tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert match_rules(store, public) == []
    logs = sorted({(rule.product, rule.service) for rule in public.rules})
    trail = {"eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging"}
    store.append_access_events([batch([row({"a": "b"}, log, i) for i, log in enumerate(logs)] + [row(trail, AWS, 99)])])
    assert [signal.title for signal in match_rules(store, public)] == ["AWS CloudTrail Important Change"]


@pytest.mark.parametrize("name", ["eventName", "other"])
def test_text_of_percent_and_backslash_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    made = condition(tmp_path, f"{{{name}|contains: 'a%_\\b'}}")
    engine = ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False)
    engine.con.register("events", batch([row({name: text}, AWS, i) for i, text in enumerate(["xA%_\\bx", "axx\\b"])]))
    table = engine.table("events")
    got = engine.con.sql(engine.compile(table.select(got=Event(table, AWS).holds(made)))).fetchall()
    assert got == [(True,), (False,)]
