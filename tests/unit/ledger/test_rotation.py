"""A new key follows the old one by an entry that both signed; interrupted anywhere, the next start ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError
from strongroom.core.records import Entry
from strongroom.ledger import (
    COSIGNATURE,
    Home,
    KeyFile,
    LogReader,
    NoteSigner,
    Sequencer,
    Settings,
    VerifierKey,
    WitnessAddress,
    encode_entry,
    load_key,
    open_ledger,
    read_checkpoint,
)
from strongroom.ledger import _home as home_module
from strongroom.ledger._notes import Note, SigningKey
from strongroom.ledger._rotation import ROTATION, KeyChain, introduced_by, rotation_entry

from .ledgers import ORIGIN, entry
from .test_home import grow, make, quick_scrypt

__all__ = ["quick_scrypt"]  # a fixture

NOW = 1_793_525_400_123_000
OLD, NEW, STRANGER = (SigningKey(ORIGIN, seed * 32) for seed in (b"o", b"n", b"s"))


def signer(key: SigningKey) -> NoteSigner:
    return NoteSigner(KeyFile(key), key.verifier)


def forged(text: str, *keys: SigningKey) -> bytes:
    note = Note(text, tuple(key.sign_text(text) for key in keys)).encode().decode()
    return encode_entry(Entry(type=ROTATION, time="2026-11-01T09:30:00.123Z", writer="ledger", body={"note": note}))


HEADER = f"strongroom ledger key rotation\n{OLD.verifier}\n{NEW.verifier}\n"


def test_a_key_follows_once_both_have_signed_that_it_does() -> None:
    good = encode_entry(rotation_entry(signer(OLD), signer(NEW), NOW))
    assert introduced_by(good, OLD.verifier) == NEW.verifier
    assert introduced_by(good, STRANGER.verifier) is None
    assert introduced_by(entry(1), OLD.verifier) is None
    chain = KeyChain(OLD.verifier)
    chain.see(0, good)
    chain.check(NEW.verifier, 1, where="log")
    with pytest.raises(IntegrityError, match="not introduced"):
        chain.check(STRANGER.verifier, 1, where="log")


@pytest.mark.parametrize(
    "entry_",
    [
        pytest.param(forged(HEADER, NEW), id="the new one alone signed"),
        pytest.param(forged(HEADER, OLD), id="the old one alone signed"),
        pytest.param(forged(HEADER, OLD, STRANGER), id="a stranger signed for the new one"),
        pytest.param(forged(HEADER.replace("key rotation", "key"), OLD, NEW), id="another statement"),
        pytest.param(forged("strongroom ledger key rotation\n", OLD, NEW), id="no keys"),
        pytest.param(forged(HEADER.replace(str(OLD.verifier), "a+b+c"), OLD, NEW), id="no key"),
        pytest.param(
            forged(f"{HEADER.splitlines()[0]}\n{STRANGER.verifier}\n{NEW.verifier}\n", STRANGER, NEW),
            id="of another key",
        ),
        pytest.param(
            encode_entry(Entry(type=ROTATION, time="2026-11-01T09:30:00.123Z", writer="w", body={"note": [1]})),
            id="no note",
        ),
        pytest.param(
            encode_entry(Entry(type=ROTATION, time="2026-11-01T09:30:00.123Z", writer="w", body={})), id="empty"
        ),
    ],
)
def test_a_forged_rotation_introduces_nobody(entry_: bytes) -> None:
    assert introduced_by(entry_, OLD.verifier) is None


def test_a_forged_rotation_in_the_log_does_not_let_its_key_sign(tmp_path: Path) -> None:
    """Somebody wrote into the log's files, its `keys` too, and holds a key of their own."""
    home = make(tmp_path)
    old = home.keys()[0]
    with home.open() as sequencer:
        sequencer.unsafe_append_many([entry(0), forged(HEADER.replace(str(OLD.verifier), str(old)), NEW)])
    storage = home.storage
    storage.replace("public/keys", f"{NEW.verifier}\n{old}\n".encode())
    forger = open_ledger(storage, signer(NEW), tmp_path / "lock")
    forger.append_many([entry(1)])
    forger.close()
    storage.replace("public/keys", f"{old}\n{NEW.verifier}\n".encode())
    with pytest.raises(IntegrityError):
        home.verify(given=old).check("log")
    with pytest.raises(IntegrityError):
        home.verify().check("log")


def test_a_key_that_stands_in_keys_alone_signs_nothing(tmp_path: Path) -> None:
    home = make(tmp_path)
    old = home.keys()[0]
    grow(home, 0, 2)
    home.storage.replace("public/keys", f"{NEW.verifier}\n{old}\n".encode())
    forger = open_ledger(home.storage, signer(NEW), tmp_path / "lock")
    forger.append_many([entry(1)])
    forger.close()
    home.storage.replace("public/keys", f"{old}\n{NEW.verifier}\n".encode())
    for given in (old, None):
        with pytest.raises(IntegrityError, match="not introduced"):
            home.verify(given=given)
    with pytest.raises(IntegrityError, match="no signature is of a key that is trusted"):
        LogReader(home.source, read_checkpoint(home.source, [old]))


def test_a_rotated_log_verifies_with_the_old_key_and_the_new_one(tmp_path: Path) -> None:
    home = make(tmp_path)
    old = home.keys()[0]
    grow(home, 0, 3)
    new = home.rotate(NOW)
    assert home.keys() == [old, new]
    for given in (old, new, None):
        home.verify(given=given).check("log")
    assert {line.split()[1] for line in _signatures(home)} == {ORIGIN}
    assert len(_signatures(home)) == 2, "what is published is signed by both"
    grow(home, 4, 2)
    newest = home.rotate(NOW)
    grow(home, 7, 2)
    for given in (old, new, newest):
        verdict = home.verify(given=given)
        verdict.check("log")
        assert verdict.key == newest


