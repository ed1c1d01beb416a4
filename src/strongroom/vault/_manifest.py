"""What a sealed object is, as it is signed: files, their headers and keys, and for whom.

A sealed object is a directory:

    SEALED                 says in words what this is; the same bytes in every object
    model.sig              the manifest and its signature: an OpenSSF Model Signing bundle (OMS 1.0)
    files/<name>.floe      one FLOE ciphertext a file

The signed statement names every file beside `model.sig` with its SHA-256, as OMS asks, so that any OMS verifier can
check the directory without a key. What Strongroom needs beyond stands in the annotations of each resource descriptor
(in-toto allows them, OMS verifiers ignore them): of a file its length, header, and data key, wrapped with an object key
(AES key wrap, RFC 3394); of `SEALED` the object's id, name and version, and every object key, wrapped for each
recipient. One file holds all that changes when recipients do, so that changing them is one rename.

A sealing that was interrupted and continued has several object keys, because the first died with its process.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..core.clock import parse_time
from ..core.errors import InputError, IntegrityError, StrongroomError, UsageError
from ..core.ids import check_asset_name
from .floe import HEADER_BYTES, MAX_SEGMENTS, OVERHEAD, segment_length_of

__all__ = [
    "FILES",
    "MARKER",
    "MARKER_TEXT",
    "MAX_RECIPIENTS",
    "SIGNATURE",
    "Manifest",
    "SealedFile",
    "WrappedKey",
    "associated_data",
    "check_names",
    "check_segment_length",
    "context_of",
    "decode_statement",
    "encode_statement",
    "is_sound",
    "place_of",
]

FORMAT = "strongroom.sealed/1"
SIGNATURE, MARKER, FILES, SUFFIX = "model.sig", "SEALED", "files", ".floe"
MARKER_TEXT = (
    b"This directory is a sealed object: its files are encrypted (C2SP FLOE), and model.sig says which they are,\n"
    b"who signed that, and for whom. It is read with Strongroom: strongroom vault info DIRECTORY\n"
)
MAX_FILES = 1_000_000
MAX_RECIPIENTS = 64
MAX_KEYS = 1_000
"""Object keys: one for each time that sealing began or was continued."""
MAX_NAME_BYTES, MAX_PART_BYTES, MAX_PARTS = 1024, 250, 32
MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES = 1 << 10, 1 << 24
"""Of a file's segments; each reader holds a few."""
MAX_LENGTH = 1 << 60
"""Of a file's plaintext, in bytes."""
WRAPPED_BYTES = 40
"""Of a data key: 32 bytes and the check value of AES key wrap."""
MAX_WRAPPED_BYTES = 8192
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
IGNORED = [".git", ".gitattributes", ".github", ".gitignore", SIGNATURE]
"""What OMS leaves out by default, and the signature itself; ours lie below `files/`, where nothing is left out."""
_MARKER_DIGEST = hashlib.sha256(MARKER_TEXT).hexdigest()
_OBJECT = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class WrappedKey(msgspec.Struct, frozen=True):
    """An object key as one recipient has it."""

    name: str
    """As whoever sealed called the recipient."""
    key: str
    """Names the recipient's key, such as `mlkem768-x25519:<fingerprint>`."""
    wrapped: bytes


class SealedFile(msgspec.Struct, frozen=True):
    """One file: where it was, how long it is, and what opens it."""

    name: str
    length: int
    """Of the plaintext, in bytes."""
    digest: str
    """SHA-256 of the sealed file, 64 hexadecimal digits."""
    header: bytes
    """The FLOE header (74 bytes), the same as at the sealed file's begin."""
    key: int
    """Which object key wraps the data key."""
    wrapped: bytes
    """The data key, wrapped (RFC 3394)."""


class Manifest(msgspec.Struct, frozen=True):
    """All of a sealed object but its sealed bytes."""

    object: str
    """128 random bits in hexadecimal; it stays when recipients change."""
    name: str
    """The asset's name, or empty."""
    version: int
    sealed_at: str
    keys: list[list[WrappedKey]]
    """Each object key, wrapped for every recipient."""
    files: list[SealedFile]

    @property
    def line(self) -> str:
        """What versions are counted of, and the asset in access events: the asset's name, else the object's id."""
        return self.name or f"sealed/{self.object}"

    @property
    def length(self) -> int:
        """Of all files' plaintext, in bytes."""
        return sum(file.length for file in self.files)

    @property
    def root_digest(self) -> str:
        """`sha256:…` over all resources (OMS 1.0, section 6.5.1). It stays when recipients change."""
        return f"sha256:{_root(self)}"


def place_of(name: str) -> str:
    """Where a file lies in the object."""
    return f"{FILES}/{name}{SUFFIX}"


