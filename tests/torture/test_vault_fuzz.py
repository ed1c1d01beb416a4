"""Every parser of the vault with damaged and hostile input: an error of ours, or what was sealed; in bounded time."""

from __future__ import annotations

import base64
import json
import random
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.vault.rooms import FILES, SEGMENT

from strongroom.core.errors import IntegrityError, StrongroomError
from strongroom.vault import (
    PrivateKey,
    PublicKey,
    check,
    find_sources,
    open_object,
    read_manifest,
    seal,
    unseal,
)
from strongroom.vault._manifest import place_of
from strongroom.vault._signing import sign

from .vault_hostile import hostile, statement
from .vault_processes import killed
from .vault_steps import killing
from .vault_workshop import Tally, Workshop, holds, in_memory, lower_limits

pytestmark = pytest.mark.torture

SEED = 20_261_130
MOST_SECONDS = 3.0
"""For one input. The machine may be busy with other things."""
MOST_GROWTH = 400 << 20
"""Of the process, in bytes, over all inputs of one kind."""
JOURNALS = 600
"""Of each verb."""
MOST_BYTES = 8 << 20
"""Of a manifest; more takes memory because it is long."""
SIZES = {name: len(data) for name, data in FILES.items()}
TALLY = Tally(
    "fuzzing of the vault",
    "{count} damaged or hostile inputs: {jobs}. All others refused by an error of ours; what was accepted is true: no "
    "byte came out but what was sealed under that name; {seconds} s.",
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    with in_memory() as place:
        yield place


class Fuzz:
    """Inputs of one kind: what came of them, and how long the slowest took."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rng = random.Random(f"{SEED} {kind}")
        self.seen: Counter[str] = Counter()
        self.slowest, self.begun = 0.0, time.monotonic()
        self._memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def one(self, about: Any, work: Callable[[], None]) -> bool:
        """Whether it was accepted; then `work` has found that it is true."""
        begun = time.monotonic()
        try:
            work()
        except StrongroomError as error:
            self.seen["refused"] += 1
            json.dumps(error.as_dict())
            str(error).encode("utf-8", "surrogatepass")
            accepted = False
        except Exception as error:
            pytest.fail(f"{self.kind} {sum(self.seen.values())}: {type(error).__name__}: {error}\n{about!r:.3000}")
        else:
            self.seen["accepted"] += 1
            accepted = True
        self.slowest = max(self.slowest, time.monotonic() - begun)
        return accepted

    def end(self, text: str = "") -> None:
        assert self.slowest < MOST_SECONDS
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self._memory) << 10
        assert growth < MOST_GROWTH, f"the process grew by {growth:,} bytes"
        count = self.seen["refused"] + self.seen["accepted"]
        TALLY.add(
            f"{count:,} {self.kind} ({self.seen['accepted']:,} accepted{text}, slowest {self.slowest * 1000:.0f} ms)",
            self.begun,
            count=count,
        )


def true(path: Path, shop: Workshop, out: Path, rng: random.Random) -> None:
    """Opens all of an object in every way: each byte that comes out is one that was sealed under that name."""
    files = shop.files["new"]
    with open_object(path, door=shop.door()) as sealed:
        check(path, sealed.manifest, sealed)
        check(path, sealed.manifest, None, quick=rng.random() < 0.5)
        for name in sealed.names():
            try:
                file = sealed.file(name)
                start = rng.randrange(file.length + 1)
                buffer = bytearray(min(rng.choice((1, 100, SEGMENT, 10 * SEGMENT)), file.length - start))
                file.read_into(start, memoryview(buffer))
                file.close()
            except IntegrityError:
                continue
            assert buffer == files[name][start : start + len(buffer)]
        unseal(sealed, out, threads=1)
        found = {one.relative_to(out).as_posix(): one.read_bytes() for one in out.rglob("*") if one.is_file()}
        shutil.rmtree(out)
        assert found.items() <= files.items()


def test_signed_manifests_that_are_hostile_are_refused_or_give_what_was_sealed(scratch: Path) -> None:
    shop = Workshop(scratch / "shop", SIZES)
    path, other = shop.objects["new"], shop.objects["old"]
    original, another = payload_of(path), payload_of(other)
    fuzz = Fuzz("manifests that the trusted key signed")
    for _ in range(6000):
        payload = statement(original, another, fuzz.rng)
        if len(payload) > MOST_BYTES:
            continue
        (path / "model.sig").write_bytes(sign(payload, shop.own.signer.public, shop.own.door.keys))
        fuzz.one(payload, lambda: true(path, shop, scratch / "out", fuzz.rng))
    assert fuzz.seen["accepted"] > 100
    fuzz.end()


def payload_of(path: Path) -> dict[str, Any]:
    bundle = json.loads((path / "model.sig").read_bytes())
    found: dict[str, Any] = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return found


def test_bundles_that_nobody_signed_are_refused(scratch: Path) -> None:
    shop = Workshop(scratch / "shop", SIZES)
    path = shop.objects["new"]
    original, another = (path / "model.sig").read_bytes(), (shop.objects["old"] / "model.sig").read_bytes()
    manifest = read_manifest(path, shop.own.door.trusted).manifest
    fuzz = Fuzz("signature bundles")

    def read() -> None:
        assert read_manifest(path, shop.own.door.trusted).manifest == manifest

    for _ in range(8000):
        data = hostile(original, fuzz.rng, another)
        if data != original:
            (path / "model.sig").write_bytes(data)
            fuzz.one(data, read)
    fuzz.end()


def test_key_files_are_refused_or_are_keys(scratch: Path) -> None:
    fuzz = Fuzz("key files")
    keys = [PrivateKey.generate(kind, kind[:4]) for kind in ("mlkem768-x25519", "x25519", "p256")]  # type: ignore[arg-type]
    for key in keys:
        key.write(scratch)
    lines = {path: path.read_bytes() for path in sorted(scratch.iterdir())}
    path = scratch / "fuzzed"

    def public() -> None:
        key = PublicKey.read(path)
        assert PublicKey.parse(key.line()) == key
        if key.kind == "p256":
            key.pem()
            key.verify(b"", b"")
        else:
            key.wrap(bytes(32), b"context")

    def private() -> None:
        key = PrivateKey.read(path)
        if key.public.kind == "p256":
            key.public.verify(key.sign(b"message"), b"message")
        else:
            assert key.unwrap(key.public.wrap(bytes(32), b"context"), b"context") == bytes(32)

    for number in range(12_000):
        original = fuzz.rng.choice(list(lines))
        data = key_line(lines[original], fuzz.rng, fuzz.rng.choice(list(lines.values())))
        path.write_bytes(data)
        fuzz.one(data, public if original.suffix == ".pub" else private)
        if number % 3 == 0:
            fuzz.one(data, private if original.suffix == ".pub" else public)
    fuzz.end()


def key_line(line: bytes, rng: random.Random, other: bytes) -> bytes:
    """A line with damaged bytes; or a well-formed one whose key is of special bytes."""
    if rng.random() < 0.5:
        return hostile(line, rng, other)
    words = line.split()
    key = bytearray(base64.b64decode(words[3]))
    special = (
        bytes(len(key)),
        b"\xff" * len(key),
        b"\1" + bytes(len(key) - 1),
        bytes(key[:-32]) + bytes(32),
        rng.randbytes(len(key)),
    )
    changed = rng.choice(special) if rng.random() < 0.5 else bytes(key[: rng.randrange(len(key))])
    words[3] = base64.b64encode(changed)
    return b" ".join(words) + b"\n"


def test_sealed_files_that_were_changed_are_refused_or_give_what_was_sealed(scratch: Path) -> None:
    shop = Workshop(scratch / "shop", SIZES)
    path = shop.objects["new"]
    places = {name: path / place_of(name) for name in FILES}
    originals = {name: place.read_bytes() for name, place in places.items()}
    fuzz = Fuzz("sealed files")
    for _ in range(4000):
        name, other = fuzz.rng.choice(list(FILES)), fuzz.rng.choice(list(FILES))
        data = cut_and_joined(originals[name], originals[other], fuzz.rng)
        if data == originals[name]:
            continue
        places[name].write_bytes(data)
        fuzz.one((name, data), lambda: true(path, shop, scratch / "out", fuzz.rng))
        places[name].write_bytes(originals[name])
    assert not fuzz.seen["accepted"]
    fuzz.end()


def cut_and_joined(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Damaged bytes, or whole segments in another order, of another file, or not there."""
    if rng.random() < 0.5:
        return hostile(data, rng, other)
    segments = [data[at : at + SEGMENT] for at in range(74, len(data), SEGMENT)]
    foreign = [other[at : at + SEGMENT] for at in range(74, len(other), SEGMENT)]
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(segments) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            del segments[at : at + 1]
        elif kind == 1:
            segments.insert(at, rng.choice(segments + foreign))
        elif kind == 2 and at < len(segments):
            segments[at] = rng.choice(foreign)
        elif kind == 3:
            rng.shuffle(segments)
        else:
            del segments[at:]
    return (data if rng.random() < 0.8 else other)[:74] + b"".join(segments)


def test_journals_that_were_changed_are_refused_or_what_is_made_is_true(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_limits(monkeypatch, files=1)
    shop = Workshop(scratch / "shop", SIZES)
    door = shop.door()

    def sealing(out: Path) -> None:
        seal(find_sources([shop.source]), out, door.recipients, door, segment_length=SEGMENT, threads=1)

    def unsealing(out: Path) -> None:
        with open_object(shop.objects["new"], door=door) as sealed:
            unseal(sealed, out, threads=1)

    fuzz = Fuzz("journals")
    unusable = 0
    for verb, work in (("sealing", sealing), ("unsealing", unsealing)):
        for number in range(JOURNALS):
            out = scratch / f"{verb}-{number}"
            begun = scratch / f".{out.name}.{verb}"
            assert killed(lambda: stopped(work, out))  # noqa: B023
            journal = (begun / "journal").read_bytes()
            assert journal.count(b"\n") > 4
            data = lines_of(journal, fuzz.rng)
            (begun / "journal").write_bytes(data)
            if fuzz.one(data, lambda: work(out)):  # noqa: B023
                assert verb == "sealing" or holds(out, shop.files["new"])
                if verb == "sealing":
                    unusable += not fuzz.one(data, lambda: true(out, shop, scratch / "out", fuzz.rng))  # noqa: B023
            for folder in (out, begun):
                shutil.rmtree(folder, ignore_errors=True)
    fuzz.end(f", {unusable} of them into objects that do not open")


def stopped(work: Callable[[Path], None], out: Path) -> None:
    with killing(40, torn=False):
        work(out)


def lines_of(journal: bytes, rng: random.Random) -> bytes:
    """Its first line mostly stays, or nothing of it would be looked at."""
    head, _, rest = journal.partition(b"\n")
    lines = rest.splitlines()
    rng.shuffle(lines) if rng.random() < 0.2 else None
    kept = b"".join(line + b"\n" for line in lines if rng.random() < 0.9)
    if rng.random() < 0.3:
        kept += (
            rng.choice(
                (b"1", b"null", b"{}", b"[]", b'"x"', b'{"file":{}}', b'{"file":1}', b'{"key":1}', b'{"object":1}')
            )
            + b"\n"
        )
    return head + b"\n" + hostile(kept, rng, journal) if rng.random() < 0.95 else hostile(journal, rng, kept)
