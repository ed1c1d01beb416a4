"""What is written in a request: an account's own material, or items handed to it, in the account's own manner.

Lengths are asked for by the law of behaviour; material is cut or joined to meet them, for honest work and for a
campaign's items alike. A source hands out one text at a time and holds at most one person's material.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from strongroom.simulate._phrases import FOLLOW_UPS, LANGUAGES, LEARNING, OPENERS, REQUIREMENTS, RESPONSES

RESPONSE_CHARACTERS = 180
_SLACK = 1.2


class Source(Protocol):
    """Where a stream's fresh prompts come from."""

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        """The stream's `ordinal`-th fresh prompt, of about `length` characters."""
        ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How one person asks: a few favourite openings, and whether the question stands before or after the text."""

    openers: tuple[str, ...]
    after: float
    requirement: float

    def ask(self, fragment: str, length: int, chance: Sequence[float]) -> str:
        """A question about a fragment; the fragment gives way so that the whole has the wanted length."""
        opener = self.openers[int(chance[0] * len(self.openers))]
        extra = ""
        if chance[1] < self.requirement and length > 140:
            extra = " " + REQUIREMENTS[int(chance[2] * len(REQUIREMENTS))]
        room = max(length - len(opener) - len(extra) - 2, 12)
        piece = cut(fragment, room)
        if chance[2] < self.after:
            return f"{piece}\n\n{opener}{extra}"
        return f"{opener}{extra}\n{piece}" if len(piece) > 60 else f"{opener} {piece}{extra}"


def draw_manner(rng: np.random.Generator) -> Manner:
    """Draw one person's manner."""
    count = int(rng.integers(4, 16))
    chosen = rng.choice(len(OPENERS), size=count, replace=False)
    return Manner(
        openers=tuple(OPENERS[int(i)] for i in chosen),
        after=float(rng.beta(0.6, 1.6)),
        requirement=float(rng.beta(1.0, 4.0)),
    )


def cut(text: str, length: int) -> str:
    """Shorten at a line or word, never in the middle of a word.

    >>> cut("one two three", 9)
    'one two'
    >>> cut("first line\\nsecond line", 14)
    'first line'
    """
    if len(text) <= length:
        return text
    head = text[: length + 1]
    line = head.rfind("\n")
    if line > 0.7 * length:
        return head[:line]
    word = head.rfind(" ")
    return head[:word].rstrip() if word > 0.5 * length else text[:length]


def fit(text: str, length: int, chance: Sequence[float]) -> str:
    """Bring a ready-made prompt near the wanted length: cut it, or add the requirements that people add."""
    if len(text) > _SLACK * length:
        return cut(text, max(int(_SLACK * length), 40))
    step = int(chance[2] * len(REQUIREMENTS))
    while len(text) < length / 1.5:
        text += " " + REQUIREMENTS[step % len(REQUIREMENTS)]
        step += 7
        if step > 8 * len(REQUIREMENTS):
            break
    return text


def follow_up(first: str, length: int, chance: Sequence[float]) -> str:
    """A later turn: what to do next with the same matter, with a piece of it where there is room."""
    phrase = FOLLOW_UPS[int(chance[0] * len(FOLLOW_UPS))]
    if "{language}" in phrase:
        phrase = phrase.format(language=LANGUAGES[int(chance[2] * len(LANGUAGES))])
    room = length - len(phrase) - 2
    if room < 14:
        return phrase
    begin = first.find(" ", int(chance[1] * max(1, len(first) - room))) + 1
    return f"{phrase}: {first[begin : begin + room]}"


def respond(prompt: str, chance: Sequence[float]) -> str:
    """The first characters of an answer; `output_tokens` carries its true length."""
    opening = RESPONSES[int(chance[1] * len(RESPONSES))]
    begin = prompt.find(" ", int(chance[2] * len(prompt) * 0.6)) + 1
    return (opening + prompt[begin : begin + RESPONSE_CHARACTERS - 60])[:RESPONSE_CHARACTERS]


