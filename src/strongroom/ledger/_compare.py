"""Two views of one log: one continues the other, or its key signed two histories, and both signatures prove it."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import UsageError
from ._checkpoint import SignedCheckpoint
from ._reader import LogReader

__all__ = ["Comparison", "View", "compare"]


@dataclass(frozen=True)
class View:
    """A verified checkpoint, and the log behind it where there is one."""

    name: str
    signed: SignedCheckpoint
    reader: LogReader | None = None

    def root_at(self, size: int) -> bytes | None:
        """The root of the first `size` entries, as far as this view can say. Raises IntegrityError."""
        checkpoint = self.signed.checkpoint
        if size == checkpoint.size:
            return checkpoint.root
        return None if self.reader is None else self.reader.root_at(size)


@dataclass(frozen=True)
class Comparison:
    """`same`, `continues` (the larger begins with the smaller) or `split`.

    `common` is how many entries both have in common, None where only one of the views has tiles.
    """

    verdict: str
    smaller: View
    larger: View
    common: int | None


def compare(first: View, second: View) -> Comparison:
    """Raises UsageError for views of different logs, or when neither has the tiles that are needed."""
    one, two = first.signed.checkpoint, second.signed.checkpoint
    if one.origin != two.origin:
        raise UsageError(f"these are two logs: '{one.origin}' and '{two.origin}'", next="name two views of one log")
    smaller, larger = (first, second) if one.size <= two.size else (second, first)
    size = smaller.signed.checkpoint.size
    root = larger.root_at(size)
    if root is None:
        raise UsageError(
            "two checkpoints of different sizes cannot be compared without the log",
            where=larger.name,
            next="name the log itself in place of the larger checkpoint",
        )
    if root == smaller.signed.checkpoint.root:
        verdict = "same" if one.size == two.size else "continues"
        return Comparison(verdict, smaller, larger, size)
    return Comparison("split", smaller, larger, _common(smaller, larger, size))


def _common(smaller: View, larger: View, size: int) -> int | None:
    """The longest common beginning, by bisection: equal roots are equal beginnings."""
    if smaller.reader is None or larger.reader is None:
        return None
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        if smaller.root_at(middle) == larger.root_at(middle):
            low = middle
        else:
            high = middle
    return low
