"""Readers of access logs, fed with real records that are damaged, retyped and full of secrets.

Whatever comes, a reader gives events that hold what every event must, or RecordError: no secret that was planted where
one is looked for, no NUL, no time out of range, no event without somebody who acted, no endless text.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from strongroom.core.errors import RecordError
from strongroom.core.records import LoggedAccess
from strongroom.ingest import all_readers
from strongroom.ingest.reader import LineReader, Reader
from strongroom.ingest.readers._fields import CUT, MAX_FIELDS, MAX_VALUE
from strongroom.ingest.readers._time import EARLIEST, LATEST
from strongroom.ingest.readers._values import MAX_NAME

from .mutate import READERS, mutated, retyped, samples
from .results import record_result

INPUTS = 60_000
NAMES = [
    *("cloudtrail", "kubernetes-audit", "auditd", "falco", "gcp-audit", "gworkspace", "azure", "huggingface-audit"),
    *("ocsf", "ledger"),
]
UNIT = Path(__file__).parents[1] / "unit" / "ingest" / "readers"
SECRET = "Hunter2Zq"
KEYS = {
    "hugging face": f"hf_{SECRET}aBcDeFgHiJkLmNoPqRsTuVwXy",
    "openai": f"sk-proj-{SECRET}4aB_c5De-F6gH7iJ8kL9mN0oP1qR2sT3",
    "github": f"ghp_{SECRET}aBcDeFgHiJkLmNoPqRsTuVwXyZ0",
    "jwt": f"eyJhbGciOiJI.{SECRET}.{SECRET}",
}
MOST_NUMBER = 1 << 60
ALIASES = 20
"""Fields that a reader adds under a second name, for public rules, and CUT."""
TEXTS = [name for name in LoggedAccess.__struct_fields__ if name not in ("time", "bytes", "fields")]

pytestmark = pytest.mark.torture


def records() -> dict[str, list[Any]]:
    """Records by the reader that claims them: of the pages, of the unit tests, and of real trails where they are."""
    found: list[Any] = samples()
    for path in sorted(UNIT.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"examples_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for value in vars(module).values():
            found += value if isinstance(value, list) else [value]
    for page in sorted(READERS.glob("*.md")):
        for block in re.findall(r"```text\n(.*?)```", page.read_text(), re.DOTALL):
            found += [line.replace("\\x1d", "\x1d").encode() for line in block.splitlines()]
    trails = sorted((Path(__file__).parents[3] / "shared" / "data" / "cloud").rglob("*.json"))
    for trail in trails[::4]:
        read = json.loads(trail.read_text())
        found += (read["Records"] if isinstance(read, dict) and "Records" in read else read)[:20]
    sorted_out: dict[str, list[Any]] = defaultdict(list)
    for record in found:
        raw = record.encode() if isinstance(record, str) else record
        for reader in all_readers():
            claims = isinstance(raw, bytes) and isinstance(reader, LineReader) and reader.claims_line(raw) > 50
            if claims or (isinstance(record, dict) and reader.claims(record) > 50):
                sorted_out[reader.name].append(raw)
    assert all(sorted_out[name] for name in NAMES), "a reader has no example"
    return {name: sorted_out[name] for name in NAMES}


def places(value: Any, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All objects in a value."""
    if isinstance(value, dict):
        found.append(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        places(inner, found)
    return found


def command(rng: random.Random) -> list[str]:
    """The arguments of a command that holds the secret."""
    key = rng.choice(list(KEYS.values()))
    return rng.choice(
        [
            ["serve", "--password", SECRET, "-p", "8080"],
            ["serve", f"--hf-token={key}"],
            ["/usr/bin/curl", "-u", f"ann:{SECRET}", "https://x.example/"],
            ["curl", "-H", f"Authorization: Bearer {SECRET}"],
            ["mysql", "-uroot", f"-p{SECRET}", "db"],
            ["sshpass", "-p", SECRET, "ssh", "host"],
            ["redis-cli", "-a", SECRET],
            ["docker", "login", "-u", "ann", "-p", SECRET],
            ["env", f"DB_PASSWORD={SECRET}", "run"],
            ["git", "clone", f"https://ann:{SECRET}@host/x"],
            ["echo", key],
        ]
    )


def planted(record: Any, rng: random.Random) -> Any:
    """A record with a secret somewhere in it, where the readers look for one."""
    objects = places(record, [])
    if not objects:
        return record
    place, key = rng.choice(objects), rng.choice(list(KEYS.values()))
    how = rng.randrange(9)
    if how == 0:
        name = rng.choice(
            ["password", "dbPassword", "MYSQL_ROOT_PASSWORD", "clientSecret", "hf_token", "apiKey", "pwd"]
        )
        place[name] = rng.choice([SECRET, [SECRET, SECRET], key])
    elif how == 1:
        place["note"] = f"{rng.choice(['', 'x ', 'x=', '/srv/'])}{key}{rng.choice(['', ' y', chr(10)])}"
    elif how == 2:
        place["arguments"] = command(rng)
    elif how == 3:
        arguments = command(rng)
        place["command"], place["args"] = arguments[:1], arguments[1:]
    elif how == 4:
        place["line"] = " ".join(command(rng))
    elif how == 5:
        name = rng.choice(["dbPassword", "MYSQL_ROOT_PASSWORD", "token", "secret_key"])
        place["json"] = json.dumps({"a": [1, {name: SECRET, "b": "c"}]}, indent=rng.choice([None, 1]))
    elif how == 6:
        place["deep"] = json.dumps({"text": json.dumps({"password": SECRET, "list": command(rng)})})
    elif how == 7:
        for name in ("userAgent", "user_agent"):
            if isinstance(place.get(name), str):
                place[name] = f"x/1 Bearer {SECRET}"
        place["pem"] = f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"
    else:
        place["env"] = [{"name": "X", "value": f"token={SECRET}"}]
    return record


def planted_line(line: bytes, rng: random.Random) -> bytes:
    """An audit line of a command that holds a secret, in quotes or in hexadecimal as the kernel writes it."""
    start = re.match(rb"(?:node=\S+ )?type=\S+ (msg=audit\([^)]*\):)", line)
    arguments = command(rng)
    stamp = start[1] if start else b"msg=audit(1793525400.123:1):"
    if rng.random() < 0.3:
        return b"type=PROCTITLE " + stamp + b" proctitle=" + "\0".join(arguments).encode().hex().upper().encode()
    quoted = [
        each.encode().hex().upper() if re.search(r'[\s"]', each) or rng.random() < 0.3 else f'"{each}"'
        for each in arguments
    ]
    pairs = " ".join(f"a{number}={each}" for number, each in enumerate(quoted))
    return b"type=EXECVE " + stamp + f" argc={len(arguments)} {pairs}".encode()


ODD: list[Callable[[random.Random], Any]] = [
    lambda rng: rng.choice(["a", "x ", '"', "\\", "-", "é", "\x1f", "sk-", "--password ", "-----BEGIN "]) * 200_000,
    lambda rng: "a\0b\0" * rng.choice([1, 2000]),
    lambda rng: rng.choice(["\ud83d", "\ude00x", "x\ud83d" * 50]),
    lambda rng: rng.choice([-1, -(10**30), 10**30, 10**400, -(2**63), 2**64, 1e308, -1e308, 0.1, -0.0]),
    lambda rng: rng.choice(
        ["1970-01-01T00:00:00Z", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59Z", -62135596800, 10**25]
    ),
    lambda rng: {str(number): "x" * rng.choice([1, 5000]) for number in range(rng.choice([3, 700]))},
    lambda rng: [[["x"] * 3] * 3] * 3,
    lambda rng: {"strongroom.cut": "fields", "": "", "a.b": {"c": None}},
    lambda rng: rng.choice([float("nan"), float("inf"), float("-inf")]),
]


def damaged(record: Any, rng: random.Random) -> Any:
    """A record in which one to three values have become odd ones."""
    for _ in range(rng.randint(1, 3)):
        objects = [place for place in places(record, []) if place]
        if not objects:
            break
        place = rng.choice(objects)
        # Each huge text costs as much as a hundred records.
        make = rng.choice(ODD if rng.random() < 0.1 else ODD[1:])
        place[rng.choice(list(place))] = make(rng)
    return record


def nested(raw: bytes, rng: random.Random) -> bytes:
    """A record one of whose values is nested deeply."""
    depth, (start, end) = rng.choice([30, 150, 900, 5000]), rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    colons = [match.end() for match in re.finditer(rb'": ', raw)]
    if not colons:
        return start * depth + raw + end * depth
    at = rng.choice(colons)
    return raw[:at] + start * depth + b"1" + end * depth + b', "rest": ' + raw[at:]


def doubled(raw: bytes, rng: random.Random) -> bytes:
    """A record in which a name stands twice in one object, or in two."""
    names = re.findall(rb'"[\w.]{1,40}": ', raw)
    starts = [match.end() for match in re.finditer(rb"\{", raw)]
    if not names or not starts:
        return raw
    at = rng.choice(starts)
    return raw[:at] + rng.choice(names) + rng.choice([b"1", b'"x"', b"{}"]) + b", " + raw[at:]


def made(original: Any, other: Any, rng: random.Random) -> tuple[bytes, bool]:
    """A record for a reader, and whether a secret that was planted in it must not be seen again."""
    secret = rng.random() < 0.5
    if isinstance(original, bytes):
        raw = planted_line(original, rng) if secret else original
        how = rng.randrange(4)
        if how == 0:
            return raw, secret
        if how == 1 and not secret:
            return raw + b" " + rng.choice([b"a=", b'a="', b"a0=41 ", b"msg='", b"\x1d"]) * rng.choice(
                [10, 50_000]
            ), False
        return mutated(raw, rng, other if isinstance(other, bytes) else json.dumps(other).encode()), False
    record = json.loads(json.dumps(original))
    if rng.random() < 0.5:
        record = retyped(record, rng)
    if rng.random() < 0.4:
        record = damaged(record, rng)
    if secret:
        record = planted(record, rng)
    raw = json.dumps(record, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    how = rng.random()
    if how < 0.05:
        return nested(raw, rng), False  # what the secret stands in may be another place now
    if how < 0.1:
        return doubled(raw, rng), False
    if how < 0.4:
        return mutated(raw, rng, other if isinstance(other, bytes) else json.dumps(other).encode()), False
    return raw, secret


def check(row: Any, secret: bool, seen: Counter[str]) -> None:
    """What holds for every event."""
    assert isinstance(row, LoggedAccess)
    assert EARLIEST <= row.time < LATEST
    assert -1 <= row.bytes < MOST_NUMBER
    assert row.outcome in ("allowed", "refused", "failed")
    assert row.principal.strip()
    assert row.product
    assert row.service
    for name in TEXTS:
        text = getattr(row, name)
        assert len(text) <= MAX_NAME, name
    assert len(row.fields) <= MAX_FIELDS + ALIASES, "more fields than are kept"
    assert all(len(key) <= MAX_VALUE and len(value) <= MAX_VALUE for key, value in row.fields.items()), "too long"
    assert row.fields.get(CUT, "fields") in ("fields", "values", "fields,values")
    encoded = msgspec.json.encode(row)
    assert msgspec.json.decode(encoded, type=LoggedAccess) == row
    assert "\0" not in "".join([*(getattr(row, name) for name in TEXTS), *row.fields, *row.fields.values()]), "NUL"
    seen["events with something cut"] += CUT in row.fields
    if secret:
        assert SECRET.encode() not in encoded, "a secret came through"
        seen["events of records with a secret"] += 1


def test_access_readers_give_sound_events_or_told_errors() -> None:
    rng = random.Random(20_261_130)
    originals = records()
    readers: dict[str, Reader] = {reader.name: reader for reader in all_readers() if reader.name in NAMES}
    everything = list(itertools.chain.from_iterable(originals.values()))
    seen: Counter[str] = Counter()
    reasons: set[str] = set()
    per_reader: Counter[str] = Counter()
    slowest, which, started = 0.0, "", time.monotonic()
    for number in range(INPUTS):
        name = NAMES[number % len(NAMES)]
        raw, secret = made(rng.choice(originals[name]), rng.choice(everything), rng)
        for reader in (readers[name], readers[rng.choice(NAMES)]):
            before = time.monotonic()
            rows: list[Any] = []
            try:
                for row in reader.read(raw):
                    rows.append(row)  # noqa: PERF402 # what came before an error counts
            except RecordError as error:
                reasons.add(error.reason)
                seen["refused"] += 1
            except Exception as error:
                pytest.fail(f"input {number}, {reader.name}: {type(error).__name__}: {error}\n{raw[:3000]!r}")
            took = time.monotonic() - before
            if took > slowest:
                slowest, which = took, f"{reader.name}, {len(raw):,} bytes"
            for row in rows:
                try:
                    check(row, secret, seen)
                except AssertionError as error:
                    pytest.fail(f"input {number}, {reader.name}: {error}\n{raw[:3000]!r}\n{row!r:.3000}")
            seen["events"] += len(rows)
            per_reader[reader.name] += len(rows)
    assert all(per_reader[name] > INPUTS / 200 for name in NAMES), per_reader
    assert all(0 < len(reason) < 60 for reason in reasons)
    record_result(
        "fuzzing of access readers",
        f"{INPUTS:,} damaged, retyped or nested records, made of {len(everything)} real ones and examples, each with its "
        f"own and one more of {len(NAMES)} readers (seeded mutator): {seen['events']:,} events that hold what every event "
        f"must, {seen['events of records with a secret']:,} of them of records in which a secret was planted and none "
        f"with it, {seen['events with something cut']:,} with the mark of something cut; {seen['refused']:,} refused for "
        f"{len(reasons)} distinct reasons, no other exception; slowest record {slowest:.2f} s ({which}), "
        f"{time.monotonic() - started:.0f} s in all.",
    )
