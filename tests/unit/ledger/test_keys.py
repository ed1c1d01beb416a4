"""Key files: sealed in the age format or plain, never told in an error, and damage is damage."""

from __future__ import annotations

import base64
import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.core.keyfile import is_sealed
from strongroom.ledger import COSIGNATURE, ED25519, KeyFile, NoteSigner, create_key, load_key
from strongroom.ledger._notes import Note as SignedNote
from strongroom.ledger._notes import SigningKey, verify_note

from ...conftest import missing

PASSPHRASE = "correct horse battery staple"
SEED = bytes(range(32))
SECRETS = (base64.b64encode(bytes([ED25519]) + SEED).decode()[3:30], SEED.hex(), PASSPHRASE)


@pytest.fixture(scope="module")
def sealed_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("key") / "key"
    create_key(path, "log.example/a", passphrase=PASSPHRASE, seed=SEED)
    return path.read_bytes()


@pytest.fixture
def sealed(tmp_path: Path, sealed_bytes: bytes) -> Path:
    path = tmp_path / "sealed"
    path.write_bytes(sealed_bytes)
    return path


@pytest.mark.parametrize("type", [ED25519, COSIGNATURE])
def test_a_key_is_what_was_made(type: int, tmp_path: Path) -> None:
    made = create_key(tmp_path / "key", "log.example/a", type=type)
    read = load_key(tmp_path / "key")
    assert read.verifier == made.verifier
    assert read.sign(b"x") == made.sign(b"x")
    assert not is_sealed(tmp_path / "key")
    assert load_key(tmp_path / "key", passphrase="none is needed").verifier == made.verifier


def test_the_file_is_its_owners_alone_and_nobodys_file_is_replaced(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        create_key(tmp_path / "key", "log.example/a")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(StrongroomError, match="File exists"):
        create_key(tmp_path / "key", "log.example/b")
    assert (tmp_path / "key").read_bytes() == before
    with pytest.raises(StrongroomError, match="No such file"):
        create_key(tmp_path / "nowhere" / "key", "log.example/b")


def test_two_keys_are_two_keys(tmp_path: Path) -> None:
    keys = {create_key(tmp_path / str(number), "log.example/a").verifier for number in range(20)}
    assert len(keys) == 20


def test_a_sealed_key_opens_with_its_passphrase_alone(sealed: Path) -> None:
    assert is_sealed(sealed)
    data = sealed.read_bytes()
    assert data.startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert not any(secret.encode() in data for secret in SECRETS)
    assert load_key(sealed, passphrase=PASSPHRASE).verifier == SigningKey("log.example/a", SEED).verifier
    with pytest.raises(RefusedError, match="sealed with a passphrase"):
        load_key(sealed)
    with pytest.raises(RefusedError, match="does not open the key") as error:
        load_key(sealed, passphrase=PASSPHRASE + "!")
    assert PASSPHRASE not in str(error.value)


def test_the_age_command_opens_a_sealed_key(sealed: Path) -> None:
    age = shutil.which("age") or shutil.which("rage")
    if age is None:
        missing("neither age nor rage is installed")
    # age reads a passphrase from a terminal only: script gives it one.
    if shutil.which("script") is None:
        missing("script is not installed")
    done = subprocess.run(
        ["script", "-qec", f"{age} -d {sealed}", "/dev/null"],
        input=PASSPHRASE + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "PRIVATE+KEY+log.example/a+" in done.stdout


def test_a_damaged_sealed_key_is_refused_whatever_byte_it_is(sealed: Path, sealed_bytes: bytes) -> None:
    rng = random.Random(1)
    # Behind the line with the work factor: a larger one is only slow.
    start = sealed_bytes.index(b"\n", sealed_bytes.index(b"scrypt")) + 1
    # Each try costs a second of scrypt.
    for at in rng.sample(range(start, len(sealed_bytes)), 1):
        sealed.write_bytes(sealed_bytes[:at] + bytes([sealed_bytes[at] ^ 1]) + sealed_bytes[at + 1 :])
        with pytest.raises((RefusedError, IntegrityError)):
            load_key(sealed, passphrase=PASSPHRASE)
    for cut in (30, 60):
        sealed.write_bytes(sealed_bytes[:cut])
        with pytest.raises((RefusedError, IntegrityError)):
            load_key(sealed, passphrase=PASSPHRASE)


def test_a_damaged_plain_key_is_told_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key(path, "log.example/a", seed=SEED)
    data = path.read_bytes()
    rng = random.Random(1)
    for _ in range(300):
        at = rng.randrange(len(data) - 1)
        changed = rng.choice(
            (
                data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
                data[:at],
                data[:at] + rng.choice((b" ", b"\n", b"\0", b"\xff", "é".encode(), b"+")) + data[at:],
            )
        )
        if changed.strip() == data.strip():
            continue
        path.write_bytes(changed)
        with pytest.raises((IntegrityError, UsageError)) as error:
            load_key(path)
        assert not any(secret in str(error.value) + repr(error.value) for secret in SECRETS)
    for junk in (b"", b"\n", b"PRIVATE+KEY", os.urandom(100_000), data * 2, data.replace(b"PRIVATE", b"PUBLIC")):
        path.write_bytes(junk)
        with pytest.raises(IntegrityError, match="no private key"):
            load_key(path)


def test_another_type_than_ed25519_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for type in (0, 2, 3, 6, 255):
        material = base64.b64encode(bytes([type]) + SEED).decode()
        path.write_text(f"PRIVATE+KEY+log.example/a+00000000+{material}\n")
        with pytest.raises(IntegrityError, match="no private key"):
            load_key(path)


def test_a_key_that_is_not_there_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    for call in (load_key, is_sealed):
        with pytest.raises(InputError, match="there is no key"):
            call(tmp_path / "none")  # type: ignore[operator]
        with pytest.raises(InputError, match="cannot be read"):
            call(tmp_path)  # type: ignore[operator]


def test_a_signer_signs_with_the_keys_that_it_holds_and_says_no_secret(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key", "log.example/a", seed=SEED)
    holder = KeyFile(key)
    signer = NoteSigner(holder, key.verifier)
    note = SignedNote("text\n", (signer.sign_text("text\n"),)).encode()
    assert verify_note(note, [key.verifier], where="note").text == "text\n"
    with pytest.raises(RefusedError, match="no such key"):
        holder.sign("log.example/b+00000000+AAAA", b"x")
    said = f"{holder!r} {signer!r} {key!r} {key.verifier!r} {vars(signer)!r}"
    assert not any(secret in said for secret in SECRETS)
    assert repr(SEED) not in said
