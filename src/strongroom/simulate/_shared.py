"""Material with real prompts from a folder of public data sets (see its README for sources and licences)."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from strongroom.simulate import _grammar
from strongroom.simulate._material import PROGRAMS, Material, honest_domains

HARVESTS = {
    "code": ("gpteacher_codegen",),
    "roleplay": ("gpteacher_roleplay",),
    "tools": ("gpteacher_toolformer",),
    "mixed": ("gpteacher_codegen", "gpteacher_roleplay", "gpteacher_toolformer"),
}
TYPED = ("arena_hard_v0.1.jsonl", "koala.jsonl", "awesome_chatgpt_prompts.csv")
NARROW_TRADES = 4
SHORTEST_ANSWER = 60
T = TypeVar("T")


def shared_material(data: Path, seed: int, *, accounts: int, harvest: str = "code") -> Material:
    """Real harvest sets and typed prompts from `data`, honest subjects from this machine.

    `harvest`: code, roleplay, tools or mixed. A sixth of the set, another one for another seed, is left to
    learners. Instructions are the items; the answers that the harvest got are its longer texts to ask about.
    Raises FileNotFoundError when a data set is missing, KeyError for an unknown harvest.
    """
    rng = np.random.default_rng([seed, 0xDA7A])
    asked, answers, study = harvest_of(data, HARVESTS[harvest], rng)
    intents = intents_of(data)
    chosen = [sorted(intents)[int(i)] for i in rng.choice(len(intents), NARROW_TRADES, replace=False)]
    make = _grammar.Generated
    return Material(
        honest=honest_domains(seed, accounts),
        typed=shuffled(typed_prompts(data, TYPED), rng),
        harvest=asked,
        harvest_context=answers,
        study=study,
        program_templates=PROGRAMS,
        benchmark=make(f"{seed}/benchmark", 800, _grammar.benchmark_question),
        assignments=make(f"{seed}/assignments", 200, _grammar.assignment),
        dataset=make(f"{seed}/dataset", 200_000, _grammar.labelled_row),
        trades={intent: intents[intent] for intent in chosen},
        simulated=("benchmark", "assignments", "dataset"),
    )


def harvest_of(
    data: Path, names: Sequence[str], rng: np.random.Generator
) -> tuple[list[str], list[str], Sequence[str]]:
    """Instructions and answers of harvest sets, and the sixth of the instructions that learners study."""
    rows = shuffled([row for name in names for row in _json(data / "harvest" / f"{name}.json")], rng)
    held, used = rows[: len(rows) // 6], rows[len(rows) // 6 :]
    # The same instruction may stand in a set more than once.
    asked = list(dict.fromkeys(_instruction(row) for row in used))
    answers = dict.fromkeys(text for row in used if len(text := str(row.get("response", ""))) > SHORTEST_ANSWER)
    return asked, list(answers), [_instruction(row) for row in held]


def intents_of(data: Path) -> dict[str, list[str]]:
    """All wordings of each intent of CLINC150, each wording once."""
    parts = _json(data / "prompts" / "clinc150.json")
    found: dict[str, dict[str, None]] = {}
    for part in ("train", "val", "test"):
        for text, intent in parts[part]:
            found.setdefault(intent, {})[text] = None
    return {intent: list(texts) for intent, texts in found.items()}


def shuffled(rows: Sequence[T], rng: np.random.Generator) -> list[T]:
    """In an order that the seed gives."""
    return [rows[int(i)] for i in rng.permutation(len(rows))]


def _instruction(row: dict[str, Any]) -> str:
    """What is asked. The tool set repeats its tool's description before each task, which would be all that is left
    of a text that is cut to its wanted length."""
    asked = str(row["instruction"])
    if asked.startswith("toolformer:"):
        asked = asked.rsplit("\n", 1)[-1]
    return f"{asked}\n{row['input']}" if row.get("input") else asked


def typed_prompts(data: Path, names: Sequence[str]) -> list[str]:
    """Prompts that people typed, each once; a name may end in #0 or #1 for half of a set."""
    found: dict[str, None] = {}
    for name in names:
        file, _, half = name.partition("#")
        rows = list(dict.fromkeys(_typed_rows(data / "prompts" / file)))  # before it is halved: some come twice
        found.update(dict.fromkeys(rows[int(half) :: 2] if half else rows))
    return list(found)


def _typed_rows(path: Path) -> list[str]:
    if path.suffix == ".jsonl":
        return [json.loads(line)["prompt"] for line in path.read_text(encoding="utf-8").splitlines() if line]
    with path.open(newline="", encoding="utf-8") as file:
        return [row["prompt"] for row in csv.DictReader(file)]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
