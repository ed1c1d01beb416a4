"""Framing finds every record that is whole, says of the others where and why, and keeps little in memory."""

from __future__ import annotations

import codecs
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.errors import InputError
from strongroom.ingest import _frames
from strongroom.ingest._documents import ValueSplitter
from strongroom.ingest.reader import MAX_DEPTH

from .logs import compressed, framed, lines, record, values

RECORDS = [record(i) for i in range(5)]


# Lines


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"  \n \n"])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("last", [True, False])
def test_lines_with_any_ends(end: bytes, bom: bytes, last: bool) -> None:
    data = bom + end.join(json.dumps(r).encode() for r in RECORDS) + (end if last else b"")
    assert values(data) == RECORDS


def test_places_are_line_numbers_of_the_file() -> None:
    assert framed(b'{"a":1}\n\n \r\n{"a":2}\n{"a":3}')[2] == [1, 4, 5]


def test_a_line_longer_than_a_block_is_whole() -> None:
    long = {**record(1), "pad": "x" * (3 << 20)}
    assert values(lines([record(0), long, record(2)])) == [record(0), long, record(2)]
    assert values(codecs.BOM_UTF8 + lines([long, record(2)])) == [long, record(2)]


class Line100MB(io.RawIOBase):
    """A record, a line of 100 MB, a record: never whole in memory."""

    def __init__(self, *, closed_by: bytes = b"\n") -> None:
        start, end = lines([record(0)]) + b'{"prompt": "', closed_by + lines([record(1)])
        self._pieces = [start, *[b"x" * (1 << 20)] * 100, end, b""]
        self._data = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._data = self._data or (self._pieces.pop(0) if self._pieces else b"")
        given, self._data = self._data[:size], self._data[size:]
        return given


@pytest.mark.parametrize("small", [b"\n", b'"}\n'])
def test_a_line_of_100_mb_is_passed_over_in_bounded_memory(small: bytes) -> None:
    tracemalloc.start()
    try:
        records, bad, places = framed(Line100MB(closed_by=small))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [json.loads(raw) for raw in records] == [record(0), record(1)]
    assert (bad, places) == ([(2, "line too long")], [1, 3])
    assert peak < 4 * _frames.MAX_RECORD


def test_a_long_line_at_the_end_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_frames, "MAX_RECORD", 1 << 20)
    assert framed(lines(RECORDS) + b"x" * (4 << 20))[1] == [(6, "line too long")]


def test_a_truncated_first_line_does_not_change_what_the_rest_is() -> None:
    for cut in (b'ello"}], "a": 1}\n', b'{"role": "user"}]}\n', b'[{"role": "user"}], "a": {"b": 1}}\n', b"]}\n"):
        records, bad, _ = framed(cut + lines(RECORDS))
        whole = [value for value in map(_decoded, records) if value]
        assert whole[-len(RECORDS) :] == RECORDS, cut
        assert len(records) + len(bad) <= len(RECORDS) + 2


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


# Documents


def pretty(records: list[dict[str, Any]]) -> str:
    return json.dumps(records, indent=2)


DOCUMENTS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "array in one line": json.dumps,
    "pretty array": pretty,
    "array with a record a line": lambda rs: "[\n" + ",\n".join(map(json.dumps, rs)) + "\n]\n",
    "array in an array": lambda rs: json.dumps([[r] for r in rs]),
    "arrays in a row": lambda rs: "\n".join(json.dumps([r]) for r in rs),
    "pretty objects in a row": lambda rs: "\n".join(json.dumps(r, indent=4) for r in rs),
    "pretty objects without space between": lambda rs: "".join(json.dumps(r, indent=1) for r in rs),
    "objects in a row, no space between": lambda rs: "".join(map(json.dumps, rs)),
    "objects in a row, commas between": lambda rs: ", ".join(map(json.dumps, rs)),
    "objects in a row over several lines": lambda rs: "\n".join(json.dumps(r) * 1 + json.dumps(r) for r in rs),
    "record separators (RFC 7464)": lambda rs: "".join(f"\x1e{json.dumps(r)}\n" for r in rs),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_documents_of_every_shape(name: str, bom: bytes) -> None:
    expected = [r for r in RECORDS for _ in range(2)] if "over several" in name else RECORDS
    assert values(bom + DOCUMENTS[name](RECORDS).encode()) == expected


