"""An earlier campaign is one campaign now, never two."""

from __future__ import annotations

from strongroom.detect.campaign import Found
from strongroom.detect.signals import Signal
from strongroom.detect.story import Story, stories
from strongroom.hunt._remember import Earlier, EarlierStory, match


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


def told(*principals: str, kind: str = "bulk-read", asset: str = "models/a") -> Story:
    """One story of principals that shared a session."""
    signals = [
        Signal(
            detector="exfiltration/1", kind=kind, title="t", principal=principal, severity="high", confidence=0.5,
            techniques=["T1530"], first=0, last=0, events=1, sessions=frozenset({"s"}), assets=frozenset({asset}),
        )
        for principal in principals
    ]  # fmt: skip
    (story,) = stories(signals)
    return story


def dismissed(story: Story) -> EarlierStory:
    return EarlierStory(
        "fnd_1", frozenset(story.principals), frozenset(story.techniques), 3, True, frozenset(story.observed)
    )


def test_what_was_dismissed_is_silent_and_so_is_a_part_of_it() -> None:
    earlier = dismissed(told("ann", "bob"))
    assert earlier.silences(told("ann", "bob"))
    assert earlier.silences(told("ann"))


def test_another_asset_kind_or_principal_speaks_again() -> None:
    earlier = dismissed(told("ann"))
    assert not earlier.silences(told("ann", asset="models/b"))
    assert not earlier.silences(told("ann", kind="slow-read"))
    assert not earlier.silences(told("ann", "bob"))
