"""The ledger beside pymerkle, hashing alone and fsync alone, in one run.

    python benchmarks/ledger.py [LARGEST]      entries of the largest log; 10,000,000 by default

Appending in batches and from 1, 64 and 1,024 callers (in the process and through the socket), proofs and verification
at several sizes, bytes of an entry, memory. pymerkle installs into an environment of its own (benchmarks/peers/).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from report import record, table

from strongroom.core.records import Entry
from strongroom.ledger import (
    KeyFile,
    LogReader,
    NoteSigner,
    RemoteRecorder,
    Sequencer,
    check_entry,
    check_proof,
    create_key,
    create_ledger,
    encode_entry,
    open_ledger,
    open_source,
    read_checkpoint,
    storage_at,
    verify_log,
)
from strongroom.ledger._merkle import Frontier, leaf_hashes

HERE = Path(__file__).parent
BATCH = 100_000
ROUNDS = 7
SECONDS = 4.0
CALLERS = (1, 64, 1024)


def entries(first: int, count: int) -> list[bytes]:
    """Access entries as a door writes them, 424 bytes: canonical, no two alike."""
    head = (
        '{"body":{"action":"open","asset":"acme/model:v1","bytes":123456,"id":"evt_%032x","lease":"lse_0000000003e870'
        '008000000000000000","outcome":"allowed","policy_ids":["p1","p2"],"principal":"hmac-sha256:'
        + "ab"
        * 32
        + '","purpose":"inference","time":"2026-11-01T09:30:00.123Z"},"time":"2026-11-01T09:30:00.123Z",'
        '"type":"strongroom.access/1","writer":"door"}'
    )
    return [(head % number).encode() for number in range(first, first + count)]


class Log:
    """A log in a directory of its own, with its sequencer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = create_key(folder / "key", "log.example/bench")
        self.verifier, signer = key.verifier, NoteSigner(KeyFile(key), key.verifier)
        storage = storage_at(str(folder / "ledger"))
        create_ledger(storage, signer)
        self.sequencer: Sequencer = open_ledger(storage, signer, folder / "lock")

    def reader(self) -> LogReader:
        source = open_source(str(self.folder))
        return LogReader(source, read_checkpoint(source, [self.verifier]))


def rate(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def hash_alone(data: list[bytes]) -> None:
    tree = Frontier()
    tree.extend(leaf_hashes(data))
    tree.root()


def batches(log: Log) -> dict[str, list[float]]:
    """Rates of each, taken in turns, so that what else the machine does hits all alike."""
    found: dict[str, list[float]] = {}
    struct = [json.loads(data) for data in entries(0, 20_000)]
    objects = [Entry(**one) for one in struct]
    for number in range(ROUNDS):
        data = entries(number * BATCH, BATCH)
        time.sleep(0.3)
        found.setdefault("hashing alone", []).append(rate(BATCH, lambda data=data: hash_alone(data)))
        found.setdefault("durable", []).append(rate(BATCH, lambda data=data: log.sequencer.unsafe_append_many(data)))
        log.sequencer.flush()

        def to_tiles(data: list[bytes] = data) -> None:
            log.sequencer.unsafe_append_many(data)
            log.sequencer.flush()

        found.setdefault("in tiles", []).append(rate(BATCH, to_tiles))
        found.setdefault("checking", []).append(rate(BATCH, lambda data=data: [check_entry(one) for one in data]))
        found.setdefault("encoding", []).append(rate(len(objects), lambda: [encode_entry(one) for one in objects]))
    return found


def callers(append: Callable[[bytes], object], count: int, seconds: float) -> float:
    """Durable appends a second from so many threads, each waiting for its own."""
    done = [0] * count
    stop = time.monotonic() + seconds
    mine = [entries(number * 100_000, 512) for number in range(count)]

    def work(number: int) -> None:
        data, at = mine[number], 0
        while time.monotonic() < stop:
            append(data[at % 512])
            at += 1
        done[number] = at

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - began)


def syncs(folder: Path, size: int) -> float:
    """How often a second `size` bytes can be written behind each other and synced."""
    descriptor = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT, 0o600)
    data, at = os.urandom(size), 0
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < SECONDS / 2:
        os.pwrite(descriptor, data, at)
        os.fdatasync(descriptor)
        at, count = at + size, count + 1
    os.close(descriptor)
    return count / (time.monotonic() - began)


def _socket_client(path: str, token: str, threads: int, queue: Any) -> None:
    local = threading.local()
    decoded = Entry(type="strongroom.test/1", time="2026-11-01T09:30:00.123Z", writer="bench", body={"pad": "x" * 300})

    def append(_: bytes) -> None:
        if not hasattr(local, "recorder"):
            local.recorder = RemoteRecorder(Path(path), token)
        local.recorder.append(decoded)

    queue.put(callers(append, threads, SECONDS))


