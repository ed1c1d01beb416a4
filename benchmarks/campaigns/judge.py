"""What an analyst would say of a verdict: a reported campaign is true when most of its accounts are the attacker's."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.stats import beta

import strongroom.detect
from strongroom.simulate import Truth
from strongroom.store import Store


@dataclass(frozen=True)
class Outcome:
    """What became of one store."""

    subjects: int
    attackers: int
    found: int
    """Attacker's accounts that stand in true campaigns."""
    reported: int
    """Accounts of true campaigns."""
    true: int
    false: tuple[dict[str, int], ...]
    """For each false campaign how many accounts of each role it has."""
    taken: float
    """Share of the campaign's exchanges before the first true `detected_at`; 1 when it was not found."""
    seconds: float
    gibibytes: float

    def __str__(self) -> str:
        false = "; ".join(", ".join(f"{n} {role}" for role, n in roles.items()) for roles in self.false)
        rate = f"TPR {self.found / self.attackers:.3f}, taken {self.taken:.1%}, " if self.attackers else ""
        return (
            f"{rate}{self.found} of {self.attackers} accounts in {self.true} true campaigns of {self.reported}, "
            f"{len(self.false)} false{f' ({false})' if false else ''}, {self.seconds:.1f} s, {self.gibibytes:.2f} GiB"
        )


def judge(place: Path, told: Truth) -> Outcome:
    """Searches a store with today's detector, once, and judges what it reports."""
    kept = place / f"found-{_detector()}.json"
    if not kept.exists():
        here = Path(__file__).with_name("search.py")
        ended = subprocess.run([sys.executable, here, place], check=False, stdout=subprocess.PIPE, text=True)
        if ended.returncode:
            raise SystemExit(f"the search of {place} failed; run the same command again when it is mended")
        kept.write_text(ended.stdout.strip().splitlines()[-1])
    result = json.loads(kept.read_text())
    theirs = told.campaign_accounts
    hits = [(set(c["accounts"]), c) for c in result["campaigns"]]
    true = [(accounts, c) for accounts, c in hits if 2 * len(accounts & theirs) > len(accounts)]
    false = [accounts for accounts, _ in hits if 2 * len(accounts & theirs) <= len(accounts)]
    moments = [datetime.fromisoformat(c["detected_at"]).timestamp() for _, c in true]
    return Outcome(
        subjects=len(told.roles),
        attackers=len(theirs),
        found=len(set().union(*(accounts & theirs for accounts, _ in true))),
        reported=len(set().union(*(accounts for accounts, _ in true))),
        true=len(true),
        false=tuple(dict(Counter(told.roles.get(a, "?") for a in accounts).most_common()) for accounts in false),
        taken=_before(place, theirs, min(moments)) if moments else 1.0,
        seconds=result["seconds"],
        gibibytes=result["gibibytes"],
    )


def _before(place: Path, theirs: set[str], moment: float) -> float:
    """Share of these subjects' exchanges before a moment."""
    store = Store(place)
    rows = store.exchanges()
    table = store.table(rows.filter(rows.subject.isin(sorted(theirs))).select("time"))
    return float(np.mean(table["time"].cast("int64").to_numpy() < moment * 1e6))


def interval(events: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson.

    >>> tuple(round(bound, 3) for bound in interval(0, 20))
    (0.0, 0.168)
    """
    tail = (1 - level) / 2
    low = beta.ppf(tail, events, trials - events + 1) if events else 0.0
    high = beta.ppf(1 - tail, events + 1, trials - events) if events < trials else 1.0
    return float(low), float(high)


def mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)


@lru_cache(maxsize=1)
def _detector() -> str:
    files = sorted(Path(strongroom.detect.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
