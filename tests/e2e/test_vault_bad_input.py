"""What the vault's commands cannot use: the exit code, an error that says what, where and what next, nothing left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .test_ledger import Run
from .test_vault import MARK, PASSPHRASE, contents, key, ledger_run, recorded, run, sealed, signer, template, write

__all__ = ["ledger_run", "run", "template"]  # fixtures

LONG = "x" * 251
SEAL = "vault seal plain/model -o m"
OPEN = "vault unseal sealed -o out"


def standing() -> dict[str, bytes]:
    """All that is there, but what every command of a site may write."""
    found = {}
    for path in Path().rglob("*"):
        if path.parts[0] != "tmp" and path.parts[:2] not in (("S", "ledger"), ("S", "run")) and path.stem != "state":
            kind = b"link" if path.is_symlink() else b"" if path.is_dir() else b"fifo"
            found[str(path)] = path.read_bytes() if path.is_file() else kind
    return found


def refused(run: Run, line: str, code: int, said: str, site: str = "--site S") -> None:
    """In a line "␠" stands for a space within a word, "␛" for the character ESC."""
    before = standing()
    words = [word.replace("␠", " ").replace("␛", "\x1b") for word in f"{line} {site}".split()]
    done = run(*words, code=code)
    assert (done.stdout, said in done.stderr) == ("", True), done.stderr
    assert "\x1b" not in done.stderr
    if words[1] != "mount":
        error = run(*words, "--json", code=code).error
        assert said in f"{error['message']} {error['where']} {error['next']}"
        assert error["where"] or error["next"]
    assert standing() == before


# What is sealed


def awkward() -> None:
    os.mkfifo("plain/fifo")
    Path("plain/in").mkdir()
    os.mkfifo("plain/in/fifo")
    Path("plain/nothing/deeper").mkdir(parents=True)
    Path("plain/linked").mkdir()
    Path("plain/linked/away").symlink_to("../model/config.json")
    Path("plain/dangling").symlink_to("nowhere")
    Path("plain/loop").symlink_to("loop")
    write(Path("plain/steering/a\x1b[31mb"), MARK)
    Path("plain/bytes").mkdir()
    Path(os.fsdecode(b"plain/bytes/\xff")).write_bytes(MARK)
    write(Path("plain/long") / LONG, MARK)
    write(Path("plain/deep") / "/".join("d" * 32) / "file", MARK)
    write(Path("plain/other/config.json"), MARK)
    write(Path("plain/else/model"), MARK)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "nowhere"),
        ("plain/model/config.json/deeper", "config.json/deeper"),
        ("plain/dangling", "plain/dangling"),
        ("plain/loop", "plain/loop"),
        ("plain/fifo", "neither a file nor a directory"),
        ("plain/in", "plain/in/fifo"),
        ("/dev/null", "neither a file nor a directory"),
        ("plain/nothing", "no file to seal"),
        ("plain/linked", "--follow-links"),
        ("plain/steering", "control character"),
        ("plain/bytes", "no UTF-8"),
        ("plain/long", "more than 250 bytes"),
        ("plain/deep", "32 parts"),
        ("x" * 300, "too long"),
        ("plain/model/config.json plain/other/config.json", "two files have one name"),
        ("plain/model plain/else/model", "of a file and of a directory"),
    ],
)
def test_paths_that_cannot_be_sealed(run: Run, path: str, said: str) -> None:
    awkward()
    refused(run, f"vault seal {path} -o m", 3, said)
    assert recorded(run) == []


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("no/such/m", 3, "mkdir no/such"),
        ("plain/model/config.json/m", 2, "lie in what is sealed"),
        ("plain", 2, "give --force"),
        ("plain --force", 2, "no sealed object"),
        ("plain/dangling --force", 2, "no sealed object"),
        ("plain/model/config.json --force", 2, "lie in what is sealed"),
        ("S --force", 2, "no sealed object"),
        ("sealed", 2, "give --force"),
        ("/proc/m", 6, "cannot be written"),
        ("x" * 300, 6, "too long"),
        ("plain/model/m", 2, "plain/model/m"),
        ("plain/model/shards/m", 2, "plain/model/shards/m"),
    ],
)
def test_places_where_nothing_can_be_sealed_to(run: Run, out: str, code: int, said: str) -> None:
    awkward()
    run("vault", "seal", "plain/model", "-o", "sealed", "--site", "S")
    refused(run, f"vault seal plain/model -o {out}", code, said)


def test_the_file_that_a_link_leads_to_is_removed_or_neither(run: Run) -> None:
    Path("plain/link").symlink_to("model/config.json")
    run("vault", "seal", "plain/link", "-o", "m", "--remove-source", "--site", "S", code=(0, 2, 3))
    assert Path("plain/link").is_symlink() == Path("plain/model/config.json").exists()


# For whom, by whom


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (f"{SEAL} --to nobody", 2, "strongroom vault keys list"),
        (f"{SEAL} --to nowhere.pub", 3, "nowhere.pub"),
        (f"{SEAL} --to plain", 2, "no recipient that is known"),
        (f"{SEAL} --to plain/", 3, "Is a directory"),
        (f"{SEAL} --to ./junk.pub", 3, "has not 3 bytes"),
        (f"{SEAL} --to S/keys/vault/site.key", 3, "no public key"),
        (f"{SEAL} --to awskms:models", 2, "full ARN"),
        (f"{SEAL} --to awskms:alias/models", 2, "alias"),
        (f"{SEAL} --to pkcs11:token=a;object=b", 2, "vault.pkcs11.module"),
        (f"{SEAL} --to pkcs11:token=a;object=b;pin-value=1", 2, "no others"),
        (f"{SEAL} --to signer", 2, "signing key"),
        (f"{SEAL} --to site --to site", 2, "named twice"),
        (f"{SEAL} --to site --to S/keys/vault/site.pub", 2, "named twice"),
        (f"{SEAL} --name Acme", 4, "org/name"),
        (f"{SEAL} --name a/../b", 4, "org/name"),
        (f"{SEAL} --threads 33", 2, "--threads"),
        (f"{SEAL} --threads=-1", 2, "--threads"),
        (f"{SEAL} --threads many", 2, "--threads"),
        (f"{SEAL} --purpose a␛b", 2, "--purpose"),
        (f"{SEAL} --purpose {'x' * 201}", 2, "--purpose"),
        (f"{SEAL} --key nowhere.key", 3, "nowhere.key"),
        (f"{SEAL} --key junk.pub", 5, "no private key"),
        (f"{SEAL} --key S/keys/vault/site.pub", 5, "no private key"),
        (f"{SEAL} --key plain", 3, "Is a directory"),
        (f"{SEAL} --passphrase-file nowhere --key S/keys/vault/site.key", 3, "nowhere"),
        (f"{SEAL} --passphrase-file empty --key S/keys/vault/site.key", 3, "empty"),
        ("vault seal plain/model", 2, "--out"),
        ("vault seal -o m", 2, "PATH"),
    ],
)
def test_recipients_names_and_keys_that_cannot_be(run: Run, line: str, code: int, said: str) -> None:
    write(Path("junk.pub"), b"strongroom-public-key/1 x25519 junk AAAA\n")
    write(Path("empty"), b"\n")
    refused(run, line, code, said)
    assert recorded(run) == []


def test_a_program_without_a_site_needs_keys_to_sign_and_recipients(run: Run) -> None:
    own, ally = key(run, "own", "p256"), key(run, "ally")
    refused(run, SEAL, 2, "no keys are named", site="")
    refused(run, f"{SEAL} --to {ally}.pub", 2, "no keys are named", site="")
    refused(run, f"{SEAL} --to {ally}.pub --key {ally}.key", 2, "no key to sign with", site="")
    refused(run, f"{SEAL} --key {own}.key", 2, "--to RECIPIENT", site="")
    refused(run, f"{SEAL} --key {own}.key --to ally", 2, "no recipient that is known", site="")
    refused(run, SEAL, 3, "there is no site", site="--site nowhere")


# What is opened


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("vault unseal nowhere -o out", 3, "no sealed object"),
        ("vault unseal plain/model -o out", 3, "no sealed object"),
        ("vault unseal sealed/SEALED -o out", 3, "no sealed object"),
        ("vault unseal plain/model/config.json -o out", 3, "no sealed object"),
        ("vault info sealed/files", 3, "no sealed object"),
        ("vault check plain", 3, "no sealed object"),
        ("vault rekey plain --add site", 3, "no sealed object"),
        ("vault mount nowhere plain", 3, "no sealed object"),
        ("vault mount sealed nowhere", 3, "nowhere"),
        ("vault mount sealed plain", 3, "not empty"),
        ("vault mount sealed plain/model/config.json", 3, "no directory"),
        ("vault unseal sealed -o plain", 2, "give --force"),
        ("vault unseal sealed -o sealed", 2, "object itself"),
        ("vault unseal sealed -o . --force", 2, "object itself"),
        ("vault unseal sealed -o .. --force", 2, "object itself"),
        ("vault unseal sealed -o plain/model/config.json --force", 2, "not replaced"),
        ("vault unseal sealed -o no/such", 3, "mkdir no"),
        ("vault unseal sealed -o /proc/out", 6, "cannot be written"),
        ("vault unseal sealed -o sealed/out", 2, "sealed/out"),
        ("vault unseal sealed -o sealed --force", 2, "sealed"),
        ("vault unseal sealed -o S --force", 2, "S"),
        (f"{OPEN} --file nothing", 3, "nothing"),
        (f"{OPEN} --file ../../S/keys/vault/site.key", 3, "no such file"),
        (f"{OPEN} --file /etc/passwd", 3, "no such file"),
        (f"{OPEN} --signer plain/model/config.json", 3, "no public key"),
        (f"{OPEN} --signer nowhere.pub", 3, "nowhere.pub"),
        (f"{OPEN} --key nowhere.key", 3, "nowhere.key"),
        ("vault rekey sealed", 2, "give --add"),
        ("vault rekey sealed --add nobody", 2, "no recipient that is known"),
        ("vault rekey sealed --remove nobody", 2, "strongroom vault info"),
        ("vault rekey sealed --remove site --remove recovery", 2, "nobody would be left"),
        ("vault rekey sealed --remove site --remove recovery --rotate-data", 2, "nobody would be left"),
        ("vault rekey sealed --add signer", 2, "signing key"),
    ],
)
def test_objects_and_places_that_cannot_be_used(run: Run, line: str, code: int, said: str) -> None:
    run("vault", "seal", "plain/model", "-o", "sealed", "--site", "S")
    refused(run, line, code, said)


@pytest.mark.parametrize(
    "line", ["vault unseal sealed -o plain", "vault rekey sealed --remove nobody", "vault mount sealed nowhere"]
)
def test_wrong_use_is_found_before_an_opening_is_on_record(run: Run, line: str) -> None:
    run("vault", "seal", "plain/model", "-o", "sealed", "--site", "S")
    run(*line.split(), "--site", "S", code=(2, 3))
    assert [action for action, _, _ in recorded(run)] == ["Seal"]


def test_an_object_of_somebody_else_is_not_opened(run: Run) -> None:
    ally, stranger = key(run, "ally"), key(run, "stranger", "x25519")
    sealed(run, "--to", f"{ally}.pub", "--no-recovery")
    refused(run, "vault unseal m -o out", 4, "sealed to: ally")
    trusting = f"--signer {signer(run)}"
    refused(run, f"vault unseal m -o out --key {stranger}.key", 4, "sealed to: ally", site=trusting)
    refused(run, f"vault unseal m -o out --key {ally}.key", 4, "--signer FILE", site="")
    refused(run, f"vault rekey m --key {ally}.key --add {stranger}.pub", 2, "no key to sign with", site=trusting)
    shutil.copytree("m", "n")  # the same keys under another's name: no name of the manifest counts
    Path(f"{ally}.key").write_bytes(Path(f"{stranger}.key").read_bytes())
    refused(run, f"vault unseal n -o out --key {ally}.key", 4, "sealed to: ally", site=trusting)


# Keys


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("keys new Bad", 2, "letters a-z"),
        ("keys new ../up", 2, "letters a-z"),
        ("keys new a␠b", 2, "letters a-z"),
        (f"keys new {LONG}", 2, "letters a-z"),
        ("keys new .hidden", 2, "letters a-z"),
        ("keys new site", 2, "choose another name"),
        ("keys new ally --kind rsa", 2, "mlkem768-x25519"),
        ("keys new ally --directory nowhere", 3, "mkdir nowhere"),
        ("keys new ally --directory plain/model/config.json", 3, "no such directory"),
        ("keys new ally --directory /proc", 6, "cannot be written"),
        ("keys new ally --passphrase-file nowhere", 3, "nowhere"),
        ("keys new ally --passphrase-file plain/model/empty", 3, "empty"),
        ("keys show nobody", 3, "strongroom vault keys list"),
        ("keys show ../site", 3, "strongroom vault keys list"),
        ("keys show site --pem", 2, "signing key"),
        ("keys add nowhere", 3, "nowhere"),
        ("keys add plain", 3, "Is a directory"),
        ("keys add plain/model/shards/one.bin", 3, "one.bin"),
        ("keys add S/keys/vault/site.key", 3, "no public key"),
        ("keys add S/keys/vault/site.pub", 2, "--name"),
        ("keys add S/keys/vault/site.pub --name ../up", 2, "letters a-z"),
    ],
)
def test_keys_that_cannot_be_made_shown_or_added(run: Run, line: str, code: int, said: str) -> None:
    refused(run, f"vault {line}", code, said)


def test_a_site_whose_keys_are_missing_or_damaged(run: Run) -> None:
    sealed(run)
    refused(run, "vault keys list", 3, "this command needs a site", site="")
    refused(run, "vault info m", 2, "no keys are named", site="")
    Path("S/keys/vault/site.key").write_bytes(b"junk\n")
    Path("S/keys/vault/recovery.key").unlink()
    refused(run, "vault unseal m -o out", 5, "S/keys/vault/site.key")
    shutil.copy("S/keys/vault/signer.key", "S/keys/vault/site.key")
    refused(run, "vault unseal m -o out", 3, "S/keys/vault/site.key")
    Path("S/keys/vault/site.pub").write_bytes(b"junk\n")
    refused(run, "vault keys list", 3, "S/keys/vault/site.pub")
    shutil.rmtree("S/keys/vault")
    refused(run, "vault keys list", 3, "strongroom vault keys new")
    refused(run, "vault info m", 4, "not trusted here")


# Passphrases


@pytest.fixture
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key files sealed in a moment; that scrypt does it in truth is tested in test_vault.py."""
    import pyrage

    def decrypt(data: bytes, words: str) -> bytes:
        head, _, rest = data.partition(b"\0")
        if head != f"age-encryption.org/v1 {words}".encode():
            raise pyrage.DecryptError("no")
        return rest

    monkeypatch.setattr(
        pyrage.passphrase, "encrypt", lambda data, words: f"age-encryption.org/v1 {words}\0".encode() + data
    )
    monkeypatch.setattr(pyrage.passphrase, "decrypt", decrypt)