@pytest.mark.parametrize("name", DOCUMENTS)
def test_large_documents_of_every_shape(name: str) -> None:
    tricky = [{**record(i), "pad": '{"[\\"}]' * 9_000, "end": "\\" * (i % 5)} for i in range(40)]
    expected = [r for r in tricky for _ in range(2)] if "over several" in name else tricky
    assert values(DOCUMENTS[name](tricky).encode()) == expected


def test_one_pretty_object_is_one_record() -> None:
    assert values(json.dumps(record(1), indent=2).encode()) == [record(1)]


def test_a_document_that_ends_inside_a_record_loses_that_one() -> None:
    whole = pretty(RECORDS).encode()
    records, bad, _ = framed(whole[:-20])
    assert ([json.loads(r) for r in records], bad) == (RECORDS[:-1], [(5, "truncated JSON")])


def test_a_bracket_too_many_costs_one_place() -> None:
    data = b"[" + json.dumps(record(0)).encode() + b"]}\n[" + json.dumps(record(1)).encode() + b"]"
    records, bad, _ = framed(data)
    assert ([json.loads(r) for r in records], bad) == ([record(0), record(1)], [(2, "not JSON")])


def test_a_nesting_bomb_in_a_document_costs_one_record() -> None:
    for bomb in ('{"a": ' * 5000 + "1" + "}" * 5000, '{"a": ' + "[" * 5000 + "]" * 5000 + "}"):
        data = f"[{json.dumps(record(0))}, {bomb}, {json.dumps(record(1))}]".encode()
        records, bad, _ = framed(data)
        assert ([json.loads(r) for r in records], bad) == ([record(0), record(1)], [(2, "nested too deep")])


def test_arrays_without_end_are_no_log() -> None:
    with pytest.raises(InputError, match="nested too deep"):
        framed(b"[" * 10_000)


def test_a_record_that_is_too_long_in_a_document_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.ingest._documents.MAX_RECORD", 1 << 20)
    long = json.dumps({"prompt": "x" * (5 << 20), "b": [1, {"c": "}"}]})
    for closed in (True, False):
        tail = f", {json.dumps(record(1))}]" if closed else ""
        records, bad, _ = framed(f"[{json.dumps(record(0))}, {long if closed else long[:-9]}{tail}".encode())
        assert [json.loads(r) for r in records] == ([record(0), record(1)] if closed else [record(0)])
        assert bad == [(2, "record too long")]


def test_text_between_records_is_not_kept() -> None:
    tracemalloc.start()
    try:
        framed(b"[" + b"1," * (20 << 20) + b'{"a": 1}]')
        framed(b'["' + b"x" * (40 << 20) + b'", {"a": 1}]')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20  # the input itself is 40 MB


def test_records_before_the_end_of_a_damaged_stream_are_kept() -> None:
    many = [{**record(i), "pad": i} for i in range(30_000)]
    for data in (lines(many), json.dumps(many).encode()):
        cut = compressed(data, "gzip")[:-1000]
        chunks, bad = [], ""
        try:
            for chunk in _frames.frames(_frames_stream(cut)):
                chunks += chunk.records
        except InputError as error:
            bad = error.message
        assert bad == "damaged compression"
        assert len(chunks) > 25_000
        assert [json.loads(raw) for raw in chunks] == many[: len(chunks)]


