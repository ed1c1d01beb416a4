"""`strongroom serve`: the one that holds the ledger, and everybody who appends through it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import StrongroomError
from strongroom.ledger import RemoteRecorder, canonicalise

from .test_cli import write_log
from .test_ledger import CODE, PASSPHRASE, Run, access, environment, line, lines, make, run

__all__ = ["environment", "run"]  # fixtures


class Served:
    """`strongroom serve` in a process of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        self.log = folder / "serve.log"
        self.socket = folder / "S" / "run" / "strongroom.sock"
        with self.log.open("wb") as error:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CODE, "serve", "--site", "S", *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=error,
                text=True,
            )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def events(self) -> list[Any]:
        return [json.loads(text) for text in self.log.read_text().splitlines()]


@pytest.fixture
def served(run: Run, tmp_path: Path, environment: dict[str, str]) -> Iterator[Served]:
    make(run)
    with started(tmp_path, environment) as made:
        yield made


@contextlib.contextmanager
def started(tmp_path: Path, environment: dict[str, str], *words: str) -> Iterator[Served]:
    made = Served(tmp_path, environment, *words)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.wait(30)


def size(run: Run) -> int:
    return int(run("ledger", "verify", "S", "--json").json["size"])


def test_it_says_where_it_listens_and_logs_json_lines(run: Run, served: Served) -> None:
    assert served.said == "listening: unix:S/run/strongroom.sock\n"
    assert stat.S_IMODE(served.socket.stat().st_mode) == 0o600
    assert served.stop() == 0
    assert [event["event"] for event in served.events()] == ["serving", "stopping"]
    assert not served.socket.exists()


def test_commands_append_through_it_and_a_stop_publishes_everything(run: Run, served: Served, tmp_path: Path) -> None:
    assert run("ledger", "append", "S", "-", "--json", stdin=lines(3)).json == {"first": 0, "last": 2, "entries": 3}
    write_log(tmp_path / "a.jsonl", campaign=0, honest=3)
    run("hunt", "a.jsonl", "--site", "S")
    run("ledger", "append", "S", "-", stdin=access(1).encode())
    assert run("ledger", "forget", "ann@example.org", "--site", "S", "--json").json["index"] == 5
    run("ledger", "rotate", "S", code=6)
    recorder = RemoteRecorder(served.socket, Path("S/keys/writer.token").read_text().strip())
    for number in range(20):
        recorder.append_many([canonicalise(line(n=number).encode())])
    recorder.close()
    assert served.stop() == 0
    assert size(run) == 26
    assert served.events()[-1]["entries"] == 26
    types = [row["entry"]["type"] for row in run("ledger", "export", "S", "--json").json["entries"]]
    assert types[3:6] == ["strongroom.hunt/1", "strongroom.access/1", "strongroom.erasure/1"]


def test_a_file_larger_than_one_request_goes_through_it(run: Run, served: Served) -> None:
    """16 MiB are one request; 20,000 lines of 1 KB are a usual file."""
    done = run("ledger", "append", "S", "-", "--json", stdin=lines(20_000, text="y" * 1000))
    assert done.json == {"first": 0, "last": 19_999, "entries": 20_000}
    assert served.stop() == 0
    assert size(run) == 20_000


def test_a_bad_entry_is_told_with_its_line_and_nothing_of_its_chunk_is_on_record(run: Run, served: Served) -> None:
    for bad in ("{}", line("strongroom.ledger.key/1"), line("strongroom.access/1")):
        done = run("ledger", "append", "S", "-", "--json", code=3, stdin=(line(n=1) + bad + "\n").encode())
        assert done.error["where"] == "stdin, line 2"
    assert served.stop() == 0
    assert size(run) == 0


