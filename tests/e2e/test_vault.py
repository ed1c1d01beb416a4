"""The vault's commands as a person and a script use them: answers, documents, exit codes, what is on record, what stays."""

from __future__ import annotations

import base64
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from strongroom.site import Site
from strongroom.vault import local_principal

from .test_ledger import Done, Run, environment
from .test_ledger import run as ledger_run
from .test_serve import started

__all__ = ["environment", "ledger_run", "run", "template"]  # fixtures

MARK = b"battery staple horse of acme"
"""Stands in all plaintext; in no file but those in `plain` and `out`, and in nothing that is printed."""
PASSPHRASE = "staple horse battery"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a ledger, to be copied."""
    return Site.create(tmp_path_factory.mktemp("template") / "S", origin="example.com/vault").path


@pytest.fixture
def run(ledger_run: Run, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`strongroom WORDS…` in this process, beside a site `S` and plain files. At the end no secret is where it must not be."""
    monkeypatch.setattr("strongroom.vault.harden_process", lambda: None)  # of a process of its own, not of the tests'
    shutil.copytree(template, "S")
    write(Path("plain/model/config.json"), MARK)
    write(Path("plain/model/empty"), b"")
    write(Path("plain/model/shards/one.bin"), MARK * 90_000)
    printed: list[str] = []

    def call(*words: object, code: int | tuple[int, ...] = 0, stdin: bytes = b"") -> Done:
        done = ledger_run(*words, code=code, stdin=stdin)
        printed.extend([done.stdout, done.stderr])
        return done

    yield call
    no_secret_is_found(tmp_path, "".join(printed).encode())


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def no_secret_is_found(root: Path, printed: bytes) -> None:
    """Neither a private key nor plaintext nor a passphrase was printed or stands in a file where it does not belong."""
    keys = [path for path in root.rglob("*.key") if not path.read_bytes().startswith(b"age-")]
    secrets = {MARK, PASSPHRASE.encode()}
    for path in keys:
        text = path.read_bytes().split()[-1]
        seed = base64.b64decode(text) if path.parent.name == "vault" or b"private-key" in path.read_bytes() else text
        secrets |= {text, seed, seed.hex().encode()}
    assert keys
    assert [secret for secret in secrets if secret in printed] == []
    plain = [root / name for name in ("plain", "out", "passphrase")]
    for path in root.rglob("*"):
        if path.suffix != ".key" and path.is_file() and not any(path.is_relative_to(one) for one in plain):
            data = path.read_bytes()
            assert [path for secret in secrets if secret in data] == []


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def names(done: Done) -> list[str]:
    return [one["name"] for one in done.json["recipients"]]


def key(run: Run, name: str, kind: str = "mlkem768-x25519") -> str:
    """A key outside of the site; returns the path without its suffix."""
    Path("keys").mkdir(exist_ok=True)
    run("vault", "keys", "new", name, "--kind", kind, "--directory", "keys", "--json")
    return f"keys/{name}"


def sealed(run: Run, *more: object, name: str = "acme/model:v1") -> Any:
    return run("vault", "seal", "plain/model", "-o", "m", "--site", "S", "--name", name, "--json", *more).json


def signer(run: Run, site: str = "S") -> str:
    Path(f"{site}.pub").write_text(run("vault", "keys", "show", "signer", "--site", site).stdout)
    return f"{site}.pub"


def recorded(run: Run, *more: object) -> list[tuple[str, str, str]]:
    """Action, asset and reason of what is on record, oldest first."""
    entries = run("ledger", "export", "S", "--json", *more).json["entries"]
    bodies = [row["entry"]["body"] for row in entries if row["entry"]["type"] == "strongroom.access/1"]
    return [(body["action"], body["asset"], body.get("reason", "")) for body in bodies]


# The whole list


