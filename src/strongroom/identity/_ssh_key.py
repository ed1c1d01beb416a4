"""SSH public keys: the line of a `.pub` file, and the strings that SSH packs (RFC 4251, section 5).

Accepted are Ed25519, ECDSA on the NIST curves, RSA from 2,048 bits, and the two kinds that live in hardware (`sk-`,
OpenSSH's PROTOCOL.u2f). Refused are DSA, shorter RSA, certificates, and lines with options before the key.

>>> line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea ada@acme.example"
>>> SshKey.parse(line).fingerprint
'SHA256:bbXpuKG6zhzdmnxq256TlqzFBzRl2f6OOg722cYNbU8'
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from ..core.errors import UsageError

__all__ = ["MAX_LINE_CHARACTERS", "SSH_KEY_TYPES", "Reader", "SshKey"]

MAX_LINE_CHARACTERS = 16_384
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16_384
"""OpenSSH has the same limit."""
MAX_COMMENT_CHARACTERS = 255

_P = 2**255 - 19
_D = -121_665 * pow(121_666, -1, _P) % _P
_NEXT = "give the line of a .pub file; make a key: ssh-keygen -t ed25519-sk, or -t ed25519 without a security key"
_CURVES: dict[bytes, ec.EllipticCurve] = {
    b"nistp256": ec.SECP256R1(),
    b"nistp384": ec.SECP384R1(),
    b"nistp521": ec.SECP521R1(),
}


class Reader:
    """Takes SSH's packed fields off bytes. Raises ValueError for what is cut or left over."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise ValueError("cut off")
        taken, self._at = self._data[self._at : end], end
        return taken

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.uint32())

    def mpint(self) -> int:
        """A positive one, in the only form that RFC 4251 permits."""
        data = self.string()
        if not data or data[0] & 0x80 or (data[0] == 0 and (len(data) == 1 or not data[1] & 0x80)):
            raise ValueError("no positive mpint")
        return int.from_bytes(data, "big")

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("something follows")


@dataclass(frozen=True)
class SshKey:
    """A public key. Two are equal when the keys are, whatever their comments say."""

    type: str
    """`ssh-ed25519`, for instance."""
    blob: bytes
    """The key as SSH packs it."""
    comment: str = field(default="", compare=False)

    @classmethod
    def parse(cls, line: str) -> Self:
        """Reads the line of a `.pub` file. Raises UsageError for what is no key that is accepted here."""
        text = line.strip()
        if len(text) > MAX_LINE_CHARACTERS or not text.isprintable():
            raise UsageError("this is no public key: it is too long, or not one line of text", next=_NEXT)
        type, _, rest = text.partition(" ")
        if type not in _CHECKS:
            raise UsageError(f"'{type[:40]}' is no type of key that is accepted here", next=_NEXT)
        encoded, _, comment = rest.strip().partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
            if base64.b64encode(blob).decode() != encoded:  # one key has one line
                raise ValueError("not canonical")
            reader = Reader(blob)
            if reader.string() != type.encode():
                raise ValueError("another type inside")
            _CHECKS[type](reader)
            reader.end()
        except (ValueError, binascii.Error, UnicodeEncodeError):
            raise UsageError(f"this is no {type} key: it is damaged", next=_NEXT) from None
        return cls(type, blob, comment.strip()[:MAX_COMMENT_CHARACTERS])

    @property
    def line(self) -> str:
        """The line of its `.pub` file: what `parse` reads."""
        return f"{self.type} {base64.b64encode(self.blob).decode()} {self.comment}".rstrip()

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def hardware(self) -> bool:
        """Whether it is of a kind that lives in a security key."""
        return self.type.startswith("sk-")

    def __str__(self) -> str:
        return self.fingerprint


def _ed25519(reader: Reader) -> None:
    """Raises ValueError also for a point of small order: under such a key anybody can make signatures."""
    encoded = reader.string()
    if len(encoded) != 32:
        raise ValueError("an Ed25519 key has 32 bytes")
    y = int.from_bytes(encoded, "little") & ~(1 << 255)
    # RFC 8032, section 5.1. Of order 1, 2 and 4 are y = 1, -1 and 0; of order 8 those where d y^4 + 2 y^2 = 1.
    if y >= _P or y in (0, 1, _P - 1) or (_D * y**4 + 2 * y**2 - 1) % _P == 0:
        raise ValueError("no key of the curve's large group")


def _ecdsa(curve: bytes) -> Callable[[Reader], None]:
    def check(reader: Reader) -> None:
        if reader.string() != curve:
            raise ValueError("another curve than its type says")
        point = reader.string()
        if point[:1] != b"\4":  # SSH has no compressed points, and one key has one form
            raise ValueError("no uncompressed point")
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve], point)

    return check


def _in_hardware(check: Callable[[Reader], None]) -> Callable[[Reader], None]:
    """What OpenSSH's PROTOCOL.u2f adds: the application, which keeps SSH's keys apart from those of web pages."""

    def check_all(reader: Reader) -> None:
        check(reader)
        if not reader.string().startswith(b"ssh:"):
            raise ValueError("its application is not ssh:")

    return check_all


def _rsa(reader: Reader) -> None:
    exponent, modulus = reader.mpint(), reader.mpint()
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise UsageError(
            f"an RSA key of {modulus.bit_length():,} bits is not accepted",
            next=f"use one of {MIN_RSA_BITS:,} to {MAX_RSA_BITS:,} bits, or better: ssh-keygen -t ed25519",
        )
    if exponent < 3 or exponent.bit_length() > 64 or not exponent & 1 or not modulus & 1:
        raise ValueError("no RSA key")


_CHECKS: dict[str, Callable[[Reader], None]] = {
    "ssh-ed25519": _ed25519,
    "sk-ssh-ed25519@openssh.com": _in_hardware(_ed25519),
    "sk-ecdsa-sha2-nistp256@openssh.com": _in_hardware(_ecdsa(b"nistp256")),
    "ecdsa-sha2-nistp256": _ecdsa(b"nistp256"),
    "ecdsa-sha2-nistp384": _ecdsa(b"nistp384"),
    "ecdsa-sha2-nistp521": _ecdsa(b"nistp521"),
    "ssh-rsa": _rsa,
}
SSH_KEY_TYPES = frozenset(_CHECKS)
"""What is accepted."""
