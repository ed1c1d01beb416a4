"""Object keys wrapped by keys in a PKCS#11 token. The token is SoftHSM's, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest

from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError
from strongroom.vault import _pkcs11_token
from strongroom.vault._pkcs11 import Pkcs11, Pkcs11Recipient, create_pkcs11_key

from ..conftest import missing

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
PIN = "pin-7418529630"
WRONG_PIN = "pin-0369258147"
OBJECT_KEY = bytes(range(100, 132))
SECRETS = [PIN, WRONG_PIN, repr(OBJECT_KEY)[2:-1], OBJECT_KEY.hex()]
CONTEXT = b"strongroom.sealed/1 obj_1 acme/model:v1"
TOKEN = "strongroom test; 1/é"
OTHER = "other"


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SoftHSM's module with three tokens: two to use, and two of one label. A process loads it once."""
    found = next((path for path in MODULES if Path(path).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        missing("SoftHSM2 is not installed (scripts/system-deps installs it)")
    place = tmp_path_factory.mktemp("softhsm")
    (place / "tokens").mkdir()
    (place / "softhsm2.conf").write_text(f"directories.tokendir = {place / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(place / "softhsm2.conf")
    for label in (TOKEN, OTHER, "twin", "twin"):
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-pin-1"],
            check=True,
            capture_output=True,
        )
    yield str(found)
    pkcs11.unload(os.path.realpath(str(found)))
    del os.environ["SOFTHSM2_CONF"]
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    """Of an object: each test's own."""
    return f"key of {request.node.name}"[:100]


def recipient(module: str, label: str, *, token: str = TOKEN, pin: str = PIN) -> Pkcs11Recipient:
    return Pkcs11Recipient("site", token, label, module=module, pin=pin)


def made(module: str, label: str, *, token: str = TOKEN) -> Pkcs11Recipient:
    key = create_pkcs11_key(module, PIN, token, label)
    new = recipient(module, label, token=token)
    assert new.key == key
    return new


def by_hand(module: str, label: str, **settings: Any) -> None:
    """A key that is not made as ours are."""
    with pkcs11.lib(os.path.realpath(module)).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN) as session:
        template = {pkcs11.Attribute.EXTRACTABLE: False, **settings.pop("template", {})}
        session.generate_key(
            pkcs11.KeyType.AES, settings.pop("bits", 256), label=label, store=True, template=template, **settings
        )


def test_what_was_wrapped_is_unwrapped_and_two_recipients_get_two_wrappings(module: str, label: str) -> None:
    one, two = made(module, label), made(module, label, token=OTHER)
    assert one.key == f"pkcs11:token=strongroom%20test%3B%201%2F%C3%A9;object={label.replace(' ', '%20')}"
    wrapped = [one.wrap(OBJECT_KEY, CONTEXT), one.wrap(bytearray(OBJECT_KEY), CONTEXT), two.wrap(OBJECT_KEY, CONTEXT)]
    assert {len(each) for each in wrapped} == {60}
    assert len({each[:12] for each in wrapped}) == len({each[12:44] for each in wrapped}) == 3
    opener, other = Pkcs11(module, PIN, token=TOKEN), Pkcs11(module, PIN, token=OTHER)
    assert opener.unwrap(one.key, wrapped[0], CONTEXT) == opener.unwrap(one.key, wrapped[1], CONTEXT) == OBJECT_KEY
    assert other.unwrap(two.key, wrapped[2], CONTEXT) == OBJECT_KEY
    with pytest.raises(IntegrityError):
        other.unwrap(two.key, wrapped[0], CONTEXT)


def test_the_layout_is_nonce_ciphertext_tag_of_aes_gcm(module: str, label: str) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    known = bytes(range(32))
    with pkcs11.lib(os.path.realpath(module)).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN) as session:
        session.create_object(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                pkcs11.Attribute.TOKEN: True,
                pkcs11.Attribute.PRIVATE: True,
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.ENCRYPT: True,
                pkcs11.Attribute.DECRYPT: True,
                pkcs11.Attribute.LABEL: label,
                pkcs11.Attribute.VALUE: known,
            }
        )
    wrapped = recipient(module, label).wrap(OBJECT_KEY, CONTEXT)
    assert AESGCM(known).decrypt(wrapped[:12], wrapped[12:], CONTEXT) == OBJECT_KEY
    sealed = bytes(12) + AESGCM(known).encrypt(bytes(12), OBJECT_KEY, CONTEXT)
    assert Pkcs11(module, PIN, token=TOKEN).unwrap(recipient(module, label).key, sealed, CONTEXT) == OBJECT_KEY


