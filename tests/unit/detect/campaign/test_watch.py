"""What a watch knows after any number of cycles is what a fresh read of the same rows gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from strongroom.detect.campaign import _sample, _watch
from strongroom.detect.campaign._detect import detect, lay, look
from strongroom.detect.campaign._features import FACTS, Features, read_features
from strongroom.detect.campaign._starts import DIRECTIONS, _directions, ends, tied
from strongroom.detect.campaign._ties import find_ties
from strongroom.detect.campaign._watch import Watch, _Turn
from strongroom.detect.campaign._whole import _flat
from strongroom.store import EXCHANGES, Store

from .worlds import World

PEOPLE, SIZE = 120, 30
TEMPLATE = 77


def with_campaign(seed: int = 0) -> World:
    world = World(seed)
    people = world.people(PEOPLE, 40)
    workers = world.workers(SIZE, world.list_of(), 60)
    world.template(people[:8], TEMPLATE)
    for number, subject in enumerate([*people, *workers]):
        world.fact("client_address", [subject], f"203.0.113.{number % 50}")
    world.fact("organization", people[:4], "org")
    return world


def rows_of(world: World, place: Path) -> pa.Table:
    store = world.store(place)
    return store.table(store.exchanges())


def append(store: Store, rows: pa.Table) -> None:
    store.append_exchanges(rows.cast(EXCHANGES).combine_chunks().to_batches())


def fresh(store: Store) -> Features:
    found = read_features(store, since=None, until=None)
    assert found is not None
    return _flat(found)


def assert_same(one: Features, other: Features) -> None:
    assert one.subjects == other.subjects
    assert (one.rows, one.without_text, one.start) == (other.rows, other.without_text, other.start)
    for name in ("account", "edges", "exchanges", "tokens_out", "openings", "flags"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for kind in FACTS:
        assert one.facts[kind].names == other.facts[kind].names
        for name in ("subject", "value", "slice"):
            assert np.array_equal(getattr(one.facts[kind], name), getattr(other.facts[kind], name)), (kind, name)
    for name in ("subject", "slice", "digest", "head", "tail", "minhash", "embedding"):
        assert np.array_equal(getattr(one.sample, name), getattr(other.sample, name)), name


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of a few texts each, so that most are left out."""
    monkeypatch.setattr(_sample, "MAX_TEXTS", 20)
    monkeypatch.setattr(_sample, "MIN_SAMPLE", 4)
    monkeypatch.setattr(_sample, "MAX_SAMPLE", 1_000)


