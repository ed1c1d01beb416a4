"""The list of assets: kept whole, changed all or not at all, and no place belongs to two."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from strongroom.core.assets import Asset
from strongroom.core.errors import IntegrityError, RefusedError, UsageError
from strongroom.state import AssetsTaken, State, _assets

from ...databases import Place

DIGEST = "blake3:" + "0f" * 32


@pytest.fixture
def state(place: Place) -> Iterator[State]:
    with place.open() as opened:
        yield opened


def asset(name: str, *places: str, **fields: Any) -> Asset:
    return Asset(name=name, places=list(places) or [f"s3://weights/{name}"], **fields)


FULL = asset(
    "acme/llama:70b",
    "s3://weights/llama/",
    "ebs:snap-0123456789abcdef0",
    "k8s://prod/ml",
    kind="dataset",
    classification="crown",
    size=140 * 10**9,
    digest=DIGEST,
    note="=HYPERLINK(1); é",
)


def test_assets_are_kept_whole_and_in_order(place: Place) -> None:
    with place.open() as state:
        assert state.assets() == []
        assert state.put_assets([FULL, asset("acme/a")]) == 0
    with place.open() as state:
        assert state.assets() == [asset("acme/a"), FULL]
        assert state.asset("acme/llama:70b") == FULL
        assert state.asset("acme/llama") is None


def test_a_name_that_is_taken_is_wrong_use_unless_replaced(state: State) -> None:
    state.put_assets([FULL])
    with pytest.raises(AssetsTaken, match="already") as error:
        state.put_assets([asset("acme/new"), asset(FULL.name)])
    assert list(error.value.problems) == [FULL.name]
    assert state.assets() == [FULL]
    assert state.put_assets([asset("acme/new"), asset(FULL.name)], replace=True) == 1
    assert state.assets() == [asset(FULL.name), asset("acme/new")]


def test_a_place_belongs_to_one_asset_and_a_longer_one_may_to_another(state: State) -> None:
    state.put_assets([asset("acme/all", "s3://weights/")])
    state.put_assets([asset("acme/llama", "s3://weights/llama/")])
    with pytest.raises(AssetsTaken, match="acme/all lies at arn:aws:s3:::weights already"):
        state.put_assets([asset("acme/other", "arn:aws:s3:::weights")], replace=True)
    with pytest.raises(AssetsTaken, match="acme/x lies at"):
        state.put_assets([asset("acme/x", "s3://new/"), asset("acme/y", "s3://new")])
    assert [one.name for one in state.assets()] == ["acme/all", "acme/llama"]


def test_places_can_be_exchanged_at_once(state: State) -> None:
    state.put_assets([asset("acme/a", "s3://one"), asset("acme/b", "s3://two")])
    assert state.put_assets([asset("acme/a", "s3://two"), asset("acme/b", "s3://one")], replace=True) == 2
    assert [one.places for one in state.assets()] == [["s3://two"], ["s3://one"]]


def test_what_is_removed_leaves_its_places(state: State) -> None:
    state.put_assets([FULL])
    assert state.remove_asset(FULL.name)
    assert not state.remove_asset(FULL.name)
    state.put_assets([asset("acme/b", *FULL.places)])


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (asset("ACME/x"), RefusedError),
        (asset("acme/x", "ftp://x"), UsageError),
        (asset("acme/x", kind="weights"), UsageError),
        (asset("acme/good"), UsageError),
    ],
    ids=["name", "place", "kind", "twice"],
)
def test_nothing_is_put_where_one_cannot_be(state: State, bad: Asset, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        state.put_assets([asset("acme/good"), bad])
    assert state.assets() == []


def test_there_are_not_more_assets_than_their_bound(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_assets, "MAX_ASSETS", 2)
    state.put_assets([asset("acme/a"), asset("acme/b")])
    with pytest.raises(UsageError, match="at most"):
        state.put_assets([asset("acme/c")])
    assert state.put_assets([asset("acme/b", size=1)], replace=True) == 1


def test_many_are_put_and_replaced_in_parts(state: State) -> None:
    many = [asset(f"acme/m{number:04d}", f"s3://weights/{number}", f"gs://weights/{number}") for number in range(1200)]
    state.put_assets(many)
    assert state.put_assets(many, replace=True) == 1200
    assert state.assets() == many


def test_an_error_tells_twenty_and_how_many_more(state: State) -> None:
    many = [asset(f"acme/m{number}") for number in range(30)]
    state.put_assets(many)
    with pytest.raises(AssetsTaken, match="and 10 more") as error:
        state.put_assets(many)
    assert len(error.value.problems) == 30


def test_a_value_that_is_none_of_ours_is_an_integrity_error(state: State, place: Place) -> None:
    state.put_assets([FULL])
    place.run("UPDATE assets SET kind = 'weights'")
    with pytest.raises(IntegrityError):
        state.assets()


def test_a_database_from_before_there_were_assets_gets_their_tables(place: Place) -> None:
    place.older("0002")
    with place.open() as state:
        state.put_assets([FULL])
        assert state.assets() == [FULL]


ADD = """
import sys
from pathlib import Path
from strongroom.core.assets import Asset
from strongroom.core.errors import UsageError
from strongroom.state import State
place = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
with State.open(place, password=sys.argv[3]) as state:
    for number in range(20):
        try:
            state.put_assets([Asset(name=f"acme/w{sys.argv[2]}-{number}", places=[f"s3://weights/{number}"])])
        except UsageError:
            pass
"""


def test_of_processes_that_want_one_place_one_gets_it(place: Place) -> None:
    place.open().close()
    workers = [subprocess.Popen([sys.executable, "-c", ADD, str(place.at), str(n), place.password]) for n in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    with place.open() as state:
        places = [place for one in state.assets() for place in one.places]
    assert sorted(places) == sorted(f"s3://weights/{number}" for number in range(20))
