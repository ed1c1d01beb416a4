"""The verifier finds what was changed and what is missing, and names the file."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from strongroom.core.errors import IntegrityError
from strongroom.ledger import (
    Checkpoint,
    LogReader,
    Seen,
    Verdict,
    open_source,
    read_checkpoint,
    verify_log,
)

from .ledgers import Home, entry


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A log of 66,000 entries: three levels of tiles, partial ones at each."""
    made = Home(tmp_path_factory.mktemp("log"))
    made.grow(0, 300)
    made.grow(300, 65_700)
    return made


@pytest.fixture
def small(tmp_path: Path) -> Home:
    made = Home(tmp_path / "small")
    made.grow(0, 300)
    return made


def verify(home: Home, **options: object) -> Verdict:
    return verify_log(open_source(str(home.path)), [home.verifier], **options)  # type: ignore[arg-type]


def test_a_whole_log_is_intact_and_its_completeness_unknown_without_an_older_checkpoint(home: Home) -> None:
    verdict = verify(home)
    assert (verdict.size, verdict.integrity, verdict.completeness) == (66_000, "intact", "unknown")
    assert not verdict.protected
    verdict.check("log")


def test_every_file_of_a_log_is_named_when_one_of_its_bits_flips(small: Home) -> None:
    files = [path for path in small.public.rglob("*") if path.is_file() and path.name != "keys"]
    assert len(files) == 6  # checkpoint, two tiles and a partial, two bundles; level 1 is partial
    rng = random.Random(1)
    for path in files:
        original = path.read_bytes()
        # Every byte of the small ones, some of the large.
        for at in range(len(original)) if len(original) < 300 else rng.sample(range(len(original)), 60):
            bit = 1 << rng.randrange(8)
            path.write_bytes(original[:at] + bytes([original[at] ^ bit]) + original[at + 1 :])
            if path.name == "checkpoint":
                with pytest.raises(IntegrityError, match="checkpoint"):
                    verify(small)
                continue
            verdict = verify(small)
            assert verdict.damage.changed == [str(path.relative_to(small.public))], (path, at, bit)
            assert verdict.integrity == "changed"
            with pytest.raises(IntegrityError, match=str(path.relative_to(small.public))):
                verdict.check("log")
        path.write_bytes(original)
    verify(small).check("log")


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/100",
        "tile/0/257.p/208",
        "tile/1/000",
        "tile/1/001.p/1",
        "tile/2/000.p/1",
        "tile/entries/100",
        "tile/entries/257.p/208",
    ],
)
def test_a_flipped_bit_and_a_lost_file_are_told_apart_at_every_level(home: Home, path: str) -> None:
    target = home.public / path
    original = target.read_bytes()
    try:
        target.write_bytes(original[:-1] + bytes([original[-1] ^ 4]))
        assert verify(home).damage.changed == [path]
        target.write_bytes(original[:-3])
        assert verify(home).damage.changed == [path]
        target.write_bytes(original + original[-33:])
        assert verify(home).damage.changed == [path]
        target.unlink()
        verdict = verify(home)
        assert (verdict.damage.changed, verdict.damage.missing) == ([], [path])
        assert verdict.completeness == "incomplete"
        with pytest.raises(IntegrityError, match="missing"):
            verdict.check("log")
    finally:
        target.write_bytes(original)


def test_a_rolled_back_disk_is_incomplete_against_an_older_checkpoint(small: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small.public, copy)
    small.grow(300, 100)
    newer = read_checkpoint(open_source(str(small.path)), [small.verifier]).checkpoint
    older = read_checkpoint(open_source(str(copy)), [small.verifier]).checkpoint
    verdict = verify(small, seen=[Seen("a friend", older)])
    assert (verdict.integrity, verdict.completeness, verdict.protected) == ("intact", "complete", True)
    # The disk goes back to its old state: all of it fits together, and yet entries are gone.
    shutil.rmtree(small.public)
    shutil.copytree(copy, small.public)
    assert verify(small).completeness == "unknown"
    verdict = verify(small, seen=[Seen("a friend", newer)])
    assert (verdict.integrity, verdict.completeness) == ("intact", "incomplete")
    with pytest.raises(IntegrityError, match="entries 300 to 399, which a friend has seen"):
        verdict.check("log")


def test_another_history_under_the_same_key_is_a_change(small: Home) -> None:
    seen = Seen("a friend", Checkpoint(small.verifier.name, 200, bytes(32)))
    verdict = verify(small, seen=[seen])
    assert verdict.integrity == "changed"
    with pytest.raises(IntegrityError, match="the first 200 entries are not those that a friend has seen"):
        verdict.check("log")


def test_an_entry_that_is_not_canonical_is_found_though_everything_is_hashed_right(tmp_path: Path) -> None:
    made = Home(tmp_path)
    sequencer = made.open()
    sequencer.unsafe_append_many([entry(0), entry(1).replace(b":", b": ", 1)])
    sequencer.close()
    verdict = verify(made)
    assert len(verdict.damage.malformed) == 1
    assert "entry 1" in verdict.damage.malformed[0]


def test_a_server_that_answers_differently_the_second_time_proves_nothing(tmp_path: Path) -> None:
    """The honest tiles are shown to the comparison with an older checkpoint, the rewritten ones to everything else."""
    old, new = Home(tmp_path / "old"), Home(tmp_path / "new")
    old.grow(0, 300)
    sequencer = new.open()
    sequencer.append_many([entry(999), *(entry(number) for number in range(1, 400))])
    sequencer.close()
    seen = Seen("a friend", read_checkpoint(open_source(str(old.path)), [old.verifier]).checkpoint)

    class Liar:
        name = "liar"

        def __init__(self) -> None:
            self.asked: set[str] = set()

        def read(self, path: str, limit: int) -> bytes | None:
            home = old if path in self.asked and (old.public / path).exists() else new
            self.asked.add(path)
            return (home.public / path).read_bytes() if (home.public / path).exists() else None

    with pytest.raises(IntegrityError):
        verify_log(Liar(), [new.verifier], seen=[seen]).check("liar")


@pytest.mark.parametrize("size", [0, 1, 200])
def test_a_verdict_says_no_more_than_what_was_compared(small: Home, size: int) -> None:
    reader = LogReader(open_source(str(small.path)), read_checkpoint(open_source(str(small.path)), [small.verifier]))
    seen = Seen("a friend", Checkpoint(small.verifier.name, size, reader.root_at(size)))
    verdict = verify(small, seen=[seen])
    assert (verdict.completeness, verdict.protected) == (("complete", True) if size else ("unknown", False))
    given = verify(small, seen=[Seen("a file", seen.checkpoint, outside=False)])
    assert (given.completeness, given.protected) == ("complete" if size else "unknown", False)
    target = small.public / "tile/entries/000"
    target.write_bytes(target.read_bytes()[:-1] + b"!")
    damaged = verify(small, seen=[seen])
    assert (damaged.integrity, damaged.completeness, damaged.protected) == ("changed", "unknown", False)
