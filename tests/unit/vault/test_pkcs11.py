"""What keys in tokens are called, and what is refused before a token is touched."""

from __future__ import annotations

import builtins
import os
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.vault import _pkcs11_token
from strongroom.vault._pkcs11 import (
    MAX_OBJECT_BYTES,
    MAX_TOKEN_BYTES,
    MAX_URI_CHARS,
    Pkcs11,
    Pkcs11Recipient,
    create_pkcs11_key,
    parse_pkcs11_uri,
    pkcs11_uri,
)
from strongroom.vault._pkcs11_token import WRAPPED_BYTES

PIN = "pin-7418529630"
MODULE = "/nonexistent/module.so"
KEY = "pkcs11:token=hsm;object=models"

LABELS = st.text(min_size=1, max_size=8).filter(lambda text: text == text.strip() and text.isprintable())


@given(LABELS, LABELS)
def test_every_label_that_can_be_is_read_back(token: str, object: str) -> None:
    uri = pkcs11_uri(token, object)
    assert uri.isascii()
    assert parse_pkcs11_uri(uri) == (token, object)


def test_what_delimits_is_escaped() -> None:
    assert pkcs11_uri("a;object=b?c", "100% /é&=") == "pkcs11:token=a%3Bobject%3Db%3Fc;object=100%25%20%2F%C3%A9%26%3D"


HOSTILE = [
    "",
    "pkcs11:",
    "PKCS11:token=hsm;object=models",
    "pkcs11:token=hsm",
    "pkcs11:object=models",
    "pkcs11:token=hsm;object=",
    "pkcs11:token=;object=models",
    "pkcs11:token=hsm;object=models;",
    "pkcs11:;token=hsm;object=models",
    "pkcs11:token=hsm;token=hsm;object=models",
    "pkcs11:token=hsm;object=models;object=other",
    f"pkcs11:token=hsm;object=models;pin-value={PIN}",
    f"pkcs11:token=hsm;object=models?pin-value={PIN}",
    f"pkcs11:token=hsm;object=models;pin-source={PIN}",
    f"pkcs11:{PIN}=x;token=hsm;object=models",
    f"pkcs11:token=hsm;object=models?module-path=/tmp/{PIN}.so",
    "pkcs11:token=hsm;object=models;module-name=evil",
    "pkcs11:token=hsm;object=models;type=secret-key",
    "pkcs11:token=hsm;object=models;id=%01",
    "pkcs11:token=hsm;object=models#x",
    "pkcs11:token=hsm;object=mo/dels",
    "pkcs11:token=hsm;object=mo dels",
    "pkcs11:token=hsm;object=models\n",
    "pkcs11:token=hsm;object=%",
    "pkcs11:token=hsm;object=%4",
    "pkcs11:token=hsm;object=%zz",
    "pkcs11:token=hsm;object=%00",
    "pkcs11:token=hsm;object=a%00b",
    "pkcs11:token=hsm;object=a%0Ab",
    "pkcs11:token=hsm;object=%1B%5B2J",
    "pkcs11:token=hsm;object=%FF",
    "pkcs11:token=hsm;object=%C0%AE",
    "pkcs11:token=hsm;object=%ED%A0%80",
    "pkcs11:token=hsm;object=%E2%80%AE",
    "pkcs11:token=hsm;object=models%20",
    "pkcs11:token=%20hsm;object=models",
    "pkcs11:token=hsm;object=é",
    "pkcs11:token=" + "a" * (MAX_TOKEN_BYTES + 1) + ";object=models",
    "pkcs11:token=hsm;object=" + "a" * (MAX_OBJECT_BYTES + 1),
    "pkcs11:token=hsm;object=" + "a" * MAX_URI_CHARS,
    "pkcs11:" + "token=hsm;" * 100_000,
    # Other spellings of a name that is well.
    "pkcs11:object=models;token=hsm",
    "pkcs11:token=hsm;object=%6Dodels",
    "pkcs11:token=hsm;object=a+b",
    "pkcs11:token=hsm;object=a%3ab",
]


@pytest.mark.parametrize("uri", HOSTILE, ids=range(len(HOSTILE)))
def test_any_other_uri_is_refused_and_not_quoted(uri: str) -> None:
    with pytest.raises(UsageError) as wrong:
        parse_pkcs11_uri(uri)
    with pytest.raises(RefusedError):
        Pkcs11(MODULE, PIN, token="hsm").unwrap(uri, bytes(WRAPPED_BYTES), b"")
    assert PIN not in repr(wrong.value)
    assert str(wrong.value).isprintable()
    assert len(str(wrong.value)) < 1000


