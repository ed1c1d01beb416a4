"""SSH signatures against OpenSSH's ssh-keygen: what it signs is accepted, what it prints is what we print.

Signatures of security keys are simulated: put together by software as PROTOCOL.u2f says, and verified by ssh-keygen.
"""

from __future__ import annotations

import base64
import contextlib
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.identity import APPROVAL, LOGIN, NotIdentified, SshKey, sign_message, verify_signature

from ..conftest import missing
from ..unit.identity.sshsig import (
    TOUCHED,
    VERIFIED,
    Key,
    armour,
    ecdsa_key,
    ed25519_key,
    rsa_key,
    signature_blob,
    sk_ecdsa_key,
    sk_ed25519_key,
)

MESSAGE = b"yes, " + bytes(range(256))
BY_SOFTWARE: list[Callable[[], Key]] = [
    ed25519_key,
    ecdsa_key,
    lambda: ecdsa_key(384),
    lambda: ecdsa_key(521),
    rsa_key,
    lambda: rsa_key(algorithm=b"rsa-sha2-256"),
    sk_ed25519_key,
    sk_ecdsa_key,
    lambda: sk_ecdsa_key(TOUCHED | VERIFIED, b"ssh:laptop"),
]


@pytest.fixture(scope="module", autouse=True)
def ssh_keygen() -> str:
    found = shutil.which("ssh-keygen")
    if found is None:
        missing("ssh-keygen is not installed")
    return str(found)


def make(folder: Path, *words: str, name: str = "id", passphrase: str = "") -> Path:
    file = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-N", passphrase, "-C", "ada@acme", "-f", str(file), *words], check=True, timeout=30
    )
    return file


def public(file: Path) -> SshKey:
    return SshKey.parse(file.with_suffix(".pub").read_text())


@pytest.mark.parametrize("words", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "2048")])
def test_what_ssh_keygen_signs_is_accepted_and_nothing_else(words: tuple[str, ...], tmp_path: Path) -> None:
    key, other = public(make(tmp_path, *words)), public(make(tmp_path, "-t", "ed25519", name="other"))
    signature = sign_message(MESSAGE, tmp_path / "id", namespace=APPROVAL).encode()
    assert verify_signature(MESSAGE, signature, namespace=APPROVAL, keys=[other, key]) is key
    assert verify_signature(MESSAGE, signature.replace(b"\n", b"\r\n"), namespace=APPROVAL, keys=[key]) is key
    for message, namespace, keys, reason in (
        (MESSAGE + b"\n", APPROVAL, [key], "signature"),
        (b"", APPROVAL, [key], "signature"),
        (MESSAGE, LOGIN, [key], "namespace"),
        (MESSAGE, APPROVAL, [other], "unknown"),
        (MESSAGE, APPROVAL, [], "unknown"),
    ):
        with pytest.raises(NotIdentified) as refused:
            verify_signature(message, signature, namespace=namespace, keys=keys)
        assert refused.value.reason == reason


@pytest.mark.parametrize("words", [("-t", "ed25519"), ("-t", "ecdsa"), ("-t", "rsa", "-b", "2048")])
def test_fingerprint_and_comment_are_those_that_ssh_keygen_prints(words: tuple[str, ...], tmp_path: Path) -> None:
    file = make(tmp_path, *words)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(file)], check=True, capture_output=True, text=True).stdout
    assert shown.split()[1:3] == [public(file).fingerprint, public(file).comment]


@pytest.mark.parametrize("make_key", BY_SOFTWARE, ids=[str(at) for at in range(len(BY_SOFTWARE))])
def test_ssh_keygen_accepts_what_was_made_by_software_and_refuses_it_changed(make_key: Callable[[], Key]) -> None:
    made = make_key()
    key = SshKey.parse(made.line)
    for hash in ("sha256", "sha512"):
        blob = signature_blob(made, MESSAGE, APPROVAL, hash=hash)
        assert verify_signature(MESSAGE, armour(blob), namespace=APPROVAL, keys=[key]) is key
    # The last bit of a security key's signature is of its counter, elsewhere of the signature.
    for changed in (blob[:-1] + bytes([blob[-1] ^ 1]), blob[:-9] + bytes([blob[-9] ^ 1]) + blob[-8:]):
        with pytest.raises(NotIdentified, match="signature"):
            verify_signature(MESSAGE, armour(changed), namespace=APPROVAL, keys=[key])


