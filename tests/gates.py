"""A crown asset whose owner may export what two others approve, behind one server or two that share their state."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from strongroom.access import Access, request_lease
from strongroom.core.assets import Asset
from strongroom.core.clock import format_time, now
from strongroom.core.errors import RefusedError
from strongroom.core.ids import new_id
from strongroom.core.leases import Approval, Grant, Lease
from strongroom.core.principals import Principal
from strongroom.core.records import AccessEvent
from strongroom.ledger import LogReader, open_source, read_checkpoint
from strongroom.policy import DEFAULT
from strongroom.site import Site
from strongroom.state import Transaction

from .postgres import PASSWORD, Server

ASSET, PEOPLE = "acme/llama", ("eve@acme", "ole@acme")
TWO_MINUTES = 121_000_000


class Signed:
    """`Approvals` without signatures: what is tried here is the order."""

    def approvers(self, lease: Lease, given: list[Approval], transaction: Transaction) -> list[Principal]:
        return [one for one in map(transaction.principals.get, (a.principal for a in given)) if one is not None]

    def signer(self, lease: Lease, signature: str, transaction: Transaction) -> str:
        raise NotImplementedError


def share_state(sites: Iterable[Path], url: str) -> None:
    """What docs/scale.md says of files: the keys of the first are everybody's, and the database."""
    first, *others = sites
    for other in others:
        shutil.rmtree(other / "keys/vault")
        shutil.copytree(first / "keys/vault", other / "keys/vault")
        for name in ("sketch.key", "writer.token"):
            shutil.copy(first / "keys" / name, other / "keys" / name)
    for path in (first, *others):
        (path / "keys/state.password").write_text(f"{PASSWORD}\n")
        (path / "keys/state.password").chmod(0o600)
        text = (path / "strongroom.toml").read_text()
        text = re.sub(r"^\[policy\]$", '[policy]\nsite = "example.com/both"', text, flags=re.MULTILINE)
        text += f'\n[state]\nurl = "{url}"\npassword_file = "keys/state.password"\n'
        (path / "strongroom.toml").write_text(text)


class Gate:
    """Its sites, and a file of what was released."""

    def __init__(self, root: Path, server: Server | None = None) -> None:
        """With `server`, two sites that share a database of it."""
        self.sites = [root / f"site-{number}" for number in range(2 if server else 1)]
        self.released = root / "released"
        for number, path in enumerate(self.sites):
            Site.create(path, origin=f"example.com/gate-{number}")
        if server:
            share_state(self.sites, server.database())
        self._begin()
        self.released.touch()

    def _begin(self) -> None:
        site = Site.open(self.sites[0])
        self.me = site.local_principal
        with site.state.transaction(write=True) as transaction:
            transaction.put_assets([Asset(name=ASSET, classification="crown", size=1 << 40, places=["file:///srv/m"])])
            transaction.principals.put(Principal(name=self.me, groups=["owners"]))
            if transaction.policies.newest_version() == 0:
                site.administration()._publish(transaction, DEFAULT.read_text())
            for name in PEOPLE:
                transaction.principals.put(Principal(name=name, groups=["members"]))
            for action in ("ExportWeights", "OpenWeights"):
                grant = Grant(subject=self.me, action=action, asset=ASSET, given=0, expires=1 << 60, by=self.me)
                transaction.principals.grant(grant)
        site.close()

    def lease(self) -> str:
        """One that two others approved."""
        site = Site.open(self.sites[0])
        made = request_lease(site.access(), self.me, "ExportWeights", ASSET, digest="", purpose="try", seconds=60)
        with site.state.transaction(write=True) as transaction:
            for name in PEOPLE:
                approval = Approval(id=new_id("apr", now()), lease=made.id, principal=name, signature="", given=now())
                transaction.leases.approve(approval)
        site.close()
        return made.id

    def access(self, at: int = 0, later: int = 0) -> Access:
        """A server's. `later`: by a clock that is so far ahead."""
        access = Site.open(self.sites[at]).access()
        access.approvals, access.clock = Signed(), lambda: now() + later
        return access

    def ask(self, access: Access, lease: str, action: str = "ExportWeights", **more: str) -> None:
        """Asks, and notes that it was let in. Raises RefusedError, StrongroomError."""
        time_us = access.clock()
        event = AccessEvent(
            id=new_id("evt", time_us),
            time=format_time(time_us),
            principal=self.me,
            action=action,
            asset=ASSET,
            outcome="allowed",
            lease=lease,
            bytes=1 << 20,
            **more,
        )
        access.authorize(event)
        with self.released.open("ab", buffering=0) as file:
            file.write(f"{lease or action}\n".encode())

    def export(self, lease: str, later: int = 0, at: int = 0) -> None:
        """In a child: whoever is refused says nothing."""
        try:
            self.ask(self.access(at, later), lease)
        except RefusedError:
            return

    def let_in(self) -> Counter[str]:
        return Counter(self.released.read_text().split())

    def state_of(self, lease: str) -> str:
        site = Site.open(self.sites[0])
        with site.state.transaction(write=False) as transaction:
            found = transaction.leases.get(lease)
        site.close()
        assert found is not None
        return found.state

    def on_record(self) -> Counter[str]:
        """How often each lease was allowed, as the logs of all servers say."""
        found = Counter[str]()
        for path in self.sites:
            source = open_source(str(path))
            reader = LogReader(source, read_checkpoint(source, Site.open(path).ledger.keys()))
            bodies = [json.loads(entry)["body"] for _, entry in reader.entries()]
            found.update(body["lease"] for body in bodies if body["outcome"] == "allowed" and body.get("lease"))
        return found

    def check(self) -> None:
        """What must hold at any time."""
        let_in = self.let_in()
        assert all(count == 1 for count in let_in.values()), let_in
        assert set(let_in) <= set(self.on_record()), "nothing is released that is not on record"


def at_once(works: Iterable[Callable[[], object]]) -> list[int]:
    """Forks a process for each. Returns how they ended: 0 for those that did not fail."""
    children = []
    for work in works:
        child = os.fork()
        if not child:
            try:
                work()
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
