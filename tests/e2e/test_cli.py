"""The command line as a person types it: answers, exit codes, errors, and what stays behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from strongroom.core.records import Finding, Verdict
from strongroom.store import Store

from ..command import CODE, process, run

TOPICS = (
    "sourdough bread",
    "car insurance",
    "chess endings",
    "garden ponds",
    "tax forms",
    "old radios",
    "marathon plans",
)
VERBS = ("Explain", "Compare", "Improve", "Shorten", "Check", "Translate", "Plan", "Question", "Rewrite", "List")
WORDS = [
    f"{a}{b}"
    for a in ("ba", "ko", "mi", "ru", "te", "lo", "sa", "vi")
    for b in ("dan", "lor", "mek", "nis", "pol", "rut")
]
EXCHANGES = 90
"""Of each account. Which shingles are kept depends on the site's key, and with 45 exchanges one key in twenty left out
a member, one in a hundred found nothing."""
TEMPLATE = "You are a careful expert. Read the task below and answer it in full detail. Task: {} End of the task."


def write_log(path: Path, *, campaign: int, honest: int = 60, seed: int = 1, exchanges: int = EXCHANGES) -> list[str]:
    """Honest accounts, each with words of their own, and a campaign with one template and one stock of words."""
    rng = random.Random(seed)
    lines = []
    pool = rng.sample(WORDS, 12)
    names = [f"camp_{i}" for i in range(campaign)]
    for account in [f"user_{i}" for i in range(honest)] + names:
        own = pool if account.startswith("camp") else [*rng.sample(WORDS, 6), *rng.choice(TOPICS).split()]
        for exchange in range(exchanges):
            text = f"{rng.choice(VERBS)} {' '.join(rng.choices(own, k=14))} {exchange}"
            lines.append(
                {
                    "time": f"2026-11-{1 + exchange % 14:02d}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:00.000Z",
                    "account": account,
                    "client_address": f"203.0.113.{zlib.crc32(account.encode()) % 200}"
                    if account not in names
                    else None,
                    "messages": [{"role": "user", "content": TEMPLATE.format(text) if account in names else text}],
                    "output_tokens": 100,
                }
            )
    lines.sort(key=lambda line: str(line["time"]))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return names


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a log that holds a campaign of 20, a site, and the verdict of a hunt in it."""
    folder = tmp_path_factory.mktemp("campaign")
    write_log(folder / "a.jsonl", campaign=20)
    run("init", "site", "--yes", cwd=folder, code=0)
    done = run("hunt", "a.jsonl", "--site", "site", "--json", cwd=folder, code=1)
    (folder / "verdict.json").write_bytes(done.stdout)
    return folder


@pytest.fixture
def found(campaign: Path, tmp_path: Path) -> dict[str, Any]:
    """The verdict; all of the directory is in `tmp_path`, for a test that goes on from there."""
    shutil.copytree(campaign, tmp_path, dirs_exist_ok=True)
    verdict: dict[str, Any] = json.loads((tmp_path / "verdict.json").read_bytes())
    return verdict


def test_nothing_found_exits_0_and_explains_the_silence(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0)
    done = process("hunt", "a.jsonl", cwd=tmp_path, code=0)
    text = done.stdout.decode()
    assert text.startswith("No campaign was found.")
    assert "What could not be seen" in text
    assert "were put into this traffic" in text or "cannot be measured" in text
    assert list(tmp_path.iterdir()) == [tmp_path / "a.jsonl"], "a hunt without a site leaves nothing behind"


def test_a_campaign_exits_1_with_a_verdict_report_and_csv(tmp_path: Path) -> None:
    names = write_log(tmp_path / "a.jsonl", campaign=20, exchanges=2 * EXCHANGES)
    done = process("hunt", "a.jsonl", "--json", "--report", "r.html", "--csv", "c.csv", cwd=tmp_path, code=1)
    verdict = msgspec.json.decode(done.stdout, type=Verdict)
    (campaign,) = verdict.campaigns
    assert set(campaign.accounts) <= set(names)
    assert len(campaign.accounts) >= 18  # of 20: see EXCHANGES
    assert campaign.exchanges == 2 * EXCHANGES * len(campaign.accounts)
    assert campaign.tokens_out == 100 * campaign.exchanges
    assert campaign.first_seen <= campaign.detected_at
    assert {"template", "distribution"} <= {evidence.kind for evidence in campaign.evidence}
    assert all(example.where.startswith("a.jsonl:") for evidence in campaign.evidence for example in evidence.examples)
    assert f"{len(campaign.accounts)} accounts" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "c.csv").read_text().count("camp_") >= len(campaign.accounts)


