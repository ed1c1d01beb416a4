"""`site backup`: a copy of a site that is in use, whole or not there.

    backup.json   what is in it, with SHA-256 of every file    strongroom.toml   keys/   policies/
    state.db      ledger/{public,journal}/                      store/, if it was asked for

Tables first, then the journal, then the log: what the tables say is then on record in the copy. What lies in `run/` is
made anew. The copy holds private keys as they lie in the site, so it is of mode 0700.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..core.clock import format_time
from ..core.errors import IntegrityError, StrongroomError, UsageError
from ..core.keyfile import is_sealed, sync_directory
from ..ledger import DirectoryStorage, journal_files, log_files
from ._site import Site

__all__ = ["MANIFEST", "Manifest", "back_up", "copy_file", "written_whole"]

MANIFEST = "backup.json"
TYPE = "strongroom.backup/1"
CHUNK = 1 << 20
Progress = Callable[[int, int], None]


class Filed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a backup."""

    path: str
    bytes: int
    mode: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Backup v1: what a backup holds."""

    type: str = TYPE
    time: str
    origin: str
    """Of the ledger; empty where the site has none."""
    entries: int
    """All that the ledger had published when the tables were copied: later entries they may not know."""
    size: int
    """Entries below the checkpoint that is in the backup."""
    left_out: list[str]
    files: list[Filed]


def back_up(site: Site, target: Path, time_us: int, *, store: bool, progress: Progress) -> tuple[Manifest, list[str]]:
    """Makes a backup. Returns its manifest, and the private keys in it that no passphrase seals.

    Raises UsageError where something is there already or the tables are not in the site, IntegrityError for a log that
    does not hold what its checkpoint covers, StrongroomError.
    """
    with written_whole(target, "the backup") as part:
        files: list[Filed] = []
        add = _Adder(part, files)
        entries = site.ledger.reader().size if site.ledger.exists else 0
        site.state.copy_to(part / "state.db", progress=progress)
        files.append(_filed(part, part / "state.db"))
        size = _add_ledger(site, add, progress)
        for name in ("strongroom.toml", "keys", "policies"):
            _add_files(site.path, name, add)
        if store:
            with site.exclusively():  # nothing is removed from the tables meanwhile
                _add_files(site.path, "store", add)
        elsewhere = site.ledger.exists and not isinstance(site.ledger.storage, DirectoryStorage)
        left_out = ["run", *["store"] * (not store), *["ledger"] * elsewhere]
        manifest = Manifest(
            time=format_time(time_us),
            origin=site.name if site.ledger.exists else "",
            entries=entries,
            size=size,
            left_out=left_out,
            files=files,
        )
        add(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)), 0o600)
    return manifest, [one.path for one in files if one.path.endswith(".key") and not _sealed(target / one.path)]


@contextlib.contextmanager
def written_whole(target: Path, what: str) -> Iterator[Path]:
    """A directory that is there whole once the context is left, or not at all. Raises UsageError, StrongroomError."""
    part = target.with_name(f"{target.name}.part")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError("something is there already", where=str(target), next="choose another name")
        try:
            part.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            raise UsageError(
                "another command is at work on this, or one was killed", where=str(part), next="remove it"
            ) from None
        try:
            yield part
            for folder, _, _ in os.walk(part):
                sync_directory(Path(folder))
            part.rename(target)
            sync_directory(target.parent)
        except BaseException:  # Ctrl-C too
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise StrongroomError(
            f"{what} cannot be written: {error.strerror}", where=str(target), next="check space and permissions"
        ) from error


def copy_file(source: Path, target: Path, mode: int) -> str:
    """Makes a durable copy. Returns its SHA-256."""
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as file, os.fdopen(descriptor, "wb") as made:
        while data := file.read(CHUNK):
            digest.update(data)
            made.write(data)
        made.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    return digest.hexdigest()


class _Adder:
    """Writes small files into a backup, durably."""

    def __init__(self, part: Path, files: list[Filed]) -> None:
        self.part, self.files = part, files

    def __call__(self, path: str, data: bytes, mode: int) -> None:
        target = self.part / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        digest = hashlib.sha256(data).hexdigest()
        self.files.append(Filed(path=path, bytes=len(data), mode=mode, sha256=digest))

    def copy(self, source: Path, path: str) -> None:
        """The same of a file that may be large."""
        target, mode = self.part / path, stat.S_IMODE(source.stat().st_mode) & 0o700
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = copy_file(source, target, mode)
        self.files.append(Filed(path=path, bytes=target.stat().st_size, mode=mode, sha256=digest))


def _add_ledger(site: Site, add: _Adder, progress: Progress) -> int:
    """The log, where it lies in the site's directory. Returns its size."""
    if not site.ledger.exists:
        return 0
    if not isinstance(site.ledger.storage, DirectoryStorage):
        return site.ledger.reader().size
    for path, data in journal_files(site.ledger):
        add(f"ledger/{path}", data, 0o600)
    checkpoint, files = log_files(site.ledger.source, site.ledger.keys(), progress)
    for path, data in files:
        add(f"ledger/public/{path}", data, 0o644)
    return checkpoint.size


def _add_files(root: Path, name: str, add: _Adder) -> None:
    paths = [root / name] if (root / name).is_file() else sorted((root / name).rglob("*"))
    for path in paths:
        relative = path.relative_to(root)
        if path.is_file() and path.suffix != ".part" and relative.parts[:2] != ("store", "spill"):
            add.copy(path, relative.as_posix())


def _filed(part: Path, path: Path) -> Filed:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    return Filed(path=path.relative_to(part).as_posix(), bytes=status.st_size, mode=mode, sha256=digest)


def _sealed(path: Path) -> bool:
    return path.name != "sketch.key" and is_sealed(path)


def read_manifest(backup: Path) -> Manifest:
    """Raises IntegrityError for one that is damaged, or of a later version."""
    where = str(backup / MANIFEST)
    try:
        found = msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise UsageError("this is no backup", where=where, next="name what 'site backup' made") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"the backup's manifest is damaged: {error}", where=where, next="use another") from None
    if found.type != TYPE:
        raise IntegrityError(f"the backup is of type {found.type[:40]}", where=where, next="upgrade Strongroom")
    return found