def test_every_command_answers_in_text_and_as_one_document(run: Run) -> None:
    key(run, "ally")
    said = {
        "vault seal plain/model -o m": ["sealed:    m\n", "files:     3,", "opens for: site, recovery\n"],
        "vault info m": ["opens for: site (mlkem768-x25519:", "\nconfig.json\t28\n", "signed by: signer (p256:"],
        "vault check m": ["checked: every segment\n", "result:  sound\n"],
        "vault unseal m -o out": ["unsealed: out\n", "files:    3,"],
        "vault rekey m --add keys/ally.pub": ["version:   2\n", "opens for: site, recovery, ally\n"],
        "vault keys list": ["name\tkind\tuse\tprivate key\tkey\n", "signer\tp256\tsigns\there\tp256:"],
        "vault keys show site": ["strongroom-public-key/1 mlkem768-x25519 site "],
        "vault keys add keys/ally.pub": ["kind: mlkem768-x25519\n"],
        "vault keys new laptop": ["private: ", "S/keys/vault/laptop.key\n"],
    }
    for line, parts in said.items():
        done = run(*line.split(), "--site", "S")
        assert [part for part in parts if part not in done.stdout] == [], done
    for line in ("seal plain/model -o m --force", "info m", "check m", "check m --quick", "rekey m --add ally"):
        assert run("--site", "S", "vault", *line.split(), "--json").json["path"] == "m"
    for line in ("unseal m -o out --force", "keys list", "keys show signer --pem", "keys new other"):
        assert run("--site", "S", "vault", *line.split(), "--json").json


def test_init_makes_three_keys_and_says_where_one_of_them_belongs(run: Run) -> None:
    done = run("init", "T", "--yes")
    assert "T/keys/vault/recovery.key too: move it to where it survives this machine" in done.stdout
    assert "not encrypted (mode 0600)" in done.stderr
    listed = run("vault", "keys", "list", "--site", "T", "--json").json
    kinds = [("recovery", "mlkem768-x25519"), ("signer", "p256"), ("site", "mlkem768-x25519")]
    assert [(one["name"], one["key"].partition(":")[0]) for one in listed] == kinds
    assert all(one["held"] for one in listed)
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in Path("T/keys/vault").iterdir()}
    assert modes == {".key": 0o600, ".pub": 0o644}
    assert stat.S_IMODE(Path("T/keys/vault").stat().st_mode) == 0o700


def test_a_public_key_goes_from_one_to_another(run: Run) -> None:
    path = key(run, "ally", "x25519")
    added = run("vault", "keys", "add", f"{path}.pub", "--name", "ally-eu", "--site", "S")
    assert (added.stdout.startswith("name: ally-eu\n"), added.stderr) == (True, "")
    shown = run("vault", "keys", "show", "ally-eu", "--site", "S").stdout
    assert shown.split()[3] == Path(f"{path}.pub").read_text().split()[3]
    run("vault", "keys", "add", f"{path}.pub", "--name", "ally-eu", "--site", "S", code=2)
    path = key(run, "partner", "p256")
    assert (
        "manifests that partner signs are believed" in run("vault", "keys", "add", f"{path}.pub", "--site", "S").stderr
    )
    load_pem_public_key(run("vault", "keys", "show", "partner", "--pem", "--site", "S").stdout.encode())
    run("vault", "keys", "show", "ally-eu", "--pem", "--site", "S", code=2)


def test_a_passphrase_seals_a_private_key(run: Run) -> None:
    """With the real scrypt, which takes a second each time."""
    Path("passphrase").write_text(f"{PASSPHRASE}\n")
    Path("keys").mkdir()
    made = run("vault", "keys", "new", "ally", "--directory", "keys", "--passphrase-file", "passphrase", "--json")
    assert made.stderr == ""
    sealed(run, "--to", "keys/ally.pub")
    words = ["vault", "unseal", "m", "-o", "out", "--key", "keys/ally.key", "--signer", signer(run), "--json"]
    assert run(*words, code=4).error["next"] == "give --passphrase-file FILE"
    assert run(*words, "--passphrase-file", "passphrase").json["files"] == 3
    assert contents(Path("out")) == contents(Path("plain/model"))


# Sealing


def test_files_keep_their_names_and_come_back_as_they_were(run: Run) -> None:
    write(Path("plain/talks.txt"), MARK)
    write(Path("plain/data/b"), MARK * 2)
    for paths, expected in (
        (["plain/model"], ["config.json", "empty", "shards/one.bin"]),
        (["plain/talks.txt"], ["talks.txt"]),
        (["plain/data", "plain/talks.txt", "plain/model/shards/"], ["data/b", "shards/one.bin", "talks.txt"]),
    ):
        run("vault", "seal", *paths, "-o", "m", "--site", "S", "--force")
        told = run("vault", "info", "m", "--site", "S", "--json").json
        assert [file["name"] for file in told["files"]] == expected
        shutil.rmtree("out", ignore_errors=True)
        run("vault", "unseal", "m", "-o", "out", "--site", "S")
        assert sorted(contents(Path("out"))) == expected
        assert set(contents(Path("out")).values()) <= set(contents(Path("plain")).values())
    run("vault", "unseal", "m", "-o", "out/some", "--file", "data/b", "--site", "S")
    assert contents(Path("out/some")) == {"data/b": MARK * 2}
    assert stat.S_IMODE(Path("out/some/data/b").stat().st_mode) == 0o600
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


