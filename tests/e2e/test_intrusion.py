"""A hunt in access logs through the command line: a copied model, an honest day, hostile content."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ..command import process, run

FOREIGN = "999999999999"
ANN = {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ann", "accountId": "123456789012", "userName": "ann"}


def event(number: int, name: str, source: str = "ec2.amazonaws.com", **more: Any) -> dict[str, Any]:
    return {
        "eventVersion": "1.08",
        "eventTime": f"2026-11-01T{number // 60 % 24:02d}:{number % 60:02d}:00Z",
        "eventID": f"e{number}",
        "eventSource": source,
        "eventName": name,
        "awsRegion": "eu-west-1",
        "eventType": "AwsApiCall",
        "eventCategory": "Management",
        "recipientAccountId": "123456789012",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15",
        "userIdentity": ANN | {"accessKeyId": "AKIAEXAMPLE"},
        "requestParameters": {},
        "responseElements": None,
    } | more


def shared(number: int, **more: Any) -> dict[str, Any]:
    """A snapshot given to another account."""
    request = {
        "snapshotId": "snap-0123456789abcdef0",
        "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": {"add": {"items": [{"userId": FOREIGN}]}},
    }
    return event(number, "ModifySnapshotAttribute", requestParameters=request, **more)


def theft(first: int = 70) -> list[dict[str, Any]]:
    """The trail is deleted, then a snapshot is given away."""
    deleted = event(first - 1, "DeleteTrail", "cloudtrail.amazonaws.com", requestParameters={"name": "main"})
    return [deleted, shared(first)]


def honest(first: int = 0, n: int = 50) -> list[dict[str, Any]]:
    return [event(first + i, ("DescribeInstances", "DescribeVolumes", "DescribeImages")[i % 3]) for i in range(n)]


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"Records": records}))


def test_an_honest_day_exits_0_and_says_what_was_examined(tmp_path: Path) -> None:
    write(tmp_path / "a.json", honest())
    done = process("hunt", "a.json", cwd=tmp_path, code=0)
    text = done.stdout.decode()
    assert text.startswith("No intrusion was found.")
    assert "50 access events of 1 principal" in text
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_shared_snapshot_is_one_finding_everywhere(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [*honest(), *theft()])
    done = run("hunt", "a.json", "--json", "--report", "r.html", "--csv", "c.csv", cwd=tmp_path, code=1)
    verdict = json.loads(done.stdout)
    (finding,) = verdict["findings"]
    assert finding["subjects"] == [ANN["arn"]]
    assert "T1537" in finding["techniques"]
    assert finding["severity"] in ("high", "critical")
    assert [piece["examples"][0]["where"][-9:] for piece in finding["evidence"]] == ["a.json:51", "a.json:52"]
    assert (verdict["access_events"], verdict["principals"], verdict["exchanges"]) == (52, 1, 0)
    page = (tmp_path / "r.html").read_text()
    assert finding["id"] in page
    assert "Timeline" in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "c.csv").read_text())))
    assert [(row["group"], row["account"]) for row in rows] == [(finding["id"], ANN["arn"])]
    text = run("hunt", "a.json", cwd=tmp_path, code=1).stdout.decode()
    assert text.startswith("Yes: 1 exfiltration.")
    assert "Before anything is done" in text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a log that holds a theft, a site, and the verdict of a hunt in it."""
    folder = tmp_path_factory.mktemp("intrusion")
    write(folder / "a.json", [*honest(), *theft()])
    run("init", "site", "--yes", cwd=folder, code=0)
    done = run("hunt", "a.json", "--site", "site", "--json", cwd=folder, code=1)
    (folder / "verdict.json").write_bytes(done.stdout)
    return folder


