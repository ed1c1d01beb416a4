"""Simulated traffic to a model API: honest people, groups that look alike for honest reasons, and a campaign.

Everything here is simulated and says so. One law of behaviour (`_behaviour`) holds for everybody; campaign and
honest accounts differ only in what they have in common with others.

>>> plan = Plan(seed=1, honest_accounts=5, days=1, hard_negatives=False)
>>> record = next(simulate(plan, bundled_material(1, accounts=5)))
>>> sorted(record)[:4]
['account', 'asn', 'client_address', 'credential']
"""

from ._campaign import Campaign
from ._cloud_plan import (
    BucketOpened,
    CheckpointCopied,
    CloudAsset,
    CloudPlan,
    CloudTruth,
    DecryptBurst,
    Insider,
    InstanceCredentials,
    Intrusion,
    SnapshotShared,
    StolenKey,
    TrailStopped,
    TruthStep,
    UnreleasedReads,
)
from ._cloud_simulate import cloud_releases, cloud_truth, simulate_cloud, simulate_cloud_columns, simulate_cloud_lines
from ._library import Domain
from ._material import Material, Program, bundled_material
from ._shared import shared_material
from ._simulate import Plan, Truth, simulate, streams, truth, truth_of
from ._worlds import JUDGE, TUNE, World, wordings, world_material

__all__ = [
    "JUDGE",
    "TUNE",
    "BucketOpened",
    "Campaign",
    "CheckpointCopied",
    "CloudAsset",
    "CloudPlan",
    "CloudTruth",
    "DecryptBurst",
    "Domain",
    "Insider",
    "InstanceCredentials",
    "Intrusion",
    "Material",
    "Plan",
    "Program",
    "SnapshotShared",
    "StolenKey",
    "TrailStopped",
    "Truth",
    "TruthStep",
    "UnreleasedReads",
    "World",
    "bundled_material",
    "cloud_releases",
    "cloud_truth",
    "shared_material",
    "simulate",
    "simulate_cloud",
    "simulate_cloud_columns",
    "simulate_cloud_lines",
    "streams",
    "truth",
    "truth_of",
    "wordings",
    "world_material",
]
