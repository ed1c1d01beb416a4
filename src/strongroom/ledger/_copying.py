"""Copying a log that is in use, so that the copy verifies.

The order is what makes it whole: journal, then checkpoint, then the files that this checkpoint covers. What was
acknowledged before the copy began is then in the journal's copy or below the checkpoint, and no journal is ahead of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.errors import IntegrityError, StrongroomError
from ._checkpoint import Checkpoint, open_checkpoint
from ._home import Home
from ._notes import MAX_NOTE_BYTES, VerifierKey
from ._open import KEYS, MAX_KEYS
from ._record import encode_record
from ._storage import DirectoryStorage, Source, full_disk
from ._tiles import MAX_BUNDLE_BYTES, files_of

__all__ = ["forbid_before", "journal_files", "log_files"]

TRIES = 20
"""Of reading the journal, which may be renewed meanwhile."""


def journal_files(home: Home) -> list[tuple[str, bytes]]:
    """The journals as they are, by their path below the ledger's directory."""
    storage = home.storage
    if not isinstance(storage, DirectoryStorage):
        return []
    for _ in range(TRIES):
        try:
            paths = sorted(path for path in (storage.root / "journal").glob("*") if path.name.isdigit())
            return [(f"journal/{path.name}", path.read_bytes()) for path in paths]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise full_disk(error, str(storage.root / "journal")) from error
    raise StrongroomError("the journal was renewed again and again", where=storage.name, next="try again")


def log_files(
    source: Source, keys: list[VerifierKey], progress: Callable[[int, int], None]
) -> tuple[Checkpoint, Iterator[tuple[str, bytes]]]:
    """A log's checkpoint, and all of its public files up to it. Raises IntegrityError for one that is missing."""
    data = source.read("checkpoint", MAX_NOTE_BYTES)
    if data is None:
        raise IntegrityError("the checkpoint is missing", where=f"{source.name}/checkpoint")
    checkpoint = open_checkpoint(data, keys, where=f"{source.name}/checkpoint").checkpoint

    def files() -> Iterator[tuple[str, bytes]]:
        yield "checkpoint", data
        for name, limit in ((KEYS.rpartition("/")[2], MAX_KEYS * 512), ("cosigned", MAX_NOTE_BYTES)):
            found = source.read(name, limit)
            if found is not None:
                yield name, found
        names = list(files_of(checkpoint.size))
        for number, name in enumerate(names, 1):
            yield _file(source, name)
            progress(number, len(names))

    return checkpoint, files()


def _file(source: Source, name: str) -> tuple[str, bytes]:
    """A tile or bundle; where a partial one is gone, the full one that replaced it."""
    for path in dict.fromkeys((name, name.partition(".p/")[0])):
        data = source.read(path, MAX_BUNDLE_BYTES)
        if data is not None:
            return path, data
    raise IntegrityError("a file of the log is missing", where=f"{source.name}/{name}", next="strongroom ledger verify")


def forbid_before(root: Path, checkpoint: Checkpoint) -> None:
    """Has a log in this directory refuse to append until it holds all that a newer checkpoint covers.

    The journal says that the tree had this size, as it does of any checkpoint that went back in time.
    """
    data = b"".join(encode_record(checkpoint.size, [], checkpoint.root))
    folder = root / "journal"
    folder.mkdir(mode=0o700, exist_ok=True)
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    storage = DirectoryStorage(root)
    storage.replace(f"journal/{max(numbers, default=0) + 1:012d}", data)
