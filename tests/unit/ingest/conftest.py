"""The model of embeddings is loaded once for all tests of ingest; `prepare` would load it for each."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from strongroom.sketch import _words


@pytest.fixture(scope="session", autouse=True)
def _one_model() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_words, "_load_model", functools.cache(_words._load_model))
        yield
