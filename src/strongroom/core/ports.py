"""The Protocols through which mechanisms meet without importing each other.

Nothing implements them yet: the ledger will be a `Recorder`, the policy engine an `Authorizer`, the key
service a `KeyStore`. They stand here because their shapes are dear to change.
"""

from __future__ import annotations

from typing import Protocol

from .records import AccessEvent, Entry

__all__ = ["Authorizer", "KeyStore", "Recorder"]


class Recorder(Protocol):
    """Puts entries on record."""

    def append(self, entry: Entry) -> int:
        """Returns the entry's index once it is durable. Raises StrongroomError, and then nothing may be released."""
        ...


class Authorizer(Protocol):
    """Decides."""

    def authorize(self, request: AccessEvent) -> AccessEvent:
        """Returns the event with its outcome `allowed` and the deciding policies. Raises RefusedError."""
        ...


class KeyStore(Protocol):
    """Holds private keys; callers get results, never keys."""

    def sign(self, key: str, message: bytes) -> bytes:
        """Ed25519 signature of `message` under the key named `key`. Raises StrongroomError."""
        ...

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key that was wrapped for `key`. Raises RefusedError or IntegrityError."""
        ...
