"""Whatever a reader returns leads to the checkpoint's root, and whatever a source says instead is an error."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.core.errors import InputError, IntegrityError, StrongroomError
from strongroom.ledger import Checkpoint, LogReader, SignedCheckpoint, check_proof, open_source, read_checkpoint
from strongroom.ledger._checkpoint import open_checkpoint
from strongroom.ledger._merkle import MAX_SIZE
from strongroom.ledger._notes import SigningKey, sign_note

from .ledgers import ORIGIN, Home, entry

SIZE = 700


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("log"))
    made.grow(0, SIZE)
    return made


class Lying:
    """A source in the place of a log's own."""

    def __init__(self, home: Home, lie: Callable[[str, bytes | None], bytes | None]) -> None:
        self.source, self.lie, self.name, self.reads = open_source(str(home.path)), lie, "lying", 0

    def read(self, path: str, limit: int) -> bytes | None:
        self.reads += 1
        data = self.lie(path, self.source.read(path, limit))
        if data is not None and len(data) > limit:
            raise IntegrityError("too large", where=path)
        return data


def reader(home: Home, lie: Callable[[str, bytes | None], bytes | None] = lambda path, data: data) -> LogReader:
    source = Lying(home, lie)
    return LogReader(source, read_checkpoint(source, [home.verifier]))


def test_entries_ranges_and_proofs(home: Home) -> None:
    log = reader(home)
    assert list(log.entries()) == [(number, entry(number)) for number in range(SIZE)]
    for first, last in ((0, 1), (255, 257), (SIZE - 1, SIZE), (SIZE - 1, SIZE + 9), (5, 5), (9, 5), (SIZE, None)):
        end = SIZE if last is None else min(last, SIZE)
        assert [number for number, _ in log.entries(first, last)] == list(range(first, end))
    for index in (0, 255, 256, SIZE - 1):
        data, proof = log.prove_entry(index)
        assert data == log.entry(index) == entry(index)
        assert proof == log.prove(index)
        check_proof(proof, data, [home.verifier], where="proof")
    for old in (0, 1, 256, 699, SIZE):
        log.prove_consistency(old)


@pytest.mark.parametrize("index", [-1, SIZE, 2**63, 10**30])
def test_outside_the_log_there_is_nothing(home: Home, index: int) -> None:
    log = reader(home)
    for act in (log.entry, log.prove, log.prove_entry):
        with pytest.raises(InputError, match="there is no entry"):
            act(index)
    if index != SIZE:
        with pytest.raises(InputError):
            log.prove_consistency(index)


def every_way(log: LogReader) -> None:
    log.entry(300)
    log.prove_entry(300)
    list(log.entries())
    log.prove_consistency(300)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(lambda path, data: None if path.startswith("tile/") else data, id="nothing"),
        pytest.param(lambda path, data: b"" if path.startswith("tile/") else data, id="empty"),
        pytest.param(lambda path, data: bytes(2**17) if path.startswith("tile/") else data, id="zeroes"),
        pytest.param(lambda path, data: b"<html>" if path.startswith("tile/") else data, id="html"),
        pytest.param(lambda path, data: (data or b"")[:-1] if path.startswith("tile/") else data, id="cut"),
        pytest.param(lambda path, data: (data or b"")[::-1] if path.startswith("tile/") else data, id="reversed"),
    ],
)
def test_a_source_that_lies_is_found_out(home: Home, lie: Callable[[str, bytes | None], bytes | None]) -> None:
    log = reader(home, lie)
    for act in (log.entry, log.prove, log.prove_entry):
        with pytest.raises(IntegrityError):
            act(300)
    with pytest.raises(IntegrityError):
        list(log.entries())
    with pytest.raises(IntegrityError):
        log.prove_consistency(300)


def test_another_log_behind_the_checkpoint_is_found_out(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path)
    other.grow(1000, SIZE)
    source = open_source(str(other.path))
    log = reader(home, lambda path, data: source.read(path, 10**6) if path.startswith("tile/") else data)
    for act in (log.entry, log.prove, log.prove_entry):
        with pytest.raises(IntegrityError):
            act(300)
    with pytest.raises(IntegrityError):
        list(log.entries())


def test_swapped_bundles_are_found_out(home: Home) -> None:
    source = open_source(str(home.path))
    names = {"tile/entries/000": "tile/entries/001", "tile/entries/001": "tile/entries/000"}
    log = reader(home, lambda path, data: source.read(names.get(path, path), 10**6))
    with pytest.raises(IntegrityError, match="tile/entries"):
        log.entry(0)
    with pytest.raises(IntegrityError):
        log.prove_entry(0)


def test_a_flipped_bit_never_gives_another_entry_or_a_proof_of_one(home: Home) -> None:
    rng = random.Random(1)
    paths = [str(path.relative_to(home.public)) for path in home.public.glob("tile/**/*") if path.is_file()]
    for path in paths:
        for _ in range(20):
            at, bit = rng.random(), 1 << rng.randrange(8)

            def lie(name: str, data: bytes | None, path: str = path, at: float = at, bit: int = bit) -> bytes | None:
                if name != path or data is None:
                    return data
                place = int(at * len(data))
                return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]

            for index in (0, 300, SIZE - 1):
                log = reader(home, lie)
                try:
                    assert log.entry(index) == entry(index)
                    assert log.prove_entry(index)[0] == entry(index)
                except IntegrityError:
                    continue


@pytest.mark.parametrize("size", [2**62, MAX_SIZE, 2**40 + 1])
def test_a_checkpoint_of_absurd_size_costs_little_and_shows_nothing(home: Home, size: int) -> None:
    """Its signature is good: the log's own key is in the hands of somebody who lies."""
    key = SigningKey(ORIGIN, b"k" * 32)
    note = sign_note(Checkpoint(ORIGIN, size, b"r" * 32).text(), [key])
    signed: SignedCheckpoint = open_checkpoint(note, [key.verifier], where="note")
    source = Lying(home, lambda path, data: data)
    log = LogReader(source, signed)
    for act in (
        lambda: log.entry(0),
        lambda: log.entry(size - 1),
        lambda: log.prove_entry(0),
        lambda: log.prove(size - 1),
        lambda: log.prove_consistency(SIZE),
        lambda: next(log.entries(size - 10)),
    ):
        with pytest.raises(StrongroomError):
            act()
    assert source.reads < 200


def test_no_checkpoint_and_one_of_another_log(home: Home, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        reader(home, lambda path, data: None)
    with pytest.raises(IntegrityError, match="no signature is of a key"):
        read_checkpoint(open_source(str(home.path)), [SigningKey(ORIGIN, b"x" * 32).verifier])
    with pytest.raises(InputError, match="no such directory"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(InputError, match="no checkpoint"):
        open_source(str(tmp_path))


def test_memory_does_not_grow_with_what_is_read(home: Home) -> None:
    log = reader(home)
    for _ in log.entries():
        pass
    assert len(log._bundles) <= 4
