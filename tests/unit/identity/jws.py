"""Signed tokens and key sets made by hand from RFC 7515, 7517 and 7518. Nothing here is the package's or joserfc's."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True)
class SigningKey:
    jwk: dict[str, Any]
    sign: Callable[[str, bytes], bytes]
    pem: bytes

    def named(self, kid: str | None, **more: Any) -> dict[str, Any]:
        return {**self.jwk, **({"kid": kid} if kid is not None else {}), **more}


def pem_of(private: Any) -> bytes:
    return bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@functools.cache
def rsa_key(bits: int = 2048, seed: int = 0) -> SigningKey:
    private = rsa.generate_private_key(65537, bits)
    numbers = private.public_key().public_numbers()

    def sign(algorithm: str, data: bytes) -> bytes:
        hash = HASHES.get(algorithm[2:], hashes.SHA256())
        if algorithm.startswith("PS"):
            return private.sign(data, padding.PSS(padding.MGF1(hash), hash.digest_size), hash)
        return private.sign(data, padding.PKCS1v15(), hash)

    return SigningKey({"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}, sign, pem_of(private))


def ec_key(bits: int = 256, secret: int = 0x5EC2E7) -> SigningKey:
    curve = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}[bits]
    private = ec.derive_private_key(secret, curve)
    numbers, size = private.public_key().public_numbers(), (bits + 7) // 8

    def sign(algorithm: str, data: bytes) -> bytes:
        r, s = utils.decode_dss_signature(private.sign(data, ec.ECDSA(HASHES.get(algorithm[2:], hashes.SHA256()))))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    jwk = {"kty": "EC", "crv": f"P-{bits}", "x": number(numbers.x, size), "y": number(numbers.y, size)}
    return SigningKey(jwk, sign, pem_of(private))


def ed_key(seed: int = 1) -> SigningKey:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(private.public_key().public_bytes_raw())}
    return SigningKey(jwk, lambda _, data: private.sign(data), pem_of(private))


def hmac_key(secret: bytes) -> SigningKey:
    def sign(algorithm: str, data: bytes) -> bytes:
        return hmac.new(secret, data, getattr(hashlib, f"sha{algorithm[2:]}")).digest()

    return SigningKey({"kty": "oct", "k": b64(secret)}, sign, secret)


def raw_token(header: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def token(key: SigningKey, claims: dict[str, Any], alg: str = "ES256", kid: str | None = "k1", **header: Any) -> str:
    named = {"alg": alg, **({"kid": kid} if kid is not None else {}), **header}
    return raw_token(json.dumps(named).encode(), json.dumps(claims).encode(), lambda data: key.sign(alg, data))


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})
