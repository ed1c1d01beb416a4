"""Stores of simulated traffic, one for each world, seed and level, kept in a cache.

    from traffic import LEVELS, honest_store, store_of      # with benchmarks/campaigns on the path
    path, truth = store_of(TUNE, seed=3, level="A2")         # 1,500 honest accounts and a campaign
    path, truth = honest_store(TUNE, seed=3, law="usual")    # the same honest streams without it
    result = find_campaigns(Store(path))
    truth.campaign_accounts, truth.roles[subject]

or `python benchmarks/campaigns/traffic.py WORLD SEED LEVEL [ACCOUNTS]`, which prints the path and the shares of texts
that two accounts sent. Thresholds may be set on TUNE only. The cache is $STRONGROOM_CAMPAIGNS_CACHE, or a directory
below the system's temporary one; what was simulated by other code than today's is not used. Honest traffic of a law
is simulated and ingested once; each level's rows are ingested into a hard-linked copy of it. `behaviour.npz` beside a
store holds the features of tests/unit/simulate/features.py for each subject, and the share of different words among the
first 1,500 of its opening texts (0 where there are fewer).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from tests.unit.simulate.features import behaviour  # noqa: E402

from strongroom import simulate  # noqa: E402
from strongroom.ingest import Settings, ingest  # noqa: E402
from strongroom.simulate import JUDGE, TUNE, Campaign, Material, Plan, Truth, streams, truth_of  # noqa: E402
from strongroom.sketch import NO_SHINGLE, Sketcher  # noqa: E402
from strongroom.store import Store  # noqa: E402

SHARED = Path(os.environ.get("STRONGROOM_SHARED") or ROOT.parent / "shared") / "data"
CACHE = Path(
    os.environ.get("STRONGROOM_CAMPAIGNS_CACHE") or Path(tempfile.gettempdir()) / f"strongroom-campaigns-{os.getuid()}"
)
WORLDS = {"tune": TUNE, "judge": JUDGE}
ACCOUNTS = 1_500
FORMAT = 1
"""Of the cache; raise it when what is kept there changes."""
BREADTH_WORDS = 1_500
NARROW_ITEMS = 600
"""Items, and as many answers, of the one subject that the narrow campaign takes from its harvest."""


@dataclass(frozen=True)
class Law:
    """The one law's volume for everybody in a store: honest accounts for each 1,500, days, mean of an active day."""

    accounts: int = 1_500
    days: int = 14
    mean: float = 26.0
    churn: float = 0.0


LAWS = {
    "usual": Law(),
    "churn": Law(churn=0.85),
    "few": Law(mean=7.0),
    "brief": Law(accounts=4_000, mean=1.0),
    "long": Law(days=60, mean=5.0),
}


@dataclass(frozen=True)
class Level:
    """A campaign for each 1,500 honest accounts, and the law of its store."""

    campaign: Campaign
    law: str = "usual"
    narrow: bool = False


LEVELS = {
    "A0": Level(Campaign(level="one_key")),
    "A1": Level(Campaign(level="shared_addresses")),
    "A2": Level(Campaign()),
    "A3a": Level(Campaign(cover=0.5)),
    "A3b": Level(Campaign(cover=0.9)),
    # As many accounts as the wordings last for, none of them said twice.
    "A4": Level(Campaign(accounts=55, joined=True), "few"),
    "A5": Level(Campaign(accounts=60, replaced=True), "churn"),
    "A6": Level(Campaign(accounts=2_000), "brief"),
    "A7": Level(Campaign(), "long"),
    "A8": Level(Campaign(level="resellers")),
    "small": Level(Campaign(accounts=50), "few"),
    "narrow": Level(Campaign(accounts=30), narrow=True),
}
SMALLEST_CAMPAIGN = 12


