"""Material with real prompts from a folder of public data sets (see its README for sources and licences)."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strongroom.simulate import _grammar
from strongroom.simulate._material import PROGRAMS, Material, honest_domains

HARVESTS = {
    "code": ("gpteacher_codegen",),
    "roleplay": ("gpteacher_roleplay",),
    "tools": ("gpteacher_toolformer",),
    "mixed": ("gpteacher_codegen", "gpteacher_roleplay", "gpteacher_toolformer"),
}


def shared_material(data: Path, seed: int, *, accounts: int, harvest: str = "code") -> Material:
    """Real harvest sets and typed prompts from `data`, honest subjects from this machine.

    `harvest`: code, roleplay, tools or mixed. A third of the set, another one for another seed, is left to
    learners. Instructions are the items; the answers that the harvest got are its longer texts to ask about.
    Raises FileNotFoundError when a data set is missing, KeyError for an unknown harvest.
    """
    rows = [row for name in HARVESTS[harvest] for row in _json(data / "harvest" / f"{name}.json")]
    rng = np.random.default_rng([seed, 0xDA7A])
    rows = [rows[int(i)] for i in rng.permutation(len(rows))]
    held, used = rows[: len(rows) // 3], rows[len(rows) // 3 :]
    clinc = _json(data / "prompts" / "clinc150.json")["train"]
    intents = sorted({intent for _, intent in clinc})
    chosen = [intents[int(i)] for i in rng.choice(len(intents), 4, replace=False)]
    make = _grammar.Generated
    return Material(
        honest=honest_domains(seed, accounts),
        typed=_typed(data / "prompts", rng),
        harvest=[_instruction(row) for row in used],
        harvest_context=[text for row in used if len(text := str(row.get("response", ""))) > 120],
        study=sorted((_instruction(row) for row in held), key=_subject_order),
        program_templates=PROGRAMS,
        benchmark=make(f"{seed}/benchmark", 800, _grammar.benchmark_question),
        assignments=make(f"{seed}/assignments", 200, _grammar.assignment),
        dataset=make(f"{seed}/dataset", 200_000, _grammar.labelled_row),
        trades={intent: [text for text, own in clinc if own == intent] for intent in chosen},
        simulated=("benchmark", "assignments", "dataset"),
    )


def _instruction(row: dict[str, Any]) -> str:
    """What is asked. The tool set repeats its tool's description before each task, which would be all that is left
    of a text that is cut to its wanted length."""
    asked = str(row["instruction"])
    if asked.startswith("toolformer:"):
        asked = asked.rsplit("\n", 1)[-1]
    return f"{asked}\n{row['input']}" if row.get("input") else asked


def _subject_order(text: str) -> str:
    """Neighbours in the sorted list have a word in common: what a learner's focus is cut from."""
    return max(text.lower().split(), key=len, default="")


def _typed(prompts: Path, rng: np.random.Generator) -> Sequence[str]:
    found = []
    for name in ("arena_hard_v0.1.jsonl", "koala.jsonl"):
        found += [json.loads(line)["prompt"] for line in (prompts / name).read_text().splitlines() if line]
    with (prompts / "awesome_chatgpt_prompts.csv").open(newline="", encoding="utf-8") as file:
        found += [row["prompt"] for row in csv.DictReader(file)]
    return [found[int(i)] for i in rng.permutation(len(found))]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
