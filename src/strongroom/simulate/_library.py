"""Who works on what: files are dealt to people, each text to one person only.

People differ in breadth: one file, several files of one directory, or several that have nothing to do with each other.
Everybody gets as much as they will ask about, so that nobody has to come back to the same lines. What is left of a file
goes to somebody else, but only when no untouched file is left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

SMALLEST_SHARE = 1_500
"""Characters of one file that a person has at least."""
SMALLEST_REST = 3_000
BREADTH = (0.25, 0.25, 0.5)
"""Share of people with one file, with several files of one directory, with several unrelated files."""
MOST_OF_ONE, MOST_UNRELATED = 10, 9


@dataclass(frozen=True, slots=True)
class Domain:
    """Distinct texts about one subject, or all that one person asks about. No other account has them."""

    name: str
    texts: tuple[str, ...]

    @property
    def directory(self) -> str:
        """Files of one directory are one package's."""
        return str(PurePath(self.name).parent)


class Dealer:
    """Deals files to people, in turn from all directories. One dealer for one population."""

    def __init__(self, files: Iterable[Domain]) -> None:
        shelves: dict[str, deque[Domain]] = {}
        for file in files:
            shelves.setdefault(file.directory, deque()).append(file)
        self._shelves = deque(shelves.values())
        self._rest: deque[Domain] = deque()

    def deal(self, need: int, rng: np.random.Generator) -> Domain:
        """About `need` characters for one person. Raises ValueError when nothing is left."""
        kind = int(rng.choice(3, p=BREADTH))
        places = (1, int(rng.integers(2, MOST_OF_ONE)), int(rng.integers(2, MOST_UNRELATED)))[kind]
        # Nobody divides their time evenly.
        quotas = np.maximum(need * rng.dirichlet(np.ones(places)), SMALLEST_SHARE).astype(int).tolist()
        parts: list[Domain] = []
        shelf: deque[Domain] | None = None
        while need > 0 or not parts:
            if shelf is None or not shelf or kind == 2:
                shelf = self._next_shelf()
            part = self._part(shelf, quotas[len(parts) % places])
            need -= sum(map(len, part.texts))
            parts.append(part)
        return Domain("+".join(part.name for part in parts), tuple(text for part in parts for text in part.texts))

    def _next_shelf(self) -> deque[Domain]:
        """The next directory; when all files are dealt, what is left of them."""
        while self._shelves:
            shelf = self._shelves.popleft()
            if shelf:
                self._shelves.append(shelf)
                return shelf
        if not self._rest:
            raise ValueError("the material holds fewer subjects than the plan has people")
        return deque([self._rest.popleft()])

    def _part(self, shelf: deque[Domain], quota: int) -> Domain:
        file = shelf.popleft()
        size, count = 0, 0
        while count < len(file.texts) and size < quota:
            size += len(file.texts[count])
            count += 1
        rest = file.texts[count:]
        if sum(map(len, rest)) < SMALLEST_REST:
            return file
        self._rest.append(Domain(f"{file.name}#", rest))
        return Domain(file.name, file.texts[:count])