def store_of(world: simulate.World, seed: int, level: str, accounts: int = ACCOUNTS) -> tuple[Path, Truth]:
    """A store with the level's campaign in it, and who is what."""
    chosen = LEVELS[level]
    place = _place(world, seed, chosen.law, accounts) / f"{level}-{_digest(chosen)}"
    if not place.exists():
        honest, _ = honest_store(world, seed, chosen.law, accounts)
        count = max(chosen.campaign.accounts * accounts // ACCOUNTS, SMALLEST_CAMPAIGN)
        plan = replace(_plan(world, seed, chosen.law, accounts), campaign=replace(chosen.campaign, accounts=count))
        made = streams(plan, _material(world, seed, level))
        told = truth_of(made)
        _build(place, (s for s in made if s.role == "campaign"), told, honest)
    return place, _truth(place)


def honest_store(world: simulate.World, seed: int, law: str = "usual", accounts: int = ACCOUNTS) -> tuple[Path, Truth]:
    """A store with honest traffic alone; the same streams are in every level of the law."""
    place = _place(world, seed, law, accounts) / "honest"
    if not place.exists():
        made = streams(_plan(world, seed, law, accounts), _material(world, seed, ""))
        _build(place, made, truth_of(made), None)
    return place, _truth(place)


@dataclass(frozen=True)
class Behaviour:
    """What each subject of a store does, in numbers, and how broad its words are."""

    subjects: list[str]
    features: np.ndarray
    breadth: np.ndarray

    def save(self, path: Path) -> None:
        np.savez(path, subjects=np.array(self.subjects), features=self.features, breadth=self.breadth)

    def __add__(self, other: Behaviour) -> Behaviour:
        return Behaviour(
            self.subjects + other.subjects,
            np.vstack([self.features, other.features]),
            np.concatenate([self.breadth, other.breadth]),
        )


def behaviour_of(place: Path) -> Behaviour:
    """What was measured while a store was simulated."""
    with np.load(place / "behaviour.npz") as file:
        return Behaviour(file["subjects"].tolist(), file["features"], file["breadth"])


def _plan(world: simulate.World, seed: int, law: str, accounts: int) -> Plan:
    chosen = LAWS[law]
    return Plan(
        seed=2 * seed + world.half,  # other people in the other world
        honest_accounts=chosen.accounts * accounts // ACCOUNTS,
        days=chosen.days,
        mean_per_active_day=chosen.mean,
        churn=chosen.churn,
    )


@lru_cache(maxsize=4)
def _whole(world: simulate.World, seed: int) -> Material:
    return simulate.world_material(SHARED, world, seed)


def _material(world: simulate.World, seed: int, level: str) -> Material:
    material = _whole(world, seed)
    if level == "A4":
        return replace(material, harvest=simulate.wordings(SHARED, world, seed), harvest_context=())
    if level and LEVELS[level].narrow:
        return _one_subject(material, seed)
    return material


def _one_subject(material: Material, seed: int) -> Material:
    """The part of the harvest that is nearest to one item, by embedding."""
    items, answers = list(material.harvest[:20_000]), list(material.harvest_context[:20_000])
    sketcher = Sketcher(bytes(32))
    points = [sketcher.sketch(texts).embedding.astype(np.float32) for texts in (items, answers)]
    points = [p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-6) for p in points]
    middle = points[0][int(np.random.default_rng([seed, 0xA110]).integers(len(items)))]
    near = [np.argsort(-(p @ middle), kind="stable")[:NARROW_ITEMS] for p in points]
    return replace(material, harvest=[items[i] for i in near[0]], harvest_context=[answers[i] for i in near[1]])


