"""What all tests have: the shared data, where it is there; and the rule that CI skips nothing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .databases import KINDS, Place, PostgresPlace, SqlitePlace
from .postgres import Server, binary

SHARED = Path(os.environ.get("STRONGROOM_SHARED") or Path(__file__).parents[2] / "shared") / "data"


def missing(what: str) -> None:
    """Skips on a laptop, loudly; fails in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}: CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def shared() -> Path:
    """`../shared/data`: real traces, prompts and harvest sets."""
    if not SHARED.is_dir():
        missing(f"the shared data is not at {SHARED} (set STRONGROOM_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def browser() -> str:
    """Chromium's command."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        missing("Chromium is not installed (scripts/system-deps installs it)")
    return str(found)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL for whoever asks first, with a database for each who asks; not durable."""
    if binary("postgres") is None or binary("initdb") is None:
        missing("PostgreSQL is not installed (scripts/system-deps installs it)")
    if importlib.util.find_spec("psycopg") is None:
        missing("psycopg is not installed (scripts/venv dev installs it)")
    server = Server()
    yield server
    server.remove()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where the tables of a site lie: in a file, and in PostgreSQL."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path / "state.db")
    return PostgresPlace(request.getfixturevalue("postgres"))
