"""LiteLLM: StandardLoggingPayload, as its S3, GCS, file and HTTP loggers write it, and rows of SpendLogs.

Both name the same facts, one with `id`, `metadata` and `model_parameters` as objects, the other as columns of
a table, JSON often in strings and prompts often not stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from strongroom.core.errors import RecordError
from strongroom.core.records import Exchange
from strongroom.ingest.reader import check_duplicate_keys

from ._json import embedded, load_object
from ._messages import Conversation
from ._secrets import key_name
from ._shapes import NOTHING, conversation_of
from ._time import microseconds
from ._values import add_settings, count, finished, first, mapping, name

__all__ = ["LiteLLMReader"]

_KEYS = (
    b'"user_api_key_hash"',
    b'"user_api_key_user_id"',
    b'"api_key"',
    b'"end_user"',
    b'"startTime"',
    b'"messages"',
)
_REDACTED = "redacted-by-litellm"
# LiteLLM's own stand-ins: the administrator, to whom keys belong that were made without a user
_NOBODY = frozenset({"default_user_id", "litellm_proxy_master_key", "litellm-proxy-master-key"})
_NOT_EXCHANGES = ("call_mcp_tool", "list_mcp_tools", "health")


class LiteLLMReader:
    """Reads LiteLLM's logs."""

    name = "litellm"
    title = "LiteLLM StandardLoggingPayload and SpendLogs"
    reference = "https://docs.litellm.ai/docs/proxy/logging_spec"
    metadata_only = False

    def claims(self, record: dict[str, Any]) -> int:
        """90 for `call_type`, `startTime` and either form's own columns; 0 otherwise."""
        if "call_type" not in record or not ("startTime" in record or "start_time" in record):
            return 0
        if "model_parameters" in record or "request_id" in record or "metadata" in record:
            return 90
        return 60

    def read(self, raw: bytes) -> Iterable[Exchange]:
        """The exchange of a record; none for calls of tools and health checks. Raises RecordError."""
        record = load_object(raw)
        check_duplicate_keys(raw, _KEYS)
        operation = name(record, "call_type")
        if any(word in operation for word in _NOT_EXCHANGES):
            return ()
        metadata = mapping(embedded(record.get("metadata")), "metadata")
        body = _request_body(record)
        text, system, turn = _conversation(record, body)
        exchange = Exchange(
            time=_time(record),
            account=_account(record, metadata),
            text=text,
            system=system,
            turn=turn,
            id=name(record, "id", "request_id"),
            organization=_organization(record, metadata),
            credential=_credential(record, metadata),
            end_user=name(record, "end_user") or name(metadata, "user_api_key_end_user_id"),
            session=name(record, "session_id", "trace_id"),
            client_address=name(record, "requester_ip_address") or name(metadata, "requester_ip_address"),
            user_agent=_user_agent(record, metadata),
            operation=operation,
            model=name(record, "model", "model_group"),
            input_tokens=count(record.get("prompt_tokens"), "prompt_tokens"),
            output_tokens=count(record.get("completion_tokens"), "completion_tokens"),
            status=_status(record, metadata),
            email_domain=name(metadata, "user_api_key_user_email").partition("@")[2].lower(),
        )
        add_settings(exchange, embedded(record.get("model_parameters")))
        add_settings(exchange, body)
        return (finished(exchange),)


def _time(record: dict[str, Any]) -> int:
    value = first(record, "startTime", "start_time")
    if value is None:
        raise RecordError("required field missing", "no startTime")
    return microseconds(value)


def _account(record: dict[str, Any], metadata: dict[str, Any]) -> str:
    """The user to whom the key belongs, else the key, else the team, else the organisation."""
    for user in (name(metadata, "user_api_key_user_id"), name(record, "user")):
        if user and user not in _NOBODY:
            return user
    return (
        _credential(record, metadata)
        or name(metadata, "user_api_key_team_id")
        or name(record, "team_id")
        or _organization(record, metadata)
    )


def _credential(record: dict[str, Any], metadata: dict[str, Any]) -> str:
    """`key:` and the first 12 digits of the key's SHA-256, which LiteLLM logs as the key's hash."""
    key = name(metadata, "user_api_key_hash", "user_api_key") or name(record, "api_key")
    if not key:
        return name(metadata, "user_api_key_alias")
    return key if key in _NOBODY else key_name(key)


def _organization(record: dict[str, Any], metadata: dict[str, Any]) -> str:
    return (
        name(metadata, "user_api_key_org_id")
        or name(record, "organization_id")
        or name(metadata, "user_api_key_team_id")
        or name(record, "team_id")
    )


def _request_body(record: dict[str, Any]) -> dict[str, Any]:
    """The client's request, which SpendLogs keep in `proxy_server_request`, with or without its envelope."""
    request = embedded(record.get("proxy_server_request"))
    if not isinstance(request, dict):
        return {}
    body = embedded(request.get("body"))
    return body if isinstance(body, dict) else request


def _conversation(record: dict[str, Any], body: dict[str, Any]) -> Conversation:
    for source in (record.get("messages"), body):
        if source:
            text, system, turn = conversation_of(source)
            if text == _REDACTED:
                text = ""
            if system == _REDACTED:
                system = ""
            if text or system or turn > 1:
                return ("" if text == "{}" else text), system, turn
    return NOTHING


def _user_agent(record: dict[str, Any], metadata: dict[str, Any]) -> str:
    """LiteLLM keeps the user agent among the tags, short and in full."""
    found = name(metadata, "user_agent")
    tags = embedded(record.get("request_tags"))
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str) and tag.startswith("User-Agent: "):
            found = max(found, tag.removeprefix("User-Agent: "), key=len)
    return found


def _status(record: dict[str, Any], metadata: dict[str, Any]) -> int:
    """200 for success; of a failure the error's code, where it is a number."""
    status = name(record, "status") or name(metadata, "status")
    if status == "success":
        return 200
    for holder in (record, metadata):
        error = embedded(holder.get("error_information"))
        code = error.get("error_code") if isinstance(error, dict) else None
        if isinstance(code, (int, str)) and str(code).isascii() and str(code).isdigit() and len(str(code)) == 3:
            return int(code)
    return int(status) if status.isascii() and status.isdigit() and len(status) == 3 else -1
