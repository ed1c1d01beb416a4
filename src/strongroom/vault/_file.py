"""One sealed file, read at any offset: only the segments that are touched are read and decrypted.

Before any byte is handed out its length was compared with the manifest's, its header with the manifest's and under the
key, and its final segment opened, so that a file that was cut or appended to gives nothing at all.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from ..core.errors import InputError, IntegrityError, StrongroomError
from ._manifest import SealedFile, associated_data, place_of
from ._secret import Secret
from ._threads import side_by_side
from .floe import HEADER_BYTES, Cipher

__all__ = ["OpenFile", "Stream", "open_cipher", "open_descriptor", "read_fully"]

KEPT_SEGMENTS = 4
"""Decrypted segments that are kept of each open file, for readers in small steps."""
PARALLEL_BYTES = 8 << 20
"""Reads of so many bytes are decrypted by several threads."""
THREADS = min(4, os.cpu_count() or 1)
STREAM_BUFFER = 1 << 17
"""Bytes that a reader gets who asks for some."""
PEEKED = 512
"""Bytes that are looked at for the end of a line."""


def open_descriptor(root: Path, file: SealedFile) -> int:
    """A descriptor of the sealed file, whose length is what it must be. Raises IntegrityError, StrongroomError."""
    path = f"{root}/{place_of(file.name)}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error
    return descriptor


def _unreadable(path: str, error: OSError) -> StrongroomError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return IntegrityError("a sealed file is missing", where=str(path), next="restore it from a copy")
    return StrongroomError(f"the sealed file cannot be read: {error.strerror}", where=str(path))


def read_fully(descriptor: int, buffer: memoryview, offset: int, name: str) -> None:
    """Fills `buffer` from `offset` on. Raises IntegrityError where the file ends before."""
    done = 0
    while done < len(buffer):
        try:
            count = os.preadv(descriptor, [buffer[done:]], offset + done)
        except OSError as error:
            raise StrongroomError(f"the file cannot be read: {error.strerror}", where=name) from error
        if count == 0:
            raise IntegrityError("the sealed file was cut", where=f"{name}, offset {offset + done}")
        done += count


def open_cipher(descriptor: int, file: SealedFile, object: str, object_key: Secret) -> Cipher:
    """The cipher of a file whose length, header and key are what the manifest says. Raises IntegrityError."""
    header = bytearray(HEADER_BYTES)
    read_fully(descriptor, memoryview(header), 0, file.name)
    if header != file.header:
        raise IntegrityError(
            "the file's header is not the one that was signed",
            where=f"{file.name}, header, offset 0",
            next="restore the sealed file from a copy",
        )
    try:
        with Secret(bytearray(aes_key_unwrap(bytes(object_key.view), file.wrapped))) as key:
            cipher = Cipher.open(key.view, header, aad=associated_data(object, file.name), name=file.name)
    except InvalidUnwrap:
        raise IntegrityError("the file's key does not open with the object's", where=file.name) from None
    size = os.fstat(descriptor).st_size
    if size != cipher.sealed_length(file.length):  # exactly: a last segment without plaintext would add none
        raise IntegrityError(
            f"the sealed file has {size:,} bytes, and {cipher.sealed_length(file.length):,} were sealed",
            where=f"{file.name}, offset {min(size, cipher.sealed_length(file.length))}",
            next="restore the sealed file from a copy",
        )
    return cipher


class OpenFile:
    """A `File`: plaintext at any offset. Threads may share it."""

    def __init__(self, root: Path, file: SealedFile, object: str, object_key: Secret) -> None:
        self._sealed = file
        self._descriptor = open_descriptor(root, file)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytearray] = OrderedDict()
        self._scratch = threading.local()
        self._closed = False
        try:
            self._cipher = open_cipher(self._descriptor, file, object, object_key)
            self._last = self._cipher.segments(file.length) - 1
            self._segment(self._last)  # the final segment, before any byte is handed out
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """See `File`."""
        return self._sealed.name

    @property
    def length(self) -> int:
        """See `File`."""
        return self._sealed.length

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `File`."""
        if self._closed:
            raise InputError("the file was closed", where=self.name)
        if offset < 0 or offset + len(buffer) > self.length:
            raise InputError(
                f"bytes {offset:,} to {offset + len(buffer):,} are not all in it: it has {self.length:,}",
                where=self.name,
            )
        payload = self._cipher.payload
        first, last = -(-offset // payload), (offset + len(buffer)) // payload
        if THREADS > 1 and len(buffer) >= PARALLEL_BYTES and last - first >= THREADS:
            self._read_parallel(offset, buffer, first, last)
        else:
            self._read(offset, buffer)

    def _read(self, offset: int, buffer: memoryview) -> None:
        payload, done = self._cipher.payload, 0
        while done < len(buffer):
            position, within = divmod(offset + done, payload)
            left = len(buffer) - done
            size = min(payload, self.length - position * payload)
            if within == 0 and left >= size:  # straight into the caller's buffer
                self._decrypt(position, buffer[done : done + size])
                done += size
                continue
            count = min(left, size - within)
            plain = self._segment(position)
            buffer[done : done + count] = memoryview(plain)[within : within + count]
            done += count

    def _read_parallel(self, offset: int, buffer: memoryview, first: int, last: int) -> None:
        """Each thread takes a stretch; stretches end where segments do."""
        payload = self._cipher.payload
        borders = [first + (last - first) * part // THREADS for part in range(THREADS + 1)]
        cuts = [offset, *(border * payload for border in borders[1:-1]), offset + len(buffer)]
        parts = [(cuts[n], buffer[cuts[n] - offset : cuts[n + 1] - offset]) for n in range(THREADS)]
        side_by_side((partial(self._read, *part) for part in parts), THREADS)

    def _segment(self, position: int) -> bytearray:
        """A decrypted segment, from those that are kept or read anew."""
        with self._lock:
            found = self._kept.get(position)
            if found is not None:
                self._kept.move_to_end(position)
                return found
        plain = bytearray(min(self._cipher.payload, self.length - position * self._cipher.payload))
        self._decrypt(position, memoryview(plain))
        with self._lock:
            self._kept[position] = plain
            while len(self._kept) > KEPT_SEGMENTS:
                self._kept.popitem(last=False)
        return plain

    def _decrypt(self, position: int, out: memoryview) -> None:
        cipher = self._cipher
        scratch = getattr(self._scratch, "buffer", None)
        if scratch is None:
            scratch = self._scratch.buffer = memoryview(bytearray(cipher.segment_length))
        segment = scratch[: len(out) + cipher.segment_length - cipher.payload]
        read_fully(self._descriptor, segment, HEADER_BYTES + position * cipher.segment_length, self.name)
        cipher.decrypt_segment_into(segment, position, position == self._last, out)

    def close(self) -> None:
        """See `File`. Again is fine."""
        if self._closed:
            return
        self._closed = True
        os.close(self._descriptor)
        with self._lock:
            for plain in self._kept.values():
                plain[:] = bytes(len(plain))
            self._kept.clear()
        if "_cipher" in self.__dict__:
            self._cipher.forget()

    def __del__(self) -> None:
        if "_closed" in self.__dict__:  # it was opened
            self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an open sealed file is not pickled")


class Stream(io.BufferedIOBase):
    """An `OpenFile` as Python's file object, read-only and seekable.

    Threads that share one and go elsewhere with `seek` each read where they went: DuckDB does so, and file objects that
    are written in Python otherwise give it one thread's bytes for another's. A program whose threads take turns without
    seeking reads on where the last one ended, as with any file.
    """

    def __init__(self, file: OpenFile) -> None:
        super().__init__()
        self._file = file
        self.name = file.name
        self._lock = threading.Lock()
        self._at = 0
        self._turns = 0
        """Reads of threads that did not seek before: after one, what others sought before is forgotten."""
        self._own = threading.local()
        """Of each thread: where it went with `seek`, and after how many turns."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._lock:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place(), os.SEEK_END: self._file.length}.get(whence)
            if base is None or base + offset < 0:
                raise ValueError(f"cannot seek to {offset} from {whence}")
            self._at = base + offset
            self._own.sought = (self._at, self._turns)
            return self._at

    def tell(self) -> int:
        with self._lock:
            return self._place()

    def _place(self) -> int:
        sought = getattr(self._own, "sought", None)
        return sought[0] if sought is not None and sought[1] == self._turns else self._at

    def _take(self, wanted: int) -> tuple[int, int]:
        """Where this thread reads, and how many bytes; the next read goes on behind them."""
        if self.closed:
            raise ValueError("read of closed file")
        with self._lock:
            at = self._place()
            sought = getattr(self._own, "sought", None)
            self._own.sought = None
            if sought is None or sought[1] != self._turns:
                self._turns += 1
            count = max(0, min(wanted, self._file.length - at))
            self._at = at + count
            return at, count

    def read(self, size: int | None = -1) -> bytes:
        at, count = self._take(self._file.length if size is None or size < 0 else size)
        buffer = bytearray(count)
        if count:
            self._file.read_into(at, memoryview(buffer))
        return bytes(buffer)

    def read1(self, size: int = -1) -> bytes:
        return self.read(STREAM_BUFFER if size < 0 else size)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        at, count = self._take(len(view))
        if count:
            self._file.read_into(at, view[:count])
        return count

    def readinto1(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self.readinto(buffer)

    def peek(self, size: int = 0) -> bytes:
        """Bytes from here on, without going on; lines are read with it."""
        at = self.tell()
        buffer = bytearray(max(0, min(max(size, PEEKED), self._file.length - at)))
        if buffer:
            self._file.read_into(at, memoryview(buffer))
        return bytes(buffer)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
