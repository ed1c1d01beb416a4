"""Each curated rule finds what it is for, and leaves honest events alone: records, to rows, to a store, to signals."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import strongroom.detect.rules
from strongroom.core.clock import format_time, parse_duration, parse_time
from strongroom.detect.rules import Rule, curated_rules, match_rules
from strongroom.detect.rules.build import compiled
from strongroom.detect.signals import Signal
from strongroom.store import Store

from .rows import AWS, batch, flat, row

HERE = Path(__file__).parent
SOURCE = Path(strongroom.detect.rules.__file__).parent
STEMS = sorted(path.stem for path in (SOURCE / "curated").glob("*.yml"))
CASE_APART = 3 * 86_400_000_000
START = parse_time("2026-01-01T00:00:00Z")
ALICE = {
    "type": "IAMUser",
    "userName": "alice",
    "arn": "arn:aws:iam::123456789012:user/alice",
    "principalId": "AIDAX",
    "accountId": "123456789012",
    "accessKeyId": "AKIAX",
}
DEFAULTS = {
    "eventVersion": "1.09",
    "awsRegion": "us-east-1",
    "userAgent": "aws-cli/2",
    "sourceIPAddress": "198.51.100.7",
    "recipientAccountId": "123456789012",
    "eventType": "AwsApiCall",
}


def examples(stem: str) -> dict[str, list[Any]]:
    return json.loads((HERE / "examples" / f"{stem}.json").read_text())


def named(stem: str) -> str:
    """The id of the rule of a file: its last document, which a correlation is."""
    return re.findall(r"^id: (\S+)$", (SOURCE / "curated" / f"{stem}.yml").read_text(), re.MULTILINE)[-1]


def spread(steps: list[Any], start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records with their times: one a second, and `repeat`ed ones with `every` seconds between, with {n} counted."""
    time = start
    for step in steps:
        if "repeat" not in step:
            yield time, step
            time += 1_000_000
            continue
        time += parse_duration(step["after"]) if "after" in step else 0
        for n in range(step["repeat"]):
            yield time, json.loads(json.dumps(step["record"]).replace("{n}", str(n)))
            time += int(step["every"] * 1_000_000)


def one(record: dict[str, Any], time: int, case: str, number: int) -> dict[str, Any]:
    """A row of a shortened example; what it leaves out is filled in."""
    if "eventName" in record:
        whole = copy.deepcopy(DEFAULTS) | {"userIdentity": ALICE, "eventTime": format_time(time)} | record
        identity = whole["userIdentity"]
        session = identity.get("principalId") if identity["type"] == "AssumedRole" else None
        return row(flat(whole), AWS, number, time=time, principal=case, session=session)
    log = ("kubernetes", "audit") if "verb" in record else ("linux", "auditd")
    return row(flat(record), log, number, time=time, principal=case)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """(rule, case) of all signals over all examples, each case days from the next and a principal of its own."""
    rows: list[dict[str, Any]] = []
    start = START
    correlated = {rule.id for rule in curated_rules().rules if rule.correlation}
    for stem in STEMS:
        for kind, steps in examples(stem).items():
            # A correlation's records belong together; of the others, each must be told by itself.
            groups = [steps] if named(stem) in correlated else [[step] for step in steps]
            for i, group in enumerate(groups):
                for time, record in spread(group, start):
                    rows.append(one(record, time, f"{stem}/{kind}/{i}", len(rows) + 1))
                start += CASE_APART
    store = Store(tmp_path_factory.mktemp("store"))
    store.append_access_events([batch(rows)])
    return {(signal.kind, signal.principal) for signal in match_rules(store, curated_rules())}


@pytest.mark.parametrize("stem", STEMS)
def test_rule_finds_what_it_is_for_and_leaves_the_rest(stem: str, found: set[tuple[str, str]]) -> None:
    got = {case for rule, case in found if rule == named(stem)}
    cases = examples(stem)
    assert cases["matches"]
    assert cases["does_not_match"]
    correlated = next(rule for rule in curated_rules().rules if rule.id == named(stem)).correlation is not None
    wanted = {f"{stem}/matches/{i}" for i in range(1 if correlated else len(cases["matches"]))}
    assert wanted <= got
    assert not {case for case in got if case.startswith(f"{stem}/does_not_match")}


def test_curated_json_is_what_the_yaml_says() -> None:
    assert (SOURCE / "curated.json").read_bytes() == compiled(), "run: python -m strongroom.detect.rules.build"


def test_curated_rules_need_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in ("sigma", "yaml", "re2"):
        monkeypatch.setitem(sys.modules, module, None)
    assert len(curated_rules().rules) >= len(STEMS)


@pytest.mark.parametrize(
    "rule", [each for each in curated_rules().rules if not each.silent], ids=lambda rule: rule.title
)
def test_curated_rule_tells_why_and_what_to_do(rule: Rule) -> None:
    assert rule.author == "Strongroom"
    assert rule.license == "Apache-2.0"
    assert rule.techniques
    assert rule.phase
    assert rule.why.endswith(".")
    assert rule.recommended
    assert rule.falsepositives


def test_every_example_belongs_to_a_rule() -> None:
    assert sorted(path.stem for path in (HERE / "examples").glob("*.json")) == STEMS


# Of the shared attacks, the half that may be looked at while rules are written: the rest is kept for judging.
TECHNIQUES = {
    "aws.discovery.ec2-download-user-data": {"T1580", "T1552.005"},
    "aws.execution.ec2-user-data": {"T1059.009", "T1037"},
    "aws.exfiltration.ec2-share-ami": {"T1537"},
    "aws.initial-access.console-login-without-mfa": {"T1078.004"},
    "aws.persistence.iam-backdoor-user": {"T1098.001"},
    "aws.persistence.iam-create-backdoor-role": {"T1098.003"},
    "aws.persistence.lambda-overwrite-code": {"T1648"},
}


def may_be_looked_at(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest()[-1], 16) % 2 == 0


@pytest.mark.parametrize("technique", sorted(TECHNIQUES))
def test_real_records_of_an_attack_give_its_technique(technique: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "cloud" / "stratus" / f"{technique}.json"
    assert may_be_looked_at(path.name)
    signals = over(json.loads(path.read_text()), tmp_path)
    assert TECHNIQUES[technique] & {each for signal in signals for each in signal.techniques}


def over(records: list[dict[str, Any]], folder: Path) -> list[Signal]:
    from .rows import cloudtrail

    store = Store(folder)
    store.append_access_events([cloudtrail(records)])
    return match_rules(store, curated_rules())
