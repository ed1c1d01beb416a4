"""The key service as people run it: a process of its own, programs of other users, keys, kills and stops."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.site import Site

from .test_ledger import Run, run

__all__ = ["run"]  # a fixture

CODE = "import sys; from strongroom.cli import main; sys.exit(main())"
ASSET = "acme/llama"
# Imported first: another user may not read where the package lies.
OPEN = """
import os, sys
import numpy, safetensors, msgspec, strongroom.site, strongroom.core.calling, encodings.idna
from strongroom.vault import safe_open, open_file, create, own_door, PrivateKey
import strongroom.vault._service
if int(sys.argv[1]) != os.getuid():
    os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
"""
READ = (
    OPEN
    + """
with safe_open("strongroom://local/acme/llama") as weights:
    print(weights.get_tensor("a")[:3].tolist())
"""
)
STEAL = (
    OPEN
    + """
from pathlib import Path
for path in sys.argv[2:]:
    try:
        Path(path).read_bytes()
        print("read", path)
    except PermissionError:
        print("refused")
"""
)
WRITE = (
    OPEN
    + """
with create(sys.argv[2], name="acme/run") as made, made.open("checkpoint.bin") as file:
    file.write(b"step 1")
with open_file(sys.argv[2] + "/checkpoint.bin") as file:
    print(file.read().decode())
"""
)
LOOP = (
    OPEN
    + """
import time
door = own_door("local")
for _ in range(int(sys.argv[2])):
    with safe_open("strongroom://local/acme/llama", door=door) as weights:
        weights.get_tensor("a")
    print("opened", flush=True)
"""
)


class Desk:
    """A site `S` whose key service listens at `keys.sock`, and sealed weights at `m`."""

    def __init__(self, path: Path, run: Run | None = None, patch: pytest.MonkeyPatch | None = None) -> None:
        self.path, self._run, self._patch = path, run, patch
        self.me = Site.open(path / "S").local_principal
        # A user of their own where there can be one; else who runs the tests, whom the files would let in as well.
        self.uid = 65_534 if os.getuid() == 0 else os.getuid()
        self.host = self.me.partition("@")[2]

    @property
    def worker(self) -> str:
        return Site.open(self.path / "S").user(self.uid)

    def command(self, *words: object, code: int = 0, **more: str) -> str:
        """`strongroom WORDS…`, in this process where one is given, else in one of its own; returns what it printed."""
        if self._run is not None and self._patch is not None:
            with self._patch.context() as patched:
                for name, value in {"STRONGROOM_SITE": "S", **more}.items():
                    patched.setenv(name, value)
                done = self._run(*words, code=code)
            return done.stdout + done.stderr * (code != 0)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STRONGROOM_")}
        environment |= {"STRONGROOM_SITE": "S", "TMPDIR": str(self.path), **more}
        done = subprocess.run(
            [sys.executable, "-c", CODE, *map(str, words)],
            cwd=self.path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr * (code != 0)

    def json(self, *words: object, code: int = 0, **more: str) -> Any:
        return json.loads(self.command(*words, "--json", code=code, **more))

    def start_program(self, text: str, *words: object, **more: str) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STRONGROOM_")}
        environment |= {"STRONGROOM_KEYSERVER": str(self.path / "keys.sock"), "HOME": str(self.path), **more}
        return subprocess.Popen(
            [sys.executable, "-c", text, str(self.uid), *map(str, words)],
            cwd=self.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def program(self, text: str, *words: object, code: int = 0, **more: str) -> str:
        """A program of the other user's, that knows the key service and nothing of the site."""
        process = self.start_program(text, *words, **more)
        out, error = process.communicate(timeout=120)
        assert process.returncode == code, (process.returncode, out, error)
        return out + error * (code != 0)

    @contextlib.contextmanager
    def serving(self, *words: object) -> Iterator[Serving]:
        made = Serving(self.path, *words)
        try:
            yield made
        finally:
            made.stop()  # what is committed is published then, for those who read the log

    def recorded(self) -> list[tuple[str, str]]:
        answers = self.json("ledger", "ask", ASSET)["answers"]
        return [(one["action"], one["outcome"]) for one in answers]


