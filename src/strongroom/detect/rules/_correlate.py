"""Correlations: events of the rules they name are taken in as numbers, and judged in windows (`_windows`).

What a signal shows of its events (credentials, places, …) is read afterwards, for the few that are in a hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.detect.signals import Signal
from strongroom.store import Store

from ._condition import Node
from ._query import Log
from ._rules import Base, Correlation, Rule
from ._signals import signal
from ._tally import DETAILS, MAX_NAMES, Tally, add_events, codes, times_of
from ._windows import Events, members

__all__ = ["MAX_CORRELATED", "Correlator"]

MAX_CORRELATED = 10_000_000
"""Events of one correlation that are held at once, some 50 bytes each; what comes after is not judged, and said so."""
_LOOKED_UP = 10_000
"""Keys of one query for what signals show."""

Ints = npt.NDArray[np.int64]
Mark = tuple[int, str]
"""A correlation's number and a principal."""


class Correlator:
    """Takes in, log by log, the events that correlations ask for; then says which principals are in a hit."""

    def __init__(self, rules: Sequence[Rule], most: int = MAX_CORRELATED) -> None:
        """`rules`: correlations; `most`: events of one that are judged."""
        self._rules = [rule for rule in rules if rule.correlation is not None]
        self._texts = _Texts()
        self._most = most
        self._gathered = [_Gathered(rule.correlation, most) for rule in self._rules if rule.correlation is not None]

    def asked(self, log: Log) -> dict[Node, list[str]]:
        """The conditions over events of a log, each with the fields of its events that `take_in` needs."""
        found: dict[Node, dict[str, None]] = {}
        for _, _, base in self._bases(log):
            found.setdefault(base.condition, {}).update(dict.fromkeys(_names(base)))
        return {condition: list(names) for condition, names in found.items()}

    def take_in(self, log: Log, batch: pa.RecordBatch, hit_of: Mapping[Node, str], fields: Mapping[str, str]) -> None:
        """Takes in a batch with time, principal and line_key. `hit_of`: by condition, the column of its hits; `fields`:
        by field, the column of its text."""
        columns = {name: self._texts.column(batch[at]) for name, at in fields.items()}
        common: dict[str, Ints] = {
            "time": times_of(batch),
            "who": self._texts.column(batch["principal"]),
            "key": batch["line_key"].fill_null(0).to_numpy(zero_copy_only=False),
        }
        for number, place, base in self._bases(log):
            if base.condition in hit_of:
                rows = np.flatnonzero(batch[hit_of[base.condition]].to_numpy(zero_copy_only=False).astype(np.bool_))
                self._gathered[number].add(self._piece(base, place, rows, common, columns))

    def _bases(self, log: Log) -> Iterator[tuple[int, int, Base]]:
        for number, each in enumerate(self._gathered):
            for place, base in enumerate(each.correlation.bases):
                if (base.product, base.service) == log:
                    yield number, place, base

    def _piece(
        self, base: Base, place: int, rows: npt.NDArray[np.intp], common: dict[str, Ints], columns: dict[str, Ints]
    ) -> dict[str, Ints]:
        piece = {name: column[rows] for name, column in common.items()}
        piece["base"] = np.full(len(rows), place, dtype=np.int64)
        value = columns[base.value][rows] if base.value else np.zeros(len(rows), dtype=np.int64)
        # Whoever lacks the field has no value to count, as with SQL's count(distinct).
        piece["value"] = np.where(value == self._texts.number(""), -1, value) if base.value else value
        return piece | {f"group{j}": columns[name][rows] for j, name in enumerate(base.group)}

    def signals(self, store: Store, table: Any, cut: Callable[[str], None]) -> list[Signal]:
        """The signals of what was taken in; `table`: the access events, of which details are read. `cut` is told what
        was not judged."""
        tallies: dict[Mark, Tally] = {}
        wanted: dict[int, list[Mark]] = {}  # by line key: the signals that it is shown in
        for number, each in enumerate(self._gathered):
            if each.cut:
                cut(f"of the rule “{self._rules[number].title}” only {self._most:,} events were judged")
            self._tally(number, each, tallies, wanted)
        _look_up(store, table, tallies, wanted)
        return [
            signal(self._rules[number], principal, tally, note=self._note(number))
            for (number, principal), tally in tallies.items()
        ]

    def _note(self, number: int) -> str:
        each = self._gathered[number]
        note = f", in windows of {each.correlation.span // 1_000_000:,} seconds"
        return f"{note}; only {self._most:,} of its events were judged" if each.cut else note

    def _tally(
        self, number: int, gathered: _Gathered, tallies: dict[Mark, Tally], wanted: dict[int, list[Mark]]
    ) -> None:
        """Judges the windows, counts each principal's events in hits and marks the first of them to be shown."""
        events, who = gathered.events(len(self._texts.names))
        found = np.flatnonzero(members(gathered.correlation, events))
        order = found[np.lexsort((events.key[found], events.time[found], who[found]))]
        for rows in np.split(order, np.flatnonzero(np.diff(who[order])) + 1):
            if not len(rows):
                continue
            mark = (number, self._texts.names[who[rows[0]]])
            tallies[mark] = Tally()
            single = rows[np.unique(events.key[rows], return_index=True)[1]]  # an event of two rules is one event
            tallies[mark].count(events.time[single])
            for key in dict.fromkeys(events.key[rows][: 2 * MAX_NAMES].tolist()):
                wanted.setdefault(key, []).append(mark)


