"""Our logs are logs to others, and theirs to us; what one refuses the other refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.core.errors import IntegrityError
from strongroom.ledger._notes import COSIGNATURE, SigningKey, VerifierKey

from .conftest import Peer, run
from .logs import entries_of, some_indexes, verify_log, write_log

LOG = SigningKey("log.example/ours", bytes(range(32)))
OTHER = SigningKey("log.example/ours", bytes(32))
WITNESS = SigningKey("witness.example/ours", bytes(31) + b"\1", COSIGNATURE)
PAIRS = [(0, 0), (1, 1), (1, 255), (255, 256), (256, 257), (300, 700), (65_000, 66_000)]


@pytest.mark.parametrize(("old", "size"), PAIRS)
def test_others_verify_our_signature_entries_and_growth(peer: Peer, tmp_path: Path, old: int, size: int) -> None:
    write_log(tmp_path, LOG, entries_of(size), old=old, witness=WITNESS)
    indexes = some_indexes(size)
    said = peer("check", tmp_path, LOG.verifier, ",".join(map(str, indexes)))
    assert said.stderr == ""
    expected = [f"size {size}: {len(indexes)} entries included"] + [f"consistent with size {old}"] * bool(old)
    assert said.stdout.splitlines() == expected
    verify_log(tmp_path, LOG.verifier, witnesses=[WITNESS.verifier])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def write_old_of_another_past(log: Path) -> None:
    fork = log.parent / "fork"
    write_log(fork, LOG, entries_of(301)[1:])
    (fork / "checkpoint").replace(log / "checkpoint.old")


def write_another_size(log: Path) -> None:
    path = log / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n700\n", b"\n701\n"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "an entry": lambda log: flip(log / "tile/entries/000", 2 + 90),
    "the hash of the leaf beside entry 0": lambda log: flip(log / "tile/0/000", 32),
    "a node": lambda log: flip(log / "tile/1/000.p/2", 0),
    "the size": write_another_size,
    "another key": lambda log: write_log(log, OTHER, entries_of(700), old=300),
    "an older checkpoint of another past": write_old_of_another_past,
    "a missing tile": lambda log: (log / "tile/0/000").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_others_refuse_our_log_after_any_damage(peer: Peer, tmp_path: Path, damage: str) -> None:
    log = tmp_path / "log"
    write_log(log, LOG, entries_of(700), old=300)
    assert peer("check", log, LOG.verifier, "0,699").returncode == 0
    DAMAGE[damage](log)
    assert peer("check", log, LOG.verifier, "0,699").returncode != 0


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700, 66_000])
def test_we_verify_every_entry_and_proof_of_others_logs(peer: Peer, tmp_path: Path, size: int) -> None:
    written = peer("write", tmp_path, "log.example/theirs", size)
    assert written.returncode == 0, written.stderr
    key, *witnesses = map(VerifierKey.parse, written.stdout.split())
    signed, entries = verify_log(tmp_path, key, witnesses=witnesses)
    assert (signed.checkpoint.origin, signed.checkpoint.size, len(entries)) == ("log.example/theirs", size, size)
    assert entries[-1].startswith(b'{"body":{"n":%d},"time":"2026-11-01T09:30:00.123Z"' % (size - 1))
    assert signed.cosigned == dict.fromkeys(witnesses, 1_793_525_400)


def test_we_refuse_others_logs_after_damage_or_under_another_key(peer: Peer, tmp_path: Path) -> None:
    written = peer("write", tmp_path, "log.example/theirs", 700)
    key = VerifierKey.parse(written.stdout.split()[0])
    verify_log(tmp_path, key)
    with pytest.raises(IntegrityError, match="no signature is of a key"):
        verify_log(tmp_path, LOG.verifier)
    for name in ("tile/entries/002.p/188", "tile/0/001", "tile/1/000.p/2"):
        flip(tmp_path / name, 40)
        with pytest.raises(IntegrityError):
            verify_log(tmp_path, key)
        flip(tmp_path / name, 40)
    verify_log(tmp_path, key)


def test_our_witness_counts_for_others_only_where_it_signed(aics_peer: list[str], tmp_path: Path) -> None:
    def check(witness: SigningKey) -> int:
        return run(*aics_peer, "check", tmp_path, str(LOG.verifier), "0", str(witness.verifier)).returncode

    write_log(tmp_path, LOG, entries_of(3), witness=WITNESS)
    assert check(WITNESS) == 0
    assert check(SigningKey("witness.example/ours", bytes(31) + b"\2", COSIGNATURE)) != 0
    write_log(tmp_path, LOG, entries_of(3))
    assert check(WITNESS) != 0
