"""A reserve of disk space: released when the disk is full, so that access can go on record while an operator acts."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["RESERVE_BYTES", "Reserve"]

RESERVE_BYTES = 32 << 20


class Reserve:
    """The file `journal/reserve`, whose blocks are allocated and hold nothing."""

    def __init__(self, folder: Path, notify: Callable[[str], None], size: int = RESERVE_BYTES) -> None:
        self._path = folder / "reserve"
        self._size = size
        self._notify = notify
        self.restore()

    @property
    def held(self) -> bool:
        """Whether the space is still there to be released."""
        return self._path.exists()

    def restore(self) -> None:
        """Takes the space (again) when the disk has twice as much to give."""
        with contextlib.suppress(OSError):
            if self.held or shutil.disk_usage(self._path.parent).free < 2 * self._size:
                return
            part = self._path.with_suffix(".part")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            except OSError:
                part.unlink()  # a part of it would take the last space (a quota ends before the disk does)
                raise
            finally:
                os.close(descriptor)
            part.replace(self._path)

    def release(self) -> bool:
        """Gives the space back. False when it was given back already."""
        if not self.held:
            return False
        with contextlib.suppress(OSError):
            self._path.unlink()
            self._notify(
                f"the disk is full: the reserve of {self._size >> 20} MiB is released, and the ledger goes on; "
                f"free some space now ({self._path.parent})"
            )
            return True
        return False