class OwnWork:
    """Questions about a person's own texts, read on from question to question, and seldom a typed prompt, each once."""

    __slots__ = ("_body", "_manner", "_position", "_rounds", "_seed", "_texts", "_typed", "_typed_share")

    def __init__(
        self, texts: Sequence[str], typed: Sequence[str], typed_share: float, manner: Manner, seed: int
    ) -> None:
        self._texts: Sequence[str] = texts
        self._typed, self._typed_share, self._manner, self._seed = list(typed), typed_share, manner, seed
        self._body, self._position, self._rounds = "", 0, 0

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        a, b, c = chance
        if self._typed and a < self._typed_share:
            return fit(self._typed.pop(), length, chance)
        return self._manner.ask(self._read(length), length, (b, c, (a * 16) % 1.0))

    def _read(self, length: int) -> str:
        if not self._body:
            order = np.random.default_rng(self._seed).permutation(len(self._texts))
            self._body = "\n".join(self._texts[int(i)] for i in order)
        body = self._body
        begin = self._position
        if begin + length >= len(body):
            # Small matter is gone through again from another place, so that fragments do not fall together.
            self._rounds += 1
            begin = min(37 * self._rounds, max(0, len(body) - length - 1))
        line = body.find("\n", begin, begin + 80)
        begin = line + 1 if line >= 0 else body.find(" ", begin) + 1
        self._position = begin + int(length * 0.85)
        return body[begin : begin + length + 60].lstrip()


class Items:
    """Prompts handed out one by one, each with whether it is a text to ask about or a prompt itself."""

    __slots__ = ("_items", "_manner")

    def __init__(self, items: Sequence[tuple[str, bool]], manner: Manner) -> None:
        self._items, self._manner = items, manner

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        text, about = self._items[ordinal % len(self._items)]
        return self._manner.ask(text, length, chance) if about else fit(text, length, chance)


class Study:
    """Questions about a focus in somebody's own words: parts of known tasks, taken apart and asked about again."""

    __slots__ = ("_focus", "_manner", "_step")

    def __init__(self, focus: Sequence[str], manner: Manner, seed: int) -> None:
        self._focus, self._manner, self._step = focus, manner, int(seed)

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        a, b, c = chance
        first = self._focus[(self._step + ordinal) % len(self._focus)]
        second = self._focus[int(a * len(self._focus))]
        words = first.split()
        begin = int(b * 0.5 * len(words))
        lead = LEARNING[int(c * len(LEARNING))]
        matter = " ".join(words[begin:])
        if len(matter) < length:
            matter = f"{matter} ... {second}"
        if len(matter) < length:
            other = self._focus[int(b * len(self._focus))]
            matter = f"{matter}\n{other}\n{first}"
        return self._manner.ask(f"{lead} {matter}", length, (b, c, (a * 16) % 1.0))


class Exact:
    """Texts pasted as they are, each once, at times beside the person's other work; then only the other work."""

    __slots__ = ("_next", "_other", "_share", "_texts")

    def __init__(self, texts: Sequence[str], share: float, other: Source | None) -> None:
        self._texts, self._share, self._other, self._next = texts, share, other, 0

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        a, b, c = chance
        if self._other is not None and (a >= self._share or self._next >= len(self._texts)):
            rest = (a - self._share) / max(1 - self._share, 1e-6) if a >= self._share else (a * 8) % 1.0
            return self._other.fresh(ordinal, length, (min(max(rest, 0.0), 0.9999), b, c))
        text = self._texts[self._next % len(self._texts)]
        self._next += 1
        return text


class Either:
    """One of two sources, by chance: cover traffic, or a tutor's mixed day."""

    __slots__ = ("_counts", "_one", "_other", "_share")

    def __init__(self, one: Source, other: Source, share: float) -> None:
        self._one, self._other, self._share = one, other, share
        self._counts = [0, 0]

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        a, b, c = chance
        first = b < self._share
        b = b / self._share if first else (b - self._share) / (1 - self._share)
        side = 0 if first else 1
        number = self._counts[side]
        self._counts[side] += 1
        return (self._one if first else self._other).fresh(number, length, (a, min(b, 0.9999), c))


class Wrapped:
    """A template around whatever another source says. The whole has the wanted length, where that is long enough."""

    __slots__ = ("_inner", "_template")

    def __init__(self, inner: Source, template: str) -> None:
        self._inner, self._template = inner, template

    def fresh(self, ordinal: int, length: int, chance: Sequence[float]) -> str:
        room = max(length - len(self._template), 48)
        return self._template.replace("{instruction}", self._inner.fresh(ordinal, room, chance))
