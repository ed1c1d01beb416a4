"""The campaign in time, as inline SVG: all traffic, the campaign's exchanges, its active accounts, day by day.

Each row has its own scale, which is written beside it. Drawn twice, for a wide and a narrow page, because text in
a scaled picture would not be readable on a small one.
"""

from __future__ import annotations

from datetime import date

from strongroom.core.records import Campaign

from ._markup import Html, join, raw, tag
from ._sentences import moment, number
from .circumstances import Circumstances, Picture

__all__ = ["timeline"]

_LEFT, _RIGHT, _TOP, _ROW, _GAP, _BOTTOM = 2, 2, 44, 84, 34, 24


def timeline(campaign: Campaign, picture: Picture, circumstances: Circumstances, prefix: str, width: int) -> Html:
    """Three rows of bars over one axis of days, with marks for first seen and detected."""
    days = circumstances.days
    rows = [
        ("All exchanges per day, the campaign’s part dark", circumstances.exchanges_per_day, picture.per_day),
        ("The campaign’s exchanges per day", picture.per_day, picture.per_day),
        ("Its active accounts per day", picture.accounts_per_day, picture.accounts_per_day),
    ]
    height = _TOP + len(rows) * (_ROW + _GAP) + _BOTTOM - _GAP
    parts: list[Html] = []
    for place, (label, outline, filled) in enumerate(rows):
        parts.append(_bars(label, outline, filled, count=len(days), width=width, top=_TOP + place * (_ROW + _GAP)))
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
        *parts,
        _axis(days, width, height),
        _mark("first seen", campaign.first_seen, days, width=width, height=height, line=0),
        _mark("raised by a live watch", campaign.detected_at, days, width=width, height=height, line=1),
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"{prefix}-tt {prefix}-td",
        class_="timeline",
    )


def _bars(label: str, outline: list[int], filled: list[int], *, count: int, width: int, top: int) -> Html:
    """A row: `outline` in pale, `filled` on the same scale in dark; the highest day is written at the right."""
    highest = max([*outline[:count], *filled[:count], 1])
    parts = [
        tag("text", label, x=_LEFT, y=top - 7, class_="row"),
        tag("text", f"most: {number(highest)}", x=width - _RIGHT, y=top - 7, class_="most"),
    ]
    for style, values in (("all", outline), ("own", filled)):
        if style == "all" and outline is filled:
            continue
        parts.append(raw(f'<path class="{style}" d="{_path(values[:count], count, highest, width, top)}"/>'))
    base = top + _ROW
    parts.append(raw(f'<path class="base" d="M{_LEFT} {base + 0.5}H{width - _RIGHT}"/>'))
    return join(parts)


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


def _mark(label: str, when: str, days: list[str], *, width: int, height: int, line: int) -> Html | None:
    """A vertical line at a time, its words on their own line above the rows; None when it is off the axis."""
    x = _place(when, days, width)
    if x is None:
        return None
    right = x > width * 0.6
    y = 12 + line * 15
    words = tag(
        "text",
        f"{label} {_day(when[:10])} {when[11:16]}".strip(),
        x=f"{x - 5 if right else x + 5:.1f}",
        y=y,
        class_="mark end" if right else "mark",
    )
    return join([raw(f'<path class="mark m{line}" d="M{x:.1f} {y - 9}V{height - _BOTTOM}"/>'), words])


def _place(when: str, days: list[str], width: int) -> float | None:
    """Where a time lies on the axis of days."""
    if when[:10] not in days:
        return None
    try:
        part = (int(when[11:13]) + int(when[14:16]) / 60) / 24
    except ValueError:
        part = 0.5
    step = (width - _LEFT - _RIGHT) / len(days)
    return _LEFT + (days.index(when[:10]) + part) * step


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text[:10]
    return f"{day.day} {day:%b}"
