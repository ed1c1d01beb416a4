"""Counts over the tables are the same on either database."""

from __future__ import annotations

from typing import Any

from strongroom.core.leases import Approval, Grant, Lease
from strongroom.core.principals import ApiKey, Principal
from strongroom.state._figures import Released

from ...databases import Place

SINCE = 1000


def lease(number: int, **more: Any) -> Lease:
    fields: dict[str, Any] = {
        "id": f"lse_{number:032x}",
        "principal": f"p{number}",
        "action": "OpenWeights",
        "asset": "acme/llama",
        "requested": 0,
        "seconds": 60,
        "state": "active",
        "changed": SINCE,
        "entry": number,
    }
    return Lease(**(fields | more))


def test_an_empty_site_counts_nothing(place: Place) -> None:
    with place.open() as state, state.transaction(write=False) as transaction:
        assert transaction.figures.released(0) == Released(0, 0, 0)
        assert transaction.figures.busy_since(0) == set()
        assert transaction.figures.sealed() == {}
        assert transaction.all_assets() == []


def test_leases_signs_of_use_and_sealed_names_are_counted(place: Place) -> None:
    with place.open() as state:
        state.record_version("acme/llama", 2, "sha256:" + "0" * 64, "p256:a")
        state.reserve_version("acme/unseen", 1)
        with state.transaction(write=True) as transaction:
            for each in (
                lease(0, purpose="x"),
                lease(1, action="ExportWeights", state="used", purpose="x"),
                lease(2),
                lease(3, state="revoked"),
                lease(4, state="requested", entry=-1),
                lease(5, changed=SINCE - 1),
            ):
                transaction.leases.put(each)
            transaction.principals.put(Principal(name="signer"))
            transaction.principals.put_api_key(
                ApiKey(id="a" * 11, principal="signer", digest="sha256:" + "0" * 64, created=SINCE)
            )
            for id, given in (("new", SINCE), ("old", SINCE - 1)):
                transaction.leases.approve(
                    Approval(id=id, lease=lease(0).id, principal=f"{id} approver", signature="x", given=given)
                )
                transaction.principals.grant(
                    Grant(subject=f"{id} granted", action="Seal", asset="a/b", expires=0, given=given, by="me")
                )
        with state.transaction(write=False) as transaction:
            figures = transaction.figures
            assert figures.released(SINCE) == Released(3, 2, 1)
            assert figures.busy_since(SINCE) == {"p0", "p1", "p2", "p3", "signer", "new approver", "new granted"}
            assert figures.sealed() == {"acme/llama": "p256:a"}
