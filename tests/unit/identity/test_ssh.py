"""Signatures of SSH keys: what must be refused before ssh-keygen is asked, and what happens where it is missing."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from strongroom.core.errors import InputError, RefusedError, StrongroomError, UsageError
from strongroom.identity import APPROVAL, LOGIN, NotIdentified, SshKey, sign_message, verify_signature
from strongroom.identity import _ssh as ssh

from .sshsig import Key, armour, ecdsa_key, ed25519_key, rsa_key, signature_blob, sk_ed25519_key, string

MESSAGE = b'{"lease":"lse_1"}'
KEY = ed25519_key()
BLOB = signature_blob(KEY, MESSAGE, APPROVAL)
SIGNATURE = armour(BLOB)


def reason(signature: bytes, *keys: Key, message: bytes = MESSAGE, namespace: str = APPROVAL) -> str:
    with pytest.raises(NotIdentified) as refused:
        verify_signature(message, signature, namespace=namespace, keys=[SshKey.parse(key.line) for key in keys])
    assert isinstance(refused.value, RefusedError)
    assert refused.value.exit_code == 4
    assert str(refused.value) == f"the credential is not accepted: {refused.value.reason}"
    assert refused.value.method == "ssh"
    return refused.value.reason


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh-keygen must not be asked at all."""

    def run(*_: object, **__: object) -> None:
        raise AssertionError("ssh-keygen was asked")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.usefixtures("never")
