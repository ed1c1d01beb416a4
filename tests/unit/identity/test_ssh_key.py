"""Public keys of SSH: which lines are accepted, and that one key has one line and one fingerprint."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.core.errors import UsageError
from strongroom.identity import SSH_KEY_TYPES, SshKey
from strongroom.identity._ssh_key import MAX_LINE_CHARACTERS, Reader

from .sshsig import Key, ecdsa_key, ed25519_key, mpint, rsa_key, sk_ecdsa_key, sk_ed25519_key, string

KEYS = [ed25519_key(), ecdsa_key(256), ecdsa_key(384), ecdsa_key(521), rsa_key(), sk_ed25519_key(), sk_ecdsa_key()]


POINT = ed25519_key().blob[-32:]


def line(type: str, *fields: bytes, after: bytes = b"") -> str:
    return f"{type} {base64.b64encode(string(type.encode()) + b''.join(map(string, fields)) + after).decode()}"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.type)
def test_each_accepted_type_round_trips_with_and_without_a_comment(key: Key) -> None:
    plain = SshKey.parse(key.line + "\n")
    assert (plain.type, plain.blob, plain.comment, plain.line) == (key.type, key.blob, "", key.line)
    commented = SshKey.parse(f"  {key.line}  ada * on,her !laptop? ")
    assert commented.line == f"{key.line} ada * on,her !laptop?"
    assert commented == plain == SshKey.parse(commented.line)
    assert commented.fingerprint == plain.fingerprint == str(plain)
    assert plain.hardware is key.type.startswith("sk-")


def test_the_parts_of_the_wrong_lines_below_are_right_by_themselves() -> None:
    assert SshKey.parse(line("ssh-ed25519", POINT)).line == ed25519_key().line
    assert SshKey.parse(line("sk-ssh-ed25519@openssh.com", POINT, b"ssh:laptop")).hardware


def test_every_type_that_is_named_as_accepted_was_tried() -> None:
    assert {key.type for key in KEYS} == SSH_KEY_TYPES


@pytest.mark.parametrize("bits", [1024, 2047])
def test_rsa_below_2048_bits_is_refused_and_the_error_says_what_to_do(bits: int) -> None:
    modulus = (1 << bits) - 1
    with pytest.raises(UsageError, match=rf"RSA key of {bits:,} bits is not accepted.*ssh-keygen -t ed25519"):
        SshKey.parse(line("ssh-rsa", b"\1\0\1", b"\0" * (bits % 8 == 0) + modulus.to_bytes((bits + 7) // 8, "big")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 é",
        line("ssh-dss", b"\5", b"\5", b"\5", b"\5"),
        line("ssh-ed25519-cert-v01@openssh.com", b"nonce", bytes(32)),
        'no-touch-required ' + sk_ed25519_key().line,
        'cert-authority ' + ed25519_key().line,
        ed25519_key().line + "\n" + ed25519_key(2).line,
        ed25519_key().line + " a\x1b[2Jb",
        ed25519_key().line.rstrip("=") + "=",
        ed25519_key().line[:-4],
        line("ssh-ed25519", POINT[:31]),
        line("ssh-ed25519", POINT + b"\0"),
        line("ssh-ed25519", POINT, after=b"\0"),
        line("sk-ssh-ed25519@openssh.com", POINT),
        line("sk-ssh-ed25519@openssh.com", POINT, b"https://login.example"),
        line("ecdsa-sha2-nistp256", b"nistp384", ecdsa_key(384).blob[-97:]),
        line("ecdsa-sha2-nistp256", b"nistp256", b"\4" + bytes(64)),
        line("ecdsa-sha2-nistp256", b"nistp256", b"\2" + ecdsa_key(256).blob[-64:-32]),
        line("ssh-rsa", b"\1\0\1", b"\xff" * 256),
        line("ssh-rsa", b"\1\0\1", b"\0\0" + b"\xff" * 256),
        line("ssh-rsa", b"\1", b"\0" + b"\xff" * 256),
        line("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 255 + b"\xfe"),
        line("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 2049),
        "ssh-ed25519 " + base64.b64encode(ecdsa_key().blob).decode(),
        "x" * (MAX_LINE_CHARACTERS + 1),
    ],
)  # fmt: skip
def test_what_is_no_acceptable_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        SshKey.parse(text)


SMALL = (
    0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18,
    2707385501144840649318225287225658788936804267575313519463743609750303402022,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)  # fmt: skip


@pytest.mark.parametrize("y", SMALL)
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_an_ed25519_key_under_which_anybody_could_sign_is_refused(y: int, sign: int) -> None:
    encoded = (y | sign).to_bytes(32, "little")
    for type, fields in (("ssh-ed25519", [encoded]), ("sk-ssh-ed25519@openssh.com", [encoded, b"ssh:"])):
        with pytest.raises(UsageError, match="it is damaged"):
            SshKey.parse(line(type, *fields))


@given(st.text() | st.binary(max_size=200).map(lambda data: "ssh-rsa " + base64.b64encode(data).decode()))
@example("ssh-rsa " + base64.b64encode(b"\0\0\0\7ssh-rsa\xff\xff\xff\xff").decode())
def test_hostile_lines_are_refused_and_never_crash(text: str) -> None:
    try:
        key = SshKey.parse(text)
    except UsageError:
        return
    assert SshKey.parse(key.line) == key


@given(st.integers(min_value=1, max_value=1 << 600))
def test_positive_numbers_round_trip_and_only_in_one_form(value: int) -> None:
    assert Reader(mpint(value)).mpint() == value or mpint(value)[4:5] == b"\0"
    with pytest.raises(ValueError, match="no positive mpint"):
        Reader(string(b"\0\0" + value.to_bytes(value.bit_length() // 8 + 1, "big"))).mpint()
