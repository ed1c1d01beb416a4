"""YAML of a rule, read so that no file can take memory, time or the process with it.

Its parser's events are counted before anything is built from them: nesting, nodes, and what aliases stand for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["MAX_DEPTH", "MAX_FILE", "MAX_NODES", "UnreadableError", "documents"]

MAX_FILE = 1 << 20
"""Bytes of one file of rules."""
MAX_NODES = 50_000
"""Scalars, lists and mappings in one file, with what its aliases stand for."""
MAX_DEPTH = 24
"""Lists and mappings inside each other; real rules have 6."""


class UnreadableError(ValueError):
    """The file is no YAML that we read; its text says why."""


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a file, empty ones left out. Raises UnreadableError."""
    import yaml
    from sigma.rule import SigmaYAMLLoader  # safe types only, and refuses a key that stands twice

    text = _text(path)
    try:
        _measure(text)
        found = [made for made in yaml.load_all(text, SigmaYAMLLoader) if made is not None]
    except yaml.YAMLError as error:
        raise UnreadableError(f"not YAML: {' '.join(str(error).split())[:200]}") from None
    except (ValueError, TypeError, RecursionError, OverflowError) as error:  # a date of month 13, a list as a key, …
        raise UnreadableError(f"not YAML of a rule: {error}"[:200]) from None
    if not found:
        raise UnreadableError("no rule in it")
    for document in found:
        if not isinstance(document, dict):
            raise UnreadableError("a document that is no mapping")
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_FILE:
        raise UnreadableError(f"larger than {MAX_FILE >> 10:,} KiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from None


def _measure(text: str) -> None:
    """Counts nodes with what aliases stand for, and depth. Raises UnreadableError."""
    import yaml

    total = 0
    sizes: dict[str, int] = {}  # by anchor: nodes that an alias of it stands for
    open_: list[tuple[str | None, int]] = []  # (anchor, total before) of what is being read
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UnreadableError("an alias of what it stands in")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, total))
            sizes.pop(event.anchor or "", None)
            total += 1
            if len(open_) > MAX_DEPTH:
                raise UnreadableError(f"nested deeper than {MAX_DEPTH}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MAX_NODES:
            raise UnreadableError(f"more than {MAX_NODES:,} values, with what aliases stand for")
