"""Keys: known answers of HPKE, files that open again, and what a wrong key, context or file is told."""

from __future__ import annotations

import json
import pickle
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.bindings._rust import openssl as rust_openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import x25519

from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.vault._keys import RECIPIENT_KINDS, KeyFiles, Kind, PrivateKey, PublicKey, _private_of
from strongroom.vault._secret import SECRET_BYTES, Secret, _memory

SECRET, CONTEXT = bytes(range(32)), b"strongroom.sealed/1 00 acme/model"
_KDF = {1: hpke.KDF.HKDF_SHA256, 17: hpke.KDF.SHAKE256}
_AEAD = {1: hpke.AEAD.AES_128_GCM, 2: hpke.AEAD.AES_256_GCM, 3: hpke.AEAD.CHACHA20_POLY1305}

# RFC 9180, appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0.
A11 = {
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "skRm": "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
    "pkRm": "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
    "enc": "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
    "aad": "436f756e742d30",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
    "ct": "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
}


def test_rfc_9180_a_1_1_is_opened() -> None:
    given = {name: bytes.fromhex(value) for name, value in A11.items()}
    key, public = _private_of("x25519", given["skRm"])
    assert isinstance(key, x25519.X25519PrivateKey)
    assert public == given["pkRm"]
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    opened = rust_openssl.hpke._decrypt_with_aad(
        suite, given["enc"] + given["ct"], key, info=given["info"], aad=given["aad"]
    )
    assert opened == given["pt"]


def test_the_hybrid_vectors_of_the_draft_are_opened(shared: Path) -> None:
    """Those of KEM 0x647a, MLKEM768-X25519: base mode, sequence number 0; our keys are made from the same seeds."""
    vectors = json.loads((shared / "vectors/hpke/hpke-pq.json").read_text())
    opened = 0
    for vector in vectors:
        if (vector["mode"], vector["kem_id"]) != (0, 0x647A):
            continue
        key, public = _private_of("mlkem768-x25519", bytes.fromhex(vector["skRm"]))
        assert public == bytes.fromhex(vector["pkRm"])
        suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, _KDF[vector["kdf_id"]], _AEAD[vector["aead_id"]])
        first = {name: bytes.fromhex(value) for name, value in vector["encryptions"][0].items()}
        info = bytes.fromhex(vector["info"])
        sealed = bytes.fromhex(vector["enc"]) + first["ct"]
        assert rust_openssl.hpke._decrypt_with_aad(suite, sealed, key, info=info, aad=first["aad"]) == first["pt"]
        opened += 1
    assert opened == 2


@pytest.mark.parametrize("kind", RECIPIENT_KINDS)
def test_a_wrapped_key_opens_with_its_key_and_context_alone(kind: Kind) -> None:
    key, other = PrivateKey.generate(kind, "a"), PrivateKey.generate(kind, "b")
    wrapped = key.public.wrap(SECRET, CONTEXT)
    assert key.unwrap(wrapped, CONTEXT) == SECRET
    assert key.public.wrap(SECRET, CONTEXT) != wrapped
    for attempt in (
        lambda: key.unwrap(wrapped, CONTEXT + b"x"),
        lambda: other.unwrap(wrapped, CONTEXT),
        lambda: key.unwrap(wrapped[:-1], CONTEXT),
        lambda: key.unwrap(b"", CONTEXT),
        lambda: key.unwrap(bytes([wrapped[0] ^ 1]) + wrapped[1:], CONTEXT),
        lambda: key.unwrap(key.public.wrap(b"short", CONTEXT), CONTEXT),
    ):
        with pytest.raises(IntegrityError):
            attempt()


def test_a_signature_is_of_its_key_and_message() -> None:
    key, other = PrivateKey.generate("p256", "a"), PrivateKey.generate("p256", "b")
    signature = key.sign(b"message")
    key.public.verify(signature, b"message")
    for public, message in ((key.public, b"massage"), (other.public, b"message")):
        with pytest.raises(IntegrityError, match="signature"):
            public.verify(signature, message)


