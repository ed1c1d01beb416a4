"""Enough shares give the secret back, fewer say nothing; a share on paper that is mistyped is told by its number."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import InputError, UsageError
from strongroom.identity import SHARE_PATTERN, Share, join_shares, make_shares, new_credential_id, read_share
from strongroom.identity._shamir import combine, divide, multiply, split

SECRET = bytes(range(32))
IDS = "k3x7q2mz", "aaaaaaaa"


def shares(id: str = IDS[0], need: int = 3, secret: bytes = SECRET) -> list[Share]:
    """Of a generator that is no secret."""
    return make_shares(id, secret, shares=5, need=need, random=lambda length: bytes(7 * n % 251 for n in range(length)))


def test_the_field_is_that_of_aes() -> None:
    """FIPS 197, section 4.2: {57} times {01}, {02}, …, {13}, {83}."""
    products = {0x01: 0x57, 0x02: 0xAE, 0x04: 0x47, 0x08: 0x8E, 0x10: 0x07, 0x13: 0xFE, 0x83: 0xC1}
    assert {factor: multiply(0x57, factor) for factor in products} == products
    assert all(multiply(divide(a, b), b) == a for a in range(256) for b in range(1, 256))


def test_the_published_vector() -> None:
    """draft-mcgrew-tss-03, section 9."""
    assert combine({1: bytes.fromhex("B9FA07E185"), 2: bytes.fromhex("F5409B4511")}).hex() == "7465737400"


@given(st.data())
def test_any_that_are_enough_give_it_back(data: st.DataObject) -> None:
    secret = data.draw(st.binary(min_size=1, max_size=40))
    count = data.draw(st.integers(1, 12))
    need = data.draw(st.integers(1, count))
    random = data.draw(st.randoms(use_true_random=False))
    made = split(secret, shares=count, need=need, random=random.randbytes)
    chosen = data.draw(st.permutations(range(1, count + 1)))[: data.draw(st.integers(need, count))]
    assert combine({number: made[number - 1] for number in chosen}) == secret


@pytest.mark.parametrize(("need", "secrets"), [(2, range(256)), (3, [0, 0x53])])
def test_fewer_say_nothing(need: int, secrets: Sequence[int]) -> None:
    """Over all that randomness can be, `need` - 1 shares are anything equally often, whatever the secret is."""
    for secret in secrets:
        seen: Counter[tuple[bytes, ...]] = Counter()
        for coefficients in itertools.product(range(256), repeat=need - 1):
            drawn = iter(coefficients)
            made = split(bytes([secret]), shares=need, need=need, random=lambda _, drawn=drawn: bytes([next(drawn)]))  # type: ignore[misc]
            seen[tuple(made[1:])] += 1
        assert len(seen) == 256 ** (need - 1), "each once"


@pytest.mark.parametrize(("count", "need"), [(0, 0), (2, 3), (256, 2), (3, 0)])
def test_what_cannot_be_shared(count: int, need: int) -> None:
    with pytest.raises(ValueError, match="shares"):
        split(b"x", shares=count, need=need, random=bytes)


def test_what_is_written_is_read_however_it_was_typed() -> None:
    for share in shares():
        text = share.text()
        assert re.fullmatch(SHARE_PATTERN, text)
        head, rest = text[:19], text[19:].replace("O", "0").replace("I", "1")
        for typed in (text, text.lower(), f"# for people\n{text}\n", head + rest, text.replace("-A", "\n -A "),
                      head + text[19:].replace("-", "")):  # fmt: skip
            assert read_share(typed) == share, typed
        assert share.data.hex() not in repr(share)
    assert len(new_credential_id(bytes)) == 8


@given(st.integers(0, 4), st.integers(6, 90), st.sampled_from("A7-2KZ9!"))
def test_a_letter_that_is_wrong_is_told_and_the_share_is_not(which: int, at: int, letter: str) -> None:
    share = shares()[which]
    text = share.text()
    at = min(at, len(text) - 2)  # the last letter has bits that mean nothing
    typed = text[:at] + letter + text[at + 1 :]
    if read(typed) != share:
        with pytest.raises(InputError, match=r"share \d+ is mistyped|this is no share") as told:
            read_share(typed)
        assert text[19:30] not in str(told.value)


def read(text: str) -> Share | None:
    try:
        return read_share(text)
    except InputError:
        return None


def test_a_mistyped_share_is_told_by_its_number() -> None:
    text = shares()[3].text()
    with pytest.raises(InputError, match="share 4 is mistyped"):
        read_share(text[:-6] + ("A" if text[-6] != "A" else "B") + text[-5:])
    for other in ("", "x", text[:30], text + "AAAA", "srbg2" + text[5:]):
        with pytest.raises(InputError):
            read_share(other)


def test_shares_that_do_not_go_together() -> None:
    own, other = shares(), shares(IDS[1], secret=bytes(32))
    assert join_shares(own[2:]) == join_shares([own[0], own[0], own[3], own[1]]) == (IDS[0], SECRET)
    with pytest.raises(UsageError, match="share 3 is of aaaaaaaa, and share 1 of k3x7q2mz"):
        join_shares([own[0], own[1], other[2]])
    with pytest.raises(UsageError, match="3 shares are needed, 2 given"):
        join_shares([own[0], own[1], own[1]])
    with pytest.raises(UsageError, match="two shares 1"):
        join_shares([own[0], dataclasses.replace(own[1], number=1), own[2]])
    with pytest.raises(UsageError, match="no shares"):
        join_shares([])
    forged = dataclasses.replace(own[2], data=bytes(32))
    assert join_shares([own[0], own[1], forged])[1] != SECRET
