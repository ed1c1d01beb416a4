"""age's figures (pyrage) in the vault's benchmark, run by its own environment. Called by benchmarks/vault.

One X25519 recipient; files with `encrypt_file` and `decrypt_file`, which read and write outside Python. pyrage has no
seeking, so a tensor or a row is reached by decrypting all that comes before it; the writer that `decrypt_io` is given
stops it there by an exception. Small files: `encrypt` and `decrypt` of bytes, an X25519 exchange for each. One thread.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import pyrage
from pyrage import x25519
from vault_jobs import Answer, Streamed, each_file, kept, reading, serve, written

IDENTITY = x25519.Identity.from_str(kept("identity", lambda: str(x25519.Identity.generate()).encode()).decode())
RECIPIENTS, IDENTITIES = [IDENTITY.to_public()], [IDENTITY]


def seal(source: str, sealed: str) -> Answer:
    return written(lambda: pyrage.encrypt_file(source, sealed, RECIPIENTS), sealed)


def unseal(sealed: str, plain: str) -> Answer:
    return written(lambda: pyrage.decrypt_file(sealed, plain, IDENTITIES), plain)


class Enough(Exception):
    """All that was wanted has been decrypted."""


class Window:
    """Keeps the bytes of one stretch of what is written to it."""

    def __init__(self, offset: int, length: int) -> None:
        self.skip, self.found, self.at = offset, bytearray(length), 0

    def write(self, data: bytes) -> int:
        if self.at == len(self.found):
            raise Enough
        if self.skip >= len(data):
            self.skip -= len(data)
            return len(data)
        part = memoryview(data)[self.skip : self.skip + len(self.found) - self.at]
        self.skip = 0
        self.found[self.at : self.at + len(part)] = part
        self.at += len(part)
        return len(data)

    def flush(self) -> None:
        pass


def part(sealed: str, offset: int, length: int) -> bytearray:
    window = Window(offset, length)
    with Path(sealed).open("rb", buffering=0) as source, suppress(Enough):
        pyrage.decrypt_io(source, window, IDENTITIES)
    return window.found


def seal_small(source: Path, sealed: Path) -> None:
    sealed.write_bytes(pyrage.encrypt(source.read_bytes(), RECIPIENTS))


def open_small(sealed: Path, plain: Path) -> None:
    plain.write_bytes(pyrage.decrypt(sealed.read_bytes(), IDENTITIES))


serve(
    {
        "seal": seal,
        "open": unseal,
        **reading(lambda sealed: Streamed(partial(part, sealed)), bytes),
        "seal small": lambda source, sealed: each_file(source, sealed, seal_small),
        "open small": lambda sealed, plain: each_file(sealed, plain, open_small),
    }
)