def associated_data(object: str, name: str) -> bytes:
    """What a file's ciphertext is bound to, so that no file stands in for another, of this object or of any."""
    return f"{FORMAT}\0{object}\0{name}".encode()


def context_of(object: str, name: str) -> bytes:
    """What a wrapped object key is bound to. Text, so that a KMS can put it into its log."""
    return f"{FORMAT} {object} {name}".strip().encode()


def check_names(names: Iterable[str]) -> None:
    """Raises InputError for a name that cannot be, or that cannot be beside another."""
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        _check_name(name)
        if name in seen:
            raise InputError("two files have one name", where=name)
        seen.add(name)
        if len(seen) > MAX_FILES:
            raise InputError(f"an object has at most {MAX_FILES:,} files", next="seal parts of it")
        parts = name.split("/")
        folders |= {"/".join(parts[:count]) for count in range(1, len(parts))}
    both = seen & folders or {name for name in seen if name + SUFFIX in folders}
    if both:
        raise InputError("this is the name of a file and of a directory", where=min(both))


def _check_name(name: str) -> None:
    parts = name.split("/")
    if _CONTROL.search(name):
        raise InputError("a file's name has a control character, or is no UTF-8", where=ascii(name))
    if any(part in ("", ".", "..") for part in parts):
        raise InputError("a file's name must be relative, without '.' and '..'", where=name)
    if len(name.encode()) > MAX_NAME_BYTES or len(parts) > MAX_PARTS:
        raise InputError(f"a file's name has more than {MAX_NAME_BYTES} bytes or {MAX_PARTS} parts", where=name[:200])
    if any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        raise InputError(f"a part of a file's name has more than {MAX_PART_BYTES} bytes", where=name[:200])


# The statement (in-toto v1, with the predicate of OMS 1.0)


class _FileNote(msgspec.Struct):
    length: int
    header: bytes
    key: int
    wrapped: bytes


class _ObjectNote(msgspec.Struct):
    object: str
    name: str
    version: int
    sealed_at: str
    keys: list[list[WrappedKey]]


class _Resource(msgspec.Struct, gc=False):
    name: str
    digest: str
    algorithm: str
    annotations: dict[str, msgspec.Raw] = {}


class _Serialization(msgspec.Struct):
    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: list[str] = []


class _Predicate(msgspec.Struct):
    resources: list[_Resource]
    serialization: _Serialization


class _Subject(msgspec.Struct):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct):
    type: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate: _Predicate
    predicate_type: Literal["https://model_signing/signature/v1.0"] = msgspec.field(
        name="predicateType", default="https://model_signing/signature/v1.0"
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Statement)
_file_note = msgspec.json.Decoder(_FileNote)
_object_note = msgspec.json.Decoder(_ObjectNote)


def encode_statement(manifest: Manifest) -> bytes:
    """The statement to sign. Raises InputError, UsageError for a manifest that cannot be."""
    _check(manifest)
    statement = _Statement(
        type=STATEMENT_TYPE,
        subject=[_Subject(name=manifest.line.rpartition("/")[2], digest={"sha256": _root(manifest)})],
        predicate=_Predicate(
            resources=_resources(manifest),
            serialization=_Serialization(
                method="files", hash_type="sha256", allow_symlinks=False, ignore_paths=sorted(IGNORED)
            ),
        ),
    )
    return _encoder.encode(statement)


def _resources(manifest: Manifest) -> list[_Resource]:
    """Sorted by name, by code points (OMS 1.0, section 5.2.1)."""
    made = [_described(place_of(one.name), one.digest, _note_of(one)) for one in manifest.files]
    head = _ObjectNote(manifest.object, manifest.name, manifest.version, manifest.sealed_at, manifest.keys)
    made.append(_described(MARKER, _MARKER_DIGEST, head))
    return sorted(made, key=lambda resource: resource.name)


def _note_of(file: SealedFile) -> _FileNote:
    return _FileNote(file.length, file.header, file.key, file.wrapped)


def _described(name: str, digest: str, note: Any) -> _Resource:
    return _Resource(name, digest, "sha256", {FORMAT: msgspec.Raw(_encoder.encode(note))})


def _root(manifest: Manifest) -> str:
    digests = {place_of(one.name): one.digest for one in manifest.files} | {MARKER: _MARKER_DIGEST}
    return hashlib.sha256(b"".join(bytes.fromhex(digests[name]) for name in sorted(digests))).hexdigest()


def decode_statement(payload: bytes, where: Path | str) -> Manifest:
    """The manifest of a statement whose signature was checked. Raises IntegrityError for what is none."""
    try:
        return _read(_decoder.decode(payload))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _unusable(str(error)[:200], where) from None
    except StrongroomError as error:
        raise _unusable(f"{error.message} ({error.where})" if error.where else error.message, where) from None


