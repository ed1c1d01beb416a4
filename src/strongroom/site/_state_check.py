"""A site's tables beside its ledger, and putting on record that rows are right as they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ..audit import ACCEPTS, MISSING, Comparison, Difference, RowDigests, check_releases, compare_state
from ..core.clock import now
from ..core.errors import IntegrityError
from ..state import Personal, Rows, Transaction
from ..vault import KeyFolder
from ._access import OWNERS, check_signed

if TYPE_CHECKING:
    from ._access import Administration
    from ._site import Site

__all__ = ["accept_rows", "check_tables", "compare_copy", "compare_site"]

SETTLE_SECONDS = 1.0
"""Until entries that are on record now are in the tables, and in the tiles that readers see."""


def compare_site(site: Site, *, progress: Callable[[int, int], None] = lambda done, all: None) -> Comparison:
    """Compares a site that may be in use: what differs now and again a moment later. Raises IntegrityError."""
    first = compare_copy(site, None, progress)
    if not first.differences and not first.more:
        return first
    time.sleep(SETTLE_SECONDS)
    again = compare_copy(site, None, progress)
    both = {_known(one) for one in first.differences}
    again.differences = [one for one in again.differences if again.more or _known(one) in both]
    return again


def check_tables(site: Site) -> None:
    """Raises IntegrityError where the tables do not know of the last releases on record."""
    digests = RowDigests(site.subjects, site.sketch_key, create=False)
    reader = site.ledger.reader()  # before the tables: whatever it holds of leases is in them
    with site.state.transaction(write=False) as transaction:
        found = check_releases(reader, transaction.survey, digests, now())
    if found:
        raise IntegrityError(
            f"the tables are older than the ledger, or were edited: {found[0].row} {found[0].what}",
            where=site.state.where,
            next=f"{found[0].next}; see: strongroom site doctor",
        )


def accept_rows(administration: Administration, found: Comparison) -> int:
    """Puts on record that rows are right as they are, and that others are rightly gone. Returns how many.

    What was released is not accepted: leases that differ are ended, and nobody counts as the sealer of an object whose
    sealer differs. Raises RefusedError, StrongroomError.
    """
    rows = [*administration.rows.on_record(found.rows), *(f"{row}:" for row in found.gone)]
    leases = sorted({one.row for one in found.differences if one.kind in ("lease", "approval")})
    objects = [one.row for one in found.differences if one.kind == "sealer"]
    if not rows and not leases and not objects:
        return 0
    missing = [one.entry for one in found.differences if one.what == MISSING]
    change = {"change": ACCEPTS, "rows": rows, "leases": leases, "objects": objects}
    administration.put_on_record(change, rows, source=str(min(missing)) if missing else "")
    access = administration.access
    with access.state.transaction(write=True) as transaction:
        for lease in transaction.survey.leases_of(leases).values():
            transaction.leases.put(msgspec.structs.replace(lease, state="revoked", changed=access.clock()))
        for object in objects:
            transaction.leases.forget_sealer(object)
    return len(rows) + len(leases) + len(objects)


def compare_copy(site: Site, since: int | None, progress: Callable[[int, int], None]) -> Comparison:
    """Compares once; the tables are a copy, of when the log had `since` entries. Raises IntegrityError."""
    # The tables first: whatever they say is on record by the time at which the log is read.
    digests = RowDigests(site.subjects, site.sketch_key, create=False)
    with site.state.transaction(write=False) as transaction:
        beginning = _beginning(transaction, KeyFolder(site.vault_keys))
        return compare_state(
            site.ledger.reader(),
            transaction.survey,
            digests,
            now(),
            beginning=beginning,
            since=since,
            progress=progress,
        )


def _beginning(transaction: Transaction, keys: KeyFolder) -> Rows:
    """What `init` made: its first policies, which the site signed together with who made the site and owns it."""
    first = transaction.survey.first_policies()
    if first is None or first.version != 1:
        return {}
    try:
        check_signed(first, keys)
    except IntegrityError:
        return {}
    rows = transaction.survey.guarded()
    policies = ("policies", "version 1")
    owner = ("principal", Personal(first.by))
    return {policies: rows[policies], owner: ("person", (OWNERS,), False)}


def _known(one: Difference) -> tuple[str, str, str]:
    return (one.kind, one.row, one.what)
