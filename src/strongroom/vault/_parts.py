"""What the parts of the vault hand to each other: who a key is wrapped for, who unwraps it, and files that are read.

Keys are named by a scheme and what the scheme needs: `mlkem768-x25519:<fingerprint>`, `x25519:<fingerprint>`,
`awskms:<key ARN>`, `pkcs11:token=<label>;object=<label>`. A *context* says what a wrapped key is for (the sealed
object's id and name); a key that was wrapped with one context does not unwrap with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["OBJECT_KEY_BYTES", "File", "Recipient", "Tree", "Unwrapper"]

OBJECT_KEY_BYTES = 32


class Recipient(Protocol):
    """Somebody that an object key is wrapped for."""

    @property
    def name(self) -> str:
        """As people call it: `site`, `recovery`, `ally-eu`."""
        ...

    @property
    def key(self) -> str:
        """Names the key: scheme, colon, rest."""
        ...

    def wrap(self, secret: bytes | bytearray, context: bytes) -> bytes:
        """The object key (32 bytes) for this recipient alone. Raises StrongroomError where it cannot be reached."""
        ...


class Unwrapper(Protocol):
    """Holds private keys of one scheme, or reaches who does: one part of a `KeyStore`."""

    scheme: str

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """The object key. Raises RefusedError where no such key is held or the holder refuses, IntegrityError where
        `wrapped` or `context` is not what was wrapped, StrongroomError where the holder cannot be reached."""
        ...


class File(Protocol):
    """A file whose plaintext is read at any offset. Threads may share it."""

    @property
    def name(self) -> str:
        """Relative, parts separated by `/`."""
        ...

    @property
    def length(self) -> int:
        """Of the plaintext, in bytes."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills all of `buffer` (bytes, writable, contiguous) with plaintext from `offset` on.

        Raises InputError past the end, IntegrityError where the sealed bytes are not what was sealed.
        """
        ...

    def close(self) -> None:
        """Keys are overwritten as far as Python permits."""
        ...


class Tree(Protocol):
    """The files of one sealed object that was opened."""

    def names(self) -> Sequence[str]:
        """Every file, sorted."""
        ...

    def length(self, name: str) -> int:
        """Of a file's plaintext, in bytes. Raises InputError where there is no such file."""
        ...

    def file(self, name: str) -> File:
        """Opens one file. Raises InputError, IntegrityError."""
        ...
