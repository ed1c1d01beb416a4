"""Two sets that stay small however many rows pass: they err rarely, on a known side, and never by much."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MIN_SHARED", "SeenTexts", "SharedShingles"]

MIN_SHARED = 5
"""Shingles in the texts of fewer subjects are not kept."""

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]


class SeenTexts:
    """Which (subject, text) came before, in about 13 bytes per hundred: a bitmap that wrongly says "seen" for
    at most one text in a hundred, which costs that text and nothing else."""

    def __init__(self, rows: int) -> None:
        bits = max(int(np.ceil(np.log2(max(rows, 1) * 100))), 16)
        self._shift = np.uint64(64 - bits)
        self._bits = np.zeros(1 << (bits - 3), dtype=np.uint8)

    def add(self, subject: Int32s, digest: Int64s) -> npt.NDArray[np.bool_]:
        """Adds the pairs; says of each whether it is new (of equal pairs the first is)."""
        mixed = digest.view(np.uint64) ^ (subject.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        mixed *= np.uint64(0xD6E8FEB86659FD93)
        place = mixed >> self._shift
        byte, bit = place >> np.uint64(3), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8)
        new = (self._bits[byte] & bit) == 0
        order = np.argsort(place, kind="stable")  # np.unique hashes, which is slower here
        ordered = place[order]
        once = np.zeros(len(place), dtype=bool)
        once[order[np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(place)]]] = True
        fresh: npt.NDArray[np.bool_] = new & once
        np.bitwise_or.at(self._bits, byte[fresh], bit[fresh])
        return fresh


class SharedShingles:
    """Which shingles several subjects use, by the slot that a shingle falls into: may say yes wrongly, never no
    wrongly. Keeps for each slot how often the subject changed."""

    def __init__(self, rows: int) -> None:
        bits = int(np.clip(np.ceil(np.log2(max(rows, 1) * 10)), 16, 26))
        self._mask = np.int64((1 << bits) - 1)
        self._last = np.full(1 << bits, -1, dtype=np.int32)
        self._changes = np.zeros(1 << bits, dtype=np.uint8)

    def add(self, shingles: Int64s, subject: Int32s) -> None:
        slot = shingles & self._mask
        # Sorted, so that one subject's repeats within the batch count once.
        key = np.sort(slot << np.int64(32) | subject)
        key = key[np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]]
        slot, subject = key >> np.int64(32), (key & np.int64(0xFFFF_FFFF)).astype(np.int32)
        other = self._last[slot] != subject
        changed = slot[other]
        begins = np.flatnonzero(np.concatenate([[True], changed[1:] != changed[:-1]])[: len(changed)])
        counts = np.diff(np.append(begins, len(changed)))
        distinct = changed[begins]
        self._changes[distinct] = np.minimum(self._changes[distinct] + counts, 255).astype(np.uint8)
        self._last[slot] = subject

    def holds(self, shingles: Int64s) -> npt.NDArray[np.bool_]:
        held: npt.NDArray[np.bool_] = self._changes[shingles & self._mask] >= MIN_SHARED
        return held