def test_touch_cannot_be_claimed_for_a_security_key_that_was_not_touched() -> None:
    """ssh-keygen itself accepts a signature without touch; to say that there was one breaks it."""
    made = sk_ed25519_key(flags=0)
    key, blob = SshKey.parse(made.line), signature_blob(made, MESSAGE, APPROVAL)
    with pytest.raises(NotIdentified, match="touch"):
        verify_signature(MESSAGE, armour(blob), namespace=APPROVAL, keys=[key])
    with pytest.raises(NotIdentified, match="signature"):
        verify_signature(MESSAGE, armour(blob[:-5] + b"\1" + blob[-4:]), namespace=APPROVAL, keys=[key])


def test_another_keys_signature_does_not_pass_under_the_name_of_a_known_key() -> None:
    known, other = ed25519_key(1), ed25519_key(2)
    forged = signature_blob(other, MESSAGE, APPROVAL, public=known.blob)
    with pytest.raises(NotIdentified, match="signature"):
        verify_signature(MESSAGE, armour(forged), namespace=APPROVAL, keys=[SshKey.parse(known.line)])


def test_another_namespace_cannot_be_written_over_the_one_that_was_signed() -> None:
    made, other = ed25519_key(), "strongroom-approvaL"
    blob = signature_blob(made, MESSAGE, other).replace(other.encode(), APPROVAL.encode())
    with pytest.raises(NotIdentified, match="signature"):
        verify_signature(MESSAGE, armour(blob), namespace=APPROVAL, keys=[SshKey.parse(made.line)])


def test_a_certificate_does_not_stand_for_the_key_in_it(tmp_path: Path) -> None:
    """A person's record has a key; a certificate over it, by whatever authority, is another blob."""
    authority, file = make(tmp_path, "-t", "ed25519", name="authority"), make(tmp_path, "-t", "ed25519")
    issue = ["ssh-keygen", "-q", "-s", str(authority), "-I", "ada", "-n", "signer", f"{file}.pub"]
    subprocess.run(issue, check=True, timeout=10)
    signature = sign_message(MESSAGE, tmp_path / "id-cert.pub", namespace=APPROVAL).encode()
    assert b"ssh-ed25519-cert-v01" in base64.b64decode(b"".join(signature.splitlines()[1:-1]))
    with pytest.raises(NotIdentified, match="unknown"):
        verify_signature(MESSAGE, signature, namespace=APPROVAL, keys=[public(file), public(authority)])


def test_a_key_in_the_agent_signs_by_its_pub_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path, "-t", "ed25519")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()  # it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(["ssh-add", "-q", str(file)], check=True, timeout=10)
        file.unlink()
        signature = sign_message(MESSAGE, file.with_suffix(".pub"), namespace=LOGIN)
    finally:
        agent.terminate()
        agent.wait(10)
        agent.stdout.close() if agent.stdout else None
    assert verify_signature(MESSAGE, signature.encode(), namespace=LOGIN, keys=[public(file)]) == public(file)


def test_ssh_keygen_asks_for_the_passphrase_on_the_terminal_and_nothing_of_it_is_ours(tmp_path: Path) -> None:
    file = make(tmp_path, "-t", "ed25519", passphrase="correct horse")
    code = (
        "import sys; from pathlib import Path; from strongroom.identity import sign_message\n"
        f"Path({str(tmp_path / 'out')!r}).write_text("
        f"sign_message(b'm', Path({str(file)!r}), namespace='{APPROVAL}'))"
    )
    child, terminal = pty.fork()
    if child == 0:
        environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "SSH_AUTH_SOCK")}
        os.execve(sys.executable, [sys.executable, "-c", code], environment)
    said = b""
    while b"passphrase" not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"correct horse\n")
    with contextlib.suppress(OSError):  # a terminal whose other end was closed
        while os.read(terminal, 1024):
            pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    signature = (tmp_path / "out").read_bytes()
    assert verify_signature(b"m", signature, namespace=APPROVAL, keys=[public(file)]) == public(file)
