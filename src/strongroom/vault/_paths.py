"""Where sealed objects are: paths into them on this machine, and names of assets behind a key service."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from ..core.errors import IntegrityError, UsageError
from ..core.ids import check_asset_name
from ._manifest import MARKER, MARKER_TEXT, SIGNATURE

__all__ = ["ServicePath", "is_sealed_object", "read_regular", "split_path"]

_URL = re.compile(r"strongroom:/{1,2}([^/]+)/([^/]+/[^/]+)(?:/(.*))?", re.DOTALL)  # a Path makes one slash of two


class ServicePath(NamedTuple):
    """`strongroom://HOST/org/name[:tag][/FILE]`."""

    host: str
    asset: str
    file: str

    @classmethod
    def parse(cls, path: Path | str) -> ServicePath | None:
        """None for a path of another kind. Raises RefusedError for a name that is none, UsageError.

        >>> ServicePath.parse("strongroom://keys.acme.example/acme/llama:70b/config.json")
        ServicePath(host='keys.acme.example', asset='acme/llama:70b', file='config.json')
        """
        text = str(path)
        if not text.startswith("strongroom:/"):
            return None
        match = _URL.fullmatch(text)
        if match is None:
            raise UsageError("this names no asset", where=text[:300], next="write strongroom://HOST/org/name")
        return cls(match[1], check_asset_name(match[2]), match[3] or "")

    @property
    def object(self) -> str:
        """Without the file."""
        return f"strongroom://{self.host}/{self.asset}"


def is_sealed_object(path: Path) -> bool:
    """Whether a directory looks like one: a signed model that is not sealed has a `model.sig` too."""
    try:
        return read_regular(path / MARKER, len(MARKER_TEXT)) == MARKER_TEXT and (path / SIGNATURE).is_file()
    except (OSError, IntegrityError):
        return False


def read_regular(path: Path, limit: int) -> bytes:
    """All of a regular file: what is none could keep us waiting, and one that is too large fill the memory.

    Raises IntegrityError, OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open already
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise IntegrityError("this is no file", where=str(path), next="restore the object from a copy")
        if found.st_size > limit:
            raise IntegrityError(f"it has more than {limit:,} bytes", where=str(path), next="ask whoever made it")
        return file.read(limit)


def split_path(path: Path | str) -> tuple[Path, str]:
    """A path into a sealed object, as the object's directory and the file's name in it ('' for the object itself).

    The outermost directory that is an object is it. Where none is there yet, it is the part that ends in `.sealed`, the
    innermost; else the path itself.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed: the object's name is what was typed
    above = (whole, *whole.parents)
    root = next((one for one in reversed(above) if is_sealed_object(one)), None)
    root = root or next((one for one in above if one.suffix == ".sealed"), whole)
    return root, whole.relative_to(root).as_posix() if root != whole else ""
