"""Text that came from logs, made safe to show: nothing hidden, nothing that moves a cursor, never endless.

Whoever writes prompts chooses account names and texts, so a terminal escape, a bidi override or a zero-width
character in them is an attempt to mislead the reader. They are shown, not obeyed and not dropped: two names
that differ must look different.

>>> visible("acct\\x1b[31m\\u202e7")
'acct<U+001B>[31m<U+202E>7'
>>> cut("a" * 10_000 + "z", 12)
'aaaaaaaa…aaz (10,001 characters)'
"""

from __future__ import annotations

import unicodedata

__all__ = ["MAX_NAME", "MAX_SENTENCE", "cut", "name", "sentence", "visible"]

MAX_NAME = 80
"""Characters shown of an account, a path or another single value."""
MAX_SENTENCE = 800
"""Characters shown of a summary or an excerpt."""

_MAX_MARKS = 3
"""Combining marks in a row: living scripts need no more; beyond that they deface the lines around them."""
_MAX_JOINED = 100_000
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})


def visible(text: str) -> str:
    """`text` with controls, bidi overrides, invisible and unassigned characters written out."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in _MARKS and not 0xE0100 <= ord(character) <= 0xE01EF:
            marks += 1
            if marks > _MAX_MARKS:
                continue
        elif marks:
            shown.append(_surplus(marks))
            marks = 0
        shown.append(_written(character, category))
    return "".join([*shown, _surplus(marks)])


def _surplus(marks: int) -> str:
    return f"<{marks - _MAX_MARKS} more marks>" if marks > _MAX_MARKS else ""


def _written(character: str, category: str) -> str:
    code = ord(character)
    # Variation selectors of the supplement show nothing and can carry a hidden message.
    if category in _HIDDEN or 0xE0100 <= code <= 0xE01EF:
        return f"<U+{code:04X}>"
    return character


def cut(text: str, limit: int) -> str:
    """`text` made visible; a longer one keeps its head and tail, and its true length is said."""
    if len(text) <= limit:
        return visible(text)
    tail = limit // 4
    head = limit - tail - 1
    return f"{visible(text[:head])}…{visible(text[-tail:] if tail else '')} ({len(text):,} characters)"


def name(text: str) -> str:
    """An account, path or other single value; an empty one is said to be empty."""
    return cut(text, MAX_NAME) if text else "(empty)"


def sentence(text: str) -> str:
    """A summary or excerpt: unlike a name it may have lines, which become one."""
    return cut(" ".join(text.splitlines()) if len(text) < _MAX_JOINED else text, MAX_SENTENCE)
