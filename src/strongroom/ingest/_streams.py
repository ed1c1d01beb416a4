"""Bytes as they were before compression, however they were compressed, within bounds."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO

from strongroom.core.errors import InputError

__all__ = ["Counted", "decompress"]

MAX_EXPANSION = 400
"""Logs shrink ten- to hundredfold. What expands more is made to harm, or is not a log."""
FREE_EXPANSION = 64 << 20
"""So many bytes may come out before the ratio is looked at."""


class Counted(io.RawIOBase):
    """A stream that knows how many bytes were taken from it (for progress and for the bound on expansion)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.taken += len(data)
        return len(data)


class _Bounded(io.RawIOBase):
    """What a decompressor gives, until it gives too much."""

    def __init__(self, stream: BinaryIO, counted: Counted) -> None:
        self._stream = stream
        self._counted = counted
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, OSError, zlib.error, ValueError) as error:
            raise InputError("damaged compression", next=str(error)) from None
        except Exception as error:  # zstandard's errors share no base with the above
            if type(error).__name__ != "ZstdError":
                raise
            raise InputError("damaged compression", next=str(error)) from None
        self._given += len(data)
        if self._given > FREE_EXPANSION and self._given > MAX_EXPANSION * max(self._counted.taken, 1):
            raise InputError("expands too much", next=f"more than {MAX_EXPANSION} times its size")
        buffer[: len(data)] = data
        return len(data)


def decompress(stream: BinaryIO) -> tuple[BinaryIO, Counted]:
    """The stream's content, recognised by its first bytes, and the count of bytes taken from `stream`.

    Reading raises InputError when the compression is damaged (the message is the reason that is counted).
    """
    counted = Counted(stream)
    buffered = io.BufferedReader(counted, 1 << 20)
    magic = buffered.peek(4)[:4]
    if magic[:2] == b"\x1f\x8b":
        inner: BinaryIO = gzip.GzipFile(fileobj=buffered)  # type: ignore[assignment]
    elif magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        # A window of more than 128 MiB is nothing that a log needs.
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        inner = decompressor.stream_reader(buffered, read_across_frames=True)
    else:
        return buffered, counted
    return io.BufferedReader(_Bounded(inner, counted), 1 << 20), counted
