"""Keys in memory: locked against swapping, left out of core dumps, overwritten after use, never printed or pickled.

As far as Python permits: what a library makes of a key (OpenSSL's key schedule, the `bytes` of a derivation) lies
elsewhere and is not overwritten by us. docs/limitations.md says how far this goes.

>>> with Secret(b"k" * 32) as secret:
...     secret, bytes(secret.view[:2])
(<secret>, b'kk')
>>> secret.view
Traceback (most recent call last):
    ...
strongroom.core.errors.StrongroomError: the key was dropped already
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
from collections import deque
from types import TracebackType
from typing import NoReturn, Self

from ..core.errors import StrongroomError

__all__ = ["SECRET_BYTES", "Secret", "harden_process"]

SECRET_BYTES = 32
_BLOCK_BYTES = 16_384
"""Of locked memory that keys share: most systems let a user lock few pages."""
_PR_SET_DUMPABLE = 4


class _Memory:
    """Slots of 32 bytes in locked pages. Pages are never given back: they hold zeros and wait for the next key.

    Without a lock: a key is dropped by the garbage collector too, which may run in the middle of anything here.
    """

    def __init__(self) -> None:
        self._blocks: list[memoryview] = []
        self._free: deque[memoryview] = deque()

    def take(self) -> memoryview:
        while True:
            try:
                return self._free.pop()
            except IndexError:
                block = memoryview(_locked_block())
                self._blocks.append(block)
                self._free.extend(block[at : at + SECRET_BYTES] for at in range(0, _BLOCK_BYTES, SECRET_BYTES))

    def give(self, slot: memoryview) -> None:
        slot[:] = bytes(SECRET_BYTES)
        self._free.append(slot)

    def forked(self) -> None:
        """Memory locks do not survive a fork: a child's new keys get pages of its own."""
        self._blocks, self._free = [], deque()


def _locked_block() -> mmap.mmap:
    block = mmap.mmap(-1, _BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError, AttributeError):
        block.madvise(mmap.MADV_DONTDUMP)
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        address = ctypes.addressof(ctypes.c_char.from_buffer(block))
        libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(_BLOCK_BYTES))  # refused beyond the limit: then unlocked
    return block


_memory = _Memory()
os.register_at_fork(after_in_child=_memory.forked)


class Secret:
    """A key of 32 bytes."""

    def __init__(self, key: bytes | bytearray | memoryview) -> None:
        if len(key) != SECRET_BYTES:
            raise StrongroomError(f"a key has {SECRET_BYTES} bytes, not {len(key)}")
        self._slot: memoryview | None = _memory.take()
        self._slot[:] = key
        if isinstance(key, bytearray):
            key[:] = bytes(len(key))

    @classmethod
    def random(cls) -> Secret:
        """A new key from the system's randomness."""
        return cls(bytearray(os.urandom(SECRET_BYTES)))

    @property
    def view(self) -> memoryview:
        """The key itself. Raises StrongroomError once it was dropped."""
        if self._slot is None:
            raise StrongroomError("the key was dropped already")
        return self._slot

    def drop(self) -> None:
        """Overwrites it. Again is fine."""
        slot, self._slot = self._slot, None
        if slot is not None:
            _memory.give(slot)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def __del__(self) -> None:
        self.drop()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


def harden_process() -> None:
    """No core dumps of this process, and no other process of the same user may read its memory (Linux)."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
