"""`site restore`: a backup becomes a site again, and nothing that was over since comes back to life.

1. Every file is what the manifest says, or nothing is made.
2. The log goes on from the newest that is at hand (`ledger`). Where somebody holds a newer checkpoint whose entries are
   not at hand, the restored log refuses to append until they are there: it would become another history.
3. Every lease that could still be used is revoked, and with it what was approved. It is on record.
4. Tables and log are compared. What was changed since the backup is told, and on record as lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from ..audit import RESTORES, Comparison, Difference
from ..core.clock import now
from ..core.errors import IntegrityError
from ..core.leases import LeaseState
from ..ledger import (
    Checkpoint,
    Seen,
    Source,
    VerifierKey,
    forbid_before,
    log_files,
    open_checkpoint,
    read_keys,
    verify_log,
)
from ._backup import Manifest, Progress, copy_file, read_manifest, written_whole
from ._site import Site
from ._state_check import compare_copy

__all__ = ["Restored", "restore"]

LIVE: tuple[LeaseState, ...] = ("requested", "pending", "active")


@dataclasses.dataclass
class Restored:
    """What became of a backup."""

    manifest: Manifest
    revoked: int = 0
    """Leases that could still be used."""
    lost: dict[str, int] = dataclasses.field(default_factory=dict)
    """Changes since the backup that the newer ledger shows, by what kind they are."""
    ahead: str = ""
    """Who holds a newer checkpoint, where its entries are not at hand: then nothing can be appended."""
    newer: int = 0
    """Entries that were taken from a newer ledger."""
    compared: int = 0
    """Places outside of the backup with which the log was compared."""
    differences: list[Difference] = dataclasses.field(default_factory=list)


def restore(
    backup: Path,
    target: Path,
    *,
    passphrase: Callable[[Path], str],
    ledger: Source | None,
    checkpoint: bytes | None,
    notify: Callable[[str], None],
    progress: Progress,
) -> Restored:
    """Restores into a new or empty directory. `ledger`: a newer log, or a copy of one; `checkpoint`: a newer note.

    Raises UsageError, IntegrityError for what is damaged or is another history, RefusedError for the passphrase.
    """
    manifest = read_manifest(backup)
    result = Restored(manifest)
    with written_whole(target, "the site") as part:
        _copy(backup, part, manifest, progress)
        site = Site.open(part)
        try:
            if site.ledger.exists:
                _restore_ledger(site, result, ledger, checkpoint, passphrase, notify, progress)
                _settle(site, result, passphrase, notify, progress)
            elif manifest.origin or ledger is not None or checkpoint is not None:
                raise IntegrityError(
                    "the backup's ledger is not in it, so nothing can be compared with it",
                    where=str(backup),
                    next="use another backup",
                )
            else:
                result.revoked = _revoke(site)
        finally:
            site.close()
    return result


def _copy(backup: Path, part: Path, manifest: Manifest, progress: Progress) -> None:
    for folder in ("store", "keys", "run"):
        (part / folder).mkdir(mode=0o700)
    for number, one in enumerate(manifest.files, 1):
        path = PurePosixPath(one.path)
        if path.is_absolute() or ".." in path.parts or one.mode & ~0o755:
            raise IntegrityError("the backup's manifest names what is no file of a site", where=one.path)
        made = part / path
        made.parent.mkdir(mode=0o755 if path.parts[:2] == ("ledger", "public") else 0o700, parents=True, exist_ok=True)
        try:
            digest = copy_file(backup / path, made, one.mode)
        except FileNotFoundError:
            raise IntegrityError("a file of the backup is missing", where=str(backup / path)) from None
        if digest != one.sha256:
            where = str(backup / path)
            raise IntegrityError("a file of the backup is damaged", where=where, next="use another backup")
        progress(number, len(manifest.files))


def _restore_ledger(
    site: Site,
    result: Restored,
    ledger: Source | None,
    note: bytes | None,
    passphrase: Callable[[Path], str],
    notify: Callable[[str], None],
    progress: Progress,
) -> None:
    """Step 2."""
    keys, before = site.ledger.keys(), result.manifest.size
    if ledger is not None:
        _take_newer(site, ledger, keys, progress)
    try:
        with site.ledger.open(passphrase=passphrase(site.ledger.key_file)):
            pass  # what is in the journal alone goes into tiles
    except IntegrityError as error:
        error.next = "the ledger's key, or its newest entries, are of another time: restore those too"
        raise
    reader = site.ledger.reader()
    result.newer = max(0, reader.size - before) if ledger is not None else 0
    against: list[str] = []
    seen = list(site.ledger.seen_elsewhere(keys, notify, against.append))
    if note is not None:
        seen.append(Seen("--checkpoint", open_checkpoint(note, keys, where="--checkpoint").checkpoint))
    result.compared = len(seen) + (ledger is not None)
    newest = max(seen, key=lambda one: one.checkpoint.size, default=None)
    against += [
        f"the first {one.checkpoint.size:,} entries are not those that {one.by} has seen"
        for one in seen
        if one.checkpoint.size <= reader.size and reader.root_at(one.checkpoint.size) != one.checkpoint.root
    ]
    if against:
        raise IntegrityError("; ".join(against), where=str(site.path), next="use another backup")
    if newest is not None and newest.checkpoint.size > reader.size:
        _forbid(site, newest.checkpoint)
        result.ahead = f"{newest.by} has seen {newest.checkpoint.size:,} entries, and {reader.size:,} are here"


def _take_newer(site: Site, source: Source, keys: list[VerifierKey], progress: Progress) -> None:
    """Puts the files of a newer log in the place of the backup's, once it is known to continue that."""
    held = Seen("the backup", site.ledger.reader().signed.checkpoint)
    claimed = read_keys(source, "keys")
    if claimed[-1] != keys[-1]:
        raise IntegrityError(
            "the ledger has another key than when the backup was made",
            where=source.name,
            next="use a newer backup; without the key of now this log cannot go on",
        )
    verify_log(source, keys[-1:], older_keys=keys, seen=[held], progress=progress).check(source.name)
    checkpoint, files = log_files(source, keys[-1:], progress)
    if checkpoint.size <= held.checkpoint.size:
        return
    last = None
    for path, data in files:
        if path == "checkpoint":
            last = data  # when all that it covers is there
        elif path != "keys":
            site.ledger.storage.replace(f"public/{path}", data)
    assert last is not None
    site.ledger.storage.replace("public/checkpoint", last)


