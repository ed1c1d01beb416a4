"""cryptotensors' figures in the vault's benchmark, run by its own environment. Called by benchmarks/vault.

AES-256-GCM with a key for each tensor, chunks of 2 MiB, header signed with Ed25519: its defaults, with keys given as
its documentation shows. Sealing: `load_file` of the plain file, `save_file` with keys; each tensor is copied twice in
memory before one write after the other. A tensor, and also a row from `get_slice`, decrypts the whole tensor; that
stays in memory until the file is closed, so another row of it costs next to nothing. Its threads are Rayon's, as many
as the process has cores. It knows tensors only: no small files.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from cryptotensors import register_direct_key_provider, safe_open
from cryptotensors.numpy import load_file, save_file
from vault_jobs import Answer, kept, reading, seconds_of, serve, written


def make() -> bytes:
    """An encryption key of this run; the signing key is the one of its documentation."""
    encryption = {"kty": "oct", "alg": "aes256gcm", "kid": "encrypts"}
    encryption["k"] = base64.b64encode(secrets.token_bytes(32)).decode()
    signing = {"kty": "okp", "alg": "ed25519", "kid": "signs", "d": "uTKTjQL6pX1Tqb7Hpor4A1s+TdgHReQEITZWWAf7DIc="}
    signing["x"] = "xkqFcGjXCBMk75q0259N1ggRJsqc+FTAiXMuKX72fd8="
    return json.dumps([encryption, signing]).encode()


KEYS: list[dict[str, str]] = json.loads(kept("keys", make))
register_direct_key_provider(keys=KEYS)


def seal(source: str, sealed: str) -> Answer:
    config = {"enc_key": KEYS[0], "sign_key": KEYS[1]}
    return written(lambda: save_file(load_file(source), sealed, config=config), sealed)


def unseal(sealed: str, plain: str) -> Answer:
    return written(lambda: save_file(load_file(sealed), plain), plain)


def load(sealed: str, names: list[str]) -> Answer:
    return {"seconds": seconds_of(lambda: load_file(sealed))}


class Opened:
    def __init__(self, sealed: str) -> None:
        self.file: Any = safe_open(sealed, framework="np")
        self.file.__enter__()

    def tensor(self, name: str) -> Any:
        return self.file.get_tensor(name)

    def row(self, name: str, index: int) -> Any:
        return self.file.get_slice(name)[index : index + 1]


serve({"seal": seal, "open": unseal, "load": load, **reading(Opened, lambda array: array.tobytes())})
