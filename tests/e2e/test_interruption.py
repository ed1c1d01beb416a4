"""Stopping the real process at a bad moment: a consistent site, no process left over, and a second run completes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.site import Site
from strongroom.store import Store

from ..command import CODE

RECORDS = 60_000


def write_log(path: Path, n: int = RECORDS) -> None:
    with path.open("w") as file:
        for i in range(n):
            prompt = f"question {i} about {i * 7919 % 1013} and {i * 104729 % 997} with some more words to sketch"
            moment = f"2026-11-{1 + i * 14 // n:02d}T{i % 24:02d}:{i % 60:02d}:00Z"
            file.write(json.dumps({"time": moment, "account": f"a{i % 90}", "prompt": prompt}) + "\n")


def start(*words: object, cwd: Path) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k != "STRONGROOM_SITE"} | {"TMPDIR": str(cwd)}
    command = [sys.executable, "-c", CODE, *map(str, words)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def session(leader: int) -> list[int]:
    """Processes of the session that a started command leads."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, sid = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(sid) == leader and state != "Z":
                found.append(int(entry.name))
    return found


def workers(parent: int) -> list[int]:
    """Its worker processes: those that were spawned to run Python, not the one that tracks resources."""
    found = []
    for pid in session(parent):
        if pid != parent:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"spawn_main" in command:
                found.append(pid)
    return found


def commits(site: Path) -> int:
    return len(list((site / "store/exchanges/_delta_log").glob("*.json")))


def keys(site: Path) -> list[int]:
    return sorted(Store(site / "store").keys()[1].tolist())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_log(tmp_path / "a.jsonl")
    Site.create(tmp_path / "site")
    return tmp_path / "site"


def test_ctrl_c_keeps_what_was_read_and_the_same_command_completes(site: Path, tmp_path: Path) -> None:
    words = ("hunt", "a.jsonl", "--site", "site", "--workers", "2", "--json")
    hunt = start(*words, cwd=tmp_path)
    until(lambda: len(workers(hunt.pid)) == 2)
    time.sleep(1.2)  # in the middle of decoding, if the machine is not too fast or too slow: any moment must do
    os.killpg(hunt.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    out, err = hunt.communicate(timeout=30)
    assert (hunt.returncode, out) == (130, b""), err
    assert err == b"interrupted; what was read is kept, the same command continues\n"
    until(lambda: not session(hunt.pid), seconds=2)
    kept = keys(site)
    assert len(kept) == len(set(kept)) < RECORDS
    hunt = start(*words, cwd=tmp_path)
    out, err = hunt.communicate(timeout=60)
    assert (hunt.returncode, json.loads(out)["exchanges"]) == (0, RECORDS), err
    assert len(set(keys(site))) == len(keys(site)) == RECORDS
    assert set(kept) <= set(keys(site))


def test_ctrl_c_while_workers_start_is_quiet(site: Path, tmp_path: Path) -> None:
    hunt = start("hunt", "a.jsonl", "--site", "site", "--workers", "2", cwd=tmp_path)
    until(lambda: len(workers(hunt.pid)) >= 1)
    os.killpg(hunt.pid, signal.SIGINT)
    _, err = hunt.communicate(timeout=30)
    assert hunt.returncode == 130
    assert err == b"interrupted; what was read is kept, the same command continues\n"
    until(lambda: not session(hunt.pid), seconds=2)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_hunt_without_a_site_continues_and_leaves_nothing(sent: signal.Signals, tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl")
    words = ("hunt", "a.jsonl", "--workers", "1", "--json")
    hunt = start(*words, cwd=tmp_path)
    until(lambda: len(workers(hunt.pid)) == 1)
    time.sleep(1.5)
    hunt.send_signal(sent)
    hunt.communicate(timeout=30)
    assert hunt.returncode == 130
    (temporary,) = tmp_path.glob("strongroom-hunt-*")
    kept = len(keys(temporary))
    assert kept < RECORDS
    hunt = start(*words, cwd=tmp_path)
    out, err = hunt.communicate(timeout=60)
    assert (hunt.returncode, json.loads(out)["exchanges"]) == (0, RECORDS), err
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_workers_end_when_their_parent_is_killed(site: Path, tmp_path: Path) -> None:
    hunt = start("hunt", "a.jsonl", "--site", "site", "--workers", "2", cwd=tmp_path)
    until(lambda: len(workers(hunt.pid)) == 2)
    time.sleep(0.8)
    hunt.kill()
    hunt.wait(timeout=10)
    until(lambda: not session(hunt.pid), seconds=2)
    hunt.communicate()


def test_a_killed_worker_is_a_clear_error_and_the_same_command_completes(site: Path, tmp_path: Path) -> None:
    words = ("hunt", "a.jsonl", "--site", "site", "--workers", "2", "--json")
    hunt = start(*words, cwd=tmp_path)
    until(lambda: len(workers(hunt.pid)) == 2)
    os.kill(workers(hunt.pid)[0], signal.SIGKILL)
    out, err = hunt.communicate(timeout=30)
    assert (hunt.returncode, out) == (6, b""), err
    told = json.loads(err.splitlines()[-1])["error"]
    assert "a process that decodes records was ended from outside" in told["message"]
    assert "resumes" in told["next"]
    until(lambda: not session(hunt.pid), seconds=2)
    hunt = start(*words, cwd=tmp_path)
    out, err = hunt.communicate(timeout=60)
    assert (hunt.returncode, json.loads(out)["exchanges"]) == (0, RECORDS), err
    assert len(set(keys(site))) == len(keys(site)) == RECORDS


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_that_a_library_tells_otherwise_is_no_mistake_of_ours(sent: signal.Signals, tmp_path: Path) -> None:
    """DuckDB makes a RuntimeError of it, or what its call of Python failed with; when, it decides: so it is simulated."""
    code = f"""
import os, sys, time
from strongroom.cli import app, main

@app.command("ask")
def ask():
    try:
        os.kill(os.getpid(), {int(sent)})
        time.sleep(10)
    except KeyboardInterrupt:
        raise RuntimeError("Query interrupted") from None

sys.exit(main())
"""
    asking = subprocess.run(
        [sys.executable, "-c", code, "ask"], cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert (asking.returncode, asking.stderr) == (130, b"interrupted\n")
