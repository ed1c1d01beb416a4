"""What was compressed comes out as it was, or says that it is damaged, or that it expands too much."""

from __future__ import annotations

import gzip
import io
import random

import pytest
import zstandard

from strongroom.core.errors import InputError
from strongroom.ingest._streams import FREE_EXPANSION, MAX_EXPANSION, decompress

from .logs import Dribble, compressed

NOISE = random.Random(1).randbytes(3 << 20)
TEXT = b"".join(b'{"line": %d}\n' % i for i in range(200_000))


def read(data: bytes | Dribble) -> bytes:
    return decompress(io.BytesIO(data) if isinstance(data, bytes) else data)[0].read()  # type: ignore[arg-type]


def until_damage(data: bytes) -> tuple[bytes, str]:
    """All that comes before the error, and its message."""
    stream, given = decompress(io.BytesIO(data))[0], b""
    try:
        while piece := stream.read1(1 << 20):
            given += piece
    except InputError as error:
        return given, error.message
    return given, ""


@pytest.mark.parametrize("how", ["", "gzip", "zstd"])
@pytest.mark.parametrize("content", [b"", b"x", TEXT, NOISE])
def test_content_comes_back(how: str, content: bytes) -> None:
    assert read(compressed(content, how)) == content


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_members_and_frames_in_a_row_are_one_content(how: str) -> None:
    assert read(compressed(TEXT, how) + compressed(b"", how) + compressed(NOISE, how)) == TEXT + NOISE


def test_a_frame_that_is_to_be_skipped_is_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"index"
    assert read(compressed(TEXT, "zstd") + skippable) == TEXT
    assert read(skippable + compressed(TEXT, "zstd")) == TEXT


@pytest.mark.parametrize("how", ["", "gzip", "zstd"])
def test_the_size_of_reads_does_not_matter(how: str) -> None:
    assert read(Dribble(compressed(TEXT[:100_000], how), [1, 3, 1000, 2])) == TEXT[:100_000]


@pytest.mark.parametrize("how", ["gzip", "zstd"])
@pytest.mark.parametrize("content", [TEXT, NOISE])
def test_what_comes_before_a_truncation_is_kept_and_the_truncation_is_told(how: str, content: bytes) -> None:
    given, message = until_damage(compressed(content, how)[:-1000])
    assert message == "damaged compression"
    assert content.startswith(given)
    assert len(given) > len(content) * 0.8


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_what_comes_before_damage_is_kept(how: str) -> None:
    given, message = until_damage(compressed(NOISE, how) + b"\x00\x01 not a frame")
    assert (given, message) == (NOISE, "damaged compression")


@pytest.mark.parametrize("how", ["gzip", "zstd"])
@pytest.mark.parametrize("flip", [5, 20, 2000, -3])
def test_damage_is_told_and_is_no_other_error(how: str, flip: int) -> None:
    data = bytearray(compressed(TEXT, how))
    data[flip] ^= 0xFF
    given, message = until_damage(bytes(data))
    # Whether a flip is noticed depends on the format's checks; what was noticed is told, what was not is as long.
    assert message == "damaged compression" or len(given) == len(TEXT)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_bomb_is_refused_after_a_bounded_expansion(how: str) -> None:
    bomb = compressed(bytes(4 * FREE_EXPANSION), how)
    stream, given = decompress(io.BytesIO(bomb))[0], 0
    with pytest.raises(InputError, match="expands too much"):
        while piece := stream.read1(1 << 20):
            given += len(piece)
    assert given <= max(FREE_EXPANSION, MAX_EXPANSION * len(bomb))


def test_a_window_that_wants_a_gigabyte_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert until_damage(compressor.compress(TEXT) + compressor.flush()) == (b"", "damaged compression")


def test_the_count_is_of_the_bytes_as_stored() -> None:
    data = gzip.compress(TEXT)
    stream, counted = decompress(io.BytesIO(data))
    stream.read()
    assert counted.taken == len(data)


@pytest.mark.parametrize("magic", [b"BZh91AY&SY", b"\xfd7zXZ\x00\x00\x04", b"\x04\x22\x4d\x18"])
def test_a_compression_that_is_not_read_is_named(magic: bytes) -> None:
    with pytest.raises(InputError, match="compression not supported") as caught:
        decompress(io.BytesIO(magic + NOISE[:1000]))
    assert "decompress" in caught.value.next
