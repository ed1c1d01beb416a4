"""Is a campaign found, and nothing else? Every level in unseen sources, beside baselines and what the simulation leaks.

    python benchmarks/campaigns [--seeds 3] [--honest 20] [--accounts 1500] [--levels A2,A4] [--no-record]

Each line is printed as soon as it is known. What was simulated, searched and scored is kept (see traffic.py), so a run
that was ended goes on where it was. Thresholds are set on the world `tune` only; figures are of the world `judge`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

from baselines import BASELINES, scores_of, threshold
from judge import Outcome, interval, judge, mean
from leaks import MAX_TPR, NEAR_CHANCE, Leaks, leaks
from report import record, table
from traffic import LAWS, LEVELS, WORLDS, honest_store, store_of

from strongroom.simulate import World

AIMS = {
    "A1": (0.95, 0.98), "A2": (0.95, 0.98), "A4": (0.95, 0.98), "A5": (0.95, 0.98), "A3a": (0.60, None),
    "A3b": (0.30, None), "A6": (0.90, None), "A7": (0.90, None), "small": (0.80, None), "narrow": (0.60, None),
}  # fmt: skip
TAKEN_AIM = {"A2": 0.05}
FALSE_AIM = 0.2
"""False campaigns for each honest seed."""
MEANINGS = {
    "A0": "one key", "A1": "shared addresses and payment", "A2": "nothing shared", "A3a": "half cover",
    "A3b": "nine tenths cover", "A4": "paraphrase", "A5": "banned and replaced", "A6": "2,000 accounts, 10 exchanges",
    "A7": "5 a day, 60 days", "A8": "resellers' end users", "small": "50 accounts, 50 exchanges",
    "narrow": "30 accounts, one subject",
}  # fmt: skip
CALIBRATION = 5
"""Honest seeds that set a baseline's threshold, at most."""


@dataclass(frozen=True)
class Run:
    """What is run."""

    world: World
    seeds: list[int]
    honest: list[int]
    accounts: int
    baselines: bool


def level_row(run: Run, level: str) -> list[object]:
    """One level: every seed printed, then its line of the table."""
    outcomes = []
    for seed in run.seeds:
        outcomes.append(judge(*store_of(run.world, seed, level, run.accounts)))
        print(f"{level} seed {seed}: {outcomes[-1]}", flush=True)
    found, attackers = sum(o.found for o in outcomes), sum(o.attackers for o in outcomes)
    reported = sum(o.reported for o in outcomes)
    tpr, purity = found / attackers, found / reported if reported else None
    taken = mean([o.taken for o in outcomes])
    row: list[object] = [
        f"{level}: {MEANINGS[level]}",
        len(outcomes),
        f"{attackers:,} of {sum(o.subjects for o in outcomes):,}",
        f"{tpr:.3f}",
        "none reported" if purity is None else f"{purity:.3f}",
        f"{taken:.1%}",
        sum(len(o.false) for o in outcomes),
        _aim(level, tpr, purity, taken),
        f"{mean([o.seconds for o in outcomes]):.1f}",
        f"{max(o.gibibytes for o in outcomes):.2f}",
    ]
    print(" | ".join(map(str, row)), flush=True)
    return row


def _aim(level: str, tpr: float, purity: float | None, taken: float) -> str:
    """The aim of a level, and whether it was met."""
    if level not in AIMS:
        return "no aim"
    least, pure = AIMS[level]
    parts = [f"TPR {least:.2f} {'met' if tpr >= least else 'missed'}"]
    if pure is not None:
        parts.append(f"purity {pure:.2f} {'met' if purity is not None and purity >= pure else 'missed'}")
    if level in TAKEN_AIM:
        parts.append(f"taken {TAKEN_AIM[level]:.0%} {'met' if taken < TAKEN_AIM[level] else 'missed'}")
    return ", ".join(parts)


def honest_rows(run: Run, laws: Sequence[str]) -> list[list[object]]:
    """False campaigns where there is no campaign."""
    rows = []
    for law in laws:
        outcomes: list[Outcome] = []
        for seed in run.honest if law == "usual" else run.seeds:
            outcomes.append(judge(*honest_store(run.world, seed, law, run.accounts)))
            print(f"honest, {law}, seed {seed}: {outcomes[-1]}", flush=True)
        false = sum(len(o.false) for o in outcomes)
        some = sum(bool(o.false) for o in outcomes)
        low, high = interval(some, len(outcomes))
        rate = false / len(outcomes)
        row: list[object] = [
            f"{law}: {LAWS[law].days} days, {LAWS[law].mean:g} an active day",
            len(outcomes),
            f"{sum(o.subjects for o in outcomes):,}",
            false,
            f"{rate:.2f}",
            f"{some / len(outcomes):.2f} [{low:.2f}, {high:.2f}]",
            f"{FALSE_AIM:.2f} {'met' if rate <= FALSE_AIM else 'missed'}",
        ]
        print(" | ".join(map(str, row)), flush=True)
        rows.append(row)
    return rows


