from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.audit import Subjects
from strongroom.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state.db") as opened:
        yield opened


@pytest.fixture
def subjects(state: State) -> Subjects:
    return Subjects(state, site_key=b"s" * 32)
