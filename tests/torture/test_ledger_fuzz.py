"""Every parser of the ledger, and whole logs, with damaged and hostile bytes: errors of ours, or the truth."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import rfc8785

from strongroom.core.errors import StrongroomError
from strongroom.ledger import (
    COSIGNATURE,
    Checkpoint,
    KeyFile,
    LogReader,
    NoteSigner,
    VerifierKey,
    canonicalise,
    check_entry,
    create_ledger,
    encode_entry,
    load_key,
    read_checkpoint,
    read_keys,
    verify_log,
)
from strongroom.ledger import DirectoryStorage as Directory
from strongroom.ledger._checkpoint import open_checkpoint
from strongroom.ledger._merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hashes,
    nodes_of,
    root_of,
)
from strongroom.ledger._notes import Note, SigningKey, parse_note, sign_note, verify_note
from strongroom.ledger._proof import InclusionProof, check_proof, parse_proof
from strongroom.ledger._record import decode_records, encode_record
from strongroom.ledger._rotation import KeyChain, rotation_entry
from strongroom.ledger._tiles import (
    bundle_path,
    decode_bundle,
    decode_tile,
    encode_bundle,
    levels_of,
    tile_path,
    widths,
)
from strongroom.ledger._witness import Witness, WitnessMemory
from strongroom.ledger._witness_client import cosign, latest

from .ledger_logs import KEY, SIGNER, NoSync, check_log, entry, opened
from .mutate import mutated
from .results import record_result

pytestmark = pytest.mark.torture

SEED = 20_261_124
INPUTS = 4_000
"""For each parser."""
LOGS = 1_500
MOST_SECONDS = 2.0
TOKENS = [
    *(b"\n", b"\n\n", "— ".encode(), b" ", b"+", b"=", b"\0", b"\xff", "\u2028".encode(), "é".encode(), b"\r"),
    *(b"0", b"00", b"-1", b"9223372036854775807", b"9223372036854775808", b"1" * 5000, "١".encode(), b"1_0"),
    *(b"AAAA", b"old 0\n", b"index 0\n", b"extra AAAA\n", b"SRJ1", b"SRJ1\0\0\0\x28", b"\0\0", b"\xff\xff"),
    *(base64.b64encode(bytes(32)), base64.b64encode(EMPTY_ROOT), b"log.example/torture", b"[" * 3000, b'"a":1,' * 2),
]

ENTRIES = [entry(number, number % 7) for number in range(20)]
LEAVES = leaf_hashes(ENTRIES)
ROOT = root_of(LEAVES)
WITNESS = SigningKey("witness.example/w", bytes([9]) * 32, COSIGNATURE)
CHECKPOINT = Checkpoint(KEY.verifier.name, len(ENTRIES), ROOT)
NOTE = sign_note(CHECKPOINT.text(), [KEY])
COSIGNED = NOTE + str(WITNESS.cosign(CHECKPOINT.text(), 1_793_525_400)).encode()
OLD = Checkpoint(KEY.verifier.name, 7, root_of(LEAVES[:7]))
PROOF = InclusionProof(5, tuple(inclusion_proof(5, 20, nodes_of(LEAVES))), COSIGNED, b"extra").encode()
ROTATED = SigningKey("log.example/torture", bytes([8]) * 32)


def hostile(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """As files and messages are damaged, and as somebody who knows the formats would write them."""
    if rng.random() < 0.5:
        data = mutated(data, rng, other)
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.choice(TOKENS) + data[at + rng.choice((0, 0, 1, 5, 40)) :]
    if rng.random() < 0.1:
        lines = data.split(b"\n")
        rng.shuffle(lines)
        data = b"\n".join(lines)
    return data


# Each takes bytes, and asserts that what is accepted is true.


def _note(data: bytes) -> None:
    assert parse_note(data, where="fuzz").encode() == data


def _verified_note(data: bytes) -> None:
    assert verify_note(data, [KEY.verifier, WITNESS.verifier], where="fuzz").text == CHECKPOINT.text()


def _checkpoint(data: bytes) -> None:
    signed = open_checkpoint(data, [KEY.verifier], witnesses=[WITNESS.verifier], where="fuzz")
    assert signed.checkpoint == CHECKPOINT
    assert set(signed.cosigned.values()) <= {1_793_525_400}


def _proof(data: bytes) -> None:
    proof = parse_proof(data, where="fuzz")
    with contextlib.suppress(StrongroomError):
        signed = check_proof(proof, ENTRIES[5], [KEY.verifier], witnesses=[WITNESS.verifier], where="fuzz")
        assert (proof.index, signed.checkpoint) == (5, CHECKPOINT)


def _vkey(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert str(VerifierKey.parse(text)) == text.strip()


def _entry(data: bytes) -> None:
    made = canonicalise(data, where="fuzz")
    check_entry(made)
    assert rfc8785.dumps(json.loads(made)) == made
    check_entry(data)
    assert made == data


def _tile(data: bytes) -> None:
    assert b"".join(decode_tile(data, 20, "fuzz")) == data[: 20 * 32]


def _bundle(data: bytes) -> None:
    found = decode_bundle(data, 20, "fuzz")
    assert len(found) == 20
    assert data.startswith(encode_bundle(found))


RECORDS = [(0, ENTRIES[:5]), (5, ENTRIES[5:6]), (6, ENTRIES[6:])]
JOURNAL = b"".join(b"".join(encode_record(n, [encode_bundle(e)], bytes(32))) for n, e in RECORDS)


def _journal(data: bytes) -> None:
    for record in decode_records(data, where="fuzz"):
        assert (record.first, list(record.entries)) in RECORDS


def _add_checkpoint(data: bytes) -> None:
    storage = WitnessMemory()
    witness = Witness(WITNESS, {KEY.verifier.name: [KEY.verifier]}, storage)
    answer = witness.add_checkpoint(data, 1_793_525_400)
    assert answer.status in (200, 400, 403, 404, 409, 422)
    assert (answer.status == 200) == bool(storage.notes)
    for note in storage.notes.values():
        assert open_checkpoint(note, [KEY.verifier], where="fuzz").checkpoint in (CHECKPOINT, OLD)
    if answer.status != 200:
        raise StrongroomError(answer.body.decode())


def _second_checkpoint(data: bytes) -> None:
    """The witness has cosigned the first seven entries; whatever else it cosigns continues them."""
    storage = WitnessMemory()
    witness = Witness(WITNESS, {KEY.verifier.name: [KEY.verifier]}, storage)
    assert witness.add_checkpoint(b"old 0\n\n" + sign_note(OLD.text(), [KEY]), 1_793_525_400).status == 200
    answer = witness.add_checkpoint(data, 1_793_525_401)
    (note,) = storage.notes.values()
    now = open_checkpoint(note, [KEY.verifier], where="fuzz").checkpoint
    assert now == (CHECKPOINT if answer.status == 200 and b"\n20\n" in data else OLD)
    if answer.status != 200:
        raise StrongroomError(answer.body.decode())


def _answer(data: bytes) -> None:
    status = (200, 409, 404, 500)[len(data) % 4 if len(data) % 7 == 0 else 0]
    line = cosign(
        "http://witness.example",
        old_size=7,
        note=NOTE,
        prove=lambda old, new: consistency_proof(old, new, nodes_of(LEAVES)),
        witness=WITNESS.verifier,
        send=lambda *_, **__: (status, data),
    )
    verify_note(Note(CHECKPOINT.text(), (line,)).encode(), [WITNESS.verifier], where="fuzz")


def _latest(data: bytes) -> None:
    signed = latest(
        "http://witness.example",
        KEY.verifier.name,
        [KEY.verifier],
        WITNESS.verifier,
        fetch=lambda *_, **__: data,
    )
    assert signed is None or signed.checkpoint == CHECKPOINT


NEXT = NoteSigner(KeyFile(ROTATED), ROTATED.verifier)
ROTATION = encode_entry(rotation_entry(SIGNER, NEXT, 1_793_525_400_000_000))


def _rotation(data: bytes) -> None:
    check_entry(data)
    chain = KeyChain(KEY.verifier)
    chain.see(0, data)
    assert set(chain.introduced) <= {KEY.verifier, ROTATED.verifier}


def _hostile_rotation(data: bytes) -> None:
    """A canonical entry of the right type with any note in it."""
    body = {"note": data.decode("utf-8", "replace")}
    raw = {"type": "strongroom.ledger.key/1", "time": "2026-11-01T09:30:00.123Z", "writer": "ledger", "body": body}
    _rotation(canonicalise(json.dumps(raw).encode()))


PARSERS: dict[str, tuple[bytes, Callable[[bytes], None]]] = {
    "note": (COSIGNED, _note),
    "verified note": (COSIGNED, _verified_note),
    "checkpoint": (COSIGNED, _checkpoint),
    "proof": (PROOF, _proof),
    "verifier key": (str(KEY.verifier).encode(), _vkey),
    "entry": (
        rfc8785.dumps(json.loads(ENTRIES[3]) | {"body": {"é": [1.5, {"a": None}], "n": -7, "s": "\n\u20ac"}}),
        _entry,
    ),
    "tile": (b"".join(LEAVES), _tile),
    "bundle": (encode_bundle(ENTRIES), _bundle),
    "journal": (JOURNAL, _journal),
    "add-checkpoint, the first": (b"old 0\n\n" + NOTE, _add_checkpoint),
    "add-checkpoint, a later one": (
        b"old 7\n"
        + b"".join(base64.b64encode(h) + b"\n" for h in consistency_proof(7, 20, nodes_of(LEAVES)))
        + b"\n"
        + NOTE,
        _second_checkpoint,
    ),
    "a witness's answer": (COSIGNED[len(NOTE) :], _answer),
    "a witness's latest checkpoint": (COSIGNED, _latest),
    "rotation": (ROTATION, _rotation),
    "rotation's note": (str(json.loads(ROTATION)["body"]["note"]).encode(), _hostile_rotation),
}


@pytest.mark.parametrize("name", PARSERS)
def test_the_bytes_that_are_fuzzed_are_accepted_as_they_are(name: str) -> None:
    data, parse = PARSERS[name]
    assert data
    parse(data)  # raises when it refuses


def test_hostile_bytes_end_in_errors_of_ours() -> None:
    rng = random.Random(SEED)
    seen: Counter[str] = Counter()
    slowest, longest, started = 0.0, 0, time.monotonic()
    originals = [data for data, _ in PARSERS.values()]
    for name, (original, parse) in PARSERS.items():
        for _ in range(INPUTS):
            data = hostile(original, rng, rng.choice(originals))
            before = time.monotonic()
            try:
                parse(data)
                seen["accepted"] += 1
            except StrongroomError as error:
                seen["refused"] += 1
                longest = max(longest, len(str(error)))
            except Exception as error:
                pytest.fail(f"{name}: {type(error).__name__}: {error}\n{data[:2000]!r}")
            slowest = max(slowest, time.monotonic() - before)
    assert slowest < MOST_SECONDS
    assert longest < 1_000, "an error repeats what a stranger wrote"
    record_result(
        "fuzzing of the ledger's parsers",
        f"{INPUTS * len(PARSERS):,} damaged or hostile inputs of {len(PARSERS)} kinds ({', '.join(PARSERS)}): "
        f"{seen['refused']:,} refused by an error of ours, {seen['accepted']:,} accepted "
        f"and true; slowest {slowest * 1000:.0f} ms, {time.monotonic() - started:.0f} s in all.",
    )


def test_key_files_end_in_errors_of_ours_and_tell_no_secret(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    secret = base64.b64encode(bytes([1]) + bytes(range(32))).decode()
    line = f"PRIVATE+KEY+{KEY.verifier.name}+{KEY.verifier.id.hex()}+{secret}\n".encode()
    path = tmp_path / "key"
    path.write_bytes(line)
    assert load_key(path).verifier == KEY.verifier
    for _ in range(INPUTS):
        path.write_bytes(hostile(line, rng, NOTE))
        said = ""
        try:
            assert load_key(path).verifier == KEY.verifier
        except StrongroomError as error:
            said = str(error)
        assert secret[4:24] not in said


def _small_log(root: Path) -> list[bytes]:
    """A log of 530 entries of which 520 are in tiles, as a kill leaves it."""
    entries = [entry(number, number % 5) for number in range(530)]
    create_ledger(Directory(root, NoSync()), SIGNER)
    sequencer = opened(root, NoSync())
    sequencer.append_many(entries[:300])
    sequencer.append_many(entries[300:520])
    sequencer.close()
    for path in (root / "journal").iterdir():
        path.unlink()
    tree = Frontier()
    tree.extend(leaf_hashes(entries[:520]))
    records = b""
    for first, last in ((520, 521), (521, 526), (526, 530)):
        tree.extend(leaf_hashes(entries[first:last]))
        records += b"".join(encode_record(first, [encode_bundle(entries[first:last])], tree.root()))
    (root / "journal" / f"{1:012d}").write_bytes(records)
    return entries


def test_a_log_whose_files_are_damaged_is_told_or_gives_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.ledger._reserve.Reserve.restore", lambda self: None)
    rng = random.Random(SEED)
    started = time.monotonic()
    entries = _small_log(tmp_path / "good")
    files = {
        path.relative_to(tmp_path / "good"): path.read_bytes()
        for path in sorted((tmp_path / "good").rglob("*"))
        if path.is_file()
    }
    # Partial tiles of earlier sizes stay until full ones replace them; nobody reads those any more.
    needed = {
        f"public/{path}"
        for level in range(levels_of(520))
        for index, width in widths(520, level)
        for path in (tile_path(level, index, width), *([bundle_path(index, width)] if level == 0 else []))
    }
    assert needed <= set(map(str, files))
    seen: Counter[str] = Counter()
    for number in range(LOGS):
        root = tmp_path / f"log{number}"
        shutil.copytree(tmp_path / "good", root)
        names = rng.sample(sorted(files), rng.choice((1, 1, 1, 2)))
        for name in names:
            if rng.random() < 0.1:
                (root / name).unlink()
            else:
                other = rng.choice(list(files.values()))
                (root / name).write_bytes(other if rng.random() < 0.1 else hostile(files[name], rng, other or b"x"))
        source = Directory(root / "public")
        wrong = False
        for name in names:
            there = (root / name).read_bytes() if (root / name).exists() else None
            wrong = wrong or (str(name) in needed and there != files[name])
        try:
            verdict = verify_log(source, [KEY.verifier])
            assert verdict.size == 520
            assert verdict.damage or not wrong, f"verify does not see what is wrong with {names}"
            seen["found by verify" if verdict.damage else "not found by verify"] += 1
        except StrongroomError:
            seen["found by verify"] += 1
        try:
            read_keys(source, "keys")
            reader = LogReader(source, read_checkpoint(source, [KEY.verifier]))
            assert reader.size == 520
        except StrongroomError:
            pass
        else:
            for index in rng.sample(range(520), 12):
                with contextlib.suppress(StrongroomError):
                    data, proof = reader.prove_entry(index)
                    assert data == entries[index]
                    check_proof(proof, data, [KEY.verifier], where="fuzz")
                with contextlib.suppress(StrongroomError):
                    assert reader.entry(index) == entries[index]
        try:
            sequencer = opened(root, NoSync())
        except StrongroomError:
            seen["not opened"] += 1
        else:
            size = sequencer.append_bytes(entry(10**6))
            sequencer.close()
            seen["opened"] += 1
            # What is behind a torn end of the journal is gone; nothing else may be, and nothing is another.
            assert 520 <= size <= 530
            with contextlib.suppress(StrongroomError):  # a tile that was not read at the start may be damaged
                reader = check_log(root, {}, {})
                assert [data for _, data in reader.entries()] == [*entries[:size], entry(10**6)]
        shutil.rmtree(root)
    record_result(
        "damaged logs",
        f"{LOGS:,} copies of a log with a damaged, exchanged or missing file or two: verify finds it in "
        f"{seen['found by verify']:,} (the rest is in the journal, in keys, or no change), {seen['not opened']:,} are "
        f"not opened to append, {seen['opened']:,} are; no entry that was read, proved or published is another than "
        f"the one that was written; {time.monotonic() - started:.0f} s.",
    )
