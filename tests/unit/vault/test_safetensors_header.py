"""The header of a safetensors file that nobody should trust is refused, and where; never more than safetensors takes."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from strongroom.core.errors import InputError, UsageError
from strongroom.vault._safetensors import SafeOpen
from strongroom.vault._safetensors_header import MAX_HEADER_BYTES

from .memory_file import MemoryFile, safetensors_file, theirs, with_header


def info(dtype: Any = "U8", shape: Any = (1,), offsets: Any = (0, 1), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


ONE = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
HOSTILE: dict[str, tuple[Any, bytes, str]] = {
    "a list": ([], b"", "Expected `object`"),
    "cut": (b'{"a":', b"", "truncated"),
    "empty": (b"", b"", "truncated"),
    "more behind it": (b"{}{}", b"", "trailing characters"),
    "byte order mark": (b"\xef\xbb\xbf{}", b"", "malformed"),
    "not UTF-8": (b'{"__metadata__":{"a":"\xff"}}', b"", "utf-8"),
    "not UTF-8 in a name": (b'{"\xff":' + ONE + b"}", b"x", "utf-8"),
    "lone surrogate": (b'{"__metadata__":{"a":"\\ud800"}}', b"", "truncated"),
    "NaN": (b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', b"x", "malformed"),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"", "recursion"),
    "a name twice": (b'{"a":' + ONE + b',"a":' + ONE + b"}", b"x", "'a' stands twice"),
    "a name twice, one escaped": (b'{"a":' + ONE + b',"\\u0061":' + ONE + b"}", b"x", "'a' stands twice"),
    "a field twice": (b'{"a":{"shape":[9],' + ONE[1:] + b"}", b"x", "'shape' stands twice"),
    "metadata twice": (b'{"__metadata__":{},"__metadata__":{}}', b"", "'__metadata__' stands twice"),
    "a key of metadata twice": (b'{"__metadata__":{"a":"1","a":"2"}}', b"", "'a' stands twice"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, b"", "Expected `str`"),
    "metadata as a list": ({"__metadata__": []}, b"", "Expected `object"),
    "metadata as a tensor": ({"__metadata__": info()}, b"x", "Expected `str`"),
    "a tensor as a list": ({"a": ["U8", [1], [0, 1]]}, b"x", "Expected `object`"),
    "a field missing": ({"a": {"dtype": "U8", "shape": [1]}}, b"x", "data_offsets"),
    "unknown dtype": ({"a": info("u8")}, b"x", "unknown dtype 'u8'"),
    "shape null": ({"a": info(shape=None)}, b"x", "Expected `array`"),
    "shape of a float": ({"a": info(shape=[1.0])}, b"x", "Expected `int`, got `float`"),
    "shape of a bool": ({"a": info(shape=[True])}, b"x", "Expected `int`, got `bool`"),
    "shape of a text": ({"a": info(shape=["1"])}, b"x", "Expected `int`, got `str`"),
    "negative dimension": ({"a": info(shape=[-1])}, b"x", ">= 0"),
    "two negative dimensions": ({"a": info(shape=[-1, -1])}, b"x", ">= 0"),
    "negative offset": ({"a": info(offsets=[-1, 0])}, b"x", ">= 0"),
    "2**63": ({"a": info(shape=[2**63])}, b"x", "<= 9223372036854775807"),
    "2**64 + 1": ({"a": info(shape=[2**64 + 1])}, b"x", "<= 9223372036854775807"),
    "many digits": (
        b'{"a":{"dtype":"U8","shape":[1' + b"0" * 9999 + b'],"data_offsets":[0,1]}}',
        b"x",
        "header, tensor 'a'",
    ),
    "overflow": ({"a": info(shape=[2**62, 4], offsets=[0, 0])}, b"", "larger than any array"),
    "overflow in bits": ({"a": info("F64", shape=[2**61], offsets=[0, 0])}, b"", "larger than any array"),
    "overflow before a zero": ({"a": info(shape=[2**62, 4, 0], offsets=[0, 0])}, b"", "larger than any array"),
    "overflow behind a zero": ({"a": info(shape=[0, 2**62, 4], offsets=[0, 0])}, b"", "larger than any array"),
    "65 dimensions": ({"a": info(shape=[1] * 65)}, b"x", "length <= 64"),
    "three offsets": ({"a": info(offsets=[0, 1, 1])}, b"x", "length 2"),
    "end before begin": ({"a": info(offsets=[1, 0])}, b"x", "ends at 0, before it begins"),
    "too few bytes for the shape": ({"a": info(shape=[2])}, b"x", r"has 1 bytes; U8 of shape \[2\] has 2"),
    "bytes without elements": ({"a": info(shape=[0])}, b"x", r"has 1 bytes; U8 of shape \[0\] has 0"),
    "half a byte": ({"a": info("F4", [1], [0, 0])}, b"", "ends within a byte"),
    "a byte and a half": ({"a": info("F4", [3], [0, 1])}, b"x", "ends within a byte"),
    "six bits": ({"a": info("F6_E2M3", [3], [0, 2])}, b"xx", "ends within a byte"),
    "gap at the beginning": ({"a": info(offsets=[1, 2])}, b"xx", "leaves a gap before it: it begins at 1, not at 0"),
    "gap between": ({"a": info(), "b": info(offsets=[2, 3])}, b"xxx", "leaves a gap"),
    "same bytes twice": ({"a": info(), "b": info()}, b"x", "overlaps"),
    "overlap": ({"a": info(shape=[2], offsets=[0, 2]), "b": info(offsets=[1, 2])}, b"xx", "overlaps"),
    "nothing within another": (
        {"a": info(shape=[2], offsets=[0, 2]), "b": info(shape=[0], offsets=[1, 1])},
        b"xx",
        "overlaps",
    ),
    "bytes left": ({"a": info()}, b"xx", "do not fill a file with 2 behind the header"),
    "bytes missing": ({"a": info(shape=[3], offsets=[0, 3])}, b"xx", "go past the end of a file with 2"),
    "no tensors but bytes": ({}, b"x", "do not fill"),
}
OURS_ALONE = {
    "a name twice",
    "a name twice, one escaped",
    "a key of metadata twice",
    "a tensor as a list",
    "65 dimensions",
} | {"overflow behind a zero"}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_header_is_refused_with_its_place(case: str) -> None:
    header, data, message = HOSTILE[case]
    content = with_header(header if isinstance(header, bytes) else json.dumps(header).encode(), data)
    with pytest.raises(InputError, match=f"(?si){message}") as raised:
        SafeOpen(MemoryFile(content, "shard"))
    assert raised.value.where.startswith("shard: header")
    assert len(str(raised.value)) < 700
    assert (theirs(content, lambda opened: opened.keys()) is None) == (case not in OURS_ALONE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1234567", "shorter than 8 bytes"),
        (bytes(8), "truncated"),
        (b"\xff" * 8, "more than 100,000,000"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}", "more than 100,000,000"),
        (MAX_HEADER_BYTES.to_bytes(8, "little") + b"{}", "goes past the end of the file"),
        ((3).to_bytes(8, "little") + b"{}", "goes past the end of the file"),
    ],
)
def test_a_bad_length_is_refused_before_anything_is_allocated(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SafeOpen(MemoryFile(content))


@pytest.mark.parametrize("header", [b" {} \n", b'{"__metadata__":null}', b'{"a":' + ONE[:-1] + b',"more":[{"x":1}]}}'])
def test_what_safetensors_takes_beside_the_format_is_taken(header: bytes) -> None:
    content = with_header(header, b"x" * header.count(b"dtype"))
    with SafeOpen(MemoryFile(content)) as opened:
        assert opened.keys() == theirs(content, lambda opened: opened.keys())
        assert opened.metadata() is None


def test_a_long_header_is_read_in_two_calls() -> None:
    file = MemoryFile(safetensors_file({"a": ("U8", [1], b"x")}, {"note": "y" * 200_000}))
    with SafeOpen(file) as opened:
        assert len(file.reads) == 2
        assert opened.get_tensor("a").tobytes() == b"x"
        assert len((opened.metadata() or {})["note"]) == 200_000


@given(st.binary(max_size=300))
@example(b"{}")
@example(b'{"__metadata__":{"a":"b"}}')
def test_any_header_is_a_file_or_an_input_error(header: bytes) -> None:
    with contextlib.suppress(InputError):
        SafeOpen(MemoryFile(with_header(header))).close()


@given(st.data())
def test_a_changed_header_is_never_more_than_safetensors_takes(data: Any) -> None:
    content = bytearray(safetensors_file({"ab": ("I16", [2, 1], b"abcd"), "c": ("U8", [3], b"efg")}, {"k": "v"}))
    size = int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(8, 7 + size))] = data.draw(st.sampled_from(b'0123456789"{}[],:-eUIF x\\\x00\xff'))

    def everything(opened: Any) -> dict[str, bytes]:
        return {name: opened.get_tensor(name).tobytes() for name in opened.offset_keys()}

    try:
        with SafeOpen(MemoryFile(bytes(content))) as opened:
            ours = everything(opened)
    except (InputError, UsageError):
        return
    assert ours == theirs(bytes(content), everything)
