"""`strongroom store export`: what a site stores of access comes out as OCSF, and our own reader knows it again."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from strongroom.cli import _export
from strongroom.core.errors import StrongroomError
from strongroom.simulate import CloudPlan, SnapshotShared, StolenKey, simulate_cloud_lines
from strongroom.store import ACCESS_EVENTS, Store

from ..command import CODE, run
from ..unit.audit.ocsf_1_8 import problems
from .test_interruption import start, until
from .test_intrusion import ANN, event, honest, write

SAME = (
    *("time", "principal", "principal_kind", "credential", "session", "organization", "user_agent", "region"),
    *("action", "provider", "operation", "resource", "outcome", "reason", "bytes", "product", "service"),
)
"""What comes back of CloudTrail's events as it was; `client_address` does, where it is an address or a host's name."""


def hunted(folder: Path, log: str, site: str, *, code: int) -> dict[str, Any]:
    run("init", site, "--yes", cwd=folder, code=0)
    verdict: dict[str, Any] = json.loads(run("hunt", log, "--site", site, "--json", cwd=folder, code=code).stdout)
    return verdict


def rows(site: Path) -> dict[str, dict[str, Any]]:
    store = Store(site / "store")
    return {row["id"].split("/")[0]: row for row in store.table(store.access_events()).to_pylist()}


def exported(folder: Path, *words: object, site: str = "site") -> list[dict[str, Any]]:
    """The events on stdout, one a line, each of them valid."""
    out = run("store", "export", "--site", site, *words, cwd=folder, code=0).stdout
    events = [json.loads(line) for line in out.split(b"\n")[:-1]]
    assert out.count(b"\n") == len(out.decode().splitlines()) == len(events)
    assert [each for one in events for each in problems(one)] == []
    return events


def test_what_was_exported_is_read_again_as_what_it_was(tmp_path: Path) -> None:
    plan = CloudPlan(
        seed=3, days=4, events_per_day=50, intrusions=(StolenKey(begin_day=2.4), SnapshotShared(begin_day=2.6))
    )
    lines = [line for number, line in enumerate(simulate_cloud_lines(plan)) if number % 8 == 0 or "errorCode" in line]
    (tmp_path / "trail.jsonl").write_text("".join(line.rstrip("\n") + "\n" for line in lines))
    before = hunted(tmp_path, "trail.jsonl", "site", code=0)
    events = exported(tmp_path)
    (tmp_path / "ocsf.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    after = hunted(tmp_path, "ocsf.jsonl", "again", code=0)
    own, read = rows(tmp_path / "site"), rows(tmp_path / "again")
    assert len(own) == len(events) == len(lines)
    assert {row["outcome"] for row in own.values()} == {"allowed", "refused", "failed"}
    assert {key: [row[name] for name in SAME] for key, row in read.items()} == {
        key: [row[name] for name in SAME] for key, row in own.items()
    }
    told = {key: row["client_address"] for key, row in own.items() if row["client_address"] != "AWS Internal"}
    assert {key: read[key]["client_address"] for key in told} == told
    assert any(address.endswith(".amazonaws.com") for address in told.values())
    kinds = [[(one["kind"], one["severity"], one["subjects"]) for one in v["findings"]] for v in (before, after)]
    assert kinds[0] == kinds[1]


def test_only_what_lies_in_the_window_is_written(site: Path) -> None:
    found = exported(site, "--since", "2026-11-01T00:10:00Z", "--until", "2026-11-01T00:12:00Z")
    assert sorted(one["metadata"]["original_event_uid"] for one in found) == ["e10", "e11"]
    assert exported(site, "--since", "2027-01-01") == []


def test_a_file_is_written_whole_and_packed_as_its_name_says(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path, dirs_exist_ok=True)
    plain = run("store", "export", "--site", "site", cwd=tmp_path, code=0).stdout
    for name in ("o.jsonl", "o.jsonl.gz", "o.jsonl.zst"):
        (tmp_path / name).write_text("older")
        done = run("store", "export", "--site", "site", "-o", name, cwd=tmp_path, code=0)
        assert (done.stdout, done.stderr.decode()) == (b"", f"50 access events: {name}\n")
    assert (tmp_path / "o.jsonl").read_bytes() == gzip.decompress((tmp_path / "o.jsonl.gz").read_bytes()) == plain
    with pa.input_stream(tmp_path / "o.jsonl.zst", compression="zstd") as stream:
        assert stream.read() == plain
    assert not list(tmp_path.glob(".*.part"))


def test_an_asset_that_the_site_lists_is_named_beside_what_the_log_names(tmp_path: Path) -> None:
    request = {"bucketName": "acme-weights", "key": "llama/x.safetensors"}
    write(tmp_path / "a.json", [event(1, "GetObject", "s3.amazonaws.com", requestParameters=request)])
    hunted(tmp_path, "a.json", "site", code=0)
    (before,) = exported(tmp_path)
    assert [one.get("name") for one in before["resources"]] == [None]
    run("asset", "add", "acme/llama", "--at", "s3://acme-weights/llama/", "--site", "site", cwd=tmp_path, code=0)
    (after,) = exported(tmp_path)
    assert [one.get("name") for one in after["resources"]] == [None, "acme/llama"]


HOSTILE = '\x1b[31mann\r\n\x00\x07\x7f\x85\x9b2J\u2028\u202e<script>\\"\ud83d\ude00'


def test_hostile_content_comes_out_as_lines_of_json_that_steer_no_terminal(tmp_path: Path) -> None:
    long = "n" * 10**6
    identity = ANN | {"arn": HOSTILE, "accessKeyId": HOSTILE}
    request = {HOSTILE: HOSTILE, "password": "hunter2", "bucketName": HOSTILE, "key": long}
    more = {"userAgent": HOSTILE, "sourceIPAddress": HOSTILE, "errorCode": HOSTILE, "awsRegion": HOSTILE}
    records = [event(number, HOSTILE, requestParameters=request, userIdentity=identity, **more) for number in range(3)]
    records.append(event(4, long, long, userIdentity=ANN | {"arn": long}, sourceIPAddress=long, userAgent=long))
    write(tmp_path / "a.json", records)
    hunted(tmp_path, "a.json", "site", code=0)
    found = exported(tmp_path)
    assert len(found) == 4
    out = run("store", "export", "--site", "site", cwd=tmp_path, code=0).stdout
    assert b"hunter2" not in out
    assert '"requestParameters.password":"****"' in out.decode()
    assert [sign for sign in "\x1b\r\x00\x07\x7f\x85\x9b\u2028\u202e" if sign in out.decode()] == []
    assert found[0]["api"]["operation"].startswith("\x1b[31mann\r\n")
    assert "\x9b2J\u2028\u202e<script>" in found[0]["api"]["operation"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "a.json"], "this is one of the logs"),
        (["-o", "link.json"], "this is one of the logs"),
        (["-o", "site/state.db"], "this is in the site"),
        (["-o", "site/store/access_events/x.jsonl"], "this is in the site"),
        (["-o", "x.parquet"], "'.parquet' is not written"),
        (["-o", "nowhere/x.jsonl"], "there is no such directory"),
        (["-o", "."], "this is a directory"),
        (["--since", "2026-12-01", "--until", "2026-11-01"], "the window ends before it begins"),
    ],
    ids=str,
)
def test_what_must_not_be_written_is_refused_before_anything_is(site: Path, words: list[str], says: str) -> None:
    held = {path: path.read_bytes() for path in [site / "a.json", site / "site" / "strongroom.toml"]}
    done = run("store", "export", "--site", "site", *words, cwd=site, code=2)
    assert says in done.stderr.decode()
    assert {path: path.read_bytes() for path in held} == held


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a site, and the log that was read into it."""
    folder = tmp_path_factory.mktemp("export")
    write(folder / "a.json", honest())
    hunted(folder, "a.json", "site", code=0)
    (folder / "link.json").symlink_to("a.json")
    return folder