def leak_row(run: Run, level: str) -> list[object]:
    """What a classifier with the truth makes of a level."""
    found: Leaks | None = None
    if len(run.seeds) > 1:
        found = leaks(run.world, level, run.seeds[1:], run.seeds[0], run.accounts)
    if found is None:
        return [level, *["one account" if level == "A0" else "one seed"] * 5]
    print(f"{level} leaks: {found}", flush=True)
    name, area = found.furthest
    told = "" if abs(area - 0.5) <= NEAR_CHANCE else " not near chance"
    return [
        level,
        f"{found.tpr:.3f}{'' if found.tpr < MAX_TPR else ' too much'}",
        f"{found.area:.2f}",
        f"{name} {area:.2f}{told}",
        f"{found.breadth:.2f}, {found.language:.2f}",
        found.in_two,
    ]


def baseline_row(run: Run, level: str) -> list[object]:
    """Each baseline's true-positive rate, and in brackets the rate of false positives that its threshold had here."""
    law = LEVELS[level].law
    hits: dict[str, list[tuple[float, float]]] = {name: [] for name in BASELINES}
    for seed in run.seeds:
        place, told = store_of(run.world, seed, level, run.accounts)
        subjects, scores = scores_of(place)
        own = np.array([subject in told.campaign_accounts for subject in subjects])
        others = [s for s in (run.honest if law == "usual" else run.seeds) if s != seed][:CALIBRATION]
        honest = [scores_of(honest_store(run.world, s, law, run.accounts)[0])[1] for s in others]
        for name in BASELINES:
            limit = threshold([known[name] for known in honest]) if honest else np.inf
            hits[name].append((float(np.mean(scores[name][own] > limit)), float(np.mean(scores[name][~own] > limit))))
    cells = [f"{mean([t for t, _ in pairs]):.2f} [{mean([f for _, f in pairs]):.3f}]" for pairs in hits.values()]
    print(f"{level} baselines: " + ", ".join(f"{n} {c}" for n, c in zip(BASELINES, cells, strict=True)), flush=True)
    return [level, *cells]


def main(run: Run, levels: Sequence[str], keep: bool) -> None:
    """Every cell, then the tables."""
    laws = list(dict.fromkeys(["usual", *(LEVELS[level].law for level in levels)]))
    header = ["level", "seeds", "attacker's accounts", "TPR", "purity", "taken before detected_at", "false campaigns",
              "aim", "search, s", "GiB"]  # fmt: skip
    found = table(header, [level_row(run, level) for level in levels])
    header = ["no campaign", "seeds", "accounts", "false campaigns", "a seed", "share of seeds with one [95 %]", "aim"]
    honest = table(header, honest_rows(run, laws))
    header = ["level", "behaviour TPR at FPR .002", "AUC", "furthest column, AUC", "breadth, language, AUC",
              "in two accounts: share of texts, of shingles"]  # fmt: skip
    leaking = table(header, [leak_row(run, level) for level in levels])
    text = (
        f"World `{run.world.name}`, seeds {run.seeds[0]} to {run.seeds[-1]} for levels; {run.accounts:,} honest "
        f"accounts a seed (level A6: {LAWS['brief'].accounts * run.accounts // LAWS['usual'].accounts:,}).\n\n{found}"
        f"\n\nHonest traffic with all look-alikes:\n\n{honest}"
        f"\n\nWhat the simulation gives away to a classifier trained with the truth on other seeds:\n\n{leaking}"
    )
    if run.baselines:
        rows = [baseline_row(run, level) for level in levels]
        text += (
            "\n\nBaselines on the same stores: TPR, and in brackets the false-positive rate that their threshold "
            f"(.002 on honest accounts of other seeds) had:\n\n{table(['level', *BASELINES], rows)}"
        )
    if keep:
        record("campaigns", text)
    else:
        print(text)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=sorted(WORLDS), default="judge")
    parser.add_argument("--seeds", type=int, default=3, help="for each level")
    parser.add_argument("--honest", type=int, default=20, help="seeds without a campaign")
    parser.add_argument("--first", type=int, default=101, help="first seed")
    parser.add_argument("--accounts", type=int, default=1_500, help="honest accounts a seed")
    parser.add_argument("--levels", default=",".join(LEVELS), help="comma-separated")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--no-record", action="store_true", help="print only; leave docs/benchmarks.md alone")
    return parser.parse_args()


if __name__ == "__main__":
    given = options()
    first = given.first
    main(
        Run(
            world=WORLDS[given.world],
            seeds=list(range(first, first + given.seeds)),
            honest=list(range(first, first + given.honest)),
            accounts=given.accounts,
            baselines=not given.no_baselines,
        ),
        given.levels.split(","),
        keep=not given.no_record,
    )
