"""SSH keys and signatures made by software from OpenSSH's PROTOCOL, PROTOCOL.sshsig and PROTOCOL.u2f.

Nothing here is the package's own code. The security keys (`sk-`) are simulated: the private key lies in memory, and what
the hardware would sign is put together here.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

APPLICATION = b"ssh:"
TOUCHED, VERIFIED = 0x01, 0x04


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


@dataclass(frozen=True)
class Key:
    type: str
    blob: bytes
    sign: Callable[[bytes], bytes]
    """The signature field of a message: algorithm and what belongs to it."""

    @property
    def line(self) -> str:
        return f"{self.type} {base64.b64encode(self.blob).decode()}"


def ed25519_key(seed: int = 1) -> Key:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    blob = string(b"ssh-ed25519") + string(private.public_key().public_bytes_raw())
    return Key("ssh-ed25519", blob, lambda data: string(b"ssh-ed25519") + string(private.sign(data)))


def ecdsa_blob(name: str, curve: bytes, private: ec.EllipticCurvePrivateKey) -> bytes:
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return string(name.encode()) + string(curve) + string(point)


def ecdsa_numbers(private: ec.EllipticCurvePrivateKey, data: bytes, hash: hashes.HashAlgorithm) -> bytes:
    r, s = utils.decode_dss_signature(private.sign(data, ec.ECDSA(hash)))
    return mpint(r) + mpint(s)


def ecdsa_key(bits: int = 256) -> Key:
    curve, hash = {
        256: (ec.SECP256R1(), hashes.SHA256()),
        384: (ec.SECP384R1(), hashes.SHA384()),
        521: (ec.SECP521R1(), hashes.SHA512()),
    }[bits]
    private = ec.derive_private_key(0x5EC2E7, curve)
    name, nist = f"ecdsa-sha2-nistp{bits}", f"nistp{bits}".encode()
    return Key(
        name,
        ecdsa_blob(name, nist, private),
        lambda data: string(name.encode()) + string(ecdsa_numbers(private, data, hash)),
    )


@functools.cache
def rsa_private(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def rsa_key(bits: int = 2048, algorithm: bytes = b"rsa-sha2-512") -> Key:
    private = rsa_private(bits)
    numbers = private.public_key().public_numbers()
    hash = {b"rsa-sha2-512": hashes.SHA512(), b"rsa-sha2-256": hashes.SHA256(), b"ssh-rsa": hashes.SHA1()}[algorithm]
    blob = string(b"ssh-rsa") + mpint(numbers.e) + mpint(numbers.n)
    return Key("ssh-rsa", blob, lambda data: string(algorithm) + string(private.sign(data, padding.PKCS1v15(), hash)))


def in_hardware(data: bytes, flags: int, application: bytes) -> tuple[bytes, bytes]:
    """What a security key signs for SSH (PROTOCOL.u2f, "SSH U2F signatures"), and what it says with the signature."""
    said = bytes([flags]) + (7).to_bytes(4, "big")
    return hashlib.sha256(application).digest() + said + hashlib.sha256(data).digest(), said


def sk_ed25519_key(flags: int = TOUCHED, application: bytes = APPLICATION) -> Key:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    name = b"sk-ssh-ed25519@openssh.com"

    def sign(data: bytes) -> bytes:
        signed, said = in_hardware(data, flags, application)
        return string(name) + string(private.sign(signed)) + said

    return Key(
        name.decode(), string(name) + string(private.public_key().public_bytes_raw()) + string(application), sign
    )


def sk_ecdsa_key(flags: int = TOUCHED, application: bytes = APPLICATION) -> Key:
    private = ec.derive_private_key(0x5EC2E7, ec.SECP256R1())
    name = "sk-ecdsa-sha2-nistp256@openssh.com"

    def sign(data: bytes) -> bytes:
        signed, said = in_hardware(data, flags, application)
        return string(name.encode()) + string(ecdsa_numbers(private, signed, hashes.SHA256())) + said

    return Key(name, ecdsa_blob(name, b"nistp256", private) + string(application), sign)


def armour(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = [text[at : at + 76] for at in range(0, len(text), 76)]
    return b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])


def signature_blob(
    key: Key,
    message: bytes,
    namespace: str,
    *,
    hash: str = "sha512",
    public: bytes | None = None,
    version: int = 1,
    magic: bytes = b"SSHSIG",
    reserved: bytes = b"",
) -> bytes:
    digest = hashlib.new(hash, message).digest()
    common = string(namespace.encode()) + string(reserved) + string(hash.encode())
    signed = key.sign(b"SSHSIG" + common + string(digest))
    return magic + version.to_bytes(4, "big") + string(key.blob if public is None else public) + common + string(signed)
