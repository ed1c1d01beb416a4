"""Who is linked to whom in a campaign, as inline SVG.

Colours are classes of report.css, so that light, dark and print each have their own; the legend says in words and
figures what the colours show. Nothing here comes from a log except account names, and those pass `tag`.
"""

from __future__ import annotations

import heapq
from collections import defaultdict

from strongroom.core.records import Campaign

from ._layout import Array, layout
from ._markup import Html, join, raw, tag
from ._sentences import evidence_title, number, plural
from ._visible import name
from .circumstances import Link, Picture

__all__ = ["MAX_LINKS", "MAX_NODES", "graph", "kinds", "strongest"]

MAX_NODES = 400
MAX_LINKS = 2_000
_WIDTH, _HEIGHT, _MARGIN = 960, 560, 14
_KIND_CLASSES = {
    "address": 0,
    "client_address": 0,
    "template": 1,
    "distribution": 2,
    "payment": 3,
    "signup": 4,
    "email_domain": 4,
}
_OTHER_CLASSES = (5, 6, 7)
_LIGHT, _HEAVY = 0.34, 0.67
"""Weights below and above which a link is drawn thinner or thicker."""


def kinds(links: list[Link]) -> dict[str, int]:
    """Each kind of link with the number of its colour; kinds that we do not know share the last three."""
    known: dict[str, int] = {}
    for kind in sorted({link.kind for link in links}, key=lambda kind: (_KIND_CLASSES.get(kind, 9), kind)):
        known[kind] = _KIND_CLASSES.get(kind, _OTHER_CLASSES[len(known) % len(_OTHER_CLASSES)])
    return known


def strongest(links: list[Link], members: set[str]) -> list[Link]:
    """The links that are drawn: the strongest among accounts that hang together, however they were ordered.

    Links to accounts outside the campaign are weaker by nature; a tenth of the room is theirs, so that the
    picture shows where the campaign ends.
    """
    ordered = sorted(links, key=lambda link: (-link.weight, link.a, link.b, link.kind))
    inner = [link for link in ordered if link.a in members and link.b in members]
    outer = [link for link in ordered if link.a not in members or link.b not in members]
    share = min(len(outer), MAX_LINKS // 10)
    drawn = _together(inner, MAX_NODES * 9 // 10 if share else MAX_NODES)
    kept = [link for link in inner if link.a in drawn and link.b in drawn][: MAX_LINKS - share]
    for link in outer:
        if len(kept) == MAX_LINKS:
            break
        new = {link.a, link.b} - drawn
        # A link outwards is drawn where its inner end is, if there is one.
        if len(new) < 2 and not new & members and len(drawn) + len(new) <= MAX_NODES:
            kept.append(link)
            drawn |= new
    return kept


def _together(links: list[Link], room: int) -> set[str]:
    """All accounts of `links`, or the `room` of them that hang together most: each next one has most links to those
    that are there already. The strongest links alone would show scattered pairs and hide the shape."""
    ties: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for link in links:
        ties[link.a].append((link.b, link.weight))
        ties[link.b].append((link.a, link.weight))
    if len(ties) <= room:
        return set(ties)
    chosen: set[str] = set()
    held: dict[str, float] = defaultdict(float)
    starts = sorted(ties, key=lambda account: (-sum(weight for _, weight in ties[account]), account))
    heap: list[tuple[float, str]] = []
    while len(chosen) < room:
        if not heap:
            heap.append((0.0, next(account for account in starts if account not in chosen)))
        _, account = heapq.heappop(heap)
        if account in chosen:
            continue
        chosen.add(account)
        for other, weight in ties[account]:
            if other not in chosen:
                held[other] += max(weight, 0.0)
                heapq.heappush(heap, (-held[other], other))
    return chosen


def graph(campaign: Campaign, picture: Picture, prefix: str) -> Html:
    """Accounts as dots, links as lines in the colour of their kind; accounts outside the campaign are hollow."""
    members = set(campaign.accounts)
    links = strongest(picture.links, members)
    nodes = sorted({link.a for link in links} | {link.b for link in links})
    index = {account: place for place, account in enumerate(nodes)}
    pairs = [(index[link.a], index[link.b]) for link in links]
    position = layout(
        len(nodes),
        pairs,
        [min(max(link.weight, 0.0), 1.0) for link in links],
        aspect=(_WIDTH - 2 * _MARGIN) / (_HEIGHT - 2 * _MARGIN),
        spacing=15.0 / (_HEIGHT - 2 * _MARGIN),
    ) * (_HEIGHT - 2 * _MARGIN) + float(_MARGIN)
    inside = sum(account in members for account in nodes)
    title = f"{plural(inside, 'account')} of the campaign and {plural(len(links), 'link')} between them"
    outside = len(nodes) - inside
    described = f"{title}; {plural(outside, 'hollow dot')}: accounts that were looked at and are not part of it."
    return tag(
        "svg",
        tag("title", title, id=f"{prefix}-gt"),
        tag("desc", described, id=f"{prefix}-gd"),
        _lines(links, pairs, position),
        _dots(nodes, members, position),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_labelledby=f"{prefix}-gt {prefix}-gd",
        class_="graph",
    )


def _lines(links: list[Link], pairs: list[tuple[int, int]], position: Array) -> Html:
    """One path for each kind and thickness; links of one pair lie beside each other."""
    colours = kinds(links)
    paths: dict[tuple[int, int], list[str]] = defaultdict(list)
    seen: dict[tuple[int, int], int] = defaultdict(int)
    for link, pair in zip(links, pairs, strict=True):
        order = seen[min(pair), max(pair)]
        seen[min(pair), max(pair)] += 1
        (x1, y1), (x2, y2) = position[min(pair)], position[max(pair)]
        length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1e-9)
        aside = 1.8 * ((order + 1) // 2) * (1 if order % 2 else -1)
        dx, dy = -(y2 - y1) / length * aside, (x2 - x1) / length * aside
        weight = 0 if link.weight < _LIGHT else 1 if link.weight < _HEAVY else 2
        paths[colours[link.kind], weight].append(f"M{x1 + dx:.1f} {y1 + dy:.1f}L{x2 + dx:.1f} {y2 + dy:.1f}")
    return join(
        raw(f'<path class="link k{kind} w{weight}" d="{"".join(commands)}"/>')
        for (kind, weight), commands in sorted(paths.items(), key=lambda item: (item[0][1], item[0][0]))
    )


def _dots(nodes: list[str], members: set[str], position: Array) -> Html:
    dots = []
    for account, (x, y) in zip(nodes, position, strict=True):
        inside = account in members
        dots.append(
            tag(
                "circle",
                tag("title", name(account) if inside else f"{name(account)} (not part of the campaign)"),
                cx=f"{x:.1f}",
                cy=f"{y:.1f}",
                r="4.2" if inside else "3.6",
                class_="in" if inside else "out",
            )
        )
    return join(dots)


def links_by_kind(links: list[Link]) -> list[tuple[str, int, str, str]]:
    """For each kind of link: its name, its colour, how many links, how many accounts."""
    rows = []
    for kind, colour in kinds(links).items():
        own = [link for link in links if link.kind == kind]
        ends = {link.a for link in own} | {link.b for link in own}
        rows.append((evidence_title(kind), colour, number(len(own)), number(len(ends))))
    return rows
