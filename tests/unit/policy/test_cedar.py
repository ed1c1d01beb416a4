"""Policies: what is permitted, what is not loaded, and what is refused whatever they say."""

from __future__ import annotations

from typing import Any

import pytest

from strongroom.core.assets import Asset
from strongroom.core.errors import RefusedError, UsageError
from strongroom.core.principals import Principal
from strongroom.policy import ACTIONS, DEFAULT, Asked, Policies, Request, failures, read_cases

TIME = 1_794_300_000_000_000
HEAD = '@id("one")\n'


def request(action: str = "OpenWeights", *, asset: str = "acme/llama", **more: Any) -> Request:
    who = {name: more.pop(name) for name in ("name", "kind", "groups", "suspended") if name in more}
    classification = more.pop("classification", "internal")
    principal = Principal(**{"name": "bob@acme.example", **who})
    described = Asset(name=asset, classification=classification, places=[])
    return Request(principal=principal, action=action, asset=described, asked=Asked(time=TIME, **more))


def decided(text: str, asked: Request) -> tuple[bool, tuple[str, ...]]:
    decision = Policies.parse(text).decide(asked)
    return decision.allowed, decision.policies


def test_the_default_policies_decide_as_their_table_says() -> None:
    policies = Policies.parse(DEFAULT.read_text())
    cases = read_cases(DEFAULT.with_suffix(".csv").read_text(), where="default.csv", time=TIME)
    assert list(failures(policies, cases)) == []
    named = {case.by for case in cases}
    assert {policy.id for policy in policies.policies} <= named, "each has a line that it decides"
    assert all(policy.because for policy in policies.policies)
    assert {case.request.action for case in cases} == set(ACTIONS), "and each action one that asks for it"


def test_what_nothing_permits_is_refused() -> None:
    decision = Policies.parse("").decide(request())
    assert (decision.allowed, decision.policies) == (False, ())
    assert decision.reason == "refused: no policy permits OpenWeights of acme/llama"


def test_a_forbid_is_stronger_and_says_why() -> None:
    text = (
        '@id("yes") permit (principal, action, resource);'
        '@id("no") @because("not today") forbid (principal, action == Action::"OpenWeights", resource);'
    )
    assert Policies.parse(text).decide(request()).reason == "refused: not today"
    assert decided(text, request()) == (False, ("no",))
    assert decided(text, request("Seal")) == (True, ("yes",))


def test_a_policy_that_fails_refuses_although_another_permits() -> None:
    overflow = '@id("no") forbid (principal, action, resource) when { context.approvals + 9223372036854775807 < 0 };'
    text = '@id("yes") permit (principal, action, resource);' + overflow
    assert decided(text, request()) == (True, ("yes",))
    decision = Policies.parse(text).decide(request(approvals=1))
    assert not decision.allowed
    assert decision.reason == "refused: a policy failed, or the request does not fit the schema"


