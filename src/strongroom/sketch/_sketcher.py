"""Puts the parts of a sketch together, a batch of texts at a time, each distinct text once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from ._indicators import indicators
from ._language import language
from ._words import SHINGLE, TooManyWords, Vocabulary, Words, clip

__all__ = ["BINS", "NO_SHINGLE", "SCALE", "Sketcher", "Sketches", "resemblance", "similarity"]

BINS = 8
"""MinHash values of a text: the least shingle hash in each eighth of the hash range (one-permutation hashing,
Li, Owen and Zhang, NIPS 2012). The same eight values serve as a sample of shingles that all texts draw alike,
so that texts with a common passage tend to share some."""
NO_SHINGLE = np.int64(0)
"""Stands in a bin that no shingle of the text falls into, and where a text has no words at all."""
SCALE = 256.0
"""An embedding component x is stored as round(256 x), cut to ±127: components of unit vectors are small."""
REMEMBERED = 1 << 15
"""Sketches kept for texts that come again; about 12 MB."""
BATCH = 512
"""Texts sketched at once; bounds memory and the distinct words of a batch."""

Int64s = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Sketches:
    """The sketches of n texts, a column each."""

    digest: Int64s
    """Keyed digest of the text, (n,)."""
    head: Int64s
    """Template digests: keyed hash of the first five words, (n,), and of the last five."""
    tail: Int64s
    minhash: Int64s
    """(n, BINS)."""
    embedding: Int8s
    """(n, DIMENSIONS)."""
    words: npt.NDArray[np.int32]
    """Words sketched, (n,)."""
    flags: npt.NDArray[np.int32]
    """Bit masks of FLAGS, (n,)."""
    language: list[str]

    def take(self, index: npt.NDArray[np.intp]) -> Sketches:
        """The sketches at `index`, in that order."""
        return Sketches(
            self.digest[index],
            self.head[index],
            self.tail[index],
            self.minhash[index],
            self.embedding[index],
            self.words[index],
            self.flags[index],
            [self.language[i] for i in index],
        )


class Sketcher:
    """Makes sketches under one site's key. Not safe for threads; one per process."""

    def __init__(self, key: bytes) -> None:
        """`key`: 16 to 64 secret bytes."""
        if not 16 <= len(key) <= 64:
            raise ValueError("a sketch key has 16 to 64 bytes")
        self._key = key
        self._vocabulary = Vocabulary(key)
        self._recent: Sketches | None = None
        self._places: dict[int, int] = {}

    def digest(self, text: str) -> int:
        """Keyed digest of a text as a signed 64-bit number: the same for equal texts of one site."""
        data = blake2b(text.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()
        return int.from_bytes(data, "little", signed=True)

    def sketch(self, texts: list[str]) -> Sketches:
        """One sketch per text, in order. A text is worked on once while it is among the last REMEMBERED."""
        place: dict[str, int] = {}
        index = np.fromiter((place.setdefault(text, len(place)) for text in texts), np.intp, len(texts))
        distinct = list(place)
        known = [self._places.get(self.digest(text), -1) for text in distinct]
        missing = [text for text, at in zip(distinct, known, strict=True) if at < 0]
        parts = [part for i in range(0, len(missing) or 1, BATCH) for part in self._parts(missing[i : i + BATCH])]
        fresh = _join(parts)
        before = 0 if self._recent is None else len(self._recent.digest)
        at = np.array(known, dtype=np.intp)
        at[at < 0] = before + np.arange(len(missing))
        every = fresh if self._recent is None else _join([self._recent, fresh])
        self._remember(every, fresh, before)
        return every.take(at[index])

    def _parts(self, texts: list[str]) -> list[Sketches]:
        try:
            return [self._sketch(texts)]
        except TooManyWords:  # clients may send long texts of random words
            half = len(texts) // 2
            return self._parts(texts[:half]) + self._parts(texts[half:])

    def _remember(self, every: Sketches, fresh: Sketches, before: int) -> None:
        """Keeps all sketches that there are, or after REMEMBERED of them the fresh ones alone."""
        self._recent = every
        if len(every.digest) > REMEMBERED:
            self._recent, before = fresh, 0
            self._places.clear()
        self._places.update(zip(fresh.digest.tolist(), range(before, before + len(fresh.digest)), strict=True))

    def _sketch(self, texts: list[str]) -> Sketches:
        clipped = [clip(text) for text in texts]
        words = self._vocabulary.read(clipped)
        hashes = _shingles(self._vocabulary.hashes[words.numbers])
        first, lengths = words.starts[:-1], words.lengths
        last = first + np.maximum(lengths - SHINGLE, 0)
        return Sketches(
            digest=np.array([self.digest(text) for text in texts], dtype=np.int64),
            head=_pick(hashes, first, lengths),
            tail=_pick(hashes, last, lengths),
            minhash=_minhash(hashes, words),
            embedding=np.clip(np.rint(self._vocabulary.embed(words) * SCALE), -127, 127).astype(np.int8),
            words=lengths.astype(np.int32),
            flags=np.array([indicators(text) for text in clipped], dtype=np.int32),
            language=[language(text) for text in clipped],
        )


def _shingles(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """At each word, the hash of it and the next four (of whatever text: callers look only where one begins)."""
    padded = np.concatenate([hashes, np.zeros(SHINGLE - 1, dtype=np.uint64)])
    mixed = np.zeros(len(hashes), dtype=np.uint64)
    for offset in range(SHINGLE):
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed += padded[offset : offset + len(hashes)]
    # The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) spreads the sum over all bits.
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _pick(hashes: npt.NDArray[np.uint64], at: Int64s, lengths: Int64s) -> Int64s:
    picked = hashes[np.minimum(at, len(hashes) - 1)].view(np.int64)
    return np.where(lengths > 0, picked, NO_SHINGLE)


def _minhash(hashes: npt.NDArray[np.uint64], words: Words) -> Int64s:
    n = len(words.starts) - 1
    row = np.repeat(np.arange(n), np.diff(words.starts))
    # A shingle begins at a real word; a long text's last four shingles run into its empty words and say
    # only how it ends, so they count for texts of fewer than five words alone.
    position = np.arange(len(hashes)) - words.starts[row]
    begins = position < np.maximum(words.lengths - (SHINGLE - 1), np.minimum(words.lengths, 1))[row]
    least = np.full(n * BINS, np.iinfo(np.uint64).max, dtype=np.uint64)
    bins = row[begins] * BINS + (hashes[begins] >> np.uint64(61)).astype(np.intp)
    np.minimum.at(least, bins, hashes[begins])
    signed = least.view(np.int64)
    return np.where(least == np.iinfo(np.uint64).max, NO_SHINGLE, signed).reshape(n, BINS)


def _join(parts: list[Sketches]) -> Sketches:
    if len(parts) == 1:
        return parts[0]
    return Sketches(
        digest=np.concatenate([part.digest for part in parts]),
        head=np.concatenate([part.head for part in parts]),
        tail=np.concatenate([part.tail for part in parts]),
        minhash=np.concatenate([part.minhash for part in parts]),
        embedding=np.concatenate([part.embedding for part in parts]),
        words=np.concatenate([part.words for part in parts]),
        flags=np.concatenate([part.flags for part in parts]),
        language=[name for part in parts for name in part.language],
    )


def similarity(a: Int8s, b: Int8s) -> np.float32:
    """Cosine of two embeddings of shape (256,)."""
    x, y = a.astype(np.float32), b.astype(np.float32)
    return np.float32(x @ y / max(float(np.sqrt((x @ x) * (y @ y))), 1e-9))


def resemblance(a: Int64s, b: Int64s) -> float:
    """Estimated share of shingles that two texts have in common (Jaccard), from their MinHash of shape (BINS,)."""
    filled = (a != NO_SHINGLE) | (b != NO_SHINGLE)
    return float(np.mean(a[filled] == b[filled])) if filled.any() else 0.0