def test_links_are_followed_only_when_asked(run: Run) -> None:
    Path("plain/model/link").symlink_to("config.json")
    Path("plain/model/shards/two.bin").symlink_to("one.bin")
    assert "--follow-links" in run("vault", "seal", "plain/model", "-o", "m", "--site", "S", code=3).stderr
    assert not Path("m").exists()
    assert sealed(run, "--follow-links")["files"] == 5
    run("vault", "unseal", "m", "-o", "out", "--site", "S")
    assert (Path("out/link").read_bytes(), Path("out/link").is_symlink()) == (MARK, False)
    Path("plain/model/shards/up").symlink_to("..")
    assert "circle" in run("vault", "seal", "plain", "-o", "n", "--site", "S", "--follow-links", code=3).stderr


def test_force_exchanges_a_sealed_object_and_nothing_else(run: Run) -> None:
    first = sealed(run)
    assert "give --force" in run("vault", "seal", "plain/model", "-o", "m", "--site", "S", code=2).stderr
    second = sealed(run, "--force")
    assert (first["version"], second["version"]) == (1, 2)
    assert first["object"] != run("vault", "info", "m", "--site", "S", "--json").json["object"] == second["object"]
    write(Path("plain/other/kept"), MARK)
    run("vault", "seal", "plain/model", "-o", "plain/other", "--site", "S", "--force", code=2)
    assert contents(Path("plain/other")) == {"kept": MARK}
    write(Path("out/config.json"), MARK)
    write(Path("out/mine"), MARK)
    run("vault", "unseal", "m", "-o", "out", "--site", "S", code=2)
    assert (
        "what the object does not" in run("vault", "unseal", "m", "-o", "out", "--site", "S", "--force", code=2).stderr
    )
    Path("out/mine").unlink()
    run("vault", "unseal", "m", "-o", "out", "--site", "S", "--force")
    assert contents(Path("out")) == contents(Path("plain/model"))


def test_the_source_goes_once_the_copy_is_proved(run: Run) -> None:
    before = contents(Path("plain/model"))
    path = key(run, "ally")
    words = ("vault", "seal", "plain/model", "-o", "m", "--remove-source", "--json", "--site", "S")
    assert "could not be proved" in run(*words, "--to", f"{path}.pub", "--no-recovery", code=2).error["message"]
    assert run(*words, "--follow-links", code=2).error["where"] == "--remove-source"
    assert contents(Path("plain/model")) == before
    assert run(*words).json["removed"] == 3
    assert contents(Path("plain/model")) == {}
    run("vault", "unseal", "m", "-o", "out", "--site", "S")
    assert contents(Path("out")) == before
    assert [action for action, _, _ in recorded(run)] == ["Seal", "Seal", "ExportWeights"]


def test_the_recovery_key_is_a_recipient_unless_it_is_left_out(run: Run) -> None:
    path = key(run, "ally")
    for more, expected in (
        ([], ["site", "recovery"]),
        (["--to", "site"], ["site", "recovery"]),
        (["--to", f"{path}.pub"], ["ally", "recovery"]),
        (["--to", "site", "--no-recovery"], ["site"]),
        (["--no-recovery"], ["site"]),
    ):
        done = run("vault", "seal", "plain/model", "-o", "m", "--force", "--json", "--site", "S", *more)
        assert names(done) == expected
        assert ("alone can open it" in done.stderr) == (len(expected) == 1)


def test_what_was_sealed_opens_with_the_recovery_key_when_the_site_is_lost(run: Run) -> None:
    Path("keys").mkdir()
    Path("S/keys/vault/recovery.key").rename("keys/recovery.key")
    assert [one["name"] for one in sealed(run)["recipients"]] == ["site", "recovery"]
    public = signer(run)
    shutil.rmtree("S/keys/vault")
    run("vault", "unseal", "m", "-o", "out", "--signer", public, code=4)
    run("vault", "unseal", "m", "-o", "out", "--signer", public, "--key", "keys/recovery.key")
    assert contents(Path("out")) == contents(Path("plain/model"))


