"""Object keys wrapped by AWS KMS, as moto plays it on loopback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from strongroom.core.errors import IntegrityError, RefusedError, StrongroomError
from strongroom.vault._aws_kms import AwsKms, AwsKmsRecipient

OBJECT_KEY = bytes(range(100, 132))
CONTEXT = b"strongroom.sealed/1 obj_1 acme/model:v1"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's KMS; the environment leads boto3 there too."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    yield boto3.client("kms", region_name="eu-west-1")
    server.stop()


def made(kms: Any, **settings: Any) -> str:
    """The ARN of a new key."""
    return str(kms.create_key(**settings)["KeyMetadata"]["Arn"])


def test_what_was_wrapped_is_unwrapped_and_two_recipients_get_two_wrappings(kms: Any) -> None:
    one, two = AwsKmsRecipient("site", made(kms)), AwsKmsRecipient("recovery", made(kms))
    assert one.name == "site"
    wrapped = [one.wrap(OBJECT_KEY, CONTEXT), one.wrap(bytearray(OBJECT_KEY), CONTEXT), two.wrap(OBJECT_KEY, CONTEXT)]
    assert len(set(wrapped)) == 3
    assert not [each for each in wrapped if OBJECT_KEY in each]
    opener = AwsKms()
    for recipient, each in zip((one, one, two), wrapped, strict=True):
        assert opener.unwrap(recipient.key, each, CONTEXT) == OBJECT_KEY


def test_a_client_and_an_endpoint_can_be_given(kms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    arn = made(kms)
    wrapped = AwsKmsRecipient("site", arn, kms).wrap(OBJECT_KEY, CONTEXT)
    assert AwsKms(endpoint_url=kms.meta.endpoint_url).unwrap(f"awskms:{arn}", wrapped, CONTEXT) == OBJECT_KEY


def test_the_context_is_the_encryption_context_that_kms_sees(kms: Any) -> None:
    arn = made(kms)
    wrapped = AwsKmsRecipient("site", arn).wrap(OBJECT_KEY, CONTEXT)
    context = {"strongroom": CONTEXT.decode()}
    assert kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)["Plaintext"] == OBJECT_KEY


def test_another_context_or_ciphertext_is_damage_and_tells_nothing(kms: Any) -> None:
    recipient = AwsKmsRecipient("site", made(kms))
    wrapped = recipient.wrap(OBJECT_KEY, CONTEXT)
    flipped = [
        wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in (40, len(wrapped) // 2, -1 % len(wrapped))
    ]
    bad = [
        (recipient.key, wrapped, CONTEXT + b"2"),
        (recipient.key, wrapped, CONTEXT[:-1]),
        *((recipient.key, each, CONTEXT) for each in flipped),
        *((recipient.key, wrapped[:length], CONTEXT) for length in (1, 40, len(wrapped) - 1)),
    ]
    opener = AwsKms()
    for key, each, context in bad:
        with pytest.raises(IntegrityError) as wrong:
            opener.unwrap(key, each, context)
        told = "".join(traceback.format_exception(wrong.value)) + repr(wrong.value)
        assert repr(OBJECT_KEY) not in told
        assert repr(each) not in told
    assert opener.unwrap(recipient.key, wrapped, CONTEXT) == OBJECT_KEY


def test_a_ciphertext_under_another_key_is_refused_though_kms_could_open_it(kms: Any) -> None:
    recipient, other = AwsKmsRecipient("site", made(kms)), AwsKmsRecipient("other", made(kms))
    wrapped = recipient.wrap(OBJECT_KEY, CONTEXT)
    # AWS documents IncorrectKeyException here, which a unit test gives; moto says AccessDeniedException.
    with pytest.raises(RefusedError):
        AwsKms().unwrap(other.key, wrapped, CONTEXT)


def test_a_key_that_is_not_there_is_refused(kms: Any) -> None:
    arn = made(kms)
    nowhere = arn.partition("key/")[0] + "key/00000000-0000-4000-8000-000000000000"
    with pytest.raises(RefusedError, match="no such key"):
        AwsKmsRecipient("site", nowhere).wrap(OBJECT_KEY, CONTEXT)
    wrapped = AwsKmsRecipient("site", arn).wrap(OBJECT_KEY, CONTEXT)
    with pytest.raises(StrongroomError):
        AwsKms().unwrap(f"awskms:{nowhere}", wrapped, CONTEXT)
    # The same id in another region is another key.
    with pytest.raises(StrongroomError):
        AwsKms().unwrap(f"awskms:{arn.replace('eu-west-1', 'eu-west-2')}", wrapped, CONTEXT)


def test_threads_share_an_unwrapper_and_a_recipient(kms: Any) -> None:
    recipient, opener = AwsKmsRecipient("site", made(kms)), AwsKms()

    def round_trip(number: int) -> bytes:
        context = b"strongroom.sealed/1 obj_%d acme/model" % number
        return opener.unwrap(recipient.key, recipient.wrap(bytes([number]) * 32, context), context)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(round_trip, range(40))) == [bytes([number]) * 32 for number in range(40)]
