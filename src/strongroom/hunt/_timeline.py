"""The campaign in time, as inline SVG: all traffic, the campaign's exchanges, its active accounts, day by day.

Each row has its own scale, which is written beside it. Drawn twice, for a wide and a narrow page, because text in
a scaled picture would not be readable on a small one.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date

from strongroom.core.records import Campaign

from ._markup import Html, join, raw, tag
from ._sentences import moment, number
from .circumstances import Circumstances, Picture

__all__ = ["timeline"]

_LEFT, _RIGHT, _TOP, _ROW, _GAP, _BOTTOM = 2, 2, 66, 84, 34, 24


def timeline(campaign: Campaign, picture: Picture, circumstances: Circumstances, prefix: str, width: int) -> Html:
    """Three rows of bars over one axis of days, with marks for first seen and detected."""
    days = circumstances.days
    rows = [
        ("All exchanges per day, the campaign’s part dark", circumstances.exchanges_per_day, picture.per_day),
        ("The campaign’s exchanges per day", picture.per_day, picture.per_day),
        ("Its active accounts per day", picture.accounts_per_day, picture.accounts_per_day),
    ]
    height = _TOP + len(rows) * (_ROW + _GAP) + _BOTTOM - _GAP
    tops = [_TOP + place * (_ROW + _GAP) for place in range(len(rows))]
    bars = [_bars(row[1], row[2], count=len(days), width=width, top=top) for row, top in zip(rows, tops, strict=True)]
    labels = [_label(*row, width=width, y=top - 8) for row, top in zip(rows, tops, strict=True)]
    marks = [
        (label, when, _place(when, days, width), line)
        for line, (label, when) in enumerate(
            [("first seen", campaign.first_seen), ("raised by a live watch", campaign.detected_at)]
        )
    ]
    title = "Exchanges and active accounts of the campaign, day by day"
    described = (
        f"First seen {moment(campaign.first_seen)}; raised by a live watch {moment(campaign.detected_at)}. "
        f"At most {number(max(picture.per_day, default=0))} exchanges and "
        f"{number(max(picture.accounts_per_day, default=0))} active accounts on one day."
    )
    return tag(
        "svg",
        tag("title", title, id=f"{prefix}-tt"),
        tag("desc", described, id=f"{prefix}-td"),
        *bars,
        *(_mark_line(x, line, height) for _, _, x, line in marks if x is not None),
        *labels,
        *(_mark_words(label, when, x, line, width) for label, when, x, line in marks if x is not None),
        _axis(days, width, height),
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"{prefix}-tt {prefix}-td",
        class_="timeline",
    )


def _bars(outline: list[int], filled: list[int], *, count: int, width: int, top: int) -> Html:
    """A row: `outline` in pale, `filled` on the same scale in dark, on a base line."""
    highest = _highest(outline, filled)
    styles = [("own", filled)] if outline is filled else [("all", outline), ("own", filled)]
    return join(
        [
            *(
                raw(f'<path class="{style}" d="{_path(values[:count], count, highest, width, top)}"/>')
                for style, values in styles
            ),
            raw(f'<path class="base" d="M{_LEFT} {top + _ROW + 0.5}H{width - _RIGHT}"/>'),
        ]
    )


def _highest(outline: list[int], filled: list[int]) -> int:
    return max([*outline, *filled, 1])


def _label(label: str, outline: list[int], filled: list[int], *, width: int, y: int) -> Html:
    """A row's title at the left, its scale at the right."""
    return join(
        [
            tag("text", label, x=_LEFT, y=y, class_="row"),
            tag("text", f"most: {number(_highest(outline, filled))}", x=width - _RIGHT, y=y, class_="most"),
        ]
    )


def _path(values: list[int], count: int, highest: int, width: int, top: int) -> str:
    step = (width - _LEFT - _RIGHT) / max(count, 1)
    gap = min(step * 0.18, 3.0) if step > 3 else 0.0
    commands = []
    for place, value in enumerate(values):
        if value > 0:
            tall = max(value / highest * _ROW, 1.0)
            x = _LEFT + place * step + gap / 2
            commands.append(f"M{x:.2f} {top + _ROW}v{-tall:.2f}h{step - gap:.2f}v{tall:.2f}z")
    return "".join(commands)


def _axis(days: list[str], width: int, height: int) -> Html:
    """Dates under the last row, as many as fit."""
    if not days:
        return raw("")
    step = (width - _LEFT - _RIGHT) / len(days)
    every = max(1, -(-62 // max(int(step), 1))) if step < 62 else 1
    parts = []
    for place in range(0, len(days), every):
        x = _LEFT + (place + 0.5) * step
        if x > width - 22:
            break
        parts.append(tag("text", _day(days[place]), x=f"{max(x, 20):.1f}", y=height - 6, class_="day"))
    return join(parts)


def _mark_line(x: float, line: int, height: int) -> Html:
    return raw(f'<path class="mark m{line}" d="M{x:.1f} {4 + line * 17}V{height - _BOTTOM}"/>')


def _mark_words(label: str, when: str, x: float, line: int, width: int) -> Html:
    """What a mark means, on a line of its own above the rows and on the side where it has room."""
    right = x > width * 0.55
    return tag(
        "text",
        f"{label} {_day(when[:10])} {when[11:16]}".strip(),
        x=f"{x - 6 if right else x + 6:.1f}",
        y=14 + line * 17,
        class_="mark end" if right else "mark",
    )


def _place(when: str, days: list[str], width: int) -> float | None:
    """Where a time lies on the axis of days: at its right end when later, None when earlier or not a time."""
    try:
        day = date.fromisoformat(when[:10]).isoformat()
        part = (int(when[11:13] or "0") + int(when[14:16] or "0") / 60) / 24
    except ValueError:
        return None
    index = bisect_left(days, day)
    if not days or day < days[0]:
        return None
    if index == len(days):
        return width - _RIGHT - 1.0
    step = (width - _LEFT - _RIGHT) / len(days)
    return _LEFT + (index + (min(max(part, 0.0), 1.0) if days[index] == day else 0.0)) * step


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text[:10]
    return f"{day.day} {day:%b}"