def _frames_stream(data: bytes) -> Any:
    from strongroom.ingest._streams import decompress

    return decompress(io.BytesIO(data))[0]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text()
    | st.sampled_from(['"', '\\"', "[{", "}]", "\\"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
OBJECTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=6)
SPACE = st.sampled_from(["", " ", "\n", "\r\n\t"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[dict[str, Any]], bytes]:
    """Objects, and a document that holds them: an array or values in a row, spaced in any way."""
    objects = draw(OBJECTS)
    spell = {"indent": draw(st.sampled_from([None, 0, 2])), "ensure_ascii": draw(st.booleans())}
    texts = [json.dumps(o, **spell) + draw(SPACE) for o in objects]
    text = "[" + draw(SPACE) + ",".join(texts) + "]" if draw(st.booleans()) else draw(SPACE).join(texts)
    return objects, text.encode("utf-8", "surrogatepass")


@given(documents(), st.lists(st.integers(1, 40), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_borders_of_blocks_change_nothing_in_a_document(
    document: tuple[list[dict[str, Any]], bytes], sizes: list[int]
) -> None:
    objects, data = document
    splitter, found, at = ValueSplitter(), [], 0
    for turn in range(len(data)):
        size = sizes[turn % len(sizes)]
        found += list(splitter.feed(data[at : at + size]))
        at += size
    assert not list(splitter.end())
    assert all(raw is not None for raw, _ in found)
    assert [json.loads(raw or b"") for raw, _ in found] == objects


@given(OBJECTS, st.booleans(), st.sampled_from(["\n", "\r\n", "\n \n"]))
@settings(max_examples=150, deadline=None)
def test_lines_are_what_json_says(objects: list[dict[str, Any]], bom: bool, end: str) -> None:
    text = end.join(json.dumps(o) for o in objects) + "\n"
    assert values(codecs.BOM_UTF8 * bom + text.encode()) == objects


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_borders_of_blocks_change_nothing_in_lines(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_frames, "CHUNK_BYTES", block)
    data = codecs.BOM_UTF8 + lines(RECORDS[:2]) + b"\r\n" + lines(RECORDS[2:])[:-1]
    records, bad, places = framed(data)
    assert ([json.loads(r) for r in records], bad, places) == (RECORDS, [], [1, 2, 4, 5, 6])


@given(st.binary(max_size=400) | st.text(alphabet='[]{}",:\\ab1 \n', max_size=200).map(str.encode))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_framed_or_refused(data: bytes) -> None:
    try:
        records, _, places = framed(data)
    except InputError:
        return
    assert len(records) == len(places)


# Tables


def test_csv_with_quoted_newlines_quotes_and_line_ends() -> None:
    data = 'account,time,prompt\r\na,1,"two\r\nlines, and ""quotes"""\r\n\r\nb,2,plain\r\n'
    for bom in (b"", codecs.BOM_UTF8):
        records = values(bom + data.encode())
        assert records == [
            {"account": "a", "time": "1", "prompt": 'two\r\nlines, and "quotes"'},
            {"account": "b", "time": "2", "prompt": "plain"},
        ]


def test_bad_rows_of_csv_are_counted_and_the_rest_goes_on() -> None:
    data = b"account,time\na,1\nb\nc,3,4\nd,\xff\ne,5\n"
    records, bad, places = framed(data)
    assert [json.loads(r)["account"] for r in records] == ["a", "e"]
    assert bad == [(3, "wrong number of columns"), (4, "wrong number of columns"), (5, "invalid UTF-8")]
    assert places == [2, 6]


def test_of_two_columns_of_one_name_the_first_keeps_it() -> None:
    assert values(b"id,account,id\n1,a,2\n") == [{"id": "1", "account": "a", "id.2": "2"}]


def test_csv_ends_inside_a_quoted_field() -> None:
    records, bad, _ = framed(b'account,time\na,1\nb,"never closed\nc,3\n')
    assert ([json.loads(r)["account"] for r in records], len(bad)) == (["a", "b"], 0)


@pytest.mark.parametrize("quote", ['"', ""])
def test_a_csv_row_that_is_too_long_is_passed_over_whole(quote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client writes into a long quoted field must not come out as rows of the log."""
    monkeypatch.setattr("strongroom.ingest._tables.MAX_RECORD", 1 << 20)
    filler = ("x" * 1000 + ("\nforged,9\n" if quote else "")) * 3000
    data = f"account,time\na,1\nb,{quote}{filler}{quote}\nc,3\n".encode()
    records, bad, _ = framed(data)
    assert [json.loads(r)["account"] for r in records] == ["a", "c"]
    assert bad == [(3, "row too long")]


def test_an_endless_csv_line_is_passed_over_in_bounded_memory() -> None:
    class Endless(Line100MB):
        def __init__(self) -> None:
            super().__init__()
            self._pieces = [b"account,time\na,1\nb,", *[b"x" * (1 << 20)] * 100, b"\nc,3\n", b""]

    tracemalloc.start()
    try:
        records, bad, _ = framed(Endless())  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ([json.loads(r)["account"] for r in records], bad) == (["a", "c"], [(3, "row too long")])
    assert peak < 4 * _frames.MAX_RECORD


def parquet(path: Path, table: pa.Table, **more: Any) -> Path:
    pq.write_table(table, path, **more)
    return path


def framed_file(path: Path) -> tuple[list[bytes], list[tuple[int, str]], list[int]]:
    with path.open("rb") as file:
        return framed(file)


def test_parquet_rows_with_times_in_nanoseconds_and_nested_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "account": ["a", "b"],
            "time": pa.array([1_793_525_400_123_456_789, None], pa.timestamp("ns", "UTC")),
            "naive": pa.array([1_793_525_400_123_456_789, 1], pa.timestamp("ns")),
            "messages": [[{"role": "user", "content": "hi"}], None],
        }
    )
    records, bad, places = framed_file(parquet(tmp_path / "a.parquet", table))
    first, second = map(json.loads, records)
    assert (bad, places) == ([], [1, 2])
    assert first["time"].startswith("2026-11-01T")
    assert first["messages"] == [{"role": "user", "content": "hi"}]
    assert second["time"] is None


def test_a_row_of_parquet_that_is_no_text_costs_one_row(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"\xff\xfe", b"c"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    far = pa.array([1, 2, 2**62], pa.timestamp("us"))  # a year that Python does not know
    records, bad, _ = framed_file(parquet(tmp_path / "a.parquet", pa.table({"account": text, "time": far})))
    assert ([json.loads(r)["account"] for r in records], bad) == (
        ["a"],
        [(2, "invalid UTF-8"), (3, "value out of range")],
    )


def test_parquet_is_read_from_its_place_not_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.ingest._tables.MAX_PIPED", 1000)
    table = pa.table({"account": [f"acct_{i}" for i in range(5000)], "time": list(range(5000))})
    path = parquet(tmp_path / "a.parquet", table)
    assert len(framed_file(path)[0]) == 5000
    with pytest.raises(InputError, match="too large") as caught:
        framed(compressed(path.read_bytes(), "gzip"))
    assert "decompress" in caught.value.next


def test_damaged_parquet_is_an_input_error_after_the_rows_before(tmp_path: Path) -> None:
    table = pa.table({"account": [f"acct_{i}" for i in range(40_000)], "time": list(range(40_000))})
    path = parquet(tmp_path / "a.parquet", table, row_group_size=10_000, use_dictionary=False, compression="NONE")
    whole = path.read_bytes()
    with pytest.raises(InputError, match="not a Parquet file"):
        framed(whole[:-100])
    with pytest.raises(InputError, match="not a Parquet file"):
        framed(b"PAR1" + bytes(100))
    damaged = bytearray(whole)
    middle = len(whole) * 2 // 3
    damaged[middle : middle + 200_000] = bytes(200_000)
    path.write_bytes(damaged[: len(whole)])
    found = []
    with path.open("rb") as file, pytest.raises(InputError, match="Parquet"):
        for chunk in _frames.frames(_frames_stream_of(file)):
            found += chunk.records
    assert len(found) >= 10_000


def _frames_stream_of(file: Any) -> Any:
    from strongroom.ingest._streams import decompress

    return decompress(file)[0]


def test_a_parquet_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.ingest._tables.FREE_EXPANSION", 1 << 20)
    table = pa.table(
        {"account": pa.array(["a" * 100]).take(pa.array([0] * 100_000, pa.int32())), "time": [1] * 100_000}
    )
    path = parquet(tmp_path / "a.parquet", table)
    with pytest.raises(InputError, match="expands too much"):
        framed_file(path)


# What is no log


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)), "not a text log"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a text log"),
        (b"PK\x03\x04" + bytes(range(256)), "not a text log"),
        (b"%PDF-1.7\n", "not a text log"),
        (b"\x7fELF" + bytes(64), "not a text log"),
        (bytes(1000), "not a text log"),
        ('{"a": 1}\n'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}\n{"a": 1}\n'.encode("utf-16-le"), "not a text log"),
        ('{"a": 1}\n'.encode("utf-32"), "UTF-16"),
    ],
)
def test_what_is_no_log_is_said_to_be_none(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        framed(data)


def test_white_space_alone_holds_no_record() -> None:
    assert framed(b" \n\r\n\t\n") == ([], [], [])
    assert framed(codecs.BOM_UTF8) == ([], [], [])


def test_depth_is_allowed_up_to_the_bound() -> None:
    deep = '{"a": ' * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH - 1)
    assert len(values(f"[{deep}, {deep}]".encode())) == 2
