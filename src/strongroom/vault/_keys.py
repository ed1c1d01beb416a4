"""Keys of the vault: whom object keys are wrapped for, and who signs manifests.

A *recipient key* is of HPKE (RFC 9180), base mode: `mlkem768-x25519` (draft-ietf-hpke-pq, KEM 0x647a) or `x25519`
(KEM 0x0020), with HKDF-SHA256 and AES-256-GCM. A *signing key* is `p256`: ECDSA on P-256 with SHA-256, which every
implementation of OpenSSF Model Signing verifies. Keys stand in files of one line,

    strongroom-public-key/1 <kind> <name> <base64>      strongroom-private-key/1 <kind> <name> <base64>

where a private key is its seed (32 bytes) or scalar. A key is named by `<kind>:<fingerprint>`.

>>> private = PrivateKey.generate("mlkem768-x25519", "site")
>>> wrapped = private.public.wrap(b"k" * 32, b"what it is for")
>>> private.unwrap(wrapped, b"what it is for") == b"k" * 32
True
>>> PublicKey.parse(private.public.line()) == private.public
True
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, cast

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..core.errors import InputError, IntegrityError, RefusedError, UsageError
from ..core.keyfile import read_key_file, read_private, write_new, write_private
from ._parts import OBJECT_KEY_BYTES

__all__ = ["KINDS", "RECIPIENT_KINDS", "KeyFiles", "Kind", "PrivateKey", "PublicKey", "check_key_name"]

Kind = Literal["mlkem768-x25519", "x25519", "p256"]
RECIPIENT_KINDS: tuple[Kind, ...] = ("mlkem768-x25519", "x25519")
KINDS: tuple[Kind, ...] = (*RECIPIENT_KINDS, "p256")
SEED_BYTES = 32
_MLKEM_SEED_BYTES, _MLKEM_PUBLIC_BYTES = 64, 1184
_PUBLIC_BYTES = {"mlkem768-x25519": _MLKEM_PUBLIC_BYTES + 32, "x25519": 32, "p256": 65}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LINE = re.compile(r"strongroom-(public|private)-key/1 ([a-z0-9-]+) (\S+) ([A-Za-z0-9+/]+=*)")
_SUITES = {
    "mlkem768-x25519": hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    "x25519": hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
}


def check_key_name(name: str) -> str:
    """Returns `name` if it can name a key and its files. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name[:80]}' cannot name a key", next="write letters a-z, digits, '.', '_' and '-'")
    return name


