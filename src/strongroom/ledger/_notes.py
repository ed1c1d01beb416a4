"""C2SP signed-note with Ed25519, and tlog-cosignature's Ed25519 cosignatures. No IO.

A note is text, an empty line, and signature lines. Lines of unknown keys are kept and ignored; a line whose name
and id are those of a known key and whose signature is wrong spoils the note.

>>> key = SigningKey("log.example/a", bytes(32))
>>> note = sign_note("hello\\n", [key])
>>> [line.name for line in verify_note(note, [key.verifier], where="note").lines]
['log.example/a']
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import IntegrityError, UsageError

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "MAX_NOTE_BYTES",
    "Note",
    "SignatureLine",
    "SigningKey",
    "VerifierKey",
    "check_name",
    "parse_note",
    "sign_note",
    "verify_note",
]

ED25519, COSIGNATURE = 0x01, 0x04
"""Signature types of signed-note: a signature over the text; a cosignature with a time (tlog-cosignature)."""
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 128
MAX_NAME_CHARACTERS = 255
_TIME_BYTES, _SIGNATURE_BYTES = 8, 64
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class VerifierKey:
    """A public key as its vkey says it: `<name>+<id>+<base64 of type and key>`."""

    name: str
    type: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Raises UsageError for what is no vkey, or one of another kind than Ed25519."""
        match = _VKEY.fullmatch(text.strip())
        try:
            material = base64.b64decode(match[3], validate=True) if match else b""
        except binascii.Error:
            material = b""
        if not match or len(material) != 33:
            raise UsageError(
                f"'{text.strip()[:80]}' is no Ed25519 verifier key", next="it reads name+8 hex digits+base64"
            )
        key = cls(check_name(match[1]), material[0], material[1:])
        if key.type not in (ED25519, COSIGNATURE) or key.id.hex() != match[2]:
            raise UsageError(f"the verifier key '{text.strip()[:80]}' does not have the id that it says")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes: SHA-256(name, newline, type, key) cut."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"


@dataclass(frozen=True)
class SignatureLine:
    """One signature line: whose, which key, and the bytes after the key id."""

    name: str
    id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.id + self.signature).decode()}\n"

    @property
    def time(self) -> int:
        """For a cosignature: seconds since 1970 at which it was made."""
        return int.from_bytes(self.signature[:_TIME_BYTES], "big")


@dataclass(frozen=True)
class Note:
    """A note's text, with its last newline, and its signature lines."""

    text: str
    lines: tuple[SignatureLine, ...]

    def encode(self) -> bytes:
        """The bytes of the note."""
        return (self.text + "\n" + "".join(map(str, self.lines))).encode()


class SigningKey:
    """An Ed25519 key in memory, for what it was made for: a log's notes, or a witness's cosignatures."""

    def __init__(self, name: str, seed: bytes, type: int = ED25519) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(check_name(name), type, self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """RFC 8032 signature, 64 bytes."""
        return self._key.sign(message)

    def sign_text(self, text: str) -> SignatureLine:
        """A note signature over `text`."""
        return SignatureLine(self.verifier.name, self.verifier.id, self.sign(text.encode()))

    def cosign(self, text: str, time: int) -> SignatureLine:
        """tlog-cosignature: that at `time`, in seconds since 1970, this was the largest consistent tree."""
        signature = self.sign(_cosigned(text, time))
        return SignatureLine(self.verifier.name, self.verifier.id, time.to_bytes(_TIME_BYTES, "big") + signature)


def check_name(name: str) -> str:
    """Returns a key name that signed-note allows. Raises UsageError."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or "+" in name or any(c.isspace() or not c.isprintable() for c in name):
        raise UsageError(
            f"'{name[:80]}' cannot name a log or a key",
            next="write something like example.com/log: no spaces, no plus, at most 255 characters",
        )
    return name


def sign_note(text: str, keys: Sequence[SigningKey]) -> bytes:
    """A note over `text`, which ends in a newline."""
    return Note(text, tuple(key.sign_text(text) for key in keys)).encode()


def parse_note(data: bytes, *, where: str) -> Note:
    """Raises IntegrityError for what is no note. Nothing is verified yet."""
    if len(data) > MAX_NOTE_BYTES:
        raise _bad("it is too large", where)
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise _bad("it is no UTF-8", where) from None
    if any(c < " " and c != "\n" for c in whole):
        raise _bad("it holds control characters", where)
    text, blank, signatures = whole.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise _bad("it has no signatures", where)
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _bad(f"it has {len(lines)} signatures, more than {MAX_SIGNATURES}", where)
    return Note(text + "\n", tuple(parse_line(line, where=where) for line in lines))


def parse_line(line: str, *, where: str) -> SignatureLine:
    """One signature line without its newline. Raises IntegrityError."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not parts[1] or "+" in parts[1] or any(c.isspace() for c in parts[1]):
        raise _bad("a signature line is malformed", where)
    try:
        signature = base64.b64decode(parts[2], validate=True)
    except ValueError:  # no base64, or no ASCII
        raise _bad("a signature line is malformed", where) from None
    if len(signature) < 5 or base64.b64encode(signature).decode() != parts[2]:
        raise _bad("a signature line is malformed", where)
    return SignatureLine(parts[1], signature[:4], signature[4:])


def verify_note(data: bytes, keys: Sequence[VerifierKey], *, where: str) -> Note:
    """signed-note, "Signatures": returns the text and the lines of known keys, all of which verify.

    Raises IntegrityError when there is none, or when one does not verify.
    """
    note = parse_note(data, where=where)
    known = {(key.name, key.id): key for key in keys}
    good = []
    for line in note.lines:
        key = known.get((line.name, line.id))
        if key is not None:
            _verify_line(note.text, line, key, where)
            good.append(line)
    if not good:
        signers = ", ".join(sorted({f"{line.name[:80]}+{line.id.hex()}" for line in note.lines})[:4])
        raise IntegrityError(
            f"no signature is of a key that is trusted here; signed by {signers}",
            where=where,
            next="give the log's verifier key; after a rotation that is the new one",
        )
    return Note(note.text, tuple(good))


def verify_signature(key: VerifierKey, message: bytes, signature: bytes, *, where: str) -> None:
    """RFC 8032 over `message`. Raises IntegrityError."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise IntegrityError(f"the signature of {key.name}+{key.id.hex()} is wrong", where=where) from None


def _verify_line(text: str, line: SignatureLine, key: VerifierKey, where: str) -> None:
    message, signature = text.encode(), line.signature
    if key.type == COSIGNATURE:
        if len(signature) != _TIME_BYTES + _SIGNATURE_BYTES or line.time > 2**63 - 1:
            raise IntegrityError(f"the cosignature of {key.name} is malformed", where=where)
        message, signature = _cosigned(text, line.time), signature[_TIME_BYTES:]
    verify_signature(key, message, signature, where=where)


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _bad(what: str, where: str) -> IntegrityError:
    return IntegrityError(f"this is no signed note: {what}", where=where)
