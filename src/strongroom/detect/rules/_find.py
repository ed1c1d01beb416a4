"""Rules over the access events of a store, to signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.detect.signals import Signal
from strongroom.store import Store

from ._compile import column_of
from ._condition import Node
from ._correlate import Correlator
from ._query import Log, hits, logs_present, passes
from ._rules import Rule, Rules
from ._signals import signal
from ._tally import DETAILS, Tally, add_events

__all__ = ["match_rules"]

_KEPT = ("time", "principal", "source", "position", "line_key", *DETAILS)


def match_rules(
    store: Store,
    rules: Rules,
    *,
    since: int | None = None,
    until: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
    cut: Callable[[str], None] = lambda _: None,
) -> list[Signal]:
    """One signal for each rule and principal with events that set it off, in the order of the rules.

    `since`, `until`: the window, microseconds since 1970, `until` not in it. `progress` is told what is done,
    `cut` what was left out. Raises what the store raises.
    """
    table = store.access_events(since, until)
    present = store.table(logs_present(table)).to_pylist()
    single = [rule for rule in rules.rules if rule.condition is not None and not rule.silent]
    correlator = Correlator([rule for rule in rules.rules if rule.correlation is not None])
    found: list[Signal] = []
    for log in sorted({(row["product"] or "", row["service"] or "") for row in present}):
        mine = [rule for rule in single if (rule.product, rule.service) == log]
        if mine or correlator.asked(log):
            progress(f"{len(mine)} rules over {' '.join(log)}")
            found += _Log(log, mine, correlator).signals(store, table)
    found += correlator.signals(store, table, cut)
    places = {rule.id: i for i, rule in enumerate(rules.rules)}
    return sorted(found, key=lambda each: (places[each.kind], each.principal))


class _Log:
    """The rules over the events of one log, and what correlations want of them."""

    def __init__(self, log: Log, rules: Sequence[Rule], correlator: Correlator) -> None:
        self._log = log
        self._rules = rules
        self._correlator = correlator
        self._counted = correlator.asked(log)
        conditions = [rule.condition for rule in rules if rule.condition is not None]
        self._asked: list[Node] = [*conditions, *self._counted]
        self._fields: list[list[str]] = [*([] for _ in conditions), *self._counted.values()]

    def signals(self, store: Store, table: Any) -> list[Signal]:
        """The signals of rules over single events; what correlations want is taken in by the way."""
        tallies: dict[tuple[int, str], Tally] = {}
        in_map = [any(column_of(self._log, name) is None for name in names) for names in self._fields]
        for chosen in passes(self._log, self._asked, in_map):
            names = dict.fromkeys(name for i in chosen for name in self._fields[i])
            fields = {name: f"field{j}" for j, name in enumerate(names)}
            hit = {i: f"hit{j}" for j, i in enumerate(chosen)}
            hit_of = {self._asked[i]: column for i, column in hit.items() if i >= len(self._rules)}
            asked = [self._asked[i] for i in chosen]
            expression = hits(table, self._log, asked, {column: name for name, column in fields.items()}, _KEPT)
            for batch in store.batches(expression):
                add_events(tallies, *_chosen(batch, {i: at for i, at in hit.items() if i < len(self._rules)}))
                if hit_of:
                    self._correlator.take_in(self._log, batch, hit_of, fields)
        return [signal(self._rules[i], principal, tally) for (i, principal), tally in tallies.items()]


def _chosen(batch: pa.RecordBatch, hit: dict[int, str]) -> tuple[pa.RecordBatch, dict[int, npt.NDArray[np.intp]]]:
    """The rows of a batch that set off a rule, and by rule, which; `hit`: by rule, the column that says it."""
    told = {i: batch[at].to_numpy(zero_copy_only=False).astype(np.bool_) for i, at in hit.items()}
    some = np.logical_or.reduce([np.zeros(batch.num_rows, dtype=np.bool_), *told.values()])
    return batch.filter(pa.array(some)), {i: np.flatnonzero(each[some]) for i, each in told.items() if each.any()}
