"""Object keys wrapped by AWS KMS: a symmetric KMS key encrypts them, and never leaves KMS.

The context goes along as KMS's encryption context under the one key `strongroom`, so that KMS refuses a wrapped key
with another context, CloudTrail shows which object was opened, and an IAM policy can ask for it. `KeyId` is given on
Decrypt too, and the key that KMS names in its answer is compared: a ciphertext under another key is refused.

A key is named by its full ARN alone. An alias can be pointed at another key, and a bare id means another key in
another account.

Sources: AWS KMS API Reference, Encrypt and Decrypt; AWS KMS Developer Guide, "Encryption context".

>>> AwsKmsRecipient("site", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab").key
'awskms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
"""

from __future__ import annotations

import ipaddress
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from ..core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from ._parts import OBJECT_KEY_BYTES

__all__ = ["SCHEME", "AwsKms", "AwsKmsRecipient", "check_arn"]

SCHEME: Final = "awskms"
MAX_ARN_CHARS: Final = 256
MAX_CONTEXT_BYTES: Final = 4096
MAX_WRAPPED_BYTES: Final = 6144  # of CiphertextBlob, says the API reference
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
ATTEMPTS: Final = 3  # the first included

_CONTEXT_KEY: Final = "strongroom"
_ARN: Final = re.compile(
    r"arn:aws(?:-[a-z]{1,6}){0,2}:kms:(?P<region>[a-z]{2,4}(?:-[a-z]{2,9}){1,2}-[0-9]{1,2}):[0-9]{12}:"
    r"key/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
_CONTEXT: Final = re.compile(rb"[\x20-\x7e]+")
_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")

_DENIED: Final = (
    RefusedError,
    "AWS refuses the use of the key",
    "grant kms:Encrypt and kms:Decrypt: docs/vault/aws-kms.md",
)
_UNKNOWN: Final = (RefusedError, "AWS does not accept the credentials", "sign in again, or replace them")
_CHANGED: Final = (
    IntegrityError,
    "KMS does not open the wrapped key: it, its context or the key is not what was wrapped",
    "restore the sealed object from a good copy",
)
_BUSY: Final = (StrongroomError, "KMS is busy", "try again later, or ask AWS for a higher quota")
_DISABLED: Final = (
    StrongroomError,
    "the KMS key cannot be used now",
    "look at its state: it may be disabled or deleted",
)
_PROBLEMS: Final[Mapping[str, tuple[type[StrongroomError], str, str]]] = {
    "AccessDeniedException": _DENIED,
    "AccessDenied": _DENIED,
    "InvalidGrantTokenException": _DENIED,
    "NotFoundException": (RefusedError, "KMS has no such key", "check the ARN, and that the key was not deleted"),
    "UnrecognizedClientException": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "InvalidSignatureException": _UNKNOWN,
    "IncompleteSignatureException": _UNKNOWN,
    "MissingAuthenticationTokenException": _UNKNOWN,
    "ExpiredTokenException": _UNKNOWN,
    "ExpiredToken": _UNKNOWN,
    "InvalidCiphertextException": _CHANGED,
    "IncorrectKeyException": _CHANGED,
    "ThrottlingException": _BUSY,
    "LimitExceededException": _BUSY,
    "DisabledException": _DISABLED,
    "KMSInvalidStateException": _DISABLED,
    "KeyUnavailableException": _DISABLED,
    "InvalidKeyUsageException": (
        StrongroomError,
        "the KMS key is not a symmetric key for encryption",
        "make one with key spec SYMMETRIC_DEFAULT and usage ENCRYPT_DECRYPT",
    ),
}


def check_arn(arn: str, error: type[StrongroomError] = UsageError) -> str:
    """The AWS region of a full key ARN. Raises `error` where it is anything else, an alias above all."""
    if len(arn) <= MAX_ARN_CHARS and (match := _ARN.fullmatch(arn)) is not None:
        return match["region"]
    if ":alias/" in arn or arn.startswith("alias/"):
        raise error(
            "an alias can be pointed at another key later, so it names none",
            where=_shown(arn),
            next="give the key's own ARN: aws kms describe-key --key-id ALIAS --query KeyMetadata.Arn",
        )
    raise error(
        "this is not the full ARN of a KMS key",
        where=_shown(arn),
        next="give it as arn:aws:kms:<region>:<account>:key/<key id>, all of it",
    )


class AwsKmsRecipient:
    """Whoever may use a KMS key. Threads may share it.

    `client` is a boto3 KMS client for the key's region; without one it is made at first use, with credentials by
    boto3's usual chain. `endpoint_url` is for tests. Raises UsageError where `arn` is not a full key ARN.
    """

    def __init__(self, name: str, arn: str, client: Any = None, *, endpoint_url: str | None = None) -> None:
        self._region = check_arn(arn)
        self._name = name
        self._arn = arn
        self._kms = _Kms(client, endpoint_url)

    @property
    def name(self) -> str:
        return self._name

    @property
    def key(self) -> str:
        return f"{SCHEME}:{self._arn}"

    def wrap(self, secret: bytes | bytearray, context: bytes) -> bytes:
        """KMS's ciphertext of the object key (32 bytes), a few hundred bytes that only KMS can read.

        `context` is printable ASCII, 1 to 4,096 bytes; it stands in CloudTrail as it is. Raises UsageError where it
        is not or `secret` is of another length, RefusedError, IntegrityError, StrongroomError.
        """
        try:
            if len(secret) != OBJECT_KEY_BYTES:
                raise UsageError(f"an object key has {OBJECT_KEY_BYTES} bytes", where=self.key)
            text = _context(context, self.key, UsageError)
            answer = self._kms.ask("encrypt", self._region, self._arn, text, Plaintext=bytes(secret))
        finally:
            del secret  # from this frame: a traceback that shows locals shows no key
        wrapped = answer.get("CiphertextBlob")
        if not isinstance(wrapped, bytes) or not 0 < len(wrapped) <= MAX_WRAPPED_BYTES:
            raise StrongroomError("KMS gave no ciphertext", where=self.key, next="check what answers as KMS")
        return wrapped


class AwsKms:
    """Has object keys unwrapped by the KMS keys that its credentials may use. Threads may share it.

    `client` is a boto3 KMS client; without one there is one for each region, made at first use, with credentials by
    boto3's usual chain. `endpoint_url` is for tests.
    """

    scheme = SCHEME

    def __init__(self, client: Any = None, *, endpoint_url: str | None = None) -> None:
        self._kms = _Kms(client, endpoint_url)

    def unwrap(self, key: str, wrapped: bytes, context: bytes) -> bytes:
        """The object key (32 bytes).

        Raises RefusedError where `key` is ill-formed or unknown or AWS refuses, IntegrityError where `wrapped` or
        `context` is not what was wrapped with this key, StrongroomError where KMS cannot be reached or the key is
        disabled, UsageError where boto3 is not installed.
        """
        scheme, _, arn = key.partition(":")
        if scheme != self.scheme:
            raise RefusedError("this key is not in AWS KMS", where=_shown(key), next="ask the holder of its scheme")
        region = check_arn(arn, RefusedError)
        text = _context(context, key, IntegrityError)
        if not 0 < len(wrapped) <= MAX_WRAPPED_BYTES:
            raise IntegrityError(f"a wrapped key has 1 to {MAX_WRAPPED_BYTES:,} bytes, not {len(wrapped):,}", where=key)
        answer = self._kms.ask("decrypt", region, arn, text, CiphertextBlob=bytes(wrapped))
        secret = answer.pop("Plaintext", None)
        if not isinstance(secret, bytes) or len(secret) != OBJECT_KEY_BYTES:
            del secret
            raise IntegrityError("what KMS opened is not an object key", where=key, next="seal the object again")
        return secret


class _Kms:
    """Clients by region, and one way to ask them."""

    def __init__(self, client: Any, endpoint_url: str | None) -> None:
        self._given = client
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # boto3 clients may be shared by threads, but not made by several at once

    def ask(self, operation: str, region: str, arn: str, context: str, **payload: bytes) -> dict[str, Any]:
        """KMS's answer, from the key that was asked for. Every error that boto3 may raise is explained anew."""
        where = f"{SCHEME}:{arn}"
        try:
            client = self._client(region, where)
            with _unlogged():
                answer: dict[str, Any] = getattr(client, operation)(
                    KeyId=arn,
                    EncryptionContext={_CONTEXT_KEY: context},
                    EncryptionAlgorithm="SYMMETRIC_DEFAULT",  # others do not bind the context
                    **payload,
                )
        except StrongroomError:
            raise
        except Exception as error:  # a credential provider may raise anything
            failure = _explained(error, where)
        else:
            if answer.get("KeyId") == arn:
                return answer
            answer.clear()
            failure = IntegrityError("KMS answered for another key", where=where, next="check what answers as KMS")
        finally:
            payload.clear()  # the caller's key, from this frame
        # Outside the `except`, so that nothing of boto3's, whose frames hold the key, hangs on to the error.
        raise failure

    def _client(self, region: str, where: str) -> Any:
        if self._given is not None:
            return self._given
        with self._lock:
            if region not in self._clients:
                self._clients[region] = _new_client(region, self._endpoint_url, where)
            return self._clients[region]


def _new_client(region: str, endpoint_url: str | None, where: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise UsageError(
            "keys in AWS KMS need the extra `aws`", where=where, next="pip install 'strongroom[aws]'"
        ) from None
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    with _unlogged():
        client = boto3.session.Session().client("kms", region_name=region, endpoint_url=endpoint_url, config=config)
    # Boto3 takes endpoints from the environment and its configuration too; keys do not go over the wire in clear.
    if not _private(client.meta.endpoint_url):
        host = urlsplit(client.meta.endpoint_url).hostname or ""  # the rest may hold a password
        raise UsageError("KMS is to be reached without TLS", where=_shown(host), next="give an https:// endpoint")
    return client


def _private(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def _context(context: bytes, where: str, error: type[StrongroomError]) -> str:
    if len(context) > MAX_CONTEXT_BYTES or _CONTEXT.fullmatch(context) is None:
        raise error(f"a context for KMS is printable ASCII, 1 to {MAX_CONTEXT_BYTES:,} bytes", where=where)
    return context.decode("ascii")


def _explained(error: Exception, where: str) -> StrongroomError:
    """Says what AWS's error code means, with no word of AWS's own text: it may quote a request."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = str(response.get("Error", {}).get("Code", ""))
        request = str(response.get("ResponseMetadata", {}).get("RequestId", ""))
        if _REQUEST_ID.fullmatch(request) is not None:
            where += f", AWS request {request}"
        if code in _PROBLEMS:
            kind, message, what_next = _PROBLEMS[code]
            return kind(message, where=where, next=what_next)
        return StrongroomError(f"KMS could not do it: {_shown(code)}", where=where, next="try again later")
    name = type(error).__name__
    if "Credential" in name or "Token" in name or name == "ProfileNotFound":
        return StrongroomError(
            f"no AWS credentials could be had: {name}", where=where, next="set them up as boto3 expects them"
        )
    return StrongroomError(f"KMS cannot be reached: {name}", where=where, next="check the network, then try again")


def _shown(text: str) -> str:
    """Foreign text as it may stand on a terminal."""
    return ascii(text[:MAX_ARN_CHARS])


# What boto3 logs

_here = threading.local()


class _Quiet(logging.Filter):
    """Below `warning`, botocore logs requests and answers, and so object keys and session tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or not getattr(_here, "asking", False)


_QUIET: Final = _Quiet()


@contextmanager
def _unlogged() -> Iterator[None]:
    """Nothing that this thread asks of boto3 meanwhile is logged, whatever level an application chose."""
    # A filter on a logger sees only what is logged through it, not through its children; so each has its own.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"boto3", "botocore", "urllib3"}:
            logging.getLogger(name).addFilter(_QUIET)
    _here.asking = True
    try:
        yield
    finally:
        _here.asking = False
