"""Sequencers that take over from each other without a lock: whoever is replaced acknowledges nothing any more."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.core.errors import StrongroomError
from strongroom.ledger import DirectoryStorage as Directory
from strongroom.ledger import Limits, Sequencer, create_ledger, open_ledger
from strongroom.ledger._reserve import Reserve
from strongroom.ledger._storage import ObjectStorage

from .ledger_logs import SIGNER, NoSync, check_log, entry
from .results import record_result

pytestmark = pytest.mark.torture

TAKEOVERS = 300
LIMITS = Limits(publish_seconds=1e9)
"""Only who begins publishes. Without a lock, a publication that was under way may still put its older checkpoint over
the successor's until that publishes again: nothing here can be asked and written in one step."""


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In memory where there is some. Without reserves."""
    monkeypatch.setattr(Reserve, "restore", lambda self: None)
    place = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("kind", ["directory", "object store"])
def test_whoever_was_replaced_acknowledges_nothing(kind: str, scratch: Path) -> None:
    rng = random.Random(20_261_124)
    root = scratch / "log"

    def storage() -> Any:
        return Directory(root, NoSync()) if kind == "directory" else ObjectStorage(f"memory:/{root}")

    create_ledger(storage(), SIGNER)
    acknowledged: dict[int, bytes] = {}
    seen: dict[int, bytes] = {}
    lock = threading.Lock()
    refused = again = 0
    started = time.monotonic()

    def begin(number: int) -> Sequencer:
        nonlocal again
        while True:
            try:
                return open_ledger(storage(), SIGNER, scratch / f"lock{number}", limits=LIMITS)
            except StrongroomError as error:
                if "another sequencer" not in str(error):  # the older one renewed its journal at this moment
                    raise
                again += 1

    def work(sequencer: Sequencer, base: int) -> None:
        nonlocal refused
        for number in range(100_000):
            data = entry(base + number)
            try:
                index = sequencer.append_bytes(data)
            except StrongroomError:
                with lock:
                    refused += 1
                return
            checkpoint = sequencer.committed.checkpoint
            with lock:
                assert acknowledged.setdefault(index, data) == data, f"{index} was acknowledged twice"
                assert seen.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root

    failures: list[BaseException] = []

    def guarded(*words: Any) -> None:
        try:
            work(*words)
        except BaseException as error:
            failures.append(error)

    count = TAKEOVERS if kind == "directory" else TAKEOVERS // 3
    old = begin(0)
    for number in range(1, count + 1):
        workers = [
            threading.Thread(target=guarded, args=(old, number * 10**7 + thread * 10**6), daemon=True)
            for thread in range(3)
        ]
        for worker in workers:
            worker.start()
        time.sleep(0.02 * rng.random())
        new = begin(number)
        new_entry = entry(10**12 + number)
        index = new.append_bytes(new_entry)
        with lock:
            assert acknowledged.setdefault(index, new_entry) == new_entry
        for worker in workers:
            worker.join(20)
            assert not worker.is_alive()
        assert not failures, failures
        with contextlib.suppress(StrongroomError):
            old.close()
        old = new
    old.close()
    begin(count + 1).close()
    if kind == "object store":
        files = storage()._files
        for path in storage().list("public"):
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files.cat_file(f"{storage().root}/{path}"))
    reader = check_log(root, acknowledged, seen)
    record_result(
        f"takeovers without a lock, {kind}",
        f"{count} sequencers, each begun while the one before it appended from 3 threads: {refused} callers refused, {again} starts tried again, "
        f"{len(acknowledged):,} acknowledged entries of {reader.size:,} all there, {len(seen):,} checkpoints continued; "
        f"{time.monotonic() - started:.0f} s.",
    )
