"""Bytes through a cipher, from one descriptor to another: encrypted or decrypted, and hashed meanwhile.

A file's SHA-256 is one chain, and slower than all else, so a second thread hashes what the first has just encrypted or
is about to decrypt, in batches of a few segments out of a ring of buffers; files go through side by side. Beside the
ring (`RING * BATCH_SEGMENTS` segments) and as much plaintext nothing is held in memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import queue
import threading
from collections.abc import Callable

from ..core.errors import StrongroomError
from ._file import read_fully
from .floe import HEADER_BYTES, Buffer, Cipher

__all__ = ["SMALL", "Hasher", "Output", "Progress", "Read", "changed", "decrypt_file", "encrypt_file", "reader_of"]

BATCH_SEGMENTS = 4
"""Segments that are read, encrypted, hashed and written together."""
RING = 3
"""Batches that are under way."""
SMALL = 4 << 20
"""Files up to so many bytes are hashed by the thread that encrypts them, and made durable many at once."""
WRITE_BEHIND = 8 << 20
"""After so many bytes the disk is asked to write them."""

Read = Callable[[int, memoryview], None]
"""Fills a buffer from an offset on, or raises."""
Progress = Callable[[int], None]
"""Is told how many more bytes of plaintext are done."""


class Output:
    """A descriptor that is written to in order, while the disk writes what came before.

    Without being asked Linux keeps written pages in memory for seconds, and `sync` would then wait for all of them.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = self._begun = 0

    def write(self, data: Buffer) -> None:
        """Raises OSError."""
        view = memoryview(data)
        while view:
            count = os.write(self._descriptor, view)
            view = view[count:]
            self._written += count
        if self._written - self._begun >= WRITE_BEHIND and _sync_file_range is not None:
            _sync_file_range(self._descriptor, self._begun, self._written - self._begun, _SYNC_FILE_RANGE_WRITE)
            self._begun = self._written

    def sync(self) -> None:
        """All that was written is durable when it returns. Raises OSError."""
        os.fdatasync(self._descriptor)


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """sync_file_range(2), where there is one."""
    with contextlib.suppress(OSError, AttributeError):
        found = ctypes.CDLL(None).sync_file_range
        found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
        return found
    return None


_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = _find_sync_file_range()


class Hasher:
    """SHA-256 in a thread of its own, or in the caller's; buffers come back through `take`."""

    def __init__(self, size: int, *, threaded: bool) -> None:
        self._digest = hashlib.sha256()
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        for _ in range(RING if threaded else 1):
            self._free.put(memoryview(bytearray(size)))
        self._waiting: queue.SimpleQueue[tuple[memoryview, int] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def header(self, data: Buffer) -> None:
        """Hashes a few bytes that come before all batches."""
        self._digest.update(data)

    def take(self) -> memoryview:
        """A buffer that nobody reads any more."""
        return self._free.get()

    def give(self, buffer: memoryview, length: int) -> None:
        """Hashes the first `length` bytes of a buffer; then it is free again."""
        if self._thread is not None:
            self._waiting.put((buffer, length))
        else:
            self._digest.update(buffer[:length])
            self._free.put(buffer)

    def finish(self) -> str:
        """64 hexadecimal digits. The thread has ended when it returns. Raises what hashing has raised."""
        self.stop()
        if self._failure is not None:
            raise self._failure
        return self._digest.hexdigest()

    def stop(self) -> None:
        """Ends the thread. Again is fine."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (batch := self._waiting.get()) is not None:
            buffer, length = batch
            try:
                self._digest.update(buffer[:length])
            except BaseException as error:
                self._failure = error
            self._free.put(buffer)  # also after a failure: nobody must wait for ever


def encrypt_file(read: Read, length: int, cipher: Cipher, out: Output, *, threads: int, progress: Progress) -> str:
    """Encrypts `length` bytes that `read` gives. Returns SHA-256 of what was written, in hexadecimal.

    Raises what `read` raises, OSError for what cannot be written.
    """
    count, payload, size = cipher.segments(length), cipher.payload, cipher.segment_length
    batch = min(BATCH_SEGMENTS, count)
    plain = memoryview(bytearray(min(batch * payload, length)))
    hasher = Hasher(min(batch * size, cipher.sealed_length(length)), threaded=threads > 1 and length > SMALL)
    try:
        out.write(cipher.header)
        hasher.header(cipher.header)
        for first in range(0, count, batch):
            at = first * payload
            view = plain[: min(batch * payload, length - at)]
            read(at, view)
            buffer, filled = hasher.take(), 0
            for position in range(first, min(first + batch, count)):
                part = view[(position - first) * payload : (position - first + 1) * payload]
                filled += cipher.encrypt_segment_into(part, position, position == count - 1, buffer[filled:])
            written = buffer[:filled]
            hasher.give(buffer, filled)  # meanwhile it is written: both only read
            out.write(written)
            progress(len(view))
        return hasher.finish()
    finally:
        hasher.stop()
        plain[:] = bytes(len(plain))


def decrypt_file(
    source: int, cipher: Cipher, length: int, write: Callable[[memoryview], None], *, threads: int, progress: Progress
) -> str:
    """Decrypts all of a descriptor, handing out each batch. Returns SHA-256 of what was read, in hexadecimal.

    Raises IntegrityError naming file, segment and offset, and what `write` raises.
    """
    count, payload, size = cipher.segments(length), cipher.payload, cipher.segment_length
    batch = min(BATCH_SEGMENTS, count)
    plain = memoryview(bytearray(min(batch * payload, length)))
    hasher = Hasher(min(batch * size, cipher.sealed_length(length)), threaded=threads > 1 and length > SMALL)
    try:
        hasher.header(cipher.header)
        total = cipher.sealed_length(length)
        for first in range(0, count, batch):
            start = HEADER_BYTES + first * size
            sealed = hasher.take()
            view = sealed[: min(batch * size, total - start)]
            read_fully(source, view, start, cipher.name)
            filled = 0
            for position in range(first, min(first + batch, count)):
                part = view[(position - first) * size : (position - first + 1) * size]
                filled += cipher.decrypt_segment_into(part, position, position == count - 1, plain[filled:])
            hasher.give(sealed, len(view))
            write(plain[:filled])
            progress(filled)
        return hasher.finish()
    finally:
        hasher.stop()
        plain[:] = bytes(len(plain))


def reader_of(descriptor: int, name: str) -> Read:
    """Reads a plain source. Raises StrongroomError where it ends before what it said."""

    def read(offset: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(descriptor, [buffer[done:]], offset + done)
            except OSError as error:
                raise StrongroomError(f"the file cannot be read: {error.strerror}", where=name) from error
            if count == 0:
                raise changed(name)
            done += count

    return read


def changed(name: str) -> StrongroomError:
    """The error for a source that somebody writes to."""
    return StrongroomError(
        "the file changed while it was sealed", where=name, next="stop what writes to it, and run the command again"
    )
