"""`site doctor`: what is wrong with a site, where, and the command that mends it. Nothing is changed."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ..core.errors import IntegrityError, StrongroomError
from ._site import Site

__all__ = ["Problem", "examine"]

Severity = Literal["advice", "error", "integrity"]
PRIVATE_FOLDERS = ("", "keys", "keys/vault", "policies", "run", "store", "ledger/journal")
PARTS = ("*.part", "keys/*.part", "keys/vault/*.part", "ledger/*/*.part")
"""Files that are renamed once they are whole."""
STALE_SECONDS = 3600


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or could be better."""

    check: str
    severity: Severity
    """`integrity`: something is not what it must be. `error`: something does not work. `advice`: it works."""
    what: str
    where: str
    next: str
    """The command that mends it."""


def examine(path: Path, time_us: int, progress: Callable[[int, int], None] = lambda done, all: None) -> list[Problem]:
    """Everything that is wrong with a site, the worst first. Raises InputError where there is none."""
    from ._doctor_ledger import ledger_problems
    from ._doctor_people import people_problems

    found = [*_files(path), *_leftovers(path, time_us)]
    try:
        site = Site.open(path)
    except StrongroomError as error:
        if not (path / "strongroom.toml").exists():
            raise
        return [problem_of("configuration", error), *found]
    for check in (_socket, _keys, people_problems):
        found += _told(check(site, time_us), site)
    found += _told(ledger_problems(site, time_us, progress), site)
    site.close()
    order = ("integrity", "error", "advice")
    return sorted(found, key=lambda one: order.index(one.severity))


def problem_of(check: str, error: StrongroomError) -> Problem:
    """An error as a problem of the site."""
    severity: Severity = "integrity" if isinstance(error, IntegrityError) else "error"
    return Problem(check=check, severity=severity, what=error.message, where=error.where, next=error.next)


def _told(problems: Iterator[Problem], site: Site) -> Iterator[Problem]:
    """A check that cannot be made is a problem; the others are made all the same."""
    try:
        yield from problems
    except StrongroomError as error:
        yield problem_of("site", error)
    except OSError as error:
        where = str(error.filename or site.path)
        yield Problem(
            check="site", severity="error", what=f"it cannot be read: {error.strerror}", where=where, next="ls -l"
        )


def _files(path: Path) -> Iterator[Problem]:
    """Who may read and write what is secret."""
    folders = [path / name for name in PRIVATE_FOLDERS]
    secrets = [*path.glob("keys/*"), *path.glob("keys/vault/*.key"), *path.glob("state.db*")]
    for each, mode in [*((one, 0o700) for one in folders), *((one, 0o600) for one in secrets)]:
        try:
            status = each.lstat()
        except FileNotFoundError:
            continue
        if mode == 0o600 and not stat.S_ISREG(status.st_mode):
            continue
        name = shlex.quote(str(each))
        if stat.S_IMODE(status.st_mode) & ~mode:
            what = f"others may read or write it (mode {stat.S_IMODE(status.st_mode):04o})"
            yield Problem(check="files", severity="error", what=what, where=str(each), next=f"chmod {mode:04o} {name}")
        if status.st_uid not in (os.geteuid(), path.stat().st_uid):
            what = f"it belongs to another user (uid {status.st_uid})"
            next = f"chown {path.stat().st_uid} {name}"
            yield Problem(check="files", severity="error", what=what, where=str(each), next=next)


def _leftovers(path: Path, time_us: int) -> Iterator[Problem]:
    """What was interrupted, and is not at work any more."""
    for pattern in PARTS:
        for each in path.glob(pattern):
            if each.stat().st_mtime + STALE_SECONDS < time_us / 1e6:
                yield _stale("what an interrupted command left", each)
    if (path / "keys" / "ledger.key.next").exists():
        what, next = "a rotation of the ledger's key was interrupted", f"strongroom ledger rotate {path}"
        where = str(path / "keys" / "ledger.key.next")
        yield Problem(check="leftovers", severity="advice", what=what, where=where, next=next)


def _socket(site: Site, _: int) -> Iterator[Problem]:
    for each in (site.path / "run").glob("*.sock"):
        if each == site.socket and not site.served:
            yield _stale("nobody listens on it", each)


def _stale(what: str, path: Path) -> Problem:
    return Problem(
        check="leftovers", severity="advice", what=what, where=str(path), next=f"rm {shlex.quote(str(path))}"
    )


def _keys(site: Site, _: int) -> Iterator[Problem]:
    """The vault's keys: who can open what is sealed on the day when this machine is lost."""
    from ..core.keyfile import is_sealed
    from ..vault import KeyFolder

    folder = KeyFolder(site.vault_keys)
    where, new = str(site.vault_keys), f"strongroom vault keys new NAME --site {shlex.quote(str(site.path))}"
    names = [key.name for key in folder.recipients]
    if not any(folder.held(key) for key in folder.signers):
        what = "there is no key to sign with: nothing can be sealed, no policies published"
        yield Problem(check="keys", severity="error", what=what, where=where, next=f"{new} --kind p256")
    if "recovery" not in names:
        what = "there is no recovery recipient: what is sealed is lost with this machine"
        yield Problem(check="keys", severity="error", what=what, where=where, next=new.replace("NAME", "recovery"))
    elif len(names) < 2:
        what = "the site seals to one recipient alone"
        yield Problem(check="keys", severity="error", what=what, where=where, next=new.replace("NAME", "site"))
    recovery = site.vault_keys / "recovery.key"
    if recovery.exists():
        what = "the recovery key's private part lies on this machine, and would be lost and stolen with it"
        next = f"copy it to where it survives this machine, then: rm {shlex.quote(str(recovery))}"
        yield Problem(check="keys", severity="advice", what=what, where=str(recovery), next=next)
    for path in sorted([*site.vault_keys.glob("*.key"), *site.path.glob("keys/ledger.key")]):
        if not is_sealed(path):
            what = "the private key is not sealed with a passphrase"
            name = shlex.quote(str(path))
            next = f"age -p -o {name}.new {name} && mv {name}.new {name}"
            if path.name == "ledger.key":
                next = f"strongroom ledger rotate {shlex.quote(str(site.path))} --new-passphrase-file FILE"
            yield Problem(check="keys", severity="advice", what=what, where=str(path), next=next)
