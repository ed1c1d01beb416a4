"""Signatures of people with their SSH keys (OpenSSH's PROTOCOL.sshsig), made and checked by `ssh-keygen`.

Invariants: a signature counts only under the one public key that it names and that the person's record has, in the
namespace that it was asked for, over this very message. A signature of a security key counts only when the key was
touched: `ssh-keygen -Y verify` does not demand that, so it is read here (PROTOCOL.u2f, flags). Everything that a
stranger sent is parsed and bounded before ssh-keygen sees it, and ssh-keygen gets it in the one form that was parsed.
What goes into the allowed_signers file is a constant name and a key's type and base64: no name of a principal, which
could be a pattern there, and no comment.

    armour = sign_message(b"yes", Path.home() / ".ssh" / "id_ed25519_sk", namespace=APPROVAL)
    verify_signature(b"yes", armour.encode(), namespace=APPROVAL, keys=[SshKey.parse(line)])
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..core.errors import InputError, StrongroomError, UsageError
from ._identified import NotIdentified, Reason
from ._ssh_key import Reader, SshKey

__all__ = ["APPROVAL", "LOGIN", "MAX_MESSAGE_BYTES", "MAX_SIGNATURE_BYTES", "sign_message", "verify_signature"]

APPROVAL = "strongroom-approval"
"""The namespace of approvals: a signature for anything else is none."""
LOGIN = "strongroom-login"
NAMESPACES = frozenset({APPROVAL, LOGIN})

MAX_MESSAGE_BYTES = 1_048_576
MAX_SIGNATURE_BYTES = 16_384
"""With its armour. One of RSA with 16,384 bits, the largest, has some 6,000."""
VERIFY_SECONDS = 10.0

_ARMOUR = re.compile(rb"-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)\n-----END SSH SIGNATURE-----\s*")
_MAGIC = b"SSHSIG"
_SIGNER = "signer"
_TOUCHED = 0x01
_ALGORITHMS = {"ssh-rsa": frozenset({b"rsa-sha2-256", b"rsa-sha2-512"})}
"""Of the keys whose signatures are not named as they are. SHA-1 (`ssh-rsa`) is not among them."""


@dataclass(frozen=True)
class _Signature:
    """The blob of PROTOCOL.sshsig, section 2. Its bytes were read to the last."""

    blob: bytes
    public: bytes
    namespace: bytes
    hash: bytes
    signed: bytes
    """Algorithm and signature, as SSH packs them."""

    @classmethod
    def parse(cls, armour: bytes) -> Self:
        """Raises ValueError for what is no signature."""
        match = _ARMOUR.fullmatch(armour)
        if match is None:
            raise ValueError("no armour")
        blob = base64.b64decode(re.sub(rb"[\r\n]", b"", match[1]), validate=True)
        reader = Reader(blob)
        if reader.take(len(_MAGIC)) != _MAGIC or reader.uint32() != 1:
            raise ValueError("no signature of version 1")
        public, namespace = reader.string(), reader.string()
        if reader.string():  # reserved. ssh-keygen passes over it, so anybody could put something there afterwards
            raise ValueError("something is in the reserved field")
        hash, signed = reader.string(), reader.string()
        reader.end()
        return cls(blob, public, namespace, hash, signed)

    @property
    def armour(self) -> bytes:
        """Its one form."""
        text = base64.b64encode(self.blob)
        lines = [text[at : at + 70] for at in range(0, len(text), 70)]
        return b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])


def verify_signature(message: bytes, signature: bytes, *, namespace: str, keys: Sequence[SshKey]) -> SshKey:
    """The key of `keys` that signed `message` in `namespace`. `signature` is armoured, as ssh-keygen writes it.

    Raises NotIdentified, and StrongroomError where ssh-keygen is missing or does not answer.
    """
    if namespace not in NAMESPACES:
        raise UsageError(f"'{namespace[:40]}' is no namespace of ours", next=f"one of: {', '.join(sorted(NAMESPACES))}")
    if len(message) > MAX_MESSAGE_BYTES or len(signature) > MAX_SIGNATURE_BYTES:
        raise _refused("too-large")
    try:
        parsed = _Signature.parse(signature)
    except (ValueError, binascii.Error):
        raise _refused("malformed") from None
    if parsed.namespace != namespace.encode():
        raise _refused("namespace")
    key = next((key for key in keys if key.blob == parsed.public), None)
    if key is None:
        raise _refused("unknown")
    _check_signed(parsed, key)
    _run_verify(message, parsed, key, namespace)
    return key


def _check_signed(parsed: _Signature, key: SshKey) -> None:
    """Hash, algorithm and, of a security key, touch. Raises NotIdentified."""
    try:
        reader = Reader(parsed.signed)
        algorithm = reader.string()
        if parsed.hash not in (b"sha256", b"sha512") or algorithm not in _ALGORITHMS.get(
            key.type, frozenset({key.type.encode()})
        ):
            raise _refused("algorithm")
        reader.string()
        if key.hardware:
            flags = reader.take(1)[0]
            reader.uint32()  # the counter of the security key, which some leave at zero
            if not flags & _TOUCHED:
                raise _refused("touch")
        reader.end()
    except ValueError:
        raise _refused("malformed") from None


def _run_verify(message: bytes, parsed: _Signature, key: SshKey, namespace: str) -> None:
    allowed = f'{_SIGNER} namespaces="{namespace}" {key.type} {base64.b64encode(key.blob).decode()}\n'
    command = _ssh_keygen()
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-") as folder:  # of mode 0700
            signers, file = Path(folder, "allowed_signers"), Path(folder, "signature")
            signers.write_text(allowed, encoding="ascii")
            file.write_bytes(parsed.armour)
            words = ["-Y", "verify", "-f", str(signers), "-I", _SIGNER, "-n", namespace, "-s", str(file)]
            done = subprocess.run(  # noqa: S603 - ssh-keygen itself, with words of ours
                [command, *words],
                input=message,
                capture_output=True,
                timeout=VERIFY_SECONDS,
                check=False,
                env={"PATH": os.defpath, "LC_ALL": "C"},
            )
    except subprocess.TimeoutExpired:
        raise StrongroomError(
            f"ssh-keygen did not answer within {VERIFY_SECONDS:g} seconds", next="try again; the machine is busy"
        ) from None
    except OSError as error:
        raise _cannot_run(error) from error
    if done.returncode < 0 or b"usage:" in done.stderr:
        raise StrongroomError("this ssh-keygen cannot check signatures", next="install OpenSSH 8.2 or later")
    if done.returncode != 0:
        raise _refused("signature")


def sign_message(message: bytes, key_file: Path, *, namespace: str) -> str:
    """The armoured signature of `message` with a person's key. ssh-keygen asks for passphrase, PIN and touch itself.

    With the `.pub` file, a key in the agent signs. Raises UsageError, InputError where there is no key or nothing was
    signed, and StrongroomError where ssh-keygen is missing.
    """
    if namespace not in NAMESPACES or len(message) > MAX_MESSAGE_BYTES:
        raise UsageError("this is not signed: another namespace than ours, or too large a message")
    if not key_file.is_file():
        raise InputError("there is no SSH key", where=str(key_file), next="make one: ssh-keygen -t ed25519-sk")
    command = _ssh_keygen()
    try:
        with tempfile.TemporaryDirectory(prefix="strongroom-") as folder:
            # In a file: ssh-keygen asks for a PIN on its standard input, which is the terminal.
            file, signature = Path(folder, "message"), Path(folder, "message.sig")
            file.write_bytes(message)
            words = ["-q", "-Y", "sign", "-f", str(key_file), "-n", namespace, str(file)]
            # No time limit: it waits for a person, who can stop it.
            done = subprocess.run([command, *words], stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - as above
            armour = signature.read_bytes() if done.returncode == 0 and signature.is_file() else b""
    except OSError as error:
        raise _cannot_run(error) from error
    if not armour:
        raise InputError(
            "ssh-keygen did not sign", where=str(key_file), next="it says above why; try again, or another key"
        )
    return armour.decode("ascii")


def _ssh_keygen() -> str:
    """Raises StrongroomError where it is missing."""
    found = shutil.which("ssh-keygen")
    if found is None:
        raise StrongroomError(
            "ssh-keygen is not installed, and SSH signatures need it",
            next="install OpenSSH's client (openssh-client, openssh-clients)",
        )
    return found


def _cannot_run(error: OSError) -> StrongroomError:
    return StrongroomError(f"ssh-keygen cannot be run: {error.strerror}", next="install OpenSSH 8.2 or later")


def _refused(reason: Reason) -> NotIdentified:
    return NotIdentified(reason, method="ssh")
