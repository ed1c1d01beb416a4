"""What is kept of the events that set a rule off, for each principal: counts, and what a person can check.

Whatever the order of the events, the result is the same: of more than can be kept, the first in time or in the
alphabet are, so that both engines tell the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from strongroom.core.clock import format_time
from strongroom.core.records import Example

__all__ = ["DETAILS", "MAX_EXAMPLES", "MAX_NAMES", "Tally", "add_events", "codes", "times_of"]

MAX_EXAMPLES = 5
"""Examples of one signal."""
MAX_NAMES = 50
"""Credentials, sessions, addresses and resources of one signal, of each."""

DETAILS = ("credential", "session", "client_address", "resource")
"""The columns that a signal names the values of."""

_DAY = 86_400_000_000

Codes = tuple[npt.NDArray[np.int32], list[str]]


@dataclass
class Tally:
    """The events of one rule and one principal so far."""

    events: int = 0
    first: int = 1 << 62
    last: int = -(1 << 62)
    names: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in DETAILS})
    cut: set[str] = field(default_factory=set)
    """Those of DETAILS of which there are more than are named."""
    places: list[tuple[int, str, int]] = field(default_factory=list)
    """(time, source, position) of the first events."""
    days: dict[int, int] = field(default_factory=dict)
    """By day since 1970, the first time on it."""

    def count(self, times: npt.NDArray[np.int64]) -> None:
        """Adds events by their times, of shape (events,), at least one."""
        self.events += len(times)
        self.first = min(self.first, int(times.min()))
        self.last = max(self.last, int(times.max()))
        ordered = np.sort(times)
        days, places = np.unique(ordered // _DAY, return_index=True)
        for day, time in zip(days.tolist(), ordered[places].tolist(), strict=True):
            self.days[day] = min(self.days.get(day, time), time)

    def name(self, column: str, values: set[str]) -> None:
        """Adds values of one of DETAILS."""
        kept = self.names[column]
        kept |= values
        if len(kept) > MAX_NAMES:
            self.names[column] = set(sorted(kept)[:MAX_NAMES])
            self.cut.add(column)

    def place(self, places: list[tuple[int, str, int]]) -> None:
        """Adds where events stand."""
        self.places = sorted([*self.places, *places])[:MAX_EXAMPLES]

    def examples(self, principal: str) -> list[Example]:
        """The first events, as evidence names them."""
        return [
            Example(subject=principal, time=format_time(time), where=f"{source}:{position}")
            for time, source, position in self.places
        ]


def times_of(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """The column `time` in microseconds since 1970, of shape (rows,)."""
    return np.asarray(batch["time"].cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def codes(column: Any) -> Codes:
    """A text column as numbers of shape (rows,) and the texts they stand for; null is the empty text."""
    encoded = pc.dictionary_encode(pc.fill_null(column, ""))
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), encoded.dictionary.to_pylist()


def add_events(
    tallies: dict[tuple[int, str], Tally], batch: pa.RecordBatch, rows_of: Mapping[int, npt.NDArray[np.intp]]
) -> None:
    """Adds, for each rule, the rows of a batch that set it off; `tallies` is by rule and principal."""
    times = times_of(batch)
    texts = {name: codes(batch[name]) for name in ("principal", "source", *DETAILS)}
    position = batch["position"].fill_null(0).to_numpy(zero_copy_only=False)
    who, principals = texts["principal"]
    sources, source_names = texts["source"]
    for rule, rows in rows_of.items():
        order = rows[np.lexsort((times[rows], who[rows]))]
        starts = np.flatnonzero(np.diff(who[order], prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            chosen = order[start:end]
            tally = tallies.setdefault((rule, principals[who[chosen[0]]]), Tally())
            tally.count(times[chosen])
            for name in DETAILS:
                numbers, names = texts[name]
                tally.name(name, {names[number] for number in np.unique(numbers[chosen])} - {""})
            # Equal times at the end of the kept ones: all of them, so that the choice does not hang on the order.
            last = times[chosen[min(MAX_EXAMPLES, len(chosen)) - 1]]
            near = chosen[: np.searchsorted(times[chosen], last, side="right")]
            tally.place([(int(times[i]), source_names[sources[i]], int(position[i])) for i in near])
