"""A verdict on a terminal and in a pipe: the answer first, then why, then what to do, then what was looked at.

One description of the content (`_sections`), two painters: Rich for people who look at a screen, one fact a line
for what reads a pipe. Everything from logs passes `_visible` before either sees it, and reaches Rich as `Text`,
never as markup.
"""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from strongroom.core.records import Campaign, Finding, Verdict

from ._answer import headline, lead, open_campaigns
from ._sentences import exact
from ._terminal_sections import Bullets, Facts, Lines, Section, sections, told
from .circumstances import Circumstances

__all__ = ["print_change", "print_verdict"]

_MAX_WIDTH = 110
"""Longer lines are hard to read; a wider terminal gets a margin."""


def print_verdict(verdict: Verdict, circumstances: Circumstances, console: Console) -> None:
    """Print the verdict: tables and panels on a terminal, plain lines of any length in a pipe."""
    parts = sections(verdict, circumstances)
    if console.is_terminal:
        _paint(verdict, parts, console)
    else:
        _write(verdict, parts, console)


def print_change(one: Campaign | Finding, change: str, console: Console) -> None:
    """Print one campaign or finding that a watch tells, under what happened to it."""
    paint = _paint_sections if console.is_terminal else _write_sections
    paint([told(one, change)], console)


def _fit(line: str, console: Console) -> str:
    """What the output's encoding cannot hold is written as an escape instead of failing."""
    encoding = console.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _write(verdict: Verdict, parts: list[Section], console: Console) -> None:
    """Plain lines: no box, no colour, no wrapping; the same at every width."""

    def out(line: str) -> None:
        console.out(_fit(line.rstrip(), console), highlight=False)

    out(" ".join([headline(verdict), *lead(verdict, exact)]))
    _write_sections(parts, console)


def _write_sections(parts: list[Section], console: Console) -> None:
    def out(line: str) -> None:
        console.out(_fit(line.rstrip(), console), highlight=False)

    for section in parts:
        out("")
        out(section.title)
        for part in section.parts:
            if isinstance(part, Facts):
                for label, value in part.rows:
                    out(f"  {label}: {value}")
            elif isinstance(part, Lines):
                for line in part.lines:
                    out(f"  {line}")
            else:
                if part.title:
                    out(f"  {part.title}:")
                for line, below in part.items:
                    out(f"  - {line}")
                    for inner in below:
                        out(f"      {inner}")


def _paint(verdict: Verdict, parts: list[Section], console: Console) -> None:
    width = min(console.width, _MAX_WIDTH)
    style = "bold red" if open_campaigns(verdict) else "bold yellow" if verdict.accounts_flagged else "bold"
    answer = [_text(headline(verdict), console, style), *(_text(line, console) for line in lead(verdict, exact))]
    console.print()
    console.print(Padding(Group(*answer), (0, 2)), width=width)
    _paint_sections(parts, console)


def _paint_sections(parts: list[Section], console: Console) -> None:
    width = min(console.width, _MAX_WIDTH)
    for section in parts:
        console.print()
        content = Group(*(_part(part, console) for part in section.parts))
        if section.panel:
            title = _text(section.title, console, "bold")
            console.print(Panel(content, title=title, title_align="left", padding=(1, 2)), width=width)
        else:
            console.print(Padding(_text(section.title, console, "bold"), (0, 2)), width=width)
            console.print(Padding(content, (0, 2, 0, 4)), width=width)
    console.print()


def _text(line: str, console: Console, style: str = "") -> Text:
    return Text(_fit(line, console), style=style, overflow="fold")


def _part(part: Facts | Lines | Bullets, console: Console) -> RenderableType:
    if isinstance(part, Facts):
        return _facts(part, console)
    if isinstance(part, Lines):
        return Group(*(_text(line, console, "dim" if part.quiet else "") for line in part.lines))
    return _bullets(part, console)


def _facts(facts: Facts, console: Console) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in facts.rows:
        grid.add_row(_text(label, console), _text(value, console))
    return grid


def _bullets(bullets: Bullets, console: Console) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, justify="right", style="dim")
    grid.add_column(overflow="fold")
    for place, (line, below) in enumerate(bullets.items, 1):
        mark = f"{place}." if bullets.numbered else _fit("·", console)
        inner = [_text(line, console), *(_text(deeper, console, "dim") for deeper in below)]
        grid.add_row(mark, Group(*inner))
    if not bullets.title:
        return grid
    return Group(Text(), _text(bullets.title, console, "bold"), grid)