class _Texts:
    """Texts as numbers, the same for all columns and batches."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []

    def number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._numbers))
        if number == len(self.names):
            self.names.append(text)
        return number

    def column(self, column: Any) -> Ints:
        """Shape (rows,)."""
        local, names = codes(column)
        return np.array([self.number(name) for name in names], dtype=np.int64)[local]


@dataclass
class _Gathered:
    """The events of one correlation so far, as columns in pieces."""

    correlation: Correlation
    most: int
    pieces: list[dict[str, Ints]] = field(default_factory=list)
    held: int = 0
    cut: bool = False

    def add(self, piece: dict[str, Ints]) -> None:
        """Adds rows: time, who, base, key, value and group0, group1, …"""
        room, rows = self.most - self.held, len(piece["time"])
        self.cut |= rows > room
        self.held += min(rows, room)
        if rows and room:
            self.pieces.append({name: column[:room] for name, column in piece.items()})

    def events(self, texts: int) -> tuple[Events, Ints]:
        """All that were taken in, and who acted, of shape (events,). `texts`: how many distinct texts there are."""
        groups = [f"group{i}" for i in range(len(self.correlation.group_by))]
        none = np.zeros(0, dtype=np.int64)
        column = {
            name: np.concatenate([none, *(piece[name] for piece in self.pieces)])
            for name in ("time", "who", "base", "key", "value", *groups)
        }
        if self.correlation.kind in ("event_count", "value_count") and len(self.correlation.bases) > 1:
            # Counted once, also when two of its rules want it: for the first of them.
            first = np.lexsort((column["base"], column["key"]))
            first = first[np.unique(column["key"][first], return_index=True)[1]]
            column = {name: values[first] for name, values in column.items()}
        group = np.zeros(len(column["time"]), dtype=np.int64)
        for name in groups:
            # Numbered anew after each field, so that the product cannot grow out of 64 bits.
            group = np.unique(group * texts + column[name], return_inverse=True)[1].astype(np.int64)
        return Events(column["time"], group, column["base"], column["value"], column["key"]), column["who"]


def _names(base: Base) -> list[str]:
    return [*base.group, *([base.value] if base.value else [])]


def _look_up(store: Store, table: Any, tallies: dict[Mark, Tally], wanted: dict[int, list[Mark]]) -> None:
    """Reads what signals show of the events with the wanted keys."""
    keys = sorted(wanted)
    kept = ["time", "principal", "source", "position", "line_key", *DETAILS]
    # All counts were made before; these are other tallies, of which names and places are taken.
    shown: dict[Mark, Tally] = {}
    for first in range(0, len(keys), _LOOKED_UP):
        expression = table.filter(table.line_key.isin(keys[first : first + _LOOKED_UP])).select(*kept)
        for batch in store.batches(expression):
            rows_of: dict[int, list[int]] = {}
            principals = batch["principal"].to_pylist()
            for row, key in enumerate(batch["line_key"].to_pylist()):
                for number, principal in wanted[key]:
                    if (principals[row] or "") == principal:
                        rows_of.setdefault(number, []).append(row)
            add_events(shown, batch, {number: np.array(rows, dtype=np.intp) for number, rows in rows_of.items()})
    for mark, tally in shown.items():
        tallies[mark].names, tallies[mark].places, tallies[mark].cut = tally.names, tally.places, tally.cut
