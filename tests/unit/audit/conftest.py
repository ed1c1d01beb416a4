from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.audit import Subjects
from strongroom.ledger import LogReader
from strongroom.state import State

from .logs import Log, entries


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state.db") as opened:
        yield opened


@pytest.fixture
def subjects(state: State) -> Subjects:
    return Subjects(state, site_key=b"s" * 32)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "site")


@pytest.fixture
def reader(log: Log, subjects: Subjects) -> LogReader:
    return log.append(entries(subjects))
