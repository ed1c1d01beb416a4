"""What unit tests have beside the rest."""

from __future__ import annotations

import hypothesis

# How fast examples are made says something about the machine and what else it does, nothing about the code.
hypothesis.settings.register_profile(
    "strongroom", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("strongroom")
