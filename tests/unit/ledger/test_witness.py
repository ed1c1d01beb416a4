"""The witness and its client in memory: whatever is asked in whatever order, it cosigns one growing tree."""

from __future__ import annotations

import base64
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.core.errors import InputError, IntegrityError, StrongroomError, UsageError
from strongroom.ledger._checkpoint import Checkpoint, open_checkpoint
from strongroom.ledger._merkle import EMPTY_ROOT, consistency_proof, leaf_hash, nodes_of, tree_root
from strongroom.ledger._notes import COSIGNATURE, SignatureLine, SigningKey, sign_note
from strongroom.ledger._witness import (
    MAX_REQUEST_BYTES,
    Witness,
    WitnessDirectory,
    WitnessMemory,
    origin_hash,
)
from strongroom.ledger._witness_client import MAX_TRIES, ROLLED_BACK, cosign, latest

ORIGIN = "log.example/a"
LOG_KEY = SigningKey(ORIGIN, b"l" * 32)
OTHER_KEY = SigningKey(ORIGIN, b"o" * 32)
WITNESS_KEY = SigningKey("witness.example/w1", b"w" * 32, COSIGNATURE)
NOW = 1_767_225_600
URL = "http://witness.example/submit/"


class SimulatedLog:
    """A log in memory; `fork` gives it other entries from there on."""

    def __init__(self, size: int, fork: int | None = None, origin: str = ORIGIN, key: SigningKey = LOG_KEY) -> None:
        self.origin, self.key = origin, key
        self._read = nodes_of([leaf_hash(b"%d %d" % (i, fork is not None and i >= fork)) for i in range(size)])

    def root(self, size: int) -> bytes:
        return tree_root(size, self._read)

    def prove(self, old: int, new: int) -> list[bytes]:
        return consistency_proof(old, new, self._read)

    def note(self, size: int, root: bytes | None = None) -> bytes:
        return sign_note(Checkpoint(self.origin, size, root or self.root(size)).text(), [self.key])

    def request(self, old: int, new: int) -> bytes:
        return request(old, self.prove(old, new) if old <= new else [], self.note(new))


def request(old: object, proof: list[bytes], note: bytes) -> bytes:
    return "\n".join([f"old {old}", *(base64.b64encode(h).decode() for h in proof), "", ""]).encode() + note


def new_witness(storage: object = None, **options: object) -> Witness:
    return Witness(WITNESS_KEY, {ORIGIN: [LOG_KEY.verifier]}, storage or WitnessMemory(), **options)  # type: ignore[arg-type]


def wired(witness: Witness) -> dict[str, Callable[..., object]]:
    """The witness as the client's way to send: no network."""

    def send(url: str, body: bytes, *, limit: int, deadline: float) -> tuple[int, bytes]:
        assert url == "http://witness.example/submit/add-checkpoint"
        answer = witness.add_checkpoint(body, NOW)
        assert len(answer.body) <= limit
        return answer.status, answer.body

    return {"send": send}


def cosign_with(witness: Witness, log: SimulatedLog, old: int, new: int) -> SignatureLine:
    return cosign(
        URL, old_size=old, note=log.note(new), prove=log.prove, witness=WITNESS_KEY.verifier, **wired(witness)
    )  # type: ignore[arg-type]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


# --- each answer of the specification ---


def test_a_checkpoint_that_continues_the_last_one_is_cosigned_stored_and_served() -> None:
    log, storage = SimulatedLog(9), WitnessMemory()
    witness = new_witness(storage)
    for old, new in ((0, 0), (0, 3), (3, 8), (8, 8), (8, 9)):
        answer = witness.add_checkpoint(log.request(old, new), NOW + new)
        assert answer.status == 200
        assert answer.body.startswith("— witness.example/w1 ".encode())
        assert answer.body.endswith(b"\n")
        served = witness.latest(origin_hash(ORIGIN))
        assert served == storage.notes[origin_hash(ORIGIN)]
        signed = open_checkpoint(
            served or b"", [LOG_KEY.verifier], witnesses=[WITNESS_KEY.verifier], origin=ORIGIN, where="served"
        )
        assert signed.checkpoint.size == new
        assert signed.cosigned == {WITNESS_KEY.verifier: NOW + new}
        assert (served or b"").endswith(answer.body)


