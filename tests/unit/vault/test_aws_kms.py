"""What KMS keys are called, and what becomes of KMS's errors, which moto cannot all make."""

from __future__ import annotations

import base64
import builtins
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError, UsageError
from strongroom.vault._aws_kms import MAX_CONTEXT_BYTES, MAX_WRAPPED_BYTES, AwsKms, AwsKmsRecipient, check_arn

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-west-1:111122223333:key/{ID}"
KEY = f"awskms:{ARN}"
CONTEXT = b"strongroom.sealed/1 obj_1 acme/model:v1"
OBJECT_KEY = bytes(range(100, 132))
SECRET_ACCESS_KEY = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "FwoGZXIvYXdzEXAMPLESESSIONTOKEN"
SECRETS = [
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    repr(OBJECT_KEY)[2:-1],
    OBJECT_KEY.hex(),
    base64.b64encode(OBJECT_KEY).decode(),
]

HOSTILE = [
    "",
    ID,
    "arn:aws:kms:eu-west-1:111122223333:alias/models",
    "alias/models",
    f"{ARN}\n",
    f" {ARN}",
    f"{ARN}/../x",
    ARN.upper(),
    ARN.replace("kms", "s3"),
    ARN.replace("eu-west-1", ""),
    ARN.replace("eu-west-1", "*"),
    ARN.replace("eu-west-1", "evil.example"),
    ARN.replace("eu-west-1", "eu-west-1@evil.example/"),
    ARN.replace("111122223333", "11112222333"),
    ARN.replace("111122223333", "١١١١٢٢٢٢٣٣٣٣"),
    ARN.replace("key/", "key/mrk-"),
    ARN.replace(ID, "*"),
    ARN.replace("arn:aws:", "arn:awsome:"),
    "arn:aws:kms:eu-west-1:111122223333:key/" + "a" * 100_000,
    "\x1b[2J",
]


@pytest.mark.parametrize("arn", HOSTILE, ids=range(len(HOSTILE)))
def test_only_the_full_arn_of_a_key_is_a_name(arn: str) -> None:
    with pytest.raises(UsageError) as wrong:
        AwsKmsRecipient("site", arn)
    with pytest.raises(RefusedError):
        AwsKms().unwrap(f"awskms:{arn}", b"wrapped", CONTEXT)
    assert str(wrong.value).isprintable()
    assert len(str(wrong.value)) < 1000


def test_an_alias_is_refused_with_the_way_to_the_key() -> None:
    with pytest.raises(UsageError, match=r"pointed at another key.*describe-key"):
        check_arn("arn:aws:kms:eu-west-1:111122223333:alias/models")


@pytest.mark.parametrize(
    ("partition", "region"),
    [
        ("aws", "us-east-1"),
        ("aws", "ap-southeast-2"),
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-iso-b", "us-isob-east-1"),
        ("aws-eusc", "eusc-de-east-1"),
    ],
)
def test_regions_are_read_from_the_arns_of_every_partition(partition: str, region: str) -> None:
    for key in (ID, "mrk-" + "0123456789abcdef" * 2):
        assert check_arn(f"arn:{partition}:kms:{region}:111122223333:key/{key}") == region


def test_a_key_of_another_scheme_is_refused() -> None:
    with pytest.raises(RefusedError, match="not in AWS KMS"):
        AwsKms().unwrap("x25519:abc", b"wrapped", CONTEXT)


