"""Windows find what a plain loop over all pairs finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.detect.rules._condition import Exists
from strongroom.detect.rules._rules import Base, Correlation
from strongroom.detect.rules._windows import Events, _starts, _starts_by_group, members

events = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 2), st.integers(0, 2), st.integers(-1, 3)), max_size=25
)  # time, group, base, value
OPERATORS = {
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
}


def plain(correlation: Correlation, found: list[tuple[int, int, int, int]]) -> list[bool]:
    """The definition, in pairs. The order is by time, then base, then place."""
    order = sorted(range(len(found)), key=lambda i: (found[i][1], found[i][0], found[i][2], i))
    result = [False] * len(found)
    for end, i in enumerate(order):
        window = [
            j for j in order[: end + 1] if found[j][1] == found[i][1] and found[i][0] - found[j][0] <= correlation.span
        ]
        if OPERATORS[correlation.operator](number(correlation, [found[j] for j in window]), correlation.count):
            for j in window:
                result[j] = True
    return result


def number(correlation: Correlation, window: list[tuple[int, int, int, int]]) -> int:
    if correlation.kind == "event_count":
        return len(window)
    if correlation.kind == "value_count":
        return len({each[3] for each in window} - {-1})
    if correlation.kind == "temporal":
        return len({each[2] for each in window})
    # In order: the last event's rule, when all rules before it came before it.
    want = window[-1][2]
    for each in reversed(window[:-1]):
        if want and each[2] == want - 1:
            want -= 1
    return window[-1][2] + 1 if want == 0 else 0


@given(
    found=events,
    kind=st.sampled_from(["event_count", "value_count", "temporal", "temporal_ordered"]),
    operator=st.sampled_from(sorted(OPERATORS)),
    count=st.integers(0, 5),
    span=st.integers(1, 12),
)
def test_windows_are_those_of_the_definition(
    found: list[tuple[int, int, int, int]], kind: Any, operator: Any, count: int, span: int
) -> None:
    bases = tuple(Base(str(i), "aws", "cloudtrail", Exists("x")) for i in range(3))
    correlation = Correlation(kind, bases, ("g",), span, operator, count)
    columns = np.array(found, dtype=np.int64).reshape(-1, 4).T
    got = members(correlation, Events(columns[0], columns[1], columns[2], columns[3], np.arange(len(found))))
    assert got.tolist() == plain(correlation, found)


@given(found=events, span=st.integers(1, 12))
def test_starts_by_group_are_the_same(found: list[tuple[int, int, int, int]], span: int) -> None:
    ordered = sorted(found, key=lambda each: (each[1], each[0]))
    time, group = (np.array([each[i] for each in ordered], dtype=np.int64) for i in (0, 1))
    if len(time):
        place = np.unique(group, return_inverse=True)[1]
        assert _starts(time, group, span).tolist() == _starts_by_group(time, place, span).tolist()


@pytest.mark.parametrize("years", [1, 5000])
def test_long_times_do_not_overflow(years: int) -> None:
    year = 366 * 86_400_000_000
    bases = (Base("b", "aws", "cloudtrail", Exists("x")),)
    n = 200
    zeros = np.zeros(n, dtype=np.int64)
    time = np.linspace(0, years * year, n).astype(np.int64)
    correlation = Correlation("event_count", bases, ("g",), year, "gte", 2)
    got = members(correlation, Events(time, np.arange(n) % 2, zeros, zeros, np.arange(n)))
    assert got.all() == (years == 1)
