"""Principals whose day is unlike their own past and that of their peers (docs/anomaly.md).

`find_anomalies` reads a store's access events and gives signals and what could not be judged. An anomaly is unusual,
not bad: alone it is of medium severity at most.
"""

from ._find import Result, find_anomalies

__all__ = ["Result", "find_anomalies"]
