"""What is read of a site to measure its posture. Nothing is changed, and nobody else is asked but the database and the
object store in which the site's own tables and ledger lie."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..audit import Recent, recent_releases
from ..audit.posture import (
    IDLE_DAYS,
    WINDOW_DAYS,
    Assets,
    Facts,
    Hunts,
    Keys,
    Ledger,
    People,
    Service,
    Unread,
    Uses,
)
from ..core.errors import InputError, StrongroomError
from ..core.keyfile import is_sealed
from ._access import OWNERS
from ._posture_rules import api_keys_of, channels_of, grants_of, rules_of

if TYPE_CHECKING:
    from ..core.assets import Asset
    from ..state import Transaction
    from ..vault import KeyFolder
    from ._site import Site

__all__ = ["read_facts"]

T = TypeVar("T")
DAY_US = 86_400_000_000
DEAR = ("restricted", "crown")
ALERTS = ("high", "critical")
"""Severities of findings that count as open; campaigns always do."""
SOCKET_SECONDS = 2.0


def read_facts(site: Site, time: int, *, scan: bool) -> Facts:
    """Each part by itself: one that cannot be read says why, and the others are read all the same."""
    from ..vault import KeyFolder

    folder = KeyFolder(site.vault_keys)

    # Tried once: a database that does not answer would be waited for once for each part.
    tried = _part(lambda: _in_state(site, lambda transaction: transaction.leases.seen_time()))

    def state(read: Callable[[Transaction], T]) -> T | Unread:
        return tried if isinstance(tried, Unread) else _part(lambda: _in_state(site, read))

    return Facts(
        people=state(lambda transaction: _people(transaction, time)),
        grants=state(lambda transaction: grants_of(transaction.principals.grants(), time)),
        api_keys=state(lambda transaction: api_keys_of(transaction.principals.api_keys(), time)),
        rules=state(lambda transaction: rules_of(site, folder, transaction, time)),
        uses=state(lambda transaction: _uses(transaction, time)),
        assets=state(lambda transaction: _assets(transaction, folder)),
        keys=_part(lambda: _keys(site, folder)),
        service=state(lambda transaction: _service(site, transaction)),
        channels=_part(lambda: channels_of(site, time)),
        ledger=_part(lambda: _ledger(site, time)),
        recent=_recent(site, time, scan=scan),
        hunts=_part(lambda: _hunts(site, time)),
    )


def _part(read: Callable[[], T]) -> T | Unread:
    try:
        return read()
    except StrongroomError as error:
        return Unread(error.message, error.exit_code)
    except OSError as error:
        return Unread(f"it cannot be read: {error.strerror}", StrongroomError.exit_code)


def _in_state(site: Site, read: Callable[[Transaction], T]) -> T:
    """Raises InputError instead of making tables where there are none."""
    if not site.configuration.state.url and not (site.path / "state.db").exists():
        raise InputError("the state database is not there", next="restore it from a backup")
    with site.state.transaction(write=False) as transaction:
        return read(transaction)


def _people(transaction: Transaction, time: int) -> People:
    every = transaction.principals.all()
    busy = transaction.figures.busy_since(time - IDLE_DAYS * DAY_US)
    live = [one for one in every if not one.suspended]
    idle = [one for one in live if OWNERS not in one.groups and one.name not in busy]
    keys: dict[str, list[bool]] = {}
    for name, line in transaction.principals.ssh_keys():
        keys.setdefault(name, []).append(line.startswith("sk-"))
    approvers = [keys[one.name] for one in live if one.kind == "person" and one.name in keys]
    return People(
        principals=len(every),
        suspended=len(every) - len(live),
        owners=sum(OWNERS in one.groups for one in live),
        idle=len(idle),
        approvers=len(approvers),
        approvers_with_hardware=sum(all(kinds) for kinds in approvers),
    )


def _uses(transaction: Transaction, time: int) -> Uses:
    released = transaction.figures.released(time - WINDOW_DAYS * DAY_US)
    return Uses(leases=released.leases, with_purpose=released.with_purpose, exports=released.exports)


def _assets(transaction: Transaction, folder: KeyFolder) -> Assets:
    listed = transaction.all_assets()
    sealed = transaction.figures.sealed()
    names = {asset.name for asset in listed}
    # What lies under a tag is sealed for whoever listed the name without it.
    untagged = {line.partition(":")[0] for line in sealed}
    signers = {key.key for key in folder.signers}
    dear = [asset for asset in listed if asset.classification in DEAR and asset.kind != "endpoint"]

    def is_sealed_here(asset: Asset) -> bool:
        return asset.name in sealed or asset.name in untagged

    return Assets(
        listed=len(listed),
        dear=len(dear),
        dear_sealed=sum(map(is_sealed_here, dear)),
        dear_in_several_places=sum(len(asset.places) > 1 for asset in dear),
        sealed=len(sealed),
        sealed_unlisted=sum(not {line, line.partition(":")[0]} & names for line in sealed),
        sealed_by_known_signer=sum(signer in signers for signer in sealed.values()),
    )


def _keys(site: Site, folder: KeyFolder) -> Keys:
    recovery = folder.find("recovery")
    kinds = [key.kind for key in folder.recipients]
    files = [*site.vault_keys.glob("*.key"), *([site.ledger.key_file] if site.ledger.exists else [])]
    vault = site.configuration.vault
    return Keys(
        post_quantum=kinds.count("mlkem768-x25519"),
        classical=kinds.count("x25519"),
        kms_or_token=len(vault.aws_kms) + len(vault.pkcs11_keys),
        private_files=len(files),
        private_files_open=sum(not is_sealed(file) for file in files),
        recovery=recovery is not None,
        recovery_here=recovery is not None and folder.held(recovery),
    )


def _service(site: Site, transaction: Transaction) -> Service:
    settings = site.configuration.keyserver
    uid = _peer(site.path / settings.socket)
    holder = transaction.principals.get(site.user(site.path.stat().st_uid if uid is None else uid))
    return Service(
        answers=uid is not None,
        listens_for_others=bool(settings.listen),
        workload_has_its_user=holder is not None and OWNERS not in holder.groups and not holder.suspended,
    )


def _peer(path: Path) -> int | None:
    """The user who listens on a Unix socket; None where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(SOCKET_SECONDS)
        try:
            probe.connect(str(path))
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
        return int(struct.unpack("3i", credentials)[1])


