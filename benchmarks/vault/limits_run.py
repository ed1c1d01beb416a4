"""The bare limits of the vault's benchmark: cipher, digest and disk alone, by the same kind of jobs as the others."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "peers"))

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vault_jobs import PIECE, Answer, seconds_of, serve, threads, written

TAG = 16


def in_memory(source: str) -> bytearray:
    """A file in memory whose pages are all there."""
    data = bytearray(Path(source).stat().st_size)
    with Path(source).open("rb", buffering=0) as file:
        at = 0
        while at < len(data):
            at += file.readinto(memoryview(data)[at : at + PIECE]) or 0
    return data


def shared_out(pieces: int, one: Callable[[int, int], object]) -> float:
    """Seconds until `one(piece, thread)` was done for every piece, on as many threads as were asked for."""

    def work(thread: int) -> None:
        for piece in range(thread, pieces, count):
            one(piece, thread)

    count = threads()
    if count == 1:
        return seconds_of(lambda: work(0))
    with ThreadPoolExecutor(count) as pool:
        return seconds_of(lambda: list(pool.map(work, range(count))))


def nonce(piece: int) -> bytes:
    return piece.to_bytes(12, "big")


def gcm_same(source: str) -> Answer:
    """AES-256-GCM of as many bytes, in the same two buffers of a thread again and again."""
    cipher, pieces = AESGCM(os.urandom(32)), -(-Path(source).stat().st_size // PIECE)
    plain = [bytearray(os.urandom(PIECE)) for _ in range(threads())]
    sealed = [bytearray(PIECE + TAG) for _ in plain]
    encrypt = shared_out(pieces, lambda piece, at: cipher.encrypt_into(nonce(piece), plain[at], None, sealed[at]))
    for at, buffer in enumerate(sealed):
        cipher.encrypt_into(nonce(0), plain[at], None, buffer)
    decrypt = shared_out(pieces, lambda piece, at: cipher.decrypt_into(nonce(0), sealed[at], None, plain[at]))
    return {"encrypt": encrypt, "decrypt": decrypt}


def gcm_through(source: str) -> Answer:
    """AES-256-GCM from the whole file in memory into another stretch of memory as large, and back."""
    cipher, plain = AESGCM(os.urandom(32)), memoryview(in_memory(source))
    pieces = -(-len(plain) // PIECE)
    sealed = memoryview(bytearray(len(plain) + pieces * TAG))

    def encrypt(piece: int, _: int) -> None:
        data = plain[piece * PIECE : (piece + 1) * PIECE]
        at = piece * (PIECE + TAG)
        cipher.encrypt_into(nonce(piece), data, None, sealed[at : at + len(data) + TAG])

    def decrypt(piece: int, _: int) -> None:
        data = sealed[piece * (PIECE + TAG) : (piece + 1) * (PIECE + TAG)]
        cipher.decrypt_into(nonce(piece), data, None, plain[piece * PIECE : piece * PIECE + len(data) - TAG])

    shared_out(pieces, encrypt)
    return {"encrypt": shared_out(pieces, encrypt), "decrypt": shared_out(pieces, decrypt)}


def sha256(source: str) -> Answer:
    data, digest = memoryview(in_memory(source)), hashlib.sha256()
    pieces = -(-len(data) // PIECE)
    work = lambda: [digest.update(data[at * PIECE : (at + 1) * PIECE]) for at in range(pieces)]  # noqa: E731
    return {"seconds": seconds_of(work)}


def read(source: str) -> Answer:
    def work() -> None:
        with Path(source).open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    buffer = bytearray(PIECE)
    return {"seconds": seconds_of(work)}


def write(source: str, out: str) -> Answer:
    def work() -> None:
        with Path(out).open("wb", buffering=0) as file:
            for at in range(0, size, PIECE):
                file.write(buffer[: min(PIECE, size - at)])

    buffer, size = memoryview(os.urandom(PIECE)), Path(source).stat().st_size
    return written(work, out)


serve(
    {
        "gcm same": gcm_same,
        "gcm through": gcm_through,
        "sha256": sha256,
        "read": read,
        "write": write,
        "copy": lambda source, out: written(lambda: shutil.copyfile(source, out), out),
        "copy small": lambda source, out: written(lambda: shutil.copytree(source, out), out),
    }
)