@pytest.mark.parametrize(
    ("condition", "asked", "allowed"),
    [
        ('resource in Organization::"acme"', request(), True),
        ('resource in Organization::"acme"', request(asset="acme2/llama"), False),
        ('resource in Asset::"acme/llama"', request(asset="acme/llama:70b"), True),
        ('resource in Asset::"acme/llama:70b"', request(asset="acme/llama"), False),
        ('resource in Asset::"acme/llama"', request(asset="acme/llama-2"), False),
        ('principal in Group::"staff"', request(groups=["night", "staff"]), True),
        ('principal in Group::"staff"', request(groups=["staffing"]), False),
        ('principal == Person::"bob@acme.example"', request(), True),
        ('principal == Person::"bob@acme.example"', request(kind="workload"), False),
        ('context has network && context.network.isInRange(ip("10.0.0.0/8"))', request(network="10.1.2.3"), True),
        ('context has network && context.network.isInRange(ip("10.0.0.0/8"))', request(network="11.1.2.3"), False),
        ('context has network && context.network.isInRange(ip("10.0.0.0/8"))', request(), False),
        ('context.time < datetime("2030-01-01")', request(), True),
        ('context.time < datetime("2020-01-01")', request(), False),
        ('resource.classification == Classification::"crown"', request(classification="crown"), True),
        ("context.leased && context.sealer && context.granted", request(leased=True, sealer=True, granted=True), True),
    ],
)
def test_policies_see_what_a_request_is_about(condition: str, asked: Request, allowed: bool) -> None:
    text = f"{HEAD} permit (principal, action, resource) when {{ {condition} }};"
    assert decided(text, asked) == (allowed, ("one",) if allowed else ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("permit (principal, action, resource);", "policy 1 has no @id"),
        (f"{HEAD} permit (principal, action, resource); {HEAD} forbid (principal, action, resource);", "two policies"),
        (f"{HEAD} permit (principal == ?principal, action, resource);", "?principal"),
        (f"{HEAD} permit (principal, action, resource) when {{ principal.rich }};", "does not fit the schema"),
        (f'{HEAD} permit (principal, action == Action::"Open", resource);', "does not fit the schema"),
        (
            f'{HEAD} permit (principal, action, resource) when {{ resource.classification == Classification::"top" }};',
            "does not fit the schema",
        ),
        (f"{HEAD} permit (principal, action, resource) when {{ context.network.isLoopback() }};", "does not fit"),
        (f"{HEAD} allow all;", "no Cedar policies"),
        (f"{HEAD} permit (principal, action, resource) when {{ 1 }};", "does not fit the schema"),
        ("// " + "x" * (1 << 20), "more than"),
        (
            f"// {')' * 3000}\n{HEAD} permit (principal, action, resource) when {{ {'(' * 3000}true{')' * 3000} }};",
            "nested",
        ),
    ],
)
def test_what_is_not_sound_is_not_loaded(text: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        Policies.parse(text, where="site.cedar")
    assert why in refused.value.message
    assert refused.value.where.startswith("site.cedar")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request("openweights"), "no action"),
        (request('OpenWeights", Action::"Seal'), "no action"),
        (request(asset="acme/../llama"), "not an asset name"),
        (request(asset="acme/Llama"), "not an asset name"),
        (request(asset="acme/llama\n"), "not an asset name"),
        (request(asset='acme/llama" in Organization::"x'), "not an asset name"),
        (request(name='bob" || true'), "cannot name a principal"),
        (request(name="bob\x00"), "cannot name a principal"),
        (request(name=""), "cannot name a principal"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_policy(asked: Request, why: str) -> None:
    everything = Policies.parse(f"{HEAD} permit (principal, action, resource);")
    with pytest.raises(RefusedError, match=why):
        everything.decide(asked)


def test_a_request_that_does_not_fit_the_schema_is_refused() -> None:
    everything = Policies.parse(f"{HEAD} permit (principal, action, resource);")
    assert not everything.decide(request("Approve", kind="customer")).allowed
    assert not everything.decide(request(network="nowhere")).allowed
    assert everything.decide(request("Approve")).allowed
    assert "bob" not in everything.decide(request("Approve", kind="customer")).reason, "it goes on record in plain"


HEADER = "principal,action,asset,expect"


@pytest.mark.parametrize(
    ("table", "line", "why"),
    [
        ("principal,action,asset\n", 1, "the column expect is missing"),
        ("", 1, "the column principal is missing"),
        (HEADER + ",mood\n", 1, "unknown column 'mood'"),
        (HEADER + "\na,Seal,o/m\n", 2, "another number of columns"),
        (HEADER + "\na,Seal,o/m,allowed,more\n", 2, "another number of columns"),
        (HEADER + "\na,Seal,o/m,yes\n", 2, "expect is allowed or refused"),
        (HEADER + "\na,Seal,o/m,allowed\na,seal,o/m,allowed\n", 3, "no action"),
        (HEADER + "\na,Seal,m,allowed\n", 2, "not an asset name"),
        (HEADER + ",granted\na,Seal,o/m,allowed,maybe\n", 2, "granted is yes or no"),
        (HEADER + ",approvals\na,Seal,o/m,allowed,-1\n", 2, "approvals is a whole number"),
        (HEADER + ",classification\na,Seal,o/m,allowed,top\n", 2, "no classification"),
        (HEADER + '\n"a,Seal\n', 1, "no CSV"),
    ],
)
def test_a_bad_table_names_its_line(table: str, line: int, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_cases(table, where="t.csv", time=TIME)
    assert why in refused.value.message
    assert refused.value.where == f"t.csv, line {line}"


def test_a_table_tells_what_is_decided_otherwise_and_by_whom() -> None:
    policies = Policies.parse(f"{HEAD} permit (principal, action, resource);")
    table = f"{HEADER},by\na,Seal,o/m,allowed,one\na,Seal,o/m,allowed,two\na,Seal,o/m,refused,\n"
    failed = [
        (case.line, decision.allowed) for case, decision in failures(policies, read_cases(table, where="t", time=1))
    ]
    assert failed == [(3, True), (4, True)]