def test_keys_do_only_what_their_kind_does() -> None:
    signing, recipient = PrivateKey.generate("p256", "s"), PrivateKey.generate("x25519", "r")
    with pytest.raises(UsageError, match="signing key"):
        signing.public.wrap(SECRET, CONTEXT)
    with pytest.raises(RefusedError):
        signing.unwrap(b"", CONTEXT)
    with pytest.raises(RefusedError):
        recipient.sign(b"")
    with pytest.raises(UsageError):
        recipient.public.verify(b"", b"")
    with pytest.raises(UsageError):
        recipient.public.pem()
    assert signing.public.pem().startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("kind", "passphrase"),
    [("mlkem768-x25519", ""), ("x25519", ""), ("p256", ""), ("mlkem768-x25519", "a passphrase")],
)
def test_a_key_file_opens_again_and_is_never_overwritten(tmp_path: Path, kind: Kind, passphrase: str) -> None:
    key = PrivateKey.generate(kind, "site")
    key.write(tmp_path, passphrase=passphrase)
    assert PrivateKey.read(tmp_path / "site.key", passphrase=passphrase).public == key.public
    assert PublicKey.read(tmp_path / "site.pub") == key.public
    assert stat.S_IMODE((tmp_path / "site.key").stat().st_mode) == 0o600
    with pytest.raises(StrongroomError, match="cannot be written"):
        key.write(tmp_path)
    if passphrase:
        with pytest.raises(RefusedError, match="passphrase"):  # a wrong one: tests/unit/ledger/test_keys.py
            PrivateKey.read(tmp_path / "site.key")


@pytest.mark.parametrize(
    "line",
    ["", "x", "strongroom-public-key/1 p256 a AAAA", "strongroom-public-key/1 rsa a AAAA", "strongroom-public-key/1 x25519 A AAAA",
     "strongroom-public-key/1 x25519 a A===", "strongroom-public-key/1 p256 a " + "A" * 88, "strongroom-private-key/1 x25519 a " + "A" * 43 + "="],
)  # fmt: skip
def test_what_is_no_public_key_is_told(line: str) -> None:
    with pytest.raises(InputError):
        PublicKey.parse(line)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x" * 100_000,
        b"\xff",
        b"strongroom-private-key/1 p256 a AAAA",
        b"strongroom-private-key/1 p256 a " + b"A" * 43 + b"=",
    ],
)
def test_what_is_no_key_file_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.key").write_bytes(text)
    with pytest.raises(IntegrityError, match="no private key"):
        PrivateKey.read(tmp_path / "a.key")
    with pytest.raises(InputError, match="no key"):
        PrivateKey.read(tmp_path / "b.key")


def test_a_key_that_is_not_held_is_refused() -> None:
    held = PrivateKey.generate("x25519", "a")
    store = KeyFiles(held)
    assert store.unwrap(held.public.key, held.public.wrap(SECRET, CONTEXT), CONTEXT) == SECRET
    with pytest.raises(RefusedError, match="held"):
        store.unwrap("x25519:00", b"", CONTEXT)


def test_secrets_are_neither_printed_nor_pickled_and_are_overwritten() -> None:
    key = PrivateKey.generate("x25519", "a")
    source = bytearray(SECRET)
    secret = Secret(source)
    assert not any(source)
    slot = secret.view
    assert bytes(slot) == SECRET
    for hidden in (key, secret):
        assert key._seed.hex() not in repr(hidden)
        assert SECRET.hex() not in repr(hidden)
        with pytest.raises(TypeError):
            pickle.dumps(hidden)
    secret.drop()
    secret.drop()
    assert bytes(slot) == bytes(SECRET_BYTES)
    with pytest.raises(StrongroomError, match="dropped"):
        _ = secret.view


def test_many_secrets_do_not_share_memory() -> None:
    secrets = [Secret.random() for _ in range(2000)]
    assert len({bytes(one.view) for one in secrets}) == 2000
    blocks = len(_memory._blocks)
    for one in secrets:
        one.drop()
    again = [Secret.random() for _ in range(2000)]
    assert len(_memory._blocks) == blocks
    assert len({bytes(one.view) for one in again}) == 2000
