"""Who asks in which cell: organisations count once, and what many send word for word counts for nobody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.detect.campaign._sample import Sample
from strongroom.detect.campaign._ties import Openly, openly_related
from strongroom.detect.campaign._touches import SHARED_BY, Touches, read_touches, units_of

from .worlds import SLICES, World


def openly(organization: list[int], domain: list[int], account: list[int] | None = None) -> Openly:
    n = len(organization)
    columns = (organization, domain, account or list(range(n)))
    names = [str(i) for i in range(10)]
    return Openly(*(np.array(column, dtype=np.int32) for column in columns), names, names)


def sample(rows: list[tuple[int, int]]) -> Sample:
    """Of (subject, digest)."""
    subject, digest = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    zeros = np.zeros((len(rows), 1), dtype=np.int64)
    return Sample(
        subject.astype(np.int32), zeros[:, 0].astype(np.int16), digest, digest, digest, zeros, zeros.astype(np.int8)
    )


def touches(rows: list[tuple[int, int, int]], subjects: int, unit: list[int] | None = None) -> Touches:
    """Of (subject, digest, cell)."""
    cell = np.array([cell for _, _, cell in rows], dtype=np.int32)
    own = np.array(range(subjects) if unit is None else unit)
    return read_touches(sample([(s, d) for s, d, _ in rows]), cell, 8, own)


def test_one_organisation_is_one_unit_and_so_is_one_private_domain() -> None:
    unit = units_of(openly([0, 0, -1, -1, -1, 1], [-1, -1, 0, 0, -1, -1]))
    assert unit[0] == unit[1]
    assert unit[2] == unit[3]
    assert len(set(unit.tolist())) == 4
    assert sorted(set(unit.tolist())) == list(range(4))


def test_who_is_of_two_joins_them() -> None:
    unit = units_of(openly([0, 0, -1], [-1, 0, 0]))
    assert set(unit.tolist()) == {0}


def test_end_users_of_one_account_are_not_one_unit() -> None:
    world = World(1)
    world.people(4, 5)
    world.accounts = {1: 0, 2: 0}
    world.fact("organization", [0, 1, 2], "org")
    world.fact("email_domain", [0, 1, 2], "reseller.example")
    unit = units_of(openly_related(world.features(), SLICES))
    assert len(set(unit.tolist())) == 4


def test_entries_are_counts_of_texts_by_unit_and_cell() -> None:
    found = touches([(0, 1, 3), (0, 2, 3), (0, 3, 1), (1, 4, 3), (2, 5, 7)], 4, [0, 1, 0, 2])
    assert found.unit.tolist() == [0, 0, 0, 1]
    assert found.cell.tolist() == [1, 3, 7, 3]
    assert found.count.tolist() == [1, 2, 1, 1]
    assert found.texts.tolist() == [4, 1, 0]
    assert found.degree.tolist() == [3, 1, 0]
    assert found.entry.tolist() == [1, 1, 0, 3, 2]
    assert found.by_unit(found.count).tolist() == [4, 1, 0]
    assert found.by_cell(found.count).tolist() == [0, 1, 0, 3, 0, 0, 0, 1]
    assert found.matrix(found.count).toarray()[0].tolist() == [0, 1, 0, 2, 0, 0, 0, 1]


@pytest.mark.parametrize(("senders", "counts"), [(SHARED_BY - 1, True), (SHARED_BY, False)])
def test_a_text_that_three_units_send_counts_for_nobody(senders: int, counts: bool) -> None:
    found = touches([(subject, 9, 2) for subject in range(senders)] + [(0, 1, 3)], senders)
    assert found.counts.tolist() == [counts] * senders + [True]
    assert (found.entry >= 0).tolist() == found.counts.tolist()
    assert found.texts.sum() == (senders + 1 if counts else 1)


def test_what_one_organisation_sends_from_many_accounts_counts() -> None:
    found = touches([(subject, 9, 2) for subject in range(5)], 5, [0] * 5)
    assert found.counts.all()


def test_nothing_is_no_error() -> None:
    found = touches([], 0)
    assert found.texts.tolist() == []
    assert found.matrix(found.count).shape == (0, 8)
    assert found.by_cell(found.count).tolist() == [0] * 8


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 7)), max_size=60))
def test_every_text_that_counts_is_in_one_entry(rows: list[tuple[int, int, int]]) -> None:
    found = touches(rows, 6)
    assert found.count.sum() == found.texts.sum() == found.counts.sum()
    own = np.flatnonzero(found.entry >= 0)
    assert found.unit[found.entry[own]].tolist() == [rows[i][0] for i in own]
    assert found.cell[found.entry[own]].tolist() == [rows[i][2] for i in own]
    assert (np.diff(found.unit * found.cells + found.cell) > 0).all()
