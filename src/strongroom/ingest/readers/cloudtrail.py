"""AWS CloudTrail: management, data and network activity events, of one account or an organisation.

Also inside EventBridge's `detail` and as text in CloudWatch Logs. Insights events and digest files say nothing of one
access and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import FIELD_COLUMNS, LoggedAccess
from strongroom.ingest.reader import check_duplicate_keys

from ._access import finished_access, outcome_of, record_id
from ._arns import principal_of
from ._fields import flat
from ._json import embedded, load_object
from ._rows import each
from ._secrets import may_hold_secrets
from ._time import microseconds
from ._values import mapping, name

__all__ = ["CloudTrailReader", "read_event"]

PRODUCT, SERVICE = "aws", "cloudtrail"
_KEYS = (b'"userIdentity"', b'"eventTime"', b'"eventName"', b'"eventSource"', b'"errorCode"', b'"sourceIPAddress"')
_WITHOUT = frozenset(FIELD_COLUMNS[PRODUCT, SERVICE]) | {"eventTime", "eventID"}
# Where requestParameters name what is acted on, and what its ARN looks like; the first that is there.
_NAMED = (
    ("snapshotId", "arn:aws:ec2:{region}:{account}:snapshot/{name}"),
    ("imageId", "arn:aws:ec2:{region}:{account}:image/{name}"),
    ("volumeId", "arn:aws:ec2:{region}:{account}:volume/{name}"),
    ("instanceId", "arn:aws:ec2:{region}:{account}:instance/{name}"),
    ("dBSnapshotIdentifier", "arn:aws:rds:{region}:{account}:snapshot:{name}"),
    ("dBClusterSnapshotIdentifier", "arn:aws:rds:{region}:{account}:cluster-snapshot:{name}"),
    ("dBInstanceIdentifier", "arn:aws:rds:{region}:{account}:db:{name}"),
    ("repositoryName", "arn:aws:ecr:{region}:{account}:repository/{name}"),
    ("secretId", "arn:aws:secretsmanager:{region}:{account}:secret:{name}"),
    ("functionName", "arn:aws:lambda:{region}:{account}:function:{name}"),
    ("notebookInstanceName", "arn:aws:sagemaker:{region}:{account}:notebook-instance/{name}"),
    ("trainingJobName", "arn:aws:sagemaker:{region}:{account}:training-job/{name}"),
    ("modelName", "arn:aws:sagemaker:{region}:{account}:model/{name}"),
    ("modelId", "arn:aws:bedrock:{region}::foundation-model/{name}"),
    ("guardrailIdentifier", "arn:aws:bedrock:{region}:{account}:guardrail/{name}"),
    ("keyId", "arn:aws:kms:{region}:{account}:key/{name}"),
    ("roleArn", "{name}"),
    ("roleName", "arn:aws:iam::{account}:role/{name}"),
    ("userName", "arn:aws:iam::{account}:user/{name}"),
    ("target", "arn:aws:ec2:{region}:{account}:instance/{name}"),
)


class CloudTrailReader:
    """Reads CloudTrail's records."""

    name = "cloudtrail"
    title = "AWS CloudTrail"
    reference = (
        "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"
    )
    metadata_only = True

    def claims(self, record: dict[str, Any]) -> int:
        """95 for the fields that every record has, also within an envelope."""
        return max((_claim(row) for row in _rows(record)), default=0)

    def read(self, raw: bytes) -> Iterable[LoggedAccess]:
        """The event of a record, or those of an envelope with several. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        secrets = may_hold_secrets(raw)
        return each(_rows(record), lambda row: read_event(row, secrets))


def _claim(row: Any) -> int:
    if not isinstance(row, dict) or "eventVersion" not in row:
        return 0
    source = row.get("eventSource")
    if isinstance(source, str) and source.startswith("aws:"):  # a notification of S3, which has the same field names
        return 0
    return 95 if source is not None and "eventName" in row else 60 if "eventCategory" in row else 0


def _rows(record: dict[str, Any]) -> Iterator[Any]:
    """The records in `Records` of a file, `detail` of EventBridge or the messages of CloudWatch Logs, or itself."""
    if isinstance(rows := record.get("Records"), list):
        yield from rows
    elif isinstance(detail := record.get("detail"), dict) and "eventVersion" in detail:
        yield detail
    elif isinstance(events := record.get("logEvents"), list):
        for event in events:
            yield embedded(event.get("message")) if isinstance(event, dict) else event
    elif isinstance(message := record.get("message", record.get("@message")), str) and "eventVersion" in message:
        yield embedded(message)
    else:
        yield record


def read_event(row: dict[str, Any], secrets: bool) -> Iterator[LoggedAccess]:
    """The access of one record, none of an Insights event or a digest. Raises RecordError."""
    operation, provider = name(row, "eventName"), name(row, "eventSource")
    if not operation:
        if "digestS3Object" in row or row.get("eventCategory") == "Insight":
            return
        raise RecordError("required field missing", "no eventName")
    if row.get("eventCategory") == "Insight" or row.get("eventType") == "AwsCloudTrailInsight":
        return
    if row.get("eventTime") is None:
        raise RecordError("required field missing", "no eventTime")
    identity = mapping(row.get("userIdentity"), "userIdentity")
    account = name(row, "recipientAccountId") or name(identity, "accountId")
    reason = name(row, "errorCode")
    extra = row.get("additionalEventData")
    time, principal, resource = microseconds(row["eventTime"]), _principal(identity, row), _resource(row, account)
    address, agent = name(row, "sourceIPAddress"), name(row, "userAgent")
    credential, asked = name(identity, "accessKeyId"), row.get("requestParameters")
    facts = (time, principal, credential, provider, operation, reason, account, resource, address, agent, asked)
    yield finished_access(
        LoggedAccess(
            time=time,
            principal=principal,
            product=PRODUCT,
            service=SERVICE,
            action=f"{provider.partition('.')[0]}:{operation}",
            provider=provider,
            operation=operation,
            outcome="refused" if _sign_in_failed(row) else outcome_of(reason),
            reason=reason,
            id=record_id(name(row, "eventID"), *facts),
            principal_kind=name(identity, "type"),
            credential=credential,
            session=name(identity, "principalId") if identity.get("type") == "AssumedRole" else "",
            organization=account,
            client_address=address,
            user_agent=agent,
            region=name(row, "awsRegion"),
            resource=resource,
            bytes=_bytes(extra.get("bytesTransferredOut")) if isinstance(extra, dict) else -1,
            fields=flat(row, _WITHOUT, secrets=secrets),
        )
    )


def _principal(identity: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    arn = name(identity, "arn")
    if arn:
        return principal_of(arn)[0]
    account, user = name(identity, "accountId"), name(identity, "userName")
    if user and account:
        return f"arn:aws:iam::{account}:user/{user}"
    return user or name(identity, "invokedBy", "principalId", "accountId") or name(row, "eventSource") or "unknown"


def _sign_in_failed(row: Mapping[str, Any]) -> bool:
    answer = row.get("responseElements")
    return isinstance(answer, dict) and answer.get("ConsoleLogin") == "Failure"


def _resource(row: Mapping[str, Any], account: str) -> str:
    """The ARN of what was acted on: from `resources`, else from the request."""
    asked = row.get("requestParameters")
    asked = asked if isinstance(asked, dict) else {}
    bucket = asked.get("bucketName")
    if isinstance(bucket, str) and bucket:
        key = asked.get("key")
        return f"arn:aws:s3:::{bucket}/{key}" if isinstance(key, str) and key else f"arn:aws:s3:::{bucket}"
    named = row.get("resources")
    for each_ in named if isinstance(named, list) else ():
        if isinstance(each_, dict) and isinstance(arn := each_.get("ARN", each_.get("arn")), str) and arn:
            return arn
    for field, pattern in _NAMED:
        value = asked.get(field)
        if isinstance(value, str) and value:
            if value.startswith("arn:"):
                return value
            return pattern.format(region=name(row, "awsRegion"), account=account, name=value)
    return ""


def _bytes(value: Any) -> int:
    """CloudTrail writes this number as one with a fraction of zero."""
    return (
        int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1 << 60 else -1
    )