def _signatures(home: Home) -> list[str]:
    data = home.source.read("checkpoint", 10_000)
    assert data is not None
    return [line for line in data.decode().splitlines() if line.startswith("—")]


class Stop(BaseException):
    pass


def _raise(*_: object, **__: object) -> None:
    raise Stop


def _adopt_half(real: Callable[..., None]) -> Callable[..., None]:
    """The file of keys is written, the private key is not in its place yet."""

    def adopt(self: Home, key: VerifierKey) -> None:
        rename, Path.replace = Path.replace, _raise  # type: ignore[assignment,method-assign]
        try:
            real(self, key)
        finally:
            Path.replace = rename  # type: ignore[method-assign]

    return adopt


STEPS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], bool]] = {
    "before the key is made": (lambda patch: patch.setattr(home_module, "create_key", _raise), False),
    "before its entry": (lambda patch: patch.setattr(home_module, "rotation_entry", _raise), False),
    "while it is appended": (lambda patch: patch.setattr(Sequencer, "unsafe_append_many", _raise), False),
    "once its entry is durable": (lambda patch: patch.setattr(Sequencer, "flush", _raise), True),
    "before both sign": (lambda patch: patch.setattr(Sequencer, "sign_with", _raise), True),
    "before it is adopted": (lambda patch: patch.setattr(Home, "_adopt", _raise), True),
    "while it is adopted": (lambda patch: patch.setattr(Home, "_adopt", _adopt_half(Home._adopt)), True),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_rotation_is_finished_or_taken_back_by_the_next_start(tmp_path: Path, step: str) -> None:
    home = make(tmp_path)
    old = home.keys()[0]
    grow(home, 0, 3)
    break_at, finished = STEPS[step]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        break_at(patch)
        home.rotate(NOW)
    home.verify(given=old).check("log")
    with home.open():
        pass
    assert len(home.keys()) == (2 if finished else 1)
    assert not (tmp_path / "keys" / "ledger.key.next").exists()
    for given in [*home.keys()]:
        home.verify(given=given).check("log")  # before anything else is appended
    grow(home, 4, 1)
    again = home.rotate(NOW)
    for given in (old, again):
        home.verify(given=given).check("log")


def test_a_key_file_that_was_cut_off_is_taken_back(tmp_path: Path) -> None:
    """A power loss while the new key was written: nothing introduced it."""
    home = make(tmp_path)
    grow(home, 0, 1)
    (tmp_path / "keys" / "ledger.key.next").write_bytes(b"")
    assert grow(home, 1, 1) == []
    assert not (tmp_path / "keys" / "ledger.key.next").exists()


@pytest.mark.usefixtures("quick_scrypt")
def test_an_interrupted_rotation_to_another_passphrase_is_finished_too(tmp_path: Path) -> None:
    home = make(tmp_path, passphrase="old words")
    old = home.keys()[0]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Home, "_adopt", _raise)
        home.rotate(NOW, passphrase="old words", new_passphrase="new words")
    with pytest.raises(RefusedError), home.open(passphrase="new words"):
        pass
    with pytest.raises(RefusedError, match="finished now"), home.open(passphrase="old words"):
        pass
    with home.open(passphrase="new words") as sequencer:
        sequencer.append_many([entry(0)])
    home.verify(given=old).check("log")


def test_nobody_rotates_while_another_appends(tmp_path: Path) -> None:
    home = make(tmp_path)
    with home.open(), pytest.raises(StrongroomError, match="another process"):
        Home(tmp_path).rotate(NOW)
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["ledger.key"]


def test_what_was_cosigned_and_kept_before_a_rotation_does_not_speak_against_the_new_key(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    witness = SigningKey("witness.example/w1", b"w" * 32, COSIGNATURE)
    home = make(tmp_path / "site", Settings(copy=str(tmp_path / "copy")))
    grow(home, 0, 3)
    checkpoint = read_checkpoint(home.source, home.keys())
    text = checkpoint.checkpoint.text()
    cosigned = checkpoint.note + str(witness.cosign(text, NOW // 1_000_000)).encode()
    home.storage.replace("public/cosigned", cosigned)
    home.settings = Settings()  # the copy does not see the rotation
    new = home.rotate(NOW)
    home.settings = Settings(
        copy=str(tmp_path / "copy"),
        witnesses=(WitnessAddress("http://127.0.0.1:1", witness.verifier),),
        quorum=1,
    )
    verdict = home.verify(given=new)
    verdict.check("log")
    assert verdict.completeness == "complete"


def test_a_key_that_was_replaced_signs_nothing_more(tmp_path: Path) -> None:
    """Whoever stole the old key writes on after the rotation: that is why keys are rotated."""
    home = make(tmp_path)
    stolen = load_key(home.key_file)
    grow(home, 0, 3)
    home.rotate(NOW)
    assert home.verify(given=stolen.verifier).integrity == "intact"  # its successor's entry is the last
    home.storage.replace("public/keys", f"{home.keys()[1]}\n{stolen.verifier}\n".encode())
    thief = open_ledger(home.storage, signer(stolen), tmp_path / "lock")
    thief.append_many([entry(9)])
    thief.close()
    home.storage.replace("public/keys", f"{stolen.verifier}\n{home.keys()[0]}\n".encode())
    for given in (stolen.verifier, None):
        with pytest.raises(IntegrityError, match="was replaced at entry 3"):
            home.verify(given=given)
    with pytest.raises(IntegrityError, match="no signature is of a key that is trusted"):
        home.reader()