class Kms:
    """A client that answers one thing, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def _do(self, **asked: Any) -> Any:
        self.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    encrypt = decrypt = _do


def test_context_key_and_algorithm_are_given_both_ways() -> None:
    given = {"KeyId": ARN, "EncryptionContext": {"strongroom": CONTEXT.decode()}}
    kms = Kms({"KeyId": ARN, "CiphertextBlob": b"c", "Plaintext": OBJECT_KEY})
    assert AwsKmsRecipient("site", ARN, kms).wrap(bytearray(OBJECT_KEY), CONTEXT) == b"c"
    assert kms.asked == {**given, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "Plaintext": OBJECT_KEY}
    assert AwsKms(kms).unwrap(KEY, b"c", CONTEXT) == OBJECT_KEY
    assert kms.asked == {**given, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "CiphertextBlob": b"c"}


@pytest.mark.parametrize("context", [b"", b"\x00", "é".encode(), b"a\nb", b"a" * (MAX_CONTEXT_BYTES + 1)])
def test_a_context_is_printable_ascii(context: bytes) -> None:
    kms = Kms({})
    with pytest.raises(UsageError, match="printable ASCII"):
        AwsKmsRecipient("site", ARN, kms).wrap(OBJECT_KEY, context)
    with pytest.raises(IntegrityError, match="printable ASCII"):
        AwsKms(kms).unwrap(KEY, b"c", context)
    assert not kms.asked


def test_sizes_are_checked_before_kms_is_asked() -> None:
    kms = Kms({})
    for size in (0, 31, 33):
        with pytest.raises(UsageError, match="32 bytes"):
            AwsKmsRecipient("site", ARN, kms).wrap(bytes(size), CONTEXT)
    for size in (0, MAX_WRAPPED_BYTES + 1):
        with pytest.raises(IntegrityError, match="1 to 6,144 bytes"):
            AwsKms(kms).unwrap(KEY, bytes(size), CONTEXT)
    assert not kms.asked


@pytest.mark.parametrize(
    "answer",
    [
        {"KeyId": ARN.replace("1234abcd", "99999999"), "CiphertextBlob": b"c", "Plaintext": OBJECT_KEY},
        {"CiphertextBlob": b"c", "Plaintext": OBJECT_KEY},
        {"KeyId": ARN, "CiphertextBlob": b"", "Plaintext": OBJECT_KEY + b"x"},
        {"KeyId": ARN, "CiphertextBlob": b"c" * (MAX_WRAPPED_BYTES + 1), "Plaintext": b""},
        {"KeyId": ARN},
    ],
)
def test_an_answer_for_another_key_or_of_another_size_is_not_believed(answer: dict[str, Any]) -> None:
    with pytest.raises(StrongroomError):
        AwsKmsRecipient("site", ARN, Kms(dict(answer))).wrap(OBJECT_KEY, CONTEXT)
    with pytest.raises(IntegrityError) as wrong:
        AwsKms(Kms(dict(answer))).unwrap(KEY, b"c", CONTEXT)
    assert_silent(wrong.value)


def client_error(code: str) -> Exception:
    from botocore.exceptions import ClientError

    said = {"Code": code, "Message": f"no \x1b[2J {SECRETS}"}
    metadata = {"RequestId": "0a1b2c3d-0000-4000-8000-0123456789ab"}
    return ClientError({"Error": said, "ResponseMetadata": metadata}, "Decrypt")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", RefusedError),
        ("NotFoundException", RefusedError),
        ("ExpiredTokenException", RefusedError),
        ("UnrecognizedClientException", RefusedError),
        ("InvalidCiphertextException", IntegrityError),
        ("IncorrectKeyException", IntegrityError),
        ("ThrottlingException", StrongroomError),
        ("DisabledException", StrongroomError),
        ("KMSInvalidStateException", StrongroomError),
        ("KeyUnavailableException", StrongroomError),
        ("InvalidKeyUsageException", StrongroomError),
        ("KMSInternalException", StrongroomError),
        ("\x1b[2J" + "x" * 10_000, StrongroomError),
    ],
)
def test_each_error_of_kms_is_one_of_ours_and_tells_no_secret(code: str, kind: type[StrongroomError]) -> None:
    for ask in (
        lambda kms: AwsKmsRecipient("site", ARN, kms).wrap(OBJECT_KEY, CONTEXT),
        lambda kms: AwsKms(kms).unwrap(KEY, b"c", CONTEXT),
    ):
        with pytest.raises(StrongroomError) as wrong:
            ask(Kms(client_error(code)))
        assert type(wrong.value) is kind
        assert ARN in wrong.value.where
        assert "0a1b2c3d-0000-4000-8000-0123456789ab" in wrong.value.where
        assert wrong.value.next
        assert_silent(wrong.value)


def network_errors() -> Iterator[Exception]:
    from botocore import exceptions

    yield exceptions.EndpointConnectionError(endpoint_url="https://kms.example")
    yield exceptions.ReadTimeoutError(endpoint_url="https://kms.example")
    yield exceptions.NoCredentialsError()
    yield exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY")
    yield exceptions.ProfileNotFound(profile="p")
    yield RuntimeError(f"a credential process said {SECRETS}")


@pytest.mark.parametrize("error", list(network_errors()), ids=lambda error: type(error).__name__)
def test_what_keeps_kms_from_answering_is_neither_refusal_nor_damage(error: Exception) -> None:
    with pytest.raises(StrongroomError, match=r"reached|credentials") as wrong:
        AwsKmsRecipient("site", ARN, Kms(error)).wrap(OBJECT_KEY, CONTEXT)
    assert type(wrong.value) is StrongroomError
    assert_silent(wrong.value)


def assert_silent(error: BaseException) -> None:
    """Neither message nor traceback, not even one that shows every frame's variables, tells a secret."""
    assert error.__cause__ is None
    assert error.__context__ is None
    tb = error.__traceback__
    while tb is not None and "/tests/" in tb.tb_frame.f_code.co_filename:
        tb = tb.tb_next  # the tests' own variables
    shown = "".join(traceback.TracebackException(type(error), error, tb, capture_locals=True).format())
    shown += "".join(traceback.format_exception(error)) + repr(error) + str(error)
    assert not [secret for secret in SECRETS if secret in shown]
    assert "\x1b" not in shown


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("credentials")
def test_a_kms_that_does_not_answer_is_an_error_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.vault._aws_kms.ATTEMPTS", 1)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StrongroomError, match="cannot be reached") as wrong:
        AwsKmsRecipient("site", ARN, endpoint_url="http://127.0.0.1:9").wrap(OBJECT_KEY, CONTEXT)
    assert_silent(wrong.value)
    assert not [secret for secret in SECRETS if secret in caplog.text]
    # The same by hand: what there would be to read.
    from botocore.config import Config

    # In a session of its own: boto3's common one keeps the credentials of whoever came first.
    client = boto3.Session().client(
        "kms", "eu-west-1", endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1})
    )
    with pytest.raises(Exception, match="Could not connect"):
        client.encrypt(KeyId=ARN, Plaintext=OBJECT_KEY)
    assert SESSION_TOKEN in caplog.text
    assert base64.b64encode(OBJECT_KEY).decode() in caplog.text


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("url", ["http://kms.evil.example", "http://127.0.0.1.evil.example:80", "http://10.0.0.1"])
def test_keys_do_not_leave_the_machine_without_tls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="without TLS"):
        AwsKms(endpoint_url=url).unwrap(KEY, b"c", CONTEXT)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(UsageError, match="without TLS"):
        AwsKmsRecipient("site", ARN).wrap(OBJECT_KEY, CONTEXT)


@pytest.mark.usefixtures("credentials")
def test_a_client_is_made_for_the_arns_region_with_bounded_waits() -> None:
    client = AwsKms()._kms._client("ap-southeast-2", KEY)
    assert client.meta.endpoint_url == "https://kms.ap-southeast-2.amazonaws.com"
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (5.0, 10.0)
    assert client.meta.config.retries["total_max_attempts"] == 3


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "boto3":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'strongroom\[aws\]'"):
        AwsKms().unwrap(KEY, b"c", CONTEXT)
