"""The key service is killed while it answers, and flooded: nothing twice, nothing unrecorded, nobody kept out."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from strongroom.core.assets import Asset
from strongroom.core.calling import Caller, NoAnswer, TryAgain, over_unix_socket
from strongroom.core.clock import now
from strongroom.core.errors import RefusedError, StrongroomError
from strongroom.core.ids import new_id
from strongroom.core.leases import Lease
from strongroom.ledger import LogReader, open_source, read_checkpoint
from strongroom.site import Site, compare_site
from strongroom.vault import (
    PrivateKey,
    ReleaseAnswer,
    ReleaseRequest,
    find_sources,
    read_bundle,
    release_context,
    release_digest,
    seal,
)

from .results import record_result
from .vault_workshop import in_memory

pytestmark = pytest.mark.torture

SEED, KILLS, ASKERS, FLOOD_SECONDS = 20_261_130, 60, 4, 40.0
ASSET = "acme/llama"
CODE = "import sys; from strongroom.cli import main; sys.exit(main())"


class Hall:
    """A site with a public asset, which needs nobody's yes, its key service, and leases to be used once each."""

    def __init__(self, root: Path) -> None:
        self.root, self.socket = root, root / "keys.sock"
        site = Site.create(root / "S", origin="example.com/hall")
        self.me = site.local_principal
        with (root / "S" / "strongroom.toml").open("a") as file:
            file.write('[keyserver]\nsocket = "../keys.sock"\n')
        (root / "w").write_bytes(b"weights" * 1000)
        door = site.door()
        seal(find_sources([root / "w"]), root / "m", list(door.recipients), door, name=ASSET)
        site.state.put_assets([Asset(name=ASSET, classification="public", size=7000, places=[f"file://{root}/m"])])
        self.bundle = (root / "m" / "model.sig").read_bytes()
        self.signed = read_bundle(self.bundle, door.trusted, "")
        site.close()

    def lease(self) -> str:
        site = Site.open(self.root / "S")
        time_us = now()
        made = Lease(
            id=new_id("lse", time_us), principal=self.me, action="ExportWeights", asset=ASSET, purpose="try",
            requested=time_us, seconds=3600, state="requested",
        )  # fmt: skip
        with site.state.transaction(write=True) as transaction:
            transaction.leases.put(made)
        site.close()
        return made.id

    def start(self) -> subprocess.Popen[str]:
        with (self.root / "log").open("ab") as error:
            process = subprocess.Popen(
                [sys.executable, "-c", CODE, "keyserver", "serve", "--site", str(self.root / "S")],
                stdout=subprocess.PIPE, stderr=error, text=True,
                env={k: v for k, v in os.environ.items() if not k.startswith("STRONGROOM_")},
            )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().endswith("keys.sock"):
                return process
        raise AssertionError((self.root / "log").read_text())

    def caller(self) -> Caller:
        return Caller(over_unix_socket(self.socket), what="it", where="", next="")

    def export(self, lease: str, caller: Caller, *, key: PrivateKey | None = None, ends: float = 60.0) -> bytes:
        """As a client does: the same request again, until it is answered."""
        key = key or PrivateKey.generate("mlkem768-x25519", "ephemeral")
        asked = ReleaseRequest(
            id=secrets.token_hex(16), key=key.public.data, action="ExportWeights", bundle=self.bundle, lease=lease,
            purpose="try",
        )  # fmt: skip
        until = time.monotonic() + ends
        while True:
            try:
                data = caller.call("POST", "/v1/release", msgspec.json.encode(asked))
            except (NoAnswer, TryAgain):
                if time.monotonic() > until:
                    raise
                time.sleep(random.uniform(0.05, 0.3))
                continue
            answer = msgspec.json.decode(data, type=ReleaseAnswer)
            return key.unwrap(answer.keys[0], release_context(release_digest(asked, self.signed.digest), 0))

    def on_record(self) -> Counter[str]:
        source = open_source(str(self.root / "S"))
        reader = LogReader(source, read_checkpoint(source, Site.open(self.root / "S").ledger.keys()))
        bodies = [json.loads(entry)["body"] for _, entry in reader.entries()]
        return Counter(body["lease"] for body in bodies if body.get("outcome") == "allowed" and body.get("lease"))


@pytest.fixture
def hall() -> Iterator[Hall]:
    with in_memory() as place:
        yield Hall(place)


