"""FLOE: known answers of three other implementations both ways, and what must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError, UsageError
from strongroom.vault.floe import (
    HEADER_BYTES,
    OVERHEAD,
    ROTATION_MASK,
    Cipher,
    Decryptor,
    Encryptor,
    decrypt,
    decrypt_into,
    encrypt,
    encrypt_into,
)

KEY = bytes(range(32))
AAD = b"model.safetensors"
SEGMENT = 64
PAYLOAD = SEGMENT - OVERHEAD
NAMES = [
    f"{maker}_{kind}" for maker in ("cpp", "go", "java") for kind in ("GCM256_IV256_4K", "GCM256_IV256_64", "rotation")
]
VECTOR_AAD = b"This is AAD"


def vector(shared: Path, name: str) -> tuple[bytes, bytes, int]:
    """Ciphertext, plaintext and the rotation mask that the vector was made with."""
    folder = shared / "vectors" / "floe"
    sealed, plain = (bytes.fromhex((folder / f"{name}_{kind}.txt").read_text()) for kind in ("ct", "pt"))
    return sealed, plain, 2 if name.endswith("rotation") else ROTATION_MASK


def segments(sealed: bytes, length: int) -> list[bytes]:
    return [sealed[at : at + length] for at in range(HEADER_BYTES, len(sealed), length)]


@pytest.mark.parametrize("name", NAMES)
def test_what_others_encrypted_is_decrypted(shared: Path, name: str) -> None:
    sealed, plain, mask = vector(shared, name)
    cipher = Cipher.open(bytes(32), sealed[:HEADER_BYTES], aad=VECTOR_AAD, rotation_mask=mask)
    assert cipher.plain_length(len(sealed)) == len(plain)
    parts = segments(sealed, cipher.segment_length)
    out = [cipher.decrypt_segment(part, n, final=n == len(parts) - 1) for n, part in enumerate(parts)]
    assert b"".join(out) == plain
    if mask == ROTATION_MASK:
        assert decrypt(bytes(32), sealed, VECTOR_AAD) == plain


@pytest.mark.parametrize("name", NAMES)
def test_with_their_ivs_ours_is_byte_for_byte_what_others_encrypted(shared: Path, name: str) -> None:
    sealed, plain, mask = vector(shared, name)
    length = int.from_bytes(sealed[2:6], "big")
    ivs = iter([sealed[10:42], *(part[4:16] for part in segments(sealed, length))])
    cipher = Cipher.start(
        bytes(32), aad=VECTOR_AAD, segment_length=length, random=lambda size: next(ivs), rotation_mask=mask
    )
    stream = Encryptor(cipher)
    assert cipher.header + stream.update(plain) + stream.finalize() == sealed


def test_a_key_is_rotated_after_two_to_the_twenty_segments() -> None:
    cipher = Cipher.start(KEY, segment_length=SEGMENT)
    assert cipher._aead(0) is cipher._aead(2**20 - 1)
    assert cipher._aead(0) is not cipher._aead(2**20)


@pytest.mark.parametrize("segment_length", [OVERHEAD + 1, OVERHEAD + 7, SEGMENT])
def test_round_trip_at_every_length_around_edges_of_segments(segment_length: int) -> None:
    payload = segment_length - OVERHEAD
    for length in range(3 * payload + 2):
        plain = bytes(n % 251 for n in range(length))
        sealed = encrypt(KEY, plain, AAD, segment_length)
        assert decrypt(KEY, sealed, AAD) == plain
        assert Cipher.open(KEY, sealed[:HEADER_BYTES], aad=AAD).plain_length(len(sealed)) == length


@given(st.binary(max_size=400), st.integers(1, 4), st.lists(st.integers(1, 90), max_size=8))
def test_streams_buffers_and_threads_give_what_one_call_gives(plain: bytes, threads: int, cuts: list[int]) -> None:
    sealed = bytearray(HEADER_BYTES + len(plain) + OVERHEAD * (len(plain) // PAYLOAD + 1) + 5)
    written = encrypt_into(KEY, plain, sealed, aad=AAD, segment_length=SEGMENT, threads=threads)
    out = bytearray(len(plain) + 3)
    assert decrypt_into(KEY, sealed[:written], out, aad=AAD, threads=threads) == len(plain)
    assert bytes(out[: len(plain)]) == plain

    def pieces(data: bytes) -> Iterator[bytes]:
        at = 0
        for cut in cuts:
            yield data[at : at + cut]
            at += cut
        yield data[at:]

    encryptor = Encryptor(Cipher.start(KEY, aad=AAD, segment_length=SEGMENT))
    streamed = encryptor.cipher.header + b"".join(map(encryptor.update, pieces(plain))) + encryptor.finalize()
    assert encryptor.length == len(plain)
    assert decrypt(KEY, streamed, AAD) == plain
    decryptor = Decryptor(Cipher.open(KEY, streamed[:HEADER_BYTES], aad=AAD))
    body = streamed[HEADER_BYTES:]
    assert b"".join(map(decryptor.update, pieces(body))) + decryptor.finalize() == plain


def broken(sealed: bytes) -> Iterator[tuple[str, bytes]]:
    """All that somebody without the key can do to a ciphertext of three segments."""
    head, parts = sealed[:HEADER_BYTES], segments(sealed, SEGMENT)
    yield "dropped first", head + b"".join(parts[1:])
    yield "dropped middle", head + parts[0] + parts[2]
    yield "dropped last", head + parts[0] + parts[1]
    yield "repeated", head + parts[0] + parts[0] + parts[1] + parts[2]
    yield "swapped", head + parts[1] + parts[0] + parts[2]
    yield "appended", sealed + parts[2]
    yield "appended whole", sealed[: -len(parts[2])] + parts[1] + parts[2]
    yield "appended bytes", sealed + b"x"
    yield "no body", head
    yield "no header", sealed[HEADER_BYTES:]
    yield "nothing", b""
    other = encrypt(KEY, b"y" * (2 * PAYLOAD + 5), AAD, SEGMENT)
    yield "header from elsewhere", other[:HEADER_BYTES] + sealed[HEADER_BYTES:]
    yield "segment from elsewhere", head + segments(other, SEGMENT)[0] + parts[1] + parts[2]


def test_what_was_changed_is_refused_and_the_buffer_is_cleared() -> None:
    plain = b"x" * (2 * PAYLOAD + 5)
    sealed = encrypt(KEY, plain, AAD, SEGMENT)
    for what, data in broken(sealed):
        with pytest.raises(IntegrityError):
            decrypt(KEY, data, AAD)
        out = bytearray(b"\xee" * 1000)
        with pytest.raises(IntegrityError):
            decrypt_into(KEY, data, out, aad=AAD)
        assert not set(out) - {0, 0xEE}, what
        with pytest.raises(IntegrityError):
            stream = Decryptor(Cipher.open(KEY, data[:HEADER_BYTES], aad=AAD))
            stream.update(data[HEADER_BYTES:])
            stream.finalize()


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    sealed = encrypt(KEY, b"x" * (PAYLOAD + 3), AAD, SEGMENT)
    for at in range(len(sealed)):
        for changed in (sealed[:at] + bytes([sealed[at] ^ 1 << at % 8]) + sealed[at + 1 :], sealed[:at]):
            with pytest.raises(IntegrityError):
                decrypt(KEY, changed, AAD)


def test_another_key_or_other_associated_data_is_refused() -> None:
    sealed = encrypt(KEY, b"x", AAD)
    with pytest.raises(IntegrityError, match="header"):
        decrypt(bytes(32), sealed, AAD)
    with pytest.raises(IntegrityError, match="header"):
        decrypt(KEY, sealed, b"")


def test_an_error_names_file_segment_and_offset() -> None:
    sealed = bytearray(encrypt(KEY, b"x" * 3 * PAYLOAD, AAD, SEGMENT))
    sealed[HEADER_BYTES + SEGMENT + 20] ^= 1
    cipher = Cipher.open(KEY, sealed[:HEADER_BYTES], aad=AAD, name="a/model.safetensors")
    with pytest.raises(IntegrityError) as caught:
        cipher.decrypt_segment(segments(bytes(sealed), SEGMENT)[1], 1, final=False)
    assert caught.value.where == f"a/model.safetensors, segment 1, offset {HEADER_BYTES + SEGMENT}"


def test_wrong_use_is_told() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        encrypt(b"short", b"")
    with pytest.raises(UsageError, match="segment"):
        encrypt(KEY, b"", segment_length=OVERHEAD)
    with pytest.raises(UsageError, match="buffer"):
        encrypt_into(KEY, b"x", bytearray(3))
    with pytest.raises(UsageError, match="buffer"):
        decrypt_into(KEY, encrypt(KEY, b"xyz"), bytearray(2))
    stream = Encryptor(Cipher.start(KEY))
    stream.finalize()
    for late in (lambda: stream.update(b"x"), stream.finalize):
        with pytest.raises(UsageError, match="final"):
            late()
    with pytest.raises(UsageError, match="segment 0"):
        Cipher.start(KEY).encrypt_segment_into(b"x", 0, False, memoryview(bytearray(100)))


def test_no_two_ciphertexts_or_segments_have_an_iv_in_common() -> None:
    sealed = [encrypt(KEY, bytes(3 * PAYLOAD), AAD, SEGMENT) for _ in range(200)]
    assert len({one[10:42] for one in sealed}) == 200
    assert len({part[4:16] for one in sealed for part in segments(one, SEGMENT)}) == 600
