"""One simulated CloudTrail record: who, from where, which action, and how it is written.

An `Action` is a template with a few fields; a `Call` fills it. `line` writes a call as CloudTrail would, and `row`
gives the columns that `CloudTrailReader` would read from that line; a test holds the two together.

>>> action = Action("s3", "ListBuckets", "null")
>>> service = Badge('{"type":"AWSService","invokedBy":"config.amazonaws.com"}', "config.amazonaws.com", "AWSService")
>>> call = Call(1_793_491_200_000, service, Origin("config.amazonaws.com", "config.amazonaws.com"), action,
...             {"region": "eu-west-1", "account": "999900000001"}, 7)
>>> line(call)[:64], row(call)[3]
('{"eventVersion":"1.11","userIdentity":{"type":"AWSService","invo', 's3:ListBuckets')
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

COLUMNS = ("time", "principal", "id", "action", "provider", "operation", "outcome", "reason", "principal_kind",
           "credential", "session", "organization", "client_address", "user_agent", "region", "resource",
           "bytes")  # fmt: skip
"""The fields of `LoggedAccess` that `row` gives, in its order."""

_VERSIONS = {"s3": "1.11", "kms": "1.11", "signin": "1.08", "sso": "1.08", "ssm": "1.08", "config": "1.09"}
_USUAL_VERSION = "1.10"
_READS = ("Get", "List", "Describe", "Head", "Lookup", "BatchGet", "Decrypt", "AssumeRole", "Simulate", "Filter",
          "GenerateCredentialReport", "GenerateDataKey", "BatchCheck", "Search")  # fmt: skip
_ERROR_TEXTS = {
    "AccessDenied": "User: %(arn)s is not authorized to perform: %(verb)s because no identity-based policy allows the"
    " action",
    "Client.UnauthorizedOperation": "You are not authorized to perform this operation. User: %(arn)s is not authorized"
    " to perform: %(verb)s because no identity-based policy allows the action",
    "ThrottlingException": "Rate exceeded",
    "Client.RequestLimitExceeded": "Request limit exceeded.",
    "SlowDown": "Please reduce your request rate.",
    "NoSuchKey": "The specified key does not exist.",
}
REFUSED_BYTES = 243
"""The answer to an S3 call that failed."""
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Badge:
    """Who a record says acted, with one credential."""

    identity: str
    """`userIdentity` as JSON."""
    principal: str
    """As readers name it: without session names that software makes up."""
    kind: str
    arn: str = ""
    credential: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where a call came from and with which tool."""

    address: str
    agent: str
    tls: tuple[str, str] | None = None
    """Version and cipher; None for AWS itself."""
    endpoint: str = ""
    """The VPC endpoint, or empty."""
    part_bytes: int = 1 << 40
    """The tool reads larger objects in parts of this size."""
    tls_start: str = field(init=False, repr=False)
    """`tlsDetails` as JSON, up to the host's name."""
    endpoint_json: str = field(init=False, repr=False)
    """`vpcEndpointId` as a field of a record, or nothing."""

    def __post_init__(self) -> None:
        """Writes what every record of this origin has."""
        start = ""
        if self.tls:
            version, cipher = self.tls
            start = f',"tlsDetails":{{"tlsVersion":"{version}","cipherSuite":"{cipher}","clientProvidedHostHeader":"'
        object.__setattr__(self, "tls_start", start)
        endpoint = f'"vpcEndpointId":"{self.endpoint}",' if self.endpoint else ""
        object.__setattr__(self, "endpoint_json", endpoint)


class Action:
    """What can be done: the template of its records."""

    def __init__(
        self,
        service: str,
        name: str,
        request: str,
        *,
        response: str = "null",
        extra: str = "",
        resources: tuple[tuple[str, str], ...] = (),
        resource: str = "",
        data: bool = False,
        event_type: str = "AwsApiCall",
        message: str = "",
        owner: str = "%(account)s",
        host: str = "%(service)s.%(region)s.amazonaws.com",
    ) -> None:
        """`request`, `response`, `extra` (additionalEventData), `owner`, `host` and `resource` are templates.

        `resource` is what readers take for the resource; without it, the first of `resources`. `message` is an error
        that has no code, as a failed sign-in's.
        """
        self.service, self.name, self.data = service, name, data
        self.provider, self.verb = f"{service}.amazonaws.com", f"{service}:{name}"
        self.resource = resource or (resources[0][1] if resources else "")
        self.counts_bytes = "%(bytes)s" in extra
        self.size = 552 if "bytesTransferredOut" in extra else -1
        self.host = host.replace("%(service)s", service)
        listed = ",".join(
            f'{{"accountId":"{owner}","type":"{kind}","ARN":"{arn}"}}'
            if "Object" not in kind
            else f'{{"type":"{kind}","ARN":"{arn}"}}'
            for kind, arn in resources
        )
        read = "true" if name.startswith(_READS) else "false"
        refused = "null" if service in ("iam", "sts") else request
        more = f'"additionalEventData":{extra[:-1]},"x-amz-id-2":"' if self.size >= 0 else ""
        more = more or (f'"additionalEventData":{extra},' if extra else "")
        self.begin = f'{{"eventVersion":"{_VERSIONS.get(service, _USUAL_VERSION)}","userIdentity":'
        self.named = f'","eventSource":"{self.provider}","eventName":"{name}","awsRegion":"'
        self.told = f'"errorMessage":"{message}",' if message else ""
        self.body = f'{self.told}"requestParameters":{request},"responseElements":{response},{more}'
        self.error_body = (
            f'"errorCode":"%(error)s","errorMessage":"%(message)s","requestParameters":{refused},'
            f'"responseElements":null,{more}'
        )
        self.requested = '"requestID":"' if event_type == "AwsApiCall" else ""
        self.end = (
            f'","readOnly":{read},'
            + (f'"resources":[{listed}],' if listed else "")
            + f'"eventType":"{event_type}","managementEvent":{"false" if data else "true"},'
            + '"recipientAccountId":"%(account)s",'
        )
        self.category = f'"eventCategory":"{"Data" if data else "Management"}"'
        self.error_resource = "" if refused == "null" and not resources else self.resource

    def __repr__(self) -> str:
        return self.verb


