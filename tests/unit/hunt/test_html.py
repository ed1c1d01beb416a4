"""The report: well formed, alone, harmless, and clear about what it says."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pytest

from strongroom.hunt._html import render_html
from strongroom.hunt._svg import MAX_LINKS, MAX_NODES, strongest
from strongroom.hunt.circumstances import Link, Picture

from . import verdicts

VOID = {"meta", "link", "input", "br", "hr", "col"}
ALL = {
    "one": verdicts.one_campaign(),
    "demo": verdicts.one_campaign(simulated=True),
    "three": verdicts.three_campaigns(),
    "no": verdicts.no_campaign(),
    "nothing": verdicts.nothing_examined(),
    "hostile": verdicts.hostile(),
}
every = pytest.mark.parametrize("pair", ALL.values(), ids=ALL.keys())


class Page(HTMLParser):
    """Elements in order with their attributes, and text; raises at an end tag that does not match."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.raw: dict[str, str] = {}
        self.feed(markup)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@every
def test_the_page_is_balanced_and_has_one_of_each_id(pair: verdicts.Pair) -> None:
    page = Page(render_html(*pair))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for key in ("aria-labelledby", "for"):
            assert set((attributes.get(key) or "").split()) <= set(ids)


@every
def test_it_loads_nothing_and_runs_nothing_but_its_own(pair: verdicts.Pair) -> None:
    page = Page(render_html(*pair))
    for name, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), f"{name} has {key}"
            assert key not in ("style", "src", "srcset", "action", "formaction", "data", "xlink:href")
            if key == "href":
                assert (value or "").startswith("#") or (name, value) == ("link", "data:,")
    assert not {"img", "iframe", "object", "embed", "base", "form"} & {name for name, _ in page.elements}
    assert len(page.all("script")) == len(page.all("style")) == 1
    for loads in ("url(", "@import", "//"):
        assert loads not in page.raw["style"]


@every
def test_the_policy_allows_exactly_the_style_and_script_that_are_there(pair: verdicts.Pair) -> None:
    page = Page(render_html(*pair))
    policies = [m["content"] or "" for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "unsafe" not in policies[0]
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policies[0]


def test_hostile_text_is_shown_and_neither_markup_nor_hidden() -> None:
    markup = render_html(*verdicts.hostile())
    page = Page(markup)
    harmless = {name for name, _ in Page(render_html(*verdicts.three_campaigns())).elements}
    assert {name for name, _ in page.elements} <= harmless
    body = page.text
    assert "<script>alert(1)</script>" in body
    assert "&lt;b&gt; &amp;" in body
    assert "<U+202E>" in body
    assert "A" * 5_000 not in markup
    hidden = {c for c in markup if unicodedata.category(c) in {"Cc", "Cf", "Cs"}} - {"\n"}
    assert not hidden
    markup.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("one", "Yes: 1 campaign."),
        ("three", "Yes: 3 campaigns."),
        ("no", "No campaign was found."),
        ("nothing", "No answer: no exchange was examined."),
    ],
)
def test_the_answer_is_the_first_heading(name: str, answer: str) -> None:
    markup = render_html(*ALL[name])
    first = re.search(r"<h\d[^>]*>(.*?)</h\d>", markup)
    assert first
    assert first[0].startswith("<h1")
    assert first[1] == answer


@every
def test_headings_do_not_skip_a_level_and_tables_name_their_heads(pair: verdicts.Pair) -> None:
    page = Page(render_html(*pair))
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    for picture in page.all("svg"):
        assert picture["role"] == "img"
        assert picture["aria-labelledby"]


def test_the_page_holds_every_account_reason_example_and_step() -> None:
    pair = verdicts.one_campaign()
    text = Page(render_html(*pair)).text
    campaign = pair[0].campaigns[0]
    for account in campaign.accounts:
        assert account in text
    for item in campaign.evidence:
        assert item.summary in text
        for example in item.examples:
            assert example.where in text
    for step in campaign.recommended:
        assert step.replace("`", "") in text
    assert pair[1].command in text
    assert "it cannot show who owns them or what they intend" in text


def test_silence_is_explained() -> None:
    pair = verdicts.no_campaign()
    text = Page(render_html(*pair)).text
    assert "That is not proof of absence" in text
    for reason in pair[0].not_examined:
        assert reason in text
    assert pair[1].rejects_file in text
    for source in pair[1].inputs:
        assert source.path in text


def test_the_demo_says_simulated_and_names_what_was_missed() -> None:
    text = Page(render_html(*ALL["demo"])).text
    assert "Simulated" in text
    assert "acct_missed_1, acct_missed_2, acct_missed_3" in text
    assert "imulat" not in Page(render_html(*ALL["one"])).text.replace("simulated insertions", "").replace(
        "Measured by simulated", ""
    )


def test_a_dismissed_campaign_has_no_section() -> None:
    verdict, circumstances = verdicts.three_campaigns()
    silent = next(campaign for campaign in verdict.campaigns if campaign.status == "dismissed")
    assert render_html(verdict, circumstances).count(silent.id) == 1


@every
def test_the_same_verdict_gives_the_same_page(pair: verdicts.Pair) -> None:
    assert render_html(*pair) == render_html(*pair)


def test_accounts_outside_the_campaign_are_drawn_differently() -> None:
    verdict, circumstances = verdicts.one_campaign()
    page = Page(render_html(verdict, circumstances))
    outside = [dot for dot in page.all("circle") if dot["class"] == "out"]
    inside = [dot for dot in page.all("circle") if dot["class"] == "in"]
    assert len(outside) == len(circumstances.pictures[0].neighbours)
    assert len(inside) == 198


def test_a_large_graph_is_bounded_and_keeps_its_border() -> None:
    members = [f"in{place}" for place in range(3_000)]
    inner = [Link(members[place % 3_000], members[(place * 7 + 1) % 3_000], "template", 0.9) for place in range(9_000)]
    outer = [Link(members[place], f"out{place % 50}", "address", 0.1) for place in range(300)]
    drawn = strongest(inner + outer, set(members))
    assert len(drawn) <= MAX_LINKS
    assert len({link.a for link in drawn} | {link.b for link in drawn}) <= MAX_NODES
    assert any(link.b.startswith("out") for link in drawn)
    assert drawn == strongest(outer + inner[::-1], set(members))


def test_the_layout_keeps_dots_apart_and_inside() -> None:
    page = Page(render_html(*ALL["one"]))
    places = [(float(dot["cx"] or 0), float(dot["cy"] or 0)) for dot in page.all("circle")]
    assert all(0 <= x <= 960 and 0 <= y <= 560 for x, y in places)
    nearest = min(
        ((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5
        for place, (x1, y1) in enumerate(places)
        for x2, y2 in places[place + 1 :]
    )
    assert nearest > 8.4, "dots cover each other"


def test_a_picture_may_be_absent_or_short() -> None:
    verdict, circumstances = verdicts.one_campaign()
    empty = Picture(verdict.campaigns[0].id, [], [], [])
    for changes in ({"pictures": []}, {"pictures": [empty], "days": []}, {"pictures": [empty]}):
        page = render_html(verdict, msgspec.structs.replace(circumstances, **changes))
        Page(page)  # refuses unbalanced tags
        assert verdict.campaigns[0].id in page
        assert verdict.campaigns[0].evidence[0].summary[:30] in page
