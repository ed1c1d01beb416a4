"""The measurements: every tool at one job after the other, then the next job, round by round.

What a job reads was read just before, so that it is in the page cache for everybody. Every job syncs what it wrote at
its end, so that nobody pays for another's writing. Results of the first round are compared with what was sealed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from material import HEIGHT, DifferentError, Model, check_tree, make_tree
from programs import LIMITS, FailedError, Program
from results import NOTHING, Results

PIECE = 1 << 20
TENSORS = 16
"""Of the tensors, how many are loaded one by one in a round."""
FEW = 3
"""Of those who decrypt all before it: at a quarter, in the middle, at three quarters."""


def warm(place: Path) -> None:
    """All of it is in the page cache, as far as memory goes."""
    buffer = bytearray(PIECE)
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


class Bench:
    """A model, programs, and a folder for what they make of it."""

    def __init__(self, folder: Path, model: Model, programs: Sequence[Program], results: Results) -> None:
        self.folder, self.model, self.results = folder, model, results
        self.limits = [program for program in programs if program.tool == LIMITS]
        self.programs = [program for program in programs if program.tool != LIMITS]
        self.random = np.random.default_rng(3)
        os.sync()

    def ask(self, program: Program, job: str, reads: Path, **given: Any) -> dict[str, Any] | None:
        """The answer, with its input warm and the disk at rest. None where there is none; why is in the results."""
        key = (program.tool.name, job)
        if key in self.results.failed or key in self.results.lacking:
            return None
        try:
            if not reads.exists():
                raise FailedError(NOTHING)
            warm(reads)
            answer = program.ask(job, **given)
        except FailedError as failure:
            self.fail(program, job, failure)
            return None
        if answer.get("lacks"):
            self.results.lacking.add(key)
            return None
        print(f"{program.tool.name}, {program.threads}, {job}: {_told(answer)}", flush=True)
        return answer

    def fail(self, program: Program, job: str, reason: Exception) -> None:
        print(f"{program.tool.name}, {program.threads}, {job} failed: {reason}", flush=True)
        self.results.failed[program.tool.name, job] = str(reason)
        self.results.forget(program.tool.name, job)

    def round(self, number: int) -> None:
        """One measurement of each; every other round goes through the tools backwards."""
        order = self.programs[:: 1 if number % 2 == 0 else -1]
        self.bare_limits()
        for job in (self.seal, self.open, self.load, self.tensors, self.rows):
            for program in order:
                job(program, first=number == 0)

    def bare_limits(self) -> None:
        source, out = self.model.path, self.folder / "limit.out"
        for program in self.limits:
            for job in ("gcm same", "gcm through"):
                answer = self.ask(program, job, source, source=str(source))
                for way in ("encrypt", "decrypt") if answer else ():
                    self.results.add(LIMITS.name, program.threads, f"{job} {way}", answer[way])
        for job in ("sha256", "copy", "read", "write"):
            given = {"source": str(source)} | ({"out": str(out)} if job in ("copy", "write") else {})
            self.keep(self.limits[0], job, self.ask(self.limits[0], job, source, **given))
            remove(out)

    def keep(self, program: Program, measure: str, answer: dict[str, Any] | None) -> None:
        """Seconds of writing something, without and with fsync."""
        if answer:
            name = program.tool.name
            self.results.add(name, program.threads, measure, answer["seconds"])
            self.results.add(name, program.threads, f"{measure}, fsync", answer.get("synced"))

    def sealed(self, program: Program) -> Path:
        """Where its sealed file is, whatever its threads."""
        return self.folder / f"{program.tool.name}.sealed"

    def checked(self, program: Program, job: str, check: Callable[[], None]) -> None:
        """A wrong result is a failure, and its figures are not kept."""
        try:
            check()
        except DifferentError as error:
            self.fail(program, job, error)

    def seal(self, program: Program, *, first: bool) -> None:
        out = self.sealed(program)
        remove(out)
        answer = self.ask(program, "seal", self.model.path, source=str(self.model.path), sealed=str(out))
        self.keep(program, "seal", answer)
        if answer:
            self.results.sizes[program.tool.name] = answer["bytes"]
            if first:
                self.checked(program, "seal", lambda: self.model.check_sealed(out))

    def open(self, program: Program, *, first: bool) -> None:
        sealed, out = self.sealed(program), self.folder / "opened"
        answer = self.ask(program, "open", sealed, sealed=str(sealed), plain=str(out))
        self.keep(program, "open", answer)
        if answer and first:
            self.checked(program, "open", lambda: self.model.check(out))
        remove(out)

    def load(self, program: Program, *, first: bool) -> None:
        sealed = self.sealed(program)
        self.keep(program, "load", self.ask(program, "load", sealed, sealed=str(sealed), names=self.model.names))

    def some(self, program: Program, count: int) -> list[str]:
        """Names in the order of the file."""
        names = self.model.names
        if program.tool.streams:
            return [names[len(names) * quarter // 4] for quarter in range(1, FEW + 1)]
        chosen = self.random.choice(len(names), min(count, len(names)), replace=False)
        return [names[at] for at in sorted(chosen.tolist())]

    def tensors(self, program: Program, *, first: bool) -> None:
        sealed, names = self.sealed(program), self.some(program, TENSORS)
        answer = self.ask(program, "tensor", sealed, sealed=str(sealed), names=names)
        if answer:
            self.results.add(program.tool.name, program.threads, "tensor", *answer["each"])
            self.same(program, "tensor", answer["digest"], self.model.digests[names[0]])

    def rows(self, program: Program, *, first: bool) -> None:
        sealed = self.sealed(program)
        places = [(name, int(self.random.integers(HEIGHT))) for name in self.some(program, len(self.model.names))]
        answer = self.ask(program, "row", sealed, sealed=str(sealed), places=places, height=HEIGHT)
        if answer:
            self.results.add(program.tool.name, program.threads, "row", *answer["each"])
            self.results.add(program.tool.name, program.threads, "row, again", *answer["again"])
            self.same(program, "row", answer["digest"], self.model.row_digest(*places[0]))

    def same(self, program: Program, job: str, found: str, right: str) -> None:
        if found != right:
            self.fail(program, job, DifferentError("other bytes came back"))

    def memory(self, start: Callable[[Program], Program]) -> None:
        """What each takes beside its result, in a process of its own for each job."""
        source, middle = str(self.model.path), self.model.names[len(self.model.names) // 2]
        for program in [each for each in self.programs if each.threads == max(each.tool.threads)]:
            sealed, out = self.sealed(program), self.folder / "opened"
            for job, given in (
                ("one", {"sealed": str(sealed), "name": middle}),
                ("open", {"sealed": str(sealed), "plain": str(out)}),
                ("seal", {"source": source, "sealed": str(sealed)}),
            ):
                if job == "seal":
                    remove(sealed)
                fresh = start(program)
                answer = self.ask(fresh, job, self.model.path if job == "seal" else sealed, **given)
                fresh.close()
                remove(out)
                if answer:
                    result = answer["bytes"] if job == "one" else 0
                    self.results.memory[program.tool.name, job] = answer["peak"] - result

    def small_files(self, count: int, rounds: int) -> None:
        """Many small files: sealed, opened, and copied as they are."""
        source, out = self.folder / "small", self.folder / "opened"
        self.results.files, self.results.files_rounds = count, rounds
        self.results.files_bytes = make_tree(source, count)
        os.sync()
        for number in range(rounds):
            for program in [*self.limits[:1], *self.programs[:: 1 if number % 2 == 0 else -1]]:
                if program.tool == LIMITS:
                    answer = self.ask(program, "copy small", source, source=str(source), out=str(out))
                    self.keep(program, "copy small", answer)
                    remove(out)
                    continue
                sealed = self.folder / "small.sealed"
                answer = self.ask(program, "seal small", source, source=str(source), sealed=str(sealed))
                self.keep(program, "seal small", answer)
                if answer:
                    answer = self.ask(program, "open small", sealed, sealed=str(sealed), plain=str(out))
                    self.keep(program, "open small", answer)
                    if answer and number == 0:
                        self.checked(program, "open small", lambda: check_tree(source, out))
                remove(sealed)
                remove(out)


def _told(answer: dict[str, Any]) -> str:
    """One line for whoever waits."""
    seconds = answer.get("seconds", answer.get("encrypt", answer.get("synced")))
    if "each" in answer:
        return f"{1e3 * sorted(answer['each'])[len(answer['each']) // 2]:.2f} ms"
    return f"{seconds:.2f} s" if seconds is not None else "done"
