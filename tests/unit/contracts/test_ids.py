"""Ids, asset names, digests and times: the schema and `core` take the same texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.core.clock import format_time, parse_time
from strongroom.core.errors import StrongroomError
from strongroom.core.ids import KINDS, check_asset_name, check_digest, check_id, make_id

from .schemas import schema, valid

ALPHABET = "abcf019._-/:~ \nZé"
HEX = st.text("0123456789abcdef", min_size=31, max_size=33)
TIMES = st.integers(0, 253_402_300_799_999_999)


def taken(check: Callable[[str], str], text: str) -> bool:
    try:
        return check(text) == text
    except StrongroomError:
        return False


def test_the_schema_names_every_kind() -> None:
    pattern = schema("ids-1.json")["$defs"]["id"]["pattern"]
    assert pattern == "^(?:" + "|".join(sorted(KINDS)) + ")_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$"
    for kind in KINDS:
        assert f"{kind} " in schema("ids-1.json")["$defs"]["id"]["description"]


@given(st.sampled_from(sorted(KINDS)), st.integers(0, (1 << 48) * 1000 - 1), st.binary(min_size=10, max_size=10))
def test_what_is_made_is_an_id_of_version_7_that_sorts_by_time(kind: str, time_us: int, random: bytes) -> None:
    made = make_id(kind, time_us=time_us, random=random)
    assert valid("ids-1.json#/$defs/id", made)
    assert check_id(made) == made
    assert made[4 + 12] == "7"
    assert made[4 + 16] in "89ab"
    assert int(made[4 : 4 + 12], 16) == time_us // 1000


@given(st.one_of(st.builds("{}{}".format, st.sampled_from(["cmp_", "fnd_", "xyz_", "CMP_", ""]), HEX), st.text()))
@example("cmp_" + "0" * 32 + "\n")
@example(" cmp_" + "0" * 32)
def test_the_schema_takes_the_ids_that_the_code_takes(text: str) -> None:
    assert valid("ids-1.json#/$defs/id", text) == taken(check_id, text)


@given(
    st.one_of(
        st.from_regex(r"\A[a-z0-9._-]{1,6}/[a-z0-9._-]{1,6}(:[a-z0-9._-]{1,4})?\n?\Z"), st.text(ALPHABET, max_size=12)
    )
)
@example("a/b\n")
@example("a/b..c")
@example("a/" + "b" * 253)
@example("a/" + "b" * 254)
def test_the_schema_takes_the_asset_names_that_the_code_takes(name: str) -> None:
    assert valid("ids-1.json#/$defs/asset", name) == taken(check_asset_name, name)


@given(
    st.builds(
        "{}:{}{}".format,
        st.sampled_from(["sha256", "blake3", "md5", "SHA256"]),
        st.text("0123456789abcdefA", min_size=63, max_size=65),
        st.sampled_from(["", "\n"]),
    )
)
@example("sha256:" + "0" * 64)
@example("blake3:" + "0" * 64 + "\n")
def test_the_schema_takes_the_digests_that_the_code_takes(text: str) -> None:
    assert valid("ids-1.json#/$defs/digest", text) == taken(check_digest, text)


@given(TIMES)
def test_every_time_that_is_written_is_one(time_us: int) -> None:
    text = format_time(time_us)
    assert valid("ids-1.json#/$defs/time", text)
    assert parse_time(text) == time_us // 1000 * 1000


@pytest.mark.parametrize(
    "text",
    ["2026-11-01", "2026-11-01T09:30:00Z", "2026-11-01T09:30:00.123+00:00", "2026-11-01T24:00:00.000Z", "now", ""],
)
def test_other_spellings_of_a_time_are_not_written(text: str) -> None:
    assert not valid("ids-1.json#/$defs/time", text)
