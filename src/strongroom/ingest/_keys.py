"""Which records are known already: keyed 64-bit digests, so that the same log twice adds nothing.

A record without an id is known by its raw bytes and its ordinal among equal ones of its log; so a log that
grew or was compressed again adds only what is new. Keyed, so that nobody can make two records collide;
by chance, one of a billion records is taken for another with a probability of about 3 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

__all__ = ["Known", "Ordinals", "digests", "text_key"]

Int64s = npt.NDArray[np.int64]


def digests(records: Sequence[bytes], key: bytes) -> Int64s:
    """Keyed digest of each record's bytes, without surrounding white space (line ends differ), (n,)."""
    joined = b"".join([blake2b(record.strip(), digest_size=8, key=key).digest() for record in records])
    return np.frombuffer(joined, dtype="<i8").astype(np.int64)


def text_key(text: str, key: bytes) -> int:
    """Keyed digest of a record's id, as a signed number."""
    data = blake2b(text.encode("utf-8", "replace"), digest_size=8, key=key, person=b"record").digest()
    return int.from_bytes(data, "little", signed=True)


class Known:
    """A set of 64-bit keys in eight bytes each: sorted runs, merged as they double (8 MB per million keys)."""

    def __init__(self, keys: Int64s | None = None) -> None:
        self._runs: list[Int64s] = []
        if keys is not None and len(keys):
            self._runs.append(np.sort(keys))

    def has(self, keys: Int64s) -> npt.NDArray[np.bool_]:
        """Whether each key is in the set."""
        found = np.zeros(len(keys), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            found |= run[at] == keys
        return found

    def add(self, keys: Int64s) -> npt.NDArray[np.bool_]:
        """Adds the keys; says of each whether it was new (of equal keys the first is)."""
        distinct, first = np.unique(keys, return_index=True)
        fresh_distinct = ~self.has(distinct)
        fresh = np.zeros(len(keys), dtype=bool)
        fresh[first[fresh_distinct]] = True
        if fresh_distinct.any():
            self._runs.append(distinct[fresh_distinct])
            while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
                last = self._runs.pop()
                self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))
        return fresh


class Ordinals:
    """Line keys of one log: a record's digest, or for the second, third, … equal record a digest of both."""

    def __init__(self) -> None:
        self._seen = Known()
        self._twice = Known()
        self._more: dict[int, int] = {}  # ordinals of what was seen a third time; few in most logs

    def keys(self, found: Int64s) -> Int64s:
        """Line keys for the digests of the next records of the log, (n,)."""
        fresh = self._seen.add(found)
        if fresh.all():
            return found
        again = np.flatnonzero(~fresh)
        repeated = found[again]
        ordinals = np.ones(len(again), dtype=np.uint64)
        for i in np.flatnonzero(~self._twice.add(repeated)):
            digest = int(repeated[i])
            ordinals[i] = self._more[digest] = self._more.get(digest, 1) + 1
        keys = found.copy()
        keys[again] = _mixed(repeated, ordinals)
        return keys


def _mixed(digests: Int64s, ordinals: npt.NDArray[np.uint64]) -> Int64s:
    mixed = digests.view(np.uint64) + ordinals * np.uint64(0x9E3779B97F4A7C15)  # numpy's integers wrap around
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
    keys: Int64s = (mixed ^ (mixed >> np.uint64(32))).view(np.int64)
    return keys
