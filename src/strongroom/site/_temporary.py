"""A site that lives as long as one hunt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.errors import InputError, StrongroomError, UsageError
from ._site import Site

__all__ = ["temporary_site"]


@contextlib.contextmanager
def temporary_site(words: Sequence[str], *, keep_text: bool = False, options: Sequence[str] = ()) -> Iterator[Site]:
    """A site for one hunt, removed when it ends or its input is unusable; kept when it is interrupted or fails.

    Its place follows from the words of the command, the files that they name, and the `options` that decide what
    is read from them, so that the same command continues an interrupted hunt. What comes through a pipe cannot be
    read again: such a hunt gets a place of its own.
    """
    path = _temporary_path(words, keep_text=keep_text, options=options)
    try:
        if path.is_symlink() or (path.exists() and path.lstat().st_uid != os.getuid()):
            raise StrongroomError(
                "the temporary site belongs to somebody else",
                where=str(path),
                next="set TMPDIR to a directory of yours",
            )
        if path.exists() and not (path / "strongroom.toml").exists():
            shutil.rmtree(path)  # an interrupted start
        resumed = path.exists()
        site = Site.open(path) if resumed else Site.create(path, keep_text=keep_text, owned=False)
    except OSError as error:
        raise StrongroomError(
            f"the temporary site cannot be made: {error.strerror}", where=str(path), next="remove it, or set TMPDIR"
        ) from error
    with site.exclusively():
        keep = False
        try:
            yield site
        except (InputError, UsageError):
            keep = resumed
            raise
        except BaseException:
            keep = True
            raise
        finally:
            if not keep or _streamed(words):
                shutil.rmtree(path, ignore_errors=True)


def _temporary_path(words: Sequence[str], *, keep_text: bool, options: Sequence[str]) -> Path:
    named = [word if word == "-" or "://" in word else str(Path(word).absolute()) for word in words]
    for word in words:
        # Another file under the old name (a rotated log) is another hunt.
        with contextlib.suppress(OSError, ValueError):
            status = Path(word).stat()
            named.append(f"{status.st_dev}:{status.st_ino}")
    if _streamed(words):
        named.append(secrets.token_hex(8))
    parts = [str(os.getuid()), str(keep_text), *named, "", *options]
    digest = hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()
    try:
        return Path(tempfile.gettempdir()) / f"strongroom-hunt-{digest[:16]}"
    except OSError as error:
        raise StrongroomError(f"no temporary directory: {error.strerror}", next="set TMPDIR, or use --site") from error


def _streamed(words: Sequence[str]) -> bool:
    """Whether something comes through a pipe, whose content is gone once it is read."""
    return any(word == "-" or word.startswith(("/dev/fd/", "/proc/self/fd/")) for word in words)
