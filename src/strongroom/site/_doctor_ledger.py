"""What `site doctor` says of the ledger, and of the tables beside it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator

from ..core.errors import StrongroomError
from ..ledger import DirectoryStorage
from ._doctor import Problem, problem_of
from ._site import Site
from ._state_check import compare_site

__all__ = ["ledger_problems"]

LOW_BYTES = 1 << 30
"""Free space below which is warned."""


def ledger_problems(site: Site, _: int, progress: Callable[[int, int], None]) -> Iterator[Problem]:
    """The disk, the log, whether its checkpoint has left the machine, and the tables row by row."""
    free = shutil.disk_usage(site.path).free
    if free < LOW_BYTES:
        what = f"{free >> 20:,} MiB are free"
        yield Problem(check="disk", severity="error", what=what, where=str(site.path), next="free some space")
    if not site.ledger.exists:
        yield _no_ledger(site)
        return
    storage = site.ledger.storage
    if isinstance(storage, DirectoryStorage) and (storage.root / "journal").is_dir():
        reserve = storage.root / "journal" / "reserve"
        if not reserve.exists():
            what = "the ledger's reserve was released: the disk was full"
            next = "free some space; the next entry takes it again"
            yield Problem(check="disk", severity="error", what=what, where=str(reserve), next=next)
    reader = site.ledger.reader()
    yield from _elsewhere(site, reader.size)
    if site.configuration.state.url:
        what = "the tables are shared with other servers, whose ledgers are not here: rows are not compared"
        next = "docs/scale.md says what each server's ledger can show"
        yield Problem(check="state", severity="advice", what=what, where=site.state.where, next=next)
        return
    compared = compare_site(site, progress=progress)
    for one in compared.differences:
        where = f"{one.kind} {one.row}" + (f", entry {one.entry}" if one.entry >= 0 else "")
        yield Problem(
            check="state",
            severity="integrity" if one.sure else "error",
            what=one.what,
            where=where,
            next=one.next,
        )
    if compared.more:
        what = f"{compared.more:,} more rows differ from the ledger"
        next = "strongroom site restore BACKUP DIR"
        yield Problem(check="state", severity="integrity", what=what, where=str(site.path / "state.db"), next=next)


def _no_ledger(site: Site) -> Problem:
    where = str(site.path)
    if site.had_ledger:
        what, next = "the ledger's key is gone, so nothing can go on record", "restore keys/ledger.key from a backup"
        return Problem(check="ledger", severity="integrity", what=what, where=where, next=next)
    next = f"strongroom ledger init {shlex.quote(where)} --origin NAME"
    return Problem(check="ledger", severity="error", what="nothing goes on record: no ledger", where=where, next=next)


def _elsewhere(site: Site, size: int) -> Iterator[Problem]:
    """Whether others hold a checkpoint, and whether this log continues it."""
    settings, keys = site.ledger.settings, site.ledger.keys()
    configuration = str(site.path / "strongroom.toml")
    if not (settings.copy or settings.git or settings.witnesses):
        what = "no checkpoint of the ledger leaves the machine: its operator can rewrite it unseen"
        next = "set ledger.copy, ledger.git or [[ledger.witness]]"
        yield Problem(check="ledger", severity="advice", what=what, where=configuration, next=next)
        return
    against: list[str] = []
    silent: list[str] = []
    kept = list(site.ledger.seen_elsewhere(keys, silent.append, against.append))
    verify = f"strongroom ledger verify {shlex.quote(str(site.path))}"
    for one in kept:
        if one.checkpoint.size > size:
            against.append(f"{one.by} has seen {one.checkpoint.size:,} entries, and the log ends at {size:,}")
        else:
            try:
                same = site.ledger.reader().root_at(one.checkpoint.size) == one.checkpoint.root
            except StrongroomError as error:
                yield problem_of("ledger", error)
                continue
            if not same:
                against.append(f"{one.by} has seen another history")
    for what in against:
        yield Problem(check="ledger", severity="integrity", what=what, where=str(site.path), next=verify)
    for what in silent:
        yield Problem(check="ledger", severity="error", what=what, where=configuration, next=verify)
    if not kept and not against:
        what = "no checkpoint of the ledger has left the machine yet"
        yield Problem(check="ledger", severity="advice", what=what, where=configuration, next=verify)
