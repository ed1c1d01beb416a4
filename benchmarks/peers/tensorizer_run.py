"""tensorizer's figures in the vault's benchmark, run by its own environment. Called by benchmarks/vault.

XSalsa20-Poly1305 by libsodium in chunks of 2 MiB. Its key is random (`EncryptionParams.random()`, 0.1 ms), as its
documentation advises for speed; one from a string costs half a second of Argon2id each time. Sealing: safetensors'
`load_file`, then `write_state_dict`, which also computes CRC32 and SHA-256 of each tensor, and encrypts the tensor's
memory in place and back. Opening to a file: everything into memory, then safetensors' `save_file`. Lazily opened, a
tensor is decrypted whole, also for a row, and kept in memory; tensors have to be asked for in the order of the file.
It has several pools of threads, each as large as asked for here. It knows tensors only: no small files. libnacl
finds libsodium on the system (Debian: libsodium23).
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tensorizer import DecryptionParams, EncryptionParams, TensorDeserializer, TensorSerializer
from vault_jobs import Answer, kept, reading, seconds_of, serve, threads, written

KEY = kept("key", lambda: EncryptionParams.random().key)
torch.set_num_threads(threads())


def seal(source: str, sealed: str) -> Answer:
    def work() -> None:
        serializer = TensorSerializer(sealed, encryption=EncryptionParams(KEY), limit_cpu_concurrency=threads())
        serializer.write_state_dict(load_file(source))
        serializer.close()

    return written(work, sealed)


def opened(sealed: str, *, lazy: bool = False) -> Any:
    params = DecryptionParams.from_key(KEY)
    return TensorDeserializer(sealed, device="cpu", lazy_load=lazy, encryption=params)


def unseal(sealed: str, plain: str) -> Answer:
    def work() -> None:
        with opened(sealed) as source:
            save_file(dict(source.items()), plain)

    return written(work, plain)


def load(sealed: str, names: list[str]) -> Answer:
    return {"seconds": seconds_of(lambda: opened(sealed).close())}


class Opened:
    def __init__(self, sealed: str) -> None:
        self.file = opened(sealed, lazy=True)

    def tensor(self, name: str) -> Any:
        return self.file[name]

    def row(self, name: str, index: int) -> Any:
        return self.file[name][index]


serve({"seal": seal, "open": unseal, "load": load, **reading(Opened, lambda tensor: tensor.detach().numpy().tobytes())})
