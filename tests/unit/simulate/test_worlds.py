"""The world in which thresholds are set and the world that is judged have nothing in common."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from strongroom.simulate import JUDGE, TUNE, Material, World, wordings, world_material
from strongroom.simulate._installed import half_of


@pytest.fixture(scope="module")
def worlds(shared: Path) -> dict[str, Material]:
    return {world.name: world_material(shared, world, 3) for world in (TUNE, JUDGE)}


def test_honest_matter_is_from_other_packages(worlds: dict[str, Material]) -> None:
    tune, judge = ({domain.name for domain in made.honest} for made in worlds.values())
    assert min(len(tune), len(judge)) > 500
    assert not tune & judge
    assert {half_of(package(name)) for name in tune} == {TUNE.half}
    assert {half_of(package(name)) for name in judge} == {JUDGE.half}


def package(name: str) -> str:
    parts = PurePath(name).parts
    marker = "site-packages" if "site-packages" in parts else next(p for p in parts if p.startswith("python3"))
    return parts[parts.index(marker) + 1]


def test_prompts_harvests_and_intents_are_other_ones(worlds: dict[str, Material], shared: Path) -> None:
    tune, judge = worlds.values()
    assert not set(tune.typed) & set(judge.typed)
    assert not set(tune.harvest) & set(judge.harvest)
    assert not set(tune.trades) & set(judge.trades)
    assert not set(tune.benchmark[:50]) & set(judge.benchmark[:50])
    # The same wording may have been written for two intents.
    ours, theirs = (set(wordings(shared, world, 3)) for world in (TUNE, JUDGE))
    assert len(ours & theirs) < 0.01 * len(ours)


@pytest.mark.parametrize("world", [TUNE, JUDGE], ids=lambda world: world.name)
def test_a_world_uses_all_its_harvests(world: World, shared: Path) -> None:
    made = [world_material(shared, world, seed) for seed in range(3)]
    assert all(len(material.harvest) > 1_000 for material in made)
    assert len({material.harvest[0] for material in made}) == 3


def test_narrow_products_and_paraphrases_share_no_intent(shared: Path) -> None:
    taken = {text for texts in world_material(shared, JUDGE, 4).trades.values() for text in texts}
    assert len(taken & set(wordings(shared, JUDGE, 4))) < 0.01 * len(taken)
