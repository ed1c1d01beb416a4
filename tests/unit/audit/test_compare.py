"""What the ledger says of rows: digests that name nobody, and a comparison that a crash does not alarm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from strongroom.audit import NO_ROW, RowDigests, Subjects, changes, check_releases, compare_state
from strongroom.core.clock import format_time
from strongroom.core.leases import Lease
from strongroom.core.principals import Principal
from strongroom.state import Personal, Rows, State

KEY = b"s" * 32
DAY = 86_400_000_000
TIME = 20_000 * DAY + DAY // 2
ID = "lse_0000000003e870008000000000000000"


class Entries:
    """A log of these entries."""

    def __init__(self, *bodies: dict[str, Any], writer: str = "strongroom") -> None:
        self._entries = [
            msgspec.json.encode({"type": "strongroom.access/1", "writer": writer, "body": one}) for one in bodies
        ]

    @property
    def size(self) -> int:
        return len(self._entries)

    def entries(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        yield from list(enumerate(self._entries))[first:last]


@pytest.fixture
def digests(subjects: Subjects) -> RowDigests:
    return RowDigests(subjects, KEY, create=True)


def released(digests: RowDigests, **more: Any) -> dict[str, Any]:
    event = {"time": format_time(TIME), "principal": digests.principal("ada"), "action": "ExportWeights",
             "asset": "acme/m", "outcome": "allowed", "lease": ID, "bytes": 7}  # fmt: skip
    return event | more


def lease(**more: Any) -> Lease:
    made = Lease(id=ID, principal="ada", action="ExportWeights", asset="acme/m", requested=TIME, seconds=60,
                 state="used", changed=TIME, attempt=1, bytes=7, entry=0)  # fmt: skip
    return msgspec.structs.replace(made, **more)


def told(state: State, digests: RowDigests, log: Entries, *rows: Lease) -> list[tuple[str, bool]]:
    with state.transaction(write=True) as transaction:
        for one in rows:
            transaction.leases.put(one)
        transaction.leases.release("acme/m", "ada", TIME, 7)
    with state.transaction(write=False) as transaction:
        found = compare_state(log, transaction.survey, digests, TIME + DAY)
        recent = check_releases(log, transaction.survey, digests, TIME + DAY)
    assert {one.row for one in recent} <= {one.row for one in found.differences if one.sure}
    return [(one.kind, one.sure) for one in found.differences]


def test_a_row_is_on_record_without_a_name(digests: RowDigests) -> None:
    rows: Rows = {("grant", Personal("ada"), "OpenWeights", "acme/m"): (1, 2, Personal("bob"))}
    (one,) = digests.on_record(changes({}, rows))
    row, _, value = one.partition(":")
    assert len(row) == len(value) == 32
    assert digests.on_record(changes(rows, {})) == [f"{row}:"]
    assert digests.on_record(changes(rows, rows)) == []


def test_after_an_erasure_a_row_leads_to_nobody(subjects: Subjects) -> None:
    key = ("principal", Personal("ada"))
    before = RowDigests(subjects, KEY, create=True).row(key)
    subjects.forget("ada")
    assert RowDigests(subjects, KEY, create=False).row(key) != before
    assert RowDigests(subjects, KEY, create=True).row(key) != before


def test_what_agrees_is_no_difference(state: State, digests: RowDigests) -> None:
    assert told(state, digests, Entries(released(digests)), lease()) == []


@pytest.mark.parametrize(("row", "sure"), [
    ({"state": "requested"}, True),
    ({"state": "active", "expires": TIME + 2 * DAY}, True),
    ({"state": "pending", "entry": -1}, False),
    ({"state": "revoked", "entry": -1}, None),
    ({"bytes": 8}, True),
    ({"principal": "bob"}, True),
])  # fmt: skip
def test_a_lease_that_was_released_is_used(
    state: State, digests: RowDigests, row: dict[str, Any], sure: bool | None
) -> None:
    digests.principal("bob")
    found = [one for kind, one in told(state, digests, Entries(released(digests)), lease(**row)) if kind == "lease"]
    assert set(found) == ({sure} if sure is not None else set())


def test_a_lease_that_was_taken_again_after_a_crash_agrees(state: State, digests: RowDigests) -> None:
    log = Entries(released(digests), released(digests))
    assert told(state, digests, log, lease(entry=1, attempt=2)) == []


def test_entries_of_other_writers_count_for_nothing(state: State, digests: RowDigests) -> None:
    log = Entries(released(digests), writer="gateway")
    assert told(state, digests, log) == []
    assert told(state, digests, log, lease()) == [("lease", True)]


def test_what_a_backup_does_not_know_is_forgiven_when_it_is_on_record(state: State, digests: RowDigests) -> None:
    restores = {"action": "Administer", "asset": "strongroom/site", "outcome": "allowed",
                "reason": "restores a backup", "source": "0", "changed": [NO_ROW]}  # fmt: skip
    assert told(state, digests, Entries(released(digests))) == [("lease", True)]
    assert told(state, digests, Entries(released(digests), restores)) == []


def test_rows_that_were_changed_since_a_copy_are_outdated_and_no_difference(state: State, digests: RowDigests) -> None:
    ada = Principal(name="ada", groups=["members"])
    with state.transaction(write=True) as transaction:
        transaction.principals.put(ada)
        rows = transaction.survey.guarded()
    key = ("principal", Personal("ada"))
    change = {"action": "Administer", "asset": "strongroom/site", "outcome": "allowed", "request_digest": "x"}
    added = change | {"reason": "adds a principal", "changed": digests.on_record(rows)}
    suspended = change | {"reason": "suspends a principal",
                          "changed": digests.on_record({key: ("person", ("members",), True)})}  # fmt: skip
    log = Entries(added, suspended)
    with state.transaction(write=False) as transaction:
        now = compare_state(log, transaction.survey, digests, TIME)
        copy = compare_state(log, transaction.survey, digests, TIME, since=1)
    assert [(one.kind, one.sure) for one in now.differences] == [("principal", True)]
    assert copy.differences == []
    assert copy.outdated == rows
    assert copy.recorded == {"suspends a principal": 1}


def test_an_entry_names_nobody(digests: RowDigests) -> None:
    entry = Entries(released(digests)).entries(0, 1)
    assert all(b"ada" not in data for _, data in entry)
