"""HTML that is escaped unless said otherwise: a plain `str` is text, only `Html` is markup.

Adding or joining `Html` with the operators of `str` gives a plain `str`, which is escaped again: a mistake
shows markup on the page and never runs it.

>>> tag("p", "1 < 2 ", tag("b", "\\u202eevil"), class_="note")
'<p class="note">1 &lt; 2 <b>&lt;U+202E&gt;evil</b></p>'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from ._visible import cut

__all__ = ["Html", "join", "prose", "raw", "table", "tag", "text"]

_MAX_TEXT = 4_000
"""The longest text node or attribute that is not cut; everything known to be long is cut earlier."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d UTC|T\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)")
_CODE = re.compile(r"`([^`]{1,200})`")
_VOID = frozenset({"meta", "link", "input", "br", "hr", "col"})


class Html(str):
    """Markup that may stand on a page as it is."""

    __slots__ = ()


Child = Html | str | None


def text(value: str) -> Html:
    """Escaped text; what is invisible or reorders a line is written out."""
    return Html(escape(cut(value, _MAX_TEXT), quote=True))


def prose(sentence: str) -> Html:
    """Escaped text whose times are elements, so that no line ends within one, and whose `…` is code."""
    return Html(_CODE.sub(r"<code>\1</code>", _TIME.sub(r"<time>\g<0></time>", text(sentence))))


def raw(markup: str) -> Html:
    """`markup` from our own files or made of numbers; never anything that came from a log."""
    return Html(markup)


def join(children: Iterable[Child]) -> Html:
    """Children one after another; plain strings are escaped, None is nothing."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children if child is not None))


def tag(element: str, *children: Child, **attributes: str | int | None) -> Html:
    """One element. `class_` is `class`, `aria_label` is `aria-label`; None leaves an attribute out."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Html(f"<{element}{words}>")
    return Html(f"<{element}{words}>{join(children)}</{element}>")


def table(caption: str, heads: list[str], rows: list[list[Child]], numeric: frozenset[int] = frozenset()) -> Html:
    """A table whose first cell of each row is its header; `numeric` columns stand on the right."""
    kind = ["num" if place in numeric else None for place in range(len(heads))]
    head = tag("tr", *(tag("th", label, scope="col", class_=kind[place]) for place, label in enumerate(heads)))
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=kind[0]),
            *(tag("td", cell, class_=kind[place]) for place, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)