@pytest.fixture
def incremental(monkeypatch: pytest.MonkeyPatch) -> None:
    """No full cycle after the first."""
    monkeypatch.setattr(_watch, "ALWAYS_FULL", 0)
    monkeypatch.setattr(_watch, "GROWN", 1e9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("small", "incremental")
def test_what_is_known_is_what_a_fresh_read_gives_in_whatever_order_rows_come(seed: int, tmp_path: Path) -> None:
    rows = rows_of(with_campaign(seed), tmp_path / "all")
    order = np.random.default_rng(seed).permutation(len(rows))
    store = Store(tmp_path / "store")
    watch = Watch(store)
    assert watch.cycle() == []
    assert watch.features is None
    for part in np.array_split(order, [40, 41, 900, 2_000]):
        append(store, rows.take(pa.array(part)))
        watch.cycle()
        assert watch.new == len(part)
        assert watch.features is not None
        assert_same(watch.features, fresh(store))


def test_rows_that_come_again_change_counts_and_nothing_else(tmp_path: Path) -> None:
    rows = rows_of(with_campaign(), tmp_path / "all")
    store = Store(tmp_path / "store")
    watch = Watch(store)
    append(store, rows)
    watch.cycle()
    before = watch.features
    append(store, rows.slice(0, 500))
    watch.cycle()
    assert before is not None
    assert watch.features is not None
    assert_same(watch.features, fresh(store))
    assert watch.features.rows == before.rows + 500
    assert np.array_equal(watch.features.sample.digest, before.sample.digest)


def test_only_rows_of_the_window_are_taken_in(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    append(store, rows_of(with_campaign(), tmp_path / "all"))
    inside = fresh(store)
    middle = (inside.start + int(inside.edges[-1])) // 2
    watch = Watch(store, since=middle)
    watch.cycle()
    found = read_features(store, since=middle, until=None)
    assert found is not None
    assert watch.features is not None
    assert_same(watch.features, _flat(found))


def test_a_full_cycle_finds_what_a_detection_finds(tmp_path: Path) -> None:
    rows = rows_of(with_campaign(), tmp_path / "all")
    store = Store(tmp_path / "store")
    watch = Watch(store)
    for begin in range(0, len(rows), 2_500):
        append(store, rows.slice(begin, 2_500))
        spotted = watch.cycle()
        assert watch.full
    snapshot = detect(fresh(store), 1)
    assert [sorted(one.group.members.tolist()) for one in spotted] == [g.members.tolist() for g in snapshot.campaigns]
    (one,) = spotted
    found = watch.evidence(one)
    assert (found.accounts, found.exchanges) == (one.accounts, one.exchanges)
    assert found.detected_at[:10] == "2026-11-14"  # up to where was read
    result = watch.result([found])
    assert result is not None
    assert result.exchanges == len(rows)


@pytest.mark.usefixtures("incremental")
@pytest.mark.parametrize("seed", range(3))
def test_a_campaign_that_begins_between_full_cycles_is_found_before_the_next(seed: int, tmp_path: Path) -> None:
    """Its subjects are known: some people work on a few of them each. Cells for others come with a full cycle."""
    world = World(seed)
    world.people(PEOPLE, 40)
    topics = world.list_of(24)
    for _ in range(SIZE):
        world.add(world.about(topics[world.rng.choice(24, 3, replace=False)], 40))
    first = len(world.texts)
    world.workers(SIZE, topics, 40)
    rows = rows_of(world, tmp_path / "all")
    names = rows["subject"].to_numpy(zero_copy_only=False)
    theirs = names >= f"acct_{first:04d}"
    store = Store(tmp_path / "store")
    watch = Watch(store)
    append(store, rows.filter(pa.array(~theirs)))
    assert watch.cycle() == []
    assert watch.full
    nothing = watch.result([])
    assert nothing is not None
    assert nothing.sensitivity["measured"]
    append(store, rows.filter(pa.array(theirs)))
    spotted = watch.cycle() or watch.cycle()
    assert not watch.full
    (one,) = spotted
    assert np.isin(one.accounts, names[theirs]).mean() > 0.9
    assert len(one.accounts) > 0.8 * SIZE


@pytest.mark.usefixtures("incremental")
def test_a_known_campaign_stays_known_when_numbers_change(tmp_path: Path) -> None:
    """Subjects are numbered in order of their names, and new ones come before the campaign's."""
    rows = rows_of(with_campaign(), tmp_path / "all")
    names = rows["subject"].to_numpy(zero_copy_only=False)
    late = (names < "acct_0020") | (rows["position"].to_numpy() % 7 == 0)
    store = Store(tmp_path / "store")
    watch = Watch(store)
    append(store, rows.filter(pa.array(~late)))
    (before,) = watch.cycle()
    append(store, rows.filter(pa.array(late)))
    (after,) = watch.cycle()
    assert not watch.full
    assert len(np.intersect1d(before.accounts, after.accounts)) > 0.9 * len(before.accounts)
    assert after.exchanges > before.exchanges


def test_nothing_new_is_nothing_to_do_once_all_was_tried(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    append(store, rows_of(with_campaign(), tmp_path / "all"))
    watch = Watch(store)
    assert watch.cycle()
    assert watch.cycle() == []
    assert not watch.full


@pytest.mark.parametrize("count", [1, 7, 1_000])
def test_all_starts_are_tried_within_the_promised_cycles(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = with_campaign().features()
    view = look(features, 14, lay(features, 14, np.random.default_rng(0)))
    ties = find_ties(features, 14, view.able)
    turn, tried = _Turn(view.touches), set[bytes]()
    turn.next(view, ties, count)
    turn.next(view, ties, count)
    promised = turn.cycles(count)
    turn = _Turn(view.touches)
    # As they are now: the last directions are noise, and change places while they settle.
    settled = [turn._directions(view.touches, which) for which in range(2)]
    monkeypatch.setattr(turn, "_directions", lambda _touches, which: settled[which])
    for _ in range(2 * promised):  # the two scalings take turns
        tried |= {start.tobytes() for start in turn.next(view, ties, count)}
    wanted = [*tied(view.touches, ties, view.evidence.unit), *ends(settled[0]), *ends(settled[1])]
    assert tried == {start.tobytes() for start in wanted}
    assert len(tried) >= 4 * DIRECTIONS - 4


def test_the_directions_that_are_followed_are_those_of_the_decomposition() -> None:
    features = with_campaign().features()
    touches = look(features, 14, lay(features, 14, np.random.default_rng(0))).touches
    wanted = _directions(touches, np.ones(len(touches.unit)), 1)
    turn = _Turn(touches)
    for _ in range(10):
        got = turn._directions(touches, 0)
    got = got / np.linalg.norm(got, axis=0)
    assert abs(wanted[:, 0] @ got[:, 0]) > 0.99  # the campaign's
    first, again = next(iter(ends(wanted))), [*ends(got)][:2]
    assert max((first & other).sum() for other in again) > 0.9 * first.sum()


def test_vectors_that_follow_leave_old_texts_as_they_were_and_know_templates() -> None:
    features = with_campaign().features()
    sample, subjects = features.sample, len(features.subjects)
    old = np.arange(len(sample)) % 5 > 0
    ground = lay(Features(**{**vars(features), "sample": sample.take(old)}), 14, np.random.default_rng(0))
    origin = np.full(len(sample), -1, dtype=np.intp)
    origin[old] = np.arange(old.sum())
    followed = ground.vectors.following(sample, origin, np.arange(subjects))
    known = np.flatnonzero(old)
    assert np.array_equal(followed.of(known), ground.vectors.of(origin[known]))
    new = np.flatnonzero(~old)
    assert np.array_equal(followed.templated[new], sample.head[new] == TEMPLATE)
    assert len(followed) == len(sample)


def test_files_that_were_written_anew_are_read_anew_unless_it_is_said(tmp_path: Path) -> None:
    rows = rows_of(with_campaign(), tmp_path / "all")
    store = Store(tmp_path / "store")
    append(store, rows.slice(0, 3_000))
    append(store, rows.slice(3_000))
    watch = Watch(store)
    watch.cycle()
    store.compact()
    watch.compacted()
    watch.cycle()
    assert watch.new == 0
    append(store, rows.slice(0, 10))
    store.compact()
    watch.cycle()
    assert watch.new == len(rows) + 10
    assert watch.features is not None
    assert_same(watch.features, fresh(store))
