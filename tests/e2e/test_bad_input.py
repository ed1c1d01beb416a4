"""Input that cannot be used is exit 3 with what was tried, for people and for programs; nothing else is harmed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from strongroom.cli import main

CODE = "import sys; from strongroom.cli import main; sys.exit(main())"
SECRET = "battery staple"
GOOD = b'{"time":"2026-11-01T09:30:00Z","account":"a","prompt":"one battery staple"}\n'


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *words: object, stdin: bytes = b"") -> Done: ...


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`strongroom WORDS…` in this process, in an empty directory with a temporary directory of its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("STRONGROOM_SITE", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def call(*words: object, stdin: bytes = b"") -> Done:
        (tmp_path / "tmp" / "stdin").write_bytes(stdin)
        with (tmp_path / "tmp" / "stdin").open() as file:
            (tmp_path / "tmp" / "stdin").unlink()
            monkeypatch.setattr("sys.stdin", file)
            monkeypatch.setattr("sys.argv", ["strongroom", *map(str, words)])
            return Done(main(), *capfd.readouterr())

    return call


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "JPEG": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)), "not a text log"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "UTF-16"),
    "truncated gzip": (gzip.compress(GOOD)[:20], "damaged compression"),
    "wrong types": (b'{"time":[1],"account":{"n":1},"prompt":"battery staple"}\n' * 3, "wrong type: 3"),
    "year 1970": (GOOD.replace(b"2026", b"1970"), "time out of range: 1"),
    "truncated line": (GOOD[:-20], "truncated JSON"),
    "not a log": (b"what battery staple is this\n" * 50, "not JSON: 50"),
    "CSV without a mapping": (b"time,account\n1,2\n", "format not recognised"),
    "damaged Parquet": (b"PAR1" + bytes(200), "not a Parquet file"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_files(name: str, tmp_path: Path, run: Run) -> None:
    data, reason = UNUSABLE[name]
    (tmp_path / "input").write_bytes(data)
    for words in (["input"], ["input", "--json"]):
        done = run("hunt", *words)
        error = done.stderr
        assert (done.returncode, done.stdout) == (3, ""), error
        assert SECRET not in error
        if "--json" in words:
            told = json.loads(error.splitlines()[-1])["error"]
            assert told["code"] == "input"
            error = f"{told['message']} {told['where']} {told['next']}"
        assert reason in error
        assert "input" in error
        assert "Traceback" not in error
        places = list((tmp_path / "tmp").iterdir())
        assert all(path.name.startswith("strongroom-rejects-") and str(path) in error for path in places)
        assert all(SECRET not in path.read_text() and path.stat().st_mode & 0o77 == 0 for path in places)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["no*.jsonl"], "no*.jsonl: no such file"),
        (["fifo"], "not a regular file"),
        (["loop"], "Too many levels of symbolic links"),
        (["empty"], "no files in this directory"),
        ([], "no logs are named"),
        (["--site", "nowhere", "a.jsonl"], "there is no site"),
    ],
)
def test_missing_input(words: list[str], reason: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for more in ([], ["--json"]):
        done = run("hunt", *words, *more)
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert reason in done.stderr
        assert list((tmp_path / "tmp").iterdir()) == []


def test_standard_input_that_is_empty_or_closed(tmp_path: Path, run: Run) -> None:
    done = run("hunt", "-", "--json")
    assert (done.returncode, "empty" in done.stderr) == (3, True)
    command = f"{sys.executable} -c '{CODE}' hunt - <&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (done.returncode, b"standard input is closed" in done.stderr) == (3, True), done.stderr


def test_what_a_shell_substitutes_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(GOOD * 3))
    command = f"{sys.executable} -c '{CODE}' hunt <(cat a.jsonl.gz) --json"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exchanges"] == 3


@pytest.mark.parametrize("option", ["--rejects", "--report", "--csv"])
def test_no_option_writes_over_a_log(option: str, tmp_path: Path, run: Run) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(GOOD)
    (tmp_path / "link").symlink_to("a.jsonl")
    done = run("hunt", "a.jsonl", option, "link")
    assert done.returncode == 2
    assert "this is one of the logs" in done.stderr
    assert log.read_bytes() == GOOD


def test_a_device_given_for_rejects_stays_one(tmp_path: Path, run: Run) -> None:
    """`--rejects /dev/null`, as root, must not remove /dev/null. A FIFO stands for it here."""
    (tmp_path / "a.jsonl").write_bytes(GOOD + b"x\n")
    os.mkfifo(tmp_path / "device")
    reading = os.open(tmp_path / "device", os.O_RDONLY | os.O_NONBLOCK)
    done = run("hunt", "a.jsonl", "--rejects", "device")
    assert done.returncode == 0, done.stderr
    assert json.loads(os.read(reading, 10_000))["reason"] == "not JSON"
    os.close(reading)
    assert (tmp_path / "device").is_fifo()


def test_a_rejects_file_that_cannot_be_written_is_said_at_once(tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD + b"x\n")
    (tmp_path / "file").write_bytes(b"")
    done = run("hunt", "a.jsonl", "--rejects", "file/deeper")
    assert done.returncode == 2, done.stderr
    done = run("hunt", "a.jsonl", "--rejects", "/dev/full")
    assert done.returncode == 6, done.stderr
    assert "rejects file cannot be written: No space left" in done.stderr
    assert Path("/dev/full").is_char_device()
