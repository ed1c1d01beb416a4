"""Small logs for the tests of ingest, and what the store made of them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from strongroom.ingest import IngestReport, Settings, ingest
from strongroom.ingest._frames import Chunk, frames
from strongroom.ingest._streams import decompress
from strongroom.store import Store

KEY = bytes(range(32))
SECRET = "correct horse battery staple"
"""A prompt that no error and no rejects file may hold."""


def record(i: int = 0, **more: Any) -> dict[str, Any]:
    """One good record of exchange log v1."""
    return {
        "time": f"2026-11-{1 + i // 86_400 % 28:02d}T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}Z",
        "account": f"acct_{i % 7}",
        "prompt": f"{SECRET} number {i}",
        **more,
    }


def lines(records: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in records)


def compressed(data: bytes, how: str) -> bytes:
    return {"": lambda d: d, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[how](data)


class Dribble(io.RawIOBase):
    """A stream that gives at most a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, sizes: Sequence[int]) -> None:
        self._data, self._at, self._sizes, self._turn = data, 0, sizes, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        piece = self._data[self._at : self._at + min(size, len(buffer))]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def framed(data: bytes | BinaryIO) -> tuple[list[bytes], list[tuple[int, str]], list[int]]:
    """Records, (place, reason) of what is bad, and places, of bytes that come as a file's would."""
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    chunks: list[Chunk] = list(frames(decompress(stream)[0]))
    return (
        [raw for chunk in chunks for raw in chunk.records],
        [(place, reason) for chunk in chunks for place, reason, _ in chunk.bad],
        [place for chunk in chunks for place in chunk.places],
    )


def values(data: bytes) -> list[Any]:
    """The decoded records of bytes in which nothing is bad."""
    records, bad, places = framed(data)
    assert not bad, bad
    assert places == sorted(set(places))
    return [json.loads(raw) for raw in records]


class Site:
    """A store, a rejects file, and the reports of what was read into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.rejects = root / "rejects.jsonl"

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def ingest(self, *words: object, window: tuple[int | None, int | None] = (None, None), **more: Any) -> IngestReport:
        more.setdefault("workers", 0)
        settings = Settings(KEY, since=window[0], until=window[1])
        with self.rejects.open("w") as file:
            return ingest([str(word) for word in words], self.store, settings, rejects=file, **more)

    def places(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.rejects.read_text().splitlines()]

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Rows as they lie in the table's files, oldest commit first."""
        store = self.store
        table = store.table(store.exchanges().select(*columns))
        return [tuple(row.values()) for row in table.to_pylist()]

    def keys(self) -> list[int]:
        return sorted(key for (key,) in self.rows("record_key"))


Ingested = Callable[..., IngestReport]
