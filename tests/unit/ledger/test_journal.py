"""The journal: torn ends are left out, damage is told, and a log whose parts do not fit is not opened or changed."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError, StrongroomError
from strongroom.ledger import DirectoryStorage, Limits, LogReader, open_source, read_checkpoint, verify_log
from strongroom.ledger._journal import Replaced, open_journal
from strongroom.ledger._merkle import Frontier, leaf_hashes
from strongroom.ledger._record import Record, decode_records, encode_record
from strongroom.ledger._tiles import encode_bundle

from .ledgers import Home, entry

NEVER = Limits(publish_seconds=1e9)


def record(first: int, entries: list[bytes], root: bytes = bytes(32)) -> bytes:
    return b"".join(encode_record(first, [encode_bundle(entries)], root))


def root_of(count: int) -> bytes:
    tree = Frontier()
    tree.extend(leaf_hashes([entry(number) for number in range(count)]))
    return tree.root()


THREE = [record(0, [entry(0)]), record(1, [entry(1), entry(2)]), record(3, [entry(3, text="SRJ1")])]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def entries_of(home: Home) -> list[bytes]:
    source = open_source(str(home.path))
    verify_log(source, [home.verifier]).check("log")
    return [data for _, data in LogReader(source, read_checkpoint(source, [home.verifier])).entries()]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Ten entries in tiles, and three commits of five more in the journal, as a kill leaves them."""
    made = Home(tmp_path / "made")
    made.grow(0, 10)
    sequencer = made.open(limits=Limits(publish_seconds=1e9))
    sequencer._publish = lambda commits: None  # type: ignore[method-assign]
    sequencer.append_bytes(entry(10))
    sequencer.append_many([entry(11), entry(12)])
    sequencer.append_many([entry(13), entry(14)])
    left = Home(tmp_path / "left")
    shutil.rmtree(left.path / "ledger")
    shutil.copytree(made.path / "ledger", left.path / "ledger")
    left.signer, left.verifier = made.signer, made.verifier
    with sequencer._lock:
        sequencer._pending.clear()
    sequencer.close()
    return left


def journal_of(home: Home) -> Path:
    (path,) = [path for path in (home.path / "ledger/journal").iterdir() if path.name.isdigit()]
    return path


def refused(home: Home, match: str) -> str:
    """The log does not open, and nothing of it is another afterwards. What was said."""
    before = files_of(home.path / "ledger")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=match) as error:
            home.open()
    assert files_of(home.path / "ledger") == before
    return str(error.value)


# Records


@given(st.lists(st.tuples(st.integers(0, 2**60), st.lists(st.binary(max_size=40), max_size=4)), max_size=4))
@settings(max_examples=100, deadline=None)
def test_records_are_read_as_they_were_written(commits: list[tuple[int, list[bytes]]]) -> None:
    data = b"".join(record(first, entries, bytes([7]) * 32) for first, entries in commits)
    expected = [Record(first, tuple(entries), bytes([7]) * 32) for first, entries in commits]
    assert decode_records(data, where="j") == expected


def test_a_torn_end_is_left_out_at_every_byte() -> None:
    data = b"".join(THREE)
    good = decode_records(data, where="j")
    ends = [0, len(THREE[0]), len(THREE[0]) + len(THREE[1]), len(data)]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends) - 1
        assert decode_records(data[:cut], where="j") == good[:whole]


def test_an_end_of_zeros_is_left_out_at_every_byte() -> None:
    data = b"".join(THREE)
    good = decode_records(data, where="j")
    last = len(data) - len(THREE[2])
    for cut in range(last, len(data)):
        if any(data[cut:]):
            assert decode_records(data[:cut] + bytes(len(data) - cut), where="j") == good[:2]
            assert decode_records(data[:cut] + bytes(4096), where="j") == good[:2]
    for zeros in (1, 11, 12, 13, 4096):
        assert decode_records(data + bytes(zeros), where="j") == good


