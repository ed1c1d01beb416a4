"""The vault: weights and datasets sealed at rest, opened one segment at a time.

`seal` makes a sealed object of files, `open_object` and `safe_open` read one without unsealing it, `create` writes one
as a program produces it. Whoever seals or opens goes through a `Door`; `own_door` is that of the site that
STRONGROOM_SITE names, and is taken where none is given.
"""

from __future__ import annotations

from ._check import check, prove
from ._door import ACTIONS, Door, Versions, local_principal, own_door
from ._keys import KINDS, RECIPIENT_KINDS, KeyFiles, PrivateKey, PublicKey, check_key_name
from ._manifest import Manifest, SealedFile, WrappedKey
from ._object import SealedObject, Signed, is_sealed_object, only_name, open_object, read_manifest, split_path
from ._parts import File, Recipient, Tree, Unwrapper
from ._rekey import rekey, rotate
from ._seal import Sealed, seal
from ._secret import harden_process
from ._sources import Source, find_sources
from ._unseal import unseal

__all__ = [
    "ACTIONS",
    "KINDS",
    "RECIPIENT_KINDS",
    "Door",
    "File",
    "KeyFiles",
    "Manifest",
    "PrivateKey",
    "PublicKey",
    "Recipient",
    "Sealed",
    "SealedFile",
    "SealedObject",
    "Signed",
    "Source",
    "Tree",
    "Unwrapper",
    "Versions",
    "WrappedKey",
    "check",
    "check_key_name",
    "find_sources",
    "harden_process",
    "is_sealed_object",
    "local_principal",
    "only_name",
    "open_object",
    "own_door",
    "prove",
    "read_manifest",
    "rekey",
    "rotate",
    "seal",
    "split_path",
    "unseal",
]
