"""Framing and every reader, fed with damaged and retyped real records: rows or a told error, in bounded time."""

from __future__ import annotations

import importlib.util
import io
import random
import time
from collections import Counter

import msgspec
import pytest

from strongroom.core.errors import InputError
from strongroom.ingest import MappedReader, Settings, all_readers
from strongroom.ingest._frames import frames, sample
from strongroom.ingest._streams import decompress
from strongroom.ingest._work import Job, prepare, work
from strongroom.ingest.reader import Reader
from strongroom.ingest.readers import recognise

from .mutate import CONTAINERS, contained, mutated, retyped, samples
from .results import record_result

INPUTS = 24_000
MOST_SECONDS = 5.0
MAPPED = MappedReader({"account": "account", "time": "time", "prompt": "prompt", "status": "x.0.y"})

pytestmark = pytest.mark.torture


def read(data: bytes, readers: list[Reader], seen: Counter[str]) -> None:
    """What ingest does with a file, with each reader instead of the one that is recognised."""
    try:
        for chunk in frames(decompress(io.BytesIO(data))[0]):
            seen.update(reason for _, reason, _ in chunk.bad)
            recognised = recognise(sample(chunk))
            seen["recognised" if recognised else "not recognised"] += 1
            keys = list(range(len(chunk.records)))
            for reader in readers:
                outcome = work(Job("fuzz", reader, chunk.records, chunk.places, keys))
                outcome.batch.validate(full=True)
                seen["exchanges"] += outcome.batch.num_rows
                seen.update(reason for _, reason, _ in outcome.rejects)
    except InputError as error:
        seen[f"refused: {error.message}"] += 1


def test_damaged_records_are_rows_or_told_errors() -> None:
    rng = random.Random(20_261_124)
    readers = [*all_readers(), MAPPED]
    originals = samples()
    prepare(Settings(bytes(32)))
    seen: Counter[str] = Counter()
    slowest, started = 0.0, time.monotonic()
    for number in range(INPUTS):
        original, container = rng.choice(originals), rng.choice(CONTAINERS)
        data = contained([retyped(original, rng) for _ in range(rng.choice((1, 1, 2, 5)))], container)
        own = MAPPED if container in ("csv", "parquet") else recognise([original]) or MAPPED
        if rng.random() < 0.85:
            data = mutated(data, rng, msgspec.json.encode(rng.choice(originals)))
        before = time.monotonic()
        try:
            read(data, [own, *rng.sample(readers, 2)], seen)
        except Exception as error:
            pytest.fail(f"input {number}: {type(error).__name__}: {error}\n{data[:2000]!r}")
        slowest = max(slowest, time.monotonic() - before)
    assert slowest < MOST_SECONDS
    assert seen["reader failed"] == 0, "a reader raised something else than RecordError"
    assert seen["exchanges"] > INPUTS / 20
    how = "seeded mutator; atheris is installed and unused" if importlib.util.find_spec("atheris") else "seeded mutator"
    reasons = sum(1 for reason in seen if reason not in {"exchanges", "recognised", "not recognised"})
    record_result(
        "fuzzing of framing and readers",
        f"{INPUTS:,} damaged or retyped files of the samples in docs/readers, {len(CONTAINERS)} kinds of file, each "
        f"with its own and 2 more of {len(readers)} readers ({how}): {seen['exchanges']:,} exchanges, {reasons} distinct reasons told, no "
        f"other exception; slowest {slowest:.2f} s, {time.monotonic() - started:.0f} s in all.",
    )