@pytest.mark.usefixtures("quick_scrypt")
def test_a_site_whose_keys_are_sealed_asks_for_its_passphrase(run: Run) -> None:
    write(Path("passphrase"), PASSPHRASE.encode())
    write(Path("wrong"), b"horse")
    assert run("init", "T", "--yes", "--passphrase-file", "passphrase").stderr == ""
    right = "--site T --passphrase-file passphrase"
    run(*SEAL.split(), *right.split())
    refused(run, "vault unseal m -o out", 4, "give --passphrase-file", site="--site T")
    refused(run, "vault unseal m -o out", 4, "does not open the key", site="--site T --passphrase-file wrong")
    refused(run, "vault rekey m --remove site", 4, "does not open the key", site="--site T --passphrase-file wrong")
    run("vault", "info", "m", "--site", "T")
    run("vault", "check", "m", *right.split())
    run("vault", "unseal", "m", "-o", "out", *right.split())
    assert contents(Path("out")) == contents(Path("plain/model"))


@pytest.mark.usefixtures("quick_scrypt")
def test_a_wrong_passphrase_leaves_nothing_beside_the_place_of_an_object(run: Run) -> None:
    write(Path("passphrase"), PASSPHRASE.encode())
    run("init", "T", "--yes", "--passphrase-file", "passphrase")
    refused(run, SEAL, 4, "give --passphrase-file", site="--site T")
