"""An earlier campaign is one campaign now, never two."""

from __future__ import annotations

from strongroom.detect.campaign import Found
from strongroom.hunt._remember import Earlier, match


def found(*accounts: str) -> Found:
    return Found(
        accounts=list(accounts), exchanges=1, tokens_out=0, detected_at="", first_seen="", last_seen="", score=1.0,
        p_value=0.0, objective="", evidence=[], links=[],
    )  # fmt: skip


def earlier(name: str, *accounts: str) -> Earlier:
    return Earlier(name, frozenset(accounts), exchanges=1, kinds=frozenset(), dismissed=True)


def test_the_one_with_most_in_common_keeps_the_id() -> None:
    old = earlier("old", "a", "b", "c", "d", "e")
    assert match([found("a", "b").accounts, found("c", "d", "e").accounts], [old]) == [None, old]


def test_two_earlier_campaigns_that_grew_together_are_the_larger_one() -> None:
    one, two = earlier("one", "a", "b", "c"), earlier("two", "d", "e")
    assert match([found("a", "b", "c", "d", "e").accounts], [one, two]) == [one]


def test_strangers_match_nothing() -> None:
    assert match([found("x", "y", "a").accounts], [earlier("old", "a", "b", "c")]) == [None]
    assert match([found("x").accounts], []) == [None]
