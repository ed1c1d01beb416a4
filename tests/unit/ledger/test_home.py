"""A site's ledger: made once, opened by its key, verified against every place that keeps its checkpoints."""

from __future__ import annotations

import contextlib
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.api import witness_app
from strongroom.core.errors import InputError, IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.ledger import (
    COSIGNATURE,
    Home,
    KeyFile,
    NoteSigner,
    Settings,
    Verdict,
    VerifierKey,
    Witness,
    WitnessAddress,
    create_key,
    create_ledger,
    storage_at,
)
from strongroom.ledger._notes import SigningKey
from strongroom.ledger._witness import WitnessMemory
from strongroom.serving import Server

from .ledgers import ORIGIN, entry

WITNESS = SigningKey("witness.example/w1", b"w" * 32, COSIGNATURE)


def make(root: Path, settings: Settings | None = None, *, passphrase: str = "") -> Home:
    (root / "keys").mkdir(parents=True)
    home = Home(root, settings)
    home.create(ORIGIN, passphrase=passphrase)
    return home


def grow(home: Home, first: int, count: int, **body: str) -> list[str]:
    """Appends entries and returns the notices."""
    told: list[str] = []
    with home.open(notify=told.append) as sequencer:
        sequencer.append_many([entry(number, **body) for number in range(first, first + count)])
    return told


def verify(home: Home, given: VerifierKey | None = None) -> tuple[Verdict, list[str]]:
    told: list[str] = []
    return home.verify(given=given, notify=told.append), told


def test_a_ledger_is_made_once_and_its_key_is_the_owners_alone(tmp_path: Path) -> None:
    home = make(tmp_path)
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="already"):
        home.create(ORIGIN)
    assert not home.sealed
    grow(home, 0, 1)
    home.key_file.unlink()
    with pytest.raises(UsageError, match="already"):
        home.create(ORIGIN)  # a log without its key is still a log
    assert not home.exists, "the key that was made in vain is gone"
    assert not list(home.key_file.parent.iterdir())


@pytest.mark.parametrize("when", ["before the log", "before the key counts"])
def test_making_one_that_was_interrupted_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (tmp_path / "keys").mkdir()
    home = Home(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if when == "before the log":
            patch.setattr("strongroom.ledger._home.create_ledger", killed)
        else:
            patch.setattr("strongroom.ledger._home.NoteSigner", lambda *_: killed())
        with pytest.raises(KeyboardInterrupt):
            home.create(ORIGIN)
    assert not home.exists
    if when == "before the key counts":  # the log is there, and nobody's key
        stray = create_key(tmp_path / "stray", ORIGIN)
        create_ledger(home.storage, NoteSigner(KeyFile(stray), stray.verifier))
    key = home.create(ORIGIN)
    grow(home, 0, 1)
    assert home.verify().key == key


def test_without_a_ledger_nothing_opens_and_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(InputError, match="ledger init"), home.open():
        pass


@pytest.fixture
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing that costs no second each time; the real one is tested end to end."""
    import pyrage

    def decrypt(data: bytes, passphrase: str) -> bytes:
        head, _, rest = data.partition(b"\0")
        if head != f"age-encryption.org/v1 {passphrase}".encode():
            raise pyrage.DecryptError("no")
        return rest

    monkeypatch.setattr(
        pyrage.passphrase, "encrypt", lambda data, words: f"age-encryption.org/v1 {words}\0".encode() + data
    )
    monkeypatch.setattr(pyrage.passphrase, "decrypt", decrypt)


@pytest.mark.usefixtures("quick_scrypt")
def test_a_sealed_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    home = make(tmp_path, passphrase="one two")
    assert home.sealed
    for wrong in ("", "one", "one two "):
        with pytest.raises(RefusedError) as caught, home.open(passphrase=wrong):
            pass
        assert "one two" not in str(caught.value)
    with home.open(passphrase="one two") as sequencer:
        assert sequencer.append_many([entry(0)]) == range(1)


def test_a_key_that_is_not_the_logs_signs_nothing(tmp_path: Path) -> None:
    home = make(tmp_path)
    home.key_file.unlink()
    create_key(home.key_file, ORIGIN)
    before = home.source.read("checkpoint", 10_000)
    with pytest.raises(IntegrityError, match="not one of this log's keys"), home.open():
        pass
    assert home.source.read("checkpoint", 10_000) == before


def test_alone_a_log_is_not_protected_and_verify_says_so(tmp_path: Path) -> None:
    home = make(tmp_path)
    grow(home, 0, 3)
    verdict, told = verify(home)
    assert (verdict.integrity, verdict.completeness, verdict.protected, told) == ("intact", "unknown", False, [])


@pytest.fixture(params=["copy", "git", "witness"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A log whose checkpoints are kept in one place, with 5 entries."""
    (tmp_path / "elsewhere").mkdir()
    if request.param == "copy":
        settings = Settings(copy=str(tmp_path / "elsewhere"))
    elif request.param == "git":
        subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "elsewhere")], check=True)
        settings = Settings(git=str(tmp_path / "elsewhere"))
    else:
        settings = Settings()
    home = make(tmp_path / "site", settings)
    with contextlib.ExitStack() as stack:
        if request.param == "witness":
            witness = Witness(WITNESS, {ORIGIN: home.keys()}, WitnessMemory())
            server = stack.enter_context(Server(witness_app(witness), listen="127.0.0.1:0"))
            home.settings = Settings(witnesses=(WitnessAddress(server.addresses[0], WITNESS.verifier),), quorum=1)
        shutil.copytree(tmp_path / "site" / "ledger", tmp_path / "before")
        assert grow(home, 0, 5) == []
        yield home


