"""Checkpoints: one form, one log, and a signature by the log itself."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError
from strongroom.ledger._checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    parse_hash,
    parse_number,
)
from strongroom.ledger._merkle import EMPTY_ROOT, MAX_SIZE
from strongroom.ledger._notes import COSIGNATURE, Note, SignatureLine, SigningKey, sign_note

LOG = SigningKey("log.example/a", bytes(32))
NEXT = SigningKey("log.example/a", bytes(31) + b"\1")
WITNESSES = [SigningKey(f"witness.example/{i}", bytes([i] * 32), COSIGNATURE) for i in (1, 2, 3)]
KEYS = [key.verifier for key in WITNESSES]
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint("log.example/a", 7, ROOT)
HASH = base64.b64encode(ROOT).decode()


def signed(*lines: SignatureLine, text: str = CHECKPOINT.text()) -> bytes:
    return Note(text, lines).encode()


def test_the_text_is_that_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_checkpoint(text, where="checkpoint")
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == text


LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


@given(LINES, st.integers(1, MAX_SIZE), st.binary(min_size=32, max_size=32), st.lists(LINES, max_size=3))
def test_checkpoints_round_trip_with_their_extensions(
    origin: str, size: int, root: bytes, extensions: list[str]
) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert parse_checkpoint(checkpoint.text(), where="checkpoint") == checkpoint


def test_an_empty_log_has_the_root_of_the_empty_tree() -> None:
    empty = Checkpoint("log.example/a", 0, EMPTY_ROOT)
    assert parse_checkpoint(empty.text(), where="checkpoint") == empty
    with pytest.raises(IntegrityError, match="empty tree"):
        parse_checkpoint(Checkpoint("log.example/a", 0, ROOT).text(), where="checkpoint")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a\n7\n",
        f"\n7\n{HASH}\n",
        f"a\n\n{HASH}\n",
        f"a\n7\n{HASH}\n\n",
        f"a\n7\n{HASH}\n\nb\n",
        f"a\n7\n\n{HASH}\n",
        f"a\n7\n{HASH[:-1]}\n",
        f"a\n7\n{HASH}=\n",
        f"a\n7\n {HASH}\n",
        f"a\n7\n{HASH[:-2]}9=\n",  # the same 32 bytes, written another way
        f"a\n7\n{base64.b64encode(ROOT[:31]).decode()}\n",
        f"a\n7\n{base64.b64encode(ROOT + b'0').decode()}\n",
        f"a\n7\n{base64.urlsafe_b64encode(bytes([255] * 32)).decode()}\n",
        "a\n7\né\n",
    ],
)
def test_texts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match=r"\(here\)"):
        parse_checkpoint(text, where="here")


@pytest.mark.parametrize(
    "number",
    ["", "07", "00", "-1", "-0", "+1", " 7", "7 ", "7.0", "0x7", "1e3", "1_000", "²", "٧", "７", "9" * 19, str(2**63),
     "9" * 5000],
)  # fmt: skip
def test_sizes_are_decimals_without_leading_zeroes_below_two_to_the_63(number: str) -> None:
    with pytest.raises(IntegrityError):
        parse_number(number, where="size")
    with pytest.raises(IntegrityError):
        parse_checkpoint(f"a\n{number}\n{HASH}\n", where="checkpoint")
    assert [parse_number(text, where="size") for text in ("0", "7", str(MAX_SIZE))] == [0, 7, MAX_SIZE]


@given(st.text() | st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()))
def test_a_hash_has_one_way_to_be_written(text: str) -> None:
    try:
        value = parse_hash(text, where="hash")
    except IntegrityError:
        return
    assert (len(value), base64.b64encode(value).decode()) == (32, text)


def test_a_checkpoint_opens_under_any_of_the_logs_keys_and_says_which() -> None:
    data = sign_note(CHECKPOINT.text(), [LOG])
    for keys in ([LOG.verifier], [NEXT.verifier, LOG.verifier]):
        opened = open_checkpoint(data, keys, where="checkpoint")
        assert (opened.checkpoint, opened.note, opened.key, opened.cosigned) == (CHECKPOINT, data, LOG.verifier, {})
    with pytest.raises(IntegrityError, match=r"no signature is of a key.*rotation"):
        open_checkpoint(data, [NEXT.verifier], where="checkpoint")


def test_a_checkpoint_of_another_log_is_refused_although_its_signature_is_right() -> None:
    text = Checkpoint("log.example/other", 7, ROOT).text()
    data = sign_note(text, [LOG])
    with pytest.raises(IntegrityError, match=r"of the log 'log\.example/other', not of 'log\.example/a'"):
        open_checkpoint(data, [LOG.verifier], where="checkpoint")
    opened = open_checkpoint(data, [LOG.verifier], origin="log.example/other", where="checkpoint")
    assert opened.checkpoint.origin == "log.example/other"
    with pytest.raises(IntegrityError, match="not of"):
        open_checkpoint(sign_note(CHECKPOINT.text(), [LOG]), [LOG.verifier], origin="log.example/other", where="c")


def test_only_witnesses_that_signed_are_reported_with_their_times() -> None:
    text = CHECKPOINT.text()
    data = signed(LOG.sign_text(text), WITNESSES[0].cosign(text, 100), WITNESSES[2].cosign(text, 200))
    opened = open_checkpoint(data, [LOG.verifier], witnesses=KEYS[:2], where="checkpoint")
    assert opened.cosigned == {KEYS[0]: 100}
    opened = open_checkpoint(data, [LOG.verifier], witnesses=KEYS, where="checkpoint")
    assert opened.cosigned == {KEYS[0]: 100, KEYS[2]: 200}


def test_a_wrong_cosignature_of_a_known_witness_spoils_the_checkpoint() -> None:
    text = CHECKPOINT.text()
    other = Checkpoint("log.example/a", 8, ROOT).text()
    data = signed(LOG.sign_text(text), WITNESSES[0].cosign(other, 100))
    assert open_checkpoint(data, [LOG.verifier], witnesses=KEYS[1:], where="checkpoint").cosigned == {}
    with pytest.raises(IntegrityError, match=r"witness\.example/1.* is wrong"):
        open_checkpoint(data, [LOG.verifier], witnesses=KEYS, where="checkpoint")


def test_what_only_witnesses_signed_is_not_the_logs() -> None:
    data = signed(*(key.cosign(CHECKPOINT.text(), 100) for key in WITNESSES))
    with pytest.raises(IntegrityError, match="a witness signed, but the log did not"):
        open_checkpoint(data, [LOG.verifier], witnesses=KEYS, where="checkpoint")


def test_a_plain_signature_is_no_cosignature() -> None:
    plain = SigningKey("witness.example/plain", bytes(31) + b"\7")
    data = sign_note(CHECKPOINT.text(), [LOG, plain])
    try:
        opened = open_checkpoint(data, [LOG.verifier], witnesses=[plain.verifier], where="checkpoint")
    except Exception:
        return
    assert opened.cosigned == {}
