"""Looking after a site: what compares, backs up and restores one, imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..audit import Comparison
    from ..ledger import Source
    from ._access import Administration
    from ._backup import Manifest
    from ._restore import Restored
    from ._site import Site

__all__ = ["accept_rows", "back_up", "compare_site", "restore"]


def compare_site(site: Site, *, progress: Callable[[int, int], None] = lambda done, all: None) -> Comparison:
    """Compares a site's tables with its ledger, the site being in use. Raises IntegrityError."""
    from . import _state_check

    return _state_check.compare_site(site, progress=progress)


def accept_rows(administration: Administration, found: Comparison) -> int:
    """Puts on record that rows which differ are right as they are. Returns how many. Raises StrongroomError."""
    from . import _state_check

    return _state_check.accept_rows(administration, found)


def back_up(
    site: Site,
    target: Path,
    time_us: int,
    *,
    store: bool = False,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> tuple[Manifest, list[str]]:
    """Copies a site that is in use. Returns the manifest, and the private keys in it that no passphrase seals.

    Raises UsageError where something is there already, IntegrityError, StrongroomError.
    """
    from . import _backup

    return _backup.back_up(site, target, time_us, store=store, progress=progress)


def restore(
    backup: Path,
    target: Path,
    *,
    passphrase: Callable[[Path], str] = lambda path: "",
    ledger: Source | None = None,
    checkpoint: bytes | None = None,
    notify: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Restored:
    """Makes a site of a backup, in a new or empty directory. `ledger`: a newer log; `checkpoint`: a newer one's note.

    Raises UsageError, IntegrityError, RefusedError for the passphrase, StrongroomError.
    """
    from . import _restore

    return _restore.restore(
        backup,
        target,
        passphrase=passphrase,
        ledger=ledger,
        checkpoint=checkpoint,
        notify=notify,
        progress=progress,
    )
