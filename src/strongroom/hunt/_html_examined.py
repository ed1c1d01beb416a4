"""The section that explains a verdict's reach: what was examined, and what could not be seen."""

from __future__ import annotations

from strongroom.core.records import Verdict

from ._answer import scope
from ._markup import Child, Html, prose, table, tag
from ._sentences import number, plural, sensitivity_rows, skipped_in_words, unseen
from ._visible import name
from .circumstances import Circumstances, InputFile

__all__ = ["examined_section"]

MAX_INPUTS = 500
MAX_OPEN = 20
"""More inputs than these are folded."""


def examined_section(verdict: Verdict, circumstances: Circumstances) -> Html:
    """The reasons why silence is not proof, then inputs and skipped records."""
    reasons = unseen(verdict, circumstances)
    rows: list[list[Child]] = [[label, value] for label, value in sensitivity_rows(verdict.sensitivity)]
    return tag(
        "section",
        tag("h2", "What could not be seen", id="unseen"),
        tag("ul", *(tag("li", prose(reason)) for reason in reasons))
        if reasons
        else tag("p", "The detector named no limit for this input."),
        table("Limits of this hunt", ["Limit", "Value"], rows, frozenset({1})) if rows else None,
        tag("h2", "What was examined", id="examined"),
        tag("p", prose(f"{scope(verdict)}.")),
        _inputs(circumstances.inputs) if circumstances.inputs else tag("p", "No input was read."),
        _skipped(verdict, circumstances) if sum(verdict.skipped.values()) else None,
        aria_labelledby="unseen",
    )


def _inputs(inputs: list[InputFile]) -> Html:
    rows: list[list[Child]] = [
        [
            tag("code", name(source.path)),
            name(source.format) if source.format else "not recognised",
            number(source.records),
            number(source.new),
            number(source.skipped),
            _size(source.bytes),
        ]
        for source in inputs[:MAX_INPUTS]
    ]
    if len(inputs) > MAX_INPUTS:
        rest = inputs[MAX_INPUTS:]
        rows.append(
            [
                plural(len(rest), "more file"),
                "",
                number(sum(source.records for source in rest)),
                number(sum(source.new for source in rest)),
                number(sum(source.skipped for source in rest)),
                _size(sum(source.bytes for source in rest)),
            ]
        )
    heads = ["Input", "Format", "Records", "New", "Skipped", "Size"]
    shown = table("Inputs", heads, rows, frozenset({2, 3, 4, 5}))
    return (
        tag("details", tag("summary", f"All {number(len(inputs))} inputs"), shown) if len(inputs) > MAX_OPEN else shown
    )


def _size(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def _skipped(verdict: Verdict, circumstances: Circumstances) -> Html:
    rows: list[list[Child]] = [[reason, number(count)] for reason, count in skipped_in_words(verdict)]
    where = f" (places in {name(circumstances.rejects_file)})" if circumstances.rejects_file else ""
    return table(f"Skipped records by reason{where}", ["Reason", "Records"], rows, frozenset({1}))