def test_a_key_of_ours_is_for_encryption_alone_and_cannot_be_read_or_loosened(module: str, label: str) -> None:
    made(module, label)
    with pkcs11.lib(os.path.realpath(module)).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN) as session:
        key = session.get_key(label=label)
        Attribute = pkcs11.Attribute
        for attribute in (
            Attribute.SENSITIVE,
            Attribute.NEVER_EXTRACTABLE,
            Attribute.PRIVATE,
            Attribute.LOCAL,
            Attribute.TOKEN,
        ):
            assert key[attribute]
        for attribute in (
            Attribute.EXTRACTABLE,
            Attribute.WRAP,
            Attribute.UNWRAP,
            Attribute.SIGN,
            Attribute.DERIVE,
            Attribute.MODIFIABLE,
        ):
            assert not key[attribute]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]
        with pytest.raises(pkcs11.PKCS11Error):
            key[Attribute.EXTRACTABLE] = True
    with pkcs11.lib(os.path.realpath(module)).get_token(token_label=TOKEN).open() as session:
        assert not list(session.get_objects({Attribute.LABEL: label}))  # private: nothing without the PIN


def test_a_key_is_not_made_twice(module: str, label: str) -> None:
    first = made(module, label)
    wrapped = first.wrap(OBJECT_KEY, CONTEXT)
    with pytest.raises(RefusedError, match="has a key of this label"):
        create_pkcs11_key(module, PIN, TOKEN, label)
    assert Pkcs11(module, PIN, token=TOKEN).unwrap(first.key, wrapped, CONTEXT) == OBJECT_KEY


def test_a_key_that_fails_its_trial_is_not_kept(module: str, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise pkcs11.MechanismInvalid

    with monkeypatch.context() as patch:
        patch.setattr(_pkcs11_token, "_try", fails)
        with pytest.raises(StrongroomError, match="does not offer CKM_AES_GCM"):
            create_pkcs11_key(module, PIN, TOKEN, label)
    with pytest.raises(RefusedError, match="no AES key of this label"):
        recipient(module, label).wrap(OBJECT_KEY, CONTEXT)
    made(module, label)


def test_each_byte_and_the_context_count(module: str, label: str) -> None:
    key = made(module, label)
    wrapped = key.wrap(OBJECT_KEY, CONTEXT)
    opener = Pkcs11(module, PIN, token=TOKEN)
    flipped = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in range(len(wrapped))]
    bad = [
        *((each, CONTEXT) for each in flipped),
        *((wrapped[:length], CONTEXT) for length in (0, 11, 12, 44, 59)),
        (wrapped + b"\0", CONTEXT),
        (bytes(60), CONTEXT),
        (wrapped, CONTEXT + b"2"),
        (wrapped, CONTEXT[:-1]),
        (wrapped, b""),
    ]
    for each, context in bad:
        with pytest.raises(IntegrityError) as wrong:
            opener.unwrap(key.key, each, context)
    assert_silent(wrong.value)
    assert opener.unwrap(key.key, wrapped, CONTEXT) == OBJECT_KEY