def test_damage_before_a_good_record_is_told_at_every_byte_and_bit() -> None:
    data = b"".join(THREE)
    last = len(data) - len(THREE[2])
    for at in range(last):
        for bit in (0, 7):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises(IntegrityError, match="the journal is damaged at byte") as error:
                decode_records(bytes(changed), where="the journal's name")
            assert error.value.where == "the journal's name"


def test_an_entry_that_reads_like_a_record_is_none() -> None:
    inner = record(0, [entry(0)])
    outer = record(0, [b"x" + inner])  # no entry is like this, and yet
    assert len(decode_records(outer, where="j")) == 1
    hostile = entry(0, text="SRJ1    " * 2000)
    data = record(0, [hostile]) + record(1, [hostile])
    assert len(decode_records(data, where="j")) == 2
    assert len(decode_records(data[:-1], where="j")) == 1


def test_a_record_whose_bytes_are_no_entries_is_damage() -> None:
    import zlib

    body = bytes(40) + b"\0\5abc"
    data = b"SRJ1" + struct.pack(">II", len(body), zlib.crc32(body)) + body
    with pytest.raises(IntegrityError, match="does not hold what it says"):
        decode_records(data, where="j")


# Opening


def test_every_torn_end_opens_with_what_is_before_it(home: Home, tmp_path: Path) -> None:
    data = journal_of(home).read_bytes()
    last = len(record(13, [entry(13), entry(14)]))
    for number, cut in enumerate([*range(len(data) - last, len(data), 5), len(data)]):
        for tail in (b"", bytes(700)):
            other = Home(tmp_path / f"torn{number}{len(tail)}")
            shutil.rmtree(other.path / "ledger")
            shutil.copytree(home.path / "ledger", other.path / "ledger")
            other.signer, other.verifier = home.signer, home.verifier
            journal_of(other).write_bytes(data[:cut] + tail)
            sequencer = other.open()
            whole = 15 if cut == len(data) or not any(data[cut:]) else 13
            assert sequencer.append_bytes(entry(99)) == whole
            sequencer.close()
            assert entries_of(other) == [*(entry(number) for number in range(whole)), entry(99)]
            shutil.rmtree(other.path)