class Serving:
    def __init__(self, folder: Path, *words: object) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STRONGROOM_")}
        self.log = folder / "serve.log"
        with self.log.open("ab") as error:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CODE, "keyserver", "serve", "--site", "S", *map(str, words)],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=error, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.addresses: list[str] = []
        for line in self.process.stdout:
            self.addresses.append(line.strip().removeprefix("listening: "))
            if line.strip().endswith("keys.sock"):
                break

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys")
    Site.create(path / "S", origin="example.com/keys")
    with (path / "S" / "strongroom.toml").open("a") as file:
        file.write('[keyserver]\nsocket = "../keys.sock"\nmetrics = "127.0.0.1:0"\n')
    import numpy as np
    from safetensors.numpy import save_file

    (path / "w").mkdir()
    save_file({"a": np.arange(1000, dtype=np.float32)}, path / "w" / "model.safetensors")
    desk = Desk(path)
    desk.command("vault", "seal", "w", "-o", "m", "--name", ASSET)
    return path


@pytest.fixture
def folder(template: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="keys"))  # pytest's own are closed to other users
    shutil.copytree(template, made, dirs_exist_ok=True)
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def processes(folder: Path) -> Desk:
    """Commands in processes of their own, as people run them."""
    return known(Desk(folder))


@pytest.fixture
def desk(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Commands in this process, which is faster; the service and programs of other users are processes all the same."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("strongroom.vault.harden_process", lambda: None)
    return known(Desk(folder, run, monkeypatch))


def known(made: Desk) -> Desk:
    place = f"file://{made.path}/m"
    made.command("asset", "add", ASSET, "--at", place, "--classification", "crown", "--size", "5kB")
    if made.worker != made.me:
        made.command("principal", "add", made.worker, "--kind", "workload")
    return made


def test_a_program_that_may_not_read_the_keys_opens_what_it_was_granted(processes: Desk) -> None:
    desk = processes
    with desk.serving() as service:
        told = desk.program(READ, code=1, STRONGROOM_PURPOSE="a run")
        assert "no policy permits OpenWeights" in told
        desk.command("grant", "add", desk.worker, "OpenWeights", ASSET, "--for", "1d")
        assert desk.program(READ, STRONGROOM_PURPOSE="a run") == "[0.0, 1.0, 2.0]\n"
        assert "needs a purpose" in desk.program(READ, code=1)
        if desk.uid != os.getuid():
            keys = [path for path in (desk.path / "S" / "keys").rglob("*") if path.is_file()]
            told = desk.program(STEAL, *keys, desk.path / "S" / "state.db")
            assert told == "refused\n" * (len(keys) + 1)
        desk.command("grant", "revoke", desk.worker, "OpenWeights", ASSET)
        assert "no policy permits" in desk.program(READ, code=1, STRONGROOM_PURPOSE="a run")
        assert service.stop() == 0
    assert desk.recorded() == [
        ("Seal", "allowed"),
        ("OpenWeights", "refused"),
        ("OpenWeights", "allowed"),
        ("OpenWeights", "refused"),
        ("OpenWeights", "refused"),
    ]
    desk.command("ledger", "verify", "S")


def test_commands_and_programs_go_through_it(desk: Desk) -> None:
    environment = {"STRONGROOM_SITE": "", "STRONGROOM_KEYSERVER": str(desk.path / "keys.sock")}
    with desk.serving():
        desk.command("grant", "add", desk.me, "OpenWeights", ASSET, "--for", "1d")
        named = f"strongroom://local/{ASSET}"
        assert desk.json("vault", "info", named, **environment)["name"] == ASSET
        checked = desk.json("vault", "check", named, **environment, STRONGROOM_PURPOSE="a check")
        assert checked["checked"] == "every segment"
        told = desk.command("vault", "unseal", named, "-o", "out", "--purpose", "a copy", code=4, **environment)
        assert "the signed yes of two other people" in told
        assert not (desk.path / "out").exists()
        desk.command("vault", "seal", "w", "-o", "m2", "--name", "acme/two", **environment)
        assert desk.json("vault", "check", "m2", "--purpose", "a check", **environment)["problems"] == []
        told = desk.command("vault", "rekey", "m2", "--remove", "recovery", code=4, **environment)
        assert "no keys are released for Rekey" in told
        told = desk.command("vault", "check", named, "--key", "k", code=2, **environment)
        assert "a key service has its own keys" in told
        told = desk.command("vault", "check", "m", STRONGROOM_KEYSERVER="x", code=2)
        assert "both STRONGROOM_SITE and STRONGROOM_KEYSERVER" in told
    told = desk.command("vault", "info", named, code=6, **environment)
    assert "the key service did not answer" in told
    assert "strongroom keyserver serve" in told


def test_a_program_seals_what_it_makes(desk: Desk) -> None:
    group = "members"
    desk.command("principal", "add", desk.worker, "--group", group, "--replace", "--kind", "workload")
    out = desk.path / "runs"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    with desk.serving():
        assert desk.program(WRITE, out / "run") == "step 1\n"
    answers = desk.json("ledger", "ask", "acme/run")["answers"]
    assert [(one["action"], one["outcome"]) for one in answers] == [("Seal", "allowed")] * 2 + [
        ("OpenWeights", "allowed")
    ]


def test_an_api_key_says_who_asks_until_it_is_revoked(desk: Desk) -> None:
    desk.command("principal", "add", "train@acme", "--kind", "workload")
    desk.command("grant", "add", "train@acme", "OpenWeights", ASSET, "--for", "1d")
    first = desk.json("principal", "key", "add", "train@acme", "--label", "a run", "--for", "30d")
    assert first["key"].startswith(f"sr_{first['id']}_")
    for path in (desk.path / "S").rglob("*"):
        assert not path.is_file() or first["key"].encode() not in path.read_bytes(), path
    (desk.path / "key").write_text(first["key"] + "\n")
    (desk.path / "client.toml").write_text(
        f'version = 1\n[keyserver.local]\nsocket = "{desk.path}/keys.sock"\napi_key_file = "key"\n'
    )
    environment = {"STRONGROOM_CLIENT": str(desk.path / "client.toml"), "STRONGROOM_PURPOSE": "a run"}
    with desk.serving():
        assert desk.program(READ, **environment) == "[0.0, 1.0, 2.0]\n"
        second = desk.json("principal", "key", "rotate", first["id"], "--overlap", "1h")
        assert desk.program(READ, **environment) == "[0.0, 1.0, 2.0]\n", "the old one is accepted for an hour yet"
        (desk.path / "key").write_text(second["key"])
        assert desk.program(READ, **environment) == "[0.0, 1.0, 2.0]\n"
        told = desk.command("principal", "key", "add", "train@acme", code=2)
        assert "has 2 API keys already" in told
        desk.command("principal", "key", "revoke", second["id"])
        assert "not accepted: revoked" in desk.program(READ, code=1, **environment)
        (desk.path / "key").unlink()
        assert "the credential cannot be read" in desk.program(READ, code=1, **environment)
    listed = {one["id"]: one["live"] for one in desk.json("principal", "key", "list")}
    assert listed == {first["id"]: True, second["id"]: False}
    assert first["key"] not in (desk.path / "serve.log").read_text()
    for words in (("revoke", "x"), ("rotate", "x"), ("add", "nobody@acme")):
        assert "there is no" in desk.command("principal", "key", *words, code=3)
    assert "at most 366 days" in desk.command("principal", "key", "add", "train@acme", "--for", "400d", code=2)


def test_a_service_that_is_killed_and_started_again_is_waited_for(desk: Desk) -> None:
    desk.command("grant", "add", desk.worker, "OpenWeights", ASSET, "--for", "1d")
    opened = 0
    with desk.serving() as service:
        process = desk.start_program(LOOP, 40, STRONGROOM_PURPOSE="a run")
        assert process.stdout is not None
        for _ in range(5):
            assert process.stdout.readline() == "opened\n"
        service.stop(signal.SIGKILL)
    with desk.serving():
        out, error = process.communicate(timeout=120)
        opened = 5 + out.count("opened")
    assert (process.returncode, opened) == (0, 40), error
    assert desk.recorded().count(("OpenWeights", "allowed")) >= opened
    desk.command("ledger", "verify", "S")


def test_it_stops_when_asked_and_answers_what_was_begun(desk: Desk) -> None:
    with desk.serving() as service, contextlib.closing(socket.socket(socket.AF_UNIX)) as asking:
        asking.connect(str(desk.path / "keys.sock"))
        asking.sendall(b"POST /v1/note HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{")
        time.sleep(0.3)
        service.process.terminate()
        time.sleep(0.3)
        asking.sendall(b"}")
        asking.settimeout(20)
        answer = b""
        while part := asking.recv(65_536):  # head and body may come one after the other
            answer += part
        assert b"the request cannot be read" in answer
        assert service.process.wait(30) == 0
    assert not (desk.path / "keys.sock").exists()


def test_its_health_and_metrics_are_told_where_it_was_configured(desk: Desk) -> None:
    with desk.serving() as service:
        address = next(one for one in service.addresses if one.startswith("http://127.0.0.1:"))
        with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
            assert answer.read() == b"ok\n"
        with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
            assert b"strongroom_keyserver_serving 0.0" in answer.read()


def test_sealed_keys_are_opened_once_at_the_start(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.vault.harden_process", lambda: None)
    (tmp_path / "pass").write_text("battery staple horse\n")
    (tmp_path / "wrong").write_text("wrong\n")
    Site.create(tmp_path / "S", origin="example.com/sealed", passphrase="battery staple horse")
    with (tmp_path / "S" / "strongroom.toml").open("a") as file:
        file.write('[keyserver]\nsocket = "../keys.sock"\n')
    desk = Desk(tmp_path, run, monkeypatch)
    told = desk.command("keyserver", "serve", "--passphrase-file", "wrong", code=4)
    assert "passphrase" in told
    with desk.serving("--passphrase-file", "pass"):
        (tmp_path / "f").write_text("f")
        desk.command(
            "vault", "seal", "f", "-o", "o", "--name", "acme/f",
            STRONGROOM_SITE="", STRONGROOM_KEYSERVER=str(tmp_path / "keys.sock"),
        )  # fmt: skip


def test_what_is_configured_wrongly_is_told_at_the_start(desk: Desk) -> None:
    path = desk.path / "S" / "strongroom.toml"
    whole = path.read_text()
    for more, code, told in (
        ('listen = "127.0.0.1:0"\n', 2, "keyserver.listen needs keyserver.certificate"),
        ('listen = "127.0.0.1:0"\ncertificate = "none.pem"\n', 3, "certificate cannot be read"),
        ('socket_path = "x"\n', 2, "unknown key 'keyserver.socket_path'"),
        ('[identity.trust_domains]\n"acme.example" = "none.pem"\n', 3, "none.pem"),
        ('[identity.trust_domains]\n"acme.example" = "strongroom.toml"\n', 2, "no trust bundle"),
        ('[[identity.issuer]]\nissuer = "http://far.example"\naudiences = ["x"]\nprefix = "x:"\n', 2, "no https URL"),
        ('[[identity.issuer]]\nissuer = "https://far.example"\naudiences = ["x"]\n', 2, "could name any principal"),
        ('[[identity.issuer]]\nissuer = "https://far.example"\naudiences = "x"\n', 2, "identity.issuer"),
    ):
        path.write_text(whole + more)
        assert told in desk.command("keyserver", "serve", code=code), more
    path.write_text(whole)
    with desk.serving():
        assert "another process appends" in desk.command("keyserver", "serve", code=6)
        assert "another process appends" in desk.command("serve", code=6)
    (desk.path / "keys.sock").unlink(missing_ok=True)  # the service was killed
    (desk.path / "keys.sock").write_text("")
    assert "no socket" in desk.command("keyserver", "serve", code=6)


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("version = 2\n", 2, "version is 2"),
        ("version = 1\n[keyserver.x]\npassword = 1\n", 2, "client's configuration is none"),
        ("[", 2, "client's configuration is none"),
        ("version = 1\n", 2, "nothing is known of a key service 'far.example'"),
        ('version = 1\n[keyserver."far.example"]\napi_key_file = "a"\ntoken_file = "b"\n', 2, "with one credential"),
        ('version = 1\n[keyserver."far.example"]\nca = "none.pem"\n', 3, "certificates cannot be read"),
    ],
)
def test_a_client_that_is_configured_wrongly_is_told(desk: Desk, text: str, code: int, told: str) -> None:
    (desk.path / "client.toml").write_text(text)
    more = {"STRONGROOM_SITE": "", "STRONGROOM_CLIENT": "client.toml"}
    assert told in desk.command("vault", "info", f"strongroom://far.example/{ASSET}", code=code, **more)


def test_users_of_the_machine_are_named_as_the_site_names_them(desk: Desk) -> None:
    assert desk.worker == f"{pwd.getpwuid(desk.uid).pw_name}@{desk.host}"