def test_another_process_appends_with_its_own_token_and_no_more_than_it_may(run: Run, served: Served) -> None:
    words = ["ledger", "writer", "add", "door", "--site", "S", "--type", "strongroom.access/1"]
    added = run(*words, "--type", "strongroom.test/1", "--token-file", "token", "--json")
    token = Path("token").read_text().strip()
    assert token not in added.stdout + added.stderr
    assert stat.S_IMODE(Path("token").stat().st_mode) == 0o600
    run(*words, "--token-file", "token", code=6)  # never over what is there
    run(*words, "--token-file", "again", code=2)
    assert not Path("again").exists()
    recorder = RemoteRecorder(served.socket, token)
    assert recorder.append_many([canonicalise(line(n=1).encode())]) == range(1)
    assert recorder.append_many([canonicalise(access(1).encode())]) == range(1, 2)
    for refused in (line("strongroom.lease/1"), line(n=1).replace('"door"', '"strongroom"')):
        with pytest.raises(StrongroomError) as caught:
            recorder.append_many([canonicalise(refused.encode())])
        assert caught.value.exit_code == 4
    run("ledger", "writer", "remove", "door", "--site", "S")
    with pytest.raises(StrongroomError) as caught:
        recorder.append_many([canonicalise(line(n=1).encode())])
    assert caught.value.exit_code == 4
    run("ledger", "writer", "remove", "door", "--site", "S", code=3)
    assert served.stop() == 0
    entries = [row["entry"] for row in run("ledger", "export", "S", "--json").json["entries"]]
    assert [entry["type"] for entry in entries] == [
        "strongroom.test/1",
        "strongroom.access/1",
        "strongroom.ledger.refusals/1",
    ]
    assert sum(entries[-1]["body"]["refused"].values()) == 1
    assert token not in served.log.read_text()