def _unusable(why: str, where: Path | str) -> IntegrityError:
    return IntegrityError(
        f"the manifest is none of a sealed object: {why}", where=str(where), next="ask whoever signed it"
    )


def _read(statement: _Statement) -> Manifest:
    form = statement.predicate.serialization
    if statement.type != STATEMENT_TYPE or (form.method, form.hash_type) != ("files", "sha256"):
        raise IntegrityError("it is of another type, or lists digests in another way")
    resources = statement.predicate.resources
    marker = [one for one in resources if one.name == MARKER]
    if len(marker) != 1 or marker[0].digest != _MARKER_DIGEST:
        raise IntegrityError("it is no object of this version", next="upgrade Strongroom")
    head = _object_note.decode(marker[0].annotations.get(FORMAT, b""))
    files = [_file_of(one) for one in resources if one.name != MARKER]
    manifest = Manifest(head.object, head.name, head.version, head.sealed_at, head.keys, files)
    _check(manifest)
    if len(statement.subject) != 1 or statement.subject[0].digest.get("sha256") != _root(manifest):
        raise IntegrityError("its subject's digest is another than its files give")
    return manifest


def _file_of(resource: _Resource) -> SealedFile:
    if not resource.name.startswith(f"{FILES}/") or not resource.name.endswith(SUFFIX):
        raise IntegrityError("it lists a file that no object has", where=resource.name[:200])
    if resource.algorithm != "sha256" or not _SHA256.fullmatch(resource.digest):
        raise IntegrityError("a digest is no SHA-256", where=resource.name[:200])
    note = _file_note.decode(resource.annotations.get(FORMAT, b""))
    name = resource.name[len(FILES) + 1 : -len(SUFFIX)]
    return SealedFile(name, note.length, resource.digest, note.header, note.key, note.wrapped)


def _check(manifest: Manifest) -> None:
    """Raises InputError, UsageError, RefusedError for what cannot be."""
    if not _OBJECT.fullmatch(manifest.object) or not 1 <= manifest.version < 1 << 53:
        raise InputError("the object's id or version cannot be one")
    if manifest.name:
        check_asset_name(manifest.name)
    try:
        parse_time(manifest.sealed_at)
    except (ValueError, OverflowError):
        raise InputError("the time of sealing is none") from None
    if not manifest.files:
        raise InputError("there is no file in it")
    check_names(file.name for file in manifest.files)
    if not 0 < len(manifest.keys) <= MAX_KEYS:
        raise InputError(f"{len(manifest.keys):,} object keys are none or too many")
    for wraps in manifest.keys:
        _check_recipients(wraps)
    if len({frozenset((one.name, one.key) for one in wraps) for wraps in manifest.keys}) > 1:
        raise InputError("its keys are wrapped for different recipients")
    for file in manifest.files:
        if not is_sound(file, len(manifest.keys)):
            raise InputError("a file's length, digest, header or key cannot be one", where=file.name)
        length = segment_length_of(file.header, file.name)
        check_segment_length(length, file.name)
        if file.length > MAX_SEGMENTS * (length - OVERHEAD):
            raise InputError("the file has more bytes than segments can hold", where=file.name)


def is_sound(file: SealedFile, keys: int) -> bool:
    """Whether what is said of a file can be, where there are so many object keys."""
    return (
        0 <= file.length <= MAX_LENGTH
        and 0 <= file.key < keys
        and len(file.header) == HEADER_BYTES
        and len(file.wrapped) == WRAPPED_BYTES
        and _SHA256.fullmatch(file.digest) is not None
    )


def check_segment_length(length: int, where: str = "") -> None:
    """Raises UsageError for a length of segments that the vault neither writes nor opens."""
    if not MIN_SEGMENT_BYTES <= length <= MAX_SEGMENT_BYTES:
        raise UsageError(
            f"segments have {MIN_SEGMENT_BYTES:,} to {MAX_SEGMENT_BYTES:,} bytes, not {length:,}", where=where
        )


def _check_recipients(wraps: Sequence[WrappedKey]) -> None:
    if not 0 < len(wraps) <= MAX_RECIPIENTS:
        raise UsageError(f"an object has 1 to {MAX_RECIPIENTS} recipients, not {len(wraps):,}")
    if len({one.key for one in wraps}) != len(wraps):
        raise UsageError("a recipient is named twice", next="name each once")
    for one in wraps:
        if _CONTROL.search(one.name + one.key) or not 0 < len(one.wrapped) <= MAX_WRAPPED_BYTES:
            raise UsageError("a recipient's name or key cannot be one", where=ascii(one.name)[:80])
