"""Bytes as they were before compression, however they were compressed, within bounds.

What comes before damage is given before the damage is told: read with `read1`, because `read` would put
pieces together and lose them to the error.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from strongroom.core.errors import InputError

__all__ = ["Counted", "decompress"]

MAX_EXPANSION = 400
"""Logs shrink ten- to hundredfold. What expands more is made to harm, or is not a log."""
FREE_EXPANSION = 64 << 20
"""So many bytes may come out before the ratio is looked at."""
BUFFER = 1 << 20
# Four bytes can stand for 128 KiB in zstd; so much input at a time gives 64 MiB at most.
_ZSTD_INPUT = 2048
_MAX_WINDOW = 1 << 27

_GZIP, _ZSTD, _ZSTD_SKIPPABLE = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"
_NOT_READ = {b"BZh91AY&SY": "bzip2", b"\xfd7zXZ": "xz", b"\x04\x22\x4d\x18": "lz4", b"\xff\x06\x00\x00sNaPpY": "snappy"}


class Counted(io.RawIOBase):
    """A stream that knows how many bytes were taken from it (for progress and the bound on expansion), and which."""

    def __init__(self, stream: BinaryIO, digest: Any = None) -> None:
        """`digest`: that of what comes before `stream`, which goes on; otherwise one begins."""
        self._stream = stream
        self._hash = digest or hashlib.sha256()
        self._in_order = True
        self.taken = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._in_order = False
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        filled = 0
        while filled < len(buffer):  # a pipe may give less than asked for
            try:
                data = self._stream.read(len(buffer) - filled)
            except (OSError, InputError):
                raise
            except Exception as error:  # stores of objects have errors of their own
                raise OSError(f"{type(error).__name__}: {error}") from error
            if not data:
                break
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        self._hash.update(buffer[:filled])
        self.taken += filled
        return filled

    def digest(self) -> str:
        """`sha256:` of the whole stream, as it is before decompression. Reads what was not read yet."""
        if not self._in_order:  # a Parquet file is read here and there: once more, from its beginning
            self._stream.seek(0)
            self._hash = hashlib.sha256()
        while data := self._stream.read(BUFFER):
            self._hash.update(data)
        return f"sha256:{self._hash.hexdigest()}"


class _Bounded(io.RawIOBase):
    """What a decompressor gives, until it fails or gives too much."""

    def __init__(self, read: Callable[[int], bytes], counted: Counted) -> None:
        self._read = read
        self._counted = counted
        self._given = 0
        self._failed: InputError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        filled = 0
        while filled < len(buffer) and not self._failed:
            data = self._next(len(buffer) - filled)
            if not data:
                break
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        if self._failed and not filled:
            raise self._failed
        return filled

    def _next(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end, and none where `_failed` tells why."""
        try:
            data = self._read(size)
        except (EOFError, OSError, zlib.error, ValueError) as error:
            self._failed = InputError("damaged compression", next=str(error))
            return b""
        self._given += len(data)
        if self._given > FREE_EXPANSION and self._given > MAX_EXPANSION * max(self._counted.taken, 1):
            self._failed = InputError("expands too much", next=f"more than {MAX_EXPANSION} times its size")
            return b""
        return data


class _Zstandard:
    """The content of zstd frames in a row. Unlike zstandard's own reader it tells a truncated frame from the end."""

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._stream = stream
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end. Raises EOFError, ValueError."""
        while not self._output:
            data = self._input or self._stream.read(_ZSTD_INPUT)
            if not data:
                if self._frame is not None:
                    raise EOFError("the file ends inside a frame")
                return b""
            self._frame = self._frame or self._decompressor.decompressobj()
            try:
                self._output = memoryview(self._frame.decompress(data))
            except self._error as error:
                raise ValueError(str(error)) from None
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
        given, self._output = self._output[:size], self._output[size:]
        return bytes(given)


def decompress(stream: BinaryIO) -> tuple[io.BufferedReader[Any], Counted]:
    """The stream's content, recognised by its first bytes, and the count of bytes taken from `stream`.

    Raises InputError for a compression that is not read; reading raises it when the compression is damaged (the
    message is the reason that is counted).
    """
    counted = Counted(stream)
    buffered: io.BufferedReader[Any] = io.BufferedReader(counted, BUFFER)
    magic = buffered.peek(16)[:16]
    for start, name in _NOT_READ.items():
        if magic.startswith(start):
            raise InputError(f"compression not supported: {name}", next="decompress it and pipe it in, or use gzip")
    read: Callable[[int], bytes]
    if magic.startswith(_GZIP):
        read = gzip.GzipFile(fileobj=buffered).read1
    elif magic.startswith(_ZSTD) or (magic[1:4] == _ZSTD_SKIPPABLE and magic[0] >> 4 == 5):
        read = _Zstandard(buffered).read
    else:
        return buffered, counted
    bounded: io.BufferedReader[Any] = io.BufferedReader(_Bounded(read, counted), BUFFER)
    return bounded, counted
