"""What a learner asks about hangs together by its words."""

from __future__ import annotations

import pytest

from strongroom.simulate._study import Shelf

RIVERS = ["Where does the Danube flow?", "Which towns lie on the Danube river?", "Is the Danube longer than the Rhine?"]
BREAD = ["How is rye bread baked?", "Why does bread rise while it is baked?", "What yeast does rye bread need?"]
LETTERS = [f"Write a letter number {word}" for word in ("one", "two", "three", "four")]
TEXTS = [text for each in zip(RIVERS, BREAD, strict=True) for text in each] + LETTERS


@pytest.mark.parametrize(("about", "near"), [(RIVERS[0], RIVERS), (BREAD[0], BREAD)])
def test_a_focus_is_the_text_and_those_that_share_its_rare_words(about: str, near: list[str]) -> None:
    focus = Shelf(TEXTS).focus(TEXTS.index(about), 3)
    assert focus[0] == about
    assert set(focus) == set(near)


def test_a_focus_is_as_wide_as_it_is_asked_to_be_and_holds_no_text_twice() -> None:
    shelf = Shelf(TEXTS)
    for width in (1, 4, len(TEXTS)):
        focus = shelf.focus(2, width)
        assert len(focus) == len(set(focus)) == width
    assert len(shelf.focus(2, 1_000)) == len(TEXTS)


@pytest.mark.parametrize("texts", [["one text alone"], ["", "..."], ["the same words", "the same words"]])
def test_texts_without_a_word_that_tells_them_apart_are_no_error(texts: list[str]) -> None:
    assert Shelf(texts).focus(len(texts) - 1, 1) == [texts[-1]]
