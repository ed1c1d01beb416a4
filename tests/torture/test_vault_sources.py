"""Files that somebody writes to while they are sealed: refused, or sealed as they were before or after, never a mix."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.vault.rooms import SEGMENT, room

from strongroom.core.errors import StrongroomError
from strongroom.vault import find_sources, open_object, prove, remove_sources, seal

from .results import record_result
from .vault_processes import MOST_SECONDS
from .vault_workshop import Tally, in_memory, read_whole

pytestmark = pytest.mark.torture

SEED = 20_261_130
TRIALS = 100
SIZES = {"a": 40_000, "b/c": 4_000_000, "b/d": 9_000, "e": 300_000}
BLOCK = 16
"""Every so many bytes say which content they are of."""
PIECES = 6
"""In which a file is written anew."""


def content(size: int, version: int) -> bytes:
    return (b"version %08d" % version)[:BLOCK] * (size // BLOCK)


def rewritten(path: Path, rng: random.Random) -> None:
    """In place, piece by piece."""
    data = content(path.stat().st_size, 2)
    with path.open("r+b", buffering=0) as file:
        for piece in range(PIECES):
            file.write(data[len(data) * piece // PIECES : len(data) * (piece + 1) // PIECES])
            time.sleep(rng.uniform(0, 0.002))


def truncated(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(0, path.stat().st_size, BLOCK))


def grown(path: Path, rng: random.Random) -> None:
    with path.open("ab", buffering=0) as file:
        for _ in range(PIECES):
            file.write(content(BLOCK * rng.randrange(1, 3000), 2))
            time.sleep(rng.uniform(0, 0.001))


def replaced(path: Path, rng: random.Random) -> None:
    new = path.with_name(".new")
    new.write_bytes(content(path.stat().st_size, 2))
    new.rename(path)


def replaced_and_dated_back(path: Path, rng: random.Random) -> None:
    """As `cp -p` and rsync do."""
    found = path.stat()
    path.write_bytes(content(found.st_size, 2))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def deleted(path: Path, rng: random.Random) -> None:
    path.unlink()


def touched(path: Path, rng: random.Random) -> None:
    os.utime(path)


def exchanged_for_a_directory(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


CHANGES: list[Callable[[Path, random.Random], None]] = [
    *(rewritten, truncated, grown, replaced, replaced_and_dated_back, deleted, touched, exchanged_for_a_directory),
]
TALLY = Tally(
    "a file changes while it is sealed",
    f"one of {len(SIZES)} files of up to 4 MB changed by another process at a random moment: {{jobs}}. {{trials}} "
    "sealings: {refused} refused, naming the file, with nothing at the object's place; {before} sealed as before and "
    "{after} as after, none as a mix; {seconds} s.",
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    with in_memory() as place:
        yield place


class Meddler:
    """A process that changes one file some time from now."""

    def __init__(self, change: Callable[[Path, random.Random], None], path: Path, after: float, seed: int) -> None:
        self.child = os.fork()
        if not self.child:
            code = 1
            try:
                time.sleep(after)
                change(path, random.Random(seed))
                code = 0
            finally:
                os._exit(code)

    def wait(self) -> None:
        deadline = time.monotonic() + MOST_SECONDS
        while time.monotonic() < deadline:
            found, status = os.waitpid(self.child, os.WNOHANG)
            if found:
                assert status == 0
                return
            time.sleep(0.0005)
        os.kill(self.child, signal.SIGKILL)
        raise AssertionError("the meddler hangs")


class Trials:
    """Sealings of files of which one is changed meanwhile."""

    def __init__(self, change: Callable[[Path, random.Random], None], scratch: Path) -> None:
        self.change, self.scratch = change, scratch
        self.rng = random.Random(f"{SEED} {change.__name__}")
        self.own = room()
        self.seen: Counter[str] = Counter()

    def files(self) -> Path:
        folder = self.scratch / "files"
        shutil.rmtree(folder, ignore_errors=True)
        for name, size in SIZES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content(size, 1))
        return folder

    def seconds(self) -> float:
        begun = time.monotonic()
        self._seal(self.files(), self.scratch / "first")
        return time.monotonic() - begun

    def _seal(self, folder: Path, out: Path) -> None:
        sources = find_sources([folder])
        seal(sources, out, self.own.door.recipients, self.own.door, segment_length=SEGMENT, threads=2)

    def sealing(self, within: float) -> None:
        """One sealing."""
        folder, out = self.files(), self.scratch / "out"
        name = self.rng.choice(list(SIZES))
        before = content(SIZES[name], 1)
        meddler = Meddler(self.change, folder / name, self.rng.uniform(0, within), self.rng.randrange(10**9))
        time.sleep(self.rng.uniform(0, within / 4))
        error = None
        try:
            self._seal(folder, out)
        except StrongroomError as failed:
            error = failed
        meddler.wait()
        if error is not None:
            self.seen["refused"] += 1
            assert not out.exists()
            assert str(folder) in error.where, error
        else:
            after = (folder / name).read_bytes() if (folder / name).is_file() else before
            _, found = read_whole(out, self.own.door)
            others = {other: content(size, 1) for other, size in SIZES.items() if other != name}
            assert {other: data for other, data in found.items() if other != name} == others
            if name in found:  # it was deleted before it was looked for
                assert found[name] in (before, after), f"a mix of {name} was sealed"
            self.seen["as after" if found.get(name) == after != before else "as before"] += 1
            shutil.rmtree(out)
        shutil.rmtree(self.scratch / ".out.sealing", ignore_errors=True)

    def removing(self, within: float) -> None:
        """Proving and removing what was sealed: what was replaced meanwhile stays."""
        folder, out = self.files(), self.scratch / "out"
        sources = find_sources([folder])
        seal(sources, out, self.own.door.recipients, self.own.door, segment_length=SEGMENT)
        name = self.rng.choice(list(SIZES))
        meddler = Meddler(self.change, folder / name, self.rng.uniform(0, within), self.rng.randrange(10**9))
        error = None
        try:
            with open_object(out, door=self.own.door) as sealed:
                prove(sealed, sources, threads=2)
                remove_sources(sources)
        except StrongroomError as failed:
            error = failed
        _, status = os.waitpid(meddler.child, 0)
        if not status:  # otherwise the file was removed before
            assert (folder / name).read_bytes() == content(SIZES[name], 2), "what was written meanwhile is gone"
        left = {path for path in folder.rglob("*") if path.is_file()}
        assert error or left <= {folder / name}
        self.seen["refused" if error else "removed"] += 1
        shutil.rmtree(out)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.replace("_", " "))
def test_what_changes_meanwhile_is_refused_or_sealed_as_before_or_after(
    change: Callable[[Path, random.Random], None], scratch: Path
) -> None:
    begun = time.monotonic()
    trials = Trials(change, scratch)
    seconds = trials.seconds()
    for _ in range(TRIALS):
        trials.sealing(seconds)
    seen = trials.seen
    assert seen["refused"] > TRIALS / 20
    TALLY.add(
        change.__name__.replace("_", " "),
        begun,
        trials=TRIALS,
        refused=seen["refused"],
        before=seen["as before"],
        after=seen["as after"],
    )


def test_what_is_replaced_while_it_is_proved_and_removed_stays(scratch: Path) -> None:
    begun = time.monotonic()
    trials = Trials(replaced, scratch)
    for _ in range(TRIALS):
        trials.removing(0.05)
    seen = trials.seen
    assert seen["refused"] > TRIALS / 20
    record_result(
        "a file is replaced while its sealed copy is proved and it is removed",
        f"{TRIALS} times: {seen['refused']} refused, {seen['removed']} removed; the new file was there in each case where "
        f"it had come; {time.monotonic() - begun:.0f} s.",
    )
