"""Simulated traffic to a model API: honest people, groups that look alike for honest reasons, and a campaign.

Everything here is simulated and says so. One law of behaviour (`_behaviour`) holds for everybody; campaign and
honest accounts differ only in what they have in common with others.

>>> plan = Plan(seed=1, honest_accounts=5, days=1, hard_negatives=False)
>>> record = next(simulate(plan, bundled_material(1, accounts=5)))
>>> sorted(record)[:4]
['account', 'asn', 'client_address', 'credential']
"""

from ._campaign import Campaign
from ._library import Domain
from ._material import Material, Program, bundled_material
from ._shared import shared_material
from ._simulate import Plan, Truth, simulate, streams, truth, truth_of
from ._worlds import JUDGE, TUNE, World, wordings, world_material

__all__ = [
    "JUDGE",
    "TUNE",
    "Campaign",
    "Domain",
    "Material",
    "Plan",
    "Program",
    "Truth",
    "World",
    "bundled_material",
    "shared_material",
    "simulate",
    "streams",
    "truth",
    "truth_of",
    "wordings",
    "world_material",
]