def test_a_site_knows_a_finding_again_and_can_dismiss_it(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path, dirs_exist_ok=True)
    identifier = json.loads((tmp_path / "verdict.json").read_bytes())["findings"][0]["id"]
    again = json.loads(run("hunt", "--site", "site", "--json", cwd=tmp_path, code=1).stdout)
    assert [(one["id"], one["status"]) for one in again["findings"]] == [(identifier, "known")]
    listed = json.loads(run("finding", "list", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert [(row["id"], row["finding"]["detector"]) for row in listed] == [(identifier, "story/1")]
    assert identifier in run("finding", "show", identifier, "--site", "site", cwd=tmp_path, code=0).stdout.decode()
    run("finding", "dismiss", identifier, "--reason", "our backup", "--site", "site", cwd=tmp_path, code=0)
    quiet = run("hunt", "--site", "site", cwd=tmp_path, code=0).stdout.decode()
    assert f"1 finding dismissed earlier; it has no new evidence: {identifier}." in quiet
    write(tmp_path / "b.json", [event(90, "LeaveOrganization", "organizations.amazonaws.com")])
    louder = json.loads(run("hunt", "b.json", "--site", "site", "--json", cwd=tmp_path, code=1).stdout)
    assert [(one["id"], one["status"]) for one in louder["findings"]] == [(identifier, "known")]


def test_explain_tells_of_a_principal_what_it_did(site: Path) -> None:
    told = json.loads(run("explain", ANN["arn"], "--site", "site", "--json", cwd=site, code=0).stdout)
    assert (told["events"], told["credentials"], told["addresses"]) == (52, ["AKIAEXAMPLE"], ["203.0.113.7"])
    assert len(told["findings"]) == 1
    assert {use["action"]: use["allowed"] for use in told["actions"]}["ec2:DescribeInstances"] == 17
    assert "exfiltration" in run("explain", ANN["arn"], "--site", "site", cwd=site, code=0).stdout.decode()
    run("explain", "arn:aws:iam::1:user/nobody", "--site", "site", cwd=site, code=3)


HOSTILE = "\x1b[31mann\n<script>alert(1)</script>\u202e=cmd|' /C calc'!A0"


def test_hostile_content_never_arrives_raw(tmp_path: Path) -> None:
    identity = ANN | {"arn": HOSTILE, "accessKeyId": '=HYPERLINK("x")'}
    hostile = {"userIdentity": identity, "userAgent": HOSTILE, "sourceIPAddress": HOSTILE}
    write(tmp_path / "a.json", [one | hostile for one in theft()])
    run("init", "site", "--yes", cwd=tmp_path, code=0)
    done = run("hunt", "a.json", "--site", "site", "--report", "r.html", "--csv", "c.csv", cwd=tmp_path, code=1)
    page, text = (tmp_path / "r.html").read_text(), done.stdout.decode()
    for shown in (page, text, run("explain", HOSTILE.strip(), "--site", "site", cwd=tmp_path, code=0).stdout.decode()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<script>alert" not in page
    listed = json.loads(run("finding", "list", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    shown = run("finding", "show", listed[0]["id"], "--site", "site", cwd=tmp_path, code=0).stdout.decode()
    assert "\x1b" not in shown
    cells = [cell for row in csv.reader(io.StringIO((tmp_path / "c.csv").read_text())) for cell in row]
    assert not any(cell.lstrip(" '").startswith(("=", "+", "@")) and not cell.startswith("'") for cell in cells)


def test_a_record_of_a_megabyte_and_a_clock_that_is_wrong_change_nothing(tmp_path: Path) -> None:
    big = event(500, "PutRolePolicy", "iam.amazonaws.com", requestParameters={"policyDocument": "x" * 10**6})
    early = [one | {"eventTime": "2019-01-01T00:00:00Z"} for one in theft()]
    late = event(501, "DescribeImages", eventTime="2031-01-01T00:00:00Z")
    write(tmp_path / "a.json", [*honest(), big, *early, late])
    verdict = json.loads(run("hunt", "a.json", "--json", cwd=tmp_path, code=1).stdout)
    assert verdict["access_events"] == 54
    assert verdict["findings"][0]["first_seen"].startswith("2019")


def test_a_weak_signal_is_listed_and_wakes_nobody(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [*honest(), shared(70)])
    done = run("hunt", "a.json", "--json", cwd=tmp_path, code=0)
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["severity"] in ("low", "medium")
    text = run("hunt", "a.json", "--report", "r.html", cwd=tmp_path, code=0).stdout.decode()
    assert "Weak signals, not an alert" in text
    assert "Weak signals, not an alert" in (tmp_path / "r.html").read_text()


def test_both_kinds_of_logs_in_one_hunt(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [*honest(), *theft()])
    lines = [{"time": "2026-11-02T00:00:00Z", "account": f"u{i}", "prompt": f"question {i}"} for i in range(20)]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    verdict = json.loads(run("hunt", "a.json", "b.jsonl", "--json", cwd=tmp_path, code=1).stdout)
    assert (verdict["exchanges"], verdict["access_events"], len(verdict["findings"])) == (20, 52, 1)
    assert verdict["window"]["start"] < verdict["window"]["end"]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("title: [", "YAML"),
        ("title: x\nlogsource: {product: windows}\ndetection: {s: {a: b}, condition: s}", "windows"),
    ],
)
def test_a_rule_that_is_refused_is_named_with_the_reason(tmp_path: Path, rule: str, reason: str) -> None:
    write(tmp_path / "a.json", honest())
    (tmp_path / "bad.yml").write_text(rule)
    done = run("hunt", "a.json", "--rules", "bad.yml", cwd=tmp_path, code=0)
    assert "bad.yml" in done.stderr.decode()
    assert reason in done.stderr.decode()


def test_a_rule_of_ones_own_is_used(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(
        """
title: Somebody looks at images
id: 6f2a3f0e-6a39-4f2e-9d0a-2f1c3a4b5c6d
status: stable
level: high
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: DescribeImages, userAgent|startswith: AWS-CLI}
  condition: selection
"""
    )
    write(tmp_path / "a.json", honest())
    run("hunt", "a.json", cwd=tmp_path, code=0)
    verdict = json.loads(run("hunt", "a.json", "--rules", "own.yml", "--json", cwd=tmp_path, code=1).stdout)
    assert "Somebody looks at images" in verdict["findings"][0]["evidence"][0]["summary"]
