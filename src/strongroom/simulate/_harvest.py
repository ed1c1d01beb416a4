"""How a campaign deals its harvest out: every piece once before any comes twice, and no prompt twice.

A harvest set is smaller than what a campaign asks in a fortnight, while honest people never run out. So short prompts
are items as they are, chosen to fit the wanted length, long ones are an item with a piece of an answer, and where the
set has fewer items than are wanted, they come again in parts and with other pieces.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

POOL = 4_000
"""Items to choose from by length at one time."""
OPEN_CONTEXTS = 256
"""Answers from which pieces are taken by chance, so that work is dealt out without regard to who gets what."""
MANNER_ROOM = 40
"""Characters that the question around a text takes."""


class Pool:
    """Items in an order of chance, each taken once in a round; of those at hand the one that fits a length best."""

    def __init__(self, items: Sequence[str], rng: np.random.Generator) -> None:
        self._items, self._rng = items, rng
        self._order: list[int] = []
        self._at_hand: list[tuple[int, str]] = []
        self.rounds = 0

    def take(self, length: int) -> str:
        """The item whose length is nearest."""
        if not self._at_hand:
            self._fill()
        place = min(bisect_left(self._at_hand, (length, "")), len(self._at_hand) - 1)
        return self._at_hand.pop(place)[1]

    @property
    def used_up(self) -> bool:
        """Whether all came once and the next would come again."""
        return self.rounds > 0 and not self._at_hand and not self._order

    def _fill(self) -> None:
        if not self._order:
            self.rounds += 1
            count = len(self._items)
            # A generated list of millions needs no shuffle: its items are independent already.
            self._order = self._rng.permutation(count).tolist() if count <= 1_000_000 else list(range(count))[::-1]
        chosen = [self._items[self._order.pop()] for _ in range(min(POOL, len(self._order)))]
        self._at_hand = sorted((len(text), text) for text in chosen)


class Harvest:
    """One harvest set while it is dealt out for `wanted` prompts. `joined`: prompts are several items in a row.

    Which prompts are items as they are is left to chance, so that no account gets more of them than another.
    """

    def __init__(
        self,
        items: Sequence[str],
        contexts: Sequence[str],
        rng: np.random.Generator,
        *,
        wanted: int,
        joined: bool = False,
    ) -> None:
        self._contexts, self._rng, self._joined = contexts, rng, joined
        self._whole, self._parts = Pool(items, rng), Pool(items, rng)
        self._share = min(len(items) / max(wanted, 1), 1.0)
        self._bodies: list[str] = []
        self._next_context = len(contexts)
        self._context_order: np.ndarray | None = None

    def deal(self, length: int) -> tuple[str, bool]:
        """A prompt of about so many characters, and whether it is to be asked about rather than sent as it is."""
        if self._joined:
            return self._join(length)
        whole = self._rng.random() < self._share and not self._whole.used_up
        item = self._whole.take(length) if whole else self._parts.take(length // 2)
        if whole and length < 1.3 * len(item):
            return item, False
        if not whole and length < 2 * MANNER_ROOM:
            return self._piece(length), True
        room = max(length - MANNER_ROOM, 24)
        text = item if len(item) < 0.7 * room else item[: item.rfind(" ", 0, int(0.6 * room)) + 1]
        return f"{text}\n\n{self._piece(max(room - len(text), 24))}", True

    def _join(self, length: int) -> tuple[str, bool]:
        parts: list[str] = []
        room = length - MANNER_ROOM if length > 3 * MANNER_ROOM else length
        while room > 12 or not parts:
            parts.append(self._parts.take(room))
            room -= len(parts[-1]) + 1
        return "\n".join(parts), length > 3 * MANNER_ROOM

    def _piece(self, length: int) -> str:
        """The next so many characters of one of the open answers, from a word's beginning."""
        if len(self._bodies) < OPEN_CONTEXTS:
            self._bodies.append(self._context())
            number = len(self._bodies) - 1
        else:
            number = int(self._rng.integers(OPEN_CONTEXTS))
        body = self._bodies[number]
        while len(body) < length:
            body = f"{body}\n{self._context()}".lstrip()
        end = body.find(" ", length)
        end = end if 0 <= end < length + 40 else length
        self._bodies[number] = body[end:].lstrip()
        return body[:end].strip()

    def _context(self) -> str:
        if not self._contexts:
            return self._parts.take(200)
        if self._next_context >= len(self._contexts):
            count = len(self._contexts)
            self._next_context = 0
            self._context_order = self._rng.permutation(count) if count <= 1_000_000 else None
            if self._bodies:  # other cuts than last time
                self._bodies = [body[17:] for body in self._bodies]
        order, number = self._context_order, self._next_context
        self._next_context += 1
        return self._contexts[number if order is None else int(order[number])]