def test_signatures_of_unknown_keys_are_ignored_and_not_served() -> None:
    log = SimulatedLog(3)
    noisy = log.note(3) + str(SigningKey("stranger.example", b"s" * 32).sign_text("other\n")).encode()
    witness = new_witness()
    assert witness.add_checkpoint(request(0, [], noisy), NOW).status == 200
    assert b"stranger" not in (witness.latest(origin_hash(ORIGIN)) or b"")


def test_extension_lines_are_cosigned_with_the_rest() -> None:
    log = SimulatedLog(3)
    text = Checkpoint(ORIGIN, 3, log.root(3), ("extension",)).text()
    answer = new_witness().add_checkpoint(request(0, [], sign_note(text, [LOG_KEY])), NOW)
    assert answer.body == str(WITNESS_KEY.cosign(text, NOW)).encode()


NOTE = SimulatedLog(9).note(9)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0",
        b"old 0\n",
        b"old 0\n\n",
        NOTE,
        b"\n\n" + NOTE,
        b"old 0\n" + NOTE,
        b"old  0\n\n" + NOTE,
        b"OLD 0\n\n" + NOTE,
        b"old 00\n\n" + NOTE,
        b"old -1\n\n" + NOTE,
        b"old \n\n" + NOTE,
        "old ٣\n\n".encode() + NOTE,
        b"old 9223372036854775808\n\n" + NOTE,
        b"old 0\r\n\r\n" + NOTE,
        b"old 0\nAAAA\n\n" + NOTE,
        b"old 0\n\xff\n\n" + NOTE,
        request(0, [bytes(32)] * 64, NOTE),
        b"old 0\n\n" + NOTE.replace(b"\n9\n", b"\n09\n"),
        b"old 0\n\n" + NOTE.replace(b"\n9\n", b"\n\n9\n"),
        b"old 0\n\n" + NOTE.removesuffix(b"\n"),
        b"old 0\n\n" + b"\xff" + NOTE,
        b"old 0\n\n" + NOTE + NOTE[NOTE.index("—".encode()) :] * 1000,
        b"old 0\n\nlog.example/a\n9\n\n" + NOTE.partition(b"\n\n")[2],
        request(10, [], NOTE),
        b"old 0\n\n" + b"x" * MAX_REQUEST_BYTES,
    ],
)
def test_400_for_what_is_no_request_or_an_old_size_above_the_new_one(body: bytes) -> None:
    assert new_witness().add_checkpoint(body, NOW).status == 400


def test_404_for_a_log_that_is_not_known() -> None:
    other = SimulatedLog(3, origin="log.example/b")
    assert new_witness().add_checkpoint(other.request(0, 3), NOW).status == 404


def test_403_without_a_good_signature_of_a_known_key() -> None:
    note = SimulatedLog(3).note(3)
    forged = str(SignatureLine(ORIGIN, LOG_KEY.verifier.id, bytes(64))).encode()
    for bad in (
        SimulatedLog(3, key=OTHER_KEY).note(3),
        note.replace(b"\n3\n", b"\n4\n"),
        note + forged,
        sign_note(Checkpoint(ORIGIN, 3, bytes(32)).text(), [SigningKey("log.example/b", b"l" * 32)]),
    ):
        witness = new_witness()
        assert witness.add_checkpoint(request(0, [], bad), NOW).status == 403
        assert witness.latest(origin_hash(ORIGIN)) is None


def test_409_says_the_size_that_was_cosigned() -> None:
    log, witness = SimulatedLog(9), new_witness()
    assert witness.add_checkpoint(log.request(3, 9), NOW) == (409, "text/x.tlog.size", b"0\n")
    assert witness.add_checkpoint(log.request(0, 7), NOW).status == 200
    for old, new in ((0, 9), (8, 9), (0, 3), (3, 3)):
        assert witness.add_checkpoint(log.request(old, new), NOW) == (409, "text/x.tlog.size", b"7\n")