class Call(NamedTuple):
    """One use of an action."""

    time_ms: int
    badge: Badge
    origin: Origin
    action: Action
    args: dict[str, Any]
    """What the template asks for, always with `region` and `account`; values are JSON-escaped already."""
    entropy: int
    """128 random bits from which the ids are made."""
    error: str = ""
    technique: str = ""
    """An ATT&CK or ATLAS id when an intruder did it."""

    @property
    def event_id(self) -> str:
        """`eventID`."""
        text = f"{self.entropy:032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


class Release(NamedTuple):
    """A key of a sealed asset was released and the ledger has an entry for it."""

    time_ms: int
    principal: str
    """As the records name who asked."""
    asset: str


def line(call: Call) -> str:
    """The record as CloudTrail writes it, without a line end."""
    time_ms, badge, origin, action, args, entropy, error, _ = call
    mixed = entropy * 0x9E3779B97F4A7C15F39CC0605CEDC835
    body = _error_body(call) if error else action.body % args
    if action.size >= 0:
        body = f'{body}{base64.b64encode(mixed.to_bytes(32) * 2).decode()[:76]}"}},'
    if action.requested:
        text = f"{mixed & _MASK:016x}"
        if action.service == "s3":
            text = text.upper()
        else:
            text = f"{text[:8]}-{text[8:12]}-4{text[13:]}-b{text[1:4]}-{text[4:]}"
        body = f'{body}{action.requested}{text}",'
    tls = f'{origin.tls_start}{action.host % args}"}}' if origin.tls_start else ""
    return (
        f'{action.begin}{badge.identity},"eventTime":"{_written(time_ms // 1000)}{action.named}{args["region"]}",'
        f'"sourceIPAddress":"{origin.address}","userAgent":"{origin.agent}",{body}"eventID":"{call.event_id}'
        f"{action.end % args}{origin.endpoint_json}{action.category}{tls}}}"
    )


def _error_body(call: Call) -> str:
    message = _ERROR_TEXTS[call.error] % {"arn": call.badge.arn, "verb": call.action.verb}
    return call.action.error_body % {**call.args, "error": call.error, "message": message, "bytes": REFUSED_BYTES}


def row(call: Call) -> tuple[Any, ...]:
    """What a reader makes of the record, in the order of `COLUMNS`."""
    time_ms, badge, origin, action, args, _, error, _ = call
    size = action.size
    if action.counts_bytes:
        size = REFUSED_BYTES if error else args["bytes"]
    return (
        time_ms // 1000 * 1_000_000,
        badge.principal,
        call.event_id,
        action.verb,
        action.provider,
        action.name,
        outcome(call),
        error,
        badge.kind,
        badge.credential,
        badge.session,
        args["account"],
        origin.address,
        json_text(origin.agent),
        args["region"],
        json_text((action.error_resource if error else action.resource) % args),
        size,
    )


def outcome(call: Call) -> str:
    """`allowed`, `refused` or `failed`, as readers tell them apart."""
    if call.error in ("AccessDenied", "Client.UnauthorizedOperation") or call.action.told:
        return "refused"
    return "failed" if call.error else "allowed"


def json_text(text: str) -> str:
    """What an escaped text says."""
    return str(json.loads(f'"{text}"')) if "\\" in text else text


@lru_cache(maxsize=1024)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


@lru_cache(maxsize=4096)
def _written(second: int) -> str:
    day, rest = divmod(second, 86_400)
    hour, rest = divmod(rest, 3600)
    return f"{_day(day)}T{hour:02d}:{rest // 60:02d}:{rest % 60:02d}Z"
