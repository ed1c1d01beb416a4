"""Tink's figures in the vault's benchmark, run by its own environment. Called by benchmarks/vault.

Files: streaming AEAD with AES256_GCM_HKDF_1MB, in pieces of 64 KiB (the fastest of 64 KiB to 4 MiB, with and without a
buffer). Its Python streams cannot seek, so a tensor or a row is reached by decrypting all that comes before it; there
it stops. Small files: the AEAD AES256_GCM, which Tink recommends for what fits in memory; it takes a twelfth of the
time that streams do. One thread.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import tink
from tink import aead, secret_key_access, streaming_aead
from vault_jobs import Answer, Streamed, each_file, kept, reading, serve, written

COPIED = 1 << 16


def primitive(name: str, template: Any, kind: type) -> Any:
    """The primitive of a key that is kept in the folder for keys."""

    def make() -> bytes:
        handle = tink.new_keyset_handle(template)
        return tink.json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN).encode()

    handle = tink.json_proto_keyset_format.parse(kept(name, make).decode(), secret_key_access.TOKEN)
    return handle.primitive(kind)


streaming_aead.register()
aead.register()
TEMPLATE = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
STREAM = primitive("file", TEMPLATE, streaming_aead.StreamingAead)
SMALL = primitive("small", aead.aead_key_templates.AES256_GCM, aead.Aead)


def plain_stream(sealed: str) -> BinaryIO:
    return STREAM.new_decrypting_stream(Path(sealed).open("rb", buffering=0), b"")


def seal(source: str, sealed: str) -> Answer:
    def work() -> None:
        # Closing the stream writes the last segment and closes the file.
        with (
            Path(source).open("rb", buffering=0) as plain,
            STREAM.new_encrypting_stream(Path(sealed).open("wb", buffering=0), b"") as out,
        ):
            shutil.copyfileobj(plain, out, COPIED)

    return written(work, sealed)


def unseal(sealed: str, plain: str) -> Answer:
    def work() -> None:
        with plain_stream(sealed) as source, Path(plain).open("wb", buffering=0) as out:
            shutil.copyfileobj(source, out, COPIED)

    return written(work, plain)


def part(sealed: str, offset: int, length: int) -> bytearray:
    found = bytearray(length)
    with plain_stream(sealed) as source:
        while offset:
            offset -= len(source.read(min(offset, COPIED)))
        at = 0
        while at < length:
            at += source.readinto(memoryview(found)[at : at + COPIED])
    return found


def seal_small(source: Path, sealed: Path) -> None:
    sealed.write_bytes(SMALL.encrypt(source.read_bytes(), b""))


def open_small(sealed: Path, plain: Path) -> None:
    plain.write_bytes(SMALL.decrypt(sealed.read_bytes(), b""))


serve(
    {
        "seal": seal,
        "open": unseal,
        **reading(lambda sealed: Streamed(partial(part, sealed)), bytes),
        "seal small": lambda source, sealed: each_file(source, sealed, seal_small),
        "open small": lambda sealed, plain: each_file(sealed, plain, open_small),
    }
)