@pytest.mark.parametrize(
    ("old", "new", "proof", "root"),
    [
        (0, 0, [], b"r" * 32),
        (0, 9, [bytes(32)], None),
        (7, 9, [], None),
        (7, 9, [bytes(32)] * 3, None),
        (7, 9, [bytes(32)] * 63, None),
        (7, 7, [], b"r" * 32),
        (7, 7, [bytes(32)], None),
    ],
)
def test_422_for_trees_that_do_not_continue_each_other(
    old: int, new: int, proof: list[bytes], root: bytes | None
) -> None:
    log, witness = SimulatedLog(9), new_witness()
    if old:
        assert witness.add_checkpoint(log.request(0, old), NOW).status == 200
    before = witness.latest(origin_hash(ORIGIN))
    assert witness.add_checkpoint(request(old, proof, log.note(new, root)), NOW).status == 422
    assert witness.latest(origin_hash(ORIGIN)) == before


def test_the_order_of_the_checks_is_that_of_the_specification() -> None:
    witness = new_witness()
    unknown = SimulatedLog(3, origin="log.example/b", key=OTHER_KEY)
    assert witness.add_checkpoint(request(9, [], unknown.note(3)), NOW).status == 404
    assert witness.add_checkpoint(request(9, [], SimulatedLog(3, key=OTHER_KEY).note(3)), NOW).status == 403
    assert witness.add_checkpoint(request(9, [], SimulatedLog(3).note(0, b"r" * 32)), NOW).status == 400
    assert witness.add_checkpoint(request(3, [], SimulatedLog(9).note(9)), NOW).status == 409


def test_a_log_that_signs_two_trees_of_one_size_is_reported_once_the_second_comes() -> None:
    told: list[StrongroomError] = []
    witness = new_witness(report=told.append)
    assert witness.add_checkpoint(SimulatedLog(5).request(0, 5), NOW).status == 200
    assert witness.add_checkpoint(SimulatedLog(5, fork=2).request(5, 5), NOW).status == 422
    assert [type(error) for error in told] == [IntegrityError]
    assert SimulatedLog(5, fork=2).root(5).hex() in str(told[0])


# --- the law ---

steps = st.lists(
    st.tuples(
        st.booleans(),  # which tree the checkpoint is of
        st.booleans(),  # which tree the proof is from
        st.integers(0, 12) | st.none(),  # old size; None: what the witness has
        st.integers(0, 12),
        st.booleans(),  # restart first
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 12), steps)
def test_no_sequence_of_requests_has_two_inconsistent_trees_cosigned(fork: int, asked: list[tuple]) -> None:
    logs = (SimulatedLog(12), SimulatedLog(12, fork=fork))
    storage = WitnessMemory()
    witness, size, cosigned = new_witness(storage), 0, [(0, EMPTY_ROOT)]
    for side, proof_side, old, new, restart in asked:
        if restart:
            witness = new_witness(storage)
        at = size if old is None else old
        proof = logs[proof_side].prove(at, new) if at <= new else []
        answer = witness.add_checkpoint(request(at, proof, logs[side].note(new)), NOW)
        if answer.status == 200:
            assert new >= size
            size = new
            cosigned.append((new, logs[side].root(new)))
        elif answer.status == 409:
            assert answer.body == b"%d\n" % size
        honest = side == proof_side and at == size and new >= at and cosigned[-1] == (size, logs[side].root(size))
        assert (answer.status == 200) or not honest
    assert any(all(log.root(n) == root for n, root in cosigned) for log in logs)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_it_raise(noise: bytes) -> None:
    witness = new_witness()
    for body in (noise, b"old 0\n\n" + noise, NOTE + noise, b"old 0\n" + noise + b"\n\n" + NOTE):
        assert witness.add_checkpoint(body, NOW).status in (400, 403, 404, 422)