def test_a_second_one_refuses_and_leaves_the_first_alone(
    run: Run, served: Served, tmp_path: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, "serve", "--site", "S"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (6, b"")
    assert b"another process appends" in done.stderr
    run("ledger", "append", "S", "-", stdin=lines(1))
    assert served.stop() == 0
    assert size(run) == 1


def test_killed_it_loses_nothing_and_its_socket_is_in_nobodys_way(
    run: Run, served: Served, tmp_path: Path, environment: dict[str, str]
) -> None:
    run("ledger", "append", "S", "-", stdin=lines(5))
    served.stop(signal.SIGKILL)
    assert served.socket.exists()
    assert run("ledger", "append", "S", "-", "--json", stdin=lines(1)).json["first"] == 5, "a command appends itself"
    with started(tmp_path, environment) as again:
        assert run("ledger", "append", "S", "-", "--json", stdin=lines(1)).json["first"] == 6
        assert again.stop(signal.SIGINT) == 0
    assert size(run) == 7


def test_a_file_in_the_place_of_the_socket_is_kept_and_said(
    run: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    make(run)
    Path("S/run/strongroom.sock").write_text("mine")
    with started(tmp_path, environment) as served:
        assert served.process.wait(30) != 0
        assert "strongroom.sock" in served.log.read_text()
        assert "Traceback" not in served.log.read_text()
    assert Path("S/run/strongroom.sock").read_text() == "mine"
    run("ledger", "append", "S", "-", stdin=lines(1))


def test_somebody_else_on_the_socket_gets_no_entry_taken_for_recorded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that answers nothing: the command gives up and says that it does not know."""
    from strongroom.core import calling

    make(run)
    monkeypatch.setattr(calling, "ANSWER_SECONDS", 0.5)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("S/run/strongroom.sock")
        listener.listen()
        done = run("ledger", "append", "S", "-", "--json", code=6, stdin=lines(1))
    assert "did not answer" in done.error["message"]
    assert "strongroom serve" in done.error["next"]


def test_a_sealed_key_is_opened_once_and_commands_need_no_passphrase(
    run: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    Path("pass").write_text(f"{PASSPHRASE}\n")
    make(run, "S", "--passphrase-file", "pass")
    with started(tmp_path, environment) as refused:
        assert refused.said == ""
        assert refused.process.wait(30) == 4
        assert "sealed with a passphrase" in refused.log.read_text()
    with started(tmp_path, environment, "--passphrase-file", "pass") as served:
        assert PASSPHRASE.encode() not in Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
        assert PASSPHRASE.encode() not in Path(f"/proc/{served.process.pid}/environ").read_bytes()
        run("ledger", "append", "S", "-", stdin=lines(2))
        write_log(tmp_path / "a.jsonl", campaign=0, honest=3)
        run("hunt", "a.jsonl", "--site", "S")
        assert served.stop() == 0
        assert PASSPHRASE not in served.log.read_text()
    assert size(run) == 3
    run("ledger", "append", "S", "-", code=4, stdin=lines(1))


def test_a_stop_under_load_answers_what_it_took_and_loses_nothing(run: Run, served: Served) -> None:
    token = Path("S/keys/writer.token").read_text().strip()
    acknowledged: list[int] = []
    stopping = threading.Event()

    def write(number: int) -> None:
        with contextlib.closing(RemoteRecorder(served.socket, token)) as recorder:
            for i in range(10_000):
                try:
                    acknowledged.append(recorder.append_many([canonicalise(line(n=number, i=i).encode())])[0])
                except StrongroomError:
                    assert stopping.is_set()
                    return

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(write, number) for number in range(4)]
        while len(acknowledged) < 200:
            time.sleep(0.01)
        stopping.set()
        assert served.stop() == 0
        for future in asked:
            future.result()
    assert len(set(acknowledged)) == len(acknowledged)
    assert size(run) >= max(acknowledged) + 1


def test_a_flood_of_strangers_leaves_one_entry(run: Run, served: Served) -> None:
    def ask(number: int) -> int:
        with (
            contextlib.closing(RemoteRecorder(served.socket, f"guess {number}")) as recorder,
            pytest.raises(StrongroomError) as caught,
        ):
            for _ in range(25):
                with contextlib.suppress(StrongroomError):
                    recorder.append_many([canonicalise(line(n=number).encode())])
            recorder.status()
        return caught.value.exit_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(40))) == {4}
    assert served.stop() == 0
    (row,) = run("ledger", "export", "S", "--json").json["entries"]
    assert row["entry"]["body"]["refused"] == {f"uid {os.getuid()}: unknown token": 40 * 26}


def test_a_path_too_long_for_a_socket_is_said(run: Run, tmp_path: Path) -> None:
    long = Path("x" * 100)
    run("ledger", "init", long / "S", "--origin", "a.example/b")
    done = run("serve", "--site", (long / "S").absolute(), code=2)
    assert "Unix socket" in done.stderr
    run("ledger", "append", long / "S", "-", stdin=lines(1))


def test_without_a_site_or_a_ledger_there_is_nothing_to_serve(run: Run) -> None:
    from strongroom.site import Site

    assert "needs a site" in run("serve", code=3).stderr
    assert "there is no site" in run("serve", "--site", "none", code=3).stderr
    Site.create(Path("old"))
    assert "ledger init" in run("serve", "--site", "old", code=3).stderr
    make(run)
    Path("S/ledger/public/checkpoint").write_bytes(b"\xff")
    assert run("serve", "--site", "S", code=5).stdout == ""


def test_a_log_is_served_and_a_taken_port_is_said(run: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    key = make(run)
    words = [sys.executable, "-c", CODE, "ledger", "serve", "S", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("listening: ").strip()
            run("ledger", "append", "S", "-", stdin=lines(3))
            assert run("ledger", "verify", address, "--key", key, "--json").json["size"] == 3
            taken = address.removeprefix("http://")
            assert "cannot listen" in run("ledger", "serve", "S", "--listen", taken, code=6).stderr
        finally:
            process.terminate()
        assert process.wait(30) == 0
    for listen in ("nowhere", "127.0.0.1", "127.0.0.1:99999", "::1:80", "a b:1"):
        run("ledger", "serve", "S", "--listen", listen, code=2)
    run("ledger", "serve", "none", code=3)