# Changing who may open


def test_recipients_come_and_go_without_touching_the_data(run: Run) -> None:
    sealed(run)
    before = contents(Path("m/files"))
    path = key(run, "ally")
    added = run("vault", "rekey", "m", "--add", f"{path}.pub", "--site", "S", "--json")
    assert (names(added), added.json["version"], added.stderr) == (["site", "recovery", "ally"], 2, "")
    shutil.copytree("m", "copy")
    as_ally = ("--key", f"{path}.key", "--signer", signer(run))
    run("vault", "unseal", "m", "-o", "out", *as_ally)
    removed = run("vault", "rekey", "m", "--remove", "ally", "--site", "S", "--json")
    assert (names(removed), removed.json["version"]) == (["site", "recovery"], 3)
    assert "that cannot be recalled" in removed.stderr
    assert contents(Path("m/files")) == before
    assert "sealed to: site, recovery" in run("vault", "unseal", "m", "-o", "out2", *as_ally, code=4).stderr
    run("vault", "unseal", "copy", "-o", "out", "--force", *as_ally)  # as the notice says
    last = run("vault", "rekey", "m", "--remove", added.json["recipients"][1]["key"], "--site", "S")
    assert "warning: site alone can open it" in last.stderr
    assert [action for action, _, _ in recorded(run)] == ["Seal", "ExportWeights", "Rekey", "Rekey", "Rekey"]
    assert recorded(run)[1][2].startswith("adds ally (mlkem768-x25519:")
    assert recorded(run)[3][2].startswith("removes ally; permitted: ")


def test_rotating_encrypts_all_data_under_new_keys(run: Run) -> None:
    path = key(run, "ally")
    first = sealed(run, "--to", "site", "--to", f"{path}.pub")
    before = contents(Path("m/files"))
    lacks = run("vault", "rekey", "m", "--rotate-data", "--site", "S", "--json", code=2).error
    assert "public key of ally is not known" in lacks["message"]
    assert contents(Path("m/files")) == before
    done = run("vault", "rekey", "m", "--rotate-data", "--remove", "ally", "--site", "S", "--json")
    assert (names(done), done.json["object"], done.json["version"]) == (["site", "recovery"], first["object"], 2)
    assert "recalled" not in done.stderr
    after = contents(Path("m/files"))
    assert sorted(after) == sorted(before)
    assert all(after[name] != before[name] for name in before)
    run("vault", "check", "m", "--site", "S")
    run("vault", "unseal", "m", "-o", "out", "--site", "S")
    assert contents(Path("out")) == contents(Path("plain/model"))


# Others


def test_an_ally_without_a_site_opens_with_a_key_and_a_signer_and_is_told_what_that_lacks(run: Run) -> None:
    path = key(run, "ally")
    sealed(run, "--to", f"{path}.pub")
    run("vault", "info", "m", code=2)
    foreign = run("vault", "info", "m", "--key", f"{path}.key", "--json", code=4).error
    assert "not trusted here" in foreign["message"]
    told = run("vault", "info", "m", "--signer", signer(run))
    assert told.stderr == "cannot tell whether version 1 is the newest: no site was named\n"
    assert "no key could be used" in run("vault", "check", "m", "--signer", "S.pub").stdout
    opened = run("vault", "unseal", "m", "-o", "out", "--signer", "S.pub", "--key", f"{path}.key", "--json")
    assert opened.json["files"] == 3
    assert "not recorded: ExportWeights of acme/model:v1; name a site" in opened.stderr
    own = key(run, "own", "p256")
    back = run("vault", "seal", "out", "-o", "back", "--key", f"{own}.key", "--to", f"{path}.pub", "--json")
    assert back.json["signer"]["name"] == "own"
    assert "not recorded: Seal of sealed/" in back.stderr
    run("vault", "unseal", "back", "-o", "out/back", "--key", f"{path}.key", "--key", f"{own}.key")
    assert contents(Path("out/back")) == contents(Path("plain/model"))


