"""One file of a sealed object by its path: what `open` and `safetensors.safe_open` do for plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from ..core.errors import UsageError
from ._door import Door
from ._file import OpenFile, Stream
from ._object import only_name, open_object
from ._paths import ServicePath, is_sealed_object, split_path
from ._safetensors import SafeOpen
from ._writer import WritableFile, add_file, create_file

__all__ = ["open_file", "safe_open"]


@overload
def open_file(path: Path | str, mode: Literal["rb"] = ..., *, door: Door | None = ...) -> Stream: ...
@overload
def open_file(path: Path | str, mode: Literal["wb"], *, door: Door | None = ...) -> WritableFile: ...
def open_file(path: Path | str, mode: Literal["rb", "wb"] = "rb", *, door: Door | None = None) -> Stream | WritableFile:
    """A file object for `OBJECT/NAME`; of an object with one file, `OBJECT` alone is enough to read it.

    `rb` is seekable. `wb` makes a new object, or adds to one that is there; nothing is replaced. Raises InputError,
    UsageError, RefusedError, IntegrityError, StrongroomError.
    """
    if mode == "rb":
        return Stream(_opened(path, "", door))
    if mode != "wb":
        raise UsageError(f"a sealed file cannot be opened with mode '{mode}'", next="choose rb or wb")
    root, name = split_path(path)
    if not name:
        raise UsageError("no file is named", where=str(path), next="write …/NAME.sealed/FILE")
    return add_file(root, name, door=door) if is_sealed_object(root) else create_file(root, name, door=door)


def safe_open(
    path: Path | str,
    framework: str = "np",
    device: str | int = "cpu",
    *,
    backend: object = None,
    door: Door | None = None,
) -> SafeOpen:
    """What `safetensors.safe_open` gives for a plain file: `keys`, `metadata`, `get_tensor`, `get_slice`.

    `path` is `OBJECT/NAME`, or `OBJECT` where it has one file that ends in `.safetensors`; an object may be named
    `strongroom://HOST/org/name` too. `framework` is `np` or `pt`. A slice reads and decrypts the segments that it
    touches. `backend` says how safetensors reads a plain file; it is taken, as callers give it, and means nothing here.
    Raises InputError, UsageError, RefusedError, IntegrityError.
    """
    return SafeOpen(_opened(path, ".safetensors", door), framework, device)


def _opened(path: Path | str, suffix: str, door: Door | None) -> OpenFile:
    named = ServicePath.parse(path)
    root, name = (named.object, named.file) if named else split_path(path)
    with open_object(root, door=door) as sealed:
        return sealed.file(name or only_name(sealed, suffix))
