"""kill -9 of `strongroom vault seal` with --force and --remove-source: every file stays, plain or sealed and proved."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.vault.rooms import write_files

import strongroom.site  # noqa: F401 - so that each child needs not import it
from strongroom.cli import app, main

from .results import record_result
from .vault_processes import killed, seconds_of
from .vault_steps import killing
from .vault_workshop import MANY, Ciphertexts, Workshop, in_memory, plain_below, read_whole

pytestmark = pytest.mark.torture

SEED = 20_261_130
KILLS = 40
SIZES = {name: size // 4 for name, size in MANY.items() if name.endswith(("1", "3", "large"))}
DONE, WRONG_USE, NO_INPUT, INTEGRITY = 0, 2, 3, 5


@pytest.fixture
def scratch() -> Iterator[Path]:
    app(["vault", "seal", "--help"], standalone_mode=False)  # so that each child finds it made
    with in_memory() as place:
        yield place


class Command:
    """One sealing on the command line, of files of its own."""

    def __init__(self, shop: Workshop, base: Path, *options: str, old: bool) -> None:
        self.shop, self.base, self.options = shop, base, options
        self.source, self.out = base / "model", base / "m.sealed"
        self.door = shop.door()
        base.mkdir()
        write_files(self.source, shop.files["new"])
        if old:
            shop.copy("old", self.out)

    def run(self, *more: str) -> None:
        """In a child. Ends it with the command's exit code."""
        keys = self.shop.root / "keys"
        words = ["vault", "seal", self.source, "-o", self.out, "--to", keys / "site.pub", "--threads", "2"]
        words += ["--key", keys / "site.key", "--key", keys / "signer.key", *self.options, *more]
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        sys.argv = ["strongroom", *map(str, words)]
        os._exit(main())

    def code(self, *more: str) -> int:
        """The exit code of the command when nobody kills it."""
        child = os.fork()
        if not child:
            self.run(*more)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def sealed(self) -> dict[str, bytes]:
        """What the object at the place gives back, which is whole where it is there."""
        return read_whole(self.out, self.door)[1] if self.out.exists() else {}

    def plain(self) -> dict[str, bytes]:
        return {p.relative_to(self.source).as_posix(): p.read_bytes() for p in self.source.rglob("*") if p.is_file()}

    def look(self) -> str:
        """Nothing is lost, nothing is plain that was not, and the object is whole. `old` or `new`."""
        sealed, plain, wanted = self.sealed(), self.plain(), self.shop.files["new"]
        for name, data in wanted.items():
            assert plain.get(name, sealed.get(name)) == data, f"{name} is lost"
        for path, _ in plain_below(self.base):
            assert self.source in path.parents, f"plaintext was left: {path}"
        assert sealed in ({}, wanted, self.shop.files["old"])
        return "new" if sealed == wanted else "old"


class Kills:
    """Kills of one command line."""

    def __init__(self, scratch: Path, *options: str, old: bool) -> None:
        self.scratch, self.options, self.old = scratch, options, old
        self.shop = Workshop(scratch / "shop", SIZES)
        (self.shop.root / "keys").mkdir()
        self.shop.own.site.write(self.shop.root / "keys")
        self.shop.own.signer.write(self.shop.root / "keys")
        self.rng = random.Random(f"{SEED} {options}")
        self.ciphertexts = Ciphertexts()
        self.seen: Counter[str] = Counter()
        self._number = 0

    def command(self) -> Command:
        self._number += 1
        return Command(self.shop, self.scratch / f"run-{self._number}", *self.options, old=self.old)

    def look(self, command: Command) -> str:
        state = command.look()
        self.ciphertexts.look(command.base)
        self.seen["kills"] += 1
        self.seen[state] += 1
        self.seen["removing"] += 0 < len(command.plain()) < len(SIZES)
        return state

    def again(self, command: Command) -> None:
        """The same once more. Where all files were removed already, there are none to seal."""
        assert command.code() in (DONE, NO_INPUT)
        assert command.look() == "new"
        if "--remove-source" in self.options:
            assert command.plain() == {}
        self.ciphertexts.look(command.base)
        shutil.rmtree(command.base)

    def all(self) -> int:
        """So many at random moments, then one before each operation on the disk. How many operations there are."""
        seconds = seconds_of(lambda number: self.command().run)
        while self.seen["kills"] < KILLS:
            command = self.command()
            while killed(command.run, self.rng.uniform(0.3, 1.1) * seconds):
                if self.look(command) == "new" or self.rng.random() < 0.5:
                    break
            self.again(command)
        for at in range(1000):
            command = self.command()
            if not killed(lambda: step_killed(command, at)):  # noqa: B023
                return at
            self.look(command)
            self.again(command)
        pytest.fail("it has no end")


def step_killed(command: Command, at: int) -> None:
    with killing(at, torn=at % 2 == 1):
        command.run()


@pytest.mark.parametrize(
    ("options", "old"),
    [(("--force",), True), (("--remove-source",), False)],
    ids=["--force", "--remove-source"],
)
def test_a_sealing_that_is_killed_loses_no_file(options: tuple[str, ...], old: bool, scratch: Path) -> None:
    begun = time.monotonic()
    kills = Kills(scratch, *options, old=old)
    operations = kills.all()
    seen = kills.seen
    removing = f" ({seen['removing']} while files were removed)" if "--remove-source" in options else ""
    record_result(
        f"kill -9 of strongroom vault seal {' '.join(options)}",
        f"{seen['kills']} kills, {KILLS} at random moments and one before each of {operations} operations on the disk: "
        f"what was there before after {seen['old']}, the new object after {seen['new']}{removing}, always whole; each of "
        f"{len(SIZES)} files plain or in an object that gives it back, also after the same command once more; of "
        f"{kills.ciphertexts.headers:,} FLOE headers none had two contents; {time.monotonic() - begun:.0f} s.",
    )


@pytest.mark.parametrize(("more", "code"), [(("--force",), WRONG_USE), ((), INTEGRITY)])
def test_what_is_not_in_the_object_that_is_there_is_not_removed(
    more: tuple[str, ...], code: int, scratch: Path
) -> None:
    command = Kills(scratch, "--remove-source", *more, old=True).command()
    assert command.code() == code
    assert command.look() == "old"
    assert len(command.plain()) == len(SIZES)