class TestBeforeSshKeygen:
    @pytest.mark.parametrize(
        "signature",
        [
            b"",
            b"yes",
            BLOB,
            SIGNATURE[:-20],
            SIGNATURE + b"x",
            b"x" + SIGNATURE,
            SIGNATURE + SIGNATURE,
            SIGNATURE.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
            SIGNATURE.replace(b"U1NI", b"U1N*", 1),
            armour(BLOB[:-1]),
            armour(BLOB + b"\0"),
            armour(b""),
            armour(signature_blob(KEY, MESSAGE, APPROVAL, magic=b"SSHSIH")),
            armour(signature_blob(KEY, MESSAGE, APPROVAL, version=2)),
            armour(b"SSHSIG\0\0\0\1" + b"\xff\xff\xff\xff"),
            armour(signature_blob(KEY, MESSAGE, APPROVAL, reserved=b"put there by anybody")),
        ],
    )
    def test_damaged_armour_is_refused(self, signature: bytes) -> None:
        assert reason(signature, KEY) == "malformed"

    def test_another_key_is_refused(self) -> None:
        assert reason(SIGNATURE, ed25519_key(2), ecdsa_key()) == "unknown"
        assert reason(SIGNATURE) == "unknown"

    def test_another_namespace_is_refused(self) -> None:
        assert reason(SIGNATURE, KEY, namespace=LOGIN) == "namespace"
        for other in ("git", "file", f"{APPROVAL}x", APPROVAL.upper(), f"{APPROVAL},{LOGIN}", "*", ""):
            assert reason(armour(signature_blob(KEY, MESSAGE, other)), KEY) == "namespace"

    def test_asking_for_a_namespace_that_is_not_ours_is_wrong_use(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no namespace of ours"):
            verify_signature(MESSAGE, SIGNATURE, namespace="git", keys=[])
        with pytest.raises(UsageError):
            sign_message(MESSAGE, tmp_path, namespace="*")

    def test_sizes_have_limits(self) -> None:
        assert reason(SIGNATURE + b"\n" * ssh.MAX_SIGNATURE_BYTES, KEY) == "too-large"
        assert reason(SIGNATURE, KEY, message=bytes(ssh.MAX_MESSAGE_BYTES + 1)) == "too-large"

    def test_sha1_and_signatures_of_another_kind_than_the_key_are_refused(self) -> None:
        sha1 = rsa_key(algorithm=b"ssh-rsa")
        assert reason(armour(signature_blob(sha1, MESSAGE, APPROVAL)), sha1) == "algorithm"
        assert reason(armour(signature_blob(KEY, MESSAGE, APPROVAL, hash="sha1")), KEY) == "algorithm"
        webauthn = Key(KEY.type, KEY.blob, lambda data: string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"))
        assert reason(armour(signature_blob(webauthn, MESSAGE, APPROVAL)), KEY) == "algorithm"

    def test_a_security_key_that_was_not_touched_is_refused(self) -> None:
        for flags in (0x00, 0x04, 0xFE):
            untouched = sk_ed25519_key(flags)
            assert reason(armour(signature_blob(untouched, MESSAGE, APPROVAL)), untouched) == "touch"

    def test_a_signature_of_a_security_key_without_flags_or_with_more_is_refused(self) -> None:
        key = sk_ed25519_key()
        for cut in (lambda data: key.sign(data)[:-5], lambda data: key.sign(data) + b"\1"):
            assert reason(armour(signature_blob(Key(key.type, key.blob, cut), MESSAGE, APPROVAL)), key) == "malformed"

    @given(st.binary(max_size=300))
    def test_hostile_blobs_are_refused_and_never_crash(self, data: bytes) -> None:
        assert reason(armour(b"SSHSIG\0\0\0\1" + data), KEY) in ("malformed", "namespace", "unknown")

    @given(st.integers(0, len(BLOB) - 65), st.binary(max_size=9))
    def test_no_change_before_the_signature_itself_reaches_ssh_keygen(self, at: int, instead: bytes) -> None:
        assume(instead != BLOB[at : at + 1])
        found = reason(armour(BLOB[:at] + instead + BLOB[at + 1 :]), KEY)
        assert found in ("malformed", "namespace", "unknown", "algorithm")


def test_a_missing_ssh_keygen_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "key").touch()
    for call in (
        lambda: verify_signature(MESSAGE, SIGNATURE, namespace=APPROVAL, keys=[SshKey.parse(KEY.line)]),
        lambda: sign_message(MESSAGE, tmp_path / "key", namespace=APPROVAL),
    ):
        with pytest.raises(StrongroomError, match=r"ssh-keygen is not installed.*openssh-client") as missing:
            call()
        assert not isinstance(missing.value, RefusedError)


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A program called ssh-keygen that comes first on the path."""
    program = folder / "ssh-keygen"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exec sleep 5", "did not answer within 0.2 seconds"),
        ("echo 'usage: ssh-keygen [-q]' >&2; exit 1", "cannot check signatures; install OpenSSH"),
        ("kill -SEGV $$", "cannot check signatures"),
    ],
)
def test_an_ssh_keygen_that_cannot_answer_is_a_failure_and_no_verdict(
    script: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ssh, "VERIFY_SECONDS", 0.2 if "sleep" in script else 10)
    stand_in(monkeypatch, tmp_path, script)
    with pytest.raises(StrongroomError, match=message) as failure:
        verify_signature(MESSAGE, SIGNATURE, namespace=APPROVAL, keys=[SshKey.parse(KEY.line)])
    assert not isinstance(failure.value, RefusedError)


def test_ssh_keygen_gets_one_signer_by_a_constant_name_in_a_private_folder_and_none_of_our_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No name of a principal is in it, so none can be a pattern; nor is a comment."""
    monkeypatch.setenv("STRONGROOM_SECRET", "not for ssh-keygen")
    stand_in(
        monkeypatch, tmp_path,
        f'printf "%s\\n" "$@" > {tmp_path}/words; cp "$4" {tmp_path}/signers; cp "${{10}}" {tmp_path}/signature\n'
        f'stat -c %a "$(dirname "$4")" > {tmp_path}/mode; env > {tmp_path}/env; cat > {tmp_path}/message',
    )  # fmt: skip
    key = SshKey.parse(f"{KEY.line} *,!root@* cert-authority")
    verify_signature(MESSAGE, SIGNATURE, namespace=APPROVAL, keys=[SshKey.parse(ecdsa_key().line), key])
    assert (tmp_path / "signers").read_text() == f'signer namespaces="{APPROVAL}" {KEY.line}\n'
    words = (tmp_path / "words").read_text().split()
    assert words[:3] + words[4:8] == ["-Y", "verify", "-f", "-I", "signer", "-n", APPROVAL]
    assert (tmp_path / "mode").read_text().strip() == "700"
    assert (tmp_path / "message").read_bytes() == MESSAGE
    assert "not for ssh-keygen" not in (tmp_path / "env").read_text()
    assert not Path(words[3]).parent.exists()


def test_signing_without_a_key_or_without_success_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no SSH key"):
        sign_message(MESSAGE, tmp_path / "none", namespace=APPROVAL)
    (tmp_path / "key").touch()
    for script in ("exit 255", "exit 0"):
        stand_in(monkeypatch, tmp_path, script)
        with pytest.raises(InputError, match="did not sign"):
            sign_message(MESSAGE, tmp_path / "key", namespace=APPROVAL)


def test_words_that_begin_with_a_dash_are_never_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/words; exit 1')
    monkeypatch.chdir(tmp_path)
    Path("-Oprint").touch(mode=stat.S_IRUSR)
    with pytest.raises(InputError):
        sign_message(MESSAGE, Path("-Oprint"), namespace=APPROVAL)
    words = (tmp_path / "words").read_text().split()
    assert words[words.index("-f") + 1] == "-Oprint"
    assert Path(words[-1]).is_absolute()
