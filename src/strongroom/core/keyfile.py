"""Private keys in files: one line, sealed with a passphrase in the age format (C2SP age, scrypt) or of mode 0600.

`age -d` opens a sealed one too. Who makes a file without a passphrase says so to people.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import InputError, IntegrityError, RefusedError, StrongroomError

__all__ = ["is_sealed", "read_key_file", "read_private", "sync_directory", "write_new", "write_private"]

MAX_KEY_FILE_BYTES = 65_536
_AGE = b"age-encryption.org/v1"


def write_private(path: Path, line: str, *, passphrase: str = "") -> None:
    """Makes a key file, durably. Raises StrongroomError, also when there is a file already."""
    data = line.encode() + b"\n"
    if passphrase:
        import pyrage

        data = pyrage.passphrase.encrypt(data, passphrase)
    write_new(path, data, 0o600)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Makes a file, durably. Raises StrongroomError, also when there is a file already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise StrongroomError(f"the key cannot be written: {error.strerror}", where=str(path)) from error


def read_private(path: Path, *, passphrase: str = "") -> str:
    """The line of a key file. Raises InputError without one, RefusedError for the passphrase, IntegrityError."""
    data = read_key_file(path)
    if data.startswith(_AGE):
        data = _unseal(data, passphrase, path)
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        raise IntegrityError("this is no private key", where=str(path), next="restore it from a backup") from None


def is_sealed(path: Path) -> bool:
    """Whether a passphrase is needed. Raises InputError when there is no key file."""
    return read_key_file(path).startswith(_AGE)


def sync_directory(path: Path) -> None:
    """The names in a directory are durable when it returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unseal(data: bytes, passphrase: str, path: Path) -> bytes:
    import pyrage

    if not passphrase:
        raise RefusedError("the key is sealed with a passphrase", where=str(path), next="give --passphrase-file FILE")
    try:
        return bytes(pyrage.passphrase.decrypt(data, passphrase))
    except pyrage.DecryptError:
        raise RefusedError("the passphrase does not open the key", where=str(path)) from None


def read_key_file(path: Path) -> bytes:
    """The bytes of a key file, at most 64 KiB. Raises InputError for what is none."""
    try:
        # Not blocking: what is a pipe, where a key should be, must not be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError("the key cannot be read: this is no file", where=str(path))
            return file.read(MAX_KEY_FILE_BYTES)
    except FileNotFoundError:
        raise InputError(
            "there is no key", where=str(path), next="make one: strongroom ledger init, or strongroom vault keys new"
        ) from None
    except OSError as error:
        raise InputError(f"the key cannot be read: {error.strerror}", where=str(path)) from error
