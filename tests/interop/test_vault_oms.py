"""A sealed object is an OpenSSF Model Signing object: the reference verifier accepts it, without any key of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.vault import PrivateKey, open_object, rekey
from strongroom.vault._manifest import place_of

from ..unit.vault.rooms import room, sealed_object


def verify(path: Path, key: PrivateKey, tmp_path: Path) -> None:
    """model-signing's own verification with a public key. Raises ValueError."""
    from model_signing import verifying

    pem = tmp_path / "signer.pem"
    pem.write_bytes(key.public.pem())
    verifying.Config().use_elliptic_key_verifier(public_key=pem).verify(path, path / "model.sig")


def test_the_reference_verifies_what_we_sealed_and_refuses_what_was_changed(tmp_path: Path) -> None:
    own = room()
    path = sealed_object(tmp_path, own, {"config.json": b"{}", ".git/config": b"x", "w/a.safetensors": bytes(9000)})
    verify(path, own.signer, tmp_path)
    with open_object(path, door=own.door) as sealed:
        rekey(sealed, own.door, remove=["recovery"])
    verify(path, own.signer, tmp_path)
    with pytest.raises(ValueError, match="Key mismatch"):
        verify(path, room().signer, tmp_path)
    (path / "extra").write_bytes(b"")
    with pytest.raises(ValueError, match="extra"):
        verify(path, own.signer, tmp_path)
    (path / "extra").unlink()
    with (path / place_of("w/a.safetensors")).open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(ValueError, match=r"mismatch|digest"):
        verify(path, own.signer, tmp_path)
