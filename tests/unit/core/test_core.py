"""Ids, times and errors keep their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core import errors
from strongroom.core.clock import format_time, now, parse_duration, parse_time
from strongroom.core.errors import RefusedError, StrongroomError, UsageError
from strongroom.core.ids import KINDS, check_asset_name, check_digest, check_id, make_id, new_id


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 1 << 47), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid7_of_its_time(kind: str, milliseconds: int, random: bytes) -> None:
    made = make_id(kind, time_us=milliseconds * 1000, random=random)
    assert check_id(made) == made
    digits = made.partition("_")[2]
    assert int(digits[:12], 16) == milliseconds
    assert digits[12] == "7"
    assert digits[16] in "89ab"


def test_ids_made_later_sort_later() -> None:
    assert make_id("cmp", time_us=1000, random=b"\xff" * 10) < make_id("cmp", time_us=2000, random=bytes(10))
    assert new_id("cmp", now()) != new_id("cmp", now())


@pytest.mark.parametrize(
    "text", ["", "cmp_", "cmp_" + "g" * 32, "xyz_" + "0" * 32, "cmp_" + "0" * 33, "../cmp_" + "0" * 32]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        check_id(text)


@pytest.mark.parametrize("name", ["org/model", "org/model:v1.2", "a-b_c.d/e"])
def test_asset_names(name: str) -> None:
    assert check_asset_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "model", "org/../x", "Org/model", "org/a/b", "org/model:", "a" * 300 + "/b", "org/mo del"]
)
def test_ill_formed_asset_names_are_refused(name: str) -> None:
    with pytest.raises(RefusedError):
        check_asset_name(name)


def test_digests_name_their_algorithm() -> None:
    assert check_digest("sha256:" + "0" * 64)
    for bad in ("0" * 64, "md5:" + "0" * 32, "sha256:" + "0" * 63, "sha256:" + "G" * 64):
        with pytest.raises(StrongroomError):
            check_digest(bad)


@given(st.integers(-(10**15), 4 * 10**15))
def test_times_survive_their_text_to_the_millisecond(micros: int) -> None:
    assert parse_time(format_time(micros)) == micros // 1000 * 1000


def test_offsets_are_heeded_and_a_bare_time_is_utc() -> None:
    assert (
        parse_time("2026-11-01T10:00:00+02:00")
        == parse_time("2026-11-01T08:00:00Z")
        == parse_time("2026-11-01T08:00:00")
    )


@pytest.mark.parametrize("text", ["", "3", "d", "-1d", "1y", "1.5h"])
def test_what_is_no_duration_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_every_error_has_its_exit_code() -> None:
    codes = {
        cls.__name__: cls.exit_code
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, Exception)
    }
    assert codes == {
        "StrongroomError": 6,
        "UsageError": 2,
        "InputError": 3,
        "RecordError": 3,
        "RefusedError": 4,
        "IntegrityError": 5,
    }
