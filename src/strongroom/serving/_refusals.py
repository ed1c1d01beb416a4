"""Refusals of strangers, counted: they go on record in aggregate, so that nobody fills the ledger by being refused.

>>> refusals = Refusals()
>>> refusals.count("no token"), refusals.count("no token"), refusals.take(), refusals.take()
(None, None, {'no token': 2}, {})
"""

from __future__ import annotations

import threading
from collections import Counter

__all__ = ["MAX_REASONS", "Refusals"]

MAX_REASONS = 32
"""Kinds of refusals that are told apart; the rest are counted together."""


class Refusals:
    """Safe for threads."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, reason: str) -> None:
        """One more; `reason` must not hold what the stranger sent."""
        with self._lock:
            known = reason in self._counted or len(self._counted) < MAX_REASONS
            self._counted[reason if known else "others"] += 1

    def counted(self) -> dict[str, int]:
        """What was counted since it was last taken."""
        with self._lock:
            return dict(self._counted)

    def take(self) -> dict[str, int]:
        """What was counted since the last time."""
        with self._lock:
            taken, self._counted = dict(self._counted), Counter()
        return taken
