"""The vault: weights and datasets sealed at rest, opened one segment at a time.

`seal` makes a sealed object of files, `open_object` and `safe_open` read one without unsealing it, `create` writes one
as a program produces it. Whoever seals or opens goes through a `Door`; `own_door` is that of the site that
STRONGROOM_SITE names, and is taken where none is given.
"""

from __future__ import annotations

from ._aws_kms import AwsKms, AwsKmsRecipient, check_arn
from ._check import check, prove, remove_sources
from ._door import ACTIONS, Door, Versions, local_principal, own_door
from ._filesystem import SealedFileSystem
from ._folder import RECOVERY, KeyFolder, Keys, Remote, named_recipient
from ._keys import KINDS, RECIPIENT_KINDS, KeyFiles, Kind, PrivateKey, PublicKey, check_key_name
from ._making import check_recipients, reason_of
from ._manifest import Manifest, SealedFile, WrappedKey, decode_statement
from ._mount import check_mount_point, mount, unmount
from ._object import SealedObject, find_object, only_name, open_object, read_manifest
from ._parts import File, Recipient, Tree, Unwrapper
from ._paths import ServicePath, is_sealed_object, split_path
from ._pkcs11 import Pkcs11, Pkcs11Recipient, create_pkcs11_key, parse_pkcs11_uri
from ._rekey import check_change, rekey, rotate
from ._seal import Sealed, seal
from ._secret import harden_process
from ._service import ServiceDoor
from ._signed import Signed, read_bundle
from ._sources import Source, find_sources
from ._streams import open_file, safe_open
from ._unseal import check_place, unseal
from ._wire import (
    EPHEMERAL_KIND,
    NoteRequest,
    ObjectAnswer,
    PermitRequest,
    PlacesAnswer,
    ReleaseAnswer,
    ReleaseRequest,
    SignAnswer,
    SignRequest,
    SiteAnswer,
    release_context,
    release_digest,
)
from ._writer import SealedWriter, create

__all__ = [
    "ACTIONS",
    "EPHEMERAL_KIND",
    "KINDS",
    "RECIPIENT_KINDS",
    "RECOVERY",
    "AwsKms",
    "AwsKmsRecipient",
    "Door",
    "File",
    "KeyFiles",
    "KeyFolder",
    "Keys",
    "Kind",
    "Manifest",
    "NoteRequest",
    "ObjectAnswer",
    "PermitRequest",
    "Pkcs11",
    "Pkcs11Recipient",
    "PlacesAnswer",
    "PrivateKey",
    "PublicKey",
    "Recipient",
    "ReleaseAnswer",
    "ReleaseRequest",
    "Remote",
    "Sealed",
    "SealedFile",
    "SealedFileSystem",
    "SealedObject",
    "SealedWriter",
    "ServiceDoor",
    "ServicePath",
    "SignAnswer",
    "SignRequest",
    "Signed",
    "SiteAnswer",
    "Source",
    "Tree",
    "Unwrapper",
    "Versions",
    "WrappedKey",
    "check",
    "check_arn",
    "check_change",
    "check_key_name",
    "check_mount_point",
    "check_place",
    "check_recipients",
    "create",
    "create_pkcs11_key",
    "decode_statement",
    "find_object",
    "find_sources",
    "harden_process",
    "is_sealed_object",
    "local_principal",
    "mount",
    "named_recipient",
    "only_name",
    "open_file",
    "open_object",
    "own_door",
    "parse_pkcs11_uri",
    "prove",
    "read_bundle",
    "read_manifest",
    "reason_of",
    "rekey",
    "release_context",
    "release_digest",
    "remove_sources",
    "rotate",
    "safe_open",
    "seal",
    "split_path",
    "unmount",
    "unseal",
]
