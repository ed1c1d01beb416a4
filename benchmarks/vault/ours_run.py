"""Our figures in the vault's benchmark, by the same jobs as the peers' programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "peers"))

import ours
from vault_jobs import Answer, reading, seconds_of, serve, threads, written


def seal(source: str, sealed: str) -> Answer:
    return durable(written(lambda: ours.seal(Path(source), Path(sealed), threads()), sealed))


def unseal(sealed: str, plain: str) -> Answer:
    return durable(written(lambda: ours.unseal(Path(sealed), Path(plain), threads()), plain))


def durable(answer: Answer) -> Answer:
    """Where ours syncs by itself there is no figure without."""
    return {**answer, "seconds": None} if ours.SYNCS else answer


class Opened:
    def __init__(self, sealed: str) -> None:
        self.sealed = ours.opened(Path(sealed))

    def tensor(self, name: str) -> Any:
        return ours.tensor(self.sealed, name)

    def row(self, name: str, index: int) -> Any:
        return ours.row(self.sealed, name, index)


def load(sealed: str, names: list[str]) -> Answer:
    def work() -> None:
        opened = Opened(sealed)
        whole.extend(opened.tensor(name) for name in names)

    whole: list[Any] = []
    return {"seconds": seconds_of(work)}


ours.start(Path(sys.argv[1]))
serve(
    {
        "seal": seal,
        "open": unseal,
        "load": load,
        "seal small": seal,
        "open small": unseal,
        **reading(Opened, lambda array: array.tobytes()),
    }
)