def test_a_journal_that_is_damaged_in_the_middle_does_not_open_and_is_named(home: Home) -> None:
    path = journal_of(home)
    data = path.read_bytes()
    for at in (0, 5, 14, 60, len(record(10, [entry(10)])) + 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert str(path) in refused(home, "the journal is damaged at byte")
    path.write_bytes(data)
    home.open().close()
    assert len(entries_of(home)) == 15


def test_a_journal_that_goes_on_after_the_tiles_does_not_open(home: Home, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(home.public, old)
    home.open().close()
    home.grow(15, 5)
    sequencer = home.open(limits=NEVER)
    sequencer._publish = lambda commits: None  # type: ignore[method-assign]
    sequencer.append_bytes(entry(20))
    with sequencer._lock:
        sequencer._pending.clear()
    sequencer.close()
    newer = tmp_path / "newer"
    shutil.copytree(home.public, newer)
    shutil.rmtree(home.public)
    shutil.copytree(old, home.public)
    said = refused(home, "checkpoint and journal disagree: the tiles end at 10, the journal goes on at 20")
    assert str(journal_of(home)) in said
    shutil.rmtree(home.public)
    shutil.copytree(newer, home.public)
    home.open().close()
    assert len(entries_of(home)) == 21


def test_a_journal_of_another_history_does_not_open(home: Home) -> None:
    path = journal_of(home)
    path.write_bytes(record(10, [entry(77)], root_of(11)))
    assert str(path) in refused(home, "checkpoint and journal disagree about the tree of 11 entries")


def test_a_checkpoint_that_is_newer_than_the_tiles_does_not_open(home: Home, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(home.public, old)
    home.open().close()
    newer = (home.public / "checkpoint").read_bytes()
    shutil.rmtree(home.public)
    shutil.copytree(old, home.public)
    (home.public / "checkpoint").write_bytes(newer)
    assert "tile/0/000.p/15" in refused(home, "the checkpoint needs a file that is not there")


@pytest.mark.parametrize("path", ["tile/0/000.p/10", "tile/entries/000.p/10"])
def test_tiles_that_disagree_with_the_checkpoint_or_with_each_other_do_not_open(home: Home, path: str) -> None:
    target = home.public / path
    data = target.read_bytes()
    target.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    refused(home, "disagree")
    target.write_bytes(data[:-1])
    assert path in refused(home, "holds|ends within")
    target.unlink()
    assert path in refused(home, "not there")


def test_both_tiles_of_another_history_do_not_open(home: Home) -> None:
    other = [entry(1000 + number) for number in range(10)]
    (home.public / "tile/entries/000.p/10").write_bytes(encode_bundle(other))
    (home.public / "tile/0/000.p/10").write_bytes(b"".join(leaf_hashes(other)))
    assert "ledger verify" in refused(home, "checkpoint and tiles disagree")


def test_a_lost_or_foreign_checkpoint_does_not_open(home: Home, tmp_path: Path) -> None:
    checkpoint = home.public / "checkpoint"
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data.replace(b"\n10\n", b"\n11\n"))
    refused(home, "signature")
    checkpoint.write_bytes((Home(tmp_path / "stranger").public / "checkpoint").read_bytes())
    refused(home, "no signature is of a key")
    checkpoint.unlink()
    refused(home, "the checkpoint is missing")
    checkpoint.write_bytes(data)
    (home.public / "keys").write_bytes(b"")
    refused(home, "keys are missing")


# Fencing


def test_a_record_that_a_replaced_sequencer_left_does_not_stand_in_for_its_successors(home: Home) -> None:
    home.open().close()  # all 15 in tiles
    folder = home.path / "ledger/journal"
    for path in folder.iterdir():
        path.unlink()
    # The older one wrote while it was being replaced, never acknowledged it, and its journal came back with the power.
    tree = Frontier()
    tree.extend(leaf_hashes([entry(number) for number in range(15)] + [entry(700), entry(701)]))
    (folder / f"{7:012d}").write_bytes(record(15, [entry(700), entry(701)], tree.root()))
    (folder / f"{8:012d}").write_bytes(record(15, [entry(15)], root_of(16)))
    (folder / f"{9:012d}").write_bytes(b"")
    home.open().close()
    assert entries_of(home) == [entry(number) for number in range(16)]


def test_of_many_sequencers_only_the_last_journal_is_the_rightful_one(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    journals = []
    for _ in range(5):
        journal, _ = open_journal(storage)
        journals.append(journal)
        for older in journals[:-1]:
            with pytest.raises(Replaced):
                older.check()
        journal.check()
    journals[-1].drop_older()
    journals[-1].renew(encode_record(0, [], bytes(32)))
    journals[-1].renew(encode_record(0, [], bytes(32)))
    journals[-1].check()
    for older in journals[:-1]:
        for call in (older.check, lambda older=older: older.renew(encode_record(0, [], bytes(32)))):
            with pytest.raises(Replaced):
                call()
    assert [path.name for path in (tmp_path / "journal").iterdir()] == [f"{7:012d}"]


def test_a_journal_is_dropped_oldest_first(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    journals = [open_journal(storage)[0] for _ in range(4)]
    unlink = storage.disk.unlink

    def watched(path: Path) -> None:
        unlink(path)
        for older in journals[:-1]:  # at no moment may one of them believe itself to be the last
            with pytest.raises(Replaced):
                older.check()

    storage.disk.unlink = watched  # type: ignore[method-assign]
    journals[-1].drop_older()


def test_two_that_begin_at_once_do_not_both_begin(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    open_journal(storage)
    create = storage.disk.create
    storage.disk.create = lambda path: (create(path), create(path))[1]  # type: ignore[method-assign]
    with pytest.raises(StrongroomError, match="another sequencer began at the same moment"):
        open_journal(storage)


def test_a_successor_is_noticed_however_long_nothing_happened(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    first, _ = open_journal(storage)
    os.utime(tmp_path / "journal", (1, 1))
    for _ in range(3):
        first.check()
    open_journal(storage)
    with pytest.raises(Replaced):
        first.check()