def test_a_token_that_stumbles_once_is_not_taken_for_damage(
    module: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = made(module, label)
    wrapped = key.wrap(OBJECT_KEY, CONTEXT)
    real, calls = _pkcs11_token._open, []

    def stumbles(*given: Any) -> bytes:
        calls.append(given)
        if len(calls) == 1:
            raise pkcs11.GeneralError
        return real(*given)

    monkeypatch.setattr(_pkcs11_token, "_open", stumbles)
    assert Pkcs11(module, PIN, token=TOKEN).unwrap(key.key, wrapped, CONTEXT) == OBJECT_KEY


def test_a_token_that_fails_is_not_taken_for_damage(module: str, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = made(module, label)
    wrapped = key.wrap(OBJECT_KEY, CONTEXT)

    def fails(*_: Any) -> None:
        raise pkcs11.DeviceRemoved

    monkeypatch.setattr(_pkcs11_token, "_open", fails)
    with pytest.raises(StrongroomError, match="taken out") as wrong:
        Pkcs11(module, PIN, token=TOKEN).unwrap(key.key, wrapped, CONTEXT)
    assert type(wrong.value) is StrongroomError
    with pytest.raises(StrongroomError, match="taken out") as wrong:
        key.wrap(OBJECT_KEY, CONTEXT)
    assert_silent(wrong.value)


@pytest.mark.parametrize("pin", [WRONG_PIN, "1", "9" * 1000], ids=len)
def test_a_wrong_pin_is_refused_and_not_tried_again(module: str, label: str, pin: str) -> None:
    key = made(module, label)
    wrapped = key.wrap(OBJECT_KEY, CONTEXT)
    opener, sealer = Pkcs11(module, pin, token=TOKEN), recipient(module, label, pin=pin)
    for _ in range(2):
        for ask in (lambda: opener.unwrap(key.key, wrapped, CONTEXT), lambda: sealer.wrap(OBJECT_KEY, CONTEXT)):
            with pytest.raises(RefusedError, match="refuses the PIN") as wrong:
                ask()
            assert_silent(wrong.value)
    assert "not tried again" in str(wrong.value)
    with pytest.raises(RefusedError, match="refuses the PIN"):
        create_pkcs11_key(module, pin, TOKEN, label + "2")
    # And who has the right one is not disturbed.
    assert Pkcs11(module, PIN, token=TOKEN).unwrap(key.key, wrapped, CONTEXT) == OBJECT_KEY


def test_tokens_and_keys_that_are_not_there_or_not_alone_are_refused(module: str, label: str) -> None:
    wrapped = made(module, label).wrap(OBJECT_KEY, CONTEXT)
    for token, object, said in (
        ("nowhere", label, "no token of this label"),
        ("twin", label, "several tokens"),
        (TOKEN, "nothing", "no AES key of this label"),
        (OTHER, label, "no AES key of this label"),
    ):
        other = recipient(module, object, token=token)
        for ask in (
            lambda other=other: other.wrap(OBJECT_KEY, CONTEXT),
            lambda other=other, token=token: Pkcs11(module, PIN, token=token).unwrap(other.key, wrapped, CONTEXT),
        ):
            with pytest.raises(RefusedError, match=said) as wrong:
                ask()
            assert wrong.value.next
            assert_silent(wrong.value)
    by_hand(module, "same")
    by_hand(module, "same")
    with pytest.raises(RefusedError, match="several keys"):
        recipient(module, "same").wrap(OBJECT_KEY, CONTEXT)


def test_keys_that_could_leave_the_token_or_are_too_small_are_refused(module: str) -> None:
    Attribute = pkcs11.Attribute
    by_hand(module, "loose", template={Attribute.EXTRACTABLE: True})
    by_hand(module, "bare", template={Attribute.SENSITIVE: False})
    by_hand(module, "small", bits=128)
    by_hand(module, "one way", capabilities=pkcs11.MechanismFlag.ENCRYPT)
    for object, said in (
        ("loose", "is extractable"),
        ("bare", "is not sensitive"),
        ("small", "not of 256 bits"),
        ("one way", "may not encrypt and decrypt"),
    ):
        with pytest.raises(RefusedError, match=said):
            recipient(module, object).wrap(OBJECT_KEY, CONTEXT)


def test_a_login_elsewhere_in_the_process_does_not_stand_in_for_the_pin(module: str, label: str) -> None:
    key = made(module, label)
    with pkcs11.lib(os.path.realpath(module)).get_token(token_label=TOKEN).open(user_pin=PIN):
        for pin in (PIN, WRONG_PIN):
            with pytest.raises(StrongroomError, match="another part of this process") as wrong:
                recipient(module, label, pin=pin).wrap(OBJECT_KEY, CONTEXT)
            assert_silent(wrong.value)
    key.wrap(OBJECT_KEY, CONTEXT)


def test_threads_share_recipients_and_unwrappers(module: str, label: str) -> None:
    one, two = made(module, label), made(module, label, token=OTHER)
    openers = {one: Pkcs11(module, PIN, token=TOKEN), two: Pkcs11(module, PIN, token=OTHER)}
    begin = threading.Barrier(8)

    def round_trips(number: int) -> int:
        begin.wait(30)
        for turn in range(10):
            key = (one, two)[(number + turn) % 2]
            context, secret = b"%d %d" % (number, turn), bytes([number, turn]) * 16
            assert openers[key].unwrap(key.key, key.wrap(secret, context), context) == secret
            with pytest.raises(IntegrityError):
                openers[key].unwrap(key.key, key.wrap(secret, context), context + b"x")
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(round_trips, range(8))) == list(range(8))


@pytest.mark.filterwarnings("ignore:This process")  # Python 3.12 and later: fork with threads
def test_a_fork_waits_for_who_is_inside_and_the_child_opens_keys_too(module: str, label: str) -> None:
    key, opener = made(module, label), Pkcs11(module, PIN, token=TOKEN)
    wrapped = key.wrap(OBJECT_KEY, CONTEXT)
    inside, left = threading.Event(), threading.Event()

    def stay_inside() -> None:
        with _pkcs11_token._INSIDE:
            inside.set()
            time.sleep(0.2)
            left.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(stay_inside)
        assert inside.wait(30)
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(30)
                os._exit(0 if left.is_set() and opener.unwrap(key.key, wrapped, CONTEXT) == OBJECT_KEY else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    assert opener.unwrap(key.key, wrapped, CONTEXT) == OBJECT_KEY


def assert_silent(error: BaseException) -> None:
    """Neither message nor traceback, not even one that shows every frame's variables, tells a secret."""
    assert error.__cause__ is None
    assert error.__context__ is None
    tb = error.__traceback__
    while tb is not None and "/tests/" in tb.tb_frame.f_code.co_filename:
        tb = tb.tb_next  # the tests' own variables
    told = "".join(traceback.TracebackException(type(error), error, tb, capture_locals=True).format())
    told += "".join(traceback.format_exception(error)) + repr(error) + str(error)
    assert not [secret for secret in SECRETS if secret in told]
