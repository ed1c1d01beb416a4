"""Key releases against reads: who takes a key and reads nothing, and who reads sealed bytes and takes no key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from strongroom.core.assets import Asset
from strongroom.core.clock import format_time
from strongroom.detect.signals import Severity

from ._daily import DAY_US, Activity, Daily
from ._drafts import Draft, Reason, percent, raised
from ._habits import PAST_DAYS, ROUTINE
from ._screen import BULK

__all__ = ["AT_LEAST", "KEYED", "NEAR_DAYS", "find_keys"]

NEAR_DAYS = 1
KEYED = 0.95
AT_LEAST = 10

_STEPS = [
    "ask the asset's owner how this principal is meant to open it",
    "keep the logs of the key and of the asset's places",
    "take the grant of the key from the principal for the time being; it can be given back",
    "if it is not explained: rotate the key after the credential",
]

_Asset = dict[str, set[int]]
"""Days by principal."""
_Days = dict[str, _Asset]
_Pairs = dict[str, dict[int, bool]]


def find_keys(assets: Mapping[str, Asset], done: Activity, start: int, end: int) -> Iterator[Draft]:
    """Drafts for what was done between `start` and `end`, of assets of which both reads and keys are recorded.

    Keys of the cloud's key service and our vault's releases are asked for one by one: a service takes the one for
    whoever reads, and only the other says that the vault was asked.
    """
    read = _days(done.reads)
    begin = min((int(each.day.min()) for each in (done.reads, done.keys, done.releases) if len(each)), default=0)
    for keys, where in ((done.keys, "in the key service"), (done.releases, "from the vault")):
        taken = _days(keys)
        both = sorted(set(read) & set(taken))
        # A key is a key, of whichever asset; whether reading asks for one is each asset's own matter.
        any_key = [_paired(taken[asset], read[asset]) for asset in both]
        for asset, own in zip(both, any_key, strict=True):
            for principal, mine, rest in _unpaired(asset, keys, own, any_key, start, end):
                theirs = keys.events[(keys.asset == asset) & (keys.principal != principal)]
                burst = bool(mine.events.max() > theirs.max(initial=0))
                yield _draft(assets[asset], ("keys-without-reads", where), principal, mine, rest, burst=burst)
            reading = _paired(read[asset], taken[asset])
            # A key that was taken on the day before a log begins is not in it.
            told = max(start, (begin + NEAR_DAYS) * DAY_US)
            for principal, mine, rest in _unpaired(asset, done.reads, reading, [reading], told, end):
                if mine.share.sum() >= BULK:
                    yield _draft(assets[asset], ("reads-without-keys", where), principal, mine, rest)


def _days(daily: Daily) -> _Days:
    """Days by asset and principal."""
    found: _Days = defaultdict(lambda: defaultdict(set))
    for row in range(len(daily)):
        found[daily.asset[row]][daily.principal[row]].add(int(daily.day[row]))
    return found


def _near(day: int, days: set[int]) -> bool:
    return any(day + step in days for step in range(-NEAR_DAYS, NEAR_DAYS + 1))


def _paired(own: _Asset, other: _Asset) -> _Pairs:
    """By principal and day of `own`: whether it did the other too."""
    return {who: {day: _near(day, other.get(who, set())) for day in days} for who, days in own.items()}


def _unpaired(
    asset: str, rows: Daily, own: _Pairs, base: Sequence[_Pairs], start: int, end: int
) -> Iterator[tuple[str, Daily, tuple[int, int]]]:
    """Principals that do the one without the other, where by `base` everybody else nearly always does both."""
    for principal, days in sorted(own.items()):
        alone = {day for day, both in days.items() if not both}
        rest = [theirs for pairs in base for who, theirs in pairs.items() if who != principal]
        others = [both for theirs in rest for both in theirs.values()]
        if not alone or len(others) < AT_LEAST or sum(others) < KEYED * len(others):
            continue
        if len(alone) > ROUTINE and max(alone) - min(alone) >= PAST_DAYS:
            continue  # it does so all the time: a service that keeps its key, or its copy
        chosen = (rows.asset == asset) & (rows.principal == principal) & (rows.last >= start) & (rows.first < end)
        mine = rows.only(chosen & np.isin(rows.day, sorted(alone)))
        if len(mine):
            yield principal, mine, (sum(others), len(others))


def _draft(
    asset: Asset, what: tuple[str, str], principal: str, rows: Daily, others: tuple[int, int], *, burst: bool = False
) -> Draft:
    kind, where = what
    keys, vault = kind == "keys-without-reads", where == "from the vault"
    events, first, last = int(rows.events.sum()), int(rows.first.min()), int(rows.last.max())
    times = "once" if events == 1 else f"{events:,} times"
    share = min(1.0, float(rows.share.sum()))
    did = (
        f"It took the key of {asset.name} {where} {times} from {format_time(first)}, and no read of the asset by it is "
        f"recorded within a day"
        if keys
        else f"It read {asset.name} {times} from {format_time(first)} (at most {percent(share)} of it), and took no "
        f"key {where} within a day"
    )
    both = f"of {others[1]:,} days on which others did so, they did both on {others[0]:,}"
    reasons: list[Reason] = [("pair", f"{did}; {both}.", "moderate")]
    if burst:
        most = f"The most in one day, {rows.events.max():,}, is more than anybody else's."
        reasons.append(("burst", most, "moderate"))
    # A store may keep a key of the key service for a while and ask for it once for many reads: then one day without
    # says little. Our vault is asked each time.
    once = not keys and not vault and len(set(rows.day)) < ROUTINE
    severity: Severity = "low" if once or (keys and not burst) else "medium"
    return Draft(
        kind=kind,
        title=f"Key of {asset.name} taken, nothing read" if keys else f"{asset.name} read without its key",
        asset=asset,
        principal=principal,
        severity=raised(severity, asset),
        confidence=0.4,
        techniques=[] if keys else ["T1530"],
        phase="credential-access" if keys else "collection",
        first=first,
        last=last,
        events=events,
        why=(
            "Whoever has the key and reads nothing may read a copy that is not logged."
            if keys
            else "Sealed bytes are of use only to whoever has the key already, or means to get it elsewhere."
        ),
        reasons=reasons,
        recommended=_STEPS,
        of=("releases" if vault else "keys") if keys else "reads",
    )
