"""Gaps in the coverage of access logs: hours without a record, told as what could not be seen, never as silence.

A stream is what one product and service wrote of one account, project, cluster or host. Its hours are counted; a run
of empty hours is a gap when so many records were to be expected there that chance does not explain it. What is to be
expected is what the same hours of the day held on the stream's other days, so that nights and weekends are no gaps.
A stream that ends while others go on has its gap at the end.

Times are what logs say. One record of a clock that is years off would make a log of a fortnight one of years, in which
everything is new and nothing is missing: what stands alone, far from nearly all records, is told and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from strongroom.core.clock import format_time
from strongroom.store import Store, microseconds

__all__ = ["LEAST_EXPECTED", "MAX_GAPS", "STRAY_MOST", "STRAY_PAUSE", "STRAY_SHARE", "Span", "gaps", "span_of"]

LEAST_EXPECTED = 20.0
"""Records that a run of empty hours must lack. Were they independent, chance would lack 20 once in e^20 times; they
come in bursts, so less would be told too often."""
LEAST_DAYS = 3
"""Working days, or days of weekends, below which an hour of the day is not compared with its likes."""
WEEKEND = 2
"""Days in a row without a record that are usual."""
LONGEST_SILENCE = 28 * 24
"""Hours after a stream's last record in which it is missed: later it has ended, and that was told."""
MAX_GAPS = 20
"""Gaps that are told one by one, the longest; the rest is counted."""
MAX_STREAMS = 1_000
"""Streams that are looked at, those with most records."""
STRAY_PAUSE = 60
"""Days without any record that part strays from all others."""
STRAY_SHARE = 0.001
"""Of all records, what may be strays, …"""
STRAY_MOST = 100
"""… and so many at most. More is another log and no wrong clock."""
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


@dataclass(frozen=True)
class Span:
    """The time that records are from, but for those whose clock was wrong."""

    start: int
    """Microseconds since 1970, at the beginning of a day."""
    end: int
    """The end of a day, not in it."""
    strays: int
    """Records outside of it."""
    sentence: str
    """That there are some; empty without."""


def span_of(store: Store, events: Any) -> Span | None:
    """The span of `events`, an Ibis table with a column `time`; None without any."""
    day = (microseconds(events.time) // _DAY).cast("int64")
    rows = store.table(events.group_by(day=day).aggregate(n=events.count()).order_by("day")).to_pylist()
    if not rows:
        return None
    days = np.array([row["day"] for row in rows])
    counts = np.array([row["n"] for row in rows])
    pieces = np.split(np.arange(len(days)), np.flatnonzero(np.diff(days) > STRAY_PAUSE) + 1)
    held = [int(counts[piece].sum()) for piece in pieces]
    few = [n <= min(STRAY_SHARE * sum(held), STRAY_MOST) for n in held]
    kept = [piece for piece, stray in zip(pieces, few, strict=True) if not stray]
    first, last = int(days[kept[0][0]]), int(days[kept[-1][-1]])
    strays = int(counts[(days < first) | (days > last)].sum())
    start, end = first * _DAY, (last + 1) * _DAY
    sentence = (
        f"{strays:,} access events say a time more than {STRAY_PAUSE} days before {format_time(start)} or after "
        f"{format_time(end)}, where nearly all are: with a wrong clock they are compared with rules, and with nothing "
        "else."
    )
    return Span(start, end, strays, sentence if strays else "")


def gaps(store: Store, events: Any, until: int | None = None) -> list[str]:
    """Sentences about gaps in `events`, an Ibis table with the columns of ACCESS_EVENTS.

    `until`: the last time, microseconds since 1970, at which any log has something; None: of these events.
    """
    hour = (microseconds(events.time) // _HOUR).cast("int64")
    keys = {"product": events["product"], "service": events.service, "organization": events.organization}
    counted = events.group_by(**keys, hour=hour).aggregate(n=events.count())
    streams: dict[tuple[str, str, str], dict[int, int]] = defaultdict(dict)
    for batch in store.batches(counted):
        for row in batch.to_pylist():
            streams[row["product"] or "", row["service"] or "", row["organization"] or ""][row["hour"]] = row["n"]
    horizon = max((max(hours) for hours in streams.values()), default=0) if until is None else until // _HOUR
    largest = sorted(streams.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    found = [
        (end - start, stream, start, end, lacks)
        for stream, hours in largest[:MAX_STREAMS]
        for start, end, lacks in _runs(hours, horizon)
    ]
    found.sort(key=lambda gap: (-gap[0], gap[1:]))
    told = [_sentence(*gap[1:]) for gap in found[:MAX_GAPS]]
    if len(found) > MAX_GAPS:
        told.append(f"{len(found) - MAX_GAPS:,} more gaps of hours in access logs.")
    if len(streams) > MAX_STREAMS:
        told.append(f"Gaps were looked for in the {MAX_STREAMS:,} largest of {len(streams):,} streams of access logs.")
    return told


def _runs(hours: dict[int, int], horizon: int) -> Iterator[tuple[int, int, float]]:
    """Runs of empty hours that are gaps: first hour, hour after the last, and how many records they lack.

    `horizon`: the last hour in which any stream has something; it need not be over.
    """
    newest = max(hours)
    first, last = min(hours), max(newest, min(horizon - 1, newest + LONGEST_SILENCE))
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
    of all of its hours stands for each, and of a single weekend nothing is expected. The longest run of days on which
    nothing came is no measure for itself.
    """
    hour = first + np.arange(len(counts))
    day = hour // 24
    weekend = (day + 3) % 7 >= 5  # the first day of 1970 was a Thursday
    silent = _longest_silence(counts, day)
    expected = np.zeros(len(counts))
    for kind in (False, True):
        inside = weekend == kind
        measure = inside & ~silent
        days = len(np.unique(day[measure]))
        if days < LEAST_DAYS:
            if not kind and days:
                expected[inside] = np.quantile(counts[measure], 0.25)
            continue
        for clock in range(24):
            same = hour % 24 == clock
            if (measure & same).any():
                expected[inside & same] = np.quantile(counts[measure & same], 0.25)
    return expected


def _longest_silence(counts: npt.NDArray[np.float64], day: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The hours of the longest run of whole days on which nothing came, and that is longer than a weekend."""
    place = np.unique(day, return_inverse=True)[1]
    empty = np.flatnonzero(np.bincount(place, weights=counts) == 0)
    runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)
    longest = max(runs, key=len)
    return np.isin(place, longest) if len(longest) > WEEKEND else np.zeros(len(counts), dtype=np.bool_)


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
