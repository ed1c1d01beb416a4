"""AWS Bedrock model-invocation logs, from S3 or CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import check_duplicate_keys

from ._arns import principal_of
from ._json import embedded, load_object
from ._messages import Conversation
from ._rows import each
from ._shapes import NOTHING, conversation_of
from ._templates import from_template
from ._time import microseconds
from ._values import add_settings, count, finished, mapping, name

__all__ = ["BedrockReader"]

_KEYS = (b'"identity"', b'"arn"', b'"timestamp"', b'"inputBodyJson"')
_END_USERS = (
    "userId",
    "user_id",
    "endUser",
    "end_user",
    "user",
    "customerId",
    "customer_id",
    "tenantId",
    "tenant_id",
)
_SESSIONS = ("sessionId", "session_id", "conversationId", "conversation_id", "traceId", "trace_id")
_STATUS_OF = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ThrottlingException": 429,
    "ServiceQuotaExceededException": 429,
    "ModelNotReadyException": 429,
    "ModelErrorException": 424,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


class BedrockReader:
    """Reads Bedrock's invocation logs."""

    name = "bedrock"
    title = "AWS Bedrock model-invocation log"
    reference = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html"
    metadata_only = False

    def claims(self, record: dict[str, Any]) -> int:
        """95 for the schema's name, also inside an event of CloudWatch Logs; 70 for its fields."""
        if record.get("schemaType") == "ModelInvocationLog":
            return 95
        if "modelId" in record and "input" in record and "identity" in record:
            return 70
        return 90 if any("ModelInvocationLog" in message for message in _cloudwatch_messages(record)) else 0

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The exchange of a record, or those of a batch of CloudWatch events. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        rows = [embedded(message) for message in _cloudwatch_messages(record)]
        return each(rows or [record], _read)


def _cloudwatch_messages(record: dict[str, Any]) -> Iterator[str]:
    """Bedrock's record is text in an event's `message`, alone or in a batch."""
    batch = record.get("logEvents") or record.get("events")
    for event in batch if isinstance(batch, list) else [record]:
        message = event.get("message", event.get("@message")) if isinstance(event, dict) else None
        if isinstance(message, str):
            yield message


def _read(record: dict[str, Any]) -> Iterator[Exchange]:
    if "modelId" not in record:
        if record.get("schemaType") == "ModelInvocationLog":
            raise RecordError("required field missing", "no modelId")
        return
    if record.get("timestamp") is None:
        raise RecordError("required field missing", "no timestamp")
    inputs = mapping(record.get("input"), "input")
    outputs = mapping(record.get("output"), "output")
    extra = record.get("requestMetadata")
    extra = extra if isinstance(extra, dict) else {}
    account, credential = principal_of(name(mapping(record.get("identity"), "identity"), "arn"))
    body = embedded(inputs.get("inputBodyJson"))
    text, system, turn = _conversation(body)
    exchange = Exchange(
        time=microseconds(record["timestamp"]),
        account=account,
        text=text,
        system=system,
        turn=turn,
        id=name(record, "requestId"),
        organization=name(record, "accountId"),
        credential=credential,
        end_user=_chosen(extra, _END_USERS),
        session=_chosen(extra, _SESSIONS),
        operation=name(record, "operation"),
        model=name(record, "modelId").rpartition("/")[2],
        input_tokens=count(inputs.get("inputTokenCount"), "inputTokenCount"),
        output_tokens=count(outputs.get("outputTokenCount"), "outputTokenCount"),
        status=_status(record),
    )
    add_settings(exchange, body)
    yield finished(exchange)


def _conversation(body: Any) -> Conversation:
    """Empty where the body is not in the record: above 100 kB it is an object of its own (`inputBodyS3Path`)."""
    if not body:
        return NOTHING
    text, system, turn = conversation_of(body)
    if isinstance(body, dict) and turn == 1 and not system and ("prompt" in body or "inputText" in body):
        return from_template(text)
    return text, system, turn


def _chosen(extra: dict[str, Any], keys: tuple[str, ...]) -> str:
    """What the client put beside its request; it may be anything."""
    return next((value for key in keys if isinstance(value := extra.get(key), str) and value), "")


def _status(record: dict[str, Any]) -> int:
    code = name(record, "errorCode")
    if code:
        return _STATUS_OF.get(code, int(code) if code.isascii() and code.isdigit() and len(code) == 3 else -1)
    status = name(record, "status")
    return int(status) if status.isascii() and status.isdigit() and len(status) == 3 else -1