def test_a_site_keeps_rows_findings_and_verdict(found: dict[str, Any], tmp_path: Path) -> None:
    again = json.loads(run("--site", "site", "hunt", "a.jsonl", "--json", cwd=tmp_path, code=1).stdout)
    assert again["exchanges"] == found["exchanges"], "the same file twice adds nothing"
    assert again["campaigns"][0]["id"] == found["campaigns"][0]["id"]
    assert again["campaigns"][0]["status"] == "known"
    without_logs = json.loads(run("hunt", "--site", "site", "--json", cwd=tmp_path, code=1).stdout)
    assert without_logs["campaigns"][0]["accounts"] == found["campaigns"][0]["accounts"]
    listed = json.loads(run("finding", "list", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert [row["id"] for row in listed] == [found["campaigns"][0]["id"]]
    findings = Store(tmp_path / "site" / "store").findings("finding")
    assert len(findings) == 3, "each hunt has its finding"
    for row in findings:
        finding = msgspec.convert(row["document"], Finding)
        assert finding.subjects == found["campaigns"][0]["accounts"]
        assert finding.id == row["id"] != found["campaigns"][0]["id"]


def test_explain_says_why_and_why_not(found: dict[str, Any], tmp_path: Path) -> None:
    members = found["campaigns"][0]["accounts"]
    member = json.loads(run("explain", members[0], "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert sorted(member["campaign"]) == sorted(members)
    assert member["tied_to_campaign"] == ["template"]
    honest = json.loads(run("explain", "user_3", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert honest["campaign"] == []
    assert "no campaign" in honest["reasons"][0]
    assert "no campaign" in run("explain", "user_3", "--site", "site", cwd=tmp_path, code=0).stdout.decode()
    run("explain", "nobody", "--site", "site", cwd=tmp_path, code=3)


def test_a_dismissed_campaign_is_silent_until_there_is_more(found: dict[str, Any], tmp_path: Path) -> None:
    identifier = found["campaigns"][0]["id"]
    run("finding", "dismiss", identifier, "--site", "site", cwd=tmp_path, code=2)
    run("finding", "dismiss", identifier, "--reason", " ", "--site", "site", cwd=tmp_path, code=2)
    run("finding", "dismiss", identifier, "--reason", "our own test", "--site", "site", cwd=tmp_path, code=0)
    quiet = json.loads(run("hunt", "a.jsonl", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert quiet["campaigns"][0]["status"] == "dismissed"
    shown = json.loads(run("finding", "show", identifier, "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert shown["reason"] == "our own test"
    write_log(tmp_path / "b.jsonl", campaign=40, seed=1)
    louder = json.loads(run("hunt", "b.jsonl", "--site", "site", "--json", cwd=tmp_path, code=1).stdout)
    assert louder["campaigns"][0]["id"] == identifier
    assert louder["campaigns"][0]["status"] == "known"


def test_the_window_limits_what_is_examined(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0)
    done = run("hunt", "a.jsonl", "--since", "2026-11-03", "--until", "2026-11-05", "--json", cwd=tmp_path, code=0)
    verdict = json.loads(done.stdout)
    assert verdict["window"]["start"] >= "2026-11-03"
    assert verdict["window"]["end"] < "2026-11-05"
    assert verdict["skipped"]["outside the window"] == 60 * EXCHANGES - verdict["exchanges"]


def test_stdin_csv_and_a_mapping(tmp_path: Path) -> None:
    rows = [
        "when,who,asked",
        *(f'2026-11-01T00:{i:02d}:00Z,u{i % 3},"How do I, today, bake bread number {i}?"' for i in range(30)),
    ]
    mapping = ["--map", "time=when", "--map", "account=who", "--map", "prompt=asked"]
    done = process("hunt", "-", *mapping, "--json", cwd=tmp_path, code=0, stdin="\n".join(rows).encode())
    verdict = json.loads(done.stdout)
    assert (verdict["exchanges"], verdict["accounts"]) == (30, 3)


@pytest.mark.parametrize(
    "words", [[], ["missing.jsonl"], ["*.nothing"], ["empty.jsonl"], ["picture.jpg"], ["broken.jsonl"]]
)
def test_missing_empty_or_unusable_input_exits_3_and_says_what_was_tried(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8)
    (tmp_path / "broken.jsonl").write_text('{"time":\nnonsense\n')
    done = run("hunt", *words, "--json", cwd=tmp_path, code=3)
    error = json.loads(done.stderr.decode().splitlines()[-1])["error"]
    assert error["code"] == "input"
    assert error["next"]
    for word in words:
        assert word in error["message"] + error["where"]


@pytest.mark.parametrize(
    "words",
    [
        ["hunt", "--no-such-option"],
        ["hunt", "a.jsonl", "--format", "nope"],
        ["hunt", "a.jsonl", "--map", "nope=x"],
        ["hunt", "a.jsonl", "--since", "yesterday"],
        ["hunt", "a.jsonl", "--report", "no/such/dir/r.html"],
        ["store", "prune", "--older-than", "soon", "--site", "site"],
        ["nonsense"],
    ],
)
def test_wrong_use_exits_2(tmp_path: Path, words: list[str]) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0, honest=2)
    run("init", "site", "--yes", cwd=tmp_path, code=0)
    done = run(*words, "--json", cwd=tmp_path, code=2)
    assert json.loads(done.stderr.decode().splitlines()[-1])["error"]["code"] == "usage"


def test_a_command_that_needs_a_site_says_so(tmp_path: Path) -> None:
    for words in (["explain", "a"], ["finding", "list"], ["store", "info"]):
        assert b"--site" in run(*words, cwd=tmp_path, code=3).stderr


def test_bad_records_are_counted_and_their_places_written(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0)
    secret = "my password is hunter2"
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"time":"2026-11-01T00:00:00Z","account":"x","prompt":"' + secret.encode() + b"\n")
        file.write(b'{"time":"2026-11-01T00:00:00Z","account":"x","prompt":"\xff\xfe"}\n')
        file.write(json.dumps({"time": "1970-01-01T00:00:00Z", "account": "x", "prompt": secret}).encode() + b"\n")
    done = run("hunt", "a.jsonl", "--json", "--rejects", "rejects.jsonl", cwd=tmp_path, code=0)
    verdict = json.loads(done.stdout)
    assert verdict["exchanges"] == 60 * EXCHANGES
    assert sum(verdict["skipped"].values()) == 3
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [reject["place"] for reject in rejects] == [60 * EXCHANGES + i for i in (1, 2, 3)]
    assert secret not in (tmp_path / "rejects.jsonl").read_text() + done.stderr.decode()


def test_texts_are_kept_only_where_the_site_says_so(campaign: Path, tmp_path: Path) -> None:
    everything = b"".join(path.read_bytes() for path in (campaign / "site").rglob("*") if path.is_file())
    assert b"careful expert" in (campaign / "a.jsonl").read_bytes()
    assert b"careful expert" not in everything + (campaign / "verdict.json").read_bytes()
    run("init", "texts", "--yes", "--keep-text", cwd=tmp_path, code=0)
    done = run("hunt", campaign / "a.jsonl", "--site", "texts", "--json", cwd=tmp_path, code=1)
    assert b"careful expert" in done.stdout


def test_help_is_there_for_every_command(tmp_path: Path) -> None:
    for words in (
        [],
        ["init"],
        ["demo"],
        ["hunt"],
        ["explain"],
        ["finding"],
        ["finding", "dismiss"],
        ["store", "prune"],
    ):
        assert b"Usage" in process(*words, "--help", cwd=tmp_path, code=0).stdout


def test_an_output_never_replaces_a_log_a_pipe_or_another_output(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write_log(tmp_path / "logs" / "a.jsonl", campaign=0, honest=25)
    before = (tmp_path / "logs" / "a.jsonl").read_bytes()
    for words in (["logs"], ["logs/*.jsonl"], ["logs/a.jsonl"]):
        run("hunt", *words, "--report", "logs/a.jsonl", cwd=tmp_path, code=2)
    run("hunt", "logs", "--report", "x", "--csv", "x", cwd=tmp_path, code=2)
    assert (tmp_path / "logs" / "a.jsonl").read_bytes() == before
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    run("hunt", "logs", "--report", "link.html", cwd=tmp_path, code=0)
    assert (tmp_path / "link.html").is_symlink()
    assert "<html" in (tmp_path / "real.html").read_text()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    run("hunt", "logs", "--csv", "pipe", cwd=tmp_path, code=0)
    assert os.read(reader, 4) == b"kind"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_evidence_comes_from_the_window_that_was_searched(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=20, exchanges=2 * EXCHANGES)
    run("init", "site", "--yes", cwd=tmp_path, code=0)
    run("hunt", "a.jsonl", "--site", "site", cwd=tmp_path, code=1)
    done = run(
        "hunt", "--site", "site", "--since", "2026-11-05", "--until", "2026-11-12", "--json", cwd=tmp_path, code=1
    )
    (campaign,) = json.loads(done.stdout)["campaigns"]
    times = [example["time"] for evidence in campaign["evidence"] for example in evidence["examples"]]
    assert times
    assert all("2026-11-05" <= time < "2026-11-12" for time in [*times, campaign["first_seen"], campaign["last_seen"]])
    members = set(campaign["accounts"])
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    own = [line["time"] for line in lines if line["account"] in members and "2026-11-05" <= line["time"] < "2026-11-12"]
    assert (campaign["first_seen"], campaign["last_seen"]) == (min(own), max(own))


def test_a_revived_campaign_is_no_longer_listed_as_dismissed(found: dict[str, Any], tmp_path: Path) -> None:
    identifier = found["campaigns"][0]["id"]
    run("finding", "dismiss", identifier, "--reason", "ours", "--site", "site", cwd=tmp_path, code=0)
    (row,) = json.loads(run("finding", "list", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert row["status"] == "dismissed"
    write_log(tmp_path / "b.jsonl", campaign=40)
    run("hunt", "b.jsonl", "--site", "site", cwd=tmp_path, code=1)
    (row,) = json.loads(run("finding", "list", "--site", "site", "--json", cwd=tmp_path, code=0).stdout)
    assert row["status"] == "known"


@pytest.mark.parametrize(
    "words",
    [
        ["--since", "999999999d"],
        ["--since", "9999-12-31T23:59:59.999999-01:00"],
        ["--since", "0001-01-01T00:00:00+01:00"],
        ["--since", "2026-11-02", "--until", "2026-11-01"],
    ],
)
def test_a_window_that_can_hold_nothing_is_wrong_use(tmp_path: Path, words: list[str]) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0, honest=2)
    run("hunt", "a.jsonl", *words, cwd=tmp_path, code=2)


def test_credentials_in_addresses_and_prompts_in_wrong_fields_reach_no_output(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("user,ts,body\nu1,2026-11-01T00:00:00Z,a secret prompt\n" * 2)
    address = "https://me:SECRETPW@127.0.0.1:9/x.jsonl?X-Amz-Signature=SECRETSIG"
    write_log(tmp_path / "a.jsonl", campaign=0, honest=25)
    swapped = ["--map", "account=user", "--map", "time=body", "--map", "prompt=ts"]
    done = [
        run("hunt", address, "a.jsonl", "--report", "r.html", "--rejects", "r.jsonl", cwd=tmp_path, code=0),
        run("hunt", address, "--json", cwd=tmp_path, code=3),
        run("hunt", "m.csv", *swapped, "--rejects", "m.jsonl", cwd=tmp_path, code=3),
    ]
    said = b"".join(one.stdout + one.stderr for one in done)
    said += b"".join((tmp_path / name).read_bytes() for name in ("r.html", "r.jsonl", "m.jsonl"))
    assert b"SECRET" not in said
    assert b"secret prompt" not in said


def test_a_file_name_that_is_no_utf_8_is_read_like_others(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write_log(tmp_path / "logs" / os.fsdecode(b"caf\xe9.jsonl"), campaign=0, honest=25)
    verdict = json.loads(process("hunt", "logs", "--json", cwd=tmp_path, code=0).stdout)
    assert verdict["exchanges"] == 25 * EXCHANGES


def test_a_full_disk_behind_stdout_is_told(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0, honest=25)
    command = [sys.executable, "-c", CODE, "hunt", "a.jsonl"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for more in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*command, *more],
                cwd=tmp_path,
                env=environment,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=120,
                check=False,
            )
        assert done.returncode == 6, done.stderr.decode()[-600:]


def test_a_file_that_is_not_there_is_named_beside_those_that_are(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0, honest=25)
    said = run("hunt", "mispelt.jsonl", "a.jsonl", "--report", "r.html", cwd=tmp_path, code=0).stdout.decode()
    assert "mispelt.jsonl was not read: no such file." in said
    assert "mispelt.jsonl" in (tmp_path / "r.html").read_text()


def test_too_uniform_or_too_few_is_no_answer_and_says_why(tmp_path: Path) -> None:
    write_log(tmp_path / "few.jsonl", campaign=20, honest=12)
    said = run("hunt", "few.jsonl", cwd=tmp_path, code=0).stdout.decode()
    assert "there is nobody to compare a group with" in said
    rng = random.Random(3)
    lines = [
        {
            "time": f"2026-11-{1 + i % 14:02d}T00:00:00Z",
            "account": f"u{i % 40}",
            "prompt": " ".join(rng.choices(WORDS, k=12)),
        }
        for i in range(1600)
    ]
    (tmp_path / "same.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = run("hunt", "same.jsonl", cwd=tmp_path, code=0).stdout.decode()
    assert said.startswith("No answer")
    assert "All accounts ask much the same" in said
