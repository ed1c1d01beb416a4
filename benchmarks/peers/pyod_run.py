"""Scores of PyOD's ECOD and isolation forest for each table in an .npz file, as one line of JSON each.

Runs in an environment of its own, without Strongroom. Both with PyOD's own settings; the forest's seed is fixed.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest

with np.load(sys.argv[1]) as tables:
    for name in tables.files:
        rows = tables[name]
        print(
            json.dumps(
                {
                    "ecod": ECOD().fit(rows).decision_scores_.tolist(),
                    "forest": IForest(random_state=1).fit(rows).decision_scores_.tolist(),
                }
            )
        )
