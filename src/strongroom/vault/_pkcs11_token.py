"""One PKCS#11 token: its session, its AES key, and what its module's errors mean.

Invariants: the PIN goes to the token that it was given for and to no other; who had it refused does not try it again,
since tokens lock themselves after a few wrong ones. What was wrapped was opened once in the token before it is handed
out: some HSMs put a nonce of their own in the place of ours.

One thread at a time is inside any module: python-pkcs11 initialises modules without locking (`C_Initialize(NULL)`),
and a login counts for the whole process. A fork waits until no thread is inside, and the child initialises the module
anew, as PKCS#11 2.40 asks ("Applications and processes").
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from ..core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from ._parts import OBJECT_KEY_BYTES

__all__ = ["WRAPPED_BYTES", "Pin", "Token"]

AES_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
WRAPPED_BYTES: Final = NONCE_BYTES + OBJECT_KEY_BYTES + TAG_BYTES

_Done = TypeVar("_Done")

_PIN_REFUSED: Final = ("the token refuses the PIN", "check the PIN file, then start again: tokens lock themselves")
_PIN_LOCKED: Final = ("the PIN is locked", "have the token's security officer set a new one, then start again")
_PIN_NEEDED: Final = ("the token wants a new PIN first", "set the user's PIN with the token's tool, then start again")
_PIN: Final[Mapping[str, tuple[str, str]]] = {
    "PinIncorrect": _PIN_REFUSED,
    "PinInvalid": _PIN_REFUSED,
    "PinLenRange": _PIN_REFUSED,
    "PinLocked": _PIN_LOCKED,
    "PinExpired": _PIN_NEEDED,
    "PinTooWeak": _PIN_NEEDED,
    "UserPinNotInitialized": _PIN_NEEDED,
}
_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "NoSuchToken": ("there is no token of this label", "check the label, and that the token is plugged in and set up"),
    "MultipleTokensReturned": ("several tokens have this label", "give each token a label of its own"),
}
_FAILURES: Final[Mapping[str, tuple[str, str]]] = {
    "UserAlreadyLoggedIn": (
        "another part of this process is logged in to the token",
        "use the token through Strongroom alone, or in a process of its own",
    ),
    "MechanismInvalid": ("the token does not offer CKM_AES_GCM as it is used here", "take another token"),
    "MechanismParamInvalid": ("the token takes no nonce of ours for CKM_AES_GCM", "take another token"),
    "TokenWriteProtected": ("the token is write-protected", "make the key with the token's own tool"),
    "DeviceRemoved": ("the token was taken out", "plug it in, then try again"),
}


class Pin:
    """Keeps a PIN out of reprs, pickles and tracebacks that show locals."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise UsageError("the PIN is empty", next="check the PIN file")
        self._text = text

    def __repr__(self) -> str:
        return "<PIN>"

    def __reduce__(self) -> str:
        raise UsageError("a PIN is not written anywhere", next="give it to each process by its own PIN file")

    def reveal(self) -> str:
        return self._text


_INSIDE: Final = threading.RLock()
os.register_at_fork(before=_INSIDE.acquire, after_in_parent=_INSIDE.release, after_in_child=_INSIDE.release)
_initialised: Final[dict[str, int]] = {}
"""Modules, by path, and the process that initialised them. Under `_INSIDE`."""


class Token:
    """One token of one module, and the PIN of its user. Each call has a session of its own."""

    def __init__(self, module: str | Path, label: str, pin: Pin, random: Callable[[int], bytes]) -> None:
        # The loader searches folders for what is not a path; what runs in this process is to be named outright.
        if not Path(module).is_absolute() or "\0" in str(module):
            raise UsageError("a PKCS#11 module is named by its full path", where=ascii(str(module)))
        self._module = os.path.realpath(module)  # one spelling: a module can be initialised only once
        self._label = label
        self._pin = pin
        self._random = random
        self._refused: tuple[str, str] | None = None

    def encrypt(self, object: str, secret: bytes, context: bytes, where: str) -> bytes:
        held = [secret]  # emptied below: a traceback that shows locals shows no key
        del secret

        def seal(session: Any) -> bytes:
            return _seal(_find(session, object, where), held[0], context, self._random(NONCE_BYTES), where)

        try:
            return self._run(seal, where)
        finally:
            held.clear()

    def decrypt(self, object: str, wrapped: bytes, context: bytes, where: str) -> bytes:
        def open_(session: Any) -> bytes:
            key = _find(session, object, where)
            # Modules say in many ways that a tag is wrong, SoftHSM with CKR_GENERAL_ERROR. So the key is tried on
            # something else, which raises where the token fails; where it works, a second refusal means damage.
            for _ in range(2):
                with suppress(_library().PKCS11Error):
                    return _open(key, wrapped, context)
                _try(key, self._random(NONCE_BYTES), where)
            return b""

        secret = self._run(open_, where)
        if len(secret) != OBJECT_KEY_BYTES:
            del secret
            raise IntegrityError(
                "the token does not open the wrapped key: it, its context or the key is not what was wrapped",
                where=where,
                next="restore the sealed object from a good copy",
            )
        return secret

    def generate(self, object: str, where: str) -> None:
        def generate(session: Any) -> None:
            lib = _library()
            named = {lib.Attribute.CLASS: lib.ObjectClass.SECRET_KEY, lib.Attribute.LABEL: object}
            if list(session.get_objects(named)):
                raise RefusedError("the token has a key of this label", where=where, next="choose another label")
            key = session.generate_key(
                lib.KeyType.AES,
                AES_KEY_BYTES * 8,
                label=object,
                store=True,
                capabilities=lib.MechanismFlag.ENCRYPT | lib.MechanismFlag.DECRYPT,
                template={
                    lib.Attribute.PRIVATE: True,
                    lib.Attribute.SENSITIVE: True,
                    lib.Attribute.EXTRACTABLE: False,
                    lib.Attribute.MODIFIABLE: False,
                },
            )
            try:
                _check_key(key, where)
                _try(key, self._random(NONCE_BYTES), where)
            except BaseException:
                key.destroy()
                raise

        self._run(generate, where, write=True)

    def _run(self, do: Callable[[Any], _Done], where: str, *, write: bool = False) -> _Done:
        """Does it in a session, logged in, alone in the module."""
        lib = _library()
        with _INSIDE:
            if self._refused is not None:
                message, what_next = self._refused
                raise RefusedError(f"{message}, and it is not tried again", where=where, next=what_next)
            module = _module(self._module)
            try:
                # A failed login leaves its session open, not logged in; python-pkcs11 gives no way to close it. A
                # refused PIN is not tried again, so it is one.
                token = module.get_token(token_label=self._label)
                with token.open(rw=write, user_pin=self._pin.reveal()) as session:
                    return do(session)
            except lib.PKCS11Error as error:
                failure = self._explained(error, where)
        # Outside the `except`, so that nothing of python-pkcs11's, whose frames hold the key, hangs on to the error.
        raise failure

    def _explained(self, error: Exception, where: str) -> StrongroomError:
        name = type(error).__name__
        if name in _PIN:
            self._refused = _PIN[name]
        refusal = _PIN.get(name) or _REFUSALS.get(name)
        if refusal is not None:
            return RefusedError(refusal[0], where=where, next=refusal[1])
        message, what_next = _FAILURES.get(name, (f"the token failed: {name}", "look at the token's own log"))
        return StrongroomError(message, where=where, next=what_next)