def roll_back(home: Home) -> None:
    shutil.rmtree(home.root / "ledger")
    shutil.copytree(home.root.parent / "before", home.root / "ledger")


def test_a_checkpoint_that_left_protects_and_completes_the_verdict(kept: Home) -> None:
    verdict, told = verify(kept)
    assert (verdict.integrity, verdict.completeness, verdict.protected, told) == ("intact", "complete", True, [])
    verdict.check("log")


def test_what_left_is_told_without_asking_anybody(kept: Home) -> None:
    if kept.settings.git:
        shutil.rmtree(kept.settings.git)
    for anchor in kept.anchors():
        (anchor.kept / "x.checkpoint").write_text("")
    left = kept.left()
    assert left is not None
    assert left[0] == 5


def test_nothing_has_left_where_checkpoints_go_nowhere(tmp_path: Path) -> None:
    home = make(tmp_path)
    grow(home, 0, 5)
    assert home.left() is None
    home.settings = Settings(copy=str(tmp_path / "nowhere"), git=str(tmp_path / "nowhere"))
    assert home.left() is None


def test_a_rolled_back_log_is_incomplete(kept: Home) -> None:
    roll_back(kept)
    verdict, _ = verify(kept)
    assert (verdict.integrity, verdict.completeness) == ("intact", "incomplete")
    with pytest.raises(IntegrityError, match="entries 0 to 4"):
        verdict.check("log")


@pytest.mark.parametrize("count", [2, 5, 9])
def test_a_rewritten_log_is_found_also_after_it_grew_past_what_was_kept(kept: Home, count: int) -> None:
    """What was kept is the proof: a rewritten log must not put its own checkpoint over it."""
    roll_back(kept)
    told = grow(kept, 0, count, another="history")
    assert [text for text in told if text.startswith("ALARM")], told
    verdict, _ = verify(kept)
    assert verdict.rewritten or verdict.rolled_back, verdict
    with pytest.raises(IntegrityError):
        verdict.check("log")
    grow(kept, count, 5)
    with pytest.raises(IntegrityError):
        verify(kept)[0].check("log")


def test_a_log_made_anew_under_another_key_is_found_without_naming_the_key(kept: Home) -> None:
    """The operator is the adversary: same name, new key, new history, and a `keys` file that fits."""
    shutil.rmtree(kept.root / "ledger")
    kept.key_file.unlink()
    kept.create(ORIGIN)
    grow(kept, 0, 9, another="history")
    verdict, _ = verify(kept)
    with pytest.raises(IntegrityError, match="does not hold a checkpoint of this log"):
        verdict.check("log")


def test_a_place_that_is_gone_is_said_and_does_not_count(kept: Home) -> None:
    shutil.rmtree(kept.root.parent / "elsewhere")
    kept.settings = Settings(
        copy=kept.settings.copy,
        git=kept.settings.git,
        witnesses=tuple(WitnessAddress("http://127.0.0.1:1", one.key) for one in kept.settings.witnesses),
        quorum=kept.settings.quorum,
    )
    (kept.source.root / "cosigned").unlink(missing_ok=True)  # type: ignore[union-attr]
    verdict, told = verify(kept)
    assert len(told) == 1
    assert told[0].startswith("not compared with")
    assert verdict.completeness == "unknown"
    assert any("elsewhere" in text or "git" in text or "witness" in text for text in grow(kept, 5, 1))


