"""Simulated material for a machine that has nothing else: instructions, texts, typed prompts, trades, templates.

All of it is generated from a small grammar and called simulated; none was written or typed by anybody. Long sequences
are lazy: item `i` is made from the seed and `i` alone, so a campaign of any size never runs out and nothing is stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import overload

from strongroom.simulate._phrases import REQUIREMENTS
from strongroom.simulate._vocabulary import (
    ACTIONS,
    ARTEFACTS,
    CHARACTERS,
    EVERYDAY,
    EVERYDAY_THINGS,
    FRAMES,
    PLACES,
    QUALITIES,
    TECHNOLOGIES,
    THINGS,
    TRADES,
    WORLD_TOPICS,
)

Maker = Callable[[random.Random], str]


class Generated(Sequence[str]):
    """A long sequence of generated texts, each made when it is asked for.

    >>> texts = Generated("doctest", 1000, instruction)
    >>> len(texts), texts[7] == Generated("doctest", 1000, instruction)[7]
    (1000, True)
    """

    __slots__ = ("_count", "_make", "_seed")

    def __init__(self, seed: str, count: int, make: Maker) -> None:
        self._seed, self._count, self._make = seed, count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._make(random.Random(f"{self._seed}/{index}"))  # noqa: S311


def _slots(r: random.Random, things: Sequence[str]) -> dict[str, str]:
    return {
        "action": r.choice(ACTIONS),
        "artefact": r.choice(ARTEFACTS),
        "thing": r.choice(things),
        "other": r.choice(things),
        "quality": r.choice(QUALITIES),
        "technology": r.choice(TECHNOLOGIES),
        "place": r.choice(PLACES),
        "person": r.choice(CHARACTERS),
        "topic": r.choice(WORLD_TOPICS),
        "number": str(r.choice((2, 3, 4, 5, 7, 8, 10, 12, 15, 20, 25, 40, 50, 64, 100, 250, 365, 512, 1000))),
    }


def _instruction(r: random.Random, things: Sequence[str]) -> str:
    text = r.choice(FRAMES).format(**_slots(r, things))
    text = text[0].upper() + text[1:]
    for _ in range(r.choice((0, 0, 1, 1, 2, 3))):
        text += " " + _detail(r, things)
    if r.random() < 0.4:
        text += "\n" + _input(r, things)
    return text


def _detail(r: random.Random, things: Sequence[str]) -> str:
    slots = _slots(r, things)
    form = r.choice(
        (
            "It must {action} {thing} without {quality} delays.",
            "Assume that {thing} comes from {place}.",
            "There are about {number} entries for each {thing}.",
            "Explain why {thing} matters more than {other}.",
            "The result is read by {person}.",
            "Take {topic} as the running example.",
            "Do not rely on {technology}.",
            "Name {number} pitfalls with {other}.",
        )
    )
    return form.format(**slots)


def _input(r: random.Random, things: Sequence[str]) -> str:
    kind = r.randrange(4)
    if kind == 0:
        return ", ".join(str(r.randrange(1, 900)) for _ in range(r.randrange(3, 12)))
    if kind == 1:
        return f"{r.choice(things).replace(' ', '_')} = {r.randrange(1, 99)}; place = '{r.choice(PLACES)}'"
    if kind == 2:
        return "\n".join(f"{r.choice(things)}: {r.choice(QUALITIES)}" for _ in range(r.randrange(2, 5)))
    return f'"{r.choice(CHARACTERS)} from {r.choice(PLACES)} wants {r.choice(QUALITIES)} {r.choice(things)}"'


# The study part of the subject is what learners ask about and a campaign leaves alone.
_HELD_OUT = tuple(THINGS[::7])
_HARVESTED = tuple(t for t in THINGS if t not in _HELD_OUT)


def instruction(r: random.Random) -> str:
    """One instruction of the harvested subject."""
    return _instruction(r, _HARVESTED)


def study_question(r: random.Random) -> str:
    """One instruction of the part of the subject that a campaign leaves alone."""
    return _instruction(r, _HELD_OUT)


def context(r: random.Random) -> str:
    """A longer text of the harvested subject, such as an answer that is to be explained or criticised."""
    if r.random() < 0.5:
        return _code(r)
    return " ".join(_sentence(r, _HARVESTED) for _ in range(r.randrange(4, 14)))


def _sentence(r: random.Random, things: Sequence[str]) -> str:
    form = r.choice(
        (
            "To {action} {thing}, one starts from {other} and checks that it is {quality}.",
            "In {place}, {person} found that {thing} is rarely {quality}.",
            "With {technology}, {thing} takes {number} steps, and {other} takes more.",
            "The {artefact} keeps {thing} apart from {other}.",
            "If {thing} is {quality}, then {action} it before {other}.",
            "{number} of {number} cases of {topic} come down to {other}.",
            "Nobody should {action} {other} while {thing} is being changed.",
        )
    )
    text = form.format(**_slots(r, things))
    return text[0].upper() + text[1:]


def _code(r: random.Random) -> str:
    def name() -> str:
        return r.choice(_HARVESTED).replace(" ", "_").replace("-", "_")

    a, b, c = name(), name(), name()
    lines = [f"def {r.choice(ACTIONS).split()[0]}_{a}({b}, {c}={r.randrange(1, 99)}):"]
    for _ in range(r.randrange(3, 12)):
        x, y = r.choice((a, b, c, name())), r.choice((b, c))
        lines.append(
            "    "
            + r.choice(
                (
                    f"{x} = [{y}[i] for i in range({r.randrange(2, 50)}) if {y}[i] > {r.randrange(9)}]",
                    f"if not {x}: raise ValueError('{r.choice(QUALITIES)} {x}')",
                    f"for {x[0]} in sorted({y}): {x}.append({x[0]} * {r.randrange(2, 9)})",
                    f"{x} = max({y}, key=lambda v: v.{name()})",
                    f"total = sum({y}) / {r.randrange(2, 12)}  # {r.choice(QUALITIES)}",
                    f"{x}.update({name()}={r.randrange(100)}, {name()}='{r.choice(PLACES)}')",
                )
            )
        )
    lines.append(f"    return {r.choice((a, b, c))}")
    return "\n".join(lines)


def typed(r: random.Random) -> str:
    """One everyday prompt, as anybody may type it."""
    text = r.choice(EVERYDAY).format(
        thing=r.choice(EVERYDAY_THINGS),
        place=r.choice(PLACES),
        person=r.choice(CHARACTERS),
        topic=r.choice(WORLD_TOPICS),
        number=r.randrange(2, 40),
    )
    if r.random() < 0.3:
        text += " " + r.choice(REQUIREMENTS)
    return text if r.random() < 0.5 else text[0].upper() + text[1:]


def benchmark_question(r: random.Random) -> str:
    """One question of a public benchmark, with four choices."""
    choices = "\n".join(f"{letter}. {r.choice(QUALITIES)} {r.choice(EVERYDAY_THINGS)}" for letter in "ABCD")
    return (
        f"Which of these is best described by {r.choice(WORLD_TOPICS)} in {r.choice(PLACES)}, given "
        f"{r.randrange(2, 90)} {r.choice(EVERYDAY_THINGS)} and {r.choice(CHARACTERS)}?\n{choices}"
    )


def labelled_row(r: random.Random) -> str:
    """One row of a dataset that an organisation works through openly."""
    return (
        f"Review {r.randrange(10_000, 99_999)}: the {r.choice(EVERYDAY_THINGS)} from {r.choice(PLACES)} was "
        f"{r.choice(QUALITIES)}, and {r.choice(CHARACTERS)} said it is {r.choice(QUALITIES)}. "
        f"Stars: {r.randrange(1, 6)}."
    )


def assignment(r: random.Random) -> str:
    """One task that a teacher hands to a class."""
    return (
        f"Exercise {r.randrange(1, 30)}. Read the text about {r.choice(WORLD_TOPICS)}. In {r.randrange(80, 400)} "
        f"words, explain how {r.choice(CHARACTERS)} would see {r.choice(EVERYDAY_THINGS)} in {r.choice(PLACES)}, "
        f"and give {r.randrange(2, 5)} arguments that are not {r.choice(QUALITIES)}."
    )


def trade_query(trade: str) -> Maker:
    """What the customers of one trade ask its products."""
    nouns, asks = TRADES[trade]

    def make(r: random.Random) -> str:
        text = r.choice(asks).format(
            noun=r.choice(nouns), other=r.choice(nouns), number=r.randrange(2, 60), place=r.choice(PLACES)
        )
        return text if r.random() < 0.7 else text + " " + r.choice(("please", "thanks", "asap", "?", "today"))

    return make


def trades() -> tuple[str, ...]:
    """Names of the trades that the grammar knows."""
    return tuple(TRADES)