def _library() -> Any:
    try:
        import pkcs11
    except ImportError:
        raise UsageError(
            "keys in a PKCS#11 token need the extra `pkcs11`", next="pip install 'strongroom[pkcs11]'"
        ) from None
    return pkcs11


def _module(path: str) -> Any:
    """The module at a path, loaded and initialised by this process. Under `_INSIDE`."""
    lib = _library()
    try:
        module = lib.lib(path)
        if _initialised.setdefault(path, os.getpid()) != os.getpid():
            _initialised[path] = os.getpid()
            # A forked child; some modules have noticed already and say that there is nothing to finalise.
            with suppress(lib.PKCS11Error):
                module.finalize()
            module.initialize()
    except lib.PKCS11Error as error:
        raise StrongroomError(
            f"the PKCS#11 module cannot be loaded: {str(error)[:200] or type(error).__name__}",
            where=path,
            next="check its path, its own configuration and who may read them",
        ) from None
    return module


def _find(session: Any, object: str, where: str) -> Any:
    """The one AES key of this label, if it is one that cannot leave the token."""
    lib = _library()
    keys = list(
        session.get_objects(
            {
                lib.Attribute.CLASS: lib.ObjectClass.SECRET_KEY,
                lib.Attribute.KEY_TYPE: lib.KeyType.AES,
                lib.Attribute.LABEL: object,
            }
        )
    )
    if not keys:
        raise RefusedError(
            "the token holds no AES key of this label", where=where, next="check the label, or make the key"
        )
    if len(keys) > 1:
        raise RefusedError("several keys have this label", where=where, next="delete or rename all but one")
    _check_key(keys[0], where)
    return keys[0]


def _check_key(key: Any, where: str) -> None:
    attribute = _library().Attribute
    wrong = [
        what
        for what, is_so in (
            ("is not of 256 bits", key[attribute.VALUE_LEN] != AES_KEY_BYTES),
            ("is not sensitive", not key[attribute.SENSITIVE]),
            ("is extractable", key[attribute.EXTRACTABLE]),
            ("may not encrypt and decrypt", not (key[attribute.ENCRYPT] and key[attribute.DECRYPT])),
        )
        if is_so
    ]
    if wrong:
        raise RefusedError(f"the key in the token {', '.join(wrong)}", where=where, next="make another key")


def _seal(key: Any, secret: bytes, context: bytes, nonce: bytes, where: str) -> bytes:
    """Encrypts, and proves that it can be opened. Raises PKCS11Error, StrongroomError."""
    lib = _library()
    parameters = lib.GCMParams(nonce, context, TAG_BYTES * 8)
    try:
        wrapped = nonce + key.encrypt(secret, mechanism=lib.Mechanism.AES_GCM, mechanism_param=parameters)
        if len(wrapped) == WRAPPED_BYTES and hmac.compare_digest(_open(key, wrapped, context), secret):
            return bytes(wrapped)
    finally:
        del secret
    raise StrongroomError(
        "the token does not open what it wrapped",
        where=where,
        next="have it take the nonce that it is given for CKM_AES_GCM, or take another token",
    )


def _open(key: Any, wrapped: bytes, context: bytes) -> bytes:
    lib = _library()
    parameters = lib.GCMParams(wrapped[:NONCE_BYTES], context, TAG_BYTES * 8)
    return bytes(key.decrypt(wrapped[NONCE_BYTES:], mechanism=lib.Mechanism.AES_GCM, mechanism_param=parameters))


def _try(key: Any, nonce: bytes, where: str) -> None:
    """A round trip of something that is no secret. Raises PKCS11Error, StrongroomError."""
    _seal(key, bytes(OBJECT_KEY_BYTES), b"strongroom trial", nonce, where)