def test_without_a_site_and_on_a_full_disk_it_says_so(site: Path) -> None:
    run("store", "export", cwd=site, code=3)
    for words in (["-o", "/dev/full"], ["-o", "/dev/full", "--until", "2026-11-01T00:01:00Z"]):
        done = run("store", "export", "--site", "site", *words, cwd=site, code=6)
        assert b"No space left on device" in done.stderr
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", CODE, "store", "export", "--site", "site"]
        done = subprocess.run(command, cwd=site, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 6
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.jsonl.zst"])
@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), StrongroomError)]
)
def test_what_ends_early_leaves_no_half_file_and_the_older_one(
    tmp_path: Path, name: str, error: BaseException, raised: type[BaseException]
) -> None:
    (tmp_path / name).write_text("older")

    def lines() -> Iterator[bytes]:
        yield from [b"{}\n"] * 1000
        raise error

    with pytest.raises(raised):
        _export._write(tmp_path / name, lines())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "older"


def test_ctrl_c_ends_it_without_a_file(tmp_path: Path) -> None:
    run("init", "site", "--yes", cwd=tmp_path, code=0)
    many = [
        {"time": number, "principal": "ann", "product": "kubernetes", "operation": "get", "outcome": "allowed"}
        for number in range(100_000)
    ]
    Store(tmp_path / "site" / "store").append_access_events([pa.RecordBatch.from_pylist(many, schema=ACCESS_EVENTS)])
    going = start("store", "export", "--site", "site", "-o", "o.jsonl.gz", cwd=tmp_path)
    until(lambda: any(tmp_path.glob(".*.part")))
    going.send_signal(signal.SIGINT)
    _, told = going.communicate(timeout=60)
    assert (going.returncode, told) == (130, b"interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_whoever_reads_no_further_is_no_error(site: Path) -> None:
    command = f"{sys.executable} -c '{CODE}' store export --site site | head -1"
    done = subprocess.run(command, shell=True, cwd=site, capture_output=True, timeout=60, check=True)
    assert problems(json.loads(done.stdout)) == []
    assert done.stderr == b""


def test_explain_as_json_gives_the_account_of_the_same_name_too(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [one | {"userIdentity": {"type": "x", "userName": "ann"}} for one in honest()])
    write(tmp_path / "b.json", [one | {"userIdentity": {"type": "x", "userName": "bo"}} for one in honest(100)])
    names = ["ann"] * 20 + ["cy"] * 20
    lines = [
        {"time": "2026-11-02T00:00:00Z", "account": name, "prompt": f"what is the answer to question {number}?"}
        for number, name in enumerate(names)
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("init", "site", "--yes", cwd=tmp_path, code=0)
    run("hunt", "a.json", "b.json", "c.jsonl", "--site", "site", cwd=tmp_path, code=0)

    def explained(name: str) -> Any:
        return json.loads(run("explain", name, "--site", "site", "--json", cwd=tmp_path, code=0).stdout)

    both, principal, account = explained("ann"), explained("bo"), explained("cy")
    assert (both["principal"], both["events"]) == ("ann", 50)
    assert (both["account_explanation"]["account"], both["account_explanation"]["exchanges"]) == ("ann", 20)
    assert both.keys() - principal.keys() == {"account_explanation"}
    assert both["account_explanation"].keys() == account.keys()
    assert (principal["principal"], account["account"]) == ("bo", "cy")
    text = run("explain", "ann", "--site", "site", cwd=tmp_path, code=0).stdout.decode()
    assert "exchanges:" in text
    assert "access events:" in text
    run("explain", "nobody", "--site", "site", "--json", cwd=tmp_path, code=3)


def test_a_log_that_was_named_from_elsewhere_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / "a.json", honest())
    hunted(tmp_path, "logs/a.json", "site", code=0)
    before = (tmp_path / "logs" / "a.json").read_bytes()
    refused = run("store", "export", "-o", "a.json", "--site", "../site", cwd=tmp_path / "logs", code=2)
    assert b"this is one of the logs" in refused.stderr
    assert (tmp_path / "logs" / "a.json").read_bytes() == before


def test_a_link_that_waits_is_not_followed_and_the_mode_stays(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".o.jsonl.part").symlink_to("victim")
    (tmp_path / "o.jsonl").touch(mode=0o600)
    _export._write(tmp_path / "o.jsonl", [b"{}\n"])
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "o.jsonl").read_bytes() == b"{}\n"
    assert (tmp_path / "o.jsonl").stat().st_mode & 0o777 == 0o600
