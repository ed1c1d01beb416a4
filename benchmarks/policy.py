"""Decisions beside cedarpy called naively and pycasbin; a key's release beside one fsync; in one run.

    python benchmarks/policy.py [PRINCIPALS]      40,000 by default, and a quarter as many assets

A hundred policies. *Ours* decides on what the request is about; *from the tables* also reads principal, grants, asset
and budget from SQLite. A release is the whole order: decision, debit, entry in a durable ledger, recheck, lease.
*Through the key service* is what another process waits for that opens a sealed object, from its manifest to its keys.
pycasbin installs into an environment of its own (benchmarks/peers/).
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cedarpy
from report import record, table

from strongroom.access import preview
from strongroom.core.assets import Asset
from strongroom.core.clock import format_time, now
from strongroom.core.ids import new_id
from strongroom.core.leases import Grant
from strongroom.core.principals import Principal
from strongroom.core.records import AccessEvent
from strongroom.policy import DEFAULT, Asked, Policies, Request
from strongroom.policy._cedar import _SCHEMA, _cedar_request, _entities
from strongroom.site import Site, service_door
from strongroom.vault import find_sources, open_object, seal

HERE = Path(__file__).parent
POLICIES, GROUPS, ORGANIZATIONS = 100, 200, 88
REQUESTS, NAIVE, RELEASES, ROUNDS = 2000, 5, 60, 3
SEED = 20_261_130


def policies() -> str:
    """The default ones, and as many for one group and one organization each as make a hundred."""
    more = [
        f'@id("team-{n}") permit (principal in Group::"team{n}", action == Action::"OpenWeights",'
        f' resource in Organization::"org{n}") when {{ !principal.suspended }};'
        for n in range(ORGANIZATIONS)
    ]
    text = DEFAULT.read_text() + "\n".join(more)
    assert len(Policies.parse(text).policies) == POLICIES
    return text


def world(count: int, rng: random.Random) -> tuple[list[Principal], list[Asset]]:
    """People in two groups each, and assets of many organizations."""
    people = [
        Principal(name=f"p{n}@acme", groups=sorted({f"team{rng.randrange(GROUPS)}" for _ in range(2)}))
        for n in range(count)
    ]
    assets = [
        Asset(
            name=f"org{n % ORGANIZATIONS}/model-{n}", classification="internal", size=1 << 30, places=[f"file:///a/{n}"]
        )
        for n in range(count // 4)
    ]
    return people, assets


def each(decide: Callable[[Request], Any], requests: list[Request]) -> list[float]:
    """Seconds of each."""
    times = []
    for request in requests:
        began = time.perf_counter()
        decide(request)
        times.append(time.perf_counter() - began)
    return times


def casbin(folder: Path, people: list[Principal], requests: list[Request]) -> list[float]:
    """pycasbin in an environment of its own."""
    environment = folder / "pycasbin"
    if not environment.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        install = [
            environment / "bin" / "pip",
            "install",
            "-q",
            "--require-hashes",
            "-r",
            HERE / "peers" / "pycasbin.txt",
        ]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    given = {
        "policies": [[f"team{n}", "OpenWeights", f"org{n}", "allow"] for n in range(ORGANIZATIONS)]
        + [[f"team{n}", "ExportWeights", f"org{n}", "deny"] for n in range(POLICIES - ORGANIZATIONS)],
        "roles": [[one.name, group] for one in people for group in one.groups],
        "requests": [[r.principal.name, r.action, r.asset.name.partition("/")[0]] for r in requests],
    }
    run = [environment / "bin" / "python", HERE / "peers" / "pycasbin_run.py"]
    answer = json.loads(subprocess.run(run, input=json.dumps(given).encode(), capture_output=True, check=True).stdout)
    return list(answer["times"])


def from_tables(site: Site, requests: list[Request]) -> list[float]:
    """Decisions with everything read from SQLite, each in a transaction of its own."""
    access = site.access()

    def decide(request: Request) -> None:
        time_us = now()
        event = AccessEvent(
            id="",
            time="",
            principal=request.principal.name,
            action=request.action,
            asset=request.asset.name,
            outcome="allowed",
        )
        with site.state.transaction(write=False) as transaction:
            preview(transaction, access.policies.current(transaction), event, access.approvals, time_us)

    return each(decide, requests)


def releases(site: Site, count: int) -> list[float]:
    """Seconds of each whole order, with the ledger open in this process as in one that serves."""
    grant = Grant(
        subject=site.local_principal, action="OpenWeights", asset="org0/*", given=0, expires=1 << 60, by="bench"
    )
    with site.state.transaction(write=True) as transaction:
        transaction.principals.grant(grant)
    access, times = site.access(), []
    with site.recorder() as recorder:
        access.recorder = Open(site, recorder)
        for n in range(count):
            time_us = now()
            event = AccessEvent(
                id=new_id("evt", time_us),
                time=format_time(time_us),
                principal=site.local_principal,
                action="OpenWeights",
                asset="org0/model-0",
                asset_digest=f"sha256:{n:064x}",
                outcome="allowed",
                purpose="bench",
                bytes=1 << 20,
            )
            began = time.perf_counter()
            access.authorize(event)
            times.append(time.perf_counter() - began)
    return times


class Open:
    """A recorder over a ledger that stays open."""

    def __init__(self, site: Site, recorder: Any) -> None:
        self._site, self._recorder = site, recorder

    def append(self, entry: Any) -> int:
        """See `Recorder`."""
        return int(self._recorder.append_many([self._site.admitted(entry, entry.writer)])[0])


def served(site: Site, folder: Path, count: int) -> list[float]:
    """Seconds of each opening of a sealed object through a key service in a process of its own."""
    if not (folder / "m").exists():
        (folder / "w").write_bytes(b"weights")
        door = site.door()
        seal(find_sources([folder / "w"]), folder / "m", list(door.recipients), door, name="org0/model-0")
    site.close()
    command = [
        sys.executable,
        "-c",
        "import sys; from strongroom.cli import main; sys.exit(main())",
        "keyserver",
        "serve",
    ]
    with subprocess.Popen([*command, "--site", str(site.path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().endswith("keys.sock\n"):
            pass
        door, times = service_door(str(site.path / "run" / "keys.sock"), notify=print), []
        for n in range(count):
            own = dataclasses.replace(door, purpose=f"bench {time.time_ns()} {n}")
            began = time.perf_counter()
            open_object(folder / "m", door=own).close()
            times.append(time.perf_counter() - began)
        process.terminate()
    return times


def syncs(folder: Path, count: int) -> list[float]:
    """Seconds of one write of a page with fsync, appended to a file."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return times


