"""Features that grow: those of a log and of what was appended to it, put together, are those of the whole log.

Counts are added, facts and distinct texts are united, and the sample of the whole is taken from the two samples: its
share of all digests only ever shrinks as a subject sends more, so nothing that it needs is missing. What came late,
with an old event time, counts like everything else. There is one time slice: a watch does not look back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from strongroom.sketch import NO_SHINGLE

from ._features import FACTS, Fact, Features, Reader
from ._sample import Sample, texts_of_each

__all__ = ["Change", "Whole"]

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Change:
    """How numbers changed when something was added."""

    renumbered: Index
    """The number now of each subject that there was, (subjects before,)."""
    origin: Index
    """Of each text of the sample where it was before, -1 for a new one, (texts,)."""


class Whole:
    """The features of everything that was added so far."""

    def __init__(self, reader: Reader) -> None:
        """What a reader reads: there must be a row."""
        self.features = _flat(reader.read())
        self._accounts = list(reader.accounts)
        self._born = np.arange(len(self._accounts), dtype=np.int64)
        self._texts = _Pairs()
        self._count(reader, np.arange(len(self._accounts)), np.zeros(len(self._accounts), dtype=np.int64))

    def add(self, reader: Reader) -> Change:
        """Adds what a reader reads: there must be a row, and none that was read before."""
        old, new = self.features, _flat(reader.read())
        subjects = sorted({*old.subjects, *new.subjects})
        place = {name: number for number, name in enumerate(subjects)}
        first, second = (np.array([place[name] for name in part.subjects], dtype=np.intp) for part in (old, new))
        born = np.full(len(subjects), -1, dtype=np.int64)
        born[first] = self._born
        born[born < 0] = np.arange(len(self._born), len(subjects))
        self._born = born
        openings = np.zeros(len(subjects), dtype=np.int64)
        openings[first] = old.openings
        openings = self._count(reader, second, openings)
        sample, origin = _sample(_numbered(old.sample, first), _numbered(new.sample, second), openings)
        self._accounts = _least(self._accounts, reader.accounts, first, second, len(subjects))
        self.features = Features(
            subjects=subjects,
            account=_codes(self._accounts),
            start=min(old.start, new.start),
            edges=np.maximum(old.edges, new.edges),
            rows=old.rows + new.rows,
            without_text=old.without_text + new.without_text,
            exchanges=_sum(old.exchanges, new.exchanges, first, second, len(subjects)),
            tokens_out=_sum(old.tokens_out, new.tokens_out, first, second, len(subjects)),
            openings=openings,
            flags=_sum(old.flags, new.flags, first, second, len(subjects)),
            facts={kind: _fact(old.facts[kind], new.facts[kind], first, second) for kind in FACTS},
            sample=sample,
        )
        return Change(first, origin)

    def _count(self, reader: Reader, numbers: Index, openings: Int64s) -> Int64s:
        """Distinct opening texts of each subject, with those that a reader reads."""
        for subject, digest in reader.texts():
            own = numbers[subject]
            fresh = self._texts.add(_mixed(self._born[own], digest))
            openings = openings + np.bincount(own[fresh], minlength=len(openings))
        return openings


class _Pairs:
    """A set of 64-bit keys in eight bytes each: sorted runs, merged as they double."""

    def __init__(self) -> None:
        self._runs: list[Int64s] = []

    def add(self, keys: Int64s) -> Flags:
        """Adds the keys; says of each whether it was new (of equal keys the first is)."""
        distinct, first = np.unique(keys, return_index=True)
        new = np.ones(len(distinct), dtype=bool)
        for run in self._runs:
            new &= run[np.minimum(np.searchsorted(run, distinct), len(run) - 1)] != distinct
        fresh = np.zeros(len(keys), dtype=bool)
        fresh[first[new]] = True
        if new.any():
            self._runs.append(distinct[new])
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))
        return fresh


def _mixed(born: Int64s, digest: Int64s) -> Int64s:
    """One key for a subject and a text; two of a billion pairs share one with a probability of about 3 %."""
    key = digest.view(np.uint64) + (born.view(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)  # numpy's integers wrap around
    mixed: Int64s = (key ^ (key >> np.uint64(32))).view(np.int64)
    return mixed


def _flat(features: Features) -> Features:
    """The same with one time slice."""
    sample = features.sample
    return Features(
        subjects=features.subjects,
        account=features.account,
        start=features.start,
        edges=features.edges[-1:],
        rows=features.rows,
        without_text=features.without_text,
        exchanges=features.exchanges.sum(axis=1, keepdims=True),
        tokens_out=features.tokens_out.sum(axis=1, keepdims=True),
        openings=features.openings,
        flags=features.flags,
        facts={kind: _ordered(fact.subject, fact.value, fact.names) for kind, fact in features.facts.items()},
        sample=Sample(
            sample.subject,
            np.zeros(len(sample), dtype=np.int16),
            sample.digest,
            sample.head,
            sample.tail,
            sample.minhash,
            sample.embedding,
        ),
    )


def _least(old: Sequence[str], new: Sequence[str], first: Index, second: Index, count: int) -> list[str]:
    """The account of each subject: of several the least, as when all is read at once."""
    accounts: list[str | None] = [None] * count
    for names, numbers in ((old, first), (new, second)):
        for name, number in zip(names, numbers.tolist(), strict=True):
            known = accounts[number]
            accounts[number] = name if known is None else min(name, known)
    return [name or "" for name in accounts]


def _codes(accounts: list[str]) -> Int32s:
    codes: Int32s = pa.array(accounts, pa.string()).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return codes.astype(np.int32)


def _sum(old: Int64s, new: Int64s, first: Index, second: Index, count: int) -> Int64s:
    total = np.zeros((count, old.shape[1]), dtype=np.int64)
    total[first] = old
    total[second] += new
    return total


def _fact(old: Fact, new: Fact, first: Index, second: Index) -> Fact:
    subject = np.concatenate([first[old.subject], second[new.subject]])
    if not len(new.subject):
        return _ordered(subject, old.value, old.names)
    mine, theirs = pa.array(old.names, pa.string()), pa.array(new.names, pa.string())
    names = mine
    if pc.index_in(theirs, value_set=mine).null_count:
        names = pc.unique(pa.concat_arrays([mine, theirs])).sort()
    values = [
        pc.index_in(part, value_set=names).to_numpy(zero_copy_only=False).astype(np.int32)[fact.value]
        for part, fact in ((mine, old), (theirs, new))
    ]
    return _ordered(subject, np.concatenate(values), names.to_pylist())


def _ordered(subject: npt.NDArray[np.integer], value: Int32s, names: list[str]) -> Fact:
    """Each pair once, in order."""
    pairs = np.unique(subject.astype(np.int64) << 32 | value)
    return Fact(
        subject=(pairs >> 32).astype(np.int32),
        value=(pairs & 0xFFFF_FFFF).astype(np.int32),
        slice=np.zeros(len(pairs), dtype=np.int16),
        names=names,
    )


def _numbered(sample: Sample, numbers: Index) -> Sample:
    """The same sample, its subjects with other numbers in the same order."""
    subject = numbers[sample.subject].astype(np.int32)
    return Sample(subject, sample.slice, sample.digest, sample.head, sample.tail, sample.minhash, sample.embedding)


def _sample(old: Sample, new: Sample, openings: Int64s) -> tuple[Sample, Index]:
    """The sample of the whole, and of each of its texts the place in `old`, -1 for a new one."""
    limit = texts_of_each(len(openings))
    bound = np.full(len(openings), np.inf)
    if openings.max(initial=0) > limit:
        bound = (limit / np.maximum(openings, 1) - 0.5) * 2.0**64
    at, known = _places(old, new)
    keep = old.digest.astype(np.float64) <= bound[old.subject]
    chosen = np.flatnonzero(~known & (new.digest.astype(np.float64) <= bound[new.subject]))
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    total = int(kept_before[-1]) + len(chosen)
    place = kept_before[at[chosen]] + np.arange(len(chosen))
    origin = np.full(total, -1, dtype=np.intp)
    is_old = np.ones(total, dtype=bool)
    is_old[place] = False
    origin[is_old] = np.flatnonzero(keep)
    source = origin.copy()
    source[place] = len(old) + chosen
    runs = _runs(source)
    wide = max(old.minhash.shape[1], new.minhash.shape[1])
    columns: list[tuple[Any, Any]] = [
        (old.subject, new.subject),
        (old.slice, new.slice),
        (old.digest, new.digest),
        (old.head, new.head),
        (old.tail, new.tail),
        (_widened(old.minhash, wide), _widened(new.minhash, wide)),
        (old.embedding, new.embedding),
    ]
    return Sample(*(_spliced(mine, theirs, runs) for mine, theirs in columns)), origin


def _places(old: Sample, new: Sample) -> tuple[Index, Flags]:
    """Before which text of `old` each text of `new` belongs, and whether that is the same text of the same subject."""
    low = np.searchsorted(old.subject, new.subject, side="left")
    end = np.searchsorted(old.subject, new.subject, side="right")
    high = end.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        below = open_.copy()
        below[open_] = old.digest[middle[open_]] < new.digest[open_]
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    known = low < end
    known[known] = old.digest[low[known]] == new.digest[known]
    return low, known


def _widened(minhash: Int64s, wide: int) -> Int64s:
    if minhash.shape[1] == wide:
        return minhash
    return np.pad(minhash, ((0, 0), (0, wide - minhash.shape[1])), constant_values=NO_SHINGLE)


def _runs(source: Index) -> list[tuple[int, int]]:
    """Where stretches of consecutive numbers begin and end: few, where little changed."""
    begins = np.flatnonzero(np.diff(source, prepend=-2) != 1)
    last = source[np.append(begins[1:], len(source)) - 1] if len(begins) else source[:0]
    return list(zip(source[begins].tolist(), (last + 1).tolist(), strict=True))


def _spliced(old: npt.NDArray[Any], new: npt.NDArray[Any], runs: list[tuple[int, int]]) -> npt.NDArray[Any]:
    """Rows of two arrays; `runs` numbers those of `new` after those of `old`."""
    parts = []
    for begin, end in runs:
        parts += [old[begin:end]] if begin < len(old) else []
        parts += [new[max(begin - len(old), 0) : end - len(old)]] if end > len(old) else []
    return np.concatenate(parts) if parts else old[:0]
