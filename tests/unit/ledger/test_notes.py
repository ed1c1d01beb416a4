"""Signed notes: the specification's example verifies, and one wrong line of a known key spoils a note."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError, UsageError
from strongroom.ledger._notes import (
    COSIGNATURE,
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    SignatureLine,
    SigningKey,
    VerifierKey,
    parse_note,
    sign_note,
    verify_note,
)

SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
SPEC_CHECKPOINT = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
""".encode()
LOG = SigningKey("log.example/a", bytes(32))
OTHER = SigningKey("log.example/b", bytes(31) + b"\1")
SAME_NAME = SigningKey("log.example/a", bytes(31) + b"\2")
WITNESS = SigningKey("witness.example/w", bytes(31) + b"\3", COSIGNATURE)
TEXT = "hello\n"


def note(*lines: SignatureLine | str, text: str = TEXT) -> bytes:
    return (text + "\n" + "".join(map(str, lines))).encode()


def forged(line: SignatureLine) -> SignatureLine:
    return SignatureLine(line.name, line.id, line.signature[:-1] + bytes([line.signature[-1] ^ 1]))


def test_the_specifications_note_verifies_under_its_key_and_no_other_text_does() -> None:
    key = VerifierKey.parse(SPEC_VKEY)
    assert verify_note(SPEC_NOTE, [key], where="note").text == "This is an example message.\n"
    assert parse_note(SPEC_NOTE, where="note").encode() == SPEC_NOTE
    with pytest.raises(IntegrityError, match=r"signature of example\.com/foo\+530d903a is wrong"):
        verify_note(SPEC_NOTE.replace(b"an example", b"no example"), [key], where="note")


def test_verifier_keys_round_trip_and_their_id_is_checked() -> None:
    assert str(VerifierKey.parse(SPEC_VKEY)) == SPEC_VKEY
    for key in (LOG.verifier, WITNESS.verifier):
        assert VerifierKey.parse(f" {key}\n") == key
    name, id_, material = SPEC_VKEY.split("+")
    short = base64.b64encode(b"\1" * 32).decode()
    ecdsa = str(VerifierKey(name, 2, bytes(32)))
    for text in (
        "", name, f"{name}+{id_}", f"{name}+{id_}+", f"{name}+{id_}+{short}", f"{name}+{id_}+{material[:-1]}!",
        f"{name}+{id_.upper()}+{material}", f"{name}+00000000+{material}", f"other+{id_}+{material}",
        f"a b+{id_}+{material}", f"+{id_}+{material}", f"{SPEC_VKEY}+", f"{'n' * 256}+{id_}+{material}", ecdsa,
        "x" * 100_000,
    ):  # fmt: skip
        with pytest.raises(UsageError):
            VerifierKey.parse(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 3))
def test_any_text_without_control_characters_can_be_signed_and_is_returned_unchanged(body: str, count: int) -> None:
    keys = [LOG, OTHER, SAME_NAME][:count]
    text = body + "\n"
    data = sign_note(text, keys)
    assert verify_note(data, [key.verifier for key in keys], where="note").text == text
    for key in keys:
        assert verify_note(data, [key.verifier], where="note").lines == (key.sign_text(text),)


def test_empty_lines_belong_to_the_text_and_the_last_one_ends_it() -> None:
    text = "a\n\n\nb\n\n"
    assert parse_note(sign_note(text, [LOG]), where="note").text == text


LINE = str(LOG.sign_text(TEXT))
BLOB = LINE.split(" ")[2].strip()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\n",
        b"hello\n\n",
        f"hello\n{LINE}".encode(),
        f"hello\n\n{LINE[:-1]}".encode(),
        f"hello\n\n{LINE}\n".encode(),
        f"hello\n\n{LINE}text\n".encode(),
        f"hello\n\n{LINE}\n{LINE}\n".encode(),
        f"hel\tlo\n\n{LINE}".encode(),
        f"hel\0lo\n\n{LINE}".encode(),
        f"hello\r\n\n{LINE}".encode(),
        f"hello\n\n{LINE[:-1]}\r\n".encode(),
        f"hel\x1blo\n\n{LINE}".encode(),
        b"hel\xfflo\n\n" + LINE.encode(),
        b"hel\xed\xa0\x80lo\n\n" + LINE.encode(),
        f"hello\n\n- log.example/a {BLOB}\n".encode(),
        f"hello\n\n—log.example/a {BLOB}\n".encode(),
        f"hello\n\n— log.example/a  {BLOB}\n".encode(),
        f"hello\n\n— log.example/a {BLOB} \n".encode(),
        f"hello\n\n—  {BLOB}\n".encode(),
        f"hello\n\n— {BLOB}\n".encode(),
        f"hello\n\n— log+example/a {BLOB}\n".encode(),
        f"hello\n\n— log\u00a0example/a {BLOB}\n".encode(),
        f"hello\n\n— log.example/a {BLOB[:-1]}\n".encode(),
        f"hello\n\n— log.example/a {BLOB}=\n".encode(),
        f"hello\n\n— log.example/a {BLOB[:-1]}!\n".encode(),
        f"hello\n\n— log.example/a {BLOB.replace('A', '-')}_\n".encode(),
        b"hello\n\n\xe2\x80\x94 log.example/a AAAAAA==\n",  # an id without a signature
        b"hello\n\n\xe2\x80\x94 log.example/a AAAAAAB=\n",  # not the one way to write these bytes
        b"a" * MAX_NOTE_BYTES + b"\n\n" + LINE.encode(),
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"this is no signed note.*\(here\)"):
        verify_note(data, [LOG.verifier], where="here")