@dataclass(frozen=True)
class PublicKey:
    """A public key, of a recipient kind a `Recipient`. What its owner calls it is not part of it."""

    kind: Kind
    data: bytes
    """Raw: ML-KEM's and X25519's key one after the other; X25519's; an uncompressed point (SEC 1)."""
    name: str = field(compare=False)

    @classmethod
    def parse(cls, line: str, where: str = "") -> PublicKey:
        """Reads a line. Raises InputError for what is none."""
        kind, name, data = _read_line(line, "public", where)
        if len(data) != _PUBLIC_BYTES[kind]:
            raise InputError(f"a {kind} key has not {len(data)} bytes", where=where)
        key = cls(kind, data, name)
        try:
            key._load()
        except ValueError:
            raise InputError(f"this is no {kind} key", where=where) from None
        return key

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Reads a file. Raises InputError."""
        try:
            text = read_key_file(path).decode()
        except UnicodeDecodeError:
            raise InputError("this is no public key of the vault", where=str(path)) from None
        return cls.parse(text.strip(), str(path))

    def line(self) -> str:
        """The key in one line."""
        return f"strongroom-public-key/1 {self.kind} {self.name} {base64.b64encode(self.data).decode()}"

    @property
    def key(self) -> str:
        """Its id: kind and 256 bits of SHA-256; for `p256` of the PEM, as Model Signing's `hint`."""
        data = self.pem() if self.kind == "p256" else self.data
        return f"{self.kind}:{hashlib.sha256(data).hexdigest()}"

    @property
    def hint(self) -> str:
        """The fingerprint alone (OpenSSF Model Signing 1.0, section 4.1)."""
        return self.key.partition(":")[2]

    def pem(self) -> bytes:
        """A `p256` key for other tools (SubjectPublicKeyInfo)."""
        loaded = self._load()
        if not isinstance(loaded, ec.EllipticCurvePublicKey):
            raise UsageError(f"a {self.kind} key has no PEM form", next="give the name of a signing key")
        return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def wrap(self, secret: bytes | bytearray, context: bytes) -> bytes:
        """`enc || ct` (RFC 9180, section 6.1, SealBase with info `context`). Raises UsageError for a signing key."""
        if self.kind not in _SUITES:
            raise UsageError(f"'{self.name}' is a signing key: nothing can be sealed to it", next="name a recipient")
        try:
            return _SUITES[self.kind].encrypt(secret, self._load(), info=context)
        except ValueError:  # a point of small order (RFC 7748, section 6.1)
            raise InputError("nothing can be sealed to this key: it is none", where=self.name) from None

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises IntegrityError unless this key made the signature (DER) over `message`."""
        loaded = self._load()
        if not isinstance(loaded, ec.EllipticCurvePublicKey):
            raise UsageError(f"a {self.kind} key signs nothing")
        try:
            loaded.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise IntegrityError("the signature is wrong", where=self.key) from None

    def _load(self) -> hpke.MLKEM768X25519PublicKey | x25519.X25519PublicKey | ec.EllipticCurvePublicKey:
        """Raises ValueError for bytes that are no key."""
        if self.kind == "p256":
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.data)
        outer = x25519.X25519PublicKey.from_public_bytes(self.data[-32:])
        if self.kind == "x25519":
            return outer
        inner = MLKEM768PublicKey.from_public_bytes(self.data[:_MLKEM_PUBLIC_BYTES])
        return hpke.MLKEM768X25519PublicKey(inner, outer)


class PrivateKey:
    """A private key. It is never printed or pickled; `line` is for its file alone."""

    def __init__(self, kind: Kind, name: str, seed: bytes) -> None:
        if kind not in KINDS:
            raise UsageError(f"'{kind}' is no kind of key", next=f"choose one of: {', '.join(KINDS)}")
        self._seed = seed
        self._key, public = _private_of(kind, seed)
        self.public = PublicKey(kind, public, name)

    @classmethod
    def generate(cls, kind: Kind, name: str) -> PrivateKey:
        """A new key. Raises UsageError for another kind or a name that is none."""
        check_key_name(name)
        if kind != "p256":
            return cls(kind, name, secrets.token_bytes(SEED_BYTES))
        scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        return cls(kind, name, scalar.to_bytes(SEED_BYTES, "big"))

    @classmethod
    def read(cls, path: Path, *, passphrase: str = "") -> PrivateKey:
        """Reads a key file. Raises InputError without one, RefusedError for the passphrase, IntegrityError."""
        try:
            kind, name, seed = _read_line(read_private(path, passphrase=passphrase), "private", str(path))
            if len(seed) != SEED_BYTES:
                raise ValueError
            return cls(kind, name, seed)
        except (InputError, ValueError) as error:
            if isinstance(error, InputError) and error.message.startswith(
                ("there is no key", "the key cannot be read")
            ):
                raise
            raise IntegrityError("this is no private key", where=str(path), next="restore it from a backup") from None

    def write(self, folder: Path, *, passphrase: str = "") -> None:
        """Makes `<name>.key` (private, mode 0600) and `<name>.pub`. Raises StrongroomError where one is there."""
        seed = base64.b64encode(self._seed).decode()
        line = f"strongroom-private-key/1 {self.public.kind} {self.public.name} {seed}"
        write_private(folder / f"{self.public.name}.key", line, passphrase=passphrase)
        write_new(folder / f"{self.public.name}.pub", self.public.line().encode() + b"\n", 0o644)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """OpenBase with info `context`. Raises IntegrityError."""
        suite = _SUITES.get(self.public.kind)
        if suite is None:
            raise RefusedError("a signing key unwraps nothing", where=self.public.key)
        try:
            secret = suite.decrypt(wrapped, self._key, info=context)
        except (InvalidTag, ValueError):
            raise IntegrityError(
                "the wrapped key does not open: it was changed, or is of another object", where=self.public.key
            ) from None
        if len(secret) != OBJECT_KEY_BYTES:
            raise IntegrityError(f"the wrapped key has {len(secret)} bytes", where=self.public.key)
        return secret

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, DER. Raises RefusedError for a recipient key."""
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            raise RefusedError("a recipient key signs nothing", where=self.public.key)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def __repr__(self) -> str:
        return f"<private key {self.public.key[:24]}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled")


class KeyFiles:
    """Private keys that were read from files: a `KeyStore`, until a key service stands in its place."""

    def __init__(self, *keys: PrivateKey) -> None:
        self._keys = {key.public.key: key for key in keys}

    def holds(self, key: str) -> bool:
        """Whether it is one of these."""
        return key in self._keys

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyStore`."""
        return self._get(key).unwrap(wrapped, context)

    def sign(self, key: str, message: bytes) -> bytes:
        """See `Signer`."""
        return self._get(key).sign(message)

    def _get(self, key: str) -> PrivateKey:
        if key not in self._keys:
            raise RefusedError("no such private key is held here", where=key)
        return self._keys[key]


_Private = hpke.MLKEM768X25519PrivateKey | x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey


def _private_of(kind: Kind, seed: bytes) -> tuple[_Private, bytes]:
    """The key of a seed, and its public key's bytes. Raises ValueError for a seed that gives no key."""
    if kind == "p256":
        signing = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP256R1())
        return signing, signing.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if kind == "x25519":
        outer = x25519.X25519PrivateKey.from_private_bytes(seed)
        return outer, outer.public_key().public_bytes_raw()
    # draft-irtf-cfrg-concrete-hybrid-kems, MLKEM768-X25519: SHAKE256 makes both keys' seeds of one.
    seeds = hashlib.shake_256(seed).digest(_MLKEM_SEED_BYTES + 32)
    inner = MLKEM768PrivateKey.from_seed_bytes(seeds[:_MLKEM_SEED_BYTES])
    outer = x25519.X25519PrivateKey.from_private_bytes(seeds[_MLKEM_SEED_BYTES:])
    public = inner.public_key().public_bytes_raw() + outer.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(inner, outer), public


def _read_line(line: str, what: str, where: str) -> tuple[Kind, str, bytes]:
    """Kind, name and bytes of a key's line. Raises InputError."""
    match = _LINE.fullmatch(line)
    if match is None or match[1] != what or match[2] not in KINDS or not _NAME.fullmatch(match[3]):
        raise InputError(f"this is no {what} key of the vault", where=where, next="see: strongroom vault keys new")
    try:
        return cast("Kind", match[2]), match[3], base64.b64decode(match[4], validate=True)
    except binascii.Error:
        raise InputError(f"this is no {what} key of the vault", where=where) from None
