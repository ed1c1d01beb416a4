"""A site's part in the vault: its keys in `keys/vault/`, its ledger as the record, its state for versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.errors import UsageError
from ..core.ports import Recorder
from ..vault import (
    AwsKms,
    Door,
    KeyFolder,
    Keys,
    Pkcs11,
    Pkcs11Recipient,
    PrivateKey,
    Recipient,
    Remote,
    Versions,
    named_recipient,
    parse_pkcs11_uri,
)
from ._configuration import VaultSettings
from ._passwords import first_line

__all__ = ["OWN_KEYS", "door", "make_keys", "recipient"]

OWN_KEYS = {"site": "mlkem768-x25519", "recovery": "mlkem768-x25519", "signer": "p256"}
"""What `init` makes: the site's own recipient key, one for the day when that is lost, and the one that signs."""


def make_keys(folder: Path, *, passphrase: str = "") -> None:
    """Makes the directory and a site's own keys. Raises StrongroomError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, kind in OWN_KEYS.items():
        PrivateKey.generate(kind, name).write(folder, passphrase=passphrase)  # type: ignore[arg-type]


def door(
    folder: KeyFolder,
    settings: VaultSettings,
    root: Path,
    *,
    recorder: Recorder | None,
    versions: Versions,
    notify: Callable[[str], None],
    purpose: str,
) -> Door:
    """A site's door. Raises InputError for keys that cannot be read, UsageError for the configuration."""
    signers = folder.signers
    own = [key for key in signers if folder.held(key)]
    return Door(
        keys=Keys(folder, *_others(settings, root)),
        trusted=signers,
        signer=own[0] if own else None,
        recipients=folder.recipients,
        find_recipient=lambda key: _by_key(key, folder, settings, root),
        recorder=recorder,
        versions=versions,
        notify=notify,
        purpose=purpose,
    )


def _others(settings: VaultSettings, root: Path) -> list[Remote]:
    found = []
    if settings.aws_kms:
        found.append(Remote(AwsKms(), [f"awskms:{arn}" for arn in settings.aws_kms]))
    for token in sorted({parse_pkcs11_uri(uri)[0] for uri in settings.pkcs11_keys}):
        keys = [uri for uri in settings.pkcs11_keys if parse_pkcs11_uri(uri)[0] == token]
        found.append(Remote(Pkcs11(settings.pkcs11_module, _pin(settings, root), token=token), keys))
    return found


def _pin(settings: VaultSettings, root: Path) -> str:
    return first_line(root / settings.pkcs11_pin_file, "the PIN")


def recipient(text: str, folder: KeyFolder, settings: VaultSettings, root: Path) -> Recipient:
    """A recipient as people name one (`named_recipient`), or a PKCS#11 key. Raises InputError, UsageError."""
    if not text.startswith("pkcs11:"):
        return named_recipient(text, folder)
    token, object = parse_pkcs11_uri(text)
    if not settings.pkcs11_module:
        raise UsageError("no PKCS#11 module is configured", next="set vault.pkcs11.module in strongroom.toml")
    return Pkcs11Recipient(object, token, object, module=settings.pkcs11_module, pin=_pin(settings, root))


def _by_key(key: str, folder: KeyFolder, settings: VaultSettings, root: Path) -> Recipient | None:
    """The recipient whose key has this id, where it is known."""
    if key.startswith(("awskms:", "pkcs11:")):
        return recipient(key, folder, settings, root)
    return next((one for one in folder.public if one.key == key), None)
