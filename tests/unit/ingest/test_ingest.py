"""A log becomes rows: each once, in order, whatever else is in the log, and however often it is read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strongroom.core.clock import parse_time
from strongroom.core.errors import InputError, StrongroomError
from strongroom.core.records import Exchange
from strongroom.ingest import MappedReader, Progress, Settings, _ingest, ingest, reader_named
from strongroom.ingest.reader import Reader
from strongroom.store import Store

from .logs import KEY, SECRET, Site, compressed, lines, record

GOOD = [record(i) for i in range(20)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# Bad input

TEXT = json.dumps(record(99))
BAD_LINES: dict[str, tuple[bytes, str]] = {
    "truncated": (TEXT[:-20].encode(), "truncated JSON"),
    "not JSON": (b"GET / " + SECRET.encode(), "not JSON"),
    "invalid UTF-8": (TEXT.replace("battery", "\udcff").encode("utf-8", "surrogateescape"), "invalid UTF-8"),
    "NUL": (b"\0\0" + TEXT.encode(), "NUL byte"),
    "only NUL": (b"\0" * 100, "NUL byte"),
    "nesting bomb": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
    "nesting bomb of arrays": (TEXT[:-1].encode() + b', "x":' + b"[" * 100_000, "nested too deep"),
    "duplicate key": (TEXT[:-1].encode() + b', "account": "victim"}', "duplicate key"),
    "wrong type": (json.dumps({**record(99), "account": {"id": 1}}).encode(), "wrong type"),
    "an array": (b"[1, 2, 3]", "wrong type"),
    "a number": (b"12345", "wrong type"),
    "no account": (json.dumps({"time": record()["time"], "prompt": SECRET}).encode(), "required field missing"),
    "empty account": (json.dumps({**record(99), "account": " "}).encode(), "no account"),
    "year 1970": (json.dumps({**record(99), "time": "1970-01-01T00:00:00Z"}).encode(), "time out of range"),
    "year 9999": (json.dumps({**record(99), "time": "9999-12-31T23:59:59Z"}).encode(), "time out of range"),
    "no time": (json.dumps({**record(99), "time": "yesterday"}).encode(), "time out of range"),
    "negative tokens": (json.dumps({**record(99), "output_tokens": -5}).encode(), "output_tokens out of range"),
    "absurd tokens": (json.dumps({**record(99), "output_tokens": 1e300}).encode(), "output_tokens out of range"),
    "number of many digits": (TEXT[:-1].encode() + b', "status": ' + b"9" * 5000 + b"}", "output"),
}


@pytest.mark.parametrize("workers", [0, 2])
def test_each_bad_line_is_counted_by_reason_with_its_place_and_the_rest_goes_on(
    site: Site, tmp_path: Path, workers: int
) -> None:
    log, reasons = b"", {}
    for place, ((bad, reason), good) in enumerate(zip(BAD_LINES.values(), GOOD, strict=False)):
        log += lines([good]) + bad + b"\n"
        reasons[2 * place + 2] = reason
    report = site.ingest(write(tmp_path / "a.jsonl", log), workers=workers)
    assert report.records == 2 * len(BAD_LINES)
    assert report.new == len(BAD_LINES)
    assert sum(report.skipped.values()) == len(BAD_LINES)
    places = {entry["place"]: entry["reason"] for entry in site.places()}
    assert set(places) == set(reasons)
    for place, reason in reasons.items():
        assert reason in places[place] or reason == "output", (place, reason, places[place])
    assert {entry["source"] for entry in site.places()} == {str(tmp_path / "a.jsonl")}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_log_of_one_kind_of_bad_line_is_unusable_and_says_why(name: str, site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no exchange or access event could be read") as caught:
        site.ingest(write(tmp_path / "a.jsonl", (BAD_LINES[name][0] + b"\n") * 3))
    assert str(tmp_path / "a.jsonl") in caught.value.where
    assert "--format" in caught.value.next
    assert SECRET not in str(caught.value)
    entries = site.places()
    assert len(entries) == 3 or name in ("only NUL", "an array")  # such a file is no log, not a log of bad lines
    assert len(entries) >= 1


def test_no_prompt_reaches_the_rejects_file(site: Site, tmp_path: Path) -> None:
    log = b"".join(bad + b"\n" for bad, _ in BAD_LINES.values())
    csv = f'account,time,prompt\na,1,"{SECRET}",4\nb,"{SECRET}\n'.encode()
    write(tmp_path / "logs/a.jsonl", lines(GOOD) + log)
    write(tmp_path / "logs/b.json", b"[" + b",".join(bad for bad, _ in BAD_LINES.values()) + b"]")
    write(tmp_path / "logs/c.csv", csv)
    write(tmp_path / "logs/d.txt", SECRET.encode() * 1000)
    write(tmp_path / "logs/e.json", TEXT.encode()[:-3])
    site.ingest(tmp_path / "logs")
    text = site.rejects.read_text()
    assert len(text.splitlines()) > len(BAD_LINES)
    for word in SECRET.split():
        assert word not in text


def test_what_is_rejected_cannot_steer_a_terminal(site: Site, tmp_path: Path) -> None:
    log = lines([{**record(1), "time": "\x1b[2J\x07\u202eevil"}])
    site.ingest(write(tmp_path / "a.jsonl", lines(GOOD) + log))
    (entry,) = site.places()
    assert all(c.isprintable() for c in entry["detail"])


def test_a_million_bad_lines_do_not_fill_the_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ingest, "MAX_REJECTS", 10)
    report = site.ingest(write(tmp_path / "a.jsonl", lines(GOOD) + b"x\n" * 1000))
    assert report.skipped["not JSON"] == 1000
    assert len(site.places()) == report.rejects_written == 10


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "white space": (b"\n \n", "no records"),
    "only a BOM": (b"\xef\xbb\xbf", "no records"),
    "empty array": (b"[]", "no records"),
    "array of numbers": (b"[1, 2, 3]", "no records"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 10, "not a text log"),
    "UTF-16": (lines(GOOD).decode().encode("utf-16"), "UTF-16"),
    "truncated gzip": (compressed(lines(GOOD), "gzip")[:15], "damaged compression"),
    "gzip of nothing": (compressed(b"", "gzip"), "empty"),
    "truncated zstd": (compressed(lines(GOOD), "zstd")[:15], "damaged compression"),
    "bzip2": (b"BZh91AY&SY" + bytes(50), "compression not supported"),
    "zeros in gzip": (compressed(bytes(10 << 20), "gzip"), "not a text log"),
    "damaged Parquet": (b"PAR1" + bytes(100) + b"PAR1", "not a Parquet file"),
    "text": (b"one line\nanother line\n", "not JSON"),
    "CSV without a mapping": (b"account,time\na,1\n", "format not recognised"),
    "unknown JSON": (b'{"a": 1}\n{"a": 2}\n', "format not recognised"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_input_is_an_error_that_says_what_was_tried(name: str, site: Site, tmp_path: Path) -> None:
    data, reason = UNUSABLE[name]
    path = write(tmp_path / "input", data)
    with pytest.raises(InputError, match=reason) as caught:
        site.ingest(path)
    assert str(path) in caught.value.where
    assert caught.value.next


@pytest.mark.parametrize("name", UNUSABLE)
def test_one_unusable_file_does_not_stop_the_others(name: str, site: Site, tmp_path: Path) -> None:
    write(tmp_path / "logs/a", UNUSABLE[name][0])
    write(tmp_path / "logs/b.jsonl", lines(GOOD))
    for expected in (len(GOOD), 0):  # the second time, nothing is new, and that is no error
        assert site.ingest(tmp_path / "logs").new == expected


def test_a_log_without_one_exchange_is_unusable_even_when_it_is_recognised(site: Site, tmp_path: Path) -> None:
    span = {
        "resourceSpans": [{"scopeSpans": [{"spans": [{"name": "SELECT", "startTimeUnixNano": "1793525400000000000"}]}]}]
    }
    with pytest.raises(InputError, match="not an exchange: 3"):
        site.ingest(write(tmp_path / "a.jsonl", lines([span] * 3)), reader=reader_named("otel"))


def test_a_file_that_cannot_be_opened_or_read_does_not_stop_the_others(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "logs/a.jsonl", lines([record(100)]))
    write(tmp_path / "logs/b.jsonl", lines(GOOD))
    opened = Path.open

    def refuse(path: Path, *more: Any, **named: Any) -> Any:
        if path.name == "a.jsonl":  # tests may run as root, whom no permission stops
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more, **named)

    monkeypatch.setattr(Path, "open", refuse)
    report = site.ingest(tmp_path / "logs")
    assert (report.new, dict(report.skipped)) == (len(GOOD), {"Permission denied": 1})
    assert site.places()[0]["source"].endswith("a.jsonl")
    with pytest.raises(InputError, match="Permission denied"):
        site.ingest(tmp_path / "logs/a.jsonl")


def test_a_disk_that_fails_in_the_middle_costs_the_rest_of_that_file(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [record(i) for i in range(40_000)]
    path = write(tmp_path / "a.jsonl", lines(many))
    opened = Path.open

    class Failing:
        def __init__(self, file: Any) -> None:
            self._file, self._left = file, 3 << 20

        def read(self, size: int) -> bytes:
            self._left -= size
            if self._left < 0:
                raise OSError(5, "Input/output error")
            return self._file.read(size)  # type: ignore[no-any-return]

        def __enter__(self) -> Failing:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

    monkeypatch.setattr(
        Path, "open", lambda p, *m, **n: Failing(opened(p, *m, **n)) if p == path else opened(p, *m, **n)
    )
    report = site.ingest(path)
    assert 20_000 < report.new < 40_000
    assert report.skipped["Input/output error"] == 1
    monkeypatch.undo()
    assert report.new + site.ingest(path).new == 40_000


def test_a_reader_that_breaks_costs_one_record(site: Site, tmp_path: Path) -> None:
    class Breaking:
        name, title, reference, metadata_only = "breaking", "", "", False

        def claims(self, _: dict[str, Any]) -> int:
            return 0

        def read(self, raw: bytes) -> Iterable[Exchange]:
            value = json.loads(raw)
            yield Exchange(parse_time(value["time"]), value["account"], value["prompt"].lower())

    reader: Reader = Breaking()
    report = site.ingest(
        write(tmp_path / "a.jsonl", lines([*GOOD, {**record(1), "prompt": 7}, record(50)])), reader=reader
    )
    assert report.new == len(GOOD) + 1
    assert report.skipped == {"reader failed": 1}
    assert [(e["place"], e["detail"]) for e in site.places()] == [(len(GOOD) + 1, "AttributeError")]


# Shapes


@pytest.mark.parametrize("how", ["", "gzip", "zstd"])
@pytest.mark.parametrize("shape", ["lines", "crlf", "bom", "array", "pretty", "in a row"])
def test_one_log_in_every_shape_and_compression(how: str, shape: str, site: Site, tmp_path: Path) -> None:
    data = {
        "lines": lines(GOOD),
        "crlf": lines(GOOD).replace(b"\n", b"\r\n"),
        "bom": b"\xef\xbb\xbf" + lines(GOOD),
        "array": json.dumps(GOOD).encode(),
        "pretty": json.dumps(GOOD, indent=2).encode(),
        "in a row": b"".join(json.dumps(r).encode() for r in GOOD),
    }[shape]
    report = site.ingest(write(tmp_path / "a", compressed(data, how)))
    assert (report.new, dict(report.skipped)) == (len(GOOD), {})
    assert [account for (account,) in site.rows("account")] == [r["account"] for r in GOOD]
    assert report.sources[0].format == "exchange-log"


def test_a_directory_of_mixed_formats(site: Site, tmp_path: Path) -> None:
    bedrock = {
        "schemaType": "ModelInvocationLog",
        "timestamp": "2026-11-01T09:30:00Z",
        "identity": {"arn": "arn:aws:iam::1:user/ann"},
        "modelId": "m",
        "operation": "InvokeModel",
        "requestId": "r-1",
        "input": {"inputBodyJson": {"messages": [{"role": "user", "content": "hello there"}]}, "inputTokenCount": 3},
    }
    write(tmp_path / "logs/a.jsonl", lines(GOOD))
    write(tmp_path / "logs/b/bedrock.json.gz", compressed(json.dumps(bedrock).encode(), "gzip"))
    write(tmp_path / "logs/.hidden", lines([record(500)]))
    write(tmp_path / "logs/photo.jpg", UNUSABLE["JPEG"][0])
    report = site.ingest(tmp_path / "logs", tmp_path / "logs/a.jsonl")
    assert report.new == len(GOOD) + 1
    assert {Path(s.path).name: s.format for s in report.sources} == {
        "a.jsonl": "exchange-log",
        "bedrock.json.gz": "bedrock",
        "photo.jpg": "",
    }
    assert dict(report.skipped) == {"not a text log": 1}


def test_csv_and_parquet_by_a_mapping_are_the_same_rows(tmp_path: Path) -> None:
    reader = MappedReader({"account": "who", "time": "at", "text": "what"})
    rows = [{"who": f"a{i}", "at": f"2026-11-01T00:00:{i:02d}Z", "what": f'text\nof {i}, "quoted"'} for i in range(9)]
    quoted = ['"{}"'.format(r["what"].replace('"', '""')) for r in rows]
    csv = "who,at,what\r\n" + "".join(f"{r['who']},{r['at']},{q}\r\n" for r, q in zip(rows, quoted, strict=True))
    one = Site(tmp_path / "one")
    one.ingest(write(tmp_path / "a.csv", csv.encode()), reader=reader)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    two = Site(tmp_path / "two")
    report = two.ingest(tmp_path / "a.parquet", reader=reader)
    assert report.new == 9
    columns = ("account", "time", "text_digest", "words", "embedding")
    assert one.rows(*columns) == two.rows(*columns)


def test_times_of_other_zones_and_disorder_are_one_order_of_time(site: Site, tmp_path: Path) -> None:
    times = ["2026-11-01T12:00:00+05:30", "2026-11-01T06:30:00.000Z", "2026-10-31T22:30:00-08:00", 1_793_514_600_000]
    site.ingest(write(tmp_path / "a.jsonl", lines({**record(i), "time": t} for i, t in enumerate(times))))
    assert len({time for (time,) in site.rows("time")}) == 1
    mixed = [record(i) for i in (5, 1, 9, 3, 7)]
    site.ingest(write(tmp_path / "b.jsonl", lines(mixed)))
    positions = [position for source, position in site.rows("source", "position") if source.endswith("b.jsonl")]
    assert positions == [1, 2, 3, 4, 5]


def test_rows_say_where_they_came_from_and_keep_no_text(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"\n\n" + lines(GOOD[:1]) + b"x\n" + lines(GOOD[1:2]))
    site.ingest(path)
    assert site.rows("source", "position", "format", "text") == [
        (str(path), 3, "exchange-log", None),
        (str(path), 5, "exchange-log", None),
    ]


# The same again


def grown(log: bytes, name: str) -> bytes:
    return {
        "same": log,
        "gzip": compressed(log, "gzip"),
        "zstd": compressed(log, "zstd"),
        "crlf": log.replace(b"\n", b"\r\n"),
        "bom": b"\xef\xbb\xbf" + log,
        "spaced": log.replace(b"\n", b"\n\n"),
    }[name]


@pytest.mark.parametrize("name", ["same", "gzip", "zstd", "crlf", "bom", "spaced"])
def test_the_same_log_again_adds_nothing(name: str, site: Site, tmp_path: Path) -> None:
    log = lines([*GOOD, *GOOD[:5], GOOD[0]])
    assert site.ingest(write(tmp_path / "a.jsonl", log)).new == len(GOOD) + 6  # equal lines of one log all count
    report = site.ingest(write(tmp_path / "b", grown(log, name)))
    assert (report.records, report.new, dict(report.skipped)) == (len(GOOD) + 6, 0, {})
    report = site.ingest(write(tmp_path / "c", grown(log + lines([GOOD[0], record(77)]), name)))
    assert report.new == 2
    assert len(site.rows("id")) == len(GOOD) + 8


def test_a_log_that_grew_by_the_end_of_a_line(site: Site, tmp_path: Path) -> None:
    log = lines(GOOD)
    report = site.ingest(write(tmp_path / "a.jsonl", log[:-30]))
    assert (report.new, dict(report.skipped)) == (len(GOOD) - 1, {"truncated JSON": 1})
    assert site.ingest(write(tmp_path / "a.jsonl", log)).new == 1


def test_the_same_id_in_another_line_or_file_is_one_record(site: Site, tmp_path: Path) -> None:
    one, other = {**record(1), "id": "r-1"}, {**record(1), "id": "r-1", "model": "m", "status": 200}
    report = site.ingest(write(tmp_path / "a.jsonl", lines([one, other, {**one, "account": "another"}])))
    assert (report.new, dict(report.skipped)) == (2, {"same id again": 1})
    report = site.ingest(write(tmp_path / "b.json", json.dumps([other], indent=1).encode()))
    assert report.new == 0
    assert report.sources[0].records == 1


def test_an_input_of_nothing_but_known_ids_is_no_error(site: Site, tmp_path: Path) -> None:
    site.ingest(write(tmp_path / "a.jsonl", lines([{**record(1), "id": "r-1"}])))
    assert site.ingest(write(tmp_path / "b.jsonl", lines([{**record(1), "id": "r-1", "model": "m"}]))).new == 0


def test_a_window_that_is_widened_later_adds_what_was_left_out(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines(GOOD))
    five, ten = parse_time(GOOD[5]["time"]), parse_time(GOOD[10]["time"])
    report = site.ingest(path, window=(five, ten))
    assert (report.new, dict(report.skipped)) == (5, {"outside the window": 15})
    assert site.ingest(path, window=(five, None)).new == 10
    assert site.ingest(path).new == 5
    assert site.ingest(path).new == 0
    assert len(set(site.keys())) == len(GOOD)


def test_a_window_that_holds_nothing_is_no_error(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines(GOOD))
    assert site.ingest(path, window=(parse_time("2027-01-01T00:00:00Z"), None)).new == 0


def test_a_window_through_the_middle_of_a_record_can_be_widened_too(site: Site, tmp_path: Path) -> None:
    """An export request of a collector holds many exchanges on one line."""

    def span(i: int) -> dict[str, Any]:
        attributes = {
            "gen_ai.system": "x",
            "gen_ai.request.model": "m",
            "user.id": "ann",
            "gen_ai.prompt.0.content": "hi",
        }
        return {
            "spanId": f"{i:016x}",
            "traceId": f"{i:032x}",
            "name": "chat",
            "startTimeUnixNano": str((parse_time("2026-11-01T00:00:00Z") + i * 1_000_000) * 1000),
            "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
        }

    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span(i) for i in range(10)]}]}]}
    path = write(tmp_path / "a.jsonl", lines([export]))
    middle = parse_time("2026-11-01T00:00:04Z")
    assert site.ingest(path, window=(middle, None)).new == 6
    assert site.ingest(path, window=(middle, None)).new == 0
    assert site.ingest(path).new == 4
    assert site.ingest(path).new == 0
    assert len(set(site.keys())) == 10


# Processes, order, commits


def test_any_number_of_processes_gives_the_same_rows_in_the_order_of_the_input(tmp_path: Path) -> None:
    log = [record(i, id=f"r-{i % 9000}") if i % 3 else record(i % 500) for i in range(12_000)]
    path = write(tmp_path / "a.jsonl", lines(log) + b"x\n")
    sites = {workers: Site(tmp_path / str(workers)) for workers in (0, 1, 2)}
    reports = [site.ingest(path, workers=workers) for workers, site in sites.items()]
    columns = ("position", "record_key", "line_key", "text_digest", "minhash", "embedding", "time")
    rows = [site.rows(*columns) for site in sites.values()]
    assert rows[0] == rows[1] == rows[2]
    assert [row[0] for row in rows[0]] == sorted(row[0] for row in rows[0])
    assert len({str((r.skipped, r.new, r.records)) for r in reports}) == 1


def test_progress_grows_to_the_end_and_never_beyond(site: Site, tmp_path: Path) -> None:
    write(tmp_path / "logs/a.jsonl", lines(record(i) for i in range(20_000)))
    write(tmp_path / "logs/b.jsonl.gz", compressed(lines(record(i) for i in range(20_000, 40_000)), "gzip"))
    write(tmp_path / "logs/c.jsonl", b"")
    seen: list[Progress] = []
    site.ingest(tmp_path / "logs", progress=seen.append)
    total = sum(path.stat().st_size for path in (tmp_path / "logs").iterdir())
    assert {at.bytes_total for at in seen} == {total}
    done = [at.bytes_done for at in seen]
    assert done == sorted(done)
    assert 0.9 * total <= done[-1] <= total
    assert seen[-1].records == 40_000


def interrupt_in(monkeypatch: pytest.MonkeyPatch, *, before: bool) -> list[int]:
    """Ctrl-C in the second commit: right before it, or when it is done but has not returned."""
    append, commits = Store.append_exchanges, []

    def interrupted(self: Store, batches: Any, **more: Any) -> None:
        commits.append(len(batches))
        if before and len(commits) == 2:
            raise KeyboardInterrupt
        append(self, batches, **more)
        if len(commits) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "append_exchanges", interrupted)
    return commits


@pytest.mark.parametrize("before", [True, False])
def test_an_interrupted_commit_is_neither_lost_nor_doubled(
    before: bool, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ingest, "COMMIT_ROWS", 1000)
    path = write(tmp_path / "a.jsonl", lines(record(i) for i in range(30_000)))
    with monkeypatch.context() as patch:
        interrupt_in(patch, before=before)
        with pytest.raises(KeyboardInterrupt):
            site.ingest(path)
    kept = site.keys()
    assert 0 < len(kept) == len(set(kept)) < 30_000
    report = site.ingest(path)
    assert report.new + len(kept) == 30_000
    assert len(set(site.keys())) == 30_000


def test_what_was_read_before_an_interruption_is_kept(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", lines(record(i) for i in range(30_000)))

    def stop(at: Progress) -> None:
        if at.records > 10_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.ingest(path, progress=stop)
    kept = len(site.keys())
    assert kept > 1000
    assert site.ingest(path).new == 30_000 - kept


class FullDisk(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_rejects_file_that_cannot_be_written_ends_the_run_and_keeps_the_rows(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines(record(i) for i in range(20_000)) + b"x\n")
    with pytest.raises(StrongroomError, match="rejects file cannot be written: No space left") as caught:
        ingest([str(path)], site.store, Settings(KEY), rejects=FullDisk(), workers=0)
    assert type(caught.value) is StrongroomError
    assert len(site.keys()) > 10_000


def test_records_that_are_cut_are_counted(site: Site, tmp_path: Path) -> None:
    event = {
        "eventVersion": "1.11",
        "eventTime": "2026-11-01T00:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/ann"},
    }
    long, many = {"x": "y" * 5000}, {f"x{i}": "y" for i in range(600)}
    events = [{**event, "eventID": f"e{i}", "requestParameters": asked} for i, asked in enumerate(({}, long, many))]
    report = site.ingest(write(tmp_path / "a.json", json.dumps({"Records": events}).encode()))
    assert (report.new, report.cut) == (3, 2)
