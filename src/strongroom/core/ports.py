"""The Protocols through which mechanisms meet without importing each other.

The ledger is a `Recorder`; its key files are a `Signer`, the part of a `KeyStore` that it needs. The vault's key files
are a whole `KeyStore`, until the key service is. `access.Access` is the `Authorizer`.
"""

from __future__ import annotations

from typing import Protocol

from .records import AccessEvent, Entry

__all__ = ["Authorizer", "KeyStore", "Recorder", "Signer"]


class Recorder(Protocol):
    """Puts entries on record."""

    def append(self, entry: Entry) -> int:
        """Returns the entry's index once it is durable. Raises StrongroomError, and then nothing may be released."""
        ...


class Authorizer(Protocol):
    """Decides."""

    def authorize(self, request: AccessEvent, *, object: str = "") -> AccessEvent:
        """Returns the event as it is on record: `allowed`, with its lease and the deciding policies.

        `object` is the id of the sealed object that it is about. Raises RefusedError, or StrongroomError where it could
        not be put on record; then nothing may be released.
        """
        ...


class Signer(Protocol):
    """Holds signing keys; callers get signatures, never keys."""

    def sign(self, key: str, message: bytes) -> bytes:
        """Signature of `message` under the key named `key`, in that key's scheme: Ed25519 for the ledger's keys,
        ECDSA on P-256 for those that sign manifests. Raises StrongroomError."""
        ...


class KeyStore(Signer, Protocol):
    """Holds private keys of every kind."""

    def holds(self, key: str) -> bool:
        """Whether the key named `key` may be held here; nothing is asked of anybody to find out."""
        ...

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key that was wrapped for `key`. Raises RefusedError or IntegrityError."""
        ...
