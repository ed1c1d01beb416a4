"""Which texts are looked at depends on their digests alone; each counts once for each subject."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.detect.campaign._features import Features, read_features
from strongroom.detect.campaign._sample import MAX_SAMPLE, MAX_TEXTS, MIN_SAMPLE, Sample, _once, repeated, texts_of_each
from strongroom.sketch import DIMENSIONS, NO_SHINGLE
from strongroom.store import Store

START = datetime(2026, 11, 1, tzinfo=UTC)
Row = tuple[str, int, int]
"""(subject, day, digest)."""


def batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """What a store holds of opening texts; the embedding follows from the digest."""
    known = {
        "time": pa.array([START + timedelta(days=day) for _, day, _ in rows], pa.timestamp("us", "UTC")),
        "subject": pa.array([name for name, _, _ in rows]),
        "account": pa.array([name for name, _, _ in rows]),
        "turn": pa.array([1] * len(rows), pa.int64()),
        "words": pa.array([9] * len(rows), pa.int32()),
        "text_digest": pa.array([digest for _, _, digest in rows], pa.int64()),
        "head": pa.array([None if digest % 3 else 7 for _, _, digest in rows], pa.int64()),
        "tail": pa.array([digest % 5 for _, _, digest in rows], pa.int64()),
        "minhash": pa.array([list(range(1, 1 + digest % 9)) for _, _, digest in rows], pa.list_(pa.int64())),
        "embedding": pa.array([bytes([digest % 100]) * DIMENSIONS for _, _, digest in rows], pa.binary()),
        "line_key": pa.array(range(len(rows)), pa.int64()),
        "record_key": pa.array(range(len(rows)), pa.int64()),
    }
    return pa.RecordBatch.from_pydict(known)


@pytest.fixture
def read(tmp_path: Path):
    def features(*commits: Sequence[Row]) -> Features:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        store = Store(place)
        full = Store(place).exchanges().schema().to_pyarrow()
        for rows in commits:
            given = batch(rows)
            columns = [
                given[field.name] if field.name in given.schema.names else pa.nulls(len(rows), field.type)
                for field in full
            ]
            store.append_exchanges([pa.RecordBatch.from_arrays(columns, schema=full)])
        found = read_features(store, since=None, until=None)
        assert found is not None
        return found

    return features


def digests(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, count).tolist()


def sent(features: Features) -> set[tuple[str, int]]:
    sample = features.sample
    names = [features.subjects[i] for i in sample.subject]
    return set(zip(names, sample.digest.tolist(), strict=True))


def equal(one: Sample, two: Sample) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in Sample.__dataclass_fields__)


def test_a_text_counts_once_and_as_it_came_first(read) -> None:
    features = read([("a", 13, 5), ("a", 3, 5), ("a", 8, 5), ("b", 13, 5), ("b", 0, 6)])
    sample = features.sample
    assert sample.subject.tolist() == [0, 1, 1]
    assert sample.digest.tolist() == [5, 5, 6]
    assert sample.slice.tolist() == [3, 13, 0]


def test_what_a_text_holds_stays_with_it(read) -> None:
    sample = read([("a", 0, 9), ("a", 0, 8), ("b", 1, 13)]).sample
    assert sample.digest.tolist() == [8, 9, 13]
    assert sample.head.tolist() == [NO_SHINGLE, 7, NO_SHINGLE]
    assert sample.tail.tolist() == [3, 4, 3]
    assert (sample.minhash != NO_SHINGLE).sum(axis=1).tolist() == [8, 0, 4]
    assert sample.embedding[:, 0].tolist() == [8, 9, 13]


def test_neither_the_order_of_rows_nor_how_they_were_stored_matters(read) -> None:
    rows = [(name, day % 14, digest) for name in "abc" for day, digest in enumerate(digests(400, ord(name)))]
    rows += rows[:50]
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    whole = read(rows).sample
    assert equal(whole, read(shuffled).sample)
    assert equal(whole, read(shuffled[:77], shuffled[77:900], shuffled[900:]).sample)


def test_parts_of_a_log_have_what_the_whole_has(read) -> None:
    few = [("a", day % 14, digest) for day, digest in enumerate(digests(200))]
    assert sent(read(few[:90])) | sent(read(few[90:])) == sent(read(few))
    many = [("a", day % 14, digest) for day, digest in enumerate(digests(2_000))]
    whole = sent(read(many))
    parts = sent(read(many[:900])) | sent(read(many[900:]))
    assert whole <= parts
    lowest = max(digest for _, digest in whole)
    assert {text for text in parts if text[1] <= lowest} == whole


def test_of_many_texts_about_as_many_are_looked_at_as_the_limit_says(read) -> None:
    rows = [("many", 0, digest) for digest in digests(5_000, 2)]
    rows += [("few", 13, digest) for digest in digests(200, 3)]
    features = read(rows)
    counts = dict(zip(features.subjects, np.bincount(features.sample.subject).tolist(), strict=True))
    assert counts["few"] == 200
    assert abs(counts["many"] - MAX_TEXTS) < 5 * np.sqrt(MAX_TEXTS)
    assert features.openings.tolist() == [200, 5_000]


def test_an_empty_log_of_prompts_is_no_error(read) -> None:
    rows = batch([("a", 0, 5)])
    assert len(_once(Sample(*(np.zeros((0, *shape)) for shape in [()] * 5 + [(8,), (256,)])))) == 0
    assert len(rows) == len(read([("a", 0, 5)]).sample)


@given(st.integers(0, 10**9))
def test_the_sample_of_all_stays_bounded(subjects: int) -> None:
    each = texts_of_each(subjects)
    assert MIN_SAMPLE <= each <= MAX_TEXTS
    assert each == MIN_SAMPLE or each * subjects <= MAX_SAMPLE


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 13), st.integers(-3, 3)), max_size=40), st.randoms())
def test_once_is_blind_to_order_and_may_be_done_in_parts(rows, random) -> None:
    def sample(chosen) -> Sample:
        columns = np.array(chosen, dtype=np.int64).reshape(-1, 3)
        subject, when, digest = columns.T
        wide = np.zeros((len(columns), 1), dtype=np.int64)
        return Sample(
            subject.astype(np.int32), when.astype(np.int16), digest, digest, digest, wide, wide.astype(np.int8)
        )

    shuffled = random.sample(rows, len(rows))
    half = len(rows) // 2
    parts = [_once(sample(part)) for part in (shuffled[:half], shuffled[half:])]
    again = [row for part in parts for row in zip(part.subject, part.slice, part.digest, strict=True)]
    whole = _once(sample(rows))
    assert equal(whole, _once(sample(shuffled)))
    assert equal(whole, _once(sample(again)))
    assert len(whole) == len({(subject, digest) for subject, _, digest in rows})


@given(st.lists(st.sampled_from([-(2**63), -1, 0, 5, 2**63 - 1]), max_size=30), st.integers(1, 6))
def test_values_that_occur_often_are_found(values: list[int], times: int) -> None:
    found = repeated(np.array(values, dtype=np.int64), times)
    assert found.tolist() == sorted({value for value in values if values.count(value) >= times})
