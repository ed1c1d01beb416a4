"""Object keys wrapped by a token that speaks PKCS#11: an HSM, a smart card, SoftHSM.

An AES-256 key that never leaves the token encrypts the object key with CKM_AES_GCM:

    wrapped = nonce (12 bytes, random) | ciphertext (32) | tag (16); the context is the associated data

A key is named by an RFC 7512 URI with two attributes, `pkcs11:token=<label>;object=<label>`, in one spelling only:
names are compared as text. Which module to load and its PIN are the operator's to say, never a sealed object's, so
RFC 7512's `module-path`, `pin-value` and their like are refused.

Sources: RFC 7512, 2.3; PKCS#11 2.40, current mechanisms, "AES-GCM authenticated Encryption / Decryption".

>>> pkcs11_uri("hsm 1", "models")
'pkcs11:token=hsm%201;object=models'
>>> parse_pkcs11_uri("pkcs11:token=hsm%201;object=models")
('hsm 1', 'models')
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from ..core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from ._parts import OBJECT_KEY_BYTES
from ._pkcs11_token import WRAPPED_BYTES, Pin, Token

__all__ = ["SCHEME", "Pkcs11", "Pkcs11Recipient", "create_pkcs11_key", "parse_pkcs11_uri", "pkcs11_uri"]

SCHEME: Final = "pkcs11"
MAX_URI_CHARS: Final = 1024
MAX_TOKEN_BYTES: Final = 32  # of CK_TOKEN_INFO.label
MAX_OBJECT_BYTES: Final = 128

_PAIR: Final = re.compile(r"(?P<name>[a-z-]{1,24})=(?P<value>(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*)")
_ATTRIBUTES: Final = ("token", "object")
_USE: Final = "name the key as pkcs11:token=<label>;object=<label>, with %20 for a space"


# Names


def pkcs11_uri(token: str, object: str) -> str:
    """The one name of a key. Raises UsageError for labels that PKCS#11 or RFC 7512 cannot carry."""
    _check_label(token, "token", MAX_TOKEN_BYTES, UsageError)
    _check_label(object, "object", MAX_OBJECT_BYTES, UsageError)
    return f"{SCHEME}:token={quote(token, safe='')};object={quote(object, safe='')}"


def parse_pkcs11_uri(uri: str, error: type[StrongroomError] = UsageError) -> tuple[str, str]:
    """The labels of token and object (RFC 7512, 2.3). Raises `error` for everything that `pkcs11_uri` does not write.

    No error quotes the URI before it is known to hold two labels: people paste URIs with `pin-value` in them.
    """
    scheme, _, rest = uri.partition(":")
    if scheme != SCHEME or len(uri) > MAX_URI_CHARS:
        raise error("this does not name a key in a PKCS#11 token", next=_USE)
    path, query, _ = rest.partition("?")
    if query:
        raise error("a key's name takes no `?` part: neither PIN nor module are read from there", next=_USE)
    found: dict[str, str] = {}
    for part in path.split(";"):
        match = _PAIR.fullmatch(part)
        if match is None or match["name"] in found:
            raise error("this is no PKCS#11 URI (RFC 7512): an attribute is ill-formed or stands twice", next=_USE)
        if match["name"] not in _ATTRIBUTES:
            raise error("a key's name has the attributes `token` and `object` and no others", next=_USE)
        try:
            found[match["name"]] = unquote(match["value"], errors="strict")
        except UnicodeDecodeError:
            raise error(f"the label of the {match['name']} is not UTF-8", next=_USE) from None
    if len(found) != len(_ATTRIBUTES):
        raise error("a key's name needs both `token` and `object`", next=_USE)
    _check_label(found["token"], "token", MAX_TOKEN_BYTES, error)
    _check_label(found["object"], "object", MAX_OBJECT_BYTES, error)
    name = pkcs11_uri(found["token"], found["object"])
    if uri != name:
        raise error("names of keys are compared as text, so each has one spelling", next=f"write {name}")
    return found["token"], found["object"]


def _check_label(label: str, what: str, most: int, error: type[StrongroomError]) -> None:
    """Tokens pad labels with blanks, so white space at an end would be lost; what cannot be printed is not a name."""
    if label and label == label.strip() and label.isprintable() and len(label.encode()) <= most:
        return
    raise error(
        f"a label of a {what} is 1 to {most} bytes of printable UTF-8, with no white space at its ends", next=_USE
    )


# Recipient and unwrapper


class Pkcs11Recipient:
    """Whoever may log in to a token. Threads may share it.

    `module` is the full path of the token's PKCS#11 library, which runs inside this process; `pin` is the user's.
    `random` gives nonces. Raises UsageError for labels, a path or a PIN that cannot be.
    """

    def __init__(
        self,
        name: str,
        token: str,
        object: str,
        *,
        module: str | Path,
        pin: str,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        hidden = Pin(pin)
        del pin
        self._name = name
        self._object = object
        self._key = pkcs11_uri(token, object)
        self._token = Token(module, token, hidden, random)

    @property
    def name(self) -> str:
        return self._name

    @property
    def key(self) -> str:
        return self._key

    def wrap(self, secret: bytes | bytearray, context: bytes) -> bytes:
        """The object key (32 bytes) as 60 bytes that only the token opens, and only with the same `context`.

        Raises UsageError where `secret` is of another length, RefusedError where PIN, token or key are not accepted
        or not found, StrongroomError where the token fails.
        """
        try:
            if len(secret) != OBJECT_KEY_BYTES:
                raise UsageError(f"an object key has {OBJECT_KEY_BYTES} bytes", where=self._key)
            return self._token.encrypt(self._object, bytes(secret), context, self._key)
        finally:
            del secret  # from this frame: a traceback that shows locals shows no key


class Pkcs11:
    """Has object keys unwrapped by the keys of one token. Threads may share it.

    `module` is the full path of the token's PKCS#11 library, which runs inside this process; `pin` is that of the
    user of `token`, and is tried at no other. Raises UsageError for a label, path or PIN that cannot be.
    """

    scheme = SCHEME

    def __init__(self, module: str | Path, pin: str, *, token: str) -> None:
        hidden = Pin(pin)
        del pin
        _check_label(token, "token", MAX_TOKEN_BYTES, UsageError)
        self._label = token
        self._token = Token(module, token, hidden, os.urandom)

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """The object key (32 bytes).

        Raises RefusedError where `key` is ill-formed, of another token or not found, or the PIN is not accepted;
        IntegrityError where `wrapped` or `context` is not what was wrapped with this key; StrongroomError where the
        token fails.
        """
        token, object = parse_pkcs11_uri(key, RefusedError)
        if token != self._label:
            raise RefusedError("the key is of another token than the one in use", where=key, next="name that token")
        if len(wrapped) != WRAPPED_BYTES:
            raise IntegrityError(f"a wrapped key has {WRAPPED_BYTES} bytes, not {len(wrapped):,}", where=key)
        return self._token.decrypt(object, bytes(wrapped), context, key)


def create_pkcs11_key(module: str | Path, pin: str, token: str, object: str) -> str:
    """Makes an AES-256 key in a token, for encryption alone, sensitive and not extractable. Returns its name.

    A trial round trip is made with it before it is kept. Raises UsageError for labels, a path or a PIN that cannot
    be, RefusedError where there is such a key already or the token refuses, StrongroomError where the token fails.
    """
    hidden = Pin(pin)
    del pin
    name = pkcs11_uri(token, object)
    Token(module, token, hidden, os.urandom).generate(object, name)
    return name