def test_a_signature_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(IntegrityError, match="this is no signed note"):
        parse_note(note("— log.example/a é\n"), where="note")


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_bytes_do_anything_else_than_fail_to_verify(data: bytes) -> None:
    for tail in (b"", b"\n\n\xe2\x80\x94 a AAAAAAA=\n"):
        with pytest.raises(IntegrityError):
            verify_note(data + tail, [LOG.verifier], where="note")


def test_lines_of_unknown_keys_are_ignored_also_with_a_known_name_or_a_known_id() -> None:
    mine = LOG.sign_text(TEXT)
    foreign = [
        OTHER.sign_text(TEXT),
        forged(SAME_NAME.sign_text(TEXT)),
        SignatureLine("log.example/c", LOG.verifier.id, bytes(64)),
        SignatureLine("пример.example/🔑", b"abcd", bytes(5000)),
        WITNESS.cosign(TEXT, 5),
        forged(OTHER.sign_text(TEXT)),
    ]
    assert verify_note(note(*foreign, mine, *foreign), [LOG.verifier], where="note").lines == (mine,)
    with pytest.raises(IntegrityError, match=r"signed by .*log\.example/b\+"):
        verify_note(note(*foreign), [LOG.verifier], where="note")
    with pytest.raises(IntegrityError, match="no signature is of a key"):
        verify_note(note(mine), [], where="note")


@pytest.mark.parametrize("name", ["a\u200bb", "n" * 256, "\U0003fffd"])
def test_any_name_that_signed_note_allows_may_stand_on_an_unknown_line(name: str) -> None:
    mine = LOG.sign_text(TEXT)
    assert verify_note(note(SignatureLine(name, b"abcd", b"x"), mine), [LOG.verifier], where="note").lines == (mine,)


def test_one_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    keys = [LOG.verifier, OTHER.verifier]
    right, other = LOG.sign_text(TEXT), OTHER.sign_text(TEXT)
    for lines in (
        [right, forged(other)],
        [forged(right), other],
        [right, forged(right)],
        [forged(right), right],
        [right, SignatureLine(other.name, other.id, other.signature[:-1])],
        [right, SignatureLine(other.name, other.id, other.signature + b"\0")],
        [right, SignatureLine(other.name, other.id, right.signature)],
    ):
        with pytest.raises(IntegrityError, match=r"the signature of .* is wrong"):
            verify_note(note(*lines), keys, where="note")


def test_sixteen_signatures_are_taken_and_a_flood_is_not() -> None:
    keys = [SigningKey(f"log.example/{i}", bytes([i] * 32)) for i in range(16)]
    assert len(verify_note(sign_note(TEXT, keys), [key.verifier for key in keys], where="note").lines) == 16
    mine = LOG.sign_text(TEXT)
    assert verify_note(note(*[OTHER.sign_text(TEXT)] * (MAX_SIGNATURES - 1), mine), [LOG.verifier], where="note")
    with pytest.raises(IntegrityError, match=f"more than {MAX_SIGNATURES}"):
        verify_note(note(*[mine] * (MAX_SIGNATURES + 1)), [LOG.verifier], where="note")


def test_cosignatures_carry_a_time_and_sign_the_message_of_the_specification() -> None:
    log, witness = parse_note(SPEC_CHECKPOINT, where="note").lines
    assert (witness.time, witness.id.hex(), len(witness.signature)) == (1679315147, "8d66cf3f", 72)
    assert (log.id.hex(), len(log.signature)) == ("033de0ae", 64)

    text = parse_note(SPEC_CHECKPOINT, where="note").text
    line = WITNESS.cosign(text, 1679315147)
    assert line.signature == (1679315147).to_bytes(8, "big") + WITNESS.sign(
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    assert verify_note(note(line, text=text), [WITNESS.verifier], where="note").lines == (line,)


def test_a_cosignature_with_another_time_or_of_another_kind_is_refused() -> None:
    line = WITNESS.cosign(TEXT, 7)
    plain = SigningKey(WITNESS.verifier.name, bytes(31) + b"\3").sign_text(TEXT)
    for signature in (
        (8).to_bytes(8, "big") + line.signature[8:],
        line.signature[8:],
        plain.signature,
        bytes(8) + plain.signature,
        line.signature + b"\0",
        WITNESS.cosign(TEXT, 2**63).signature,
    ):
        with pytest.raises(IntegrityError, match="signature of witness"):
            verify_note(note(SignatureLine(line.name, line.id, signature)), [WITNESS.verifier], where="note")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\tb", "n" * 256, "a\0b"])
def test_names_that_would_break_a_note_cannot_be_given_to_a_key(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a log or a key"):
        SigningKey(name, bytes(32))
