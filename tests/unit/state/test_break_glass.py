"""Break-glass credentials and their leases in the tables, on both databases."""

from __future__ import annotations

import msgspec
import pytest

from strongroom.core.leases import BREAK_GLASS_STATES, BreakGlass, Lease
from strongroom.state import State, Transaction

from ...databases import Place

CREDENTIAL = BreakGlass(
    id="k3x7q2mz",
    digest="sha256:" + "ab" * 32,
    assets=["acme/llama", "other/*"],
    shares=5,
    need=3,
    delay=1800,
    unannounced=False,
    issued=1_794_300_000_000_000,
    expires=1_794_400_000_000_000,
    by="ann@acme",
)
LEASE = Lease(
    id="lse_" + "0" * 32,
    principal="bob@acme",
    action="OpenWeights",
    asset="acme/llama",
    requested=1,
    seconds=3600,
    state="active",
    expires=9,
    breakglass=CREDENTIAL.id,
    not_before=5,
)


def test_a_credential_is_kept_changed_and_listed(place: Place) -> None:
    changed = msgspec.structs.replace(CREDENTIAL, state="used", lease=LEASE.id, wrong=3, wrong_day=20_000)
    older = msgspec.structs.replace(CREDENTIAL, id="aaaaaaaa", issued=1, unannounced=True)
    with place.open() as state:
        with state.transaction(write=True) as transaction:
            transaction.break_glass.put(CREDENTIAL)
            transaction.break_glass.put(older)
        with state.transaction(write=True) as transaction:
            assert transaction.break_glass.get(CREDENTIAL.id) == CREDENTIAL
            transaction.break_glass.put(changed)
    with place.open() as state, state.transaction(write=False) as transaction:
        assert transaction.break_glass.all() == [changed, older]
        assert transaction.break_glass.get("bbbbbbbb") is None


def test_its_lease_is_found_by_it_and_covers_nothing_that_does_not_name_it(place: Place) -> None:
    def covering(transaction: Transaction) -> Lease | None:
        return transaction.leases.active(LEASE.principal, LEASE.action, LEASE.asset, "", "", 2)

    with place.open() as state, state.transaction(write=True) as transaction:
        transaction.leases.put(LEASE)
        assert transaction.leases.by_break_glass(CREDENTIAL.id) == [LEASE]
        assert transaction.leases.by_break_glass("aaaaaaaa") == []
        assert covering(transaction) is None
        plain = msgspec.structs.replace(LEASE, breakglass="", not_before=0)
        transaction.leases.put(plain)
        assert covering(transaction) == plain


def test_a_state_that_is_none_is_refused_by_the_table(place: Place) -> None:
    def put(state: State, name: str) -> None:
        with state.transaction(write=True) as transaction:
            transaction.break_glass.put(msgspec.structs.replace(CREDENTIAL, state=name))

    with place.open() as state:
        for name in BREAK_GLASS_STATES:
            put(state, name)
        with pytest.raises(Exception, match=r"state|constraint"):
            put(state, "open")