def test_the_log_goes_on_with_its_key_alone_after_the_commit_of_what_a_place_did_not_take(kept: Home) -> None:
    """A place that was away gets the checkpoint at the next start, though nothing was appended since."""
    elsewhere = kept.root.parent / "elsewhere"
    away = elsewhere.rename(kept.root.parent / "away")
    settings = kept.settings
    if settings.witnesses:
        kept.settings = Settings(witnesses=(WitnessAddress("http://127.0.0.1:1", WITNESS.verifier),), quorum=1)
    assert grow(kept, 5, 3) != []
    away.rename(elsewhere)
    kept.settings = settings
    with kept.open():
        pass
    verdict, told = verify(kept)
    assert told == []
    assert {item["size"] for item in verdict.seen} == {8}


def test_cosignatures_on_the_same_disk_do_not_make_a_log_complete(tmp_path: Path) -> None:
    """`cosigned` rolls back with the disk; that it exists says that a checkpoint left, and no more."""
    home = make(tmp_path / "site")
    witness = Witness(WITNESS, {ORIGIN: home.keys()}, WitnessMemory())
    with Server(witness_app(witness), listen="127.0.0.1:0") as server:
        home.settings = Settings(witnesses=(WitnessAddress(server.addresses[0], WITNESS.verifier),), quorum=1)
        grow(home, 0, 3)
    verdict, told = verify(home)
    assert len(told) == 1, "the witness is down"
    assert (verdict.completeness, verdict.protected, verdict.cosignatures_missing) == ("unknown", True, 0)


def test_a_lost_cosignature_is_missing_and_its_witness_is_named(tmp_path: Path) -> None:
    home = make(tmp_path / "site")
    witness = Witness(WITNESS, {ORIGIN: home.keys()}, WitnessMemory())
    with Server(witness_app(witness), listen="127.0.0.1:0") as server:
        home.settings = Settings(witnesses=(WitnessAddress(server.addresses[0], WITNESS.verifier),), quorum=1)
        grow(home, 0, 3)
        public = home.root / "ledger" / "public"
        for name in ("checkpoint", "cosigned"):
            text = (public / name).read_text()
            kept_lines = [line for line in text.splitlines(keepends=True) if WITNESS.verifier.name not in line]
            (public / name).write_text("".join(kept_lines))
        verdict, _ = verify(home)
        assert verdict.cosignatures_missing == 1
        with pytest.raises(IntegrityError, match=r"witness\.example/w1"):
            verdict.check("log")


def test_a_damaged_file_of_cosignatures_is_named(tmp_path: Path) -> None:
    home = make(tmp_path / "site")
    home.settings = Settings(witnesses=(WitnessAddress("http://127.0.0.1:1", WITNESS.verifier),), quorum=0)
    (home.root / "ledger" / "public" / "cosigned").write_bytes(b"\xff" * 100)
    with pytest.raises(IntegrityError, match="cosigned"):
        verify(home)


def test_restarts_do_not_pile_up_cosignatures(tmp_path: Path) -> None:
    home = make(tmp_path / "site")
    witness = Witness(WITNESS, {ORIGIN: home.keys()}, WitnessMemory())
    with Server(witness_app(witness), listen="127.0.0.1:0") as server:
        home.settings = Settings(witnesses=(WitnessAddress(server.addresses[0], WITNESS.verifier),), quorum=1)
        grow(home, 0, 3)
        for _ in range(3):
            with home.open():
                pass
        for name in ("checkpoint", "cosigned"):
            assert (home.root / "ledger" / "public" / name).read_text().count(WITNESS.verifier.name) == 1
        verify(home)[0].check("log")


def test_a_second_sequencer_refuses(tmp_path: Path) -> None:
    home = make(tmp_path)
    with home.open(), pytest.raises(StrongroomError, match="another process"), Home(tmp_path).open():
        pass


def test_a_ledger_that_cannot_be_made_leaves_no_key(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "ledger").write_text("a file")
    home = Home(tmp_path)
    with pytest.raises(StrongroomError):
        home.create(ORIGIN)
    assert not home.exists
    assert storage_at(str(tmp_path / "ledger")).name == str(tmp_path / "ledger")