def through_socket(folder: Path) -> float:
    """Durable appends a second from 64 callers in another process, through `strongroom serve`."""
    from strongroom.site import Site

    site = Site.create(folder / "site", origin="log.example/bench")
    token = site.add_writer("bench", ["strongroom.test/1"], os.getuid())
    server = subprocess.Popen(
        [sys.executable, "-c", "from strongroom.cli import main; main()", "serve", "--site", str(site.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    server.stdout.readline()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    client = context.Process(target=_socket_client, args=(str(site.socket), token, 64, queue))
    client.start()
    found = float(queue.get(timeout=120))
    client.join()
    server.terminate()
    server.wait()
    return found


def memory() -> float:
    """MiB of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def stored(folder: Path) -> int:
    return sum(int(line.split()[0]) for line in subprocess.check_output(["du", "-sb", folder]).splitlines())


def at_sizes(folder: Path, sizes: list[int]) -> Iterator[list[object]]:
    """Proofs, their check, verification, bytes and memory, while one log grows."""
    log, size = Log(folder), 0
    rng = random.Random(1)
    for wanted in sizes:
        while size < wanted:
            count = min(BATCH, wanted - size)
            log.sequencer.unsafe_append_many(entries(size, count))
            size += count
        log.sequencer.flush()
        grown = memory()
        warm, anywhere, cold, checks = [], [], [], []
        reader = log.reader()
        near = [rng.randrange(size) // 256 * 256 for _ in range(50)]  # entries of 50 bundles, whose tiles are cached
        for index in near:
            reader.prove(index)
        for index in [min(rng.choice(near) + rng.randrange(256), size - 1) for _ in range(500)]:
            began = time.perf_counter()
            reader.prove(index)
            warm.append(time.perf_counter() - began)
        for index in [rng.randrange(size) for _ in range(500)]:
            began = time.perf_counter()
            proof = reader.prove(index)
            anywhere.append(time.perf_counter() - began)
            entry = reader.entry(index)
            began = time.perf_counter()
            check_proof(proof, entry, [log.verifier], where="proof")
            checks.append(time.perf_counter() - began)
        for index in [rng.randrange(size) for _ in range(30)]:
            began = time.perf_counter()
            log.reader().prove(index)
            cold.append(time.perf_counter() - began)
        began = time.perf_counter()
        verdict = verify_log(open_source(str(folder)), [log.verifier])
        verified = size / (time.perf_counter() - began)
        verdict.check("log")
        public = stored(folder / "ledger" / "public")
        yield [
            f"{size:,}",
            f"{1e3 * statistics.median(warm):.3f} ms",
            f"{1e3 * statistics.median(anywhere):.3f} ms",
            f"{1e3 * statistics.median(cold):.2f} ms",
            f"{1e3 * statistics.median(checks):.2f} ms",
            f"{verified:,.0f}/s",
            f"{public / size:.0f}",
            f"{grown:.0f} MiB",
        ]
    log.sequencer.close()


def peer(folder: Path) -> dict[str, dict[str, float]]:
    """pymerkle in an environment of its own."""
    environment = folder / "pymerkle"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [environment / "bin" / "pip", "install", "-q", "--require-hashes", "-r", HERE / "peers" / "pymerkle.txt"]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    run = [environment / "bin" / "python", HERE / "peers" / "pymerkle_run.py", str(BATCH), "2000"]
    return dict(json.loads(subprocess.check_output(run, stderr=subprocess.DEVNULL)))


def main(largest: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        for part in ("batch", "callers", "socket", "grown", "sync"):
            (folder / part).mkdir()
        log = Log(folder / "batch")
        rates = {what: statistics.median(found) for what, found in batches(log).items()}
        log.sequencer.close()
        shutil.rmtree(folder / "batch")
        theirs = peer(folder)
        bare = rates["hashing alone"]
        named = [
            ("hashing alone (leaf and node hashes, hashlib)", bare),
            ("ours: batch of checked entries, durable and signed", rates["durable"]),
            ("ours: the same, until all is in tiles and published", rates["in tiles"]),
            ("pymerkle, memory, one call", theirs["memory"]["per_second"]),
            ("pymerkle, SQLite, one call", theirs["sqlite"]["per_second"]),
            ("ours: checking that bytes are canonical", rates["checking"]),
            ("ours: encoding an entry canonically", rates["encoding"]),
        ]
        rows: list[list[object]] = [[what, f"{found:,.0f}", f"{found / bare:.2f}"] for what, found in named]
        text = "Entries of 424 bytes, batches of 100,000, median of 7 rounds taken in turns; entries a second.\n\n"
        text += table(["what", "entries/s", "of hashing alone"], rows)

        log = Log(folder / "callers")
        rows = []
        for count in CALLERS:
            together = min(count, 64)
            before = syncs(folder / "sync", 424 * together)
            found = callers(log.sequencer.append_bytes, count, SECONDS)
            limit = together * (before + syncs(folder / "sync", 424 * together)) / 2
            rows.append([f"{count:,} in the process", f"{found:,.0f}", f"{limit:,.0f}", f"{found / limit:.2f}"])
        log.sequencer.close()
        rows.append(["64 in another process, through the socket", f"{through_socket(folder / 'socket'):,.0f}", "", ""])
        rows.append(
            ["pymerkle, SQLite, one by one (1 caller)", f"{theirs['sqlite, one by one']['per_second']:,.0f}", "", ""]
        )
        text += (
            "\n\nDurable appends from callers that each wait for their own; the limit is write and fdatasync alone, "
        )
        text += "with as many entries a sync as there are callers, 64 at most.\n\n"
        text += table(["callers", "entries/s", "fdatasync alone", "ratio"], rows)

        sizes = [size for size in (10_000, 1_000_000, largest) if size <= largest]
        rows = list(at_sizes(folder / "grown", sizes))
        text += (
            "\n\nA proof's median: cached, of entries whose tiles the reader has (50 bundles); anywhere, of any entry, "
        )
        text += (
            "with one reader that keeps 256 tiles; cold, each with a new reader, checkpoint and signature included. "
        )
        text += "Then the check of a proof with its signature, and the whole log verified.\n\n"
        header = ["entries", "cached", "anywhere", "cold", "check-proof", "verified", "bytes/entry", "memory"]
        text += table(header, rows)
        text += f"\n\npymerkle at {BATCH:,}: proof {1e3 * theirs['memory']['proof']:.3f} ms in memory, "
        text += f"{1e3 * theirs['sqlite']['proof']:.3f} ms in SQLite; its check has no signature: "
        text += f"{1e3 * theirs['memory']['check']:.3f} ms."
        record("ledger", text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
