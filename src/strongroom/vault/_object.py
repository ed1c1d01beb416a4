"""Opening a sealed object. The steps are taken in this order, and each is a precondition of the next:

1. `model.sig` is read, and its size is bounded;
2. its signature is checked, against the keys of those who are trusted;
3. the manifest is read and checked;
4. its signer and version are compared with what the site has on record of its name;
5. the opening is decided, and put on record until that is durable;
6. the object keys are unwrapped, and the version goes on record;
7. of each file, when it is opened: length and header are compared with the manifest, and its final segment is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..core.errors import InputError, IntegrityError, UsageError
from ._door import Door, own_door
from ._file import OpenFile, Stream
from ._keys import PublicKey
from ._manifest import SIGNATURE, Manifest, SealedFile
from ._paths import ServicePath, read_regular
from ._secret import Secret
from ._signed import MAX_BUNDLE_BYTES, Signed, read_bundle

__all__ = [
    "SealedObject",
    "check_unchanged",
    "find_object",
    "only_name",
    "open_object",
    "read_manifest",
    "read_signature",
]


def read_manifest(path: Path, trusted: Sequence[PublicKey]) -> Signed:
    """Steps 1 to 3. Raises InputError where there is no object, RefusedError for a foreign signer, IntegrityError."""
    return read_bundle(read_signature(path), trusted, str(path / SIGNATURE))


def read_signature(path: Path) -> bytes:
    """Step 1: the bundle as it lies there. Raises InputError where there is none, IntegrityError."""
    where = path / SIGNATURE
    try:
        return read_regular(where, MAX_BUNDLE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            "there is no sealed object", where=str(path), next="name a directory that 'strongroom vault seal' made"
        ) from None
    except OSError as error:
        raise InputError(f"the manifest cannot be read: {error.strerror}", where=str(where)) from error


def find_object(path: Path | str, door: Door) -> tuple[Path, str]:
    """An object's directory, and which asset it must be; '' where the directory itself was named.

    Raises InputError where an asset's is not found, RefusedError, UsageError.
    """
    named = ServicePath.parse(path)
    return (door.find(named.asset), named.asset) if named else (Path(path), "")


def open_object(
    path: Path | str,
    *,
    name: str = "",
    door: Door | None = None,
    action: str = "OpenWeights",
    reason: str = "",
    before: Callable[[Manifest], None] = lambda manifest: None,
) -> SealedObject:
    """Opens a sealed object: a `Tree` whose files are decrypted as they are read.

    `path` is its directory, or `strongroom://HOST/org/name`. `name`: the asset that it must be. `door` is the
    site's own (STRONGROOM_SITE) unless given. `action` and `reason` go on record; `before` is called with the
    checked manifest, and may raise, before they do. Raises InputError, RefusedError, IntegrityError,
    StrongroomError.
    """
    named = ServicePath.parse(path)
    door = door or own_door(named.host if named else "")
    root, asset = find_object(path, door)
    name = name or asset
    signed = read_manifest(root, door.trusted)
    manifest = signed.manifest
    if name and manifest.name != name:
        raise IntegrityError(
            f"this is {manifest.line}, not {name}", where=str(root), next="find the one that was asked for"
        )
    before(manifest)
    keys = door.release(signed, root, action=action, reason=reason)  # 4, 5, 6
    return SealedObject(root.absolute(), signed, keys)  # a mount changes the working directory


class SealedObject:
    """A `Tree`: an object that was opened. Threads may share it; it is not pickled, as its keys are not."""

    def __init__(self, root: Path, signed: Signed, keys: list[Secret]) -> None:
        self.root = root
        self.signed = signed
        self.manifest = signed.manifest
        self.object_keys = keys
        self._files = {file.name: file for file in signed.manifest.files}

    def names(self) -> Sequence[str]:
        """See `Tree`."""
        return sorted(self._files)

    def length(self, name: str) -> int:
        """See `Tree`."""
        return self.entry(name).length

    def entry(self, name: str) -> SealedFile:
        """What the manifest says of a file. Raises InputError where there is none."""
        if name not in self._files:
            raise InputError("the object has no such file", where=f"{self.root}, {name}"[:300])
        return self._files[name]

    def key_of(self, file: SealedFile) -> Secret:
        """The object key that wraps a file's data key."""
        return self.object_keys[file.key]

    def file(self, name: str) -> OpenFile:
        """See `Tree`; step 7."""
        entry = self.entry(name)
        return OpenFile(self.root, entry, self.manifest.object, self.key_of(entry))

    def open(self, name: str) -> Stream:
        """A file object, read-only and seekable."""
        return Stream(self.file(name))

    def close(self) -> None:
        """Drops the keys; files that are open stay so."""
        for key in self.object_keys:
            key.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_unchanged(root: Path, signed: Signed) -> None:
    """Raises UsageError where the object has another manifest by now; whoever asks holds its lock."""
    if read_manifest(root, [signed.signer]).digest != signed.digest:
        raise UsageError("the object was changed meanwhile", where=str(root), next="run the command again")


def only_name(sealed: SealedObject, suffix: str = "") -> str:
    """The name of the only file (that ends in `suffix`). Raises InputError where there are several, or none."""
    names = [name for name in sealed.names() if name.endswith(suffix)]
    if len(names) != 1:
        raise InputError(
            f"the object has {len(names):,} files{' ending in ' + suffix if suffix else ''}, not one",
            where=str(sealed.root),
            next="name the file: OBJECT/NAME",
        )
    return names[0]
