"""A site is looked after: what was edited is found against the ledger, a backup becomes the site that it was."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from strongroom.site import Site

from ..unit.contracts.schemas import problems
from .test_ledger import Run, run
from .test_policy import ASSET, CODE, Desk

__all__ = ["run"]  # a fixture

LIMITED = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
{CODE}
"""
MANY = """
import json, sys
from strongroom.cli import main
for words in json.loads(sys.argv.pop()):
    sys.argv = ["strongroom", *words]
    assert main() == 0, words
"""
STOPPED = f"""
import os, signal, strongroom.site._backup as backup
real = backup.copy_file
def slow(*words):
    os.kill(os.getpid(), signal.SIGINT)
    return real(*words)
backup.copy_file = slow
{CODE}
"""


class Care(Desk):
    """A copy of that site."""

    def __init__(self, path: Path, run: Run | None = None) -> None:
        super().__init__(path, run)
        ids = path / "leases.json"
        self.leases: dict[str, str] = json.loads(ids.read_text()) if ids.exists() else {}

    def many(self, *commands: list[str]) -> None:
        """Commands that follow each other, in one process."""
        self.process(MANY, json.dumps(commands))

    def sql(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.path / "S/state.db") as direct:
            assert direct.execute(statement, values).rowcount != 0

    def found(self, site: str = "S") -> list[dict[str, Any]]:
        """What the doctor finds beyond advice."""
        told = json.loads(self.run("site", "doctor", "--site", site, "--json", code=(1, 5)).partition("\n")[0])
        return [one for one in told["problems"] if one["severity"] != "advice"]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site on which something of every kind was done and taken back."""
    path = tmp_path_factory.mktemp("used")
    Site.create(path / "S", origin="example.com/care")
    (path / "weights").mkdir()
    (path / "weights" / "model.bin").write_bytes(bytes(range(256)) * 1000)
    desk = Care(path)
    for name in ("bob", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / name], check=True)
    people = [
        ["principal", "add", f"{name}@acme", "--group", "members", "--ssh-key", f"{name}.pub"]
        for name in ("bob", "eve")
    ]
    grants = [["grant", "add", desk.me, action, ASSET, "--for", "30d"] for action in ("ExportWeights", "OpenWeights")]
    listed = ["asset", "add", ASSET, "--at", "file:///srv/llama", "--classification", "crown"]
    desk.many(
        *people,
        ["principal", "add", "mal@acme", "--group", "owners"],
        ["principal", "add", "mal@acme", "--group", "members", "--replace"],
        ["principal", "suspend", "mal@acme"],
        listed,
        *grants,
        ["grant", "add", "bob@acme", "OpenWeights", ASSET],
    )
    shutil.copy(path / "S/state.db", path / "before-revocation.db")
    desk.many(
        ["grant", "revoke", "bob@acme", "OpenWeights", ASSET],
        ["vault", "seal", "weights", "-o", "m", "--name", ASSET],
    )
    waiting, lease, revoked = desk.request(), desk.request(), desk.request()
    desk.many(
        ["lease", "approve", waiting, "--key", "eve"],
        ["lease", "approve", lease, "--key", "bob"],
        ["lease", "approve", lease, "--key", "eve"],
    )
    shutil.copy(path / "S/state.db", path / "before-export.db")
    with (path / "S/policies/site.cedar").open("a") as file:
        file.write("\n// edited\n")
    desk.many(
        ["vault", "unseal", "m", "-o", "out", "--lease", lease],
        ["lease", "revoke", revoked],
        ["vault", "check", "m", "--purpose", "audit"],
        ["policy", "publish"],
    )
    desk.run("principal", "key", "revoke", json.loads(desk.run("principal", "key", "add", "bob@acme", "--json"))["id"])
    (path / "leases.json").write_text(json.dumps({"waiting": waiting, "used": lease, "revoked": revoked}))
    return path


@pytest.fixture
def care(run: Run, used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Care:
    monkeypatch.setattr("strongroom.vault.harden_process", lambda: None)
    monkeypatch.setattr("strongroom.site._state_check.SETTLE_SECONDS", 0.0)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    return Care(tmp_path, run)


def test_a_site_that_was_used_in_every_way_agrees_with_its_ledger(care: Care) -> None:
    assert care.found() == []


EDITS = {
    "a used lease that can be used again": (
        "UPDATE leases SET state = 'requested', attempt = 0, entry = -1 WHERE id = :used", "lease", "again"),
    "a used lease that was made active": (
        "UPDATE leases SET state = 'active', expires = 9e15 WHERE id = :used", "lease", "again"),
    "a used lease that is pending as after a crash": (
        "UPDATE leases SET state = 'pending', changed = 1, entry = -1 WHERE id = :used", "lease", "pending"),
    "a used lease that was deleted": (
        "DELETE FROM leases WHERE id = :used", "lease", "not in the table"),
    "a lease that nobody asked for": (
        "INSERT INTO leases SELECT replace(id, 'lse_01', 'lse_02'), principal, action, asset, asset_digest, purpose,"
        " requested, seconds, state, expires, changed, opened, attempt, bytes, entry, request, breakglass, not_before FROM leases"
        " WHERE state = 'active'", "lease", "no entry"),
    "a lease of another principal": (
        "UPDATE leases SET principal = 'bob@acme' WHERE state = 'active'", "lease", "another principal"),
    "a lease for another object": (
        "UPDATE leases SET opened = 'sha256:' || hex(randomblob(32)) WHERE state = 'active'", "lease", "another object"),
    "a lease of another purpose": (
        "UPDATE leases SET purpose = 'anything' WHERE state = 'active'", "lease", "another purpose"),
    "a lease that lasts longer": (
        "UPDATE leases SET expires = expires + 86400000000 WHERE state = 'active'", "lease", "a later end"),
    "a revoked lease": (
        "UPDATE leases SET state = 'requested' WHERE id = :revoked", "lease", "was revoked"),
    "a budget that was lowered": (
        "UPDATE releases SET bytes = 1", "budget", "bytes were released"),
    "a budget that was deleted": (
        "DELETE FROM releases", "budget", "bytes were released"),
    "an approval that is not on record": (
        "INSERT INTO approvals SELECT 'apr_x', :waiting, 'bob@acme', signature, given FROM approvals LIMIT 1",
        "approval", "not on record"),
    "an approval that vanished": (
        "DELETE FROM approvals WHERE lease = :waiting", "approval", "not in the table"),
    "a grant that nobody gave": (
        "INSERT INTO grants SELECT 'eve@acme', action, asset, expires, given, by FROM grants LIMIT 1",
        "grant", "no entry"),
    "a grant that lasts longer": (
        "UPDATE grants SET expires = expires + 1", "grant", "left it"),
    "a grant that was revoked": (
        "INSERT INTO grants SELECT 'bob@acme', action, asset, expires, given, by FROM grants"
        " WHERE action = 'OpenWeights'", "grant", "took it away"),
    "a grant that vanished": (
        "DELETE FROM grants WHERE action = 'OpenWeights'", "row", "not in the tables"),
    "a principal that nobody added": (
        "INSERT INTO principals SELECT 'new@acme', version, kind, suspended FROM principals LIMIT 1",
        "principal", "no entry"),
    "a principal of another kind": (
        "UPDATE principals SET kind = 'workload' WHERE name = 'bob@acme'", "principal", "left it"),
    "a suspension that was undone": (
        "UPDATE principals SET suspended = 0 WHERE name = 'mal@acme'", "principal", "left it"),
    "an owner who made themselves one": (
        "INSERT INTO principal_groups VALUES ('bob@acme', 'owners')", "principal", "left it"),
    "an owner who is one again": (
        "UPDATE principal_groups SET name = 'owners' WHERE principal = 'mal@acme'", "principal", "left it"),
    "a key that was replaced": (
        "UPDATE ssh_keys SET public = replace(public, 'AAAA', 'BBBB') WHERE principal = 'bob@acme'",
        "SSH key", "left it"),
    "a key of somebody else": (
        "UPDATE ssh_keys SET principal = 'eve@acme' WHERE principal = 'bob@acme'", "SSH key", "left it"),
    "an API key that nobody made": (
        "INSERT INTO api_keys VALUES ('00000000000', 1, 'bob@acme', 'sha256:00', '', 1, NULL, NULL)", "API", "no entry"),
    "an API key that was revoked": (
        "UPDATE api_keys SET revoked = NULL", "API", "left it"),
    "a used lease that answers another request": (
        "UPDATE leases SET request = 'sha256:00' WHERE id = :used", "lease", "another request"),
    "an asset that is cheaper": (
        "UPDATE assets SET classification = 'internal'", "asset", "left it"),
    "an asset that vanished": (
        "DELETE FROM assets", "row", "not in the tables"),
    "policies of before": (
        "DELETE FROM policy_sets WHERE version = 2", "row", "not in the tables"),
    "policies that were edited": (
        "UPDATE policy_sets SET text = text || ' ' WHERE version = 2", "policies", "left it"),
    "a sealer who sealed nothing": (
        "UPDATE sealers SET principal = 'bob@acme'", "sealer", "does not say so"),
    "a clock that was put back": (
        "UPDATE marks SET value = 1", "clock", "latest time"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_rows_that_were_edited_are_found_against_the_ledger(care: Care, edit: str) -> None:
    statement, kind, says = EDITS[edit]
    for name, lease in care.leases.items():
        statement = statement.replace(f":{name}", f"'{lease}'")
    care.sql(statement)
    told = [one for one in care.found() if one["check"] == "state" and says in one["what"]]
    assert {one["where"].partition(" ")[0] for one in told} == {kind.partition(" ")[0]}, care.found()
    assert all(one["next"] for one in told)


@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit != "policies that were edited"])
def test_what_differs_can_be_accepted_or_is_ended(care: Care, edit: str) -> None:
    statement, kind, _ = EDITS[edit]
    for name, lease in care.leases.items():
        statement = statement.replace(f":{name}", f"'{lease}'")
    care.sql(statement)
    accepted = care.json("site", "accept")["accepted"]
    if kind == "clock":
        care.run("policy", "reset-clock")
    assert (accepted > 0) == (kind not in ("budget", "clock"))
    assert kind == "budget" or care.found() == []  # today's cannot be mended, and is over tomorrow
    for lease in (care.leases["used"], care.leases["revoked"]):
        care.run("vault", "unseal", "m", "-o", "x", "--lease", lease, code=4)


def test_policies_that_were_edited_are_published_anew_and_accepted(care: Care) -> None:
    care.sql("UPDATE policy_sets SET text = text || ' ' WHERE version = 2")
    assert "not as this site signed them" in care.run("site", "accept", code=5)
    configuration = care.path / "S/strongroom.toml"
    enforced = configuration.read_text()
    configuration.write_text(enforced.replace('mode = "enforce"', 'mode = "off"'))
    care.run("policy", "publish")
    configuration.write_text(enforced)
    assert care.json("site", "accept") == {"accepted": 1}
    assert care.found() == []


@pytest.mark.parametrize(("copy", "kind", "says"), [
    ("before-export.db", "lease", "again"),
    ("before-revocation.db", "grant", "took it away"),
])  # fmt: skip
def test_an_old_copy_of_the_tables_is_found_and_named(care: Care, copy: str, kind: str, says: str) -> None:
    shutil.copy(care.path / copy, care.path / "S/state.db")
    for name in ("state.db-wal", "state.db-shm"):
        (care.path / "S" / name).unlink(missing_ok=True)
    text = care.run("site", "doctor", code=5)
    assert any(kind in line and says in line for line in text.splitlines())
    if kind == "lease":  # what was released lately is compared by doors too
        used = care.leases["used"]
        assert f"strongroom lease revoke {used}" in text
        refused = care.run("vault", "unseal", "m", "-o", "x", "--lease", used, code=5)
        assert "the tables are older than the ledger" in refused
        assert not (care.path / "x").exists()
        care.run("site", "accept")
        care.run("vault", "check", "m", "--purpose", "audit")


def test_a_crash_between_record_and_release_stops_nobody(care: Care) -> None:
    care.sql("UPDATE leases SET state = 'pending', changed = 1, entry = -1 WHERE state = 'active'")
    care.run("vault", "check", "m", "--purpose", "audit")
    assert [one["severity"] for one in care.found()] == ["error"]


def test_what_is_right_as_it_is_can_be_put_on_record(care: Care) -> None:
    care.sql("UPDATE assets SET note = 'edited by hand'")
    assert [one["severity"] for one in care.found()] == ["integrity"]
    assert care.json("site", "accept") == {"accepted": 1}
    assert care.found() == []
    assert care.json("site", "accept") == {"accepted": 0}


def test_a_principal_that_was_forgotten_is_no_alarm(care: Care) -> None:
    care.run("principal", "remove", "bob@acme")
    care.run("ledger", "forget", "bob@acme")
    assert care.found() == []


def test_the_doctor_names_what_is_wrong_and_what_mends_it(care: Care) -> None:
    site = care.path / "S"
    (site / "keys/sketch.key").chmod(0o644)
    (site / "keys/old.part").write_text("x")
    os.utime(site / "keys/old.part", (1, 1))
    (site / "keys/vault/recovery.pub").rename(care.path / "gone.pub")
    care.run("principal", "remove", "eve@acme")
    configuration = (site / "strongroom.toml").read_text()
    (site / "strongroom.toml").write_text(configuration.replace('mode = "enforce"', 'mode = "shadow"'))
    text = care.run("site", "doctor", code=(1, 5))
    for words in (
        f"chmod 0600 {'S/keys/sketch.key'}",
        "rm S/keys/old.part",
        "no recovery recipient",
        "mode is shadow",
        "the approval of eve@acme does not count",
        "no checkpoint of the ledger leaves the machine",
    ):
        assert words in text, words


def test_a_site_that_cannot_be_opened_is_told(care: Care) -> None:
    (care.path / "S/strongroom.toml").write_text("version = 1\nwrong = 2\n")
    assert "unknown key" in care.run("site", "doctor", code=1)
    (care.path / "S/strongroom.toml").unlink()
    assert "there is no site" in care.run("site", "doctor", code=3)


# Backup and restore


def test_a_backup_of_a_site_in_use_becomes_a_site_that_verifies(used: Path, tmp_path: Path) -> None:
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    care = Care(tmp_path)
    stop = threading.Event()

    def use() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            care.run("vault", "check", "m", "--purpose", f"use {number}")

    users = [threading.Thread(target=use) for _ in range(2)]
    for one in users:
        one.start()
    try:
        for number in range(2):
            made = care.json("site", "backup", f"B{number}")
            assert made["left_out"] == ["run", "store"]
            time.sleep(0.3)
    finally:
        stop.set()
        for one in users:
            one.join()
    for number in range(2):
        restored = care.json("site", "restore", f"B{number}", f"R{number}")
        assert restored["revoked_leases"] >= 2
        assert care.found(f"R{number}") == []
        care.run("ledger", "verify", f"R{number}")
        assert "is revoked" in care.run(
            "vault", "unseal", "m", "-o", "x", "--lease", care.leases["waiting"], "--site", f"R{number}", code=4
        )
    assert problems("backup-1.json", json.loads((tmp_path / "B0/backup.json").read_text())) == []
    assert oct((tmp_path / "B0").stat().st_mode)[-4:] == "0700"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "B0/keys").rglob("*") if path.is_file())


def test_what_happened_since_a_backup_is_told_and_nothing_comes_back_to_life(care: Care) -> None:
    care.run(
        "asset", "add", ASSET, "--at", "file:///srv/llama", "--classification", "crown", "--size", "1GB", "--replace"
    )
    lease = care.request()
    for key in ("bob", "eve"):
        care.run("lease", "approve", lease, "--key", key)
    care.run("site", "backup", "B")
    care.run("vault", "unseal", "m", "-o", "out2", "--lease", lease)
    care.run("grant", "revoke", care.me, "OpenWeights", ASSET)
    care.run("principal", "add", "new@acme")
    told = json.loads(care.run("site", "restore", "B", "R", "--ledger", "S", "--json", code=1).partition("\n")[0])
    assert told["lost_changes"] == {"adds a principal": 1, "revokes": 1}
    assert told["newer_entries"] == 3
    assert told["may_append"] is True
    assert care.found("R") == []
    assert "is revoked" in care.run("vault", "unseal", "m", "-o", "y", "--lease", lease, "--site", "R", code=4)


def test_a_restored_log_does_not_become_another_history(care: Care) -> None:
    care.run("site", "backup", "B")
    care.run("principal", "add", "new@acme")
    text = care.run("site", "restore", "B", "R", "--checkpoint", "S/ledger/public/checkpoint", "--json", code=1)
    told = json.loads(text.partition("\n")[0])
    assert told["may_append"] is False
    assert "journal goes on" in care.run("principal", "add", "x@acme", "--site", "R", code=5)
    shutil.copytree(care.path / "S/ledger/public", care.path / "R/ledger/public", dirs_exist_ok=True)
    care.run("principal", "add", "x@acme", "--site", "R")
    care.run("ledger", "verify", "R", "--since", "S/ledger/public/checkpoint")


def test_an_edited_backup_is_restored_and_found(care: Care) -> None:
    care.sql("INSERT INTO principal_groups VALUES ('bob@acme', 'owners')")
    care.run("site", "backup", "B")
    assert "bob@acme: is not as" in care.run("site", "restore", "B", "R", code=5)


@pytest.mark.parametrize("name", ["state.db", "keys/ledger.key", "ledger/public/tile/entries/000.p/*", "backup.json"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_backup_is_refused(care: Care, name: str, damage: str) -> None:
    care.run("site", "backup", "B")
    path = next((care.path / "B").glob(name))
    if damage == "changed":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x81
        path.write_bytes(bytes(data))
    else:
        path.unlink()
    assert care.run("site", "restore", "B", "R", code=(2, 5))
    assert not (care.path / "R").exists()
    assert not (care.path / "R.part").exists()


def test_nothing_is_written_over(care: Care) -> None:
    care.run("site", "backup", "B")
    assert "something is there already" in care.run("site", "backup", "B", code=2)
    assert "something is there already" in care.run("site", "restore", "B", "S", code=2)


def test_a_full_disk_and_a_ctrl_c_leave_nothing_that_looks_whole(used: Path, tmp_path: Path) -> None:
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    care = Care(tmp_path)
    assert "cannot be" in care.process(LIMITED, "100000", "site", "backup", "B", code=6)
    care.process(STOPPED, "site", "backup", "B", code=130)
    assert not list(tmp_path.glob("B*"))
    care.run("site", "backup", "B")
    assert "cannot be" in care.process(LIMITED, "100000", "site", "restore", "B", "R", code=6)
    assert not list(tmp_path.glob("R*"))


def test_the_tables_of_logs_are_backed_up_when_asked_for(care: Care) -> None:
    care.run("store", "info")
    assert care.json("site", "backup", "B", "--store")["left_out"] == ["run"]
    care.run("site", "restore", "B", "R")
    care.run("store", "info", "--site", "R")


def test_a_backup_without_its_ledger_is_not_restored(care: Care) -> None:
    """Whoever edits a backup takes away what it would be compared with, and does the digests anew."""
    care.run("site", "backup", "B")
    manifest = json.loads((care.path / "B/backup.json").read_text())
    gone = ("ledger/", "keys/ledger.key", "keys/writer.token")
    manifest["files"] = [one for one in manifest["files"] if not one["path"].startswith(gone)]
    (care.path / "B/backup.json").write_text(json.dumps(manifest))
    for more in ([], ["--ledger", "S"]):
        assert "the backup's ledger is not in it" in care.run("site", "restore", "B", "R", *more, code=5)
        assert not (care.path / "R").exists()
