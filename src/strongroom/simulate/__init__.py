"""Simulated traffic to a model API: honest people, groups that look alike for honest reasons, and a campaign.

Everything here is simulated and says so. One law of behaviour (`_behaviour`) holds for everybody; campaign and
honest accounts differ only in what they have in common with others.

>>> plan = Plan(seed=1, honest_accounts=5, days=1, hard_negatives=False)
>>> record = next(simulate(plan, bundled_material(1, accounts=5)))
>>> sorted(record)[:4]
['account', 'asn', 'client_address', 'credential']
"""

from ._campaign import Campaign
from ._material import Domain, Material, Program, bundled_material
from ._shared import shared_material
from ._simulate import Plan, Truth, simulate, truth

__all__ = [
    "Campaign",
    "Domain",
    "Material",
    "Plan",
    "Program",
    "Truth",
    "bundled_material",
    "shared_material",
    "simulate",
    "truth",
]
