"""The ledger's commands as a person and a script use them: answers, documents, exit codes, and what stays on record."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from strongroom.api import log_app, witness_app
from strongroom.cli import main
from strongroom.core.errors import StrongroomError
from strongroom.ledger import COSIGNATURE, ED25519, DirectoryStorage, VerifierKey, Witness, load_key
from strongroom.ledger._notes import SigningKey
from strongroom.ledger._witness import WitnessMemory
from strongroom.serving import Server

from .test_cli import write_log

CODE = "import sys; from strongroom.cli import main; sys.exit(main())"
ORIGIN = "example.com/models"
PASSPHRASE = "battery staple horse"
WITNESS = SigningKey("witness.example/w1", b"w" * 32, COSIGNATURE)


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """stdout, which is one document and no more."""
        assert self.stdout.endswith("\n")
        assert self.stdout.count("\n") == 1
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, str]:
        """The error on stderr, whole."""
        told = json.loads(self.stderr.splitlines()[-1])
        assert set(told) == {"error"}
        assert set(told["error"]) == {"code", "message", "where", "next"}
        error: dict[str, str] = told["error"]
        return error


class Run(Protocol):
    def __call__(self, *words: object, code: int | tuple[int, ...] = 0, stdin: bytes = b"") -> Done: ...


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`strongroom WORDS…` in this process, in a directory of its own. Never our mistake, never a traceback."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("STRONGROOM_SITE", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def call(*words: object, code: int | tuple[int, ...] = 0, stdin: bytes = b"") -> Done:
        (tmp_path / "tmp" / "stdin").write_bytes(stdin)
        with (tmp_path / "tmp" / "stdin").open() as file:
            (tmp_path / "tmp" / "stdin").unlink()
            monkeypatch.setattr("sys.stdin", file)
            monkeypatch.setattr("sys.argv", ["strongroom", *map(str, words)])
            returned = main()
        done = Done(returned, *capfd.readouterr())
        assert done.returncode in (code if isinstance(code, tuple) else (code,)), done
        assert "Traceback" not in done.stderr
        assert "our mistake" not in done.stderr
        return done

    return call


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "STRONGROOM_SITE"} | {"TMPDIR": str(tmp_path)}


def line(kind: str = "strongroom.test/1", **body: Any) -> str:
    entry = {"type": kind, "time": "2026-11-01T09:30:00.123Z", "writer": "door", "body": body}
    return json.dumps(entry) + "\n"


def lines(count: int, **body: Any) -> bytes:
    return "".join(line(n=number, **body) for number in range(count)).encode()


def access(number: int, principal: str = "ann@example.org", asset: str = "acme/model:v1", **more: Any) -> str:
    return line(
        "strongroom.access/1",
        id=f"evt_0000000003e87000800000000000{number:04x}",
        time=f"2026-11-24T09:30:{number:02d}.000Z",
        principal=principal,
        action="open",
        asset=asset,
        outcome="allowed",
        lease="lse_0000000003e870008000000000000000",
        **more,
    )


def make(run: Run, name: str = "S", *more: object) -> str:
    """A site with a ledger; returns its key."""
    return str(run("ledger", "init", name, "--origin", ORIGIN, "--json", *more).json["key"])


def grow(run: Run, count: int, name: str = "S", **body: Any) -> None:
    run("ledger", "append", name, "-", stdin=lines(count, **body))


# The whole list


def test_every_command_answers_in_text_and_as_one_document(run: Run, tmp_path: Path) -> None:
    key = make(run)
    (tmp_path / "entries.jsonl").write_text(line(n=1) + access(1) + access(2))
    (tmp_path / "older").write_bytes(Path("S/ledger/public/checkpoint").read_bytes())
    text = {
        "ledger append S entries.jsonl": "first:   0\nlast:    2\nentries: 3\n",
        "ledger tail S -n 1": '2\t{"body":',
        "ledger show S 0": '{"body":{"n":1},"time":"2026-11-01T09:30:00.123Z","type":"strongroom.test/1","writer":"door"}\n',
        "ledger prove S 1": "c2sp.org/tlog-proof@v1\nindex 1\n",
        "ledger prove-consistency S 1": "old 1\n",
        f"ledger verify S --since older --key {key}": "intact: every entry and hash is what the checkpoint signs",
        "ledger keys S": f"{key}\tyes\n",
        "ledger compare S S": "both are the same\n",
        "ledger ask acme/model --site S": "2026-11-24T09:30:02.000Z\tallowed\topen\tacme/model:v1",
        "ledger export S": '"index":0',
        "ledger export S --ocsf": '"class_uid":6003',
        "ledger writer add gateway --type strongroom.access/1 --token-file token --site S": "run/strongroom.sock",
        "ledger writer list --site S": "gateway\tstrongroom.access/1\t",
        "ledger writer remove gateway --site S": "removed: gateway\n",
        "ledger forget ann@example.org --site S": "erased:             1 key\n",
        "ledger rotate S": "new verifier key:",
        "ledger witness init W --name w.example": "verifier key: w.example+",
        "ledger init S2 --origin a.example/b": "verifier key: a.example/b+",
    }
    for command, expected in text.items():
        done = run(*command.split())
        assert expected in done.stdout, (command, done)
    shutil.rmtree("W")
    shutil.rmtree("S2")
    Path("token").unlink()
    run("ledger", "append", "S", "entries.jsonl")
    for command in text:
        done = run(*command.split(), "--json")
        assert done.json is not None, command
        assert "{" not in done.stderr, command


def test_an_entry_is_proven_to_somebody_who_has_nothing_but_the_key(run: Run, tmp_path: Path) -> None:
    key = make(run)
    grow(run, 300)
    Path("entry").write_text(run("ledger", "show", "S", 7).stdout)
    run("ledger", "prove", "S", 7, "--out", "proof")
    shutil.rmtree("S")
    assert run("ledger", "check-proof", "proof", "--entry", "entry", "--key", key).stdout.startswith("the proof holds")
    told = run(
        "ledger", "check-proof", "-", "--entry", "entry", "--key", key, "--json", stdin=Path("proof").read_bytes()
    )
    assert told.json == {"holds": True, "origin": ORIGIN, "index": 7, "size": 300, "key": key, "cosigned": {}}
    Path("other").write_text(Path("entry").read_text().replace('"n":7', '"n":8'))
    for words in (
        ["--entry", "other", "--key", key],
        ["--entry", "entry", "--key", str(SigningKey(ORIGIN, b"x" * 32).verifier)],
    ):
        assert run("ledger", "check-proof", "proof", *words, "--json", code=5).error["code"] == "integrity"
    run("ledger", "check-proof", "proof", "--entry", "entry", "--key", key, "--witness", WITNESS.verifier, code=5)
    run(
        "ledger", "check-proof", "proof", "--entry", "entry", "--key", key, "--witness", WITNESS.verifier, "--quorum", 0
    )
    run("ledger", "check-proof", "proof", "--entry", "entry", "--key", key, "--quorum", 1, code=2)


def test_a_consistency_proof_is_the_body_that_a_witness_takes(run: Run) -> None:
    key = make(run)
    grow(run, 3)
    witness = Witness(WITNESS, {ORIGIN: [VerifierKey.parse(key)]}, WitnessMemory())
    first = run("ledger", "prove-consistency", "S", 0).stdout
    assert witness.add_checkpoint(first.encode(), 1_800_000_000).status == 200
    grow(run, 5)
    assert (
        witness.add_checkpoint(run("ledger", "prove-consistency", "S", 3).stdout.encode(), 1_800_000_001).status == 200
    )
    told = run("ledger", "prove-consistency", "S", 3, "--json").json
    assert (told["old"]["size"], told["new"]["size"]) == (3, 8)


def test_a_ledger_is_made_in_a_site_that_has_none_and_never_twice(run: Run) -> None:
    from strongroom.site import Site

    Site.create(Path("old"))
    run("ledger", "verify", "old", code=3)
    key = make(run, "old")
    assert run("ledger", "keys", "old", "--json").json == [{"key": key, "origin": ORIGIN, "signs": True}]
    assert run("ledger", "init", "old", "--origin", ORIGIN, code=2).stderr.startswith("strongroom: there is a ledger")
    assert run("ledger", "keys", "old", "--json").json[0]["key"] == key


@pytest.mark.parametrize("words", [("init", "N", "--yes"), ("ledger", "init", "N")])
def test_a_bad_name_leaves_nothing_half_made(run: Run, words: tuple[str, ...]) -> None:
    for origin in ("a b", "a+b", "x" * 256, "\x1b[31m", "a\nb", "\udcff"):
        assert run(*words, "--origin", origin, code=2).stdout == ""
        assert not Path("N").exists()
    run(*words, "--origin", ORIGIN)


# Reading


def test_export_is_json_whatever_is_in_the_log(run: Run) -> None:
    make(run)
    grow(run, 2)
    run("ledger", "append", "S", "-", stdin=access(1).encode())
    rows = [json.loads(text) for text in run("ledger", "export", "S").stdout.splitlines()]
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert (
        json.dumps(rows[1]["entry"], sort_keys=True, separators=(",", ":")) + "\n"
        == run("ledger", "show", "S", 1).stdout
    )
    assert run("ledger", "export", "S", "--json").json["entries"] == rows
    assert [row["index"] for row in run("ledger", "export", "S", "--json", "--from", 1, "--to", 2).json["entries"]] == [
        1
    ]
    assert run("ledger", "export", "S", "--from", 9, "--to", 1).stdout == ""
    (event,) = run("ledger", "export", "S", "--ocsf", "--json").json["entries"]
    assert (event["class_uid"], event["metadata"]["product"]["name"]) == (6003, "Strongroom")
    assert run("ledger", "export", "S", "--out", "file", "--json").json["lines"] == 3
    assert [json.loads(text) for text in Path("file").read_text().splitlines()] == rows


HOSTILE = [
    b"[" * 60_000,
    b"hello",
    b"",
    b"[1]",
    b"\x1b[31mred\x9b2J",
    b'"\xff\xfe"',
    b'{"a":\n1}',
    b'{"type":"strongroom.access/1"}',
    b'{"type":"strongroom.access/1","body":3}',
    b'{"type":"strongroom.access/1","body":{"time":1,"asset":[],"principal":{}}}',
    b"1e999",
    b"9" * 5000,
]


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another maker's log, whose entries are whatever they are."""
    monkeypatch.setattr("strongroom.ledger._sequencer.check_entry", lambda data, **_: None)
    from strongroom.ledger import KeyFile, NoteSigner, create_ledger, open_ledger, storage_at

    key = SigningKey("log.example/foreign", b"f" * 32, ED25519)
    signer, storage = NoteSigner(KeyFile(key), key.verifier), storage_at(str(tmp_path / "made"))
    create_ledger(storage, signer)
    sequencer = open_ledger(storage, signer, tmp_path / "lock")
    sequencer.append_many(HOSTILE)
    sequencer.close()
    (tmp_path / "made" / "public").rename(tmp_path / "F")
    return str(key.verifier)


