"""A plan and material to records in time order, and the truth about who is what."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strongroom.simulate import _hard_negatives as hard
from strongroom.simulate._campaign import Campaign, campaign_streams
from strongroom.simulate._material import Material
from strongroom.simulate._people import Makers, individual, viral_reader
from strongroom.simulate._streams import Stream, Window

NOVEMBER = 1_793_491_200_000
"""2026-11-01T00:00:00Z in milliseconds since 1970."""


@dataclass(frozen=True)
class Plan:
    """What is simulated. The same plan and material give the same records."""

    seed: int
    honest_accounts: int = 2_000
    days: int = 14
    start_ms: int = NOVEMBER
    hard_negatives: bool = True
    campaign: Campaign | None = None
    mean_per_active_day: float = 26.0
    """For everybody, the campaign included."""
    churn: float = 0.0
    """Share of the honest accounts that live for a few days only, as accounts of a campaign do that are banned."""


@dataclass(frozen=True)
class Truth:
    """Who is what. Subjects are accounts, or account/end_user for a reseller's."""

    campaign_accounts: set[str]
    roles: dict[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, set[str]]:
        """Subjects by role."""
        found: dict[str, set[str]] = {}
        for subject, role in self.roles.items():
            found.setdefault(role, set()).add(subject)
        return found


def simulate(plan: Plan, material: Material) -> Iterator[dict[str, Any]]:
    """Exchange log v1 records in time order. Holds one conversation state per sender, never the log.

    Raises ValueError when the material holds too few subjects.
    """
    made = streams(plan, material)
    for _, _, record in heapq.merge(*(stream.records() for stream in made), key=lambda item: item[:2]):
        yield record


def truth(plan: Plan, material: Material) -> Truth:
    """What `simulate` does with the same arguments."""
    return truth_of(streams(plan, material))


def truth_of(made: Iterable[Stream]) -> Truth:
    """What these streams are."""
    roles = {stream.identity.subject: stream.role for stream in made}
    return Truth({subject for subject, role in roles.items() if role == "campaign"}, roles)


def streams(plan: Plan, material: Material) -> list[Stream]:
    """Every sender, honest ones first, and these are the same with and without a campaign.

    Records are to be taken stream after stream in this order, or from all at once; a campaign's list is dealt out as
    they begin.
    """
    window = Window(plan.start_ms, plan.days)
    makers = Makers(plan.seed, material, window, plan.mean_per_active_day, plan.honest_accounts, plan.churn)
    rng = np.random.default_rng([plan.seed, 0xC0FFEE])
    made = list(_groups(makers, rng, plan)) if plan.hard_negatives else []
    people = max(plan.honest_accounts - len(made), 0)
    elsewhere = hard.behind_shared_addresses(rng, people)
    made += [individual(makers, change=elsewhere) for _ in range(people)]
    if plan.campaign is not None:
        made += campaign_streams(makers, plan.campaign, rng, elsewhere)
    return made


def _groups(makers: Makers, rng: np.random.Generator, plan: Plan) -> Iterator[Stream]:
    """The honest groups, together about a quarter of the honest accounts."""
    n = plan.honest_accounts
    for program, share in zip(makers.material.program_templates, (0.04, 0.04, 0.01), strict=False):
        yield from hard.program_users(makers, program, max(int(share * n), 6))
    size = int(np.clip(n // 80, 8, 28))
    yield from hard.school_class(makers, rng, size, mail="school.example")
    yield from hard.school_class(makers, rng, size, mail=None)
    yield from hard.company(makers, rng, int(np.clip(n // 100, 6, 25)))
    yield from hard.evaluators(makers, int(np.clip(n // 200, 5, 12)))
    yield from hard.narrow_products(makers, max(n // 500, 2))
    for _ in range(4):
        yield from hard.reseller(makers, rng, int(np.clip(n // 100, 6, 20)))
    yield from hard.learners(makers, max(int(0.03 * n), 8))
    yield from hard.tutors(makers, max(int(0.02 * n), 4))
    yield from hard.sharding_organisation(makers, rng, int(np.clip(n // 150, 5, 14)))
    for _ in range(int(0.03 * n)):
        yield viral_reader(makers)
