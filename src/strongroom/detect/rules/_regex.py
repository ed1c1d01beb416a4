"""Regular expressions that RE2 (DuckDB) and java.util.regex (Spark) read alike.

`portable` rewrites what the two read differently and refuses what only one of them can do. What is left apart: letters
beyond ASCII under `(?i)` and at `\\b`, which RE2 folds and Java does not. Java takes exponential time for some
expressions that RE2 takes linear time for: rules are the operator's own input, and are not taken from strangers.

>>> portable(r"^a.\\s{x}$")
'\\\\Aa[^\\\\n][\\\\t\\\\n\\\\f\\\\r ]\\\\{x\\\\}\\\\z'
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MAX_REGEX", "UnportableError", "portable", "re2_pattern"]

MAX_REGEX = 2000
"""Characters of one regular expression."""

_GROUP = re.compile(r"\?(?:(?P<flags>[ims]+):|:)")
_FLAGS = re.compile(r"\(\?([ims]+)\)")
_REPEAT = re.compile(r"\{\d+(?:,\d*)?\}")
_CATEGORY = re.compile(r"[pP](?:\{[A-Z][a-z]?\}|[A-Z])")
_HEX = re.compile(r"x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})")
_SAME = set("dDwWbBAztnrfa")
_SPACES = r"\t\n\f\r "


class UnportableError(ValueError):
    """The expression cannot be read alike by both engines; its text says why."""


def portable(pattern: str, flags: str = "") -> str:
    """A Sigma regular expression, with flags of `ims`, as one that both engines read alike.

    Raises UnportableError, also for what RE2 refuses (lookaround, back references); that check needs the extra `sigma`.
    """
    if len(pattern) > MAX_REGEX:
        raise UnportableError(f"a regular expression of more than {MAX_REGEX} characters")
    while match := _FLAGS.match(pattern):
        flags += match[1]
        pattern = pattern[match.end() :]
    made = _Rewriter(pattern, "m" in flags, "s" in flags).whole()
    if "i" in flags:
        made = f"(?i){made}"
    _check(pattern)
    _check(made)
    return made


def re2_pattern(pattern: str) -> Any:
    """The pattern as RE2 reads it. Raises re2.error, and does not also write it to stderr as RE2 would."""
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _check(pattern: str) -> None:
    import re2

    try:
        re2_pattern(pattern)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise UnportableError(f"a regular expression that RE2 cannot do: {text}") from None


class _Rewriter:
    """One walk over a pattern. Flags of a group hold to its end."""

    def __init__(self, pattern: str, multiline: bool, dotall: bool) -> None:
        self._text = pattern
        self._at = 0
        self._flags = [(multiline, dotall)]

    def whole(self) -> str:
        made = []
        while self._at < len(self._text):
            made.append(self._next())
        return "".join(made)

    def _next(self) -> str:
        letter = self._text[self._at]
        self._at += 1
        special = {"\\": self._escape, "[": self._set, "(": self._open, "{": self._brace}.get(letter)
        if special:
            return special()
        if letter == ")" and len(self._flags) > 1:
            self._flags.pop()
        multiline, dotall = self._flags[-1]
        if letter == ".":
            return r"[\x00-\x{10FFFF}]" if dotall else r"[^\n]"
        if letter in "^$":
            return self._anchor(letter, multiline)
        return rf"\{letter}" if letter in "}]" else letter

    @staticmethod
    def _anchor(letter: str, multiline: bool) -> str:
        # Java's $ also matches before a last line's end, and its (?m) takes other ends of lines than \n.
        if not multiline:
            return r"\A" if letter == "^" else r"\z"
        raise UnportableError("a regular expression with ^ or $ for each line (flag m)")

    def _open(self) -> str:
        flags = self._flags[-1]
        if not self._text.startswith("?", self._at):
            self._flags.append(flags)
            return "("
        match = _GROUP.match(self._text, self._at)
        if not match:
            raise UnportableError(
                f"a group of the kind ({self._text[self._at : self._at + 3]}… in a regular expression"
            )
        self._at = match.end()
        named = match["flags"] or ""
        self._flags.append((flags[0] or "m" in named, flags[1] or "s" in named))
        return "(?i:" if "i" in named else "(?:"

    def _brace(self) -> str:
        match = _REPEAT.match(self._text, self._at - 1)
        if not match:
            return r"\{"  # Java takes no other brace for itself
        self._at = match.end()
        return match[0]

    def _escape(self, *, inside: bool = False) -> str:
        for pattern in (_CATEGORY, _HEX):
            if match := pattern.match(self._text, self._at):
                self._at = match.end()
                return rf"\{match[0]}"
        letter = self._text[self._at : self._at + 1]
        self._at += 1
        if letter == "s":
            return _SPACES if inside else f"[{_SPACES}]"
        if letter == "S":
            return r"\S\x0b" if inside else rf"[^{_SPACES}]"  # Java's \S is without the vertical tab
        if letter == "v":
            return r"\x0b"
        if letter == "b" and inside:
            raise UnportableError(r"\b in a set of a regular expression")
        if letter == "_":
            return letter
        if letter in _SAME or (letter and not letter.isalnum() and letter.isascii()):
            return rf"\{letter}"
        raise UnportableError(rf"\{letter} in a regular expression")

    def _set(self) -> str:
        made = ["["]
        if self._text.startswith("^", self._at):
            made.append("^")
            self._at += 1
        first = True
        while self._at < len(self._text):
            letter = self._text[self._at]
            self._at += 1
            if letter == "]" and not first:
                return "".join([*made, "]"])
            first = False
            if letter == "[" and self._text.startswith(":", self._at):
                raise UnportableError("a named set such as [:alpha:] in a regular expression")
            if letter == "\\":
                made.append(self._escape(inside=True))
            else:
                made.append(rf"\{letter}" if letter in "[]&^" else letter)  # Java nests sets and cuts them with &&
        raise UnportableError("a set without end in a regular expression")