def _ledger(site: Site, time: int) -> Ledger:
    home = site.ledger
    if not home.exists:
        return Ledger(exists=False)
    settings, left = home.settings, home.left()
    return Ledger(
        exists=True,
        entries=home.reader().size,
        places=len(settings.witnesses) + bool(settings.copy) + bool(settings.git),
        left=left[0] if left else 0,
        left_hours_ago=max(0, time // 1_000_000 - left[1]) // 3600 if left else None,
    )


def _recent(site: Site, time: int, *, scan: bool) -> Recent | Unread:
    from ..access import RELEASES

    if not site.ledger.exists:
        return Unread("the site has no ledger, so nothing is on record")
    index = site.path / "run" / "ledger-index.db"
    since = time - WINDOW_DAYS * DAY_US
    return _part(lambda: recent_releases(site.ledger.reader(), sorted(RELEASES), since, index=index, scan=scan))


def _hunts(site: Site, time: int) -> Hunts:
    if not (site.path / "store" / "findings" / "_delta_log").is_dir():  # no hunt was here; opening would make tables
        return Hunts(days_since_last=None, open=0)
    store = site.store
    rows = {row["id"]: row for kind in ("campaign", "finding") for row in store.findings(kind)}
    dismissed = {row["id"]: row["time"] for row in store.findings("dismissal")}
    last = store.last_finding("verdict")
    return Hunts(
        days_since_last=None if last is None else max(0, time - last) // DAY_US,
        open=sum(
            row["document"].get("severity", ALERTS[0]) in ALERTS
            and row["document"].get("status") != "dismissed"
            and (id not in dismissed or dismissed[id] < row["time"])
            for id, row in rows.items()
        ),
    )