def main(count: int) -> None:
    rng = random.Random(SEED)
    text, (people, assets) = policies(), world(count, rng)
    own, schema = Policies.parse(text), cedarpy.Schema.from_str(_SCHEMA.read_text())
    requests = [
        Request(principal=rng.choice(people), action="OpenWeights", asset=rng.choice(assets), asked=Asked(time=now()))
        for _ in range(REQUESTS)
    ]
    all_of = [
        one
        for p, a in zip(people, assets * 4, strict=False)
        for one in _entities(Request(principal=p, action="", asset=a, asked=Asked(time=0)))
    ]
    listed = list({json.dumps(one["uid"]): one for one in all_of}.values())
    document, parsed = json.dumps(listed), cedarpy.PolicySet.from_str(text)
    handle = cedarpy.Entities.from_json_str(document, schema)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        site = Site.create(folder / "site", origin="example.com/bench")
        site.administration().publish(text)
        site.state.put_assets(assets)
        with site.state.transaction(write=True) as transaction:
            for one in people:
                transaction.principals.put(one)
        for _ in range(ROUNDS):
            for what, times in (
                ("ours, cold", each(own.decide, requests)),
                ("ours, from the tables", from_tables(site, requests)),
                (
                    "cedarpy, pre-parsed policies and all entities",
                    each(lambda r: cedarpy.is_authorized(_cedar_request(r), parsed, handle), requests),
                ),
                (
                    "cedarpy, naive: texts of policies and all entities",
                    each(lambda r: cedarpy.is_authorized(_cedar_request(r), text, document), requests[:NAIVE]),
                ),
                ("pycasbin", casbin(folder, people, requests)),
                ("one fsync", syncs(folder, RELEASES)),
                ("a key's release", releases(site, RELEASES)),
                ("through the key service", served(site, folder, RELEASES)),
            ):
                found.setdefault(what, []).extend(times)
                print(what, f"{1e6 * statistics.median(times):,.1f} us", flush=True)
        site.close()
    record("policy", text_of(found, len(listed)))


def text_of(found: dict[str, list[float]], entities: int) -> str:
    """The block."""
    base = statistics.median(found["ours, cold"])
    rows: list[list[object]] = []
    for what, times in found.items():
        if what in ("one fsync", "a key's release", "through the key service"):
            continue
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        rows.append([what, f"{1e6 * p50:,.0f}", f"{1e6 * p99:,.0f}", f"{p50 / base:,.2f}"])
    sync, release = statistics.median(found["one fsync"]), statistics.median(found["a key's release"])
    slow = statistics.quantiles(found["a key's release"], n=100)[98]
    far = statistics.median(found["through the key service"])
    return (
        f"{POLICIES} policies, {entities:,} entities, {ROUNDS} rounds of {REQUESTS:,} requests.\n\n"
        + table(["decision", "p50, us", "p99, us", "p50 / ours, cold"], rows)
        + f"\n\nA key's release, from question to lease: p50 {1e3 * release:.2f} ms, p99 {1e3 * slow:.2f} ms, "
        + f"{release / sync:.2f} times one write with fsync ({1e3 * sync:.2f} ms). Through the key service: p50 "
        + f"{1e3 * far:.2f} ms, {far / sync:.2f} times one write with fsync."
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
