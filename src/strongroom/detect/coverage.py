"""Gaps in the coverage of access logs: hours without a record, told as what could not be seen, never as silence.

A stream is what one product and service wrote of one account, project, cluster or host. Its hours are counted; a run
of empty hours is a gap when so many records were to be expected there that chance does not explain it. What is to be
expected is what the same hours of the day held on the stream's other days, so that nights and weekends are no gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from strongroom.core.clock import format_time
from strongroom.store import Store, microseconds

__all__ = ["LEAST_EXPECTED", "MAX_GAPS", "gaps"]

LEAST_EXPECTED = 20.0
"""Records that a run of empty hours must lack. Were they independent, chance would lack 20 once in e^20 times; they
come in bursts, so less would be told too often."""
LEAST_DAYS = 3
"""Working days, or days of weekends, below which an hour of the day is not compared with its likes."""
MAX_GAPS = 20
"""Gaps that are told one by one, the longest; the rest is counted."""
MAX_STREAMS = 1_000
"""Streams that are looked at, those with most records."""
_HOUR = 3_600_000_000


def gaps(store: Store, events: Any) -> list[str]:
    """Sentences about gaps in `events`, an Ibis table with the columns of ACCESS_EVENTS."""
    hour = (microseconds(events.time) // _HOUR).cast("int64")
    keys = {"product": events["product"], "service": events.service, "organization": events.organization}
    counted = events.group_by(**keys, hour=hour).aggregate(n=events.count())
    streams: dict[tuple[str, str, str], dict[int, int]] = defaultdict(dict)
    for batch in store.batches(counted):
        for row in batch.to_pylist():
            streams[row["product"] or "", row["service"] or "", row["organization"] or ""][row["hour"]] = row["n"]
    largest = sorted(streams.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    found = [
        (end - start, stream, start, end, lacks)
        for stream, hours in largest[:MAX_STREAMS]
        for start, end, lacks in _runs(hours)
    ]
    found.sort(key=lambda gap: (-gap[0], gap[1:]))
    told = [_sentence(*gap[1:]) for gap in found[:MAX_GAPS]]
    if len(found) > MAX_GAPS:
        told.append(f"{len(found) - MAX_GAPS:,} more gaps of hours in access logs.")
    if len(streams) > MAX_STREAMS:
        told.append(f"Gaps were looked for in the {MAX_STREAMS:,} largest of {len(streams):,} streams of access logs.")
    return told


def _runs(hours: dict[int, int]) -> Iterator[tuple[int, int, float]]:
    """Runs of empty hours that are gaps: first hour, hour after the last, and how many records they lack."""
    first, last = min(hours), max(hours)
    counts: npt.NDArray[np.float64] = np.zeros(last - first + 1)
    for hour, n in hours.items():
        counts[hour - first] = n
    expected = _expected(counts, first)
    empty = np.flatnonzero(counts == 0)
    for run in np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1):
        lacks = float(expected[run].sum()) if len(run) else 0.0
        if lacks >= LEAST_EXPECTED:
            yield first + int(run[0]), first + int(run[-1]) + 1, lacks


def _expected(counts: npt.NDArray[np.float64], first: int) -> npt.NDArray[np.float64]:
    """For each hour the lower quartile of that hour of the day, so that a few busy days expect little.

    Working days and weekends (UTC) are apart; of a kind of which there are fewer than LEAST_DAYS, the lower quartile
    of all of its hours stands for each, and of a single weekend nothing is expected.
    """
    hour = first + np.arange(len(counts))
    day = hour // 24
    weekend = (day + 3) % 7 >= 5  # the first day of 1970 was a Thursday
    expected = np.zeros(len(counts))
    for kind in (False, True):
        inside = weekend == kind
        days = len(np.unique(day[inside]))
        if days < LEAST_DAYS:
            if not kind and days:
                expected[inside] = np.quantile(counts[inside], 0.25)
            continue
        for clock in range(24):
            same = inside & (hour % 24 == clock)
            if same.any():
                expected[same] = np.quantile(counts[same], 0.25)
    return expected


def _sentence(stream: tuple[str, str, str], start: int, end: int, lacks: float) -> str:
    product, service, organization = stream
    where = f" of {organization}" if organization else ""
    times = f"{format_time(start * _HOUR)} to {format_time(end * _HOUR)}"
    hours = end - start
    many = "s" if hours != 1 else ""
    return (
        f"The logs of {product} {service}{where} hold nothing from {times} ({hours:,} hour{many}), "
        f"where some {lacks:,.0f} records were to be expected: files may be missing, or logging was off."
    )
