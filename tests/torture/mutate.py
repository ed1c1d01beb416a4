"""A seeded mutator of bytes, and the containers that logs come in."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

READERS = Path(__file__).parents[2] / "docs" / "readers"

TOKENS = [
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\x1e"),
    *(b"null", b"true", b"-1", b"1e999", b"-0", b"NaN", b"9" * 40, b"1" * 5000, b'""', b"{}", b"[]"),
    *(b"\\ud800", b"\\udfff", b"\\ud83d\\ude00", b"\\u0000", b"\\x", b"\xed\xa0\x80", "\u202e\u2028".encode()),
    *(b"[" * 300, b'{"a":' * 300, b'"messages":', b'"content":', b'"account":', b'"time":', b'"role":"user"'),
    *(b'"1970-01-01T00:00:00Z"', b'"2026-13-45T99:99:99Z"', b"1793525400", b"-62135596800", b"253402300800000"),
]


def samples() -> list[dict[str, Any]]:
    """The records that the pages of docs/readers show, which are real ones made anonymous."""
    found = []
    for page in sorted(READERS.glob("*.md")):
        for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL):
            try:
                found.append(json.loads(block))
            except ValueError:
                found += [json.loads(line) for line in block.splitlines() if line.startswith("{")]
    assert len(found) >= 6, "docs/readers has lost its samples"
    return [record for record in found if isinstance(record, dict)]


def mutated(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """One to six changes, of the kinds that damage, editors and attackers make."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((1, 1, 2, 8, 64, 1000)))
        kind = rng.randrange(8)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            out[at:end] = rng.choice(TOKENS)
        elif kind == 4:
            out[at:at] = out[at:end]
        elif kind == 5:
            out[at:at] = other[rng.randrange(len(other)) :][: rng.choice((4, 40, 400))]
        elif kind == 6:
            del out[at:]
        else:
            out[at:at] = rng.randbytes(rng.choice((1, 3, 16)))
    return bytes(out)


def retyped(value: Any, rng: random.Random) -> Any:
    """The same record with some values of another type, as another version or a hostile client would write."""
    if rng.random() < 0.04:
        return rng.choice(
            [None, True, -1, 0, 1.5, 1e308, 2**63, -(2**70), "", "x" * 2000, "\0", "-", [], {}, [[]], "{}", "[1"]
        )
    if isinstance(value, dict):
        changed = {key: retyped(each, rng) for key, each in value.items() if rng.random() > 0.02}
        if value and rng.random() < 0.03:
            changed[rng.choice(list(value))] = value
        return changed
    if isinstance(value, list):
        return [retyped(each, rng) for each in value for _ in range(rng.choice((1, 1, 1, 1, 0, 3)))]
    return value


CONTAINERS = ("lines", "array", "pretty", "in a row", "csv", "parquet", "gzip", "zstd")


def contained(records: list[Any], how: str) -> bytes:
    """Records as bytes of one kind of file."""
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    if how in ("csv", "parquet"):
        rows = [{"account": f"a{i}", "time": i, "prompt": json.dumps(r)} for i, r in enumerate(records)]
        if how == "parquet":
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), sink)
            return sink.getvalue()
        quoted = ['{},{},"{}"\r\n'.format(r["account"], r["time"], str(r["prompt"]).replace('"', '""')) for r in rows]
        return ("account,time,prompt\r\n" + "".join(quoted)).encode()
    return {
        "lines": lines,
        "array": json.dumps(records).encode(),
        "pretty": json.dumps(records, indent=2).encode(),
        "in a row": lines.replace(b"\n", b""),
        "gzip": gzip.compress(lines, 1),
        "zstd": zstandard.ZstdCompressor(level=1).compress(lines),
    }[how]
