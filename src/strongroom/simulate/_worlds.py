"""Two disjoint worlds of real material: thresholds are set in one, and judged in the other.

They share no harvest set, no typed prompt, no intent and no installed package. What is generated from the grammar for
hard negatives differs by seed only.

>>> sorted(TUNE.harvests[0]), JUDGE.half
(['gpteacher_toolformer'], 1)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from strongroom.simulate import _grammar
from strongroom.simulate._installed import subjects
from strongroom.simulate._library import Domain
from strongroom.simulate._material import PROGRAMS, Material
from strongroom.simulate._shared import NARROW_TRADES, harvest_of, intents_of, shuffled, typed_prompts

ALL = 1 << 40
"""More characters than any machine has installed."""


@dataclass(frozen=True)
class World:
    """Which sources a world has. `harvests`: one of these for each seed in turn; an empty one is the grammar."""

    name: str
    half: int
    harvests: tuple[tuple[str, ...], ...]
    typed: tuple[str, ...]


TUNE = World(
    "tune", 0, (("gpteacher_toolformer",), ("gpteacher_toolformer",), ()),
    ("koala.jsonl", "awesome_chatgpt_prompts.csv#0"),
)  # fmt: skip
JUDGE = World(
    "judge", 1, (("gpteacher_codegen",), ("gpteacher_roleplay",), ("gpteacher_codegen", "gpteacher_roleplay")),
    ("arena_hard_v0.1.jsonl", "awesome_chatgpt_prompts.csv#1"),
)  # fmt: skip


def world_material(data: Path, world: World, seed: int) -> Material:
    """Everything that one seed of a world is written from, with all installed files of its half.

    Raises FileNotFoundError when a data set is missing.
    """
    rng = np.random.default_rng([seed, 0xDA7A, world.half])
    names = world.harvests[seed % len(world.harvests)]
    make = _grammar.Generated
    texts = (
        harvest_of(data, names, rng)
        if names
        else (
            make(f"{world.name}/{seed}/harvest", 4_000_000, _grammar.instruction),
            make(f"{world.name}/{seed}/context", 4_000_000, _grammar.context),
            make(f"{world.name}/{seed}/study", 20_000, _grammar.study_question),
        )
    )
    return Material(
        honest=shuffled(_files(world.half), rng),
        typed=shuffled(typed_prompts(data, world.typed), rng),
        harvest=texts[0],
        harvest_context=texts[1],
        study=texts[2],
        program_templates=PROGRAMS,
        benchmark=make(f"{world.name}/{seed}/benchmark", 800, _grammar.benchmark_question),
        assignments=make(f"{world.name}/{seed}/assignments", 200, _grammar.assignment),
        dataset=make(f"{world.name}/{seed}/dataset", 200_000, _grammar.labelled_row),
        trades=_trades(data, world, seed),
        simulated=("benchmark", "assignments", "dataset", *(() if names else ("harvest", "harvest_context", "study"))),
    )


def wordings(data: Path, world: World, seed: int) -> list[str]:
    """Crowd workers' wordings of the world's intents, without those of the narrow products of this seed."""
    taken = _trades(data, world, seed)
    return [text for intent, texts in _intents(data, world).items() if intent not in taken for text in texts]


def _trades(data: Path, world: World, seed: int) -> dict[str, list[str]]:
    intents = _intents(data, world)
    chosen = np.random.default_rng([seed, 0x7DADE5, world.half]).choice(len(intents), NARROW_TRADES, replace=False)
    names = list(intents)
    return {names[int(i)]: intents[names[int(i)]] for i in chosen}


def _intents(data: Path, world: World) -> dict[str, list[str]]:
    intents = intents_of(data)
    return {name: intents[name] for name in sorted(intents)[world.half :: 2]}


@functools.cache
def _files(half: int) -> tuple[Domain, ...]:
    """All installed files of a half; a file's texts are the same for every seed."""
    return tuple(Domain(name, texts) for name, texts in subjects(0, ALL, half))
