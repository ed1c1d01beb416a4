"""Who may do what, as people use it: real processes, a ledger, SSH keys, and what somebody gains by trying."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.core.leases import LEASE_STATES
from strongroom.core.principals import Principal
from strongroom.identity import SshKey
from strongroom.site import Site

from .test_ledger import Run, run

__all__ = ["run"]  # a fixture

CODE = "import sys; from strongroom.cli import main; sys.exit(main())"
ASSET = "acme/llama"


class Desk:
    """A directory with a site `S`, some weights, and the SSH keys of three people."""

    def __init__(self, path: Path, run: Run | None = None) -> None:
        self.path = path
        self.me = Site.open(path / "S").local_principal
        self._run = run

    def run(self, *words: object, code: int | tuple[int, ...] = 0) -> str:
        """`strongroom WORDS…`, in this process where one is given, else in one of its own; returns what it printed."""
        if self._run is None:
            return self.process(CODE, *words, code=code)
        done = self._run("--site", "S", *words, code=code)
        return done.stdout + done.stderr * (code != 0)

    def process(self, text: str, *words: object, code: int | tuple[int, ...] = 0) -> str:
        """A Python program, in a process of its own."""
        environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        environment |= {"STRONGROOM_SITE": "S", "TMPDIR": str(self.path)}
        command = [sys.executable, "-c", text, *map(str, words)]
        done = subprocess.run(command, cwd=self.path, env=environment, capture_output=True, timeout=120, check=False)
        assert done.returncode in (code if isinstance(code, tuple) else (code,)), (
            done.returncode,
            done.stderr.decode(),
            done.stdout.decode(),
        )
        return done.stdout.decode() + done.stderr.decode() * (code != 0)

    def json(self, *words: object, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def request(self, *more: object) -> str:
        asked = self.json("lease", "request", "ExportWeights", ASSET, "--purpose", "evaluation", *more)
        return str(asked["id"])

    def recorded(self, about: str = ASSET) -> list[tuple[str, str]]:
        answers = self.json("ledger", "ask", about)["answers"]
        return [(one["action"], one["outcome"]) for one in answers]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("desk")
    Site.create(path / "S", origin="example.com/desk")
    (path / "weights").mkdir()
    (path / "weights" / "model.bin").write_bytes(bytes(range(256)) * 1000)
    desk = Desk(path)
    for name in ("bob", "eve", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / name], check=True)
    for name in ("bob", "eve"):
        desk.run("principal", "add", f"{name}@acme", "--group", "members", "--ssh-key", f"{name}.pub")
    desk.run("asset", "add", ASSET, "--at", "file:///srv/llama", "--classification", "crown")
    desk.run("vault", "seal", "weights", "-o", "m", "--name", ASSET)
    return path


@pytest.fixture
def processes(template: Path, tmp_path: Path) -> Desk:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Desk(tmp_path)


@pytest.fixture
def desk(run: Run, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("strongroom.vault.harden_process", lambda: None)  # of a process of its own, not of the tests'
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    yield Desk(tmp_path, run)
    for key in ("bob", "eve", "stranger"):
        secret = (tmp_path / key).read_bytes().splitlines()[1]
        assert not any(secret in path.read_bytes() for path in (tmp_path / "S").rglob("*") if path.is_file())


def test_an_export_is_refused_until_two_others_have_signed_and_all_of_it_is_on_record(processes: Desk) -> None:
    desk = processes
    told = desk.run("vault", "unseal", "m", "-o", "out", code=4)
    assert "the signed yes of two other people" in told
    assert "strongroom lease request ExportWeights acme/llama" in told
    assert not (desk.path / "out").exists()
    lease = desk.request()
    desk.run("grant", "add", desk.me, "ExportWeights", ASSET, "--for", "1d")
    assert desk.json("lease", "approve", lease, "--key", "bob") == {
        "lease": lease,
        "approved_by": "bob@acme",
        "approvals": 1,
    }
    checked = desk.json(
        "policy", "check", "--principal", desk.me, "--action", "ExportWeights", "--asset", ASSET, "--lease", lease, code=4
    )  # fmt: skip
    assert [one["id"] for one in checked["policies"]] == ["export-needs-approvals"]
    assert f"strongroom lease approve {lease}" in desk.run(
        "vault", "unseal", "m", "-o", "out", "--lease", lease, code=4
    )
    # Eve signs on another machine.
    (desk.path / "asked").write_bytes(desk.run("lease", "show", lease, "--request").encode())
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "strongroom-approval", "-f", "eve", "asked"]
    subprocess.run(sign, cwd=desk.path, check=True, capture_output=True)
    assert desk.json("lease", "approve", lease, "--signature", "asked.sig")["approvals"] == 2
    desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease)
    assert (desk.path / "out/model.bin").read_bytes() == (desk.path / "weights/model.bin").read_bytes()
    assert "is used" in desk.run("vault", "unseal", "m", "-o", "again", "--lease", lease, code=4)
    assert desk.recorded() == [
        ("Seal", "allowed"),
        ("ExportWeights", "refused"),
        ("Approve", "allowed"),
        ("ExportWeights", "refused"),
        ("Approve", "allowed"),
        ("ExportWeights", "allowed"),
        ("ExportWeights", "refused"),
    ]
    assert desk.recorded("strongroom/site")[-1] == ("Administer", "allowed")
    listed = desk.json("lease", "list")
    assert [(one["id"], one["state"], one["approved_by"]) for one in listed] == [
        (lease, "used", ["bob@acme", "eve@acme"])
    ]
    desk.run("ledger", "verify", "S")


def test_weights_open_where_they_lie_with_a_grant_and_a_purpose(desk: Desk) -> None:
    desk.run("grant", "add", desk.me, "OpenWeights", "acme/*")
    code = (
        "from strongroom.site import Site; from strongroom.vault import open_file\n"
        "from pathlib import Path; import sys\n"
        "door = Site.open(Path('S')).door(purpose=sys.argv[1])\n"
        "with open_file('m/model.bin', door=door) as file: print(len(file.read()))"
    )
    assert desk.process(code, "training") == "256000\n"
    assert "opening what is restricted or crown needs a purpose" in desk.process(code, "", code=1)
    desk.run("grant", "revoke", desk.me, "OpenWeights", "acme/*")
    assert "no policy permits OpenWeights" in desk.process(code, "training", code=1)


def test_signatures_that_do_not_count(desk: Desk) -> None:
    lease, other = desk.request(), desk.request("--for", "9h")
    asked = desk.run("lease", "show", lease, "--request")
    for name, key, text, namespace in (
        ("of a key that nobody has", "stranger", asked, "strongroom-approval"),
        ("of another request", "bob", desk.run("lease", "show", other, "--request"), "strongroom-approval"),
        ("of a changed request", "bob", asked.replace('"seconds":28800', '"seconds":28801'), "strongroom-approval"),
        ("in another namespace", "bob", asked, "file"),
        ("of a request with a newline", "bob", asked + "\n", "strongroom-approval"),
    ):
        (desk.path / "asked").write_text(text)
        (desk.path / "asked.sig").unlink(missing_ok=True)
        sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key, "asked"]
        subprocess.run(sign, cwd=desk.path, check=True, capture_output=True)
        assert "approved_by" not in desk.run("lease", "approve", lease, "--signature", "asked.sig", code=4), name
    (desk.path / "bad.sig").write_text("-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n")
    desk.run("lease", "approve", lease, "--signature", "bad.sig", code=4)
    desk.run("lease", "approve", lease, "--signature", "none.sig", code=3)
    desk.run("lease", "approve", lease, code=2)
    # A key of one's own counts for nothing on one's own request.
    desk.run("principal", "add", desk.me, "--group", "owners", "--ssh-key", "stranger.pub", "--replace")
    assert "another person has to" in desk.run("lease", "approve", lease, "--key", "stranger", code=4)
    assert desk.json("lease", "show", lease)["approved_by"] == []


def test_approvals_work_on_a_site_with_many_keys(desk: Desk) -> None:
    site = Site.open(desk.path / "S")
    with site.state.transaction(write=True) as transaction:
        for number in range(70):
            transaction.principals.put(Principal(name=f"p{number}@acme"))
            public = Ed25519PrivateKey.generate().public_key()
            key = SshKey.parse(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())
            transaction.principals.add_ssh_key(f"p{number}@acme", key.fingerprint, key.line, 1)
    site.close()
    assert desk.json("lease", "approve", desk.request(), "--key", "bob")["approved_by"] == "bob@acme"


def test_rows_that_were_written_past_strongroom_give_no_approval(desk: Desk) -> None:
    desk.run("grant", "add", desk.me, "ExportWeights", ASSET)
    lease, other = desk.request(), desk.request()
    for one, key in ((lease, "bob"), (other, "bob"), (other, "eve")):
        desk.run("lease", "approve", one, "--key", key)
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute(
            "INSERT INTO approvals SELECT 'apr_x', ?, principal, signature, given FROM approvals"
            " WHERE lease = ? AND principal = 'eve@acme'",
            (lease, other),
        )
    assert desk.json("lease", "show", lease)["approved_by"] == ["bob@acme", "eve@acme"]
    assert "two other people" in desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease, code=4)
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.execute("UPDATE leases SET purpose = 'something else' WHERE id = ?", (other,))
    assert "two other people" in desk.run("vault", "unseal", "m", "-o", "out", "--lease", other, code=4)


def test_policies_are_tried_compared_and_published_and_never_lock_one_out(desk: Desk) -> None:
    text = (desk.path / "S/policies/site.cedar").read_text()
    changed = text.replace("context.approvals < 2", "context.approvals < 1")
    (desk.path / "new.cedar").write_text(changed)
    shutil.copy(desk.path / "S/policies/site.csv", desk.path / "new.csv")
    failed = desk.json("policy", "test", "new.cedar", code=1)["failed"]
    assert [one["line"] for one in failed] == [17]
    assert "nothing was published" in desk.run("policy", "publish", "new.cedar", code=3)
    (desk.path / "new.csv").write_text("principal,action,asset,expect\n")
    assert desk.json("policy", "publish", "new.cedar")["version"] == 2
    lease = desk.request()
    desk.run("grant", "add", desk.me, "ExportWeights", ASSET)
    desk.run("lease", "approve", lease, "--key", "bob")
    desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease)
    (desk.path / "new.cedar").write_text('@id("none") forbid (principal, action, resource);')
    assert "nobody could administer the site" in desk.run("policy", "publish", "new.cedar", code=2)
    changed = desk.json("policy", "diff", "new.cedar", code=1)
    assert (desk.me, "Administer", False) in {(o["principal"], o["action"], o["allowed"]) for o in changed["changed"]}
    assert changed["added"] == ["none"]
    assert desk.json("policy", "publish", "--default")["version"] == 3
    assert desk.run("policy", "diff", code=0).startswith("compared:")
    (desk.path / "new.cedar").write_text("permit (principal")
    assert "no Cedar policies" in desk.run("policy", "test", "new.cedar", code=2)


@pytest.mark.parametrize("what", ["text", "signer", "gone"])
def test_policies_that_the_site_did_not_sign_permit_nothing(desk: Desk, what: str) -> None:
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        if what == "text":
            direct.execute("UPDATE policy_sets SET text = '@id(\"all\") permit (principal, action, resource);'")
        elif what == "signer":
            direct.execute("UPDATE policy_sets SET signer = 'p256:ffffffffffffffffffffffff'")
        else:
            direct.execute("DELETE FROM policy_sets")
    code = 4 if what == "gone" else 5
    told = desk.run("vault", "unseal", "m", "-o", "out", code=code)
    assert ("no policies are in force" if what == "gone" else "sign") in told
    desk.run("policy", "show", code=code)
    assert not (desk.path / "out").exists()


def test_shadow_mode_lets_through_and_tells(desk: Desk) -> None:
    path = desk.path / "S/strongroom.toml"
    path.write_text(path.read_text().replace('mode = "enforce"', 'mode = "shadow"'))
    desk.run("vault", "unseal", "m", "-o", "out")
    assert desk.recorded()[-1] == ("ExportWeights", "allowed")
    answers = desk.json("ledger", "ask", ASSET)["answers"]
    assert answers[-1]["reason"].startswith("shadow mode: refused: ")


def test_a_site_that_was_made_before_there_were_policies_gets_them(desk: Desk) -> None:
    with sqlite3.connect(desk.path / "S/state.db") as direct:
        direct.executescript("PRAGMA foreign_keys = ON; DELETE FROM policy_sets; DELETE FROM principals")
    assert "no policies are in force" in desk.run("vault", "check", "m", code=(0, 4))
    assert "nobody could administer" in desk.run("policy", "publish", "--default", code=2)
    path = desk.path / "S/strongroom.toml"
    text = path.read_text()
    path.write_text(text.replace('mode = "enforce"', 'mode = "off"'))
    desk.run("vault", "unseal", "m", "-o", "out")
    desk.run("principal", "add", desk.me, "--group", "owners")
    assert desk.json("policy", "publish", "--default")["version"] == 1
    path.write_text(text)
    desk.run("vault", "unseal", "m", "-o", "again", code=4)
    assert desk.recorded("strongroom/site")[-2:] == [("Administer", "allowed")] * 2


def as_member(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    """From now on bob runs the commands: a member, who owns nothing."""
    found = pwd.getpwuid(os.getuid())
    host = desk.me.partition("@")[2]
    desk.run("principal", "add", f"bob@{host}", "--group", "members")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: pwd.struct_passwd(("bob", *found[1:])))
    return f"bob@{host}"


def test_a_member_changes_nothing_that_decides(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.path / "all.cedar").write_text('@id("all") permit (principal, action, resource);')
    (desk.path / "all.csv").write_text("principal,action,asset,expect\n")
    (desk.path / "assets.csv").write_text(f"name,at,classification\n{ASSET},file:///srv/llama,public\n")
    bob = as_member(desk, monkeypatch)
    before = len(desk.recorded("strongroom/site"))
    tried: list[list[str]] = [
        ["asset", "add", ASSET, "--at", "file:///srv/llama", "--classification", "public", "--replace"],
        ["asset", "remove", ASSET],
        ["principal", "add", bob, "--group", "owners", "--replace"],
        ["principal", "suspend", "eve@acme"],
        ["grant", "add", bob, "ExportWeights", ASSET],
        ["policy", "publish", "all.cedar"],
        ["policy", "reset-clock"],
    ]
    for words in tried:
        assert "no policy permits Administer" in desk.run(*words, code=4), words
    assert desk.recorded("strongroom/site")[before:] == [("Administer", "refused")] * len(tried)
    assert desk.json("asset", "show", ASSET)["classification"] == "crown"
    lease = desk.request()
    desk.run("lease", "revoke", lease)
    assert desk.json("lease", "show", lease)["state"] == "revoked", "one's own request can be withdrawn"


def test_adding_an_outsider_is_an_export(desk: Desk) -> None:
    (desk.path / "theirs").mkdir()
    desk.run("vault", "keys", "new", "ally", "--directory", "theirs", "--json")
    told = desk.run("vault", "rekey", "m", "--add", "theirs/ally.pub", "--purpose", "sharing", code=4)
    assert "the signed yes of two other people" in told
    assert desk.recorded()[-1] == ("ExportWeights", "refused")
    desk.run("vault", "rekey", "m", "--remove", "recovery")
    desk.run("vault", "rekey", "m", "--add", "recovery", "--purpose", "back", code=(0, 4))
    desk.run("grant", "add", desk.me, "ExportWeights", ASSET)
    lease = desk.request()
    for key in ("bob", "eve"):
        desk.run("lease", "approve", lease, "--key", key)
    desk.run("vault", "rekey", "m", "--add", "theirs/ally.pub", "--lease", lease)
    assert desk.recorded()[-2:] == [("ExportWeights", "allowed"), ("Rekey", "allowed")]


def test_without_its_ledgers_key_a_site_releases_nothing(desk: Desk) -> None:
    desk.run("grant", "add", desk.me, "OpenWeights", ASSET)
    (desk.path / "S/keys/ledger.key").rename(desk.path / "gone")
    assert "the ledger's key is gone" in desk.run("vault", "unseal", "m", "-o", "out", code=5)
    assert "the ledger's key is gone" in desk.run("grant", "add", desk.me, "ExportWeights", ASSET, code=5)
    assert not (desk.path / "out").exists()


def test_what_cannot_be_done_is_not_on_record(desk: Desk) -> None:
    before = desk.recorded("strongroom/site")
    desk.run("principal", "add", "ole@acme", "--ssh-key", "bob.pub", code=2)
    desk.run("principal", "add", "bob@acme", code=2)
    desk.run("grant", "revoke", "bob@acme", "OpenWeights", ASSET, code=3)
    desk.run("asset", "remove", "acme/none", code=4)
    told = desk.run("principal", "add", desk.me, "--group", "members", "--replace", code=2)
    assert "nobody could administer the site" in told
    assert desk.recorded("strongroom/site") == before
    desk.run("principal", "add", "bob@acme", "--group", "owners", "--ssh-key", "bob.pub", "--replace")
    desk.run("principal", "add", desk.me, "--group", "members", "--replace")
    assert desk.json("principal", "list")[0]["groups"] == ["owners"]


@pytest.mark.parametrize("text", ["a\udcff", "a\n", "../x", "group:members", "x" * 300])
def test_words_that_name_nothing_are_refused(desk: Desk, text: str) -> None:
    desk.run("principal", "suspend", text, code=4)
    desk.run("principal", "remove", text, code=4)
    desk.run("principal", "add", text, code=4)
    desk.run("lease", "show", text, code=4)
    desk.run("lease", "revoke", text, code=4)
    check = ["policy", "check", "--action", "Seal", "--asset", ASSET]
    desk.run(*check, "--principal", text, code=4)
    desk.run(*check, "--principal", desk.me, "--lease", text, code=4)
    desk.run("grant", "add", desk.me, "Seal", text, code=(2, 4))


@pytest.mark.parametrize(
    "text",
    [
        "permit (principal, action, resource) when { " + " && ".join(["true"] * 600) + " };",
        "permit (principal, action, resource) when { " + "(" * 3000 + "true" + ")" * 3000 + " };",
        "permit (principal, action, resource) when { " + "!" * 600 + "true };",
        "permit (principal, action, resource) when { " + "[" * 3000 + "]" * 3000 + " == [] };",
        "permit (principal, action, resource) when { " + "if true then true else " * 600 + "true };",
    ],
)
def test_policies_that_are_nested_without_end_are_refused(processes: Desk, text: str) -> None:
    (processes.path / "deep.cedar").write_text('@id("deep") ' + text)
    processes.run("policy", "test", "deep.cedar", "--table", "S/policies/site.csv", code=(1, 2))


def test_people_come_are_suspended_and_go(desk: Desk) -> None:
    assert "already" in desk.run("principal", "add", "bob@acme", code=2)
    assert "key of bob@acme already" in desk.run("principal", "add", "ole@acme", "--ssh-key", "bob.pub", code=2)
    assert "private key" in desk.run("principal", "add", "ole@acme", "--ssh-key", "bob", code=2)
    desk.run("principal", "add", "a b", code=4)
    desk.run("principal", "suspend", desk.me, code=2)
    lease = desk.request()
    desk.run("lease", "approve", lease, "--key", "bob")
    desk.run("principal", "suspend", "bob@acme")
    assert desk.json("principal", "list")[0] | {"ssh_keys": []} == {
        "name": "bob@acme",
        "kind": "person",
        "groups": ["members"],
        "suspended": True,
        "ssh_keys": [],
    }
    desk.run("lease", "approve", lease, "--key", "eve")
    desk.run("grant", "add", desk.me, "ExportWeights", ASSET)
    desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease, code=4)
    desk.run("principal", "resume", "bob@acme")
    desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease)
    desk.run("principal", "remove", "bob@acme")
    assert desk.run("principal", "list").count("@acme\t") == 1
    desk.run("principal", "remove", "bob@acme", code=3)
    assert set(LEASE_STATES) >= {one["state"] for one in desk.json("lease", "list")}


def test_one_key_of_somebody_is_forgotten_and_what_it_signed_counts_no_more(desk: Desk) -> None:
    lease = desk.request()
    assert desk.json("lease", "approve", lease, "--key", "bob")["approvals"] == 1
    (key,) = next(one["ssh_keys"] for one in desk.json("principal", "list") if one["name"] == "bob@acme")
    assert "has no such key" in desk.run("principal", "remove", "eve@acme", "--ssh-key", key, code=3)
    assert desk.json("principal", "remove", "bob@acme", "--ssh-key", key) == {"removed": "bob@acme", "ssh_key": key}
    (bob,) = [one for one in desk.json("principal", "list") if one["name"] == "bob@acme"]
    assert bob["ssh_keys"] == []
    desk.run("lease", "approve", lease, "--key", "bob", code=4)
    desk.run("lease", "approve", lease, "--key", "eve")
    desk.run("grant", "add", desk.me, "ExportWeights", ASSET, "--for", "1d")
    assert "two other people" in desk.run("vault", "unseal", "m", "-o", "out", "--lease", lease, code=4)