def test_threads_that_ask_at_once_get_one_growing_tree() -> None:
    size = 60
    logs = (SimulatedLog(size), SimulatedLog(size, fork=1))
    witness, cosigned, gate = new_witness(), [], threading.Barrier(8)

    def ask(log: SimulatedLog, step: int) -> None:
        gate.wait()
        for new in range(step, size + 1, step):
            old = 0
            for _ in range(2):
                answer = witness.add_checkpoint(log.request(old, new), NOW)
                if answer.status == 200:
                    cosigned.append((old, new, log.root(new)))
                if answer.status != 409 or int(answer.body) > new:
                    break
                old = int(answer.body)

    threads = [threading.Thread(target=ask, args=(logs[i % 2], 1 + i // 2)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(all(log.root(new) == root for _, new, root in cosigned) for log in logs)
    advances = sorted((old, new) for old, new, _ in cosigned if old != new)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(advances))


# --- what is stored ---


def test_a_restart_continues_where_it_was(tmp_path: Path) -> None:
    log = SimulatedLog(9)
    with WitnessDirectory(tmp_path / "a" / "w") as storage:
        assert new_witness(storage).add_checkpoint(log.request(0, 5), NOW).status == 200
        served = new_witness(storage).latest(origin_hash(ORIGIN))
    assert (tmp_path / "a" / "w" / origin_hash(ORIGIN)).read_bytes() == served
    with WitnessDirectory(tmp_path / "a" / "w") as storage:
        witness = new_witness(storage)
        assert witness.latest(origin_hash(ORIGIN)) == served
        assert witness.add_checkpoint(SimulatedLog(9, fork=2).request(5, 9), NOW).status == 422
        assert witness.add_checkpoint(log.request(5, 9), NOW).status == 200
    assert names(tmp_path / "a" / "w") == [origin_hash(ORIGIN)]


def test_a_file_left_by_a_crash_before_the_rename_is_nothing(tmp_path: Path) -> None:
    with WitnessDirectory(tmp_path) as storage:
        (tmp_path / f"{origin_hash(ORIGIN)}.part").write_bytes(b"half")
        assert new_witness(storage).add_checkpoint(SimulatedLog(9).request(0, 5), NOW).status == 200
    assert names(tmp_path) == [origin_hash(ORIGIN)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: b"",
        lambda note: note[:-10],
        lambda note: note.replace(b"\n5\n", b"\n4\n"),
        lambda note: SimulatedLog(5).note(5),
        lambda note: note.replace(note[-30:-20], b"A" * 10),
        lambda note: sign_note(Checkpoint("log.example/b", 5, bytes(32)).text(), [LOG_KEY]),
        lambda note: (
            (Checkpoint(ORIGIN, 5, SimulatedLog(5).root(5)).text() + "\n").encode()
            + str(WITNESS_KEY.cosign(Checkpoint(ORIGIN, 5, SimulatedLog(5).root(5)).text(), NOW)).encode()
        ),
        lambda note: b"x" * 2_000_000,
    ],
)
def test_a_damaged_file_is_named_at_the_start(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / origin_hash(ORIGIN)
    with WitnessDirectory(tmp_path) as storage:
        new_witness(storage).add_checkpoint(SimulatedLog(9).request(0, 5), NOW)
        path.write_bytes(spoil(path.read_bytes()))
        with pytest.raises(IntegrityError, match="damaged or by other keys") as told:
            new_witness(storage)
        assert told.value.where == str(path)


def test_after_a_rotation_the_earlier_key_is_needed_until_the_later_one_was_cosigned() -> None:
    storage = WitnessMemory()
    new_witness(storage).add_checkpoint(SimulatedLog(9).request(0, 5), NOW)
    with pytest.raises(IntegrityError):
        Witness(WITNESS_KEY, {ORIGIN: [OTHER_KEY.verifier]}, storage)
    both = Witness(WITNESS_KEY, {ORIGIN: [LOG_KEY.verifier, OTHER_KEY.verifier]}, storage)
    assert both.add_checkpoint(SimulatedLog(9, key=OTHER_KEY).request(5, 9), NOW).status == 200
    assert Witness(WITNESS_KEY, {ORIGIN: [OTHER_KEY.verifier]}, storage).latest(origin_hash(ORIGIN))


def test_a_log_taken_out_and_put_back_continues() -> None:
    storage = WitnessMemory()
    new_witness(storage).add_checkpoint(SimulatedLog(9).request(0, 5), NOW)
    assert Witness(WITNESS_KEY, {}, storage).latest(origin_hash(ORIGIN)) is None
    assert new_witness(storage).add_checkpoint(SimulatedLog(9).request(0, 9), NOW).body == b"5\n"


class FullStorage(WitnessMemory):
    full = False

    def write(self, name: str, note: bytes) -> None:
        if self.full:
            raise StrongroomError("no space")
        super().write(name, note)


def test_500_and_nothing_recorded_when_it_cannot_be_stored() -> None:
    log, storage, told = SimulatedLog(9), FullStorage(), []
    witness = new_witness(storage, report=told.append)
    assert witness.add_checkpoint(log.request(0, 5), NOW).status == 200
    before, storage.full = witness.latest(origin_hash(ORIGIN)), True
    answer = witness.add_checkpoint(log.request(5, 9), NOW)
    assert answer.status == 500
    assert WITNESS_KEY.verifier.name.encode() not in answer.body
    assert witness.latest(origin_hash(ORIGIN)) == before == storage.notes[origin_hash(ORIGIN)]
    assert len(told) == 1
    storage.full = False
    assert witness.add_checkpoint(SimulatedLog(9, fork=6).request(5, 9), NOW).status == 200


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_earlier_file(tmp_path: Path, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with WitnessDirectory(tmp_path) as storage:
        witness = new_witness(storage)
        witness.add_checkpoint(SimulatedLog(9).request(0, 5), NOW)
        before = (tmp_path / origin_hash(ORIGIN)).read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(*((os, "fsync") if fails == "fsync" else (Path, "replace")), fail)
            assert witness.add_checkpoint(SimulatedLog(9).request(5, 9), NOW).status == 500
        assert names(tmp_path) == [origin_hash(ORIGIN)]
        assert (tmp_path / origin_hash(ORIGIN)).read_bytes() == before
        assert witness.add_checkpoint(SimulatedLog(9).request(5, 9), NOW).status == 200


def test_the_content_is_durable_before_its_name_and_both_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fsync, replace = os.fsync, Path.replace
    with WitnessDirectory(tmp_path) as storage:
        witness = new_witness(storage)
        monkeypatch.setattr(os, "fsync", lambda fd: (done.append(Path(f"/proc/self/fd/{fd}").resolve()), fsync(fd)))
        monkeypatch.setattr(Path, "replace", lambda old, new: (done.append(new), replace(old, new)))
        witness.add_checkpoint(SimulatedLog(9).request(0, 5), NOW)
    path = tmp_path / origin_hash(ORIGIN)
    assert done == [path.with_suffix(".part"), path, tmp_path]


def test_a_second_process_does_not_get_the_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from strongroom.ledger._witness import WitnessDirectory\n"
        "try: WitnessDirectory(Path(sys.argv[1]))\nexcept Exception as e: print(type(e).__name__, e)"
    )

    def run() -> str:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with WitnessDirectory(tmp_path):
        assert run().startswith("StrongroomError another witness works in this directory")
        with pytest.raises(StrongroomError, match="another witness"):
            WitnessDirectory(tmp_path)
    assert run() == ""


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StrongroomError, match="cannot be used"):
        WitnessDirectory(tmp_path / "file")


def test_only_a_cosigning_key_and_logs_with_keys_are_taken() -> None:
    with pytest.raises(UsageError, match="does not make cosignatures"):
        Witness(LOG_KEY, {}, WitnessMemory())
    with pytest.raises(UsageError, match="no key is given"):
        Witness(WITNESS_KEY, {ORIGIN: []}, WitnessMemory())


def test_no_cosignature_says_the_time_zero() -> None:
    witness = new_witness()
    assert witness.add_checkpoint(SimulatedLog(9).request(0, 5), 0).status == 500
    assert witness.latest(origin_hash(ORIGIN)) is None


# --- the client ---


def test_the_client_gets_a_cosignature_also_when_it_forgot_the_witness_s_size() -> None:
    log, witness = SimulatedLog(9), new_witness()
    for old, new in ((0, 3), (0, 5), (5, 5), (7, 9)):
        line = cosign_with(witness, log, old, new)
        assert line == WITNESS_KEY.cosign(Checkpoint(ORIGIN, new, log.root(new)).text(), NOW)


def test_a_witness_that_saw_more_raises_the_alarm() -> None:
    log, witness = SimulatedLog(9), new_witness()
    cosign_with(witness, log, 0, 9)
    for old in (0, 5):
        with pytest.raises(IntegrityError) as told:
            cosign_with(witness, log, old, 5)
        assert told.value.message == ROLLED_BACK
        assert "9 entries, here 5" in str(told.value)
    with pytest.raises(IntegrityError) as told:  # our own note of the witness's size is enough
        cosign_with(witness, log, 9, 5)
    assert told.value.message == ROLLED_BACK


@pytest.mark.parametrize("size", [5, 9])
def test_a_fork_is_an_integrity_failure(size: int) -> None:
    witness = new_witness()
    cosign_with(witness, SimulatedLog(9), 0, 5)
    with pytest.raises(IntegrityError, match="another tree of 5 entries"):
        cosign_with(witness, SimulatedLog(9, fork=2), 5, size)


def ask(answers: list[tuple[int, bytes]], size: int = 5) -> SignatureLine:
    log, rest = SimulatedLog(9), iter(answers)
    return cosign(
        "http://me:secret@witness.example",
        old_size=0,
        note=log.note(size),
        prove=log.prove,
        witness=WITNESS_KEY.verifier,
        send=lambda url, body, **_: next(rest),
    )


TEXT = Checkpoint(ORIGIN, 5, SimulatedLog(9).root(5)).text()
GOOD = str(WITNESS_KEY.cosign(TEXT, NOW)).encode()
STRANGE = str(SigningKey("stranger.example", b"s" * 32, COSIGNATURE).cosign(TEXT, NOW)).encode()


def test_lines_of_other_keys_are_ignored_and_the_newest_of_ours_is_taken() -> None:
    newer = WITNESS_KEY.cosign(TEXT, NOW + 1)
    assert ask([(200, STRANGE + GOOD + str(newer).encode() + STRANGE)]) == newer


@pytest.mark.parametrize(
    ("answers", "kind", "said"),
    [
        ([(200, b"")], InputError, "no list of signatures"),
        ([(200, GOOD[:-1])], InputError, "no list of signatures"),
        ([(200, b"\xff\n")], InputError, "no text"),
        ([(200, b"<html>\n")], IntegrityError, "malformed"),
        ([(200, GOOD * 17)], InputError, "no list of signatures"),
        ([(200, STRANGE)], IntegrityError, "no cosignature of witness.example/w1"),
        ([(200, str(WITNESS_KEY.cosign(TEXT + "x\n", NOW)).encode())], IntegrityError, "wrong"),
        ([(200, GOOD + str(WITNESS_KEY.cosign("x\n", NOW)).encode())], IntegrityError, "wrong"),
        ([(200, str(WITNESS_KEY.cosign(TEXT, 0)).encode())], IntegrityError, "no time"),
        ([(200, str(WITNESS_KEY.sign_text(TEXT)).encode())], IntegrityError, "malformed"),
        ([(409, b"")], InputError, "no size"),
        ([(409, b"3")], InputError, "no size"),
        ([(409, b"x\n")], IntegrityError, "no size"),
        ([(409, b"0\n")], InputError, "refuses the size"),
        ([(409, b"3\n"), (409, b"4\n")], StrongroomError, "changes while we ask"),
        ([(409, b"3\n"), (409, b"6\n")], StrongroomError, "changes while we ask"),
        ([(400, b"")], InputError, "cannot read our request"),
        ([(403, b"")], StrongroomError, "does not trust"),
        ([(404, b"")], StrongroomError, "does not know this log"),
        ([(500, b"")], StrongroomError, "answered 500"),
        ([(204, b"")], StrongroomError, "answered 204"),
    ],
)
def test_other_answers_are_errors(answers: list[tuple[int, bytes]], kind: type[StrongroomError], said: str) -> None:
    assert len(answers) <= MAX_TRIES
    with pytest.raises(kind, match=said) as told:
        ask(answers)
    assert "secret" not in str(told.value)


def test_what_the_witness_last_cosigned_is_verified() -> None:
    log, witness = SimulatedLog(9), new_witness()

    def fetch(url: str, **_: object) -> bytes | None:
        name, checkpoint = url.removeprefix(URL).split("/")
        assert checkpoint == "checkpoint"
        return witness.latest(name)

    def ask_latest(fetch: Callable[..., bytes | None] = fetch) -> object:
        return latest(URL, ORIGIN, [LOG_KEY.verifier], WITNESS_KEY.verifier, fetch=fetch)

    assert ask_latest() is None
    cosign_with(witness, log, 0, 5)
    signed = ask_latest()
    assert signed.checkpoint == Checkpoint(ORIGIN, 5, log.root(5))  # type: ignore[attr-defined]
    assert signed.cosigned == {WITNESS_KEY.verifier: NOW}  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match="no cosignature of"):
        ask_latest(lambda url, **_: log.note(5))
    with pytest.raises(IntegrityError, match="not of"):
        ask_latest(lambda url, **_: sign_note(Checkpoint("log.example/b", 5, log.root(5)).text(), [LOG_KEY]))
