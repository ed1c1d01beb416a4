"""A directory of keys: `<name>.pub` of each key that is known, `<name>.key` of those that are held.

A private key is read when it is used for the first time, so that a passphrase is asked for only then. Whoever may write
here decides whom is sealed to and whose manifests are believed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ..core.errors import InputError, RefusedError, UsageError
from ..core.keyfile import write_new
from ..core.ports import KeyStore
from ._aws_kms import AwsKmsRecipient
from ._keys import RECIPIENT_KINDS, PrivateKey, PublicKey, check_key_name
from ._parts import Recipient, Unwrapper

__all__ = ["KeyFolder", "Keys", "Remote", "named_recipient"]

MAX_KEYS = 10_000
RECOVERY = "recovery"
"""The recipient that everything is sealed to, for the day when the site's own key is lost."""


class KeyFolder:
    """A `KeyStore` of the keys of one directory, and what else is known there."""

    def __init__(self, path: Path, passphrase: Callable[[Path], str] = lambda path: "") -> None:
        self.path = path
        self._passphrase = passphrase
        self._lock = threading.Lock()
        self._loaded: dict[str, PrivateKey] = {}
        self._public: tuple[int, Sequence[PublicKey]] = (-1, ())

    @property
    def public(self) -> Sequence[PublicKey]:
        """Every key that is known, by name; read anew when files came or went. Raises InputError for what is none."""
        stamp = self.path.stat().st_mtime_ns if self.path.exists() else 0
        if stamp != self._public[0]:
            self._public = (stamp, self._read())
        return self._public[1]

    def unlock(self) -> None:
        """Reads every private key that is here, so that a passphrase is asked for now. Raises what reading raises."""
        for key in self.public:
            if self.held(key):
                self._private(key.key)

    def _read(self) -> Sequence[PublicKey]:
        paths = sorted(self.path.glob("*.pub"))
        if len(paths) > MAX_KEYS:
            raise InputError(f"more than {MAX_KEYS:,} keys", where=str(self.path))
        found = [PublicKey.read(path) for path in paths]
        for key, path in zip(found, paths, strict=True):
            if key.name != path.stem:
                raise InputError(f"the key is named '{key.name}', not as its file", where=str(path))
        return found

    def find(self, name: str) -> PublicKey | None:
        """The key of this name."""
        return next((key for key in self.public if key.name == name), None)

    def held(self, key: PublicKey) -> bool:
        """Whether the private part is here too."""
        return self._file(key).exists()

    @property
    def recipients(self) -> list[PublicKey]:
        """The site's own recipient keys: those that are held, and `recovery`, which should lie elsewhere."""
        own = [key for key in self.public if key.kind in RECIPIENT_KINDS]
        own = [key for key in own if self.held(key) or key.name == RECOVERY]
        return sorted(own, key=lambda key: key.name == RECOVERY)  # which is tried last

    @property
    def signers(self) -> list[PublicKey]:
        """Those whose manifests are believed, the site's own first."""
        found = [key for key in self.public if key.kind == "p256"]
        return sorted(found, key=lambda key: not self.held(key))

    def add(self, key: PublicKey) -> None:
        """Puts somebody's public key here; a signer is believed from then on. Raises UsageError, StrongroomError."""
        check_key_name(key.name)
        if self.find(key.name) is not None:
            raise UsageError(f"there is a key '{key.name}' already", where=str(self.path), next="--name renames it")
        same = next((one for one in self.public if one == key), None)
        if same is not None:
            raise UsageError(f"it is known here as '{same.name}'", where=str(self.path))
        write_new(self.path / f"{key.name}.pub", key.line().encode() + b"\n", 0o644)

    def holds(self, key: str) -> bool:
        """See `KeyStore`."""
        return any(one.key == key and self.held(one) for one in self.public)

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyStore`."""
        return self._private(key).unwrap(wrapped, context)

    def sign(self, key: str, message: bytes) -> bytes:
        """See `Signer`."""
        return self._private(key).sign(message)

    def _file(self, key: PublicKey) -> Path:
        return self.path / f"{key.name}.key"

    def _private(self, key: str) -> PrivateKey:
        with self._lock:
            if key not in self._loaded:
                public = next((one for one in self.public if one.key == key), None)
                if public is None or not self.held(public):
                    raise RefusedError("no such private key is held here", where=key)
                path = self._file(public)
                private = PrivateKey.read(path, passphrase=self._passphrase(path))
                if private.public != public:
                    raise InputError("the private key belongs to another public key", where=str(path))
                self._loaded[key] = private
            return self._loaded[key]


class Keys:
    """A `KeyStore` made of several: the first that holds a key answers for it."""

    def __init__(self, *stores: KeyStore) -> None:
        self._stores = stores

    def holds(self, key: str) -> bool:
        """See `KeyStore`."""
        return any(store.holds(key) for store in self._stores)

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyStore`."""
        return self._store(key).unwrap(key, wrapped, context)

    def sign(self, key: str, message: bytes) -> bytes:
        """See `Signer`."""
        return self._store(key).sign(key, message)

    def _store(self, key: str) -> KeyStore:
        for store in self._stores:
            if store.holds(key):
                return store
        raise RefusedError("no such private key is held here", where=key)


class Remote:
    """A `KeyStore` of the keys of one `Unwrapper` that it may be asked for.

    They are listed: no object's manifest chooses whom this program talks to.
    """

    def __init__(self, unwrapper: Unwrapper, keys: Collection[str]) -> None:
        self._unwrapper = unwrapper
        self._keys = frozenset(keys)

    def holds(self, key: str) -> bool:
        """See `KeyStore`."""
        return key in self._keys

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyStore`."""
        return self._unwrapper.unwrap(key, wrapped, context)

    def sign(self, key: str, message: bytes) -> bytes:
        """See `Signer`."""
        raise RefusedError("this key signs nothing", where=key)


def named_recipient(text: str, folder: KeyFolder | None = None) -> Recipient:
    """A recipient as people name one: a key of the folder, a file `NAME.pub`, or `awskms:<ARN>`.

    Raises InputError, UsageError.
    """
    if text.startswith("awskms:"):
        return AwsKmsRecipient("aws-kms", text.removeprefix("awskms:"))
    known = folder.find(text) if folder is not None else None
    if known is not None:
        return known
    if "/" not in text and not text.endswith(".pub"):
        raise UsageError(
            f"'{text[:80]}' is no recipient that is known here",
            next="name a key of the site (strongroom vault keys list), or a file NAME.pub",
        )
    return PublicKey.read(Path(text))
