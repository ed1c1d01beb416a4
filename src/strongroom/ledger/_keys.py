"""Private keys in files, and who signs.

A key file holds one line, `PRIVATE+KEY+<name>+<id>+<base64 of type and seed>` (the form of Go's sumdb/note). With
a passphrase that line is sealed in the age format (C2SP age, scrypt recipient), so that `age -d` opens it too;
without, the file is mode 0600 and not encrypted, and whoever makes it says so.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from pathlib import Path

from ..core.errors import InputError, IntegrityError, RefusedError, StrongroomError
from ..core.ports import Signer
from ._notes import COSIGNATURE, ED25519, SignatureLine, SigningKey, VerifierKey

__all__ = ["KeyFile", "NoteSigner", "create_key", "is_sealed", "load_key", "sync_directory"]

MAX_KEY_FILE_BYTES = 65_536
_PRIVATE = re.compile(r"PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_AGE = b"age-encryption.org/v1"


class KeyFile:
    """Keys that were read from files: a `Signer`. A key service can stand in its place."""

    def __init__(self, *keys: SigningKey) -> None:
        self._keys = {str(key.verifier): key for key in keys}

    def sign(self, key: str, message: bytes) -> bytes:
        """See `Signer`; a key is named by its verifier key."""
        if key not in self._keys:
            raise RefusedError("no such key is held here", where=key)
        return self._keys[key].sign(message)


class NoteSigner:
    """Signs a log's checkpoints with a key that somebody else holds."""

    def __init__(self, signer: Signer, verifier: VerifierKey) -> None:
        self._signer = signer
        self.verifier = verifier

    def sign_text(self, text: str) -> SignatureLine:
        """A note signature over `text`. Raises StrongroomError when the key cannot be used."""
        return SignatureLine(self.verifier.name, self.verifier.id, self._signer.sign(str(self.verifier), text.encode()))


def create_key(path: Path, name: str, *, type: int = ED25519, passphrase: str = "", seed: bytes = b"") -> SigningKey:
    """Makes a key and its file, durably. Raises StrongroomError, also when there is a file already."""
    seed = seed or secrets.token_bytes(32)
    key = SigningKey(name, seed, type)
    line = f"PRIVATE+KEY+{name}+{key.verifier.id.hex()}+{base64.b64encode(bytes([type]) + seed).decode()}\n".encode()
    if passphrase:
        import pyrage

        line = pyrage.passphrase.encrypt(line, passphrase)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise StrongroomError(f"the key cannot be written: {error.strerror}", where=str(path)) from error
    return key


def sync_directory(path: Path) -> None:
    """The names in a directory are durable when it returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_sealed(path: Path) -> bool:
    """Whether a passphrase is needed. Raises InputError when there is no key file."""
    return _read(path).startswith(_AGE)


def load_key(path: Path, *, passphrase: str = "") -> SigningKey:
    """Reads a key file. Raises InputError without one, RefusedError for the passphrase, IntegrityError."""
    data = _read(path)
    if data.startswith(_AGE):
        data = _unseal(data, passphrase, path)
    try:
        match = _PRIVATE.fullmatch(data.decode().strip())
        material = base64.b64decode(match[3], validate=True) if match else b""
    except (UnicodeDecodeError, binascii.Error):
        match, material = None, b""
    if match is None or len(material) != 33 or material[0] not in (ED25519, COSIGNATURE):
        raise IntegrityError("this is no private key", where=str(path), next="restore it from a backup")
    key = SigningKey(match[1], material[1:], material[0])
    if key.verifier.id.hex() != match[2]:
        raise IntegrityError("the key does not have the id that it says", where=str(path))
    return key


def _unseal(data: bytes, passphrase: str, path: Path) -> bytes:
    import pyrage

    if not passphrase:
        raise RefusedError("the key is sealed with a passphrase", where=str(path), next="give --passphrase-file FILE")
    try:
        return bytes(pyrage.passphrase.decrypt(data, passphrase))
    except pyrage.DecryptError:
        raise RefusedError("the passphrase does not open the key", where=str(path)) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except FileNotFoundError:
        raise InputError("there is no key", where=str(path), next="make one: strongroom ledger init") from None
    except OSError as error:
        raise InputError(f"the key cannot be read: {error.strerror}", where=str(path)) from error
