"""A site with sealed weights, its key service in this process, and doors that lead to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.core.calling import Caller, over_tls, over_unix_socket
from strongroom.core.clock import now
from strongroom.core.leases import Grant
from strongroom.core.principals import Principal
from strongroom.keyserver import KeyServer
from strongroom.ledger import Sequencer, decode_entry
from strongroom.serving import Refusals, Server
from strongroom.site import Site
from strongroom.vault import Door, SealedObject, ServiceDoor, find_sources, open_object, seal

ASSET = "acme/llama"
WEIGHTS = bytes(range(256)) * 8
DAY_US = 86_400_000_000


def make_template(folder: Path) -> None:
    """A site `S`, weights sealed to `m`, an asset that lies there."""
    site = Site.create(folder / "S", origin="example.com/keys")
    (folder / "w").mkdir()
    (folder / "w" / "model.bin").write_bytes(WEIGHTS)
    door = site.door()
    seal(find_sources([folder / "w"]), folder / "m", list(door.recipients), door, name=ASSET)
    site.close()


@dataclass
class Room:
    folder: Path
    site: Site
    sequencer: Sequencer
    keys: KeyServer
    refusals: Refusals
    told: list[str]
    stack: contextlib.ExitStack
    socket: Path
    me: str
    address: str = ""
    callers: list[Caller] = field(default_factory=list)

    def caller(self, headers: dict[str, str] | None = None) -> Caller:
        made = Caller(
            over_unix_socket(self.socket), what="the key service", where="here", next="", headers=lambda: headers or {}
        )
        self.callers.append(made)
        return made

    def door(self, headers: dict[str, str] | None = None, **more: str) -> ServiceDoor:
        return ServiceDoor.connect(self.caller(headers), "here", notify=self.told.append, **more)

    def tls(self, host: str, context: ssl.SSLContext, headers: dict[str, str] | None = None) -> Caller:
        port = int(self.address.rpartition(":")[2])
        made = Caller(
            over_tls(host, port, context), what="the key service", where="there", next="", headers=lambda: headers or {}
        )
        self.callers.append(made)
        return made

    def own_door(self) -> Door:
        """The site's own, in the process that holds the ledger."""
        return self.site.door(recorder=self.site.held_recorder(self.sequencer))

    def open(self, door: ServiceDoor | None = None, **more: Any) -> SealedObject:
        return open_object(self.folder / "m", door=door or self.door(purpose="evaluation"), **more)

    def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        connection = over_unix_socket(self.socket)()
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it answered before it had read all
                connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        kind = answer.getheader("content-type") or ""
        return answer.status, json.loads(data) if kind.startswith("application/json") else data

    def change(self, change: Callable[[Any], Any]) -> Any:
        with self.site.state.transaction(write=True) as transaction:
            return change(transaction)

    def know(self, name: str, *groups: str, **more: Any) -> str:
        self.change(lambda t: t.principals.put(Principal(name=name, groups=list(groups), **more)))
        return name

    def grant(self, who: str, action: str = "OpenWeights", asset: str = ASSET) -> None:
        time = now()
        made = Grant(subject=who, action=action, asset=asset, expires=time + DAY_US, given=time, by="ann")
        self.change(lambda t: t.principals.grant(made))

    def leases(self) -> list[Any]:
        return list(self.change(lambda t: t.leases.all()))

    def had(self, who: str) -> int:
        return int(self.change(lambda t: t.leases.released(ASSET, who, now())))

    def recorded(self) -> list[Any]:
        """Bodies of access events, without those of making the site."""
        self.sequencer.flush()
        found = [decode_entry(data) for _, data in self.site.ledger.reader().entries()]
        return [one.body for one in found if one.type == "strongroom.access/1"][1:]

    def acts(self) -> list[tuple[str, str]]:
        return [(one["action"], one["outcome"]) for one in self.recorded()]


@contextlib.contextmanager
def serving(template: Path, folder: Path, configuration: str = "", *, tls: bool = False) -> Iterator[Room]:
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with (folder / "S" / "strongroom.toml").open("a") as file:
        file.write(configuration)
    site, told, refusals = Site.open(folder / "S"), list[str](), Refusals()
    with contextlib.ExitStack() as stack:
        stack.callback(site.close)
        sequencer = stack.enter_context(site.ledger.open(notify=told.append))
        keys = KeyServer(site, sequencer, passphrase=lambda path: "", refusals=refusals, notify=told.append)
        stack.enter_context(Server(keys.app(), unix_socket=folder / "k", socket_mode=0o666))
        room = Room(folder, site, sequencer, keys, refusals, told, stack, folder / "k", site.user(os.getuid()))
        if tls:
            server = Server(keys.app(), listen="127.0.0.1:0", tls=keys.certificates.context)
            stack.enter_context(server)
            room.address = server.addresses[0]
        try:
            yield room
        finally:
            for one in room.callers:
                one.close()


__all__ = ["ASSET", "WEIGHTS", "Room", "make_template", "serving"]
