"""A key is the same for the same record, and another for another; a set of keys is a set."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strongroom.ingest._keys import Known, Ordinals, digests, text_key

KEY, OTHER = bytes(32), bytes([1] * 32)
SMALL = st.lists(st.lists(st.integers(-5, 40) | st.integers(-(2**63), 2**63 - 1), max_size=30), max_size=12)


def array(keys: list[int]) -> np.ndarray:
    return np.array(keys, dtype=np.int64)


@given(SMALL, st.lists(st.integers(-5, 40)))
def test_known_is_a_set(batches: list[list[int]], first: list[int]) -> None:
    known, model = Known(array(first)), set(first)
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(key not in model)
            model.add(key)
        assert known.add(array(batch)).tolist() == expected
        assert known.has(array(batch)).all()
    probe = array(list(range(-10, 50)))
    assert known.has(probe).tolist() == [int(key) in model for key in probe]


def test_known_keeps_few_runs_of_eight_bytes_a_key() -> None:
    known, rng = Known(), np.random.default_rng(1)
    for _ in range(300):
        known.add(rng.integers(-(2**62), 2**62, 1000))
    assert sum(run.nbytes for run in known._runs) == 8 * 300_000
    assert len(known._runs) < 20


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_ordinals_give_distinct_keys_that_do_not_depend_on_chunks(records: list[bytes], cuts: list[int]) -> None:
    whole = Ordinals().keys(digests(records, KEY))
    assert len(set(whole.tolist())) == len(records)
    pieces, ordinals, at = [], Ordinals(), 0
    for cut in [*sorted(cuts), len(records)]:
        pieces += ordinals.keys(digests(records[at:cut], KEY)).tolist()
        at = max(at, cut)
    assert pieces == whole.tolist()


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=40), st.lists(st.sampled_from([b"a", b"b", b"d"])))
def test_a_log_that_grew_keeps_the_keys_it_had(log: list[bytes], more: list[bytes]) -> None:
    before = Ordinals().keys(digests(log, KEY)).tolist()
    after = Ordinals().keys(digests(log + more, KEY)).tolist()
    assert after[: len(before)] == before


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=40), st.randoms())
def test_the_keys_of_a_log_do_not_depend_on_the_order_of_its_lines(log: list[bytes], random: object) -> None:
    shuffled = list(log)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    keys = [Counter(Ordinals().keys(digests(each, KEY)).tolist()) for each in (log, shuffled)]
    assert keys[0] == keys[1]


def test_many_equal_lines_cost_little() -> None:
    repeated = digests([b"heartbeat"] * 200_000, KEY)
    doubled = digests([b"%d" % (i // 2) for i in range(200_000)], KEY)
    for found in (repeated, doubled):
        tracemalloc.start()
        ordinals = Ordinals()
        keys = np.concatenate([ordinals.keys(found[at : at + 10_000]) for at in range(0, len(found), 10_000)])
        size = tracemalloc.get_traced_memory()[0] - keys.nbytes
        tracemalloc.stop()
        assert len(np.unique(keys)) == 200_000
        assert size < 32 * 200_000


def test_white_space_around_a_record_and_line_ends_do_not_matter() -> None:
    assert len(set(digests([b"{}", b"{}\r", b" {} \n"], KEY).tolist())) == 1


def test_keys_are_keyed() -> None:
    assert digests([b"{}"], KEY)[0] != digests([b"{}"], OTHER)[0]
    assert text_key("id", KEY) != text_key("id", OTHER)
    assert -(2**63) <= text_key("\ud800 any text", KEY) < 2**63


def test_an_id_and_a_line_of_the_same_bytes_have_different_keys() -> None:
    assert text_key("abc", KEY) != int(digests([b"abc"], KEY)[0])
