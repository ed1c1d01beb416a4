"""Private keys in files, and who signs.

A key file holds one line, `PRIVATE+KEY+<name>+<id>+<base64 of type and seed>` (the form of Go's sumdb/note). With
a passphrase that line is sealed in the age format (C2SP age, scrypt recipient), so that `age -d` opens it too;
without, the file is mode 0600 and not encrypted, and whoever makes it says so.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from pathlib import Path

from ..core.errors import IntegrityError, RefusedError
from ..core.keyfile import read_private, write_private
from ..core.ports import Signer
from ._notes import COSIGNATURE, ED25519, SignatureLine, SigningKey, VerifierKey

__all__ = ["KeyFile", "NoteSigner", "create_key", "load_key"]

_PRIVATE = re.compile(r"PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


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
    material = base64.b64encode(bytes([type]) + seed).decode()
    write_private(path, f"PRIVATE+KEY+{name}+{key.verifier.id.hex()}+{material}", passphrase=passphrase)
    return key


def load_key(path: Path, *, passphrase: str = "") -> SigningKey:
    """Reads a key file. Raises InputError without one, RefusedError for the passphrase, IntegrityError."""
    match = _PRIVATE.fullmatch(read_private(path, passphrase=passphrase))
    try:
        material = base64.b64decode(match[3], validate=True) if match else b""
    except binascii.Error:
        match, material = None, b""
    if match is None or len(material) != 33 or material[0] not in (ED25519, COSIGNATURE):
        raise IntegrityError("this is no private key", where=str(path), next="restore it from a backup")
    key = SigningKey(match[1], material[1:], material[0])
    if key.verifier.id.hex() != match[2]:
        raise IntegrityError("the key does not have the id that it says", where=str(path))
    return key