def test_kills_while_exports_are_asked_for(hall: Hall) -> None:
    """Each lease is for one export. Its request is repeated until it is answered, whatever becomes of the service."""
    rng, begun = random.Random(SEED), time.monotonic()
    got: dict[str, list[bytes]] = defaultdict(list)
    refused: list[str] = []
    leases = [hall.lease() for _ in range(KILLS * ASKERS)]
    waiting, lock = list(leases), threading.Lock()

    def asking() -> None:
        caller = hall.caller()
        while True:
            with lock:
                if not waiting:
                    return
                lease = waiting.pop()
            secret = hall.export(lease, caller)
            with lock:
                got[lease].append(secret)
            # Whoever asks for the same lease anew, with another key, is refused.
            for _ in range(20):
                try:
                    hall.export(lease, caller, ends=0.0)
                except RefusedError as error:
                    refused.append(error.message)
                    break
                except StrongroomError:
                    time.sleep(0.2)
                else:
                    got[lease].append(b"twice")
                    break

    threads = [threading.Thread(target=asking, daemon=True) for _ in range(ASKERS)]
    process, kills = hall.start(), 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(rng.uniform(0.02, 0.6))
        if kills < KILLS:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            process = hall.start()
    process.terminate()
    assert process.wait(30) == 0
    recorded = hall.on_record()
    secrets_of = {secret for found in got.values() for secret in found}
    assert len(secrets_of) == 1, "the object has one key"
    assert {len(found) for found in got.values()} == {1}, "nothing twice"
    assert set(got) == set(leases), "nothing is lost"
    assert all(recorded[lease] >= 1 for lease in leases), "nothing unrecorded"
    site = Site.open(hall.root / "S")
    with site.state.transaction(write=False) as transaction:
        found = [transaction.leases.get(lease) for lease in leases]
        assert {one.state for one in found if one} == {"used"}
        assert transaction.leases.released(ASSET, hall.me, now()) == len(leases) * 7000
    differences = [one for one in compare_site(site).differences if one.sure]
    assert {one.kind for one in differences} <= {"asset"}, "which was put past the command"
    site.close()
    record_result(
        "kills of the key service while it answers",
        f"{kills} kills at random moments under {ASKERS} programs with {len(leases)} exports, each permitted once:"
        f" every one was answered in the end, {sum(recorded.values())} releases on record ({len(leases)} first, the"
        f" others the same request again), each debited once; {len(refused)} requests for the same exports with another"
        f" key, all refused; tables and ledger agree; {time.monotonic() - begun:.0f} s.",
    )


def test_a_flood_keeps_nobody_out(hall: Hall) -> None:
    """Strangers, slow clients and one who is refused again and again; somebody else opens all the while."""
    process, ends, begun = hall.start(), time.monotonic() + FLOOD_SECONDS, time.monotonic()
    counted: Counter[str] = Counter()

    def strangers() -> None:
        head = b"GET /v1/site HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sr_nobody\r\nConnection: close\r\n\r\n"
        while time.monotonic() < ends:
            with contextlib.suppress(OSError), contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
                one.settimeout(5)
                one.connect(str(hall.socket))
                one.sendall(head)
                one.recv(65_536)
                counted["strangers"] += 1

    def slow() -> None:
        held: list[socket.socket] = []
        while time.monotonic() < ends:
            with contextlib.suppress(OSError):
                one = socket.socket(socket.AF_UNIX)
                one.settimeout(5)
                one.connect(str(hall.socket))
                one.sendall(b"POST /v1/release HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
                held.append(one)
                counted["slow"] += 1
            if len(held) > 150:
                held.pop(0).close()
            time.sleep(0.02)
        for one in held:
            one.close()

    threads = [threading.Thread(target=work, daemon=True) for work in (strangers, strangers, slow)]
    for thread in threads:
        thread.start()
    times, caller = [], hall.caller()
    while time.monotonic() < ends:
        lease = hall.lease()
        began = time.monotonic()
        hall.export(lease, caller, ends=30.0)
        times.append(time.monotonic() - began)
    for thread in threads:
        thread.join(30)
    process.terminate()
    assert process.wait(30) == 0
    entries = sum(hall.on_record().values())
    assert entries == len(times), "nobody else is on record one by one"
    times.sort()
    record_result(
        "a flood at the key service",
        f"{FLOOD_SECONDS:.0f} s of {counted['strangers']:,} requests of strangers and {counted['slow']:,} that never end:"
        f" {len(times)} exports of somebody else all went through, half of them within"
        f" {1e3 * times[len(times) // 2]:.0f} ms, the slowest in {times[-1]:.1f} s; none of the strangers' requests is an"
        f" entry of its own; {time.monotonic() - begun:.0f} s.",
    )