def test_a_strangers_log_can_be_read_whatever_it_holds(run: Run, hostile: str) -> None:
    for index, entry in enumerate(HOSTILE):
        told = run("ledger", "show", "F", index, "--json").json
        assert told["leaf"] == hashlib.sha256(b"\0" + entry).hexdigest()
        run("ledger", "prove", "F", index, "--out", "proof")
        Path("entry").write_bytes(entry)
        if not entry.endswith(b"\n"):
            run("ledger", "check-proof", "proof", "--entry", "entry", "--key", hostile)
    assert len(run("ledger", "tail", "F", "-n", 99, "--json").json) == len(HOSTILE)
    assert "\x1b" not in run("ledger", "tail", "F", "-n", 99).stdout
    rows = [json.loads(text) for text in run("ledger", "export", "F").stdout.splitlines()]
    assert rows[1]["entry"] == base64.b64encode(b"hello").decode()
    assert len(run("ledger", "export", "F", "--json").json["entries"]) == len(HOSTILE)
    run("ledger", "export", "F", "--ocsf")
    assert len(run("ledger", "verify", "F", "--json", code=5).json["integrity"]["malformed"]) == len(HOSTILE)


def test_what_show_prints_is_what_was_hashed(hostile: str, tmp_path: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", CODE, "ledger", "show", "F", "5"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert done.stdout == HOSTILE[5] + b"\n"


def test_tail_follows_and_stops_when_the_log_is_another(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom.cli import _ledger

    make(run)
    grow(run, 3)
    shutil.copytree("S", "T")
    steps: list[Callable[[], object]] = [
        lambda: subprocess.run(
            [sys.executable, "-c", CODE, "ledger", "append", "S", "-"], input=lines(2), check=True, capture_output=True
        ),
        lambda: None,
        lambda: (shutil.rmtree("S"), shutil.copytree("T", "S")),
    ]
    monkeypatch.setattr("strongroom.cli._ledger.FOLLOW_SECONDS", 0)
    monkeypatch.setattr(_ledger.time, "sleep", lambda _: steps.pop(0)())
    done = run("ledger", "tail", "S", "-f", "-n", 1, "--json", code=5)
    assert [json.loads(text)["index"] for text in done.stdout.splitlines()] == [2, 3, 4]
    assert done.error["message"] == "the log had 5 entries and has 3 now"


# Another's log, over HTTP


def test_a_served_log_is_read_like_a_directory_and_needs_the_key(run: Run) -> None:
    key = make(run)
    grow(run, 300)
    with Server(log_app(DirectoryStorage(Path("S/ledger/public"))), listen="127.0.0.1:0") as server:
        (url,) = server.addresses
        for words in (
            ["verify", url],
            ["tail", url],
            ["show", url, 1],
            ["prove", url, 1],
            ["export", url],
            ["keys", url],
            ["compare", url, "S"],
        ):
            assert run("ledger", *words, "--json", code=2).error["code"] == "usage"
            run("ledger", *words, "--key", key)
        assert run("ledger", "verify", f"{url}/", "--key", key, "--json").json["size"] == 300
        new = run("ledger", "rotate", "S", "--json").json["key"]
        grow(run, 1)
        told = run("ledger", "verify", url, "--key", key, "--json").json
        assert (told["size"], told["key"]) == (302, new)
        run("ledger", "verify", url, "--key", new)
        run("ledger", "show", url, 1, "--key", new)
        assert "after a rotation that is the new one" in run("ledger", "show", url, 1, "--key", key, code=5).stderr


def test_a_split_view_exits_1_and_shows_both_signatures(run: Run) -> None:
    key = make(run)
    grow(run, 300)
    shutil.copytree("S", "T")
    Path("old").write_bytes(Path("S/ledger/public/checkpoint").read_bytes())
    grow(run, 5, "S")
    for first, second in (("old", "S"), ("S", "old"), ("T", "S")):
        found = run("ledger", "compare", first, second, "--json").json
        assert (found["verdict"], found["common"]) == ("continues", 300)
    grow(run, 2, "T", other=1)
    found = run("ledger", "compare", "S", "T", "--json", code=1).json
    assert (found["verdict"], found["common"]) == ("split", 300)
    for view, size in zip(found["views"], (302, 305), strict=True):
        assert view["size"] == size
        Path("note").write_text(view["checkpoint"])
        assert view["checkpoint"].splitlines()[:2] == [ORIGIN, str(size)]
    done = run("ledger", "compare", "S", "T", code=1)
    assert "SPLIT VIEW" in done.stdout
    assert done.stdout.count(f"— {ORIGIN} ") == 2
    with Server(log_app(DirectoryStorage(Path("T/ledger/public"))), listen="127.0.0.1:0") as server:
        run("ledger", "compare", server.addresses[0], "S", "--key", key, code=1)
    run("ledger", "compare", "old", "note", code=2)
    run("ledger", "compare", "old", "old", "--key", key)
    make(run, "U")
    run("ledger", "compare", "S", "U", code=5)


# Keys and passphrases


def test_a_passphrase_seals_opens_and_is_nowhere_else(
    run: Run, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pass").write_text(f"{PASSPHRASE}\nsecond line\n")
    Path("wrong").write_text("something else\n")
    Path("empty").write_text("\n")
    said = []
    made = run("init", "S", "--yes", "--origin", ORIGIN, "--passphrase-file", "pass", "--json")
    assert "warning" not in made.stderr
    said.append(made)
    for words, code, told in (
        ([], 4, "sealed with a passphrase"),
        (["--passphrase-file", "wrong"], 4, "does not open the key"),
        (["--passphrase-file", "empty"], 3, "is empty"),
        (["--passphrase-file", "none"], 3, "cannot be read"),
        (["--passphrase-file", "."], 3, "cannot be read"),
        (["--passphrase-file", "pass"], 0, ""),
    ):
        done = run("ledger", "append", "S", "-", *words, "--json", code=code, stdin=lines(1))
        said.append(done)
        if code:
            assert told in done.error["message"]
            assert done.stdout == ""
    assert run("ledger", "verify", "S", "--json").json["size"] == 1, "reading needs no passphrase"
    for done in said:
        for secret in (PASSPHRASE, "something else", "PRIVATE"):
            assert secret not in done.stdout + done.stderr
    for path in Path("S").rglob("*"):
        if path.is_file() and path.name != "reserve":
            assert PASSPHRASE.encode() not in path.read_bytes()
            assert b"PRIVATE+KEY" not in path.read_bytes()
    for option in ("--passphrase", "--password"):
        assert run("ledger", "append", "S", "-", option, PASSPHRASE, code=2).stdout == ""


def test_a_key_that_is_not_sealed_is_mode_0600_and_warned_about(run: Run) -> None:
    for words, key in (
        (["init", "A", "--yes"], "A/keys/ledger.key"),
        (["ledger", "init", "B", "--origin", ORIGIN], "B/keys/ledger.key"),
        (["ledger", "rotate", "B"], "B/keys/ledger.key"),
        (["ledger", "witness", "init", "C", "--name", "w"], "C/witness.key"),
    ):
        done = run(*words, "--json")
        assert "warning: the private key is not encrypted" in done.stderr
        assert done.json
        assert stat.S_IMODE(Path(key).stat().st_mode) == 0o600
        seed = base64.b64encode(load_key(Path(key))._key.private_bytes_raw()).decode()
        assert seed[:20] not in done.stdout + done.stderr


def test_a_rotated_log_is_verified_with_the_old_key_and_the_new_one(run: Run) -> None:
    old = make(run)
    grow(run, 3)
    new = run("ledger", "rotate", "S", "--json").json["key"]
    grow(run, 3)
    for key in (old, new):
        told = run("ledger", "verify", "S", "--key", key, "--json").json
        assert (told["size"], told["key"], told["key_from"]) == (7, new, "given")
    stranger = SigningKey(ORIGIN, b"x" * 32).verifier
    assert run("ledger", "verify", "S", "--key", stranger, "--json", code=5).error["code"] == "integrity"
    run("ledger", "keys", "S", "--key", stranger, code=6)
    assert [row["signs"] for row in run("ledger", "keys", "S", "--json").json] == [False, True]


# Verdicts


def test_without_anything_elsewhere_verify_says_what_it_cannot(run: Run) -> None:
    make(run)
    grow(run, 2)
    done = run("ledger", "verify", "S")
    assert "not protected against the operator" in done.stdout
    assert "without an older checkpoint a rolled-back disk would not show" in done.stdout
    assert "the log itself: compare it with what its owner told you" in done.stdout
    told = run("ledger", "verify", "S", "--json").json
    assert (told["protected_against_operator"], told["completeness"]["verdict"]) == (False, "unknown")


def test_an_older_checkpoint_shows_what_is_missing_and_what_was_rewritten(run: Run) -> None:
    make(run)
    shutil.copytree("S", "T")
    grow(run, 5)
    Path("seen").write_bytes(Path("S/ledger/public/checkpoint").read_bytes())
    grow(run, 5)
    assert run("ledger", "verify", "S", "--since", "seen", "--json").json["completeness"]["verdict"] == "complete"
    grow(run, 2, "T")
    done = run("ledger", "verify", "T", "--since", "seen", "--json", code=5)
    assert done.json["completeness"]["verdict"] == "incomplete"
    assert "entries 2 to 4" in done.error["message"]
    grow(run, 9, "T", another="history")
    done = run("ledger", "verify", "T", "--since", "seen", "--json", code=5)
    assert done.json["integrity"]["verdict"] == "changed"
    assert "the first 5 entries are not those" in done.error["message"]


@pytest.mark.parametrize("kind", ["witness", "copy", "git"])
def test_each_place_finds_a_rolled_back_and_a_rewritten_log(run: Run, kind: str, tmp_path: Path) -> None:
    """As an operator would do it: the site is restored from an older copy, and goes on."""
    key = VerifierKey.parse(make(run))
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "remote.git"], check=True)
    with Server(witness_app(Witness(WITNESS, {ORIGIN: [key]}, WitnessMemory())), listen="127.0.0.1:0") as server:
        with Path("S/strongroom.toml").open("a") as file:
            file.write(
                {
                    "witness": f'[[ledger.witness]]\nurl = "{server.addresses[0]}"\nkey = "{WITNESS.verifier}"\n',
                    "copy": f'copy = "{tmp_path}/elsewhere"\n',
                    "git": f'git = "{tmp_path}/remote.git"\n',
                }[kind]
            )
        shutil.copytree("S", "older")
        assert run("ledger", "append", "S", "-", stdin=lines(5)).stderr == ""
        told = run("ledger", "verify", "S", "--json").json
        assert (told["protected_against_operator"], told["completeness"]["verdict"]) == (True, "complete")
        shutil.rmtree("S")
        shutil.copytree("older", "S")
        assert "rolled_back" in run("ledger", "verify", "S", "--json", code=5).stdout
        done = run("ledger", "append", "S", "-", stdin=lines(9, another="history"))
        assert "ALARM" in done.stderr
        assert run("ledger", "verify", "S", "--json", code=5).error["code"] == "integrity"


def test_two_witnesses_of_which_one_is_down(run: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    """The commands themselves: `witness init`, `witness serve`, a restart, and a verdict that names who is missing."""
    key = make(run)
    names = ("one", "two")
    keys = {
        name: run("ledger", "witness", "init", name, "--name", f"{name}.example", "--json").json["key"]
        for name in names
    }

    def serve(name: str, listen: str) -> tuple[subprocess.Popen[str], str]:
        words = [sys.executable, "-c", CODE, "ledger", "witness", "serve", name, "--log", key, "--listen", listen]
        process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, process.stdout.readline().removeprefix("listening: ").strip()

    serving = {name: serve(name, "127.0.0.1:0") for name in names}
    try:
        with Path("S/strongroom.toml").open("a") as file:
            for name in names:
                file.write(f'[[ledger.witness]]\nurl = "{serving[name][1]}"\nkey = "{keys[name]}"\n')
        assert run("ledger", "append", "S", "-", stdin=lines(3)).stderr == ""
        told = run("ledger", "verify", "S", "--json").json["cosignatures"]
        assert (told["quorum"], told["missing"], told["size"]) == (2, 0, 3)
        assert run("ledger", "witness", "serve", "one", "--log", key, "--listen", "127.0.0.1:0", code=6).stdout == ""
        serving["two"][0].terminate()
        assert serving["two"][0].wait(20) == 0
        assert "witness two.example did not cosign" in run("ledger", "append", "S", "-", stdin=lines(1)).stderr
        done = run("ledger", "verify", "S", "--json", code=5)
        assert [one["name"] for one in done.json["cosignatures"]["witnesses"] if one["time"] is None] == ["two.example"]
        assert "1 of 2 cosignatures are missing (two.example)" in done.error["message"]
        assert "two.example: MISSING" in run("ledger", "verify", "S", code=5).stdout
        text = Path("S/strongroom.toml").read_text()
        Path("S/strongroom.toml").write_text(text.replace("[ledger]", "[ledger]\nquorum = 1"))
        assert "not compared with witness two.example" in run("ledger", "verify", "S").stderr
        Path("S/strongroom.toml").write_text(text)
        serving["two"] = serve("two", serving["two"][1].removeprefix("http://"))
        assert run("ledger", "append", "S", "-", stdin=lines(1)).stderr == ""
        run("ledger", "verify", "S")
        public = Path("S/ledger/public")
        words = ["--key", key, "--witness", keys["one"], "--witness", keys["two"]]
        run("ledger", "verify", public, *words)
        run("ledger", "prove", "S", 2, "--out", "proof")
        Path("entry").write_text(run("ledger", "show", "S", 2).stdout)
        assert "two.example at 20" in run("ledger", "check-proof", "proof", "--entry", "entry", *words).stdout
        for name in ("checkpoint", "cosigned"):
            whole = (public / name).read_text().splitlines(keepends=True)
            (public / name).write_text("".join(line for line in whole if "two.example" not in line))
        assert "1 of 2 cosignatures are missing" in run("ledger", "verify", public, *words, code=5).stderr
        run("ledger", "verify", public, *words, "--quorum", 1)
    finally:
        for process, _ in serving.values():
            process.terminate()
            process.wait(20)


# Who opened what


def test_ask_answers_with_proofs_that_others_can_check(run: Run) -> None:
    key = make(run)
    run(
        "ledger",
        "append",
        "S",
        "-",
        stdin=(access(1) + line(n=1) + access(2, "bob") + access(3, asset="acme/other")).encode(),
    )
    told = run("ledger", "ask", "acme/model", "--site", "S", "--proofs", "proofs", "--json").json
    assert [row["index"] for row in told["answers"]] == [0, 2]
    assert sorted(path.name for path in Path("proofs").iterdir()) == [
        "0.json",
        "0.tlog-proof",
        "2.json",
        "2.tlog-proof",
    ]
    for index in (0, 2):
        run("ledger", "check-proof", f"proofs/{index}.tlog-proof", "--entry", f"proofs/{index}.json", "--key", key)
    run("ledger", "check-proof", "proofs/0.tlog-proof", "--entry", "proofs/2.json", "--key", key, code=5)
    for words, indices in (
        (["--principal", "ann@example.org"], [0, 3]),
        (["acme/model:v1", "--principal", "bob"], [2]),
        (["acme/other"], [3]),
        (["acme/model", "--action", "close"], []),
        (["acme/model", "--since", "2026-11-24T09:30:02Z"], [2]),
        (["acme/model", "--until", "2026-11-24T09:30:02Z"], [0]),
        (["--principal", "nobody"], []),
        (["--principal", told["answers"][0]["principal"]], [0, 3]),
    ):
        for scan in ([], ["--scan"]):
            answers = run("ledger", "ask", *words, *scan, "--site", "S", "--json").json["answers"]
            assert [row["index"] for row in answers] == indices, (words, scan)
    assert "ann@" not in run("ledger", "export", "S").stdout
    run("ledger", "ask", "--site", "S", code=2)
    run("ledger", "ask", "../x", "--site", "S", code=4)


def test_a_forged_index_shows_no_line_that_is_not_so_and_scan_finds_what_it_hides(run: Run) -> None:
    import sqlite3

    make(run)
    run("ledger", "append", "S", "-", stdin="".join(access(n) for n in range(5)).encode())
    words = ["ledger", "ask", "acme/model", "--site", "S", "--json"]
    honest = run(*words).json["answers"]
    database = sqlite3.connect("S/run/ledger-index.db")
    database.execute("UPDATE access SET asset = 1 WHERE entry = 3")
    database.execute("INSERT INTO access SELECT 77, asset, principal, action, time FROM access WHERE entry = 1")
    database.commit()
    database.close()
    hidden = run(*words).json["answers"]
    assert hidden == [row for row in honest if row["index"] != 3]
    assert run(*words, "--scan").json["answers"] == honest
    for damage in (b"", b"SQLite format 3\0" + bytes(9000), b"\xff" * 4096):
        Path("S/run/ledger-index.db").write_bytes(damage)
        assert run(*words).json["answers"] == honest
    Path("S/run/ledger-index.db").unlink()
    Path("S/run/ledger-index.db").mkdir()
    assert run(*words).json["answers"] == honest


def test_a_forgotten_principal_is_found_by_nobody_and_the_log_still_verifies(run: Run) -> None:
    make(run)
    run("ledger", "append", "S", "-", stdin=(access(1) + access(2, "bob")).encode())
    Path("before").write_bytes(Path("S/ledger/public/checkpoint").read_bytes())
    assert run("ledger", "forget", "ann@example.org", "--site", "S", "--json").json == {"forgotten": True, "index": 2}
    assert run("ledger", "ask", "--principal", "ann@example.org", "--site", "S", "--json").json["answers"] == []
    assert len(run("ledger", "ask", "acme/model", "--site", "S", "--json").json["answers"]) == 2
    assert len(run("ledger", "ask", "--principal", "bob", "--site", "S", "--json").json["answers"]) == 1
    run("ledger", "verify", "S", "--since", "before")
    assert "ann" not in run("ledger", "show", "S", 2).stdout
    for name in ("ann@example.org", "never", ""):
        run("ledger", "forget", name, "--site", "S", code=4 if not name else 3)
    assert run("ledger", "verify", "S", "--json").json["size"] == 3, "a refused erasure is not on record"
    run("ledger", "append", "S", "-", stdin=access(3).encode())
    (again,) = run("ledger", "ask", "--principal", "ann@example.org", "--site", "S", "--json").json["answers"]
    assert again["index"] == 3


# Hunts


def test_a_hunt_records_what_it_read_how_and_what_it_said(run: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_log(tmp_path / "plain.jsonl", campaign=0, honest=8)
    (tmp_path / "small.jsonl.gz").write_bytes(gzip.compress((tmp_path / "plain.jsonl").read_bytes()))
    rows = [json.loads(text) for text in (tmp_path / "plain.jsonl").read_text().splitlines()]
    table = pa.table(
        {
            "time": [r["time"] for r in rows],
            "account": [r["account"] for r in rows],
            "prompt": [r["messages"][0]["content"] for r in rows],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    names = ["plain.jsonl", "small.jsonl.gz", "rows.parquet"]
    make(run)
    done = run("hunt", *names, "--site", "S", "--json")
    entry = run("ledger", "show", "S", 0, "--json").json["entry"]
    assert (entry["type"], entry["writer"]) == ("strongroom.hunt/1", "strongroom")
    body = entry["body"]
    digests = {f"sha256:{hashlib.sha256(Path(name).read_bytes()).hexdigest()}" for name in names}
    assert {one["digest"] for one in body["inputs"]} == digests
    assert {one["bytes"] for one in body["inputs"]} == {Path(name).stat().st_size for name in names}
    assert body["verdict"] == f"sha256:{hashlib.sha256(done.stdout.removesuffix(chr(10)).encode()).hexdigest()}"
    assert body["configuration"] == f"sha256:{hashlib.sha256(Path('S/strongroom.toml').read_bytes()).hexdigest()}"
    assert "user_" not in json.dumps(entry)
    msgspec.json.decode(done.stdout)
    run("hunt", "--site", "S")
    assert run("ledger", "verify", "S", "--json").json["size"] == 2


def test_a_hunt_without_a_site_or_without_a_ledger_records_nothing(run: Run, tmp_path: Path) -> None:
    from strongroom.site import Site

    write_log(tmp_path / "a.jsonl", campaign=0, honest=3)
    run("hunt", "a.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "tmp"]
    Site.create(Path("old"))
    run("hunt", "a.jsonl", "--site", "old")
    assert not Path("old/ledger").exists()


def test_a_sealed_ledger_without_its_passphrase_stops_a_hunt_before_it_reads(run: Run, tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", campaign=0, honest=3)
    Path("pass").write_text(PASSPHRASE)
    make(run, "S", "--passphrase-file", "pass")
    run("hunt", "a.jsonl", "--site", "S", code=4)
    assert run("store", "info", "--site", "S", "--json").json["exchanges"]["rows"] == 0


# Interrupted, full, read-only


def test_ctrl_c_says_what_is_on_record(run: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    make(run)
    command = [sys.executable, "-c", CODE, "ledger", "append", "S", "-"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(lines(40_000))
        process.stdin.flush()
        while not list(Path("S/ledger/public/tile").glob("entries/*127*")):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert error.decode() == "interrupted; the first 32,768 entries are on record, 0 to 32,767\n"
    assert run("ledger", "verify", "S", "--json").json["size"] == 32_768


def test_an_interruption_before_the_first_commit_was_answered_promises_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strongroom.ledger import Sequencer

    make(run)
    real = Sequencer.append_many

    def interrupted(self: Sequencer, entries: Any) -> range:
        real(self, entries)
        raise KeyboardInterrupt

    monkeypatch.setattr(Sequencer, "append_many", interrupted)
    done = run("ledger", "append", "S", "-", stdin=lines(3), code=130)
    assert done.stderr == "interrupted; nothing is on record; the 3 after them may be\n"


LIMITED = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
{CODE}
"""


def test_a_disk_that_takes_no_more_refuses_new_entries_and_harms_no_old_one(
    run: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    make(run)
    grow(run, 50)
    words = [sys.executable, "-c", LIMITED, "30000", "ledger", "append", "S", "-", "--json"]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment,
        input=lines(2000, x="y" * 300),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (6, b"")
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert (error["code"], bool(error["where"]), bool(error["next"])) == ("failed", True, True)
    assert b"Traceback" not in done.stderr
    assert run("ledger", "verify", "S", "--json").json["size"] == 50
    grow(run, 5)
    assert run("ledger", "verify", "S", "--json").json["size"] == 55


def test_a_read_only_site_can_be_read_and_not_appended_to(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(run)
    run("ledger", "append", "S", "-", stdin=access(1).encode())
    words = {
        "ledger append S -": 6,
        "ledger rotate S": 6,
        "ledger verify S": 0,
        "ledger tail S": 0,
        "ledger prove S 0": 0,
        "ledger ask acme/model --site S": 0,
    }
    for command in words:  # as ourselves: whatever is imported late may lie where only root can read
        run(*command.split(), stdin=lines(1))

    ours = main

    def as_nobody() -> int:
        os.setegid(65534)
        os.seteuid(65534)
        try:
            return ours()
        finally:
            os.seteuid(0)
            os.setegid(0)

    with tempfile.TemporaryDirectory(prefix="strongroom-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        site = Path(folder) / "S"
        shutil.copytree("S", site)
        paths = [site, *site.rglob("*")]
        for path in paths:
            if os.getuid() == 0:
                os.chown(path, 65534, 65534)
            path.chmod(0o500 if path.is_dir() else 0o400)
        if os.getuid() == 0:  # whom no permission stops
            monkeypatch.setattr(sys.modules[__name__], "main", as_nobody)
        monkeypatch.chdir(folder)
        try:
            for command, code in words.items():
                done = run(*command.split(), code=code, stdin=lines(1))
                assert bool(done.stdout) == (code == 0)
        finally:
            for path in paths:
                path.chmod(0o700)
            monkeypatch.chdir(tmp_path)


def test_tail_notices_another_history_of_the_same_size(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make(run)
    shutil.copytree("S", "T")
    grow(run, 3)
    swapped = []

    def sleep(_: float) -> None:
        if swapped:
            raise KeyboardInterrupt  # nothing was noticed
        swapped.append(shutil.rmtree("S/ledger/public"))
        run("ledger", "append", "T", "-", stdin=lines(3, other=True))
        shutil.copytree("T/ledger/public", "S/ledger/public")

    monkeypatch.setattr("strongroom.cli._ledger.time.sleep", sleep)
    done = run("ledger", "tail", "S", "--follow", "--key", key, code=5)
    assert "first 3 entries are others now" in done.stderr


def test_a_hunt_that_cannot_go_on_record_shows_its_verdict_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(run)
    Path("log.jsonl").write_text(
        "".join(
            f'{{"time":"2026-11-01T09:30:{n:02d}Z","account":"a{n % 3}","prompt":"About number {n}"}}\n'
            for n in range(9)
        )
    )

    def full(*_: object, **__: object) -> None:
        raise StrongroomError("the ledger cannot write: No space left on device", next="free some space")

    monkeypatch.setattr("strongroom.ledger._home.open_ledger", full)
    done = run("hunt", "log.jsonl", "--site", "S", "--json", code=6)
    assert done.json["exchanges"] == 9
    assert "this hunt is not on record" in done.stderr
