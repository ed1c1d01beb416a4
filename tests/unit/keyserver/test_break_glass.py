"""Through the key service a break-glass lease is what it is at the site: refused before its time, never an export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from strongroom.access import make_break_glass
from strongroom.core.assets import Asset
from strongroom.core.clock import now
from strongroom.core.errors import RefusedError
from strongroom.core.leases import Lease
from strongroom.vault import open_object

from .rooms import ASSET, WEIGHTS, Room, make_template, serving

MINUTE = 60_000_000


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "template").mkdir()
    make_template(tmp_path / "template")
    with serving(tmp_path / "template", tmp_path / "room") as made:
        yield made


def test_a_lease_opens_through_the_service_once_its_time_has_come(room: Room) -> None:
    made = Asset(name=ASSET, classification="crown", size=len(WEIGHTS), places=[f"file://{room.folder}/m"])
    room.site.state.put_assets([made], replace=True)
    time = now() - 31 * MINUTE
    credential = make_break_glass(
        "k3x7q2mz", bytes(32), assets=[ASSET], shares=2, need=2, delay=1800, seconds=86_400, unannounced=True,
        by="ann", time=time,
    )  # fmt: skip
    lease = Lease(
        id="lse_0000000003e870008000000000000001", principal=room.me, action="OpenWeights", asset=ASSET,
        purpose="production is down", requested=time, seconds=3600, state="requested", breakglass=credential.id,
        not_before=time + 40 * MINUTE,
    )  # fmt: skip
    used = msgspec.structs.replace(credential, state="used", lease=lease.id)
    room.change(lambda t: (t.break_glass.put(used), t.leases.put(lease)))
    door = room.door(lease=lease.id)
    with pytest.raises(RefusedError, match="may be used from"):
        open_object(room.folder / "m", door=door)
    room.change(lambda t: t.leases.put(msgspec.structs.replace(lease, not_before=time + 30 * MINUTE)))
    with open_object(room.folder / "m", door=door) as sealed:
        assert sealed.open("model.bin").read() == WEIGHTS
    with pytest.raises(RefusedError, match="is for OpenWeights"):
        open_object(room.folder / "m", door=door, action="ExportWeights")
    with pytest.raises(RefusedError, match="no policy permits"):
        open_object(room.folder / "m", door=room.door(purpose="without it"))
    assert room.acts() == [("OpenWeights", "refused"), ("OpenWeights", "allowed"), ("ExportWeights", "refused"),
                           ("OpenWeights", "refused")]  # fmt: skip
    assert room.recorded()[1]["purpose"] == "production is down"