def test_another_site_opens_what_a_signer_sealed_once_it_knows_the_signer(run: Run) -> None:
    run("init", "T", "--yes")
    run("vault", "keys", "add", "T/keys/vault/site.pub", "--name", "their-site", "--site", "S")
    sealed(run, "--to", "their-site")
    words = ("vault", "unseal", "m", "-o", "out", "--site", "T", "--json")
    assert run(*words, code=4).error["code"] == "refused"
    run("vault", "keys", "add", signer(run), "--name", "acme", "--site", "T")
    assert "no policy permits ExportWeights of acme/model:v1" in run(*words, code=4).error["message"]
    run("grant", "add", local_principal(), "ExportWeights", "acme/model", "--site", "T")
    assert run(*words).json["files"] == 3
    asked = run("ledger", "ask", "acme/model", "--site", "T", "--json").json["answers"]
    assert [(one["action"], one["asset"], one["outcome"]) for one in asked] == [
        ("ExportWeights", "acme/model:v1", outcome) for outcome in ("refused", "allowed")
    ]


def test_a_site_refuses_a_version_below_the_highest_that_it_saw(run: Run) -> None:
    sealed(run)
    shutil.copytree("m", "old")
    run("vault", "rekey", "m", "--remove", "recovery", "--site", "S")
    for verb in (["info"], ["check"], ["check", "--quick"], ["unseal", "-o", "out"], ["rekey", "--remove", "site"]):
        error = run("vault", verb[0], "old", *verb[1:], "--site", "S", "--json", code=5).error
        assert "version 1 of acme/model:v1, and version 2 was seen here" in error["message"]
    assert not Path("out").exists()
    assert "cannot tell" in run("vault", "info", "old", "--signer", signer(run)).stderr
    sealed(run, "--force")  # the next version of the name, in another object
    assert run("vault", "info", "m", "--site", "S", "--json").json["version"] == 3


# The record


def test_what_is_done_is_on_record_with_its_asset_and_persons_as_digests(run: Run) -> None:
    sealed(run, "--purpose", "kept for the audit")
    run("vault", "info", "m", "--site", "S")
    run("vault", "unseal", "m", "-o", "out", "--site", "S", "--purpose", "to evaluate")
    run("vault", "rekey", "m", "--rotate-data", "--site", "S")
    run("vault", "seal", "plain/model/config.json", "-o", "n", "--site", "S")
    done = recorded(run)
    assert [(action, asset.partition("/")[0]) for action, asset, _ in done] == [
        ("Seal", "acme"),
        ("ExportWeights", "acme"),
        ("Rekey", "acme"),
        ("Seal", "sealed"),
    ]
    assert done[0][2].startswith("sealed to site (mlkem768-x25519:")
    assert done[2][2].startswith("encrypts the data anew; permitted: ")
    answers = run("ledger", "ask", "acme/model:v1", "--site", "S", "--json").json["answers"]
    assert [one["purpose"] for one in answers] == ["kept for the audit", "to evaluate", ""]
    assert all(one["principal"].startswith("hmac-sha256:") for one in answers)
    assert answers[1]["entry"]["body"]["asset_digest"].startswith("sha256:")
    assert "\tExportWeights\tacme/model:v1\t" in run("ledger", "ask", "acme/model", "--site", "S").stdout
    mine = run("ledger", "ask", "--principal", local_principal(), "--site", "S", "--json").json["answers"]
    assert len(mine) == 4
    stored = b"".join([*contents(Path("S/ledger")).values(), *contents(Path("S/run")).values()])
    assert local_principal().encode() not in stored
    run("ledger", "verify", "S")


def test_a_site_without_a_ledger_says_that_nothing_is_recorded(run: Run) -> None:
    Site.create(Path("T"))
    done = run("vault", "seal", "plain/model", "-o", "m", "--site", "T", "--json")
    assert done.stderr.startswith(f"not recorded: Seal of sealed/{done.json['object']}; name a site with a ledger")
    assert "not recorded: ExportWeights" in run("vault", "unseal", "m", "-o", "out", "--site", "T").stderr


def test_while_the_site_is_served_records_go_through_it(run: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    with started(tmp_path, environment) as served:
        sealed(run)
        run("vault", "unseal", "m", "-o", "out", "--site", "S")
        run("vault", "rekey", "m", "--remove", "recovery", "--site", "S")
        assert served.stop() == 0
        assert served.events()[-1]["entries"] == 3
    assert [(action, asset) for action, asset, _ in recorded(run)] == [
        (action, "acme/model:v1") for action in ("Seal", "ExportWeights", "Rekey")
    ]