def _forbid(site: Site, checkpoint: Checkpoint) -> None:
    storage = site.ledger.storage
    if isinstance(storage.root, Path):
        forbid_before(storage.root, checkpoint)


def _settle(
    site: Site,
    result: Restored,
    passphrase: Callable[[Path], str],
    notify: Callable[[str], None],
    progress: Progress,
) -> None:
    """Steps 3 and 4."""
    entries = result.manifest.entries
    found: Comparison = compare_copy(site, entries, progress)
    result.lost = found.recorded
    result.revoked = _revoke(site)
    if result.ahead:
        return
    # Not decided by policy: whoever restores can write every file, and may be nobody whom the site knows.
    administration = dataclasses.replace(site.administration(passphrase=passphrase, notify=notify), decides=False)
    rows = [*administration.rows.on_record(found.outdated), *(f"{row}:" for row in found.outdated_gone)]
    change = {"change": RESTORES, "entries": entries, "revoked": result.revoked}
    administration.put_on_record(change, rows, source=str(entries))
    result.differences = compare_copy(site, None, progress).differences


def _revoke(site: Site) -> int:
    """Ends every lease that could still be used. Returns how many."""
    time = now()
    with site.state.transaction(write=True) as transaction:
        live = list(transaction.survey.leases(states=LIVE, ending_after=time))
        for lease in live:
            transaction.leases.put(msgspec.structs.replace(lease, state="revoked", changed=time))
        transaction.leases.see_time(time)
    return len(live)