def test_another_spelling_is_told_the_right_one() -> None:
    with pytest.raises(UsageError, match=r"write pkcs11:token=my%20hsm;object=models$"):
        parse_pkcs11_uri("pkcs11:object=models;token=my%20hsm")


@pytest.mark.parametrize("label", ["", " a", "a\n", "a\0b", "é" * 17, "\ud800"], ids=ascii)
def test_labels_that_a_token_cannot_have_are_refused(label: str) -> None:
    for make in (
        lambda: Pkcs11(MODULE, PIN, token=label),
        lambda: Pkcs11Recipient("site", label, "models", module=MODULE, pin=PIN),
        lambda: create_pkcs11_key(MODULE, PIN, label, "models"),
    ):
        with pytest.raises(UsageError, match="label of a token") as wrong:
            make()
        assert PIN not in shown(wrong.value)


@pytest.mark.parametrize("module", ["", "module.so", "../module.so", "/a\0b"], ids=ascii)
def test_a_module_is_named_by_its_full_path(module: str) -> None:
    with pytest.raises(UsageError, match="full path") as wrong:
        Pkcs11Recipient("site", "hsm", "models", module=module, pin=PIN)
    assert PIN not in shown(wrong.value)


def test_an_empty_pin_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        Pkcs11(MODULE, "", token="hsm")


def test_a_module_that_cannot_be_loaded_is_no_refusal(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    for module in (MODULE, tmp_path / "text.so", tmp_path):
        with pytest.raises(StrongroomError, match="cannot be loaded") as wrong:
            Pkcs11(module, PIN, token="hsm").unwrap(KEY, bytes(WRAPPED_BYTES), b"")
        assert type(wrong.value) is StrongroomError
        assert PIN not in shown(wrong.value)


def test_the_pin_is_tried_at_its_own_token_only() -> None:
    with pytest.raises(RefusedError, match="another token"):
        Pkcs11(MODULE, PIN, token="other").unwrap(KEY, bytes(WRAPPED_BYTES), b"")


@pytest.mark.parametrize("size", [0, 1, WRAPPED_BYTES - 1, WRAPPED_BYTES + 1, 100_000])
def test_a_wrapped_key_of_another_size_is_damage(size: int) -> None:
    with pytest.raises(IntegrityError, match="60 bytes"):
        Pkcs11(MODULE, PIN, token="hsm").unwrap(KEY, bytes(size), b"")


def test_an_object_key_has_32_bytes() -> None:
    for size in (0, 16, 33):
        with pytest.raises(UsageError, match="32 bytes"):
            Pkcs11Recipient("site", "hsm", "models", module=MODULE, pin=PIN).wrap(bytes(size), b"")


def test_a_pin_is_in_no_repr_and_no_pickle() -> None:
    for holder in (Pkcs11(MODULE, PIN, token="hsm"), Pkcs11Recipient("s", "hsm", "m", module=MODULE, pin=PIN)):
        assert PIN not in repr(holder) + repr(vars(holder)) + repr(vars(holder._token))
        with pytest.raises(UsageError, match="PIN is not written"):
            pickle.dumps(holder)


class Key:
    """A key in an HSM that puts a nonce of its own in the place of ours and appends it, as some do in FIPS mode."""

    def encrypt(self, data: bytes, **_: Any) -> bytes:
        return data + bytes(16) + os.urandom(16)

    def decrypt(self, data: bytes, **_: Any) -> bytes:
        return data[:32]


def test_what_could_not_be_opened_again_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def seal() -> bytes:
        return _pkcs11_token._seal(Key(), bytes(32), b"context", bytes(12), KEY)

    with pytest.raises(StrongroomError, match="does not open what it wrapped"):
        seal()
    monkeypatch.setattr(Key, "encrypt", lambda self, data, **_: data + bytes(16))
    assert len(seal()) == WRAPPED_BYTES
    monkeypatch.setattr(Key, "decrypt", lambda self, data, **_: bytes(31) + b"x")
    with pytest.raises(StrongroomError, match="does not open what it wrapped"):
        seal()


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "pkcs11":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'strongroom\[pkcs11\]'"):
        Pkcs11(MODULE, PIN, token="hsm").unwrap(KEY, bytes(WRAPPED_BYTES), b"")


def shown(error: BaseException) -> str:
    """All that a traceback can show, the variables of every frame of ours included."""
    return repr(error) + "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
