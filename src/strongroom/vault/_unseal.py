"""Unsealing: every file decrypted, its sealed bytes compared with the signed digest, and all put into place at once.

A file that is being decrypted has no name (O_TMPFILE), so that a kill leaves nothing of it; it gets its name when all
of it was authentic. After a kill whole files lie in `.<out>.unsealing`, mode 0700, for the same command to continue;
after an error or a Ctrl-C they are removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import InputError, IntegrityError, UsageError
from ._each import each_file, threads_or_all
from ._file import open_cipher, open_descriptor
from ._manifest import SealedFile
from ._object import SealedObject
from ._pipeline import SMALL, Output, Progress, decrypt_file
from ._work import Work, create_new, exists, make_folders, no_write

__all__ = ["check_place", "not_as_signed", "unseal"]


def unseal(
    sealed: SealedObject,
    out: Path,
    *,
    names: Sequence[str] = (),
    threads: int = 0,
    replace: bool = False,
    progress: Progress = lambda count: None,
) -> int:
    """Writes the files of an object (all, or those named) into the new directory `out`, mode 0700.

    Returns how many an interrupted run had written already. Raises InputError, UsageError, IntegrityError naming file,
    segment and offset, StrongroomError; then there is at `out` what was there before.
    """
    files = [sealed.entry(name) for name in (names or sealed.names())]
    check_place(sealed.root, sealed.names(), out, replace=replace)
    head = {"statement": sealed.signed.digest, "files": sorted(file.name for file in files)}
    with Work(out, "unsealing") as work:
        done = _before(work.begin(head), files, work.object)
        try:
            make_folders(work.object, [file.name for file in files])

            def one(file: SealedFile, threads: int, progress: Progress) -> None:
                _unseal_file(sealed, file, work.object, threads, progress)
                work.done({"file": file.name}, file.length)

            for name in done:
                progress(sealed.length(name))
            left = [file for file in files if file.name not in done]
            each_file(one, left, lambda file: file.length, threads_or_all(threads), progress)
            for folder in (work.object, *(path for path in work.object.rglob("*") if path.is_dir())):
                folder.chmod(0o700)
            work.place(replace=replace)
        except BaseException as error:
            work.discard()  # whoever is told that it failed must not have to look for plaintext
            if isinstance(error, OSError):
                raise no_write(work.path, error) from error
            raise
    return len(done)


def check_place(root: Path, names: Collection[str], out: Path, *, replace: bool) -> None:
    """Raises UsageError, InputError for a place where the object at `root` cannot be unsealed to.

    What is replaced must be an earlier unsealing: a directory that holds no file but such as the object has.
    """
    whole, own = out.resolve(), root.resolve()
    if own in (whole, *whole.parents) or whole in own.parents:
        raise UsageError("the object itself lies there", where=str(out), next="choose another -o")
    if out.exists() or out.is_symlink():
        if not replace:
            raise exists(out)
        if not out.is_dir() or out.is_symlink() or not _holds_only(out, names):
            raise UsageError(
                "it holds what the object does not, so it is not replaced", where=str(out), next="choose another -o"
            )
    if not out.parent.is_dir():
        raise InputError("there is no such directory", where=str(out.parent), next=f"mkdir {out.parent}")


def _holds_only(folder: Path, names: Collection[str]) -> bool:
    known = set(names)
    for path, _, files in os.walk(folder):
        if any((Path(path) / name).relative_to(folder).as_posix() not in known for name in files):
            return False
    return True


def _before(lines: Sequence[Any], files: Sequence[SealedFile], root: Path) -> set[str]:
    """The files that an interrupted run has written, and that are there."""
    told = {line["file"] for line in lines if isinstance(line.get("file"), str)}
    return {file.name for file in files if file.name in told and _size(root / file.name) == file.length}


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return -1


def _unseal_file(sealed: SealedObject, file: SealedFile, root: Path, threads: int, progress: Progress) -> None:
    source = open_descriptor(sealed.root, file)
    try:
        cipher = open_cipher(source, file, sealed.manifest.object, sealed.key_of(file))
        try:
            with _nameless(f"{root}/{file.name}") as descriptor:
                out = Output(descriptor)
                digest = decrypt_file(source, cipher, file.length, out.write, threads=threads, progress=progress)
                if digest != file.digest:
                    raise not_as_signed(file)
                if file.length > SMALL:
                    out.sync()
        finally:
            cipher.forget()
    finally:
        os.close(source)


def not_as_signed(file: SealedFile) -> IntegrityError:
    """The error for a file that opens and is not what was signed: whoever may open it has written to it."""
    return IntegrityError(
        "the sealed file has another digest than was signed: somebody who holds its key has changed it",
        where=file.name,
        next="restore the sealed file from a copy, and ask who held the key",
    )


@contextlib.contextmanager
def _nameless(path: str) -> Iterator[int]:
    """A descriptor of a new file that gets its name when the block ends well. Raises StrongroomError."""
    try:
        out, named = _open_nameless(path)
        try:
            yield out
            if not named:
                _give_name(out, path)
        except BaseException:
            if named:
                os.unlink(path)  # noqa: PTH108
            raise
        finally:
            os.close(out)
    except OSError as error:
        raise no_write(path, error) from error


def _open_nameless(path: str) -> tuple[int, bool]:
    """A descriptor, and whether the file has its name already: where the file system knows no O_TMPFILE."""
    folder = path.rpartition("/")[0]
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), False
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
    out = create_new(path)
    os.fchmod(out, 0o600)
    return out, True


def _give_name(out: int, path: str) -> None:
    # An absolute path needs no descriptor, but with one Python calls linkat(2), which follows.
    for attempt in (1, 2):
        try:
            os.link(f"/proc/self/fd/{out}", path, src_dir_fd=out, follow_symlinks=True)
        except FileExistsError:
            if attempt == 2:
                raise
            os.unlink(path)  # noqa: PTH108 - of a run that was killed before it was told of
        else:
            return