def _build(place: Path, made: Iterable[Any], told: Truth, honest: Path | None) -> None:
    """Simulates and ingests beside `place`, and moves there when all is done."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        new, log = Path(folder) / "store", Path(folder) / "traffic.jsonl"
        if honest is not None:
            shutil.copytree(honest, new, copy_function=_link)
        measured = _write(log, made)
        if honest is not None:
            measured = behaviour_of(honest) + measured
        ingest([str(log)], Store(new), Settings(bytes(32)))
        (new / "behaviour.npz").unlink(missing_ok=True)
        (new / "truth.json").unlink(missing_ok=True)
        measured.save(new / "behaviour.npz")
        (new / "truth.json").write_text(json.dumps(told.roles))
        if not place.exists():
            new.rename(place)


def _link(source: str, target: str) -> None:
    """Data files are never changed, only added or removed."""
    if source.endswith(".parquet"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _write(log: Path, made: Iterable[Any]) -> Behaviour:
    """The log in time order; what is measured of each subject."""
    encoder = msgspec.json.Encoder()
    lines: list[tuple[int, bytes]] = []
    known: dict[str, tuple[list[float], float]] = {}
    key: list[dict[str, Any]] = []  # one key of many senders
    for stream in made:
        records = [record for _, _, record in stream.records(answers=False)]
        lines += [(time_ms, encoder.encode(r)) for time_ms, r in zip(stream.schedule.time_ms, records, strict=True)]
        if stream.identity.subject in known:
            key += records
            continue
        if stream.role == "campaign":
            key = records
        known[stream.identity.subject] = (behaviour(records), _breadth(records))
    if len(known) == 1:
        known = dict.fromkeys(known, (behaviour(key), _breadth(key)))
    lines.sort(key=lambda line: line[0])
    with log.open("wb") as file:
        file.writelines(line + b"\n" for _, line in lines)
    return Behaviour(list(known), np.array([f for f, _ in known.values()]), np.array([b for _, b in known.values()]))


def _breadth(records: list[dict[str, Any]]) -> float:
    words: list[str] = []
    for record in records:
        asked = [message["content"] for message in record["messages"] if message["role"] == "user"]
        if len(asked) == 1 and len(words) < BREADTH_WORDS:
            words += asked[0].lower().split()
    return len(set(words[:BREADTH_WORDS])) / BREADTH_WORDS if len(words) >= BREADTH_WORDS else 0.0


def _truth(place: Path) -> Truth:
    roles = json.loads((place / "truth.json").read_text())
    return Truth({subject for subject, role in roles.items() if role == "campaign"}, roles)


def _place(world: simulate.World, seed: int, law: str, accounts: int) -> Path:
    return CACHE / f"{law}-{_digest(LAWS[law])}" / world.name / f"{seed}-{accounts}"


def _digest(chosen: object) -> str:
    """Of what decides about the traffic of a law or a level."""
    return hashlib.sha256(f"{FORMAT} {NARROW_ITEMS} {chosen!r} {_code()}".encode()).hexdigest()[:12]


@lru_cache(maxsize=1)
def _code() -> str:
    files = sorted(Path(simulate.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def shared_texts(place: Path, told: Truth) -> dict[str, tuple[float, float]]:
    """Of the campaign's opening texts, and of individuals': the share of whole texts (of five words or more) that two
    subjects sent, and the share of sampled shingles (five words in a row) that two subjects used."""
    store = Store(place)
    rows = store.exchanges()
    table = store.table(rows.filter((rows.turn == 1) & (rows.words >= 5)).select("subject", "text_digest", "minhash"))
    names, number = np.unique(np.array(table["subject"].to_pylist()), return_inverse=True)
    digest = table["text_digest"].to_numpy()
    shingles = table["minhash"].combine_chunks()
    shingle, owner = shingles.flatten().to_numpy(), number[shingles.value_parent_indices().to_numpy()]
    found = {}
    for name, roles in (("campaign", {"campaign"}), ("individuals", {"individual", "script"})):
        chosen = np.array([told.roles[subject] in roles for subject in names])
        texts, pieces = chosen[number], chosen[owner] & (shingle != NO_SHINGLE)
        if texts.any():
            found[name] = _twice(number[texts], digest[texts]), _twice(owner[pieces], shingle[pieces])
    return found


def _twice(subject: np.ndarray, value: np.ndarray) -> float:
    """Share of distinct values that more than one subject has."""
    pairs = np.unique(np.column_stack([value, subject]), axis=0)
    return float(np.mean(np.unique(pairs[:, 0], return_counts=True)[1] > 1))


if __name__ == "__main__":
    import time

    name, number, chosen_level, *rest = sys.argv[1:]
    started = time.perf_counter()
    where, who = store_of(WORLDS[name], int(number), chosen_level, *map(int, rest))
    print(where, f"{len(who.roles)} subjects, {len(who.campaign_accounts)} of them the campaign's")
    print(shared_texts(where, who), f"{time.perf_counter() - started:.1f} s")
