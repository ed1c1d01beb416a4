"""A sample of each subject's distinct opening texts, chosen by their digests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from strongroom.sketch import DIMENSIONS, NO_SHINGLE
from strongroom.store import Store

__all__ = ["MAX_SAMPLE", "MAX_TEXTS", "MIN_SAMPLE", "Sample", "read_sample", "repeated", "texts_of_each"]

MAX_TEXTS = 256
"""Texts of one subject that are looked at, about."""
MAX_SAMPLE = 1_600_000
"""Texts of all subjects together; beyond, fewer of each, but not fewer than `MIN_SAMPLE`."""
MIN_SAMPLE = 24

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Sample:
    """Opening texts, each once for each subject that sent it, ordered by subject and digest; (n,) or (n, …)."""

    subject: Int32s
    slice: npt.NDArray[np.int16]
    """The time slice in which the subject sent it first."""
    digest: Int64s
    head: Int64s
    tail: Int64s
    minhash: Int64s
    """(n, up to 8); `NO_SHINGLE` where a text has fewer."""
    embedding: npt.NDArray[np.int8]
    """(n, 256)."""

    def __len__(self) -> int:
        return len(self.subject)

    def take(self, chosen: Index | npt.NDArray[np.bool_]) -> Sample:
        """The chosen texts, in that order."""
        return Sample(
            self.subject[chosen],
            self.slice[chosen],
            self.digest[chosen],
            self.head[chosen],
            self.tail[chosen],
            self.minhash[chosen],
            self.embedding[chosen],
        )


def repeated(values: Int64s, times: int) -> Int64s:
    """The values that occur at least so many times, in order."""
    ordered = np.sort(values)
    last = ordered[times - 1 :]
    found = last[last == ordered[: len(last)]]
    first = np.ones(len(found), dtype=bool)
    first[1:] = found[1:] != found[:-1]
    return np.asarray(found[first])


def texts_of_each(subjects: int) -> int:
    """About how many texts of each subject are sampled."""
    return int(np.clip(MAX_SAMPLE // max(subjects, 1), MIN_SAMPLE, MAX_TEXTS))


def read_sample(
    store: Store,
    opening: Any,
    openings: Int64s,
    codes: Callable[[pa.Array], Int32s],
    slices: tuple[int, int, int],
) -> Sample:
    """Reads the sample of the Ibis table `opening`, of whose texts each subject has `openings`.

    `codes` numbers a column of subjects; `slices` is start and width in microseconds, and how many there are.
    """
    start, width, count = slices
    limit = texts_of_each(len(openings))
    if openings.max(initial=0) > limit:
        opening = _sampled(opening, limit)
    query = opening.select("subject", "time", "text_digest", "head", "tail", "minhash", "embedding")
    parts = [_once(_part(batch, codes, start, width, count)) for batch in store.batches(query)]
    return _once(_joined(parts))


def _sampled(opening: Any, limit: int) -> Any:
    """The rows whose digest lies in the lowest part of all digests, which holds about `limit` of a subject's texts."""
    each = opening.group_by("subject").aggregate(texts=opening.text_digest.nunique())
    with_count = opening.join(each, "subject")
    share = limit / with_count.texts.cast("float64")
    return with_count.filter(with_count.text_digest.cast("float64") <= (share - 0.5) * 2.0**64)


def _part(batch: pa.RecordBatch, codes: Callable[[pa.Array], Int32s], start: int, width: int, count: int) -> Sample:
    at = (batch["time"].cast(pa.int64()).to_numpy() - start) // width
    return Sample(
        codes(batch["subject"]),
        at.clip(0, count - 1).astype(np.int16),
        batch["text_digest"].to_numpy(),
        *_hashes(batch),
        np.frombuffer(b"".join(batch["embedding"].to_pylist()), dtype=np.int8).reshape(-1, DIMENSIONS),
    )


def _hashes(batch: pa.RecordBatch) -> tuple[Int64s, Int64s, Int64s]:
    head, tail = (batch[name].fill_null(int(NO_SHINGLE)).to_numpy(zero_copy_only=False) for name in ("head", "tail"))
    column = batch["minhash"]
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.intp)
    minhash = np.full((len(column), max(int(lengths.max(initial=1)), 1)), NO_SHINGLE, dtype=np.int64)
    row = np.repeat(np.arange(len(column)), lengths)
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    minhash[row, place] = column.flatten().to_numpy(zero_copy_only=False)
    return head, tail, minhash


def _joined(parts: list[Sample]) -> Sample:
    wide = max((part.minhash.shape[1] for part in parts), default=1)
    minhashes = [
        np.pad(part.minhash, ((0, 0), (0, wide - part.minhash.shape[1])), constant_values=NO_SHINGLE) for part in parts
    ]
    empty = np.zeros(0, dtype=np.int64)

    def column(name: str, kind: Any) -> Any:
        found = [getattr(part, name) for part in parts]
        return np.concatenate(found) if found else empty.astype(kind)

    return Sample(
        column("subject", np.int32),
        column("slice", np.int16),
        column("digest", np.int64),
        column("head", np.int64),
        column("tail", np.int64),
        np.concatenate(minhashes) if parts else np.zeros((0, wide), dtype=np.int64),
        np.concatenate([part.embedding for part in parts]) if parts else np.zeros((0, DIMENSIONS), dtype=np.int8),
    )


def _once(sample: Sample) -> Sample:
    """Each text of a subject once, as it came first; ordered by subject and digest."""
    order = np.lexsort((sample.slice, sample.digest, sample.subject))
    subject, digest = sample.subject[order], sample.digest[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (subject[1:] != subject[:-1]) | (digest[1:] != digest[:-1])
    return sample.take(order[first])
